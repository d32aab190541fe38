"""One trial in its own process: it trains and validates. It neither tests nor leaves a record."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from gbench.build import build_task
from gbench.config.compose import Config
from gbench.errors import UserError
from gbench.own_code.kept import at_hand
from gbench.records.folder import LAST, claimed
from gbench.sweep.job import Message, Send
from gbench.sweep.point import Reporter, told
from gbench.teaching import begin_from, keep, taught
from gbench.train.epochs import Epochs
from gbench.train.rounds import Rounds
from gbench.train.shortage import advised
from gbench.train.trainer import make_trainer
from gbench.train.undefined import undefined

REPORTS = 100  # of a trial's validation metric, by which it may be pruned


def run_trial(config: Config, folder: Path, send: Send) -> Message:
    """Train in `folder`, `send` the validation metric now and then, and return how it ended.

    The message of a trial that finished has `valid`, the metric of the weights that a run of this
    config would test.
    """
    valid: list[float] = []
    message = told(lambda: valid.append(validated(config, folder, send)))
    return {**message, "valid": valid[0]} if valid else message


def validated(config: Config, folder: Path, send: Send) -> float:
    """Train, or go on from the folder's checkpoint; the validation metric of the chosen epoch."""
    teaching = taught(config, folder)
    task = build_task(at_hand(config, folder), teaching)
    card = task.dataset.card
    reason = undefined(card.metric, task.labels("valid"))
    if reason:
        raise UserError(
            f"a search compares trials by the validation {card.metric}, which {card.name} does not "
            f"have: {reason}"
        )
    last = folder / LAST
    task.is_resumed = last.exists()
    if not task.is_resumed:
        begin_from(task, config)
    display = _Progress(Console(quiet=True), config, send)
    epochs = Epochs(config, card, last_checkpoint=last, display=display)
    rounds = Rounds(epochs, config["trainer"])
    trainer = make_trainer(config["trainer"], [epochs, rounds], [])
    with claimed(folder), advised(folder):
        keep(teaching, config, folder)
        trainer.fit(task, ckpt_path=last if last.exists() else None, weights_only=True)
    chosen = epochs.best_epoch if epochs.best_weights else len(epochs.curve) - 1
    return epochs.curve[chosen]["valid"]


class _Progress(Reporter):
    """Sends the validation metric of every so many epochs, the same ones in every trial."""

    def epoch(self, row: Mapping[str, float], best: float | None, best_epoch: int) -> None:
        """An epoch is over."""
        super().epoch(row, best, best_epoch)
        epoch = int(row["epoch"]) + 1
        if "valid" in row and epoch % max(1, self.max_epochs // REPORTS) == 0:
            self.send({"kind": "progress", "epoch": epoch, "valid": row["valid"]})
