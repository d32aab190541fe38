"""`gbench bench kernels`: check every way to compute an operation, then let them take turns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pkgutil import iter_modules

import torch
from torch import Tensor

from gbench.bench import measure, ops, workloads
from gbench.bench.case import Arm, Case, Plan, check
from gbench.bench.row import OURS, Row, Subject, is_wanted, rows
from gbench.bench.workloads import Workload

OPS = tuple(sorted(module.name for module in iter_modules(ops.__path__)))
DIRECTIONS = ("forward", "forward+backward")


@dataclass(frozen=True)
class Choice:
    """What to measure; an empty sequence is everything."""

    device: torch.device
    budget: measure.Budget
    ops: Sequence[str] = ()
    workloads: Sequence[str] = ()
    peers: Sequence[str] = ()


def plans(op: str) -> tuple[Plan, ...]:
    """The cases of an operation, from its file in gbench/bench/ops."""
    found: tuple[Plan, ...] = import_module(f"gbench.bench.ops.{op}").PLANS
    return found


def variants(op: str) -> tuple[Plan, ...]:
    """What else of an operation has to be right: other types, widths and options."""
    found: tuple[Plan, ...] = import_module(f"gbench.bench.ops.{op}").VARIANTS
    return found


def run(choice: Choice, missing: dict[str, str]) -> Iterator[list[Row]]:
    """The rows of one case and direction after another, as they are measured.

    A peer that cannot be built here, or that does not fit, is put into `missing` with the reason.
    """
    made: dict[str, Workload] = {}
    for op in choice.ops or OPS:
        for plan in plans(op):
            name = plan.workload
            if choice.workloads and name not in choice.workloads:
                continue
            if name in workloads.CUDA_ONLY and choice.device.type != "cuda":
                continue
            if name not in made:
                made = {name: workloads.make(name, choice.device)}  # one at a time is in memory
            torch.manual_seed(0)
            case = plan.build(made[name])
            yield from _rows(op, f"{made[name].name} {plan.detail}", case, choice, missing)


def _rows(
    op: str, title: str, case: Case, choice: Choice, missing: dict[str, str]
) -> Iterator[list[Row]]:
    grad = torch.randn(case.reference.forward().shape, device=choice.device).to(case.dtype)
    arms, problems = _checked(title, case, grad, choice.peers, missing)
    for direction, moved in zip(DIRECTIONS, case.moved, strict=True):
        calls: dict[str, measure.Call] = {
            name: arm.forward if direction == "forward" else partial(arm.gradients, grad)
            for name, arm in arms.items()
        }
        subject = Subject(op, title, str(case.dtype).removeprefix("torch."), direction)
        yield rows(subject, calls, problems, moved, choice.device, choice.budget)


def _checked(
    title: str, case: Case, grad: Tensor, wanted: Sequence[str], missing: dict[str, str]
) -> tuple[dict[str, Arm], dict[str, str]]:
    """The arms that compute what they should, and what is wrong with the others."""
    arms, problems = {}, {}
    builds: dict[str, Callable[[], Arm]] = {OURS: lambda: case.ours, **case.peers}
    for name, build in builds.items():
        if name != OURS and not is_wanted(name, wanted):
            continue
        try:
            arm = build()
            check(case, arm, grad)
        except ImportError as error:
            missing[name] = str(error)
        except torch.OutOfMemoryError:
            missing[f"{name} on {title}"] = "out of memory"
        except Exception as error:  # whatever a package says about what it cannot do
            problems[name] = f"{type(error).__name__}: {error}".partition("\n")[0]
        else:
            arms[name] = arm
    return arms, problems
