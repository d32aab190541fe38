"""CPU: the walks of gbench/kernels/cpu/edge_softmax.py, and torch's parts around them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from gbench.kernels.cpu.dropout import dropout
from gbench.kernels.cpu.edge_softmax import edge_softmax, edge_softmax_backward
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
    x = x.contiguous()
    wide = torch.promote_types(x.dtype, torch.float32)
    scores = torch.stack([(x * own).sum(2), (x * other).sum(2)]).to(wide)
    score, factor = _entries(graph, scores.to(x.dtype), seed, rate)
    out, log_sum = edge_softmax(graph, longest, F.leaky_relu(score, SLOPE), x, factor)
    return out, scores, log_sum


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
    grad, x = grad.contiguous(), x.contiguous()
    score, factor = _entries(graph, scores.to(x.dtype), seed, rate)
    given = (graph, longest, F.leaky_relu(score, SLOPE), x, factor)
    grad_score, grad_x = edge_softmax_backward(grad, *given, edge_softmax(*given)[0], log_sum)
    grad_score = torch.where(score > 0, grad_score, SLOPE * grad_score)
    row, col = _ends(graph)
    left = torch.zeros_like(scores[0], dtype=x.dtype).index_add(0, row, grad_score)
    right = torch.zeros_like(left).index_add(0, col, grad_score)
    grad_x += left[:, :, None] * own + right[:, :, None] * other
    return grad_x, (left[:, :, None] * x).sum(0), (right[:, :, None] * x).sum(0)


def _ends(graph: Graph) -> tuple[Tensor, Tensor]:
    rowptr, col, *_ = graph
    return torch.repeat_interleave(rowptr.diff(), output_size=col.numel()).long(), col.long()


def _entries(
    graph: Graph, scores: Tensor, seed: Tensor | None, rate: float
) -> tuple[Tensor, Tensor | None]:
    """Each entry's score before the leaky ReLU, and its factor."""
    row, col = _ends(graph)
    score = scores[0][row] + scores[1][col]
    return score, None if seed is None else dropout(torch.ones_like(score), seed, rate)
