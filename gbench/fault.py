"""Whose an unexpected exception is, and how it is told.

The files of its traceback say it. One that belongs neither to gbench nor to Python nor to an
installed package is the user's own: its line is named, and the traceback is shown from there on.
Without such a file it is a defect of gbench, whose whole traceback is kept in a file with what a
report needs; or, in a run of the user's own code, of one of the two.
"""

from __future__ import annotations

import inspect
import os
import shlex
import sys
import sysconfig
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType, TracebackType

from gbench import folders
from gbench.own_code.closure import is_installed
from gbench.own_code.stated import own_names

# where the code of gbench and of Python lies
_OTHERS = (
    Path(__file__).absolute().parent,
    Path(sysconfig.get_path("stdlib")),
    Path(os.__file__).parent,
)


@dataclass(frozen=True)
class Fault:
    """An exception in words."""

    sentence: str  # where it was raised, if that is the user's own code, and what it says
    details: str  # its traceback: from the user's own code on, or whole
    is_own: bool  # raised in the user's own code, or in what that called


def fault_of(error: BaseException) -> Fault:
    """What to tell; of a chain of exceptions, of the first that came from the user's code."""
    for link in _chain(error):
        place = own_line(link)
        if place:
            frames = [*_frames(link.__traceback__)]
            start = next((tb for tb in frames if is_own(_file(tb.tb_frame))), None)
            text = "".join(traceback.format_exception(type(link), link, start))
            return Fault(f"{place}: {_said(link)}", text, is_own=True)
    text = "".join(traceback.format_exception(error))
    targets = _own_targets(error)
    if targets:
        said = f"{_said(error).rstrip('.')}. It was raised outside of your own code"
        return Fault(f"{said}, in a run of {', '.join(targets)}", text, is_own=False)
    return Fault(f"this is a defect of gbench: {_said(error)}", text, is_own=False)


def own_line(error: BaseException) -> str:
    """The deepest line of the user's own code that an exception came through, or nothing.

    `mine/mymodel.py, line 12, in forward`
    """
    if isinstance(error, SyntaxError) and error.filename and is_own(error.filename):
        return f"{folders.near(error.filename)}, line {error.lineno}"
    own = [tb for tb in _frames(error.__traceback__) if is_own(_file(tb.tb_frame))]
    if not own:
        return ""
    function = own[-1].tb_frame.f_code.co_name
    where = "" if function == "<module>" else f", in {function}"
    return f"{folders.near(_file(own[-1].tb_frame))}, line {own[-1].tb_lineno}{where}"


def is_own(file: str) -> bool:
    """Whether a file of code is neither gbench's nor Python's nor an installed package's."""
    path = Path(file).absolute()
    if file.startswith("<") or not path.is_file():  # made by a program, as dataclasses do
        return False
    return not (is_installed(path) or any(folder in path.parents for folder in _OTHERS))


def report_text(fault: Fault, command: str) -> str:
    """What a report of a defect needs."""
    from gbench import environment

    found = {"command": command, "system": sys.platform, **environment.versions()}
    git = environment.git_state()
    if git is not None:
        found["git"] = f"{git['commit']}{' (changed)' if git['dirty'] else ''}"
    lines = [f"{name}: {value}" for name, value in found.items()]
    return "\n".join([fault.sentence, "", *lines, "", fault.details])


def keep(fault: Fault, words: list[str]) -> Path | None:
    """Write the report into a new file below the cache folder, or the system's temporary one."""
    import tempfile

    text = report_text(fault, shlex.join(["gbench", *words]))
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}.txt"
    for folder in (folders.cache_dir() / "defects", Path(tempfile.gettempdir()) / "gbench"):
        try:
            with folders.written_whole(folder / name) as file:
                file.write(text.encode(errors="backslashreplace"))
        except OSError:
            continue
        return folder / name
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The exception, and those that it was raised from or while handling."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        yield error
        seen.append(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _frames(step: TracebackType | None) -> Iterator[TracebackType]:
    while step is not None:
        yield step
        step = step.tb_next


def _file(frame: FrameType) -> str:
    return frame.f_code.co_filename


def _said(error: BaseException) -> str:
    """Its kind and the first line of what it says."""
    text = (error.msg or "") if isinstance(error, SyntaxError) else str(error)
    first = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def _own_targets(error: BaseException) -> list[str]:
    """The user's own classes and functions in the config that was being worked on."""
    for step in _frames(error.__traceback__):
        config = step.tb_frame.f_locals.get("config")
        if isinstance(config, Mapping):
            return [placed(name) for name in own_names(config)]
    return []


def placed(target: str) -> str:
    """`mymodel.MyModel (mine/mymodel.py, line 5)`, where it has been imported."""
    module, _, name = target.rpartition(".")
    try:
        found = getattr(sys.modules[module], name)
        file, line = inspect.getsourcefile(found), inspect.getsourcelines(found)[1]
    except (KeyError, AttributeError, TypeError, OSError):
        return target
    return f"{target} ({folders.near(file or '')}, line {line})"
