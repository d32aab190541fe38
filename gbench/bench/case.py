"""One operation on one workload: its inputs, how gbench computes it, and who else can."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from gbench.bench.workloads import Workload

# Largest error allowed, as a part of the largest value. Peers add up in other orders than we do; a
# wrong index or a missing term is off by a tenth and more.
TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 3e-2}


REFERENCE_ELEMENTS = 1 << 27  # 1 GiB in float64


class Mismatch(Exception):
    """What came out is not what the operation means."""


Leaves = dict[str, tuple[Tensor, ...]]


def leaves(values: Mapping[str, Tensor], dtype: torch.dtype) -> Leaves:
    """Fresh tensors that get a gradient, with these values."""
    return {
        name: (value.detach().to(dtype, copy=True).requires_grad_(),)
        for name, value in values.items()
    }


def on_lattice(
    *shape: int, device: torch.device, dtype: torch.dtype = torch.float32, off: bool = False
) -> Tensor:
    """Normal numbers in steps of 1/64, of 1/8 in bfloat16: sums of a few are exact.

    With one of the terms `off` the lattice, by half a step or less, a sum is never zero, where
    rounding would decide whether a ReLU lets a gradient through.
    """
    steps, aside = (8, 1 / 16) if dtype == torch.bfloat16 else (64, 1 / 256)
    values = torch.randn(shape, device=device).mul(steps).round().div(steps)
    return values + aside if off else values


def normal(*shape: int, device: torch.device, dtype: torch.dtype = torch.float32) -> Tensor:
    """Normal numbers that are the same in `dtype` and in float64."""
    return torch.randn(shape, device=device).to(dtype)


def word(dtype: torch.dtype) -> str:
    """What tells a case in this type from the one in float32, for a plan's detail."""
    return "" if dtype == torch.float32 else f" {str(dtype).removeprefix('torch.')}"


def by_columns(function: Callable[[Tensor], Tensor], x: Tensor, num_entries: int) -> Tensor:
    """Apply what treats each column alone to a few at a time, as a reference holds E messages."""
    width = max(1, REFERENCE_ELEMENTS // max(num_entries, 1))
    return torch.cat([function(part) for part in x.split(width, dim=1)], dim=1)


class Arm(NamedTuple):
    """One way to compute the operation.

    `leaves` are the tensors that get a gradient, under the names that the reference gives them;
    several under one name are parts of one tensor, such as a layer's tables.
    """

    call: Callable[[], Tensor]
    leaves: Leaves

    def forward(self) -> Tensor:
        """The value alone, as in inference."""
        with torch.no_grad():
            return self.call()

    def gradients(self, grad: Tensor) -> tuple[Tensor, ...]:
        """Forward and backward."""
        flat = [leaf for leaves in self.leaves.values() for leaf in leaves]
        return torch.autograd.grad(self.call(), flat, grad)

    @staticmethod
    def of(
        function: Callable[..., Tensor],
        values: Mapping[str, Tensor],
        dtype: torch.dtype = torch.float32,
    ) -> Arm:
        """A function of tensors that all get a gradient."""
        own = leaves(values, dtype)
        inputs = [leaf for (leaf,) in own.values()]
        return Arm(lambda: function(*inputs), own)

    def named_gradients(self, grad: Tensor) -> dict[str, Tensor]:
        """The gradients by the reference's names, flat, in float64."""
        found = iter(self.gradients(grad))
        return {
            name: torch.cat([next(found).detach().double().flatten() for _ in leaves])
            for name, leaves in self.leaves.items()
        }


@dataclass(frozen=True)
class Case:
    """An operation on a workload.

    `reference` computes it in float64 from plain torch operations. A peer is built when it is to
    be measured, and raises ImportError where its package is not installed. `moved` is the number of
    bytes that the operation has to read and write, forward and in both directions. With `dropout`,
    outputs that are zero and should not be count as dropped.
    """

    reference: Arm
    ours: Arm
    peers: Mapping[str, Callable[[], Arm]]
    moved: tuple[int, int]
    dtype: torch.dtype = torch.float32
    dropout: float = 0.0


class Plan(NamedTuple):
    """A case that can be built once its workload is there."""

    workload: str  # a name of gbench/bench/workloads.py
    detail: str  # what else tells it from the operation's other cases: D=300, mean
    build: Callable[[Workload], Case]


def errors(case: Case, arm: Arm, grad: Tensor) -> dict[str, float]:
    """Of the arm's value and of each gradient the largest error, in parts of the largest value.

    Raises Mismatch where they have other shapes or names, or another share of elements is dropped.
    """
    found = arm.forward().detach().double()
    value = case.reference.forward()
    if found.shape != value.shape:
        raise Mismatch(f"shape {tuple(found.shape)}, should be {tuple(value.shape)}")
    exact = grad.double()
    if not case.dropout:
        told = {"value": _error(found, value)}
        wanted, given = case.reference.named_gradients(exact), arm.named_gradients(grad)
    else:
        # Nobody's random numbers are ours: what an arm dropped is read off its output.
        torch.manual_seed(0)
        out = arm.call()
        kept = (out.detach() != 0) | (value == 0)
        rate = float(kept[value != 0].double().mean())
        if abs(rate - (1 - case.dropout)) > _scatter(case.dropout, value.numel()):
            raise Mismatch(f"keeps {rate:.3f} of the elements, should keep {1 - case.dropout}")
        scale = kept / (1 - case.dropout)
        told = {"value": _error(out.detach().double(), value * scale)}
        torch.manual_seed(0)
        wanted, given = case.reference.named_gradients(exact * scale), arm.named_gradients(grad)
    if given.keys() != wanted.keys():
        raise Mismatch(f"gradients of {', '.join(given)}, should be of {', '.join(wanted)}")
    for name, expected in wanted.items():
        if given[name].shape != expected.shape:
            sizes = f"{given[name].numel()} elements, should be {expected.numel()}"
            raise Mismatch(f"gradient of {name}: {sizes}")
        told[f"gradient of {name}"] = _error(given[name], expected)
    return told


def check(case: Case, arm: Arm, grad: Tensor) -> None:
    """Raise Mismatch unless the arm's value and gradients are the reference's."""
    for what, error in errors(case, arm, grad).items():
        if not error <= TOLERANCE[case.dtype]:  # NaN is a mismatch too
            raise Mismatch(f"{what} is off by {error:.2g}, allowed {TOLERANCE[case.dtype]:.2g}")


def _error(found: Tensor, expected: Tensor) -> float:
    """The largest error as a part of the largest value; of what should be zero, the error."""
    if not expected.numel():
        return 0.0
    largest = float(expected.abs().max())
    return float((found - expected).abs().max()) / (largest or 1.0)


def _scatter(rate: float, elements: int) -> float:
    """How far a share may lie from its rate: five standard deviations, and a hundredth."""
    return 0.01 + 5.0 * float((rate * (1 - rate) / max(elements, 1)) ** 0.5)
