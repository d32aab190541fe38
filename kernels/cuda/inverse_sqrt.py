"""CUDA: cyclic Jacobi rotations in float64, a tile of blocks per program, all in registers.

torch.linalg.eigh would do, but makes the host wait for the device to say that it converged.
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from gbench.kernels.cuda.rows import cdiv, kernel, launch, power_of_2

SWEEPS = 10  # quadratic convergence: five are the rule for 3 × 3


def inverse_sqrt(blocks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The forward of gbench/kernels/inverse_sqrt.py, with eigenvalues and eigenvectors."""
    work = blocks.detach().double().contiguous()
    num_blocks, size, _ = work.shape
    values, vectors = work.new_empty(num_blocks, size), work.new_empty(work.shape)
    if work.numel():
        padded = power_of_2(size)
        tile = max(1, 512 // padded**3)  # a product of two blocks has size³ terms
        grid = (cdiv(num_blocks, tile),)
        sizes = {"SIZE": size, "PADDED": padded, "TILE": tile, "SWEEPS": SWEEPS}
        launch(_eigen, grid, work, values, vectors, num_blocks, **sizes)
    root = (vectors * values.rsqrt()[:, None, :]) @ vectors.mT
    return root.to(blocks.dtype), values, vectors


def inverse_sqrt_backward(grad: Tensor, values: Tensor, vectors: Tensor) -> Tensor:
    """The gradient of gbench/kernels/inverse_sqrt.py."""
    root = values.sqrt()
    product = root[:, :, None] * root[:, None, :]
    slope = -1 / (product * (root[:, :, None] + root[:, None, :]))
    inner = vectors.mT @ grad.detach().double() @ vectors
    return (vectors @ (slope * inner) @ vectors.mT).to(grad.dtype)


@triton.jit
def _times(a: tl.tensor, b: tl.tensor) -> tl.tensor:
    """Product a @ b of each pair of small blocks."""
    return tl.sum(a[:, :, :, None] * b[:, None, :, :], 2)


@triton.jit
def _pick(a: tl.tensor, at: tl.tensor) -> tl.tensor:
    """The one element of each block where `at` is true."""
    return tl.sum(tl.sum(tl.where(at, a, 0.0), 2), 1)


@kernel
def _eigen(
    blocks: tl.tensor,
    values: tl.tensor,
    vectors: tl.tensor,
    num_blocks: tl.tensor,
    SIZE: tl.constexpr,
    PADDED: tl.constexpr,
    TILE: tl.constexpr,
    SWEEPS: tl.constexpr,
) -> None:
    block = tl.program_id(0) * TILE + tl.arange(0, TILE)
    side = tl.arange(0, PADDED)
    i, j = side[None, :, None], side[None, None, :]
    place = block.to(tl.int64)[:, None, None] * (SIZE * SIZE)
    mask = (block < num_blocks)[:, None, None] & (i < SIZE) & (j < SIZE)
    # The upper triangle is mirrored, as on the CPU; what pads is the identity and stays it.
    work = tl.load(
        blocks + place + tl.minimum(i, j) * SIZE + tl.maximum(i, j), mask=mask, other=0.0
    )
    eye = tl.where(i == j, 1.0, 0.0).to(tl.float64) + tl.zeros_like(work)
    work = tl.where(mask, work, eye)
    turned = eye
    for _ in range(SWEEPS):
        for p in tl.static_range(SIZE - 1):
            for q in tl.static_range(p + 1, SIZE):
                off = _pick(work, (i == p) & (j == q))
                apart = _pick(work, (i == q) & (j == q)) - _pick(work, (i == p) & (j == p))
                # tan of the angle that zeroes work[p, q]; 0 where it is zero already
                length = tl.abs(apart) + tl.sqrt(apart * apart + 4 * off * off)
                sign = tl.where(apart < 0, -1.0, 1.0)
                tangent = tl.where(off == 0, 0.0, sign * 2 * off / tl.where(off == 0, 1.0, length))
                cosine = 1.0 / tl.sqrt(tangent * tangent + 1)
                sine = (tangent * cosine)[:, None, None]
                keeps = ((i == p) & (j == p)) | ((i == q) & (j == q))
                turn = tl.where(keeps, cosine[:, None, None], eye)
                turn = tl.where((i == p) & (j == q), sine, turn)
                turn = tl.where((i == q) & (j == p), -sine, turn)
                work = _times(tl.trans(turn, (0, 2, 1)), _times(work, turn))
                turned = _times(turned, turn)
    diagonal = tl.sum(tl.where(i == j, work, 0.0), 2)
    inside = (block < num_blocks)[:, None] & (side < SIZE)[None, :]
    tl.store(values + block.to(tl.int64)[:, None] * SIZE + side[None, :], diagonal, mask=inside)
    tl.store(vectors + place + i * SIZE + j, turned, mask=mask)
