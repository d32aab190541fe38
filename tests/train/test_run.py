"""A run as a whole: what it records, what it may see, and that an interruption changes nothing."""

from __future__ import annotations

import csv
import json
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from gbench import build, heap
from gbench.data.dataset import Dataset
from gbench.errors import UserError
from gbench.peak_memory import can_reset
from gbench.records import record as records
from gbench.train import loader
from gbench.train.epochs import Epochs
from gbench.train.interrupt import Interrupted
from gbench.train.plain_steps import PlainSteps
from gbench.train.task import Task

NODE = ("model=gcn", "data=csbm", "trainer.max_epochs=12")
GRAPH = (
    "model=gin",
    "data=csl",
    "experiment=null",
    "model.hidden_dim=8",
    "model.num_layers=2",
    "trainer.max_epochs=6",
)


def curve(folder: Path) -> list[tuple[int, float, float]]:
    """Epoch, training loss and validation metric from metrics.csv: what a run computed, untimed."""
    with (folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    valid = [float(row["valid"] or -1) for row in rows]  # -1: this epoch was not validated
    return [
        (int(row["step"]), float(row["train_loss"]), at)
        for row, at in zip(rows, valid, strict=True)
    ]


# csbm's validation loss rises at once with this rate, so that both rules have something to do
RISING = (*NODE, "optim.lr=0.3", "trainer.max_epochs=60")
PROTOCOLS = {
    "node": NODE,
    "graph": GRAPH,
    "loss": (*NODE, "trainer.monitor=loss", "trainer.patience=3"),
    "window": (*RISING, "trainer.stop=window", "trainer.patience=4", "trainer.monitor=objective"),
    "late-window": (*RISING, "trainer.stop=late-window", "trainer.patience=5"),
    "step": (*GRAPH, "optim.schedule=step", "optim.lr_every=2", "optim.lr_factor=0.1"),
    "plateau": (
        *RISING, "optim.schedule=plateau", "optim.lr_patience=1", "optim.min_lr=0.01",
    ),
    "steps": (*GRAPH, "optim.steps_per_epoch=3", "optim.batch_size=16"),
    "accumulated": (
        *GRAPH, "optim.batch_size=16", "+trainer.accumulate_grad_batches=4",
        "trainer.gradient_clip_val=0.1", "+trainer.gradient_clip_algorithm=value",
    ),
    "every-third": (*NODE, "+trainer.check_val_every_n_epoch=3", "trainer.patience=4"),
    "warm-up": (
        *GRAPH, "optim.batch_size=16", "optim.warmup_epochs=5", "optim.schedule=cosine",
        "optim.optimizer=adamw", "optim.weight_decay=0.1",
    ),
    "one-cycle": (
        *GRAPH, "optim.batch_size=16", "optim.warmup_steps=3", "optim.schedule=one-cycle",
        "+trainer.accumulate_grad_batches=2", "optim.optimizer=sgd", "optim.options.momentum=0.9",
        "optim.groups=[{match:*.bias,lr:0.01,momentum:0.5}]",
    ),
    "plateau-metric": (
        *RISING, "optim.schedule=plateau", "optim.lr_patience=1", "optim.plateau_on=metric",
        "trainer.max_epochs=20",
    ),
    "asam": (*GRAPH, "optim.optimizer=asam", "optim.lr=0.05", "trainer.gradient_clip_val=1.0"),
}  # fmt: skip


@pytest.mark.parametrize("settings", PROTOCOLS.values(), ids=PROTOCOLS)
def test_an_interrupted_run_continues_as_if_it_had_not_been(
    settings: tuple[str, ...], run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(loader, "ROUND_SECONDS", 0.0)  # a checkpoint after every epoch
    whole, folder = run(*settings)
    expected = curve(folder)
    assert whole.epochs < 60  # of those that a rule shall end
    folder.rename(tmp_path / "whole")

    end_epoch = Epochs.end_epoch

    def cut(self: Epochs, trainer: Any, task: Task) -> None:
        if task.epoch == 4:  # the fifth epoch is trained but lost
            raise Interrupted(2)
        end_epoch(self, trainer, task)

    monkeypatch.setattr(Epochs, "end_epoch", cut)
    with pytest.raises(Interrupted):
        run(*settings)
    assert (folder / "last.ckpt").exists()
    assert not (folder / "record.json").exists()

    monkeypatch.setattr(Epochs, "end_epoch", end_epoch)
    again, folder = run(*settings)
    assert curve(folder) == expected
    assert (again.test, again.valid, again.best_epoch) == (
        whole.test,
        whole.valid,
        whole.best_epoch,
    )
    assert not (folder / "last.ckpt").exists()


def test_checkpoints_hold_tensors_and_plain_types_only(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader, "ROUND_SECONDS", 0.0)
    seen = []
    after = Epochs.on_train_epoch_end

    def keep(self: Epochs, trainer: Any, task: Task) -> None:
        after(self, trainer, task)
        seen.append(torch.load(self.last_checkpoint, weights_only=True))

    monkeypatch.setattr(Epochs, "on_train_epoch_end", keep)
    _, folder = run(*NODE)
    assert len(seen) == 12
    assert set(torch.load(folder / "best.ckpt", weights_only=True)) == set(
        build.build_task(
            json.loads((folder / "record.json").read_text())["config"]
        ).model.state_dict()
    )


load = build.load


def test_validation_and_test_labels_do_not_reach_training(
    run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With the labels of both splits replaced by noise, training computes the very same losses."""
    for settings in (NODE, GRAPH):
        _, folder = run(*settings)
        expected = [(epoch, loss) for epoch, loss, _ in curve(folder)]
        folder.rename(tmp_path / f"before-{settings[0]}")

        def spoiled(*arguments: Any) -> Dataset:
            dataset = load(*arguments)
            unseen = torch.cat([dataset.split.valid, dataset.split.test])
            dataset.store.y[unseen] = 1 - dataset.store.y[unseen].clamp(max=1)
            return dataset

        monkeypatch.setattr(build, "load", spoiled)
        record, folder = run(*settings)
        assert [(epoch, loss) for epoch, loss, _ in curve(folder)] == expected
        assert record.valid != pytest.approx(1.0)
        monkeypatch.setattr(build, "load", load)


def test_test_is_evaluated_once_with_the_best_validation_weights(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    answers = Task.answers

    def counted(self: Task, split: str, *how: Any) -> tuple[Tensor, Tensor]:
        asked.append(split)
        return answers(self, split, *how)

    monkeypatch.setattr(Task, "answers", counted)
    record, folder = run(*NODE, "trainer.select=best")
    assert asked == ["valid"] * 12 + ["test"]
    rows = curve(folder)
    best = max(rows, key=lambda row: (row[2], -row[0]))  # the earliest of equals
    assert (record.best_epoch, record.valid) == (best[0] + 1, pytest.approx(best[2]))
    assert record.selection == "best-validation"

    task = build.build_task(record.config)
    task.model.load_state_dict(torch.load(folder / "best.ckpt", weights_only=True))
    assert task.evaluate("valid") == pytest.approx(record.valid)
    assert task.evaluate("test") == pytest.approx(record.test)


def test_select_last_tests_the_weights_that_training_ends_with(run: Any) -> None:
    record, folder = run(*NODE, "trainer.select=last")
    assert record.selection == "last-epoch"
    assert record.best_epoch == record.epochs == 12
    assert record.valid == pytest.approx(curve(folder)[-1][2])


def test_patience_stops_that_many_epochs_after_the_best(run: Any) -> None:
    record, folder = run(*NODE, "trainer.max_epochs=400", "trainer.patience=5", "optim.lr=0.05")
    rows = curve(folder)
    assert len(rows) == record.epochs < 400
    assert record.epochs == record.best_epoch + 5


def column(folder: Path, name: str) -> list[float]:
    with (folder / "metrics.csv").open() as file:
        return [float(row[name]) for row in csv.DictReader(file)]


def test_a_window_ends_the_run_at_the_first_loss_above_the_mean_of_those_before(run: Any) -> None:
    record, folder = run(*RISING, "trainer.stop=window", "trainer.patience=4")
    losses = column(folder, "valid_loss")
    above = [t for t in range(5, len(losses)) if losses[t] > sum(losses[t - 4 : t]) / 4]
    assert above == [record.epochs - 1]


def test_the_best_epoch_is_that_of_what_is_monitored(run: Any) -> None:
    record, folder = run(*NODE, "trainer.monitor=loss", "trainer.select=best", "optim.lr=0.1")
    losses = column(folder, "valid_loss")
    assert record.best_epoch == losses.index(min(losses)) + 1
    assert record.valid == pytest.approx(curve(folder)[record.best_epoch - 1][2])

    record, folder = run(*NODE, "trainer.ties=later", "trainer.select=best", "optim.lr=0.1")
    valid = column(folder, "valid")
    assert record.best_epoch == len(valid) - valid[::-1].index(max(valid))
    assert "valid_loss" not in (folder / "metrics.csv").read_text()  # nothing reads it


def test_the_objective_is_the_validation_loss_and_what_weight_decay_adds(run: Any) -> None:
    settings = (*NODE, "trainer.monitor=objective", "trainer.select=last", "optim.weight_decay=0.1")
    record, folder = run(*settings)
    task = build.build_task(record.config)
    task.model.load_state_dict(torch.load(folder / "best.ckpt", weights_only=True))
    logits, y = task.answers("valid")
    loss = torch.nn.functional.cross_entropy(logits, y)
    first = task.model.get_parameter("layers.0.linear.weight")  # GCN decays this layer alone
    expected = (loss + 0.1 / 2 * first.square().sum()).item()
    assert column(folder, "valid_loss")[-1] == pytest.approx(expected, rel=1e-5)
    assert expected > loss.item() + 0.1


@pytest.mark.parametrize("optimizer", ["adam", "asam"])
def test_a_schedule_sets_the_rate_of_each_epoch(
    optimizer: str, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates = []
    step = PlainSteps.run

    def keep(self: PlainSteps, batch: Any) -> None:
        rates.append(self.optimizer.param_groups[0]["lr"])
        step(self, batch)

    monkeypatch.setattr(PlainSteps, "run", keep)
    schedule = ("optim.schedule=step", "optim.lr_every=5", "optim.lr_factor=0.1")
    run(*NODE, f"optim.optimizer={optimizer}", "optim.lr=0.01", *schedule)
    assert rates == pytest.approx([0.01] * 5 + [0.001] * 5 + [0.0001] * 2)


def test_a_rate_below_the_least_ends_the_run(run: Any) -> None:
    plateau = ("optim.schedule=plateau", "optim.lr_patience=0", "optim.min_lr=0.1")
    record, folder = run(*RISING, *plateau)
    losses = column(folder, "valid_loss")
    worse = [t for t in range(1, len(losses)) if losses[t] >= min(losses[:t]) * (1 - 1e-4)]
    assert len(worse) == 2  # 0.3 / 2 / 2 < 0.1
    assert record.epochs == worse[-1] + 1


@pytest.mark.parametrize("algorithm", ["norm", "value"])
@pytest.mark.parametrize("optimizer", ["adam", "asam"])
def test_gradients_are_clipped_in_mixed_precision_too(
    algorithm: str, optimizer: str, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gradients that a step sees, which no bound of the loss would keep this small."""
    largest = []

    def seen(self: torch.optim.Optimizer, closure: Any = None) -> Any:
        loss = None if closure is None else closure()
        gradients = [p.grad.flatten() for group in self.param_groups for p in group["params"]]
        joint = torch.cat(gradients)
        largest.append((joint.norm() if algorithm == "norm" else joint.abs().max()).item())
        return loss

    owner = torch.optim.Adam if optimizer == "adam" else torch.optim.SGD
    monkeypatch.setattr(owner, "step", seen)
    words = (f"+trainer.gradient_clip_algorithm={algorithm}", f"optim.optimizer={optimizer}")
    clip = ("trainer.gradient_clip_val=1e-4", "trainer.precision=bf16-mixed")
    run(*NODE, *words, *clip, "trainer.max_epochs=2")
    assert largest == pytest.approx([1e-4] * 2, rel=1e-2)


def test_without_a_test_set_the_record_carries_the_curve(run: Any, tmp_path: Path) -> None:
    settings = (*GRAPH, "data.split=mixer-5-fold-selects-on-test")
    record, folder = run(*settings, "trainer.select=best-mean-epoch")
    assert record.selection == "best-mean-epoch"
    assert record.curve == pytest.approx(column(folder, "valid"))
    assert record.best_epoch == record.epochs == len(record.curve) == 6
    assert record.test == record.valid == pytest.approx(record.curve[-1])
    record, _ = run(*settings)
    assert (record.selection, record.curve) == ("best-validation", [])


def test_asam_looks_at_each_batch_twice_and_reports_it_once(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    step = Task.training_step

    def counted(self: Task, batch: Any, index: int) -> Tensor:
        seen.append(batch.y.sum().item())
        return step(self, batch, index)

    monkeypatch.setattr(Task, "training_step", counted)
    record, folder = run(*GRAPH, "optim.optimizer=asam", "optim.batch_size=45")
    assert record.epochs == len(curve(folder)) == 6
    assert len(seen) == 6 * 2 * 2
    assert seen[0::2] == seen[1::2]


def test_the_same_seed_gives_the_same_run_and_another_seed_another(
    run: Any, tmp_path: Path
) -> None:
    _, folder = run(*GRAPH)
    first = curve(folder)
    folder.rename(tmp_path / "first")
    _, folder = run(*GRAPH)
    assert curve(folder) == first
    _, folder = run(*GRAPH, "seed=1")
    assert curve(folder) != first


def test_what_a_step_frees_is_kept_while_a_run_trains(run: Any, monkeypatch: Any) -> None:
    events = []

    @contextmanager
    def kept() -> Any:
        events.append("begins")
        yield
        events.append("ends")

    stepped = PlainSteps.run
    monkeypatch.setattr(heap, "kept", kept)
    monkeypatch.setattr(
        PlainSteps, "run", lambda *given: (events.append("step"), stepped(*given))[1]
    )
    run(*NODE, "trainer.max_epochs=2")
    assert events == ["begins", "step", "step", "ends"]


def test_a_diverging_run_ends_with_advice(run: Any) -> None:
    with pytest.raises(UserError, match=r"nan.*try a smaller optim\.lr"):
        run(*NODE, "optim.lr=1e30", "trainer.max_epochs=50")


def test_the_record_says_what_ran(run: Any) -> None:
    record, folder = run(*NODE, "seed=5", "data.fold=3", "trainer.select=best")
    assert records.read(folder / "record.json") == record
    assert folder.name == record.run
    assert folder.name.endswith("-s5-f3")
    assert (record.model, record.data, record.seed, record.fold) == ("gcn", "csbm", 5, 3)
    assert (record.metric, record.task) == ("accuracy", "node-classification")
    weights = torch.load(folder / "best.ckpt", weights_only=True)
    assert record.num_parameters == sum(tensor.numel() for tensor in weights.values())
    assert record.epochs == 12
    assert 0 < record.seconds_per_epoch < record.seconds_total
    phases = record.peak_memory_by_phase
    assert [*phases] == ["data", "training", "validation", "test"]
    if can_reset():
        assert record.peak_memory_mib == max(phases.values())
        assert min(phases.values()) > 50
    assert record.versions["torch"] == version("torch")
    assert len(record.fingerprint) >= 16
    assert record.started <= record.finished


def test_a_device_that_lightning_does_not_have_is_refused(run: Any) -> None:
    with pytest.raises(UserError, match="Lightning cannot train"):
        run(*NODE, "trainer.accelerator=quantum")


def test_a_setting_that_the_model_does_not_have_is_refused(run: Any) -> None:
    with pytest.raises(UserError, match=r"unknown setting of model gcn 'hops'"):
        run(*NODE, "+model.hops=2")
    with pytest.raises(UserError, match=r"model gcn needs model\.dropout"):
        run(*NODE, "~model.dropout")


def test_weight_decay_can_be_kept_to_some_parameters() -> None:
    from gbench.config.compose import compose

    task = build.build_task(compose(["model=gcn", "data=csbm"]))
    names = dict(task.model.named_parameters())
    task.trainer = type("T", (), {"precision": "32-true"})()  # type: ignore[assignment]
    groups = task.configure_optimizers().param_groups
    decayed = {id(p) for group in groups if group["weight_decay"] for p in group["params"]}
    assert decayed == {id(p) for name, p in names.items() if name.startswith("layers.0.")}
    assert sum(len(group["params"]) for group in groups) == len(names)


@pytest.mark.parametrize("patience", ["trainer.patience=0", "trainer.patience=2"])
def test_a_run_cut_between_its_last_epoch_and_its_record_finishes_as_it_would_have(
    patience: str, run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = (*NODE, "optim.lr=0.2", "trainer.max_epochs=30", patience)
    whole, folder = run(*settings)
    expected = curve(folder)
    folder.rename(tmp_path / "whole")

    def cut(*_: Any) -> None:
        raise Interrupted(15)

    write = records.write
    monkeypatch.setattr(records, "write", cut)
    with pytest.raises(Interrupted):
        run(*settings)
    monkeypatch.setattr(records, "write", write)
    again, folder = run(*settings)
    assert curve(folder) == expected
    assert (again.test, again.epochs) == (whole.test, whole.epochs)
    assert again.items_per_second > 0
