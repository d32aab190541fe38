"""Kernels go to the stream and to the device that their tensors are on, not to the default ones."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gbench.bench import workloads
from gbench.bench.case import TOLERANCE, Case, Plan, errors
from gbench.bench.workloads import Workload

BUSY = 4096  # rows of the products that keep a stream behind: milliseconds on any GPU


def row(op: str, plan: Plan, workload: Workload) -> dict[str, Any]:
    """On a second stream that is behind, inputs arrive late: a launch elsewhere would miss them."""
    head = {"kind": "stream", "op": op, "workload": f"{workload.name} {plan.detail}"}
    device = workload.graph.device
    if device.type != "cuda":
        return {**head, "status": "skipped", "note": "needs a GPU"}
    torch.manual_seed(0)
    case = plan.build(workload)
    grad = torch.randn(case.reference.forward().shape, device=device).to(case.dtype)
    wanted = _run(case, grad)
    leaves = [leaf for leaves in case.ours.leaves.values() for leaf in leaves]
    kept = [leaf.detach().clone() for leaf in leaves]
    busy = torch.randn(BUSY, BUSY, device=device)
    stream = torch.cuda.Stream()
    with torch.no_grad():
        for leaf in leaves:
            leaf.zero_()
    torch.cuda.synchronize()
    with torch.cuda.stream(stream):
        for _ in range(10):
            torch.mm(busy, busy)
        with torch.no_grad():
            for leaf, value in zip(leaves, kept, strict=True):
                leaf.copy_(value, non_blocking=True)
        found = _run(case, grad)
    stream.synchronize()
    same = all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))
    return {**head, "status": "ok" if same else "wrong", "note": "" if same else "other values"}


def _run(case: Case, grad: Tensor) -> list[Tensor]:
    torch.manual_seed(0)
    value = case.ours.forward()
    torch.manual_seed(0)
    return [value, *case.ours.gradients(grad)]


def elsewhere(op: str, plan: Plan, device: torch.device) -> dict[str, Any]:
    """Tensors on the second GPU while the first is the current one."""
    head = {"kind": "device", "op": op, "workload": f"{plan.workload} {plan.detail}"}
    if device.type != "cuda" or torch.cuda.device_count() < 2:
        return {**head, "status": "skipped", "note": "needs a second GPU"}
    second = torch.device("cuda", 1)
    torch.manual_seed(0)
    case = plan.build(workloads.make(plan.workload, second))
    grad = torch.randn(case.reference.forward().shape, device=second).to(case.dtype)
    worst = max(errors(case, case.ours, grad).values())
    status = "ok" if worst <= TOLERANCE[case.dtype] else "wrong"
    return {**head, "status": status, "error": worst, "allowed": TOLERANCE[case.dtype]}
