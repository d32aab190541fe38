"""Whose an exception is: the user's own code's, with file and line, or gbench's, with a report."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
import torch

from gbench.build import build_model
from gbench.cli import doctor, show
from gbench.cli.main import main
from gbench.data.spec import DataSpec
from gbench.errors import UserError
from gbench.fault import fault_of, is_own

HEADER = "# @package _global_\n# own\n"
CODE = """\
import sys
import torch
from gbench.errors import UserError
from gbench.kernels import spmm
from torch import nn

class Refused(UserError):
    pass

class Own(nn.Module):
    def __init__(self, spec, *, how):
        super().__init__()
        self.how = how
        self.head = nn.Linear(spec.num_features, spec.num_outputs)
        if how == "made": raise KeyError("missing")
        if how == "exit": sys.exit(0)
        if how == "refused": raise Refused("give me more")

    def forward(self, batch):
        if self.how == "several lines": raise ValueError("first\\nsecond")
        if self.how == "torch": nn.Linear(3, 4)(torch.ones(2, 9))
        if self.how == "ours": spmm(batch.graph, torch.ones(3))
        if self.how == "pipe": raise BrokenPipeError(32, "gone")
        if self.how == "wrapped":
            try:
                {}["inner"]
            except KeyError as error:
                raise RuntimeError("outer") from error
        if self.how == "in place":
            y = self.head(batch.x).exp()
            total = y.sum()
            return y.add_(1) * total
        return self.head(batch.x)
"""
Train = Callable[..., int]


def line_of(text: str) -> int:
    return next(n for n, line in enumerate(CODE.splitlines(), start=1) if text in line)


@pytest.fixture
def train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Train:
    """Train, or another verb, the user's model `Own`, or what `code` says in its place."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("sys.path", [*sys.path])
    (tmp_path / "mine" / "model").mkdir(parents=True)

    def run(how: str, code: str = CODE, module: str = "own_of_test", verb: str = "train") -> int:
        (tmp_path / "mine" / f"{module}.py").write_text(code)
        text = f"{HEADER}model: {{_target_: {module}.Own, how: ok}}\n"
        (tmp_path / "mine" / "model" / "own.yaml").write_text(text)
        words = ["model=own", "data=csbm", "data.num_nodes=50", f"model.how='{how}'"]
        shape = ["trainer=cpu", "trainer.max_epochs=1", "logger=none"]
        sys.modules.pop(module, None)
        return main([verb, "--config-dir", "mine", *words, *shape])

    return run


@pytest.mark.parametrize(
    ("how", "line", "says"),
    [
        ("made", '"made"', "in __init__: KeyError: 'missing'"),
        ("exit", '"exit"', "in __init__: SystemExit: 0"),
        ("several lines", '"several', "in forward: ValueError: first"),
        ("torch", '"torch"', "in forward: RuntimeError: mat1 and mat2 shapes cannot"),
        ("ours", '"ours"', "in forward: ValueError: x has shape (3,)"),
        ("pipe", '"pipe"', "in forward: BrokenPipeError: [Errno 32] gone"),
        ("wrapped", "raise RuntimeError", "in forward: RuntimeError: outer"),
    ],
)
def test_an_exception_in_own_code_names_its_line_and_shows_its_traceback(
    how: str, line: str, says: str, train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(how) == 1
    err = capsys.readouterr().err
    file = Path("mine") / "own_of_test.py"
    assert err.splitlines()[-1].startswith(f"gbench: {file}, line {line_of(line)}, {says}")
    assert "defect" not in err
    shown = re.findall(r'File "([^"]+)", line', err)
    assert shown[0].endswith(str(file))  # nothing of gbench or Lightning stands above
    for kept in Path("runs").glob("*/error.txt"):  # where the run had a folder by then
        assert kept.read_text().splitlines()[0] == err.splitlines()[-1].removeprefix("gbench: ")
        assert "Traceback" in kept.read_text()


def test_a_refusal_by_own_code_is_one_sentence_with_its_place(
    train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("refused") == 2
    last = capsys.readouterr().err.splitlines()[-1]
    place = f"mine/own_of_test.py, line {line_of('raise Refused')}, in __init__"
    assert last == f"gbench: give me more ({place})"


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("def f(:\n", "line 1: SyntaxError: invalid syntax"),
        ("x = 1\n  y = 2\n", "line 2: IndentationError: unexpected indent"),
        ("import no_such_thing\n", "line 1: ModuleNotFoundError: No module named 'no_such_thing'"),
        ("from torch import no_such\n", "line 1: ImportError: cannot import name 'no_such'"),
        ("\n1 / 0\n", "line 2: ZeroDivisionError: division by zero"),
        ("import torch\ntorch.no_such\n", "line 2: AttributeError: module 'torch' has no"),
    ],
)
def test_a_file_that_cannot_be_imported_names_its_line(
    code: str, says: str, train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    module = f"own_{abs(hash(code))}"  # Python keeps what it compiled by the second
    assert train("ok", code, module) == 1
    assert f"gbench: mine/{module}.py, {says}" in capsys.readouterr().err


def test_what_own_code_alone_does_not_explain_names_both(
    train: Train, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert train("in place") == 1
    err = capsys.readouterr().err
    assert f"in a run of own_of_test.Own (mine/own_of_test.py, line {line_of('class Own')})" in err
    assert "this is a defect" not in err
    (kept,) = (tmp_path / "cache" / "defects").iterdir()
    assert str(kept) in err
    assert "modified by an inplace" in kept.read_text()


def test_a_defect_leaves_a_report(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(doctor, "run", lambda args: int("x"))
    for cache in (tmp_path / "cache", Path("/proc/nobody-can-write")):
        monkeypatch.setenv("GBENCH_CACHE", str(cache))
        monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
        (tmp_path / "temporary").mkdir(exist_ok=True)
        monkeypatch.setattr("tempfile.tempdir", None)
        # the lambda's own line lies in this file, which is neither gbench's nor installed
        assert main(["doctor"]) == 1
        assert "test_fault.py, line" in capsys.readouterr().err
    monkeypatch.setattr("gbench.config.compose.compose", int)  # no frame of ours: show calls it so
    for cache in (tmp_path / "cache", Path("/proc/nobody-can-write")):
        monkeypatch.setenv("GBENCH_CACHE", str(cache))
        assert main(["show", "it's"]) == 1
        err = capsys.readouterr().err
        assert "gbench: this is a defect of gbench: TypeError: " in err
        (place,) = re.findall(r"The stack trace is in (\S+):", err)
        assert Path(place).is_relative_to(tmp_path)
        report = Path(place).read_text()
        assert """command: gbench show 'it'"'"'s'""" in report
        assert f"torch: {version('torch')}" in report
        assert show.__file__ in report
    assert "Traceback" not in err


def test_a_search_and_a_sweep_tell_the_same(
    train: Train, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from gbench.sweep.point import told

    def raises() -> None:
        raise ValueError("first\nsecond")

    end = told(raises)
    place = f"{Path(__file__).name}, line {raises.__code__.co_firstlineno + 1}, in raises"
    assert end["error"].endswith(f"{place}: ValueError: first")
    first, empty, *rest = end["text"].splitlines()
    assert (first, empty) == (end["error"], "")
    assert rest[-1] == "second"
    capsys.readouterr()


def test_whose_files_are() -> None:
    import rich

    from gbench.kernels.cpu import rows

    assert is_own(__file__)
    for file in (rows.__file__, fault_of.__code__.co_filename, re.__file__, rich.__file__):
        assert not is_own(file)
    assert not is_own("<string>")


SPEC = DataSpec("node", 2, 3)


class WithoutParameters(torch.nn.Module):
    def __init__(self, spec: DataSpec) -> None:
        super().__init__()

    def forward(self, batch: object) -> object:
        return batch


class OfTwo(torch.nn.Module):
    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, x: object, edge_index: object) -> object:
        return x


class WithoutForward(torch.nn.Linear):
    forward = torch.nn.Module.forward

    def __init__(self, spec: DataSpec) -> None:
        super().__init__(1, 1)


class WithoutSpec(torch.nn.Linear):
    def __init__(self, *, hidden_dim: int = 3) -> None:
        super().__init__(1, hidden_dim)


def no_module(spec: DataSpec) -> int:
    return 3


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("WithoutParameters", "has nothing to train"),
        ("OfTwo", "called with one argument, the batch .*'edge_index'"),
        ("WithoutForward", r"WithoutForward has no method forward: def forward\(self, batch\)"),
        ("WithoutSpec", r"no place for what is known of the data.*def __init__\(self, spec, \*"),
        ("no_module", "returned int, which is no torch.nn.Module"),
        ("SPEC", "unknown class or function of .*test_fault.py 'SPEC'"),
        ("OfTow", "did you mean 'OfTwo'"),
    ],
)
def test_what_is_no_model_is_refused(target: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        build_model({"name": "own", "_target_": f"{__name__}.{target}"}, SPEC)
