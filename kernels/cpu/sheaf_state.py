"""Elementwise parts of a layer of sheaf diffusion: tanh of its maps, elu, the next state."""

from __future__ import annotations

from typing import Any

import numpy

from gbench.kernels.cpu.exponentials import expm1
from gbench.kernels.cpu.rows import compiled
from gbench.kernels.cpu.vectors import load, store, total_of, zero


@compiled
def tanh_each(values: Any) -> None:
    """Tanh, in place."""
    two = values.dtype.type(2)
    for k in range(len(values)):
        below = expm1(-abs(values[k]) * two)
        size = -below / (below + two)
        values[k] = -size if values[k] < 0 else size


@compiled
def elu_each(values: Any) -> None:
    """Elu, in place."""
    nothing = values.dtype.type(0)
    for k in range(len(values)):
        value = values[k]
        below = expm1(nothing if value > nothing else value)
        values[k] = value if value > nothing else below


@compiled
def of_elu(grad: Any, elu: Any) -> None:
    """The gradient for the step, of which -elu is in the result, in place."""
    one = grad.dtype.type(1)
    for k in range(len(grad)):
        grad[k] = -grad[k] * (one if elu[k] > 0 else elu[k] + one)


@compiled
def residual(lanes: Any, x: Any, elu: Any, epsilon: Any, out: Any) -> None:
    """(1 + tanh ε) x - elu. Shapes: x and elu (N · C, F), epsilon (C, 1)."""
    one = x.dtype.type(1)
    channels = len(epsilon)
    for c in range(channels):
        keep = one + numpy.tanh(epsilon[c, 0])
        for i in range(c, x.shape[0], channels):
            for column in range(0, x.shape[1], len(lanes)):
                less = load(lanes, elu, i, column) * -one
                store(load(lanes, x, i, column) * keep + less, out, i, column)


@compiled
def of_residual(lanes: Any, x: Any, grad: Any, epsilon: Any, to_x: Any, to_epsilon: Any) -> None:
    """The gradients of `residual` for x and ε."""
    one = x.dtype.type(1)
    channels = len(epsilon)
    for c in range(channels):
        keep, total = one + numpy.tanh(epsilon[c, 0]), zero(lanes, x)
        for i in range(c, x.shape[0], channels):
            for column in range(0, x.shape[1], len(lanes)):
                values = load(lanes, grad, i, column)
                store(values * keep, to_x, i, column)
                total += values * load(lanes, x, i, column)
        to_epsilon[c, 0] = total_of(total) * keep * (one + one - keep)
