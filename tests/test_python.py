"""gbench from Python: what its names do, what they leave alone, and how they end."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import gbench
from gbench.audits.fact import Audit, Fact
from gbench.cli.main import main
from gbench.interface.words import words_of
from gbench.records.folder import LAST, RECORD

ROOT = Path(gbench.__file__).parent
FEW = ("data=csbm", "trainer.max_epochs=4")

# As a user types it in a notebook's cells, or in a file without `if __name__ == "__main__"`.
README = (Path(__file__).resolve().parent.parent / "README.md").read_text()
SESSION = README.partition("## From Python")[2].partition("```python\n")[2].partition("```")[0]


@pytest.fixture(scope="module")
def runs_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("python") / "runs"


@pytest.fixture(scope="module")
def trained(runs_dir: Path) -> gbench.Run:
    run = gbench.run("model=gcn", *FEW, seed=3, runs_dir=runs_dir, quiet=True)
    assert isinstance(run, gbench.Run)
    return run


def process(code: str, cwd: Path) -> subprocess.Popen[str]:
    cwd.mkdir(exist_ok=True)
    (cwd / "session.py").write_text(code)
    return subprocess.Popen(
        [sys.executable, "session.py"],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_session_without_a_guarded_main(tmp_path: Path) -> None:
    shown = "print(run); print(runs.frame().to_csv()); print(len(gbench.leaderboard()))"
    running = process(SESSION.replace("seeds=5", "seeds=2") + shown, tmp_path)
    out, err = running.communicate()
    assert running.returncode == 0, err
    first, *table, rows = out.strip().splitlines()
    assert first.startswith("<Run csbm-gcn-")
    assert [line.split(",")[2] for line in table if line] == ["model", "gcn", "gcn", "sgc", "sgc"]
    assert rows == "3"
    assert err.count("epoch 20/20") == 1
    assert "4 runs" in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs", "session.py"]


def test_importing_it_costs_nothing() -> None:
    code = (
        "import sys, gbench; dir(gbench); gbench.__version__; gbench.UserError; gbench.Audit\n"
        "heavy = {'torch', 'lightning', 'numpy', 'pandas', 'sklearn', 'scipy', 'hydra', 'rich'}\n"
        "print(sorted(heavy & {*sys.modules}))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_every_name_is_there_and_no_file_hides_one() -> None:
    assert {*gbench.__all__} <= {*dir(gbench)}
    for name in gbench.__all__:
        assert getattr(gbench, name) is not None
    stub = (ROOT / "__init__.pyi").read_text()
    for name in gbench.__all__:
        assert f" as {name}\n" in stub or f"{name}: " in stub
    there = {path.stem for path in ROOT.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert not there & {*gbench.__all__}, "a module of the name would hide the function"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        gbench.nothing  # noqa: B018


def test_the_run_is_that_of_gbench_train(
    trained: gbench.Run, runs_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "model=gcn", *FEW, "seed=3", f"runs_dir={runs_dir}"]
    assert main(words) == 0
    assert "This run has finished before" in capsys.readouterr().err
    assert [path.name for path in runs_dir.iterdir()] == [trained.name]
    assert trained.path.is_absolute()
    assert trained.config["trainer"]["max_epochs"] == 4
    assert trained.record.run == trained.name
    assert trained.curve["valid"].max() == trained.record.valid
    assert trained.curve["step"].tolist() == [0, 1, 2, 3]


def test_settings_as_keywords_are_the_same_words(trained: gbench.Run, runs_dir: Path) -> None:
    with_keywords = gbench.run(
        model="gcn", data="csbm", seed=np.int64(3), runs_dir=runs_dir, quiet=True,
        **{"trainer.max_epochs": 4},
    )  # fmt: skip
    assert with_keywords.path == trained.path
    given = {"a": True, "b": None, "c": 0.1, "d": "x,y", "data.path": Path("it's/here")}
    assert words_of(["w=1"], given) == [
        "w=1", "a=true", "b=null", "c=0.1", "d=x,y", r"data.path='it\'s/here'",
    ]  # fmt: skip


def test_the_second_call_reads_and_force_runs_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def again(**options: Any) -> Any:
        return gbench.run("model=sgc", *FEW, runs_dir=tmp_path, **options).record

    first = again()
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("epoch 4/4") == 1
    assert again() == first
    assert "has finished before; force=True runs it again" in capsys.readouterr().err
    assert again(quiet=True) == first
    forced = again(quiet=True, force=True)
    assert forced.test == first.test
    assert forced.finished >= first.finished
    assert len([*(tmp_path / "replaced").iterdir()]) == 1
    assert capsys.readouterr() == ("", "")


def test_what_its_model_says_is_what_was_tested(trained: gbench.Run, runs_dir: Path) -> None:
    run = gbench.load(trained.name, runs_dir)
    assert isinstance(run.model, torch.nn.Module)
    assert run.model is run.model
    assert not run.model.training
    said = run.predict()
    assert said.is_right.mean() == pytest.approx(run.record.test)
    frame = run.predict("valid").frame()
    assert (frame["true"] == frame["predicted"]).mean() == pytest.approx(run.record.valid)


def test_notebooks_show_runs_tables_and_audits(
    trained: gbench.Run, runs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert repr(trained).startswith(f"<Run {trained.name}: test accuracy ")
    monkeypatch.setenv("FORCE_COLOR", "1")  # as a notebook's kernel says
    assert "<pre>gcn on csbm, seed 3\n  test accuracy " in trained._repr_html_()
    runs = gbench.Runs([trained])
    assert trained.name in runs._repr_html_()
    assert runs.frame()["test"].tolist() == [trained.record.test]
    board = gbench.leaderboard(runs_dir=runs_dir)
    assert "<td>gcn" in board._repr_html_()
    assert "csbm: accuracy (higher is better)" in board._repr_html_()
    assert type(board[["model"]]) is pd.DataFrame
    facts = (Fact("", None, "nodes", 3, "count"), Fact("public", 0, "a < b", "x", ""))
    audit = Audit("made up", "public", "f", facts)
    assert audit.frame()["fold"].isna().tolist() == [True, False]
    assert "<td>nodes</td>" in audit._repr_html_()
    assert "made up" in audit._repr_html_()


def test_the_leaderboard_is_that_of_the_command(
    trained: gbench.Run, runs_dir: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["leaderboard", str(runs_dir), "--format", "csv"]) == 0
    (tmp_path / "sheet.csv").write_text(capsys.readouterr().out)
    sheet = pd.read_csv(tmp_path / "sheet.csv")
    board = gbench.leaderboard(str(runs_dir))
    assert [*board.columns] == [*sheet.columns]
    assert board["test_mean"].tolist() == sheet["test_mean"].tolist() == [trained.record.test]
    assert board["identity"].tolist() == [trained.record.identity]
    papers = gbench.leaderboard(runs_dir=runs_dir, data="cora", model="GCN", quiet=True)
    assert papers["published"].all()
    assert capsys.readouterr().err == ""


def test_the_audit_is_that_of_the_command(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    audit = gbench.audit("csbm", cache_dir=tmp_path)
    assert "facts in" in capsys.readouterr().err
    assert gbench.audit("csbm", cache_dir=tmp_path, quiet=True) == audit
    assert capsys.readouterr() == ("", "")
    words = ["csbm", "--format", "json", "--cache-dir", str(tmp_path)]
    assert main(["data", "audit", *words]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == audit.rows()
    assert audit.frame().shape == (len(told), 6)
    assert audit.find("nodes") == 2000


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gbench.run("model=gnc"), "unknown model 'gnc': did you mean 'gcn'|'sgc'"),
        (lambda: gbench.run("model=gcn data=csbm"), '"model=gcn", "data=csbm"'),
        (lambda: gbench.run(model=["gcn", "sgc"]), 'are a text, model="A,B"'),
        (lambda: gbench.run({"model": "gcn"}), "is no setting"),
        (lambda: gbench.run(optim={"lr": 0.1}), '"optim.lr=VALUE"'),
        (lambda: gbench.run("model=gnc", config_dir=None), "unknown model 'gnc'"),
        (lambda: gbench.audit("cra", config_dir=None), "unknown dataset 'cra'"),
        (lambda: gbench.run("seed=0..1", "trainer.max_epoch=3"), "max_epoch"),
        (lambda: gbench.run(nonsense=3), "nonsense"),
        (lambda: gbench.run("model=gcn", "data=csbm", config_dir="not/there"), "no such folder"),
        (lambda: gbench.load("not/there"), "no run 'not/there'"),
        (lambda: gbench.leaderboard("not/there"), "not/there"),
        (lambda: gbench.audit("cra"), "unknown dataset 'cra': did you mean"),
        (lambda: gbench.leaderboard(modle="gcn"), "unknown filter 'modle': did you mean 'model'"),
    ],
)
def test_errors_are_raised_and_not_printed(
    call: Callable[[], object],
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(gbench.UserError, match=message):
        call()
    assert capsys.readouterr() == ("", "")
    assert [*tmp_path.iterdir()] == []


def test_a_run_that_has_not_finished_has_a_curve_and_no_record(
    trained: gbench.Run, tmp_path: Path
) -> None:
    for name in ("config.yaml", "metrics.csv"):
        (tmp_path / name).write_bytes((trained.path / name).read_bytes())
    with (tmp_path / "metrics.csv").open("a") as file:
        file.write("4,0.")  # as another process is writing it
    run = gbench.load(tmp_path)
    assert len(run.curve) == 4
    assert "not finished" in repr(run)
    assert "not finished" in run._repr_html_()
    for ask in (lambda: run.record, lambda: run.model, run.predict):
        with pytest.raises(gbench.UserError, match="has not finished"):
            ask()
    for path in tmp_path.iterdir():
        path.unlink()
    run = gbench.Run(tmp_path)
    for ask in (lambda: run.config, lambda: run.record, lambda: run.model, run.predict):
        with pytest.raises(gbench.UserError, match="is no run's folder"):
            ask()


def _generators() -> tuple[object, ...]:
    numpy_state = np.random.get_state()  # noqa: NPY002 - the global one
    return random.getstate(), numpy_state[1].tolist(), torch.get_rng_state().tolist()


def test_the_callers_state_is_as_before_and_does_not_matter(
    trained: gbench.Run, tmp_path: Path
) -> None:
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    environment, filters = dict(os.environ), [*warnings.filters]
    states = _generators()
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.set_default_dtype(torch.float64)
    try:
        with torch.no_grad(), torch.device("meta"):
            run = gbench.run("model=gcn", *FEW, seed=3, runs_dir=tmp_path, quiet=True)
            run.predict()
            assert not torch.is_grad_enabled()
            assert torch.empty(1).device.type == "meta"
        assert torch.is_deterministic_algorithms_warn_only_enabled()
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.use_deterministic_algorithms(False)
        torch.set_default_dtype(torch.float32)
    assert run.record.test == trained.record.test
    assert run.curve["train_loss"].tolist() == trained.curve["train_loss"].tolist()
    assert _generators() == states
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert dict(os.environ) == environment
    assert [*warnings.filters] == filters


def test_threads_take_turns_and_train_the_same(trained: gbench.Run, tmp_path: Path) -> None:
    found: list[Any] = []

    def train(number: int) -> None:
        folder = tmp_path / str(number)
        found.append(gbench.run("model=gcn", *FEW, seed=3, runs_dir=folder, quiet=True))

    threads = [threading.Thread(target=train, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2
    for run in found:
        assert run.curve["train_loss"].tolist() == trained.curve["train_loss"].tolist()


def test_within_a_hydra_app(trained: gbench.Run, tmp_path: Path) -> None:
    from hydra import compose, initialize_config_dir

    (tmp_path / "app.yaml").write_text("a: 1")
    with initialize_config_dir(str(tmp_path), version_base=None):
        again = gbench.load(trained.path)
        words = ["model=gcn", *FEW, "seed=3"]
        run = gbench.run(*words, runs_dir=trained.path.parent, quiet=True)
        assert compose("app").a == 1
    assert run.path == again.path


INTERRUPTED = """
import sys, gbench
words = ["model=held", "data=csbm", "trainer.max_epochs=6"]
try:
    gbench.run(*words, config_dir=sys.argv[1] if len(sys.argv) > 1 else {mine!r})
except KeyboardInterrupt as error:
    print(error, flush=True)
open({mine!r} + "/go", "w").close()
run = gbench.run(*words, config_dir={mine!r})
print(run.record.epochs, run.curve["step"].tolist())
"""


def test_ctrl_c_leaves_a_checkpoint_and_the_same_call_goes_on(
    held: Path, tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    running = process(INTERRUPTED.format(mine=str(held)), tmp_path)
    wait_until(lambda: [*held.glob("held-*")], running)
    running.send_signal(signal.SIGINT)
    wait_until(lambda: (held / "go").exists(), running)
    out, err = running.communicate()
    assert running.returncode == 0, err
    assert out.splitlines() == ["interrupted: the same call goes on", "6 [0, 1, 2, 3, 4, 5]"]
    assert "(continuing after an interruption)" in err
    assert "Traceback" not in err
    (folder,) = (tmp_path / "runs").iterdir()
    assert (folder / RECORD).exists()
    assert not (folder / LAST).exists()


FAILING = """
from gbench.models.gcn import GCN


class Failing(GCN):
    def forward(self, batch):
        raise ZeroDivisionError("made to fail")
"""


def test_an_error_of_ones_own_code_is_raised_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "failing.py").write_text(FAILING)
    text = "# @package _global_\ndefaults: [gcn]\nmodel: {_target_: failing.Failing}\n"
    (tmp_path / "model" / "failing.yaml").write_text(text)
    words, places = ("model=failing", *FEW), {"config_dir": tmp_path, "runs_dir": tmp_path / "r"}
    with pytest.raises(ZeroDivisionError, match="made to fail"):
        gbench.run(*words, **places, quiet=True)
    with pytest.raises(gbench.Failed) as failed:
        gbench.run("model=failing,gcn", *FEW, "retries=0", **places, quiet=True)
    assert [run.record.model for run in failed.value.runs] == ["gcn"]
    assert next(iter(failed.value.errors.values())).endswith("ZeroDivisionError: made to fail")
