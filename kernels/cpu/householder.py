"""CPU, numba: the reflections of LANES matrices at once, one matrix to each lane of a vector.

A matrix alone has loops of two or three steps, which no compiler makes vectors of: lanes are three
times as fast. Arrays of lanes are (…, LANES); the last group repeats its last matrix.
"""

from __future__ import annotations

from typing import Any

import numpy
import torch
from torch import Tensor

from gbench.kernels.cpu.rows import array, compiled, count_chunks, run

LANES = 16


def householder(parameters: Tensor, size: int) -> Tensor:
    """The forward of gbench/kernels/householder.py."""
    out = parameters.new_empty(parameters.size(0), size, size)
    run(reflections, count_chunks(out.numel() * size), array(parameters), array(out))
    return out


def householder_backward(grad: Tensor, parameters: Tensor, q: Tensor) -> Tensor:
    """The gradient of gbench/kernels/householder.py."""
    out = torch.empty(parameters.shape, dtype=parameters.dtype)
    chunks = count_chunks(2 * q.numel() * q.size(1))
    run(reflections_backward, chunks, array(grad), array(parameters), array(q), array(out))
    return out


@compiled
def reflections(first: int, last: int, num_chunks: int, parameters: Any, out: Any) -> int:
    """The matrices of all rows of parameters."""
    count, size = out.shape[0], out.shape[1]
    groups = (count + LANES - 1) // LANES
    v = numpy.empty((size, LANES), out.dtype)
    tau, inner = numpy.empty(LANES, out.dtype), numpy.empty(LANES, out.dtype)
    matrix = numpy.empty((size, size, LANES), out.dtype)
    for group in range(groups * first // num_chunks, groups * last // num_chunks):
        start = group * LANES
        for p in range(size):
            for q in range(size):
                matrix[p, q] = 1 if p == q else 0
        for k in range(size - 1, -1, -1):
            _vector(parameters, start, k, v, tau)
            _reflect(matrix, v, tau, k, k, inner)
        for lane in range(min(LANES, count - start)):
            for p in range(size):
                for q in range(size):
                    out[start + lane, p, q] = matrix[p, q, lane]
    return 0


@compiled
def reflections_backward(
    first: int, last: int, num_chunks: int, grad: Any, parameters: Any, q: Any, out: Any
) -> int:
    """The gradient for the parameters, q being what they gave."""
    count, size = q.shape[0], q.shape[1]
    groups = (count + LANES - 1) // LANES
    v, tau = numpy.empty((size, LANES), q.dtype), numpy.empty(LANES, q.dtype)
    left = numpy.empty((size, size, LANES), q.dtype)
    right = numpy.empty((size, size, LANES), q.dtype)
    from_left = numpy.empty((size, LANES), q.dtype)
    from_right = numpy.empty((size, LANES), q.dtype)
    inner, both = numpy.empty(LANES, q.dtype), numpy.empty(LANES, q.dtype)
    for group in range(groups * first // num_chunks, groups * last // num_chunks):
        start = group * LANES
        _load(grad, start, left)
        _load(q, start, right)
        for k in range(size - 1):
            _vector(parameters, start, k, v, tau)
            _reflect(right, v, tau, k, 0, inner)
            _times_transposed(right, v, k, from_right)
            _times_transposed(left, v, k, from_left)
            inner[:] = 0
            for j in range(size):
                for lane in range(LANES):
                    inner[lane] += from_left[j, lane] * from_right[j, lane]
            for i in range(k + 1, size):
                both[:] = 0
                for j in range(size):
                    for lane in range(LANES):
                        both[lane] += left[i, j, lane] * from_right[j, lane]
                        both[lane] += right[i, j, lane] * from_left[j, lane]
                for lane in range(min(LANES, count - start)):
                    value = tau[lane] * (tau[lane] * inner[lane] * v[i, lane] - both[lane])
                    out[start + lane, i * (i - 1) // 2 + k] = value
            _reflect(left, v, tau, k, 0, inner)
    return 0


@compiled
def _load(matrices: Any, start: int, out: Any) -> None:
    """LANES matrices from `start` on."""
    count, size = matrices.shape[0], matrices.shape[1]
    for lane in range(LANES):
        e = min(start + lane, count - 1)
        for i in range(size):
            for j in range(size):
                out[i, j, lane] = matrices[e, i, j]


@compiled
def _vector(parameters: Any, start: int, k: int, v: Any, tau: Any) -> None:
    """Column k of the unit lower triangular matrices, from row k on, into v; and τ."""
    count = parameters.shape[0]
    v[k] = 1
    tau[:] = 1
    for i in range(k + 1, len(v)):
        for lane in range(LANES):
            v[i, lane] = parameters[min(start + lane, count - 1), i * (i - 1) // 2 + k]
            tau[lane] += v[i, lane] * v[i, lane]
    for lane in range(LANES):
        tau[lane] = 2 / tau[lane]


@compiled
def _reflect(matrix: Any, v: Any, tau: Any, k: int, first: int, inner: Any) -> None:
    """(I - τ v vᵀ) matrix, in place, from column `first` on. v is zero before row k."""
    size = len(v)
    for j in range(first, size):
        inner[:] = 0
        for i in range(k, size):
            for lane in range(LANES):
                inner[lane] += v[i, lane] * matrix[i, j, lane]
        for i in range(k, size):
            for lane in range(LANES):
                matrix[i, j, lane] -= tau[lane] * inner[lane] * v[i, lane]


@compiled
def _times_transposed(matrix: Any, v: Any, k: int, out: Any) -> None:
    """matrixᵀ v; v is zero before row k."""
    size = len(v)
    for j in range(size):
        out[j] = 0
        for i in range(k, size):
            for lane in range(LANES):
                out[j, lane] += v[i, lane] * matrix[i, j, lane]
