"""Training steps one after another, as Lightning takes them, without Lightning.

Its loop costs 0.7 ms per step, as much as a whole epoch on a citation graph.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from lightning.pytorch.plugins.precision import Precision
from torch import Tensor
from torch.optim import Optimizer

from gbench.train.fused_adam import FusedAdam

if TYPE_CHECKING:
    from lightning.pytorch import Trainer

    from gbench.data.batch import Batch
    from gbench.train.task import Task


class PlainSteps:
    """The steps of a task in one process; what is shown of their losses is summed."""

    is_captured = False

    def __init__(self, task: Task, trainer: Trainer) -> None:
        self.task, self.trainer = task, trainer
        self.optimizer = trainer.optimizers[0]
        self.parameters = [
            parameter for group in self.optimizer.param_groups for parameter in group["params"]
        ]
        self.stepping = FusedAdam.of(self.optimizer) or self.optimizer
        self.loss_sum: Tensor | None = None

    def run(self, batch: Batch) -> None:
        """Train on one more batch, at the task's position in its epoch."""
        task, trainer, precision = self.task, self.trainer, self.trainer.precision_plugin
        batch = precision.convert_input(batch)
        context = nullcontext if type(precision) is Precision else precision.train_step_context
        ends = task.windows.ends(task.position)
        shown: Tensor | None = None

        def closure() -> Tensor:
            nonlocal shown
            with context():
                loss = task.training_step(batch, 0)
            shown = task.shown(loss)
            self._zero()
            task.backward(loss)
            if ends and trainer.gradient_clip_val:
                task.configure_gradient_clipping(
                    self.optimizer, trainer.gradient_clip_val, trainer.gradient_clip_algorithm
                )
            return loss.detach()

        if ends:
            self.stepping.step(closure)
        else:
            closure()
        assert shown is not None
        self.loss_sum = shown if self.loss_sum is None else self.loss_sum + shown

    def _zero(self) -> None:
        """Where a window begins, as the task says it; torch's way without its profiling."""
        if type(self.optimizer).zero_grad is not Optimizer.zero_grad:
            self.task.optimizer_zero_grad(0, 0, self.optimizer)
        elif self.task.windows.begins(self.task.position):
            for parameter in self.parameters:
                parameter.grad = None

    def taken(self) -> Tensor:
        """The sum of what is shown of losses since the last time. Shapes: → () or (1 + T,)."""
        total, self.loss_sum = self.loss_sum, None
        assert total is not None
        return total
