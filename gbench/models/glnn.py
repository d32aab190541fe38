"""GLNN: an MLP that learns what a trained GNN says (Zhang et al., ICLR 2022).

Legend: N nodes, C classes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from gbench.data.batch import Batch
from gbench.data.spec import DataSpec
from gbench.errors import UserError
from gbench.metrics import is_dotted
from gbench.models.mlp import MLP


class GLNN(MLP):
    """An MLP trained on λ CE(labels) + (1 - λ) KL(teacher ‖ student), λ being `label_weight`.

    The second term is Σ_i Σ_c t_ic (log t_ic - log s_ic) / N over all nodes of the batch, those of
    validation and test too, as the paper's transductive setting has it: t the teacher's
    probabilities, s the student's. At λ = 0, the published setting, no label is read but by the
    teacher. The published inductive setting takes nodes out of the graph before the teacher is
    trained, which makes other data of it. With `binary_features` a feature is 1 where it is not 0:
    the published settings are for words that are there or not, and datasets whose rows are divided
    by their sums have numbers so small that weight decay keeps such a network from learning.

    Shapes: as `MLP`; batch.teacher (N, C) log-probabilities. Raises UserError where the dataset's
    loss is not about classes.
    """

    needs: ClassVar = ("teacher",)
    waits: ClassVar = ""  # see gbench/train/capturing.py

    def __init__(
        self,
        spec: DataSpec,
        *,
        hidden_dim: int,
        num_layers: int,
        label_weight: float,
        norm: str,
        input_dropout: float,
        dropout: float,
        binary_features: bool = False,
    ) -> None:
        if spec.loss not in ("", "cross-entropy", "focal") and not is_dotted(spec.loss):
            raise UserError(
                f"model glnn learns probabilities of classes, and the dataset's loss is {spec.loss}"
            )
        super().__init__(
            spec,
            hidden_dim=hidden_dim,
            num_layers=num_layers,
            norm=norm,
            input_dropout=input_dropout,
            dropout=dropout,
            readout="mean",
        )
        self.label_weight, self.binary_features = label_weight, binary_features

    def forward(self, batch: Batch) -> Tensor:
        out: Tensor = super().forward(_binary(batch) if self.binary_features else batch)
        return out

    def loss(self, logits: Tensor, batch: Batch, dataset_loss: Tensor) -> dict[str, Tensor]:
        """What is minimised, and its two parts. Shapes: logits (N, C) → () each."""
        assert batch.teacher is not None
        student = logits.float().log_softmax(1)
        told = F.kl_div(student, batch.teacher, reduction="batchmean", log_target=True)
        total = self.label_weight * dataset_loss + (1 - self.label_weight) * told
        return {"loss": total, "labels": dataset_loss, "teacher": told}


def _binary(batch: Batch) -> Batch:
    """With 1 for each feature that is not 0; once for a batch that comes again."""
    kept = batch.memo.get("binary")
    if kept is None or kept[0] is not batch.x:
        with torch.inference_mode(False):
            kept = (batch.x, (batch.x != 0).to(batch.x.dtype), {})
        batch.memo["binary"] = kept
    return replace(batch, x=kept[1], memo=kept[2])
