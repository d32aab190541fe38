"""How the losses of a model's batches become steps of its optimizer."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from gbench.errors import UserError
from gbench.models.answers import anomalies_told
from gbench.models.link_predictor import LinkPredictor
from gbench.train.accumulation import Windows
from gbench.train.optimizer import make_optimizer


class Optimized(LightningModule):  # type: ignore[misc]
    """The LightningModule, as far as it is about gradients and steps.

    A step is taken at the end of each window of `accumulate` batches.
    """

    def __init__(self, model: nn.Module, optim: Mapping[str, Any], accumulate: int) -> None:
        super().__init__()
        self.model = model
        self.optim = optim
        self.accumulate = accumulate
        self.position = 0  # batches completed in this epoch
        self.windows = Windows(1, 1)
        self.one: Tensor | None = None  # the gradient of a loss by itself

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a batch's share of its window. The loss that is shown is whole."""
        length = self.windows.length(self.position)
        loss = loss if length == 1 else loss / length
        with anomalies_told(self.model) if torch.is_anomaly_enabled() else nullcontext():
            loss.backward(self._one(loss))

    def _one(self, loss: Tensor) -> Tensor | None:
        """1 as the loss is, on a GPU, where backward() would launch a kernel to fill it anew.

        On the CPU torch does that sooner than it compares the shapes, which imports sympy first.
        """
        if loss.is_cpu:
            return None
        if self.one is None or self.one.device != loss.device or self.one.dtype != loss.dtype:
            self.one = torch.ones_like(loss)
        return self.one

    def optimizer_zero_grad(self, epoch: int, batch: int, optimizer: torch.optim.Optimizer) -> None:
        """Where a window begins."""
        if self.windows.begins(self.position):
            optimizer.zero_grad()

    def optimizer_step(self, epoch: int, batch: int, optimizer: Any, closure: Any = None) -> None:
        """Where a window ends; before that, gradients are computed and stay on each device."""
        if self.windows.ends(self.position):
            super().optimizer_step(epoch, batch, optimizer, closure)
            return
        unshared = getattr(self.trainer.strategy.model, "no_sync", nullcontext)
        with unshared():
            closure()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """What the config's `optim` describes."""
        # Lightning clips in mixed precision only if the optimizer does not unscale by itself.
        mixed = str(self.trainer.precision).endswith("mixed")
        is_half = str(self.trainer.precision).startswith("16")
        fused = not is_half and not (mixed and self.trainer.gradient_clip_val)
        made = make_optimizer(self.model, self.optim, fused=fused)
        if made.defaults.get("fused") and mixed and self.trainer.gradient_clip_val:
            raise UserError(
                "optim.options.fused=true does not go with trainer.gradient_clip_val in mixed "
                "precision: leave one of them out"
            )
        return made

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip all gradients as one, those of a link predictor part by part."""
        by_value = gradient_clip_algorithm == "value"
        if by_value or not gradient_clip_val or not isinstance(self.model, LinkPredictor):
            super().configure_gradient_clipping(
                optimizer, gradient_clip_val, gradient_clip_algorithm
            )
            return
        for part in self.model.parts():
            nn.utils.clip_grad_norm_(part, gradient_clip_val)
