"""CPU: the three products of a dense layer: by BLAS, as a convolution, or of bfloat16 numbers.

What torch multiplies in float32 it gives to its BLAS, MKL, which on processors that are not
Intel's leaves half of the units alone. A convolution it gives to oneDNN. Rows are the pixels of
one image, features its channels, which in the memory format channels_last is the same array; a
kernel of 1 × 1 then is the dense layer. On one thread torch would multiply such a convolution
itself. It does not if the kernel is dilated, which one of 1 × 1 does not notice. The gradient of
the weights is faster from many images of 16 rows; the rows that fill none are added by themselves.

oneDNN, which has the products in bfloat16 too, makes code for each number of rows that it meets, in
0.6 ms, in bfloat16 3 to 6 ms, which is ten times the product of a batch of 32 molecules, and keeps
the last 1,024 codes. Batches of molecules hardly ever have as many rows as another: zeros are added
until they do. A processor that has no products of bfloat16 is 8 to 10 times slower at them than in
float32, in which the same numbers have the same products: there they are widened first.

Legend: N rows, I features in, O out.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional, grad

from gbench.kernels.cpu.ways import BFLOAT16, TORCH, WIDENED

DILATED = (2, 2)
TILE = 16
GRAIN = 32
MOST_PADDED = {torch.float32: 4096, torch.bfloat16: 32_768}


def forward(x: Tensor, weight: Tensor, bias: Tensor | None, way: str) -> Tensor:
    """The product x Wᵀ + b. Shapes: x (N, I), weight (O, I), bias (O,) → (N, O)."""
    if way == TORCH:
        return functional.linear(x, weight, bias)
    if way == WIDENED:
        bias = None if bias is None else _widened(bias)
        return functional.linear(_widened(x), _widened(weight), bias).to(torch.bfloat16)
    if way == BFLOAT16:
        bias = None if bias is None else bias.to(torch.bfloat16)
        out = functional.linear(padded(x, torch.bfloat16), rounded(weight, way), bias)
        return out[: x.size(0)]
    pixels = padded(x, x.dtype)
    image = _images(pixels, pixels.size(0))
    out = functional.conv2d(image, weight[:, :, None, None], bias, dilation=DILATED)
    return out.permute(0, 2, 3, 1).reshape(-1, weight.size(0))[: x.size(0)]


def rounded(weight: Tensor, way: str) -> Tensor:
    """The weights as the products read them: rounded once for all three."""
    return weight.to(torch.bfloat16) if way in (BFLOAT16, WIDENED) else weight


def grad_x(grad_out: Tensor, weight: Tensor, way: str) -> Tensor:
    """ȳ W. Shapes: grad_out (N, O), weight (O, I) → (N, I)."""
    return grad_out @ weight if way == TORCH else forward(grad_out, weight.t(), None, way)


def grad_weight(grad_out: Tensor, x: Tensor, way: str) -> Tensor:
    """ȳᵀ x. Shapes: grad_out (N, O), x (N, I) → (O, I)."""
    if way == TORCH:
        return grad_out.t() @ x
    if way == WIDENED:
        return _widened(grad_out[: x.size(0)]).t() @ _widened(x)
    if way == BFLOAT16:
        return padded(grad_out, torch.bfloat16).t() @ padded(x, torch.bfloat16)
    whole = x.size(0) // TILE * TILE
    pixels, grads = (_images(each[:whole].contiguous(), TILE) for each in (x, grad_out))
    shape = (grad_out.size(1), x.size(1))
    found: Tensor = grad.conv2d_weight(pixels, (*shape, 1, 1), grads, dilation=DILATED)
    found = found.view(shape)
    return found.addmm_(grad_out[whole:].t(), x[whole:]) if whole < x.size(0) else found


def _widened(x: Tensor) -> Tensor:
    """float32, rounded to what bfloat16 has."""
    return x.to(torch.bfloat16).float()


def padded(x: Tensor, dtype: torch.dtype) -> Tensor:
    """The rows and, where few other batches have as many, zeros below them.

    Up to 4,096 rows there are 32 at a time, beyond them 1 to 2 % more. With so many that making
    code takes less time than adding rows would, all stay as they are.
    """
    rows = x.size(0)
    grain = max(GRAIN, 1 << max(rows // 128, 1).bit_length() - 1)
    missing = -rows % grain if rows <= MOST_PADDED[dtype] else 0
    if not missing:
        return x.to(dtype).contiguous()
    out = x.new_empty(rows + missing, x.size(1), dtype=dtype)
    out[:rows] = x
    out[rows:].zero_()
    return out


def _images(x_NF: Tensor, pixels: int) -> Tensor:
    """So many rows as the pixels of each image: (N / pixels, F, pixels, 1), features together."""
    return x_NF.view(-1, pixels, 1, x_NF.size(1)).permute(0, 3, 1, 2)
