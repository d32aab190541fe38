"""Peers of `sheaf_layers`: all layers of sheaf diffusion on a graph that feeds one thread.

Bytes, in float32, by each layer: N·C·F·60 and E·d²·16 forward, three times that backward.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from gbench.bench import plain
from gbench.bench.case import Case, Plan, normal
from gbench.bench.workloads import Workload
from gbench.kernels.sheaf_layers import reference, sheaf_layers


def case(workload: Workload, channels: int, width: int, layers: int, is_diagonal: bool) -> Case:
    """Maps of all of a node's numbers; orthogonal ones have weights."""
    graph, device = workload.graph, workload.graph.device
    numbers = channels if is_diagonal else channels * (channels - 1) // 2
    ends = 2 * channels * width
    values = {
        "x": normal(graph.num_rows, channels, width, device=device),
        "of_maps": normal(layers, numbers, ends, device=device) / ends**0.5,
        "of_weights": normal(layers, 1, ends, device=device) / ends**0.5,
        "left": normal(layers, channels, channels, device=device) / channels**0.5,
        "right": normal(layers, width, width, device=device) / width**0.5,
        "epsilon": torch.linspace(-0.5, 0.75, channels, device=device).expand(layers, -1)[
            ..., None
        ],
    }
    if is_diagonal:
        del values["of_weights"]
    flags: dict[str, Any] = {"is_diagonal": is_diagonal, "by_degree": False}

    def given(x: Tensor, of_maps: Tensor, *others: Tensor) -> tuple[Any, ...]:
        return (x, of_maps, *((None,) if is_diagonal else ()), *others)

    def ours(*tensors: Tensor) -> Tensor:
        return sheaf_layers(graph, *given(*tensors), rate=0.0, **flags)

    def exact(*tensors: Tensor) -> Tensor:
        return reference(graph, *given(*tensors), **flags)

    of_maps = graph.num_entries * channels * (1 if is_diagonal else channels) * 16
    size = layers * (15 * values["x"].nbytes + of_maps)
    return plain.case(ours, exact, values, (size, 4 * size))


def _plan(is_diagonal: bool, layers: int = 4) -> Plan:
    detail = f"{'diagonal' if is_diagonal else 'orthogonal'} C=3 F=20 L={layers}"
    build = partial(case, channels=3, width=20, layers=layers, is_diagonal=is_diagonal)
    return Plan("texas-sized", detail, build)


PLANS = (_plan(False), _plan(True))
VARIANTS = (_plan(False, layers=1),)
