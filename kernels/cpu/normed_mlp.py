"""CPU: products of blocks of rows by torch, and the walks of norm_act.py over each.

A block is as many rows whatever the number of threads, and within it the walks share two chunks, so
that results are the same bits on any number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy
import torch
from torch import Tensor

from gbench.kernels.cpu import linear
from gbench.kernels.cpu import norm_act as walks
from gbench.kernels.cpu.rows import array, run, unset
from gbench.kernels.cpu.ways import PLAIN, TORCH, Ways, ways_of
from gbench.kernels.linear import LEAST
from gbench.kernels.normed_mlp import Rule

ROWS = 2048  # of a block: smaller ones would stay in a cache, but their products are slower
CHUNKS = 2  # of a block


class Normed(NamedTuple):
    """dropout(relu(norm(u))) of products u (N, D), by their moments and γ, β, all (D,)."""

    u: Tensor
    gamma: Tensor
    beta: Tensor
    mean: Tensor
    var: Tensor
    rule: Rule


def forward(
    x: Tensor,
    weights: Sequence[Tensor],
    gammas: Sequence[Tensor],
    betas: Sequence[Tensor],
    rules: Sequence[Rule],
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """The output, the products u_k, and the mean and the variance of each in turn."""
    products: list[Tensor] = []
    moments: list[Tensor] = []
    below: Normed | None = None
    blocks = [*_blocks(x.size(0))]
    for place, weight in enumerate(weights):
        product = unset((x.size(0), weight.size(0)), x.dtype)
        sums = numpy.empty((CHUNKS * len(blocks), 2, weight.size(0)))
        for number, (begin, end) in enumerate(blocks):
            block = x[begin:end] if below is None else _values(below, begin, end)
            out = product[begin:end]
            _product(block, weight.detach().t(), _ways(block, weight).forward, out)
            of_block = sums[CHUNKS * number : CHUNKS * (number + 1)]
            run(walks.take_moments, CHUNKS, array(out), of_block)
        mean, var = _merged(sums, blocks, weight)
        moments += [mean, var]
        products.append(product)
        below = Normed(product, gammas[place], betas[place], mean, var, rules[place])
    assert below is not None
    return values(below), products, moments


def values(of: Normed) -> Tensor:
    """All rows. Shapes: → (N, D)."""
    out = unset(tuple(of.u.shape), of.u.dtype)
    for begin, end in _blocks(of.u.size(0)):
        _values(of, begin, end, out[begin:end])
    return out


def backward(
    grad: Tensor,
    x: Tensor,
    weights: Sequence[Tensor],
    gammas: Sequence[Tensor],
    betas: Sequence[Tensor],
    products: Sequence[Tensor],
    moments: Sequence[Tensor],
    rules: Sequence[Rule],
    *,
    needs_x: bool,
) -> tuple[Tensor | None, list[tuple[Tensor, Tensor, Tensor]]]:
    """The gradients of x, and of each weight, γ and β."""
    blocks = [*_blocks(x.size(0))]
    stages = [
        Normed(*each)
        for each in zip(products, gammas, betas, moments[::2], moments[1::2], rules, strict=True)
    ]
    grad = grad.contiguous()
    total = sum(_sums(grad, stages[-1], *block) for block in blocks)
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    below: Tensor | None = grad
    for place in reversed(range(len(stages))):
        stage, weight, above, totals = stages[place], weights[place], below, total
        assert above is not None
        below = unset((x.size(0), weight.size(1)), x.dtype) if place or needs_x else None
        grad_weight = torch.zeros_like(weight)
        total = 0
        for begin, end in blocks:
            of_u = _grad_u(above, stage, totals, begin, end)
            block = _values(stages[place - 1], begin, end) if place else x[begin:end]
            way = _ways(block, weight)
            if way.grad_weight == TORCH:
                grad_weight.addmm_(of_u.t(), block)
            else:
                grad_weight += linear.grad_weight(of_u, block, way.grad_weight)
            if below is not None:
                _product(of_u, weight.detach(), way.grad_x, below[begin:end])
                if place:
                    total = total + _sums(below, stages[place - 1], begin, end)
            del of_u, block  # or the next ones are made beside them
        inverse = 1 / numpy.sqrt(array(stage.var) + stage.rule.eps)
        of_gamma, of_beta = (torch.from_numpy(each).to(x.dtype) for each in totals[::-1])
        found.append((grad_weight, of_gamma * torch.from_numpy(inverse), of_beta))
    return below, found[::-1]


def _blocks(num_rows: int) -> Iterator[tuple[int, int]]:
    """Where blocks of nearly the same size begin and end."""
    count = -(-num_rows // ROWS)
    return pairwise(num_rows * block // count for block in range(count + 1))


def _ways(block: Tensor, weight: Tensor) -> Ways:
    """Which way the products of a block go."""
    is_choice = block.dtype is torch.float32 and torch.get_float32_matmul_precision() == "highest"
    if not is_choice or block.numel() * weight.size(0) < LEAST:
        return PLAIN
    return ways_of(block.size(0), weight.size(1), weight.size(0))


def _product(block: Tensor, matrix: Tensor, way: str, out: Tensor) -> None:
    """Write block · matrix to `out`. Shapes: (n, I), (I, O) → (n, O)."""
    if way == TORCH:
        torch.mm(block, matrix, out=out)
    else:
        out.copy_(linear.forward(block, matrix.t(), None, way))


def _merged(sums: Any, blocks: Sequence[tuple[int, int]], like: Tensor) -> list[Tensor]:
    """The mean and the variance of all rows, by those of the chunks (Chan, Golub and LeVeque)."""
    sizes = numpy.array(
        [
            rows * (chunk + 1) // CHUNKS - rows * chunk // CHUNKS
            for rows in (end - begin for begin, end in blocks)
            for chunk in range(CHUNKS)
        ]
    )[:, None]
    means, squares = sums[:, 0], sums[:, 1]
    mean = (means * sizes).sum(0) / sizes.sum()
    var = (squares + (means - mean) ** 2 * sizes).sum(0) / sizes.sum()
    return [torch.from_numpy(each).to(like.dtype) for each in (mean, var)]


def _shared(of: Normed) -> tuple[Any, ...]:
    return array(of.gamma), array(of.beta), array(of.mean), array(of.var), of.rule.eps


def _draws(rule: Rule, begin: int) -> tuple[int, float, float]:
    """Seed, ReLU's floor and rate of rows that begin there: the draws of row i hash seed + i."""
    shifted = (rule.seed >> 32 << 32) | ((rule.seed + begin) & 0xFFFFFFFF)
    return shifted, 0.0 if rule.relu else -numpy.inf, rule.dropout


def _values(of: Normed, begin: int, end: int, out: Tensor | None = None) -> Tensor:
    """Some rows of them."""
    out = of.u.new_empty(end - begin, of.u.size(1)) if out is None else out
    rows, draws = array(of.u[begin:end]), _draws(of.rule, begin)
    run(walks.take_values, CHUNKS, rows, *_shared(of), None, *draws, array(out))
    return out


def _sums(grad: Tensor, of: Normed, begin: int, end: int) -> Any:
    """Column sums of z̄ and z̄ (u - μ) over some rows. Shapes: → (2, D) float64."""
    sums = numpy.empty((CHUNKS, 2, of.u.size(1)))
    rows, draws = (array(grad[begin:end]), array(of.u[begin:end])), _draws(of.rule, begin)
    run(walks.take_sums, CHUNKS, *rows, *_shared(of), *draws, sums)
    return sums.sum(0)


def _grad_u(grad: Tensor, of: Normed, totals: Any, begin: int, end: int) -> Tensor:
    """The gradient of some rows of u, of the sums over all."""
    part = (totals * ((end - begin) / len(of.u)))[None]  # the walk divides by the rows it sees
    parts = numpy.concatenate([part, numpy.zeros((CHUNKS - 1, *totals.shape))])
    out = of.u.new_empty(end - begin, of.u.size(1))
    unread = numpy.empty(of.u.size(1), array(of.mean).dtype)
    rows, draws = (array(grad[begin:end]), array(of.u[begin:end])), _draws(of.rule, begin)
    shared = (*_shared(of), *draws)
    run(walks.take_grad_x, CHUNKS, *rows, *shared, parts, True, array(out), unread, unread.copy())
    return out
