"""What one comparison says, and how it is measured once both sides are known to be right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, NamedTuple

import torch

from gbench import environment
from gbench.bench import measure, peers

OURS, COPY = "gbench", "copy"


@dataclass(frozen=True)
class Row:
    """One operation on one workload in one direction against one peer.

    `ratio` is the peer's time divided by ours, with its 95 % bootstrap interval; `gb_per_s` the
    bytes that the operation has to move over our time; `floor_fraction` the time of a plain copy
    of as many bytes over our time (above 1 where rows came from cache); `peak_mib` our memory
    beyond the inputs. Where `checked` is false nothing was timed and `note` says why.
    """

    op: str
    workload: str
    dtype: str
    direction: str
    peer: str
    ratio: float | None
    ratio_low: float | None
    ratio_high: float | None
    ours_ms: float | None
    peer_ms: float | None
    gb_per_s: float | None
    floor_fraction: float | None
    peak_mib: float | None
    peer_peak_mib: float | None
    checked: bool
    note: str
    clock: str
    hardware: str
    versions: dict[str, str]


class Subject(NamedTuple):
    """What a block of rows is about."""

    op: str
    workload: str
    dtype: str
    direction: str


def rows(
    subject: Subject,
    calls: Mapping[str, measure.Call],
    problems: Mapping[str, str],
    moved: int,
    device: torch.device,
    budget: measure.Budget,
    num_batches: int = 0,
) -> list[Row]:
    """Time `calls`, ours among them, and tell a row for each peer, also for those with `problems`.

    A call moves `moved` bytes. With `num_batches` it is a pass of a loader, and its time is told
    per batch. Nothing is timed if ours is among the problems.
    """
    samples: dict[str, measure.Samples] = {}
    peaks: dict[str, float | None] = {}
    if OURS in calls:
        peaks = {name: measure.peak_extra_mib(call, device) for name, call in calls.items()}
        with_floor = {**calls, COPY: measure.copying(moved, device)}
        samples = measure.by_turns(with_floor, device, budget, is_replayed=not num_batches)
    names = [name for name in (*calls, *problems) if name != OURS] or [""]
    found = []
    for peer in names:
        wrong = [f"{who or OURS}: {problems[who]}" for who in (OURS, peer) if who in problems]
        found.append(
            Row(
                *subject,
                peer,
                **_figures(samples, peer, moved, max(num_batches, 1)),
                peak_mib=peaks.get(OURS),
                peer_peak_mib=peaks.get(peer),
                checked=not wrong,
                note="; ".join(wrong),
                clock=measure.clock_name(device),
                hardware=environment.device_name(device),
                versions={**environment.versions(), **peers.versions()},
            )
        )
    return found


def is_wanted(peer: str, words: Sequence[str]) -> bool:
    """Whether one of the words stands in the peer's name, in any case; without words, always."""
    return not words or any(word.lower() in peer.lower() for word in words)


def _figures(
    samples: Mapping[str, measure.Samples], peer: str, moved: int, parts: int
) -> dict[str, Any]:
    """The times and ratios of a row; None where nothing was timed."""
    names = ("ratio", "ratio_low", "ratio_high", "ours_ms", "peer_ms", "gb_per_s", "floor_fraction")
    figures: dict[str, Any] = dict.fromkeys(names)
    if OURS in samples:
        seconds = median(samples[OURS])
        figures["ours_ms"] = 1000 * seconds / parts
        figures["gb_per_s"] = moved / seconds / 1e9
        figures["floor_fraction"] = measure.ratio(samples[COPY], samples[OURS]).middle
    if peer in samples:
        found = measure.ratio(samples[peer], samples[OURS])
        figures |= {"ratio": found.middle, "ratio_low": found.low, "ratio_high": found.high}
        figures["peer_ms"] = 1000 * median(samples[peer]) / parts
    return figures
