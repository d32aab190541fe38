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


def on_lattice(*shape: int, device: torch.device) -> Tensor:
    """Normal numbers in steps of 1/64: sums of a few are exact in float32.

    With 1/256 added to one of the terms a sum is never zero, where rounding would decide whether a
    ReLU lets a gradient through.
    """
    return torch.randn(shape, device=device).mul(64).round().div(64)


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


def check(case: Case, arm: Arm, grad: Tensor) -> None:
    """Raise Mismatch unless the arm's value and gradients are the reference's."""
    found = arm.forward().detach().double()
    value = case.reference.forward()
    if found.shape != value.shape:
        raise Mismatch(f"shape {tuple(found.shape)}, should be {tuple(value.shape)}")
    exact = grad.double()
    if not case.dropout:
        _compare("value", found, value, case.dtype)
        wanted, given = case.reference.named_gradients(exact), arm.named_gradients(grad)
    else:
        # Nobody's random numbers are ours: what an arm dropped is read off its output.
        torch.manual_seed(0)
        out = arm.call()
        kept = (out.detach() != 0) | (value == 0)
        rate = float(kept[value != 0].double().mean())
        if abs(rate - (1 - case.dropout)) > 0.01:
            raise Mismatch(f"keeps {rate:.3f} of the elements, should keep {1 - case.dropout}")
        scale = kept / (1 - case.dropout)
        _compare("value", out.detach().double(), value * scale, case.dtype)
        torch.manual_seed(0)
        wanted, given = case.reference.named_gradients(exact * scale), arm.named_gradients(grad)
    if given.keys() != wanted.keys():
        raise Mismatch(f"gradients of {', '.join(given)}, should be of {', '.join(wanted)}")
    for name, expected in wanted.items():
        _compare(f"gradient of {name}", given[name], expected, case.dtype)


def _compare(what: str, found: Tensor, expected: Tensor, dtype: torch.dtype) -> None:
    if found.shape != expected.shape:
        raise Mismatch(f"{what}: {found.numel()} elements, should be {expected.numel()}")
    error = float((found - expected).abs().max())
    allowed = TOLERANCE[dtype] * float(expected.abs().max())
    if not error <= allowed:  # NaN is a mismatch too
        raise Mismatch(f"{what} is off by {error:.2g}, allowed {allowed:.2g}")
