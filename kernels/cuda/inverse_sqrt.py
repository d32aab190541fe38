"""CUDA: cyclic Jacobi rotations in float64, a tile of blocks per program, all in registers.

torch.linalg.eigh would do, but makes the host wait for the device to say that it converged.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from gbench.kernels.cuda.rows import cdiv, kernel, launch, power_of_2

SWEEPS: tl.constexpr = tl.constexpr(10)  # quadratic convergence: five are the rule for 3 × 3


def inverse_sqrt(blocks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The forward of gbench/kernels/inverse_sqrt.py, with eigenvalues and eigenvectors."""
    blocks = blocks.contiguous()
    values = blocks.new_empty(blocks.shape[:2], dtype=torch.float64)
    vectors = blocks.new_empty(blocks.shape, dtype=torch.float64)
    root = blocks.new_empty(blocks.shape)
    _launch(_forward, blocks, root, values, vectors)
    return root, values, vectors


def inverse_sqrt_backward(grad: Tensor, values: Tensor, vectors: Tensor) -> Tensor:
    """The gradient of gbench/kernels/inverse_sqrt.py."""
    out = grad.new_empty(grad.shape)
    _launch(_backward, grad.contiguous(), values, vectors, out)
    return out


def _launch(function: triton.JITFunction, blocks: Tensor, *args: Tensor) -> None:
    """Call function(blocks, *args, number of blocks, tile sizes)."""
    if blocks.numel():
        num_blocks, size, _ = blocks.shape
        tile = tile_rows(size)
        sizes = {"SIZE": size, "PADDED": power_of_2(size), "TILE": tile, "num_warps": 1}
        launch(function, (cdiv(num_blocks, tile),), blocks, *args, num_blocks, **sizes)


def tile_rows(size: int) -> int:
    """Blocks of one tile: a product of two has size³ terms."""
    return max(1, 128 // power_of_2(size) ** 3)


@triton.jit
def times(a: tl.tensor, b: tl.tensor) -> tl.tensor:
    """Product a @ b of each pair of small blocks."""
    return tl.sum(a[:, :, :, None] * b[:, None, :, :], 2)


@triton.jit
def _turned(
    a: tl.tensor, i: tl.tensor, p: tl.constexpr, q: tl.constexpr, c: tl.tensor, s: tl.tensor
) -> tl.tensor:
    """Each block with its columns p and q turned: c a_p - s a_q and s a_p + c a_q."""
    at_p, at_q = (i == p)[None, None, :], (i == q)[None, None, :]
    a_p = tl.sum(tl.where(at_p, a, 0.0), 2)
    a_q = tl.sum(tl.where(at_q, a, 0.0), 2)
    new_p, new_q = c[:, None] * a_p - s[:, None] * a_q, s[:, None] * a_p + c[:, None] * a_q
    return tl.where(at_p, new_p[:, :, None], tl.where(at_q, new_q[:, :, None], a))


@triton.jit
def _pick(a: tl.tensor, at: tl.tensor) -> tl.tensor:
    """The one element of each block where `at` is true."""
    return tl.sum(tl.sum(tl.where(at[None, :, :], a, 0.0), 2), 1)


@triton.jit
def eigen(work: tl.tensor, SIZE: tl.constexpr, PADDED: tl.constexpr) -> tl.tensor:
    """Eigenvalues (TILE, PADDED) and eigenvectors of symmetric blocks in float64.

    What pads a block is the identity and stays it.
    """
    i = tl.arange(0, PADDED)
    eye = (i[:, None] == i[None, :])[None, :, :]
    vectors = tl.where(eye, 1.0, 0.0).to(tl.float64) + tl.zeros_like(work)
    for _ in range(SWEEPS):
        for p in tl.static_range(SIZE - 1):
            for q in tl.static_range(p + 1, SIZE):
                row, column = i[:, None], i[None, :]
                off = _pick(work, (row == p) & (column == q))
                apart = _pick(work, (row == q) & (column == q))
                apart -= _pick(work, (row == p) & (column == p))
                # tan of the angle that zeroes work[p, q]; 0 where it is zero already
                length = tl.abs(apart) + tl.sqrt(apart * apart + 4 * off * off)
                sign = tl.where(apart < 0, -1.0, 1.0)
                tangent = tl.where(off == 0, 0.0, sign * 2 * off / tl.where(off == 0, 1.0, length))
                cosine = 1.0 / tl.sqrt(tangent * tangent + 1)
                sine = tangent * cosine
                work = _turned(work, i, p, q, cosine, sine)
                work = _turned(tl.trans(work, (0, 2, 1)), i, p, q, cosine, sine)
                vectors = _turned(vectors, i, p, q, cosine, sine)
    return tl.sum(tl.where(eye, work, 0.0), 2), vectors


@triton.jit
def root_of(values: tl.tensor, vectors: tl.tensor) -> tl.tensor:
    """V diag(λ^-1/2) Vᵀ."""
    return times(vectors * (1.0 / tl.sqrt(values))[:, None, :], tl.trans(vectors, (0, 2, 1)))


@triton.jit
def through_root(grad: tl.tensor, values: tl.tensor, vectors: tl.tensor) -> tl.tensor:
    """The gradient for the blocks from that of their inverse roots, as in the operation's file."""
    turned = tl.trans(vectors, (0, 2, 1))
    root = tl.sqrt(values)
    row, column = root[:, :, None], root[:, None, :]
    inner = times(times(turned, grad), vectors) * (-1.0 / (row * column * (row + column)))
    return times(times(vectors, inner), turned)


@kernel
def _forward(
    blocks: tl.tensor,
    root: tl.tensor,
    values: tl.tensor,
    vectors: tl.tensor,
    num_blocks: tl.tensor,
    SIZE: tl.constexpr,
    PADDED: tl.constexpr,
    TILE: tl.constexpr,
) -> None:
    block = tl.program_id(0).to(tl.int64) * TILE + tl.arange(0, TILE)
    side = tl.arange(0, PADDED)
    i, j = side[None, :, None], side[None, None, :]
    place = block[:, None, None] * (SIZE * SIZE)
    mask = (block < num_blocks)[:, None, None] & (i < SIZE) & (j < SIZE)
    # The upper triangle is mirrored, as on the CPU.
    mirrored = place + tl.maximum(i, j) * SIZE + tl.minimum(i, j)
    work = tl.load(blocks + mirrored, mask=mask, other=0.0).to(tl.float64)
    work = tl.where(mask, work, tl.where(i == j, 1.0, 0.0).to(tl.float64))
    found, turned = eigen(work, SIZE, PADDED)
    inside = (block < num_blocks)[:, None] & (side < SIZE)[None, :]
    tl.store(values + block[:, None] * SIZE + side[None, :], found, mask=inside)
    place += i * SIZE + j
    tl.store(vectors + place, turned, mask=mask)
    tl.store(root + place, root_of(found, turned).to(root.dtype.element_ty), mask=mask)


@kernel
def _backward(
    grad: tl.tensor,
    values: tl.tensor,
    vectors: tl.tensor,
    out: tl.tensor,
    num_blocks: tl.tensor,
    SIZE: tl.constexpr,
    PADDED: tl.constexpr,
    TILE: tl.constexpr,
) -> None:
    block = tl.program_id(0).to(tl.int64) * TILE + tl.arange(0, TILE)
    side = tl.arange(0, PADDED)
    i, j = side[None, :, None], side[None, None, :]
    place = block[:, None, None] * (SIZE * SIZE) + i * SIZE + j
    mask = (block < num_blocks)[:, None, None] & (i < SIZE) & (j < SIZE)
    slope = tl.load(grad + place, mask=mask, other=0.0).to(tl.float64)
    turned = tl.load(vectors + place, mask=mask, other=0.0)
    inside = (block < num_blocks)[:, None] & (side < SIZE)[None, :]
    found = tl.load(values + block[:, None] * SIZE + side[None, :], mask=inside, other=1.0)
    tl.store(out + place, through_root(slope, found, turned).to(out.dtype.element_ty), mask=mask)
