"""How many kernels, copies and fills a call starts on the GPU, as its own profiler counts them."""

from __future__ import annotations

import torch
from torch.profiler import ProfilerActivity, profile

from gbench.bench.measure import Call


def launches(call: Call, device: torch.device) -> int | None:
    """None where the profiler sees nothing, as without the right to look at the GPU's counters."""
    if device.type != "cuda":
        return None
    try:
        torch.cuda.synchronize()
        with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
            call()
            torch.cuda.synchronize()
        events = profiler.events() or ()
    except RuntimeError:
        return None
    return sum(event.device_type.name == "CUDA" for event in events) or None
