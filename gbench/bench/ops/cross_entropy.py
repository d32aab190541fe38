"""Peers of `cross_entropy`: the loss of the nodes that are trained on.

Bytes: the targets' scores read forward; read again, and the gradient of all rows written, backward.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from gbench.bench import plain
from gbench.bench.case import Case, Plan, normal, word
from gbench.bench.workloads import Workload
from gbench.kernels import library
from gbench.kernels.cross_entropy import counted, cross_entropy, reference


def case(
    workload: Workload, classes: int, has_targets: bool, dtype: torch.dtype = torch.float32
) -> Case:
    """Scores of so many classes for each node, of which a third are targets, or all."""
    nodes, device = workload.graph.num_rows, workload.graph.device
    logits = normal(nodes, classes, device=device, dtype=dtype)
    y = torch.randint(0, classes, (nodes,), device=device)
    targets = torch.randperm(nodes, device=device)[: nodes // 3] if has_targets else None
    count = None if targets is None else counted(targets, nodes)

    def exact(logits: Tensor) -> Tensor:
        return reference(logits, y, targets)

    def ours(logits: Tensor) -> Tensor:
        if not library.has_kernel("cross_entropy", logits):
            return exact(logits)
        return cross_entropy(logits, y, targets, count).to(dtype)

    part = logits.nbytes // (3 if has_targets else 1)
    return plain.case(ours, exact, {"logits": logits}, (part, 2 * part + logits.nbytes), dtype)


def _plan(
    workload: str, classes: int, has_targets: bool = True, dtype: torch.dtype = torch.float32
) -> Plan:
    detail = f"C={classes} {'a third' if has_targets else 'all'}{word(dtype)}"
    build = partial(case, classes=classes, has_targets=has_targets, dtype=dtype)
    return Plan(workload, detail, build)


PLANS = (_plan("cora-sized", 7),)
VARIANTS = (
    _plan("cora-sized", 7, has_targets=False),
    _plan("cora-sized", 40, dtype=torch.bfloat16),
    _plan("power-law-100k", 40),
)
