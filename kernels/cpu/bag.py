"""Sum gathered rows: few columns by vectors of numba, many by torch's own embedding_bag.

embedding_bag is a vectorised CSR product. Measured on one core of a Cascade Lake Xeon: 0.79 to 1.08
times the time of hand-written AVX-512, and half of it with bfloat16 storage (sums are float32
inside). Only its sum is fast: its mean takes 2 times and its max 11 times as long, so both are made
elsewhere. Of up to 32 columns a row's sum stays in registers (bag_numba.py), which takes 0.35 to
0.4 of its time, and of rows of many entries 0.2 to 0.25.
"""

from __future__ import annotations

import torch
from torch import Tensor

FEW = 32  # columns; 64 where weights are gathered too
WORTH = 4096  # entries: below it loading numba would cost more than it saves


def bag_sum(
    rowptr: Tensor,
    col: Tensor,
    x: Tensor,
    weight: Tensor | None = None,
    place: Tensor | None = None,
    bias: Tensor | None = None,
) -> Tensor:
    """Σ of weight[e] · x[col[e]] over the entries e of each row, plus bias: (N, F) from x (M, F).

    With `place` the weight of entry e is weight[place[e]].
    """
    x = x.detach()
    weight = weight if weight is None else weight.detach().contiguous()
    if not (col.numel() and x.size(1)):
        empty = x.new_zeros(rowptr.numel() - 1, x.size(1))
        return empty if bias is None else empty.add_(bias.detach())
    few = FEW if weight is None or place is None else 2 * FEW
    if x.size(1) <= few and col.numel() >= WORTH and x.dtype is not torch.bfloat16:
        from gbench.kernels.cpu.bag_numba import vector_sum

        return vector_sum(rowptr, col, x, weight, place, bias)
    if weight is not None and place is not None:
        weight = weight.index_select(0, place)
    # Positions: max_norm's companion scale_grad_by_freq, mode 0 = sum, sparse, include_last_offset.
    out = torch.embedding_bag(x.contiguous(), col, rowptr, False, 0, False, weight, True)[0]
    return out if bias is None else out.add_(bias.detach())
