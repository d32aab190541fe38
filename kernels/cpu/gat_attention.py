"""CPU: torch's own parts, entry by entry."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from gbench.kernels.cpu.dropout import dropout
from gbench.kernels.csr import Graph
from gbench.kernels.gat_attention import SLOPE


def gat_attention(
    graph: Graph,
    longest: int,
    x: Tensor,
    own: Tensor,
    other: Tensor,
    seed: Tensor | None,
    rate: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """The forward of gbench/kernels/gat_attention.py."""
    wide = x.contiguous().to(torch.promote_types(x.dtype, torch.float32))
    scores = torch.stack([(wide * own).sum(2), (wide * other).sum(2)])
    at = _entries(graph, scores, seed, rate)
    row_EH, num_rows = at.row[:, None].expand_as(at.score), graph[0].numel() - 1
    top = wide.new_full((num_rows, x.size(1)), -torch.inf)
    top = top.scatter_reduce(0, row_EH, at.score, "amax")
    weight = (at.score - top[at.row]).exp()
    log_sum = top + torch.zeros_like(top).index_add(0, at.row, weight).log()
    share = at.factor * (at.score - log_sum[at.row]).exp()
    out = wide.new_zeros(num_rows, *x.shape[1:])
    out.index_add_(0, at.row, share[:, :, None] * wide[at.col])
    return out.to(x.dtype), scores, log_sum


def gat_attention_backward(
    grad: Tensor,
    graph: Graph,
    longest: int,
    x: Tensor,
    own: Tensor,
    other: Tensor,
    seed: Tensor | None,
    scores: Tensor,
    log_sum: Tensor,
    rate: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of gbench/kernels/gat_attention.py."""
    grad, wide = grad.contiguous().to(scores.dtype), x.contiguous().to(scores.dtype)
    at = _entries(graph, scores, seed, rate)
    alpha = (at.score - log_sum[at.row]).exp()
    along = alpha * at.factor * (grad[at.row] * wide[at.col]).sum(2)
    total = torch.zeros_like(log_sum).index_add(0, at.row, along)
    grad_score = along - alpha * total[at.row]
    grad_score = torch.where(at.score > 0, grad_score, SLOPE * grad_score)
    left = torch.zeros_like(scores[0]).index_add(0, at.row, grad_score)
    right = torch.zeros_like(left).index_add(0, at.col, grad_score)
    grad_x = left[:, :, None] * own + right[:, :, None] * other
    grad_x.index_add_(0, at.col, (alpha * at.factor)[:, :, None] * grad[at.row])
    grad_own, grad_other = ((each[:, :, None] * wide).sum(0) for each in (left, right))
    return grad_x.to(x.dtype), grad_own.to(x.dtype), grad_other.to(x.dtype)


class _Entries(NamedTuple):
    """The graph's entries and each node's own, their scores (-inf: there twice) and factors."""

    row: Tensor
    col: Tensor
    score: Tensor
    factor: Tensor


def _entries(graph: Graph, scores: Tensor, seed: Tensor | None, rate: float) -> _Entries:
    rowptr, col, *_ = graph
    nodes = torch.arange(rowptr.numel() - 1)
    row = torch.repeat_interleave(rowptr.diff(), output_size=col.numel()).long()
    is_repeated = torch.cat([row == col, torch.zeros_like(nodes, dtype=torch.bool)])
    row, col = torch.cat([row, nodes]), torch.cat([col.long(), nodes])
    score = F.leaky_relu(scores[0][row] + scores[1][col], SLOPE)
    score = score.masked_fill(is_repeated[:, None], -torch.inf)
    ones = torch.ones_like(score)
    return _Entries(row, col, score, ones if seed is None else dropout(ones, seed, rate))
