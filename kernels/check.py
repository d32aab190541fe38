"""What every public kernel asks of its arguments, and the sentence it says when they are wrong."""

from __future__ import annotations

import torch
from torch import Tensor

from gbench.kernels.csr import CSR
from gbench.kernels.library import FLOATS, names_of


def features(name: str, x: Tensor, rows: int, device: torch.device) -> None:
    """Raise unless x is a float matrix of `rows` rows on `device`."""
    if x.dtype not in FLOATS:
        raise TypeError(f"{name} is {x.dtype}: pass {names_of(FLOATS)}")
    if x.dim() != 2 or x.size(0) != rows:
        raise ValueError(f"{name} has shape {tuple(x.shape)}: it should be ({rows}, any width)")
    if x.device != device:
        raise ValueError(f"{name} is on {x.device} but the graph is on {device}")


def beside(name: str, value: Tensor, shape: tuple[int, ...], x: Tensor) -> None:
    """Raise unless `value` has this shape (-1: any size) and x's device and dtype."""
    if value.dim() != len(shape) or any(
        want not in (-1, size) for size, want in zip(value.shape, shape, strict=True)
    ):
        wanted = ", ".join("any" if size == -1 else str(size) for size in shape)
        raise ValueError(f"{name} has shape {tuple(value.shape)}: it should be ({wanted})")
    if value.device != x.device:
        raise ValueError(f"{name} is on {value.device} but the features are on {x.device}")
    if value.dtype != x.dtype:
        raise TypeError(f"{name} is {value.dtype} but the features are {x.dtype}")


def parameter(name: str, value: Tensor, shape: tuple[int, ...], device: torch.device) -> None:
    """Raise unless `value` has this shape, on `device`."""
    if tuple(value.shape) != shape:
        raise ValueError(f"{name} has shape {tuple(value.shape)}: it should be {shape}")
    if value.device != device:
        raise ValueError(f"{name} is on {value.device} but the features are on {device}")


def integers(name: str, value: Tensor, shape: tuple[int, ...], device: torch.device) -> None:
    """Raise unless `value` holds integers of this shape on `device`."""
    if value.is_floating_point() or value.is_complex() or value.dtype == torch.bool:
        raise TypeError(f"{name} is {value.dtype}: pass integers")
    if tuple(value.shape) != shape:
        raise ValueError(f"{name} has shape {tuple(value.shape)}: it should be {shape}")
    if value.device != device:
        raise ValueError(f"{name} is on {value.device} but the features are on {device}")


def square(graph: CSR) -> None:
    """Raise unless rows and columns are the same nodes."""
    if graph.num_rows != graph.num_cols:
        raise ValueError(
            f"the graph has {graph.num_rows} rows and {graph.num_cols} columns: "
            "this needs the same nodes on both sides"
        )


def choice(name: str, given: str, allowed: tuple[str, ...]) -> None:
    """Raise unless `given` is one of `allowed`."""
    if given not in allowed:
        raise ValueError(f"{name}='{given}': pass one of {', '.join(allowed)}")
