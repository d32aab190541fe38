"""Epochs that run on the device alone, against the ordinary loop.

A GPU captures an epoch and launches it again; here the very same work is done as it stands, so that
what the two loops compute can be compared on any machine.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from gbench.choices import stated
from gbench.config.floors import networks
from gbench.data.padding import Size
from gbench.data.spec import DataSpec
from gbench.errors import UserError
from gbench.models.gcn import GCN
from gbench.records.record import RunRecord
from gbench.train import capturing, framed, loader
from gbench.train.cuda_graph import NotCapturedError, Work
from gbench.train.epochs import Epochs
from gbench.train.interrupt import Interrupted
from gbench.train.stretch import Stretch

NODE = ("data=csbm", "experiment=null", "trainer.max_epochs=30")
RISING = ("optim.lr=0.3",)  # the validation loss rises at once
SETTINGS: dict[str, tuple[str, ...]] = {
    "cosine": ("model=dagnn", "optim.schedule=cosine", "optim.warmup_epochs=3"),
    "plateau": (
        "model=gcn", *RISING, "optim.schedule=plateau", "optim.lr_patience=2", "optim.min_lr=0.01",
        "trainer.also=[f1-macro,ece]",
    ),
    "window": (
        "model=gcn", *RISING, "trainer.stop=window", "trainer.patience=4", "trainer.select=last",
        "trainer.monitor=objective", "optim.weight_decay=0.001", "trainer.gradient_clip_val=0.1",
    ),
    "every third": (
        "model=gcn", "+trainer.check_val_every_n_epoch=3", "trainer.patience=4",
        "trainer.ties=later", "model.norm=batch",
    ),
    "groups": (
        "model=gcn", "optim.groups=[{match:layers.0.*,lr:0.01,weight_decay:0.1}]",
        "optim.schedule=step", "optim.lr_every=4", "optim.optimizer=adamw",
        "trainer.monitor=loss", "trainer.precision=bf16-mixed",
    ),
}  # fmt: skip


def as_it_stands(work: Work, changed: Sequence[Tensor]) -> Work:
    return work


@pytest.fixture
def on_device(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From now on the CPU counts as a device that captures."""

    def start() -> None:
        monkeypatch.setattr(capturing, "recorder", lambda device: as_it_stands)

    return start


def computed(record: RunRecord, folder: Path) -> dict[str, Any]:
    """What a run computed, untimed, and its weights."""
    rows = (folder / "metrics.csv").read_text().splitlines()
    names = rows[0].split(",")
    kept = [at for at, name in enumerate(names) if "seconds" not in name]
    told = ("valid", "test", "also", "best_epoch", "epochs", "selection", "identity")
    weights = torch.load(folder / "best.ckpt", weights_only=True)
    return {
        "curve": [[row.split(",")[at] for at in kept] for row in rows],
        **{name: getattr(record, name) for name in told},
        **{name: value.tolist() for name, value in weights.items()},
    }


def both(run: Any, on_device: Callable[[], None], *settings: str) -> Iterator[dict[str, Any]]:
    record, folder = run(*settings)
    assert not record.captured
    yield computed(record, folder)
    shutil.rmtree(folder)
    on_device()
    record, folder = run(*settings)
    assert record.captured
    yield computed(record, folder)


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_a_run_on_the_device_alone_computes_the_same_bits(
    settings: tuple[str, ...], run: Any, on_device: Callable[[], None]
) -> None:
    usual, captured = both(run, on_device, *NODE, *settings)
    assert captured == usual


def packaged() -> list[str]:
    """Every model for one graph of labelled nodes."""
    found = networks()
    return [name for name in found if "node" in (stated("model.levels", found, name) or ("node",))]


@pytest.mark.parametrize("model", packaged())
def test_every_model_that_says_that_it_never_waits_computes_the_same_bits(
    model: str, run: Any, on_device: Callable[[], None]
) -> None:
    settings = (*NODE, f"model={model}", "trainer.max_epochs=4", "seed=3")
    on_device()
    record, folder = run(*settings)
    if not record.captured:
        pytest.skip(f"{model} says that it waits")
    captured = computed(record, folder)
    shutil.rmtree(folder)
    assert captured == computed(*run(*settings, "trainer.cuda_graphs=off"))


def test_epochs_that_surely_come_are_read_together(
    run: Any, on_device: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty epochs with a patience of 6: after the first, in at most twelve readings."""
    monkeypatch.setattr(loader, "ROUND_SECONDS", 1e9)
    lengths = []
    go = Stretch.run

    def counted(self: Stretch, rates: Any, validated: Any) -> Any:
        lengths.append(len(rates))
        return go(self, rates, validated)

    monkeypatch.setattr(Stretch, "run", counted)
    on_device()
    record, _ = run(*NODE, "model=gcn", "trainer.max_epochs=20", "trainer.patience=6")
    assert sum(lengths) == record.epochs - 1
    assert lengths[0] == 6
    record, _ = run(*NODE, "model=gcn", "trainer.max_epochs=20", "seed=1")
    assert lengths[-1] == 19


@pytest.mark.parametrize("captures_again", [True, False])
def test_a_run_that_is_cut_goes_on_as_if_it_had_not_been(
    captures_again: bool,
    run: Any,
    on_device: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = (*NODE, "model=gcn", "optim.schedule=cosine", "trainer.max_epochs=12")
    monkeypatch.setattr(loader, "ROUND_SECONDS", 0.0)  # a checkpoint after every reading
    record, folder = run(*settings)
    whole = computed(record, folder)
    shutil.rmtree(folder)
    add = Epochs.add

    def cut(self: Epochs, trainer: Any, task: Any, row: Any) -> None:
        if task.epoch == 5:
            raise Interrupted(2)
        add(self, trainer, task, row)

    monkeypatch.setattr(Epochs, "add", cut)
    on_device()
    with pytest.raises(Interrupted):
        run(*settings)
    monkeypatch.setattr(Epochs, "add", add)
    mode = "auto" if captures_again else "off"
    record, folder = run(*settings, f"trainer.cuda_graphs={mode}")
    assert record.captured == captures_again
    assert computed(record, folder) == whole


def test_a_loss_that_overflows_is_told_with_its_epoch(
    run: Any, on_device: Callable[[], None]
) -> None:
    settings = (*NODE, "model=gcn", "optim.lr=1e30", "optim.optimizer=adamw")
    with pytest.raises(UserError) as usual:
        run(*settings)
    on_device()
    with pytest.raises(UserError) as captured:
        run(*settings)
    assert str(captured.value) == str(usual.value)
    assert "in epoch" in str(usual.value) or "nan" in str(usual.value)


def test_what_cannot_be_captured_after_all_is_launched_step_by_step(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, folder = run(*NODE, "model=gcn", "trainer.max_epochs=5")
    usual = computed(record, folder)
    shutil.rmtree(folder)

    def fails(work: Work, changed: Sequence[Tensor]) -> Work:
        raise NotCapturedError("RuntimeError: called a synchronizing operation")

    monkeypatch.setattr(capturing, "recorder", lambda device: fails)
    record, folder = run(*NODE, "model=gcn", "trainer.max_epochs=5")
    assert not record.captured
    assert computed(record, folder) == usual
    shutil.rmtree(folder)
    with pytest.raises(UserError, match="called a synchronizing operation"):
        run(*NODE, "model=gcn", "trainer.max_epochs=5", "trainer.cuda_graphs=on")


GRAPHS = (
    "data=csl", "model=gin", "experiment=null", "model.hidden_dim=8", "model.num_layers=2",
    "optim.batch_size=16", "trainer.max_epochs=5", "optim.schedule=one-cycle",
)  # fmt: skip


def test_batches_of_graphs_in_frames_are_trained_on_as_without_to_rounding(
    run: Any, on_device: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    usual, inside = both(run, on_device, *GRAPHS)
    assert inside["curve"][0] == usual["curve"][0]
    for one, other in zip(usual["curve"][1:], inside["curve"][1:], strict=True):
        numbers = [[float(each) for each in row] for row in (other, one)]
        assert numbers[0] == pytest.approx(numbers[1], rel=1e-4)
    assert inside["best_epoch"] == usual["best_epoch"]


@pytest.mark.parametrize("fails", [1, 2])
def test_a_frame_that_cannot_be_captured_is_trained_on_step_by_step(
    fails: int, run: Any, on_device: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Be it the first or a later one: no step is lost, and none is taken twice."""
    made: list[Work] = []

    def one_fails(work: Work, changed: Sequence[Tensor]) -> Work:
        made.append(work)
        if len(made) == fails:
            raise NotCapturedError("RuntimeError: called a synchronizing operation")
        return work

    sizes = [Size(800, 3200, 11, 4), Size(800, 3200, 17, 4)]  # of 10 graphs, and of 16
    monkeypatch.setattr(framed, "frame_sizes", lambda *_: sizes)
    on_device()
    record, folder = run(*GRAPHS)
    usual = computed(record, folder)
    shutil.rmtree(folder)
    monkeypatch.setattr(capturing, "recorder", lambda device: one_fails)
    record, folder = run(*GRAPHS)
    assert len(made) == 2
    assert record.captured
    assert computed(record, folder) == usual
    with pytest.raises(UserError, match="called a synchronizing operation"):
        made.clear()
        shutil.rmtree(folder)
        run(*GRAPHS, "trainer.cuda_graphs=on")


def test_a_run_in_frames_that_is_cut_goes_on_as_if_it_had_not_been(
    run: Any, on_device: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader, "ROUND_SECONDS", 0.0)
    on_device()
    record, folder = run(*GRAPHS)
    whole = computed(record, folder)
    shutil.rmtree(folder)
    add = Epochs.add

    def cut(self: Epochs, trainer: Any, task: Any, row: Any) -> None:
        if task.epoch == 2:
            raise Interrupted(2)
        add(self, trainer, task, row)

    monkeypatch.setattr(Epochs, "add", cut)
    with pytest.raises(Interrupted):
        run(*GRAPHS)
    monkeypatch.setattr(Epochs, "add", add)
    assert computed(*run(*GRAPHS)) == whole


REFUSED = {
    "cpu": ((), "no CUDA graphs"),
    "orthogonal": (("model=od-nsd", "model.orthogonal=cayley"), "model.orthogonal=cayley"),
    "solver": (("model=cont-nsd",), "the solver chooses"),
    "optimizer": (("optim.optimizer=sgd",), "fused adam"),
    "not fused": (("optim.options.fused=false",), "fused adam"),
    "anomaly": (("+trainer.detect_anomaly=true",), "detect_anomaly"),
    "parts": (("batching=neighbours",), "parts of a graph"),
    "accumulated": ((*GRAPHS, "+trainer.accumulate_grad_batches=2"), "accumulate"),
    "patches": ((*GRAPHS, "model=graph-mlp-mixer"), "does not say|patches"),
    "signs": (("encoding=lappe",), "signs"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_captured_is_refused_with_its_reason(
    name: str, run: Any, on_device: Callable[[], None]
) -> None:
    settings, words = REFUSED[name]
    if name != "cpu":
        on_device()
    with pytest.raises(UserError, match=words) as raised:
        run(*NODE, "model=gcn", *settings, "trainer.cuda_graphs=on")
    assert "trainer.cuda_graphs=auto" in str(raised.value)


def test_a_model_of_ones_own_is_taken_to_wait() -> None:
    class Own(GCN):
        """It inherits from one that says that it does not."""

    class Says(GCN):
        waits = ""

    spec = DataSpec("node", num_features=3, num_outputs=2)
    settings: dict[str, Any] = {
        "hidden_dim": 2, "num_layers": 2, "bias": True, "norm": "none", "input_dropout": 0.0,
        "dropout": 0.0, "readout": "mean",
    }  # fmt: skip
    assert "Own" in capturing.waits(Own(spec, **settings))
    assert capturing.waits(Says(spec, **settings)) == ""
    assert capturing.waits(GCN(spec, **settings)) == ""


@pytest.mark.parametrize(
    ("value", "said"), [("auto", "auto"), (True, "on"), (False, "off"), ("on", "on")]
)
def test_the_setting_is_read_as_yaml_has_it(value: object, said: str) -> None:
    assert capturing.wanted({"cuda_graphs": value}) == said
    assert capturing.wanted({}) == "auto"
