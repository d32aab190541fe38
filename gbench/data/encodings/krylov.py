"""The largest eigenvalues of a sparse symmetric matrix, each as often as it occurs.

A single Lanczos vector, as ARPACK's, meets one copy of an eigenvalue and begins anew at random
where its space ends: a star's after three steps. Here spaces grow from a block of vectors, the same
in every call, that has room for more copies than are asked for. A polynomial of the matrix takes
its place (Zhou and Saad, "A Chebyshev-Davidson algorithm for large symmetric eigenproblems", SIAM
J. Matrix Anal. Appl. 2007), so that few steps need all vectors made orthogonal.

Legend: n rows, K eigenvectors that are wanted, B vectors in a block, M in a basis.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

BLOCKS = 5  # of a basis
MARGIN = 4  # vectors of a block beside the wanted
FIRST = (6, 0.3)  # degree and cut before anything is known
GAIN = 100.0  # of the last wanted eigenvalue against those below the cut, in one step
MAX_DEGREE = 1000
MAX_CYCLES = 100
TOLERANCE = 1e-8  # of ‖A v - λ v‖: the vectors are kept as float32, to 6e-8


class NoConvergenceError(ArithmeticError):
    """The residuals are still too large after MAX_CYCLES."""


def largest(matrix: sp.csr_matrix, known: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The `count` largest eigenvalues, falling, and their vectors, but for the vector `known`.

    All eigenvalues are in [-1, 1]. The result is the same bit for bit while BLAS has one thread.

    Shapes: matrix n × n, known (n,) of length 1 → (K,), (n, K).
    Raises NoConvergenceError.
    """
    block = np.random.RandomState(0).standard_normal((known.size, count + MARGIN))
    degree, cut = FIRST
    for _ in range(MAX_CYCLES):
        basis = _basis(matrix, block, known, degree, cut)
        image = matrix @ basis
        values, vectors = np.linalg.eigh(basis.T @ image)
        values, vectors = values[::-1], vectors[:, : -count - MARGIN - 1 : -1]
        block = basis @ vectors
        wanted = block[:, :count]
        residual = image @ vectors[:, :count] - wanted * values[:count]
        if np.linalg.norm(residual, axis=0).max() <= TOLERANCE:
            return values[:count], wanted
        degree, cut = _filter(values, count)
    raise NoConvergenceError(f"{MAX_CYCLES} cycles of {BLOCKS} blocks")


def _basis(
    matrix: sp.csr_matrix, block: np.ndarray, known: np.ndarray, degree: int, cut: float
) -> np.ndarray:
    """Orthonormal columns that span X, p(A) X, p(A)² X, …, all orthogonal to `known`: (n, M)."""
    basis = known[:, None]
    for step in range(BLOCKS):
        block = _outside(_amplified(matrix, block, degree, cut) if step else block, basis)
        basis = np.concatenate([basis, block], axis=1)
        if block.shape[1] == 0:  # the space ends: it is all that the block can say
            break
    found: np.ndarray = basis[:, 1:]
    return found


def _amplified(matrix: sp.csr_matrix, x: np.ndarray, degree: int, cut: float) -> np.ndarray:
    """p(A) x, p the Chebyshev polynomial that is at most 1 on [-1, cut] and grows above it."""
    centre, half = (cut - 1) / 2, (cut + 1) / 2
    before, here = x, (matrix @ x - centre * x) / half
    for _ in range(degree - 1):
        before, here = here, (matrix @ here - centre * here) * (2 / half) - before
    return np.asarray(here)


def _filter(values: np.ndarray, count: int) -> tuple[int, float]:
    """Degree and cut by the Ritz values: an eigenvalue with more copies than wanted is above it."""
    cut = min(values[min(2 * (count + MARGIN), values.size - 1)], values[count - 1] - 1e-12)
    cut = max(cut, -0.99)
    above = 2 * (values[count - 1] - cut) / (cut + 1)
    degree = np.arccosh(GAIN) / np.arccosh(1 + max(above, 1e-12))
    return int(np.clip(degree, 1, MAX_DEGREE)), cut


def _outside(block: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Orthonormal columns that span the block's part outside the basis: (n, at most B)."""
    for _ in range(2):  # twice is enough (Parlett)
        size = np.linalg.norm(block, axis=0)
        block = block / np.where(size > 0, size, 1)
        block = block - basis @ (basis.T @ block)
        values, vectors = np.linalg.eigh(block.T @ block)
        is_new = values > 1e-20
        block = np.asarray(block @ vectors[:, is_new] / np.sqrt(values[is_new]))
    return block
