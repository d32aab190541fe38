"""Which way a dense layer's products go on this processor: measured once for each class and kept.

A class is a layer's inputs and outputs, a range of rows, the number of threads and the type that
its factors are rounded to. When the first of its kind is met, its three products are computed both
ways by turns on a few hundred rows, some milliseconds in all. What is not torch's own way is chosen
only where it is clearly faster, so that noise changes nothing. What was chosen is kept in a file of
cache_dir that is this processor's and this torch's alone, and stays: runs give the same bits as
those before them. Of processes that measure at once the first to write decides for all. Where
nothing can be kept nothing is measured: torch multiplies.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch

from gbench.environment import cpu_name
from gbench.folders import cache_dir, written_whole
from gbench.locks import locked

TORCH, CONVOLUTION, BFLOAT16, WIDENED = "torch", "convolution", "bfloat16", "widened"
PAIRS = {"float32": (TORCH, CONVOLUTION), "bfloat16": (BFLOAT16, WIDENED)}  # torch's way first
RANGES = ((1024, 2048), (256, 512), (0, 128))  # the least rows, and how many are measured
MOST = 1 << 27  # multiplications of a product that is measured
ROUNDS = 3
CLEARLY = 1.15
INSTRUCTIONS = ("MKL_ENABLE_INSTRUCTIONS", "MKL_DEBUG_CPU_TYPE", "ONEDNN_MAX_CPU_ISA")


class Ways(NamedTuple):
    """TORCH or CONVOLUTION for each product, under autocast to bfloat16 BFLOAT16 or WIDENED."""

    forward: str
    grad_x: str
    grad_weight: str


PLAIN = Ways(TORCH, TORCH, TORCH)
Key = tuple[int, int, int, str]  # the range's least rows, inputs, outputs, the factors' type
Class = tuple[int, *Key]  # threads

_known: dict[Class, Ways] = {}
_used: dict[Class, Ways] = {}  # of these in the run that is under way


def ways_of(rows: int, inputs: int, outputs: int, dtype: str = "float32") -> Ways:
    """The ways of the products of x (rows, inputs) and W (outputs, inputs), rounded to the type."""
    least = next(least for least, _ in RANGES if rows >= least)
    which = (torch.get_num_threads(), least, inputs, outputs, dtype)
    if (found := _used.get(which)) is None:
        found = _used[which] = _known.get(which) or _settled(which)
    return found


def begin() -> None:
    """Forget which were used: a run begins."""
    _used.clear()


def used() -> dict[str, dict[str, str]]:
    """The classes that were used since `begin`, in words, and the ways of their products."""
    return {_words(which): ways._asdict() for which, ways in sorted(_used.items())}


def kept(threads: int) -> dict[str, dict[str, str]]:
    """The same of all that are kept for this processor and so many threads."""
    found = _read(_file(threads), threads)
    return {_words((threads, *which)): ways._asdict() for which, ways in sorted(found.items())}


def _words(which: Class) -> str:
    threads, least, inputs, outputs, dtype = which
    narrow = "" if dtype == "float32" else f", {dtype}"
    of = f"{threads} thread{'s' * (threads > 1)}{narrow}"
    return f"{inputs} to {outputs}, {least} rows or more, {of}"


def _settled(which: Class) -> Ways:
    """What is kept of the class, measured first if it is not."""
    threads, key = which[0], which[1:]
    path = _file(threads)
    found = _read(path, threads)
    if key not in found:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with locked(path.with_suffix(".lock")):
                found = _read(path, threads)
                if key not in found:
                    found[key] = _measured(*key)
                    _write(path, threads, found)
        except OSError:
            found = {key: Ways(*[PAIRS[key[-1]][0]] * 3)}
    _known.update({(threads, *each): ways for each, ways in found.items()})
    return found[key]


@cache
def _processor() -> dict[str, str]:
    settings = {name: os.environ[name] for name in INSTRUCTIONS if name in os.environ}
    return {"processor": cpu_name(), "torch": torch.__version__, **settings}


def _file(threads: int) -> Path:
    text = json.dumps(_processor())
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    return cache_dir() / "dense" / f"{digest}-{threads}.json"


def _read(path: Path, threads: int) -> dict[Key, Ways]:
    """What is kept at the path; nothing of another processor's, or where it cannot be read."""
    try:
        content = json.loads(path.read_bytes())
        if content["of"] != {**_processor(), "threads": threads}:
            return {}
        return {
            (int(least), int(inputs), int(outputs), dtype): _checked(dtype, ways)
            for least, inputs, outputs, dtype, *ways in content["ways"]
        }
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _checked(dtype: str, ways: list[Any]) -> Ways:
    if not {*ways} <= {*PAIRS[dtype]}:
        raise ValueError(ways)
    return Ways(*ways)


def _write(path: Path, threads: int, ways: dict[Key, Ways]) -> None:
    rows = [[*which, *chosen] for which, chosen in sorted(ways.items())]
    content = {"of": {**_processor(), "threads": threads}, "ways": rows}
    with written_whole(path) as file:
        file.write(json.dumps(content, indent=1).encode())


@torch.no_grad()
def _measured(least: int, inputs: int, outputs: int, dtype: str) -> Ways:
    """Both ways of each product by turns. Draws no random number."""
    from gbench.kernels.cpu import linear

    rows = max(64, min(dict(RANGES)[least], MOST // (inputs * outputs)))
    x, weight, grad = (
        torch.linspace(-1, 1, size[0] * size[1]).view(size)
        for size in ((rows, inputs), (outputs, inputs), (rows, outputs))
    )
    products: tuple[Callable[[str], object], ...] = (
        lambda way: linear.forward(x, weight, None, way),
        lambda way: linear.grad_x(grad, weight, way),
        lambda way: linear.grad_weight(grad, x, way),
    )
    with torch.autocast("cpu", enabled=False):
        return Ways(*(_faster(product, *PAIRS[dtype]) for product in products))


def _faster(product: Callable[[str], object], usual: str, other: str) -> str:
    """The other way where it is clearly faster. If not after a round it is not asked again."""
    clock = time.thread_time if torch.get_num_threads() == 1 else time.perf_counter
    best = dict.fromkeys((usual, other), float("inf"))
    for turn in range(1 + ROUNDS):
        for way, so_far in best.items():
            started = clock()
            product(way)
            if turn:  # the first call of each makes its code
                best[way] = min(so_far, clock() - started)
        if turn and best[usual] < best[other]:
            break
    return other if best[usual] >= CLEARLY * best[other] else usual
