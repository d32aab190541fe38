"""What is checked on a GPU, as a list of items that can each be run alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch

from gbench.bench import kernels, workloads
from gbench.bench.case import Plan
from gbench.bench.gpu import cases, large, models, streams
from gbench.bench.gpu.interpreted import cuda_operations
from gbench.bench.workloads import Workload

Row = dict[str, Any]


@dataclass
class Options:
    """How to run the items; `uncaptured` names the calls whose capture failed in a process before.

    `is_tiny`: every workload has a few dozen nodes, for Triton's interpreter.
    """

    device: torch.device
    rounds: int
    is_quick: bool = False
    is_tiny: bool = False
    uncaptured: frozenset[str] = frozenset()
    made: dict[str, Workload] = field(default_factory=dict)

    def workload(self, name: str) -> Workload:
        """The graph of this name; one at a time is in memory."""
        if name not in self.made:
            self.made.clear()
            make = workloads.tiny if self.is_tiny else workloads.make
            self.made[name] = make(name, self.device)
        return self.made[name]


class Item(NamedTuple):
    """A piece of the check: its rows, each yielded as soon as it is known."""

    key: str
    run: Callable[[], Iterator[Row]]


def items(options: Options, op: str) -> list[Item]:
    """All of them; with `op` those of operations and sections whose name begins so."""
    found = [*_cases(options), *_streams(options), *_devices(options)]
    found += [*_large(options), *_models(options)]
    return [item for item in found if item.key.startswith(op)]


def missing() -> list[str]:
    """Operations with a CUDA implementation and without a case."""
    return [name for name in cuda_operations() if name not in kernels.OPS]


def _cases(options: Options) -> Iterator[Item]:
    for op in kernels.OPS:
        plans = [(plan, True) for plan in kernels.plans(op)]
        plans += [(plan, False) for plan in kernels.variants(op)]
        for plan, has_peers in plans:
            if plan.workload in workloads.LARGE and (options.is_quick or options.is_tiny):
                continue
            key = f"{op} · {plan.workload} · {plan.detail}"
            yield Item(key, _bound(options, key, op, plan, has_peers))


def _bound(
    options: Options, key: str, op: str, plan: Plan, has_peers: bool
) -> Callable[[], Iterator[Row]]:
    def run() -> Iterator[Row]:
        settings = cases.Settings(
            options.device,
            options.rounds if has_peers else min(options.rounds, 5),
            has_peers,
            options.uncaptured,
        )
        yield from cases.rows(key, op, plan, options.workload(plan.workload), settings)

    return run


def _small(op: str) -> Plan:
    """An operation's smallest case, but one that draws nothing where there is one."""
    plans = [p for p in kernels.plans(op) if p.workload not in workloads.LARGE]
    return next((p for p in plans if "dropout=" not in p.detail), plans[0])


def _streams(options: Options) -> Iterator[Item]:
    for op in kernels.OPS:
        plan = _small(op)

        def run(op: str = op, plan: Plan = plan) -> Iterator[Row]:
            yield streams.row(op, plan, options.workload(plan.workload))

        yield Item(f"stream · {op}", run)


def _devices(options: Options) -> Iterator[Item]:
    for op in kernels.OPS:
        plan = _small(op)

        def run(op: str = op, plan: Plan = plan) -> Iterator[Row]:
            yield streams.elsewhere(op, plan, options.device)

        yield Item(f"device · {op}", run)


def _large(options: Options) -> Iterator[Item]:
    for name in large.CASES:

        def run(name: str = name) -> Iterator[Row]:
            options.made.clear()
            yield large.row(name, options.device, options.is_tiny)

        yield Item(f"large · {name}", run)


def _models(options: Options) -> Iterator[Item]:
    for model, data in models.pairs():

        def run(model: str = model, data: str = data) -> Iterator[Row]:
            yield models.row(model, data, options.device, options.is_tiny)

        yield Item(f"model · {model} · {data}", run)
