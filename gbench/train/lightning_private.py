"""The private name of Lightning that keeps a step short, and what stands in without it.

Lightning divides each loss by `accumulate_grad_batches`, which is 1 here (see accumulation.py), and
clones it, lest mixed precision scale the clone: with the division's gradient three launches in each
step on a GPU. Where a Lightning has moved what is asked for, it does so again, with the same
numbers.
"""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Trainer

try:
    from lightning.pytorch.loops.optimization.automatic import ClosureResult
except ImportError:
    ClosureResult = None


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
