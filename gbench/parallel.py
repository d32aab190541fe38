"""Work in pieces on all cores: once per dataset with a progress bar, or ahead of its use."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor, as_completed
from math import inf
from typing import TypeVar

from gbench.quota import quota

Piece = TypeVar("Piece")
Result = TypeVar("Result")


def num_cores() -> int:
    """The cores that this process may use: those it is bound to, and no more than its limits feed.

    Slurm binds a job to its cores on some clusters only; a container's quota binds it to none.
    """
    limit, _ = _limit()
    return max(1, int(min(_bound(), limit)))


def limited_to() -> str | None:
    """What leaves this process fewer cores than it is bound to; None where nothing does."""
    _, reason = _limit()
    return reason if num_cores() < _bound() else None


def keep_to_limit() -> None:
    """Give torch no more threads than `num_cores`, unless the user says how many."""
    import torch

    if not os.environ.get("OMP_NUM_THREADS") and torch.get_num_threads() > num_cores():
        torch.set_num_threads(num_cores())


def _bound() -> int:
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return bound or 1


def _limit() -> tuple[float, str]:
    limits = [(inf, "")]
    if (cores := quota()) is not None:
        limits.append((cores, f"the container's quota of {cores:g} cores"))
    if "SLURM_JOB_ID" in os.environ:
        for name in ("SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE"):
            if os.environ.get(name, "").isdecimal():
                limits.append((int(os.environ[name]), f"{name}={os.environ[name]}"))
                break
    return min(limits)


def in_threads(work: Callable[[Piece], object], pieces: Sequence[Piece], title: str) -> None:
    """Call `work` on every piece; it fills its own part of an array and must let go of the GIL.

    BLAS keeps to one thread meanwhile: with as many again per thread, eigenvectors of matrices of
    150 rows take four times as long.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(num_cores()) as pool:
        gathered(pool, work, pieces, title)


def gathered(
    pool: Executor, work: Callable[[Piece], Result], pieces: Sequence[Piece], title: str
) -> list[Result]:
    """What `work` makes of each piece, in their order; what is left is dropped when one fails."""
    from rich.progress import track

    from gbench.console import console as usual_console

    console = usual_console()
    futures = [pool.submit(work, piece) for piece in pieces]
    try:
        for future in track(
            as_completed(futures), title, len(futures), console=console, transient=True,
            disable=not console.is_terminal,
        ):  # fmt: skip
            future.result()
    except BaseException:
        for future in futures:
            future.cancel()
        raise
    return [future.result() for future in futures]


def in_order(
    submit: Callable[[Piece], Future[Result]], pieces: Iterable[Piece], depth: int
) -> Iterator[Result]:
    """The results in the order of the pieces, `depth` of them under way while one is used."""
    waiting: deque[Future[Result]] = deque()
    try:
        for piece in pieces:
            waiting.append(submit(piece))
            if len(waiting) > depth:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:  # when the user of them ends early, do not begin what is no longer wanted
        for future in waiting:
            future.cancel()
