"""Attention among the nodes of each graph of a batch, without padding to the largest.

    y_ih = Σ_j m_ijh α_ijh v_jh,    α_ijh = exp(⟨q_ih, k_jh⟩ / √F - λ_ih),    j in the graph of i

with λ_ih the logarithm of Σ_j exp(⟨q_ih, k_jh⟩ / √F) (Vaswani et al., NeurIPS 2017). Dropout of
the weights makes m 0 or 1 / (1 - rate), by a hash of the seed, the row i · H + h and the place of
j in its graph: it is drawn again in backward. Of scores and weights nothing is stored but λ.

Gradients, with δ_ih = ⟨ȳ_ih, y_ih⟩ and s̄_ijh = α_ijh (m_ijh ⟨ȳ_ih, v_jh⟩ - δ_ih) / √F:
    q̄_ih = Σ_j s̄_ijh k_jh      k̄_jh = Σ_i s̄_ijh q_ih      v̄_jh = Σ_i m_ijh α_ijh ȳ_ih

Multiplications: Σ n² · H · F of two products forward and five backward, n the nodes of a graph.
Memory beside the outputs: N·H·4 bytes of λ.

Legend: N nodes, B graphs, H heads, F features per head.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gbench.kernels import check, library
from gbench.kernels.seeds import seed_on


def reference(
    node_ptr: Tensor, q: Tensor, k: Tensor, v: Tensor, seed: Tensor | None = None, rate: float = 0.0
) -> Tensor:
    """The specification: graph by graph a matrix of scores, its softmax, and a product."""
    from gbench.kernels.norm_act import keep_mask

    num_nodes, heads, width = q.shape
    sizes = node_ptr.diff().tolist()
    kept = None
    if seed is not None and num_nodes:
        kept = keep_mask(seed, num_nodes * heads, max(sizes), rate).unflatten(0, (-1, heads))
    out, begin = [], 0
    for size in sizes:
        rows = slice(begin, begin + size)
        score = torch.einsum("ihf,jhf->ihj", q[rows], k[rows]) / width**0.5
        alpha = score.softmax(2)
        if kept is not None:
            alpha = alpha * kept[rows, :, :size] / (1 - rate)
        out.append(torch.einsum("ihj,jhf->ihf", alpha, v[rows]))
        begin += size
    return torch.cat([q[:0], *out])


@library.operation("q")
def ragged_attention(
    node_ptr: Tensor, q: Tensor, k: Tensor, v: Tensor, dropout: float = 0.0
) -> Tensor:
    """Softmax attention within each graph, whose nodes are node_ptr[b]:node_ptr[b + 1].

    Each weight is zero with probability `dropout` and else divided by 1 - dropout.

    Shapes: node_ptr (B + 1,) int32, q, k, v (N, H, F) → (N, H, F).
    Raises ValueError or TypeError on a wrong shape, device, dtype or probability.
    """
    if node_ptr.dtype != torch.int32 or node_ptr.dim() != 1 or node_ptr.numel() == 0:
        shape = tuple(node_ptr.shape)
        raise TypeError(f"node_ptr is {node_ptr.dtype} {shape}: pass int32 of shape (B + 1,)")
    if q.dim() != 3:
        raise ValueError(f"q has shape {tuple(q.shape)}: it should be (N, H, F)")
    check.features("q", q.flatten(1), q.size(0), node_ptr.device)
    for name, value in (("k", k), ("v", v)):
        check.beside(name, value, tuple(q.shape), q)
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout={dropout}: pass 0 or more, less than 1")
    seed = seed_on(q.device) if dropout else None
    if not library.has_kernel("ragged_attention", q):
        return reference(node_ptr, q, k, v, seed, dropout)
    out: Tensor
    out, _ = _ATTENTION(node_ptr, q, k, v, seed, dropout)
    return out


def _fake(
    ptr: Tensor, q: Tensor, k: Tensor, v: Tensor, seed: Tensor | None, rate: float
) -> tuple[Tensor, Tensor]:
    out = torch.empty_like(q, memory_format=torch.contiguous_format)
    return out, q.new_empty(q.shape[:2], dtype=library.wide(q.dtype))


_GIVEN = "Tensor ptr, Tensor q, Tensor k, Tensor v, Tensor? seed"
_ATTENTION = library.define(f"ragged_attention({_GIVEN}, float rate) -> (Tensor, Tensor)", _fake)


def _fake_backward(
    grad: Tensor,
    ptr: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    seed: Tensor | None,
    out: Tensor,
    log_sum: Tensor,
    rate: float,
) -> tuple[Tensor, Tensor, Tensor]:
    q, k, v = (torch.empty_like(x, memory_format=torch.contiguous_format) for x in (q, k, v))
    return q, k, v


_BACKWARD = library.define(
    f"ragged_attention_backward(Tensor grad, {_GIVEN}, Tensor out, Tensor log_sum, float rate) "
    "-> (Tensor, Tensor, Tensor)",
    _fake_backward,
    {"log_sum": library.wide},
)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.mark_non_differentiable(output[1])
    *tensors, ctx.rate = inputs
    ctx.save_for_backward(*tensors, *output)


def _backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Any, ...]:
    return None, *_BACKWARD(grad, *ctx.saved_tensors, ctx.rate), None, None


library.differentiate("ragged_attention", _save, _backward)
