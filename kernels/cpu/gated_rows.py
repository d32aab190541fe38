"""The rows of a hop of gcn_gated_sum.py: their gates, what these let through, and its gradients.

Rows begin..end of panels (panels.py), whose column `lane` of the last panel holds the scores.
"""

from __future__ import annotations

from typing import Any

from numba import uint64

from gbench.kernels.cpu.rows import compiled
from gbench.kernels.cpu.sigmoid import sigmoid
from gbench.kernels.cpu.vectors import load, row, store, total_of, zero


@compiled
def pack(
    lanes: Any, begin: int, end: int, x: Any, weight: Any, scale: Any, panels: Any, lane: int
) -> None:
    """Copy x to the panels, its products with the weight behind it, row i times scale[i]."""
    count, _, width = panels.shape
    for i in range(uint64(begin), uint64(end)):
        score = zero(lanes, x)
        for p in range(count):
            value = load(lanes, x, i, p * width)
            score += value * load(lanes, weight, 0, p * width)
            store(value * scale[i], panels[p], i, 0)
        panels[count - 1, i, lane] = total_of(score) * scale[i]


@compiled
def gates_of(score: Any, scale: Any, bias: Any, gate: Any) -> None:
    """σ(score + bias) of each row, whose score comes times D^-1/2.

    Over slices, from 0 on: an index that may be negative is a branch, and LLVM makes no vectors.
    """
    for i in range(len(gate)):
        gate[i] = score[i] / scale[i] + bias
    for i in range(len(gate)):
        gate[i] = sigmoid(gate[i])


@compiled
def add_gated(
    lanes: Any, begin: int, end: int, panel: Any, gate: Any, is_first: bool, total: Any
) -> None:
    """Add the gated rows of a panel to `total`, or set it."""
    for i in range(uint64(begin), uint64(end)):
        part = row(lanes, panel, i) * gate[i]
        store(part if is_first else part + row(lanes, total, i), total, i, 0)


@compiled
def unpack(lanes: Any, begin: int, end: int, panel: Any, scale: Any, out: Any, column: int) -> None:
    """Copy the rows to columns of `out`, without the D^-1/2 that they come times."""
    one = scale.dtype.type(1)
    for i in range(uint64(begin), uint64(end)):
        store(row(lanes, panel, i) * (one / scale[i]), out, i, column)


@compiled
def add_grad(
    lanes: Any,
    begin: int,
    end: int,
    grad: Any,
    column: int,
    hidden: Any,
    gate: Any,
    scale: Any,
    total: Any,
    product: Any,
) -> None:
    """Add the gated gradient to the walk's sum, and its product with H_k to `product`."""
    for i in range(uint64(begin), uint64(end)):
        value = load(lanes, grad, i, column)
        product[i] += total_of(value * row(lanes, hidden, i))
        store(value * (gate[i] * scale[i]) + row(lanes, total, i), total, i, 0)


@compiled
def add_slopes(
    begin: int, end: int, gate: Any, scale: Any, slope: Any, panel: Any, lane: int
) -> Any:
    """The gradient of each score, ⟨ȳ, H_k⟩ σ', to the walk's sum; its sum is the bias's."""
    total, one = scale.dtype.type(0), scale.dtype.type(1)
    for i in range(uint64(begin), uint64(end)):
        root = one / scale[i]
        each = slope[i] * root * gate[i] * (one - gate[i])
        panel[i, lane] += each * scale[i]
        slope[i] = each * root
        total += each
    return total


@compiled
def add_products(
    lanes: Any, begin: int, end: int, hidden: Any, slope: Any, out: Any, chunk: int, column: int
) -> None:
    """Σ slope_i H_i, the gradient of the gate's weight, to a row of `out`."""
    total = load(lanes, out, chunk, column)
    for i in range(uint64(begin), uint64(end)):
        total += row(lanes, hidden, i) * slope[i]
    store(total, out, chunk, column)


@compiled
def unpack_grad(
    lanes: Any,
    begin: int,
    end: int,
    panels: Any,
    lane: int,
    weight: Any,
    scale: Any,
    grad_x: Any,
) -> None:
    """The same of what the walk has summed, with the scores' gradients times the gate's weight."""
    count, _, width = panels.shape
    one = scale.dtype.type(1)
    for p in range(count):
        factor = load(lanes, weight, 0, p * width)
        for i in range(uint64(begin), uint64(end)):
            value = row(lanes, panels[p], i) + factor * panels[count - 1, i, lane]
            store(value * (one / scale[i]), grad_x, i, p * width)
