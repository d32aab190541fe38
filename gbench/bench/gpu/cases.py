"""One case on a GPU: is it right, are two runs the same bits, does it wait, how fast is it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from statistics import median
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gbench.bench import kernels, measure
from gbench.bench.case import TOLERANCE, Arm, Case, Plan, errors
from gbench.bench.gpu.launches import launches
from gbench.bench.row import COPY, OURS
from gbench.bench.workloads import Workload

REFERENCE = "reference (float64)"
SLOW = 0.05  # seconds that a reference may take to be timed too


class Settings(NamedTuple):
    """How to measure; `uncaptured` names the calls whose capture failed in a process before."""

    device: torch.device
    rounds: int
    has_peers: bool
    uncaptured: frozenset[str]


class NotCaptured(Exception):
    """The name of a call whose capture failed, and why: this process should do nothing more."""


class Timed(NamedTuple):
    """A call as it is timed: replayed from a CUDA graph, or as it is, and then why."""

    call: measure.Call
    how: str
    note: str


def rows(
    key: str, op: str, plan: Plan, workload: Workload, settings: Settings
) -> Iterator[dict[str, Any]]:
    """A row for each direction. Raises NotCaptured."""
    torch.manual_seed(0)
    case = plan.build(workload)
    grad = torch.randn(case.reference.forward().shape, device=settings.device).to(case.dtype)
    found = errors(case, case.ours, grad)
    worst = max(found.values())
    head: dict[str, Any] = {
        "kind": "case",
        "op": op,
        "workload": f"{workload.name} {plan.detail}",
        "dtype": str(case.dtype).removeprefix("torch."),
        "error": worst,
        "allowed": TOLERANCE[case.dtype],
        "errors": found,
        "same_bits": same_bits(case, grad),
    }
    if not (worst <= TOLERANCE[case.dtype] and head["same_bits"]):  # NaN is wrong too
        note = "" if head["same_bits"] else "two runs differ"
        yield {**head, "direction": "both", "status": "wrong", "note": note}
        return
    arms, notes = _arms(case, grad, settings)
    for direction, moved in zip(kernels.DIRECTIONS, case.moved, strict=True):
        calls: dict[str, measure.Call] = {
            name: arm.forward
            if direction == "forward"
            else partial(arm.gradients, grad.double() if name == REFERENCE else grad)
            for name, arm in arms.items()
        }
        names = _names(key, op, direction, calls)
        figures = _measured(names, calls, moved, settings, not case.dropout)
        peers = figures.pop("peers")
        peers |= {name: {"note": note} for name, note in notes.items()}
        yield {**head, "direction": direction, "status": "ok", **figures, "peers": peers}


def _names(key: str, op: str, direction: str, calls: Iterable[str]) -> dict[str, str]:
    """What a failed capture is remembered by: of ours this item, of a peer the whole operation."""
    return {
        name: f"{key if name == OURS else op} · {direction} · {name}" for name in (*calls, COPY)
    }


def same_bits(case: Case, grad: Tensor) -> bool:
    """Whether ours gives the same value and gradients twice, from the same random numbers."""

    def run() -> list[Tensor]:
        torch.manual_seed(0)
        value = case.ours.forward()
        torch.manual_seed(0)
        return [value, *case.ours.gradients(grad)]

    return all(torch.equal(a, b) for a, b in zip(run(), run(), strict=True))


def _arms(case: Case, grad: Tensor, settings: Settings) -> tuple[dict[str, Arm], dict[str, str]]:
    """Ours, the reference and the peers that compute what they should; and why others do not."""
    arms, notes = {OURS: case.ours, REFERENCE: case.reference}, {}
    for name, build in case.peers.items() if settings.has_peers else ():
        try:
            arm = build()
            worst = max(errors(case, arm, grad).values())
            if worst <= TOLERANCE[case.dtype]:
                arms[name] = arm
            else:
                notes[name] = f"off by {worst:.1e}"
        except ImportError as error:
            notes[name] = f"not installed: {error}"
        except torch.OutOfMemoryError:
            notes[name] = "out of memory"
            torch.cuda.empty_cache()
        except Exception as error:  # whatever a package says about what it cannot do
            measure.check_device(settings.device)
            notes[name] = first_line(error)
    return arms, notes


def _measured(
    names: dict[str, str],
    calls: dict[str, measure.Call],
    moved: int,
    settings: Settings,
    is_fixed: bool,
) -> dict[str, Any]:
    """Times, bytes per second and launches of ours beside a copy's and the peers'."""
    device = settings.device
    calls = {**calls, COPY: measure.copying(moved, device)}
    timed: dict[str, Timed] = {}
    notes: dict[str, str] = {}
    for name, call in calls.items():
        if name == REFERENCE and not settings.has_peers:
            continue
        try:
            if name == REFERENCE and _seconds(call, device) > SLOW:
                notes[name] = "slow, not timed"
                continue
            timed[name] = prepared(names[name], call, device, settings.uncaptured)
        except torch.OutOfMemoryError:
            if name == OURS:
                raise
            notes[name] = "out of memory"
            torch.cuda.empty_cache()
    budget = measure.Budget(seconds=0.0, min_rounds=settings.rounds)
    functions = {name: one.call for name, one in timed.items()}
    samples = measure.by_turns(functions, device, budget, is_replayed=False)
    ours = samples[OURS]
    figures: dict[str, Any] = {
        "ours_ms": 1000 * median(ours),
        "how": timed[OURS].how,
        "waits": timed[OURS].note,
        "gb_per_s": moved / median(ours) / 1e9,
        "moved_mib": moved / 2**20,
        "cache": cache_words(moved, device),
        "copy_ms": 1000 * median(samples[COPY]),
        "part_of_copy": measure.ratio(samples[COPY], ours).middle,
        "launches": launches(calls[OURS], device),
        "replay": _replay_words(timed[OURS].call, calls[OURS]) if is_fixed else "",
    }
    peers: dict[str, Any] = {name: {"note": note} for name, note in notes.items()}
    for name in timed.keys() - {OURS, COPY}:
        found = measure.ratio(samples[name], ours)
        peers[name] = {
            "ms": 1000 * median(samples[name]),
            "ratio": found.middle,
            "low": found.low,
            "high": found.high,
            "how": timed[name].how,
            "note": timed[name].note,
        }
    return {**figures, "peers": peers}


def _seconds(call: measure.Call, device: torch.device) -> float:
    return min(measure.seconds_of(call, device) for _ in range(2))


def prepared(
    name: str, call: measure.Call, device: torch.device, uncaptured: frozenset[str]
) -> Timed:
    """The call as it is timed. Raises NotCaptured where its capture fails, but for `uncaptured`."""
    if device.type != "cuda":
        return Timed(call, "clock", "")
    call()
    if note := measure.waits(call):
        return Timed(call, "events", note)
    if name in uncaptured:
        return Timed(call, "events", "cannot be captured")
    try:
        return Timed(measure.captured(call), "graph", "")
    except measure.CaptureFailed as error:
        raise NotCaptured(name, str(error)) from error


def _replay_words(replay: Callable[[], object], call: measure.Call) -> str:
    """Whether a replayed graph left the same bits as the call gives."""
    if not isinstance(replay, measure.Replay):
        return ""
    replay()
    found, wanted = _flat(replay.result), _flat(call())
    same = all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))
    return "same bits" if same else "differs"


def _flat(result: Any) -> tuple[Tensor, ...]:
    return (result,) if isinstance(result, Tensor) else tuple(result)


def cache_words(moved: int, device: torch.device) -> str:
    """Whether repeated runs, ours and the copy's alike, find their data in the L2 cache."""
    if device.type != "cuda":
        return ""
    size: int = torch.cuda.get_device_properties(device).L2_cache_size
    return f"{'fits in' if moved <= size else 'exceeds'} L2 of {size / 2**20:.0f} MiB"


def first_line(error: BaseException) -> str:
    """The kind of an error and the first line of what it says."""
    return f"{type(error).__name__}: {error}".partition("\n")[0]
