"""What a training step starts on CUDA, counted without a GPU: see scripts/count_launches.py.

The counts are those of torch's and Triton's Python on a device that runs nothing. They come from
processes of their own, whose Triton compiles nothing.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gbench.choices import stated
from gbench.config.floors import networks

pytest.importorskip("triton", reason="needs triton (pip install triton)")
if os.environ.get("TRITON_INTERPRET") == "1":
    pytest.skip("the interpreter launches nothing", allow_module_level=True)

pytestmark = pytest.mark.minutes
SCRIPT = Path(__file__).parents[3] / "scripts" / "count_launches.py"

# The most launches of one step: encoder, loss, backward, optimizer and metric.
BUDGETS = {
    "gin-molhiv-32": 110,
    "gcn-cora": 18,
    "sgc-cora": 9,
    "dagnn-cora": 30,
    "gat-cora": 40,
    "diag-nsd-texas": 80,
    "od-nsd-texas": 120,
    "gen-nsd-texas": 100,
    "graph-mlp-mixer-zinc-32": 188,  # a third of 564
}
# Whose steps wait, by model and level: whether a batch's edges have both directions is asked of it.
WAITING = {(f"{maps}-nsd", "graph") for maps in ("diag", "od", "gen")} | {
    ("sheaf-network", "graph")
}
VARIANTS, FIRST_BATCHES, BATCHES = 30, 10, 16


def start(folder: Path, name: str, *words: str) -> subprocess.Popen[str]:
    """The script in a process of its own, that writes NAME.json."""
    command = [sys.executable, str(SCRIPT), *words, "--json", str(folder / f"{name}.json")]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the script wrote of the steps, of every model and of an epoch."""
    folder = tmp_path_factory.mktemp("counted")
    started = {
        "steps": start(folder, "steps"),
        "models": start(folder, "models", "--models"),
        "epoch": start(folder, "epoch", "--epoch", str(BATCHES)),
    }
    for process in started.values():
        told, _ = process.communicate()
        assert process.returncode == 0, told[-3000:]
    return {name: json.loads((folder / f"{name}.json").read_text()) for name in started}


def test_steps_stay_within_their_budgets(counted) -> None:
    launches = {row["step"]: row["launches"] for row in counted["steps"]}
    assert launches.keys() == BUDGETS.keys()
    over = {step: number for step, number in launches.items() if number > BUDGETS[step]}
    assert not over, f"launches of a step, allowed are {BUDGETS}"
    assert all(number >= 5 for number in launches.values())  # forward, loss, backward, Adam
    assert all(row["host_ms"] > 0 for row in counted["steps"])


def test_steps_do_not_wait(counted) -> None:
    assert not [row for row in counted["steps"] if row["waits"]]


def test_no_packaged_model_waits_in_a_step(counted) -> None:
    rows = {tuple(row["step"].split()): row["waits"] for row in counted["models"]}
    for model in networks():
        for level in stated("model.levels", networks(), model):
            if level == "link":  # such batches are drawn on the CPU: see gbench/train/capturing.py
                continue
            assert (model, level, "cross-entropy") in rows
    # a model that has a reason says it, in words: see gbench/train/capturing.py
    found = {name: waits for name, waits in rows.items() if any(".py:" in wait for wait in waits)}
    found = {name: waits for name, waits in found.items() if name[:2] not in WAITING}
    assert not found
    assert {name[0] for name, waits in rows.items() if waits and name[:2] not in WAITING} == {
        "cont-nsd",
        "gatv2",  # on graphs, to whose edges it adds loops
        "sswl-plus",
    }


def test_kernels_are_compiled_in_the_first_batches(counted) -> None:
    new = counted["epoch"]["new"]
    assert len(new) == BATCHES
    assert 0 < sum(new) <= VARIANTS
    assert not any(new[FIRST_BATCHES:])
