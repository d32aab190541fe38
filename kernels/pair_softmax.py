"""Softmax over all nodes of a graph, of what each pair says, for each column by itself.

    y_ij = exp(s_ij) / Σ_k exp(s_ik)        k over all nodes of i's graph

Gradient: s̄_ij = y_ij (ȳ_ij - Σ_k ȳ_ik y_ik). Only y is kept.

Bytes moved, float32: P·C·12 forward (s is read twice), P·C·20 backward at most; a row's pairs are
still in cache the second time.

Legend: N nodes, P = Σ n² pairs, C columns: heads or channels.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gbench.kernels import check, library
from gbench.kernels.pairs import Pairs


def reference(pairs: Pairs, score: Tensor) -> Tensor:
    """The specification."""
    receiver = pairs.receivers(score.size(0))
    place = receiver[:, None].expand_as(score)
    top = score.new_full((pairs.num_nodes, score.size(1)), -torch.inf)
    top = top.scatter_reduce(0, place, score.detach(), "amax")
    exp = (score - top[receiver]).exp()
    return exp / torch.zeros_like(top).index_add(0, receiver, exp)[receiver]


@library.operation("score")
def pair_softmax(pairs: Pairs, score: Tensor) -> Tensor:
    """Softmax of each receiver's pairs.

    Shapes: score (P, C) → (P, C).
    Raises ValueError or TypeError on a wrong shape, device or dtype.
    """
    pairs.check("score", score)
    check.features("score", score, score.size(0), pairs.device)
    if not library.has_kernel("pair_softmax", score):
        return reference(pairs, score)
    out: Tensor = _PAIR_SOFTMAX(pairs.ptr, score)
    return out


def _fake(ptr: Tensor, score: Tensor) -> Tensor:
    return torch.empty_like(score, memory_format=torch.contiguous_format)


_PAIR_SOFTMAX = library.define("pair_softmax(Tensor ptr, Tensor score) -> Tensor", _fake)


def _fake_backward(grad: Tensor, ptr: Tensor, out: Tensor) -> Tensor:
    return torch.empty_like(grad, memory_format=torch.contiguous_format)


_BACKWARD = library.define(
    "pair_softmax_backward(Tensor grad, Tensor ptr, Tensor out) -> Tensor", _fake_backward
)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(inputs[0], output)


def _backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    return None, _BACKWARD(grad, *ctx.saved_tensors)


library.differentiate("pair_softmax", _save, _backward)
