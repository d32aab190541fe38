"""One training step as Lightning takes it, without Lightning, and all that it changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from lightning.pytorch import Trainer

    from gbench.data.batch import Batch
    from gbench.train.task import Task


def step(task: Task, trainer: Trainer, batch: Batch) -> Tensor:
    """One step down the loss of a batch, and what is shown of it. Shapes: → () or (1 + T,)."""
    optimizer = trainer.optimizers[0]
    optimizer.zero_grad()
    with trainer.precision_plugin.train_step_context():
        loss = task.training_step(batch, 0)
    task.backward(loss)
    if trainer.gradient_clip_val:
        task.configure_gradient_clipping(
            optimizer, trainer.gradient_clip_val, trainer.gradient_clip_algorithm
        )
    optimizer.step()
    return task.shown(loss)


def changed(task: Task, trainer: Trainer) -> list[Tensor]:
    """Weights, buffers and the optimizer's moments, which there are after its first step."""
    model, states = task.model, trainer.optimizers[0].state.values()
    moments = [each for state in states for each in state.values() if isinstance(each, Tensor)]
    return [each.detach() for each in (*model.parameters(), *model.buffers(), *moments)]
