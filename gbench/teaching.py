"""What another run's weights say or are: the answers of a teacher, and weights to begin from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gbench import folders
from gbench.build import build_task
from gbench.config.compose import load as load_config
from gbench.data.load import load
from gbench.data.spec import DataCard
from gbench.data.taught import Other, Taught, refuse_leak
from gbench.errors import UserError
from gbench.named_runs import CONFIG, PREFIX, WEIGHTS, place, without_transform
from gbench.own_code import importing
from gbench.own_code.kept import at_hand
from gbench.train.checkpoint import load_weights
from gbench.train.matmul import matmul_precision
from gbench.train.task import Task
from gbench.train.trainer import make_trainer

ANSWERS = "teacher.pt"  # in a student's folder, so that it needs its teacher's no more
TEACHER, START = "model.teacher", "init_from"
_SAME = ("identity", "seed", "fold", "weights")

Config = Mapping[str, Any]


def taught(config: Config, folder: Path) -> Taught | None:
    """What the run's teacher says, from the run's folder or computed anew; None without one.

    Raises UserError where the teacher's folder is gone or holds other weights than it did.
    """
    facts = config.get("runs", {}).get(TEACHER)
    if facts is None:
        return None
    kept = _kept(folder / ANSWERS, {key: facts[key] for key in _SAME})
    if kept is not None:
        return kept
    with importing.elsewhere():
        return _answered(place(TEACHER, config), f"{TEACHER}={PREFIX}{facts['run']}", config)


def keep(found: Taught | None, config: Config, folder: Path) -> None:
    """Leave the answers in the run's folder, where they are not there already."""
    path = folder / ANSWERS
    if found is None or path.is_file():
        return
    of = {key: config["runs"][TEACHER][key] for key in _SAME}
    with folders.written_whole(path) as file:
        torch.save({"of": of, "answers": found.answers, "other": vars(found.other)}, file)


def begin_from(task: Task, config: Config) -> list[str]:
    """Give the model the weights of `init_from` that fit by name and shape; sentences on the rest.

    Raises UserError where nothing fits, and where that run saw what this one is judged by.
    """
    facts = config.get("runs", {}).get(START)
    if facts is None:
        return []
    folder, setting = place(START, config), f"{START}={PREFIX}{facts['run']}"
    if without_transform(facts["data"]) == without_transform(task.dataset.card.title):
        with importing.elsewhere():
            refuse_leak(task.dataset, _other(load_config(folder / CONFIG), setting))
    weights, own = load_weights(folder / WEIGHTS), task.model.state_dict()
    fitting = {k: v for k, v in weights.items() if k in own and own[k].shape == v.shape}
    if not fitting:
        raise UserError(
            f"{setting}: none of its weights fits by name and shape: it has "
            f"{_told(weights)}, and this model {_told(own)}"
        )
    task.model.load_state_dict(fitting, strict=False)
    notes = [f"{setting}: {len(fitting)} of {len(own)} weights and buffers begin as its"]
    if left := [name for name in own if name not in fitting]:
        notes.append(f"begin anew: {', '.join(left)}")
    if unused := [name for name in weights if name not in fitting]:
        notes.append(f"of that run is left: {', '.join(unused)}")
    return ["; ".join(notes)]


def _answered(folder: Path, setting: str, student: Config) -> Taught:
    """By the teacher's own settings, encoding and code, in evaluation mode."""
    config = load_config(folder / CONFIG)
    task = build_task(at_hand(config, folder), taught(config, folder))
    if task.dataset.spec.level == "link":
        raise UserError(f"{setting} predicts links: a teacher answers nodes or graphs")
    task.model.load_state_dict(load_weights(folder / WEIGHTS))
    accelerator = student["trainer"]["accelerator"]
    kept = {key: config["trainer"][key] for key in ("precision", "deterministic")}
    trainer = make_trainer({**kept, "accelerator": accelerator, "devices": 1}, [], [])
    task.to(trainer.strategy.root_device)
    task.place_data(trainer.strategy.root_device)
    ids = torch.arange(task.dataset.store.y.size(0), device=task.dataset.split.train.device)
    with matmul_precision(config["trainer"]):
        logits, _ = task.answers_to(ids, trainer.precision_plugin.val_step_context(), setting)
    logits = logits.float()
    if task.dataset.card.labels == "classes":
        logits = logits.log_softmax(1)
    return Taught(_other_of(task.dataset, setting), logits.cpu())


def _other(config: Config, setting: str) -> Other:
    """The data of another run, loaded."""
    card = DataCard.from_config(config["data"])
    places = folders.data_dir(config["data_dir"]), folders.cache_dir(config["cache_dir"])
    return _other_of(load(card, *places, config.get("data_source", "")), setting)


def _other_of(dataset: Any, setting: str) -> Other:
    card, train = dataset.card, dataset.split.train.cpu()
    items = dataset.store.y.size(0)
    return Other(setting, card.title, card.split, card.fold, dataset.fingerprint, items, train)


def _kept(path: Path, of: Mapping[str, Any]) -> Taught | None:
    if not path.is_file():
        return None
    try:
        found = torch.load(path, weights_only=True)
        if found["of"] != of:
            return None
        answers: Tensor = found["answers"]
        return Taught(Other(**found["other"]), answers)
    except Exception as error:
        raise UserError(f"{path} cannot be read ({type(error).__name__}): delete it") from error


def _told(weights: Mapping[str, Tensor]) -> str:
    told = [f"{name} {tuple(value.shape)}" for name, value in weights.items()]
    return ", ".join([*told[:4], *(["..."] if len(told) > 4 else [])])
