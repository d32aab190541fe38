"""A finished run as it was tested: its settings, code, teacher and weights, on its device."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gbench.config.compose import Config, load
from gbench.errors import UserError
from gbench.own_code.kept import at_hand
from gbench.records import folder as runfolder
from gbench.records import record as records
from gbench.records.other_code import refuse_changed

if TYPE_CHECKING:
    from torch import Tensor

    from gbench.floors.answering import FloorTask
    from gbench.train.task import Task

Code = Literal["kept", "now"]


@dataclass(frozen=True, eq=False)
class Finished:
    """A run whose model can be asked again."""

    folder: Path
    config: Config
    record: records.RunRecord
    task: Task | FloorTask
    plugin: Any = None  # of Lightning, which says how precisely is computed

    def evaluate(self, split: str) -> float:
        """The dataset's metric on "train", "valid" or "test"."""
        from gbench.train.matmul import matmul_precision

        with matmul_precision(self.config["trainer"]):
            return self.task.evaluate(split, self.context())

    def answers(self, ids: Tensor, what: str = "asked") -> tuple[Tensor, Tensor]:
        """What the model says of any nodes, graphs or pairs, and their labels.

        Shapes: ids (T,) int64 → (T, C), y (T,) or (T, K).
        """
        from gbench.train.matmul import matmul_precision

        with matmul_precision(self.config["trainer"]):
            return self.task.answers_to(ids, self.context(), what)

    def context(self) -> Any:
        """Within which the model computes as it was tested."""
        return nullcontext() if self.plugin is None else self.plugin.val_step_context()


def settings_of(folder: Path, code: Code | None = None) -> Config:
    """The config of a finished run, without what `code="now"` disregards.

    Raises UserError for a run that is not there or has not finished, and, unless `code` says which
    is meant, where code of the user's own has changed since.
    """
    config = load(folder / runfolder.CONFIG)
    if not (folder / runfolder.RECORD).exists():
        raise UserError(f"{folder.name} has not finished: gbench resume {folder}")
    if code == "now":
        config.pop("code", None)
    elif code is None:
        refuse_changed(config, folder)
    return config


def restored(folder: Path, code: Code | None = None) -> Finished:
    """The run, with its data loaded and the weights that were tested; a floor is fitted anew.

    Raises UserError as `settings_of`, and for weights or data that are not there.
    """
    config = settings_of(folder, code)
    record = records.read(folder / runfolder.RECORD)

    if record.is_floor:
        from gbench.floors.running import refitted

        return Finished(folder, config, record, refitted(record, at_hand(config, folder)))

    from gbench.build import build_task
    from gbench.teaching import taught
    from gbench.train.checkpoint import load_weights
    from gbench.train.trainer import make_trainer

    weights = load_weights(folder / runfolder.BEST)
    teaching = taught(config, folder)
    task = build_task(at_hand(config, folder), teaching)
    task.model.load_state_dict(weights)
    kept = {key: config["trainer"][key] for key in ("accelerator", "precision", "deterministic")}
    trainer = make_trainer({**kept, "devices": 1}, [], [])
    device = trainer.strategy.root_device
    task.to(device)
    task.place_data(device)
    return Finished(folder, config, record, task, trainer.precision_plugin)
