"""What a run does not use it does not import; who uses it finds it as it always is."""

from __future__ import annotations

import importlib
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from gbench import deferred
from gbench.deferred import PACKAGES, Deferred

UNUSED = [
    "torch._dynamo.utils",
    "torch._inductor",
    "torch.onnx",
    "torch.distributed.fsdp",
    "scipy.signal.windows",
    "scipy.stats",
    "sympy",
    "triton",
    "sklearn",
    "pandas",
    "matplotlib",
    "networkx",
    "torch_geometric",
    "ogb",
    "wandb",
]


def python(code: str, cwd: Path) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=cwd, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_run_imports_nothing_that_it_does_not_use(tmp_path: Path) -> None:
    printed = python(
        f"""
        import sys
        from gbench.cli.main import main
        assert main(["train", "model=gcn", "data=csbm", "trainer.max_epochs=2"]) == 0
        print([name for name in {UNUSED} if name in sys.modules])
        print([name for name in {list(PACKAGES)} if "__getattr__" not in vars(sys.modules[name])])
        """,
        tmp_path,
    )
    assert printed.split("\n")[-3:] == ["[]", "[]", ""]


def test_a_compiled_model_is_one_to_lightning_and_hidden_functions_stay_hidden(
    tmp_path: Path,
) -> None:
    python(
        """
        import gbench, sys, torch
        from lightning.pytorch import LightningModule
        from lightning.pytorch.utilities.compile import from_compiled, to_uncompiled
        from lightning.fabric.wrappers import _unwrap_compiled

        class Model(LightningModule):
            def forward(self, x):
                return inner(x.cos()).sin()

        @torch.compiler.disable
        def inner(x):
            "Its text."
            return x + 1

        assert inner.__name__ == "inner" and inner.__doc__ == "Its text."
        weight = torch.nn.Parameter(torch.ones(2))
        optimizer = torch.optim.Adam([weight], lr=0.5)  # asks for what is deferred
        weight.grad = torch.ones(2)
        optimizer.step()
        plain, x = Model(), torch.ones(3)
        expected = plain(x)
        assert "torch._dynamo.utils" not in sys.modules

        compiled = torch.compile(plain, backend="eager")
        assert torch.equal(compiled(x), expected)
        assert from_compiled(compiled) is plain and to_uncompiled(plain) is plain
        assert _unwrap_compiled(torch.compile(torch.nn.Linear(1, 1)))[1] is not None
        assert _unwrap_compiled(torch.nn.Linear(1, 1))[1] is None
        explained = torch._dynamo.explain(plain)(x)
        assert explained.graph_break_count == 1, explained
        try:
            torch.compile(plain, backend="eager", fullgraph=True)(x)
        except torch._dynamo.exc.Unsupported as error:
            assert "disable" in str(error)
        else:
            raise AssertionError("inner was compiled")

        def step():
            optimizer.step()
            optimizer.zero_grad()
            return weight * 2
        weight.grad = torch.ones(2)
        before = weight.detach().clone()
        torch.compile(step, backend="eager")()
        assert (weight < before).all() and weight.grad is None
        """,
        tmp_path,
    )


def test_who_imports_a_name_has_the_real_one(tmp_path: Path) -> None:
    python(
        """
        import gbench, sys, torch
        import lightning.pytorch
        assert "torch._dynamo.utils" not in sys.modules
        from torch._dynamo import OptimizedModule, disable
        import torch._dynamo as dynamo
        assert type(torch.compile(torch.nn.Linear(1, 1))) is OptimizedModule
        assert dynamo is torch._dynamo is sys.modules["torch._dynamo"]
        assert disable.__module__.startswith("torch._dynamo")
        assert dynamo.__spec__.loader is dynamo.__loader__
        """,
        tmp_path,
    )


def test_a_submodule_that_its_package_brings_is_there_once(tmp_path: Path) -> None:
    python(
        """
        import gbench, sys
        import lightning.pytorch
        import torch._dynamo.utils as utils, torch
        assert utils is torch._dynamo.utils is sys.modules["torch._dynamo.utils"]
        assert torch._dynamo.convert_frame.counters is utils.counters
        assert utils.__spec__.loader is utils.__loader__ and utils.__spec__.name == utils.__name__
        from torch.onnx import export
        import torch.utils.flop_counter
        with torch.utils.flop_counter.FlopCounterMode(display=False) as counted:
            torch.ones(2, 3) @ torch.ones(3, 4)
        assert counted.get_total_flops() == 2 * 2 * 3 * 4
        """,
        tmp_path,
    )


def test_signals_are_what_torchmetrics_makes_them(tmp_path: Path) -> None:
    code = """
        {first}
        import torchmetrics, numpy, os, sys
        import scipy.signal
        assert ("scipy.signal.windows" in sys.modules) == {loaded}
        if {loaded} or os.fork() == 0:  # a forked process loads its own
            window = scipy.signal.get_window("hamming", 8, fftbins=False)
            assert numpy.allclose(scipy.signal.hamming(8), window)
            from scipy.signal import *
            assert callable(convolve) and "convolve" in dir(scipy.signal)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.wait()[1]) == 0
        assert "scipy.signal.windows" not in sys.modules
        """
    python(code.format(first="import gbench", loaded=False), tmp_path)
    python(code.format(first="import scipy.signal.windows, gbench", loaded=True), tmp_path)


@pytest.fixture
def deferral(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deferred:
    """A package of two modules, which counts how often it is loaded."""
    package = tmp_path / "put_off"
    package.mkdir()
    (package / "__init__.py").write_text(
        "import counted_here; counted_here.loads.append(1)\n"
        "from put_off import part\n"
        "__all__ = ['value']\nvalue = 3\n"
    )
    (package / "part.py").write_text("import counted_here; counted_here.parts.append(1)\n")
    (package / "other.py").write_text("from put_off import value\n")
    counted: Any = ModuleType("counted_here")
    counted.loads, counted.parts = [], []
    monkeypatch.setitem(sys.modules, "counted_here", counted)
    monkeypatch.syspath_prepend(package.parent)
    loader = Deferred({"asks": {"value": "told"}})
    monkeypatch.setitem(PACKAGES, "put_off", loader)
    deferred.defer()
    importlib.invalidate_caches()
    yield loader  # type: ignore[misc]
    for name in [name for name in sys.modules if name.partition(".")[0] == "put_off"]:
        del sys.modules[name]


def loads() -> tuple[int, int]:
    counted: Any = sys.modules["counted_here"]
    return len(counted.loads), len(counted.parts)


def test_it_is_loaded_at_its_first_use_in_the_same_object(deferral: Deferred) -> None:
    module: Any = importlib.import_module("put_off")
    asks: dict[str, Any] = {"__name__": "asks.inside"}
    exec("from put_off import value", asks)
    assert asks["value"] == "told" and loads() == (0, 0)
    exec("from put_off import value", other := {"__name__": "asks_not"})
    assert other["value"] == 3 and loads() == (1, 1)
    exec("from put_off import value", asks)
    assert asks["value"] == 3
    assert module is sys.modules["put_off"] and "__getattr__" not in vars(module)
    with pytest.raises(AttributeError, match="put_off"):
        _ = module.missing


@pytest.mark.parametrize("name", ["put_off.part", "put_off.other"])
def test_its_submodules_come_after_it_and_once(deferral: Deferred, name: str) -> None:
    importlib.import_module("put_off")
    assert loads() == (0, 0)
    found = importlib.import_module(name)
    assert loads() == (1, 1)
    assert found is sys.modules[name] is getattr(sys.modules["put_off"], name[8:])
    assert found.__spec__ is not None and found.__spec__.loader is found.__loader__


def test_threads_that_use_it_first_load_it_once(deferral: Deferred) -> None:
    module: Any = importlib.import_module("put_off")
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(module.value)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [3] * 8 and loads() == (1, 1)


def test_one_that_fails_is_tried_again(deferral: Deferred, tmp_path: Path) -> None:
    (tmp_path / "put_off" / "part.py").write_text("import no_such_module\n")
    module: Any = importlib.import_module("put_off")
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        _ = module.value
    assert "put_off" not in sys.modules
    (tmp_path / "put_off" / "part.py").write_text("found = True\n")
    importlib.invalidate_caches()
    again: Any = importlib.import_module("put_off")
    assert again.value == 3 and again.part.found
