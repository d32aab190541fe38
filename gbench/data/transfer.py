"""From the CPU to a device: all tensors of a batch in one copy that the host does not wait for.

A copy from ordinary memory makes the host wait until the device has done all that was asked of it
before, and each costs some microseconds to ask for. So the tensors are laid side by side in one
buffer of pages that the device reads by itself, and are views of its copy there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")

ALIGNMENT = 256  # bytes, as torch aligns memory of its own on a GPU: kernels load 16 at once


class Packed(Generic[T]):
    """A value whose tensors lie in one buffer from which a kind of device copies: see `to`.

    The value is a tensor, or made of tensors by tuples and dataclasses. What it is beside them
    stays as it is; a tensor that occurs twice is copied once.
    """

    def __init__(self, value: T, device: torch.device) -> None:
        self.value = value
        self.places: dict[int, int] = {}  # of a tensor, by its identity, where it begins
        self.buffer: Tensor | None = None
        if device.type == "cpu":
            return
        apart = {id(tensor): tensor for tensor in _tensors(value) if tensor.device.type == "cpu"}
        size = 0
        for key, tensor in apart.items():
            self.places[key] = size
            size += math.ceil(tensor.nbytes / ALIGNMENT) * ALIGNMENT
        self.buffer = buffer(size, device) if apart else None
        for key, tensor in apart.items():
            assert self.buffer is not None
            _view(self.buffer, self.places[key], tensor).copy_(tensor)

    def to(self, device: torch.device) -> T:
        """The value on a device; itself where all of it is there."""
        if all(tensor.device == device for tensor in _tensors(self.value)):
            return self.value
        if self.buffer is None:
            return _on_each(self.value, lambda tensor: tensor.to(device))
        return self.read(self.buffer.to(device, non_blocking=True))

    def read(self, copy: Tensor) -> T:
        """The value with its tensors from a copy of the buffer."""

        def move(tensor: Tensor) -> Tensor:
            place = self.places.get(id(tensor))
            return tensor.to(copy.device) if place is None else _view(copy, place, tensor)

        return _on_each(self.value, move)


def on_device(value: T, device: torch.device) -> T:
    """A tensor, or a tuple or dataclass of tensors, on a device: see `Packed`."""
    return Packed(value, device).to(device)


def buffer(num_bytes: int, device: torch.device) -> Tensor:
    """Memory on the CPU from which `device` copies by itself, where it can.

    Torch keeps it from being used again until the copy is done.
    """
    if device.type != "cuda" or not torch.cuda.is_available():  # there is none to pin for
        return torch.empty(num_bytes, dtype=torch.uint8)
    with torch.cuda.device(device):  # in a thread of its own the current one is the first
        return torch.empty(num_bytes, dtype=torch.uint8, pin_memory=True)


def _on_each(value: T, move: Callable[[Tensor], Tensor]) -> T:
    """The value with each of its tensors moved; parts that are one object stay one."""
    moved: dict[int, Any] = {}

    def of(part: Any) -> Any:
        if id(part) not in moved:
            moved[id(part)] = made_of(part)
        return moved[id(part)]

    def made_of(part: Any) -> Any:
        if isinstance(part, Tensor):
            return move(part)
        if isinstance(part, tuple):
            parts = map(of, part)
            return type(part)(*parts) if hasattr(part, "_fields") else tuple(parts)
        if is_dataclass(part) and not isinstance(part, type):
            return replace(part, **{f.name: of(getattr(part, f.name)) for f in fields(part)})
        return part

    result: T = of(value)
    return result


def _tensors(value: Any) -> Iterator[Tensor]:
    """Each of its tensors, as often as it occurs."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple):
        for part in value:
            yield from _tensors(part)
    elif is_dataclass(value):
        for part in vars(value).values():
            yield from _tensors(part)


def _view(buffer: Tensor, place: int, like: Tensor) -> Tensor:
    part = buffer[place : place + like.numel() * like.itemsize]
    return part.view(like.dtype).view(like.shape)
