"""Where gbench tells what it does: on stderr, live in a terminal; in a notebook below the cell."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from rich.console import Console
from rich.markup import escape

_IS_QUIET = ContextVar("is_quiet", default=False)


@contextmanager
def quieted(is_quiet: bool) -> Iterator[None]:
    """Within, no console says anything, where that is wished."""
    token = _IS_QUIET.set(is_quiet or _IS_QUIET.get())
    try:
        yield
    finally:
        _IS_QUIET.reset(token)


def console(quiet: bool = False) -> Console:
    """The console for progress and notes.

    A notebook's stderr is shown as if something had failed, and rich's own output there needs
    ipywidgets to be live: plain lines go to its stdout, which is no terminal though it has colours.
    """
    quiet = quiet or _IS_QUIET.get()
    usual = Console(stderr=True, highlight=False, quiet=quiet)
    if not usual.is_jupyter:
        return usual
    return Console(
        file=sys.stdout, force_jupyter=False, force_terminal=False, highlight=False, quiet=quiet
    )


@contextmanager
def stages() -> Iterator[Callable[[str], None]]:
    """Where a long task tells its stages: on one line of a terminal, elsewhere on one each."""
    place = console()
    if not place.is_terminal:
        yield lambda line: place.print(line, markup=False, soft_wrap=True)
        return
    with place.status("") as status:
        yield lambda line: status.update(escape(line))
