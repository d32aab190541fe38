"""The private names of Lightning that keep a step and a start short; it does without them too.

Lightning divides each loss by `accumulate_grad_batches`, which is 1 here (see accumulation.py), and
clones it, lest mixed precision scale the clone: with the division's gradient three launches in each
step on a GPU. Where a Lightning has moved what is asked for, it does so again, with the same
numbers.

Each Trainer looks for callbacks that installed packages offer in the metadata of all of them, which
takes 8 ms. Where none offers any, later ones need not look.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.trainer.connectors import callback_connector

try:
    from lightning.pytorch.loops.optimization.automatic import ClosureResult
except ImportError:
    ClosureResult = None


@cache
def look_for_callbacks_once() -> None:
    """Where no installed package offers callbacks, let no Trainer of this process look again."""
    name, offered = (
        "_load_external_callbacks",
        entry_points(group="lightning.pytorch.callbacks_factory"),
    )
    if hasattr(callback_connector, name) and not offered:
        setattr(callback_connector, name, lambda group: [])


def keep_losses_whole(trainer: Trainer) -> None:
    """Let a step go down the loss that `training_step` returned, and no copy of it."""
    loop: Any = getattr(
        getattr(trainer.fit_loop, "epoch_loop", None), "automatic_optimization", None
    )
    if ClosureResult is None or getattr(loop, "output_result_cls", None) is not ClosureResult:
        return

    class Whole(ClosureResult):  # type: ignore[misc]
        """A loss as it was returned, and the same without its gradient."""

        @classmethod
        def from_training_step_output(cls, loss: Any, normalize: int = 1) -> Any:
            return cls(loss)

        def _clone_loss(self) -> None:
            self.loss = None if self.closure_loss is None else self.closure_loss.detach()

    loop.output_result_cls = Whole
