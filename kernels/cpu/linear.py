"""CPU: the three products of a dense layer, each by torch's matrix product or by a convolution.

What torch multiplies in float32 it gives to its BLAS, MKL, which on processors that are not
Intel's leaves half of the units alone. A convolution it gives to oneDNN. Rows are the pixels of
one image, features its channels, which in the memory format channels_last is the same array; a
kernel of 1 × 1 then is the dense layer. On one thread torch would multiply such a convolution
itself. It does not if the kernel is dilated, which one of 1 × 1 does not notice. The gradient of
the weights is faster from many images of 16 rows; the rows that fill none are added by themselves.

Legend: N rows, I features in, O out.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional, grad

from gbench.kernels.cpu.ways import CONVOLUTION

DILATED = (2, 2)
TILE = 16


def forward(x: Tensor, weight: Tensor, bias: Tensor | None, way: str) -> Tensor:
    """X Wᵀ + b. Shapes: x (N, I), weight (O, I), bias (O,) → (N, O)."""
    if way != CONVOLUTION:
        return functional.linear(x, weight, bias)
    image = _image(x.contiguous(), x.size(0))
    out = functional.conv2d(image, weight[:, :, None, None], bias, dilation=DILATED)
    return out.permute(0, 2, 3, 1).reshape(-1, weight.size(0))


def grad_x(grad_out: Tensor, weight: Tensor, way: str) -> Tensor:
    """ȳ W. Shapes: grad_out (N, O), weight (O, I) → (N, I)."""
    if way != CONVOLUTION:
        return grad_out @ weight
    return forward(grad_out, weight.t(), None, way)


def grad_weight(grad_out: Tensor, x: Tensor, way: str) -> Tensor:
    """ȳᵀ x. Shapes: grad_out (N, O), x (N, I) → (O, I)."""
    if way != CONVOLUTION:
        return grad_out.t() @ x
    whole = x.size(0) // TILE * TILE
    pixels, grads = (_image(each[:whole].contiguous(), TILE) for each in (x, grad_out))
    shape = (grad_out.size(1), x.size(1))
    found: Tensor = grad.conv2d_weight(pixels, (*shape, 1, 1), grads, dilation=DILATED)
    found = found.view(shape)
    return found.addmm_(grad_out[whole:].t(), x[whole:]) if whole < x.size(0) else found


def _image(x_NF: Tensor, rows: int) -> Tensor:
    """So many rows as the pixels of each image: (N / rows, F, rows, 1), features side by side."""
    return x_NF.view(-1, rows, 1, x_NF.size(1)).permute(0, 3, 1, 2)
