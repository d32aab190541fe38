"""Restriction maps of any kind, normalised: each times its node's D^-1/2.

    M_ve = F_ve D_v^-1/2,   D_v = I + Σ_{e∋v} F_veᵀ F_ve        hence   D^-1/2 L_F D^-1/2 = L_M

so that the normalised sheaf Laplacian of F is the plain one of M, with nothing before or after it.

Gradient: with R = D^-1/2 and R̄_v = Σ F_veᵀ M̄_ve, which gives D̄_v as in `inverse_sqrt`,
    F̄_ve = M̄_ve R_v + F_ve (D̄_v + D̄_vᵀ)

For the GPU, where launches count: on the CPU `sheaf_blocks`, `inverse_sqrt` and products stand in.

Bytes moved: E·d²·12 forward and E·d²·20 backward in float32, and N·d²·8 for the eigenvectors.

Legend: N nodes, E entries, d stalk dimension (S in shapes).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gbench.kernels import library
from gbench.kernels.csr import CSR
from gbench.kernels.inverse_sqrt import reference as inverse_sqrt
from gbench.kernels.sheaf_blocks import reference as sheaf_blocks


def reference(graph: CSR, maps: Tensor) -> Tensor:
    """The specification."""
    blocks = sheaf_blocks(graph, maps)
    root = inverse_sqrt(blocks + torch.eye(maps.size(1)).to(blocks))
    return (maps.to(root.dtype) @ root[graph.row]).to(maps.dtype)


@library.operation("maps")
def normal_maps(graph: CSR, maps: Tensor) -> Tensor:
    """F_ve D_v^-1/2 for each entry. Shapes: maps (E, S, S) → (E, S, S)."""
    if not library.has_kernel("normal_maps", maps):
        return reference(graph, maps)
    out: Tensor
    out, _, _ = _NORMAL(graph.rowptr, graph.bound, maps)
    return out


def _fake(rowptr: Tensor, longest: int, maps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    num_nodes, stalk = rowptr.size(0) - 1, maps.size(1)
    return (
        torch.empty_like(maps, memory_format=torch.contiguous_format),
        maps.new_empty((num_nodes, stalk), dtype=torch.float64),
        maps.new_empty((num_nodes, stalk, stalk), dtype=torch.float64),
    )


_NORMAL = library.define(
    "normal_maps(Tensor rowptr, int longest, Tensor maps) -> (Tensor, Tensor, Tensor)", _fake
)


def _fake_backward(
    grad: Tensor, rowptr: Tensor, longest: int, maps: Tensor, values: Tensor, vectors: Tensor
) -> Tensor:
    return torch.empty_like(maps, memory_format=torch.contiguous_format)


_BACKWARD = library.define(
    "normal_maps_backward(Tensor grad, Tensor rowptr, int longest, Tensor maps, Tensor values, "
    "Tensor vectors) -> Tensor",
    _fake_backward,
    dict.fromkeys(("values", "vectors"), library.double),
)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    rowptr, ctx.longest, maps = inputs
    ctx.mark_non_differentiable(*output[1:])
    ctx.save_for_backward(rowptr, maps, *output[1:])


def _backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Any, ...]:
    rowptr, *saved = ctx.saved_tensors
    return None, None, _BACKWARD(grad, rowptr, ctx.longest, *saved)


library.differentiate("normal_maps", _save, _backward)
