"""The loss that a dataset's runs are trained on, and those losses that torch does not have."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from gbench.errors import UserError
from gbench.kernels.cross_entropy import MAX_CLASSES, counted
from gbench.kernels.cross_entropy import cross_entropy as fused_cross_entropy
from gbench.kernels.entry_loss import KINDS, entry_loss
from gbench.locate import locate
from gbench.losses import Loss, find, options_of

if TYPE_CHECKING:
    from gbench.data.spec import DataCard


def loss_of(card: DataCard, logits: Tensor, y: Tensor) -> Tensor:
    """The dataset's training loss, averaged over rows (and labelled entries).

    Shapes: logits (T, C), y (T,) int64 of classes; logits and y (T, K) of tasks and numbers, where
    NaN in y marks a missing label. A batch without any label has loss 0. Of links and other pairs
    it is the mean over the links plus the mean over the others, as in OGB's examples.

    The loss's function is called with (logits, y, **options), logits in float32 and 0 for a missing
    label. Of classes it returns a term for each row, (T,), of which the mean is taken, or the loss
    itself; of tasks and numbers a term for each entry, (T, K), of which those without a label are
    left out. Raises UserError where a function of the user's own returns anything else.
    """
    loss = find(card.loss, card.loss_labels)
    function = locate(loss.function, "loss")
    labels = y if loss.labels == "classes" or card.level == "link" else y.nan_to_num()
    terms: Tensor = function(logits.float(), labels, **options_of(loss, card.loss_options))
    if loss.is_own:
        _check(loss, terms, logits, y)
    if loss.labels == "classes":
        return terms.mean() if terms.dim() else terms
    # A mask instead of y[labelled]: boolean indexing would make a GPU wait for the CPU.
    if card.level == "link":
        return _mean(terms, y > 0) + _mean(terms, y <= 0)
    return _mean(terms, ~y.isnan())


def loss_at(card: DataCard, logits: Tensor, y: Tensor, targets: Tensor | None) -> Tensor:
    """The loss of the rows `targets`, or of all. On a GPU most losses are one operation.

    Shapes: logits (N, C), y (N,) or (N, K), targets (T,) → ().
    """
    if logits.is_cuda and logits.dtype in SINGLE:
        loss = find(card.loss, card.loss_labels)
        is_plain = _is_plain_cross_entropy(card, logits)
        if is_plain or loss.name in KINDS:
            count = None if targets is None else _count(targets, logits.size(0))
            if is_plain:
                return fused_cross_entropy(logits, y, targets, count)
            option = options_of(loss, card.loss_options).get(OPTION.get(loss.name, ""), 0.0)
            return entry_loss(logits, y, count, loss.name, option, card.level == "link")
    if targets is not None:
        # not logits[targets], whose gradient sorts the targets on a GPU
        logits, y = logits.index_select(0, targets), y.index_select(0, targets)
    return loss_of(card, logits, y)


def _is_plain_cross_entropy(card: DataCard, logits: Tensor) -> bool:
    loss = find(card.loss, card.loss_labels)
    if loss.name != "cross-entropy" or logits.size(1) > MAX_CLASSES:
        return False
    options = options_of(loss, card.loss_options)
    return options["weights"] is None and not options["label_smoothing"]


SINGLE = (torch.float32, torch.bfloat16)  # others' losses are computed in float32
OPTION = {"huber": "delta", "quantile": "q"}

_counts: WeakTensorKeyDictionary = WeakTensorKeyDictionary()


def _count(targets: Tensor, num_rows: int) -> Tensor:
    """How often each row is a target, once for each tensor of targets."""
    count: Tensor | None = _counts.get(targets)
    if count is None or count.numel() != num_rows:
        with torch.inference_mode(False):
            count = _counts[targets] = counted(targets, num_rows)
    return count


def _mean(terms: Tensor, chosen: Tensor) -> Tensor:
    return (terms * chosen).sum() / chosen.sum().clamp(min=1)


def _check(loss: Loss, terms: object, logits: Tensor, y: Tensor) -> None:
    """Raise UserError for what a function of the user's own must not return."""
    shapes = [tuple(y.shape), ()] if loss.labels == "classes" else [tuple(y.shape)]
    wanted = f"a tensor of shape {' or '.join(map(str, shapes))}"
    if not isinstance(terms, Tensor):
        raise UserError(f"loss {loss.name} returned a {type(terms).__name__}, expected is {wanted}")
    if tuple(terms.shape) not in shapes:
        missing = "" if loss.labels == "classes" else ", so that missing labels can be left out"
        raise UserError(
            f"loss {loss.name} returned a tensor of shape {tuple(terms.shape)} for logits "
            f"{tuple(logits.shape)} and y {tuple(y.shape)}, expected is {wanted}{missing}"
        )
    if logits.requires_grad and not terms.requires_grad:
        raise UserError(
            f"loss {loss.name} returned a tensor without a gradient: compute it from the logits "
            "with torch alone, without detach() or item()"
        )


def cross_entropy(
    logits: Tensor, y: Tensor, weights: list[float] | None, label_smoothing: float
) -> Tensor:
    """-Σ_c q_c log p_c, averaged over rows, by their classes' weights where there are any.

    q is 1 at the class y; with label smoothing ε it is 1 - ε + ε/C there and ε/C at the others
    (Szegedy et al., CVPR 2016). Shapes: logits (T, C), y (T,) int64 → ().
    """
    weight = None if weights is None else _tensor(tuple(weights), logits.device)
    return F.cross_entropy(logits, y, weight=weight, label_smoothing=label_smoothing)


@lru_cache(maxsize=16)
def _tensor(values: tuple[float, ...], device: torch.device) -> Tensor:
    """Once for a run: a copy to a GPU would make it wait in each step."""
    return torch.tensor(values, device=device)


def focal(logits: Tensor, y: Tensor, gamma: float) -> Tensor:
    """-(1 - p_y)^γ log p_y (Lin et al., Focal Loss, ICCV 2017), with softmax probabilities p.

    Cross-entropy at γ = 0. Shapes: logits (T, C), y (T,) int64 → (T,).
    """
    log_p = logits.log_softmax(-1).gather(-1, y.unsqueeze(-1)).squeeze(-1)
    # where p_y rounds to 1 a power below 1 has no finite gradient
    return -((-torch.expm1(log_p)).clamp(min=1e-12) ** gamma) * log_p


def quantile(logits: Tensor, y: Tensor, q: float) -> Tensor:
    """max(q (y - ŷ), (q - 1)(y - ŷ)), the pinball loss: its minimum is the q-quantile of y.

    Koenker and Bassett, Regression Quantiles, Econometrica 1978. Half of l1 at q = 1/2.
    Shapes: (T, K), (T, K) → (T, K).
    """
    error = y - logits
    return torch.maximum(q * error, (q - 1) * error)
