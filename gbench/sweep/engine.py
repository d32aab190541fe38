"""Run many configs, each in its own process, and lose none.

    configs = compose_all(words, config_dirs)             # points.py; all are checked by then
    outcomes = run_all(configs, options=Options(jobs=4), console=console)

`run_all` returns one Outcome per config, in their order:

* finished: `record` is there, from this sweep or from before (the folder is the config hash)
* failed: `error` says why; the folder holds it too (error.txt, and what was printed: output.txt)
* interrupted: the sweep was told to stop; the same call goes on from the point's checkpoint
* waiting: the sweep was told to stop before the point began

Points that have a record are not run, whoever finished them. A point that another process is
training in is waited for. One that fails is tried again at the end of the queue, `retries` times,
unless its error is the user's to mend. After Ctrl-C or SIGTERM, `outcomes.stopped_by` is that
signal: the points leave their checkpoints and end; a second one kills them.

What runs a point is an executor (executor.py tells what the engine asks of it); the sweep itself,
the queue, what is on disk and the display, is the same for all of them.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from rich.console import Console

from gbench.config.compose import Config
from gbench.errors import UserError
from gbench.folders import written_whole
from gbench.mirror.mlflow_address import check_servers
from gbench.own_code.kept import keep_all
from gbench.records import record as records
from gbench.records.folder import CONFIG, ERROR, LAST, OUTPUT, RECORD, config_text, in_training
from gbench.records.other_code import not_told
from gbench.sweep.executor import make_executor
from gbench.sweep.job import Message
from gbench.sweep.loop import LOOK_SECONDS, Loop
from gbench.sweep.points import run_folder
from gbench.sweep.queued import Outcomes, Point
from gbench.sweep.table import View
from gbench.sweep.words import Options

QUEUED_SECONDS = 5.0  # how often to look whether another process has finished a queued point


def run_all(configs: Sequence[Config], *, options: Options, console: Console) -> Outcomes:
    """Run what has not finished; the console shows the queue while it empties."""
    points = [Point(config, run_folder(config)) for config in configs]
    for point in points:
        point.before = finished_on_disk(point)
    finished = [(point.record, point.config) for point in points if point.record is not None]
    if missing := {name for record, config in finished for name in not_told(record, config)}:
        console.print(
            f"Runs that have finished before have no {', '.join(sorted(missing))}, which "
            "trainer.also asks "
            "for; --force (force=True) runs them again.",
            style="yellow",
            soft_wrap=True,
        )
    outcomes = Outcomes()
    if all(point.before for point in points):
        text = "All of these have finished before; --force (force=True) runs them again."
        console.print(text, style="yellow")
    else:
        sweep = Sweep(options, console, points)
        outcomes.stopped_by = sweep.run()
    outcomes += [point.outcome() for point in points]
    return outcomes


def finished_on_disk(point: Point) -> bool:
    """Whether a record says that the point is done.

    One that cannot be read (edited by hand, or by a newer gbench) is left alone: the point fails.
    """
    if not (point.folder / RECORD).exists():
        return False
    try:
        point.record = records.read(point.folder / RECORD)
        point.state = "finished"
        (point.folder / LAST).unlink(missing_ok=True)  # of a run that died at its very end
    except UserError as error:
        point.state, point.error = "failed", f"{error}: --force runs the point again"
    except OSError:  # a folder that is read-only keeps its checkpoint
        pass
    return True


@dataclass
class Sweep(Loop[Point]):
    """The queue, from its first point to its last."""

    noun = "point"

    points: list[Point]
    queue: deque[int] = field(default_factory=deque)
    refused: bool = False  # a point, by a cluster that has others of this sweep

    def run(self) -> int:
        """Work until every point is finished or failed, or a signal comes; returns that signal."""
        self.queue.extend(n for n, point in enumerate(self.points) if point.state == "waiting")
        waiting = [self.points[number].config for number in self.queue]
        keep_all((self.points[number].config, self.points[number].folder) for number in self.queue)
        if self.options.executor == "local":  # another machine may reach what this one does not
            check_servers(waiting)
        executor = make_executor(waiting, self.options)
        self.view = View(self.points, executor.slots, self.console)
        return self.work(executor, self.view)

    def _is_busy(self) -> bool:
        return any(point.state in ("running", "elsewhere") for point in self.points)

    def _running(self, number: int) -> Point | None:
        point = self.points[number]
        return point if point.state == "running" else None  # another process has finished it

    def _fill(self) -> bool:
        if self.signals:
            return False
        now = time.monotonic()
        for number, point in enumerate(self.points):
            if point.state == "running" and not point.started and now >= point.look_at:
                point.look_at = now + QUEUED_SECONDS
                if finished_on_disk(point):
                    self.executor.cancel(number)
                    self.view.event(point, "finished by another process")
            if point.state == "elsewhere" and now >= point.look_at:
                point.look_at = now + LOOK_SECONDS
                if finished_on_disk(point):
                    self.view.event(point, "finished by another process")
                elif not in_training(point.folder):
                    point.state = "waiting"
                    self.queue.append(number)
        running = sum(point.state == "running" for point in self.points)
        while self.queue and running < self.executor.slots and not self.signals:
            number = self.queue.popleft()
            point = self.points[number]
            if finished_on_disk(point):
                self.view.event(point, "finished by another process")
                continue
            point.state, point.error, point.reason = "running", "", ""
            point.started, point.look_at = 0.0, now + QUEUED_SECONDS
            self.executor.start(number, point.config, point.folder)
            running += 1
        return bool(self.queue)

    def _forget_waiting(self) -> None:
        for point in self.points:
            if point.state == "elsewhere":
                point.state = "waiting"

    def _started(self, point: Point) -> None:
        point.started = time.monotonic()

    def _pending(self, point: Point, message: Message) -> None:
        if point.started:
            self.view.event(point, f"job {message['job']} is queued again, as the same point")
        point.started, point.reason = 0.0, message["reason"]
        if "held" in point.reason.lower():
            job = message["job"]
            self.view.event(point, f"job {job} is held ({point.reason}): scontrol release {job}")

    def _progress(self, number: int, point: Point, message: Message) -> None:
        point.started = point.started or time.monotonic()
        point.epoch, point.of, point.best = message["epoch"], message["of"], message["best"]

    def _is_done(self, number: int, point: Point, message: Message) -> bool:
        point.ended = time.monotonic()
        if message["state"] != "finished" or not finished_on_disk(point):
            return False
        with suppress(OSError):
            (point.folder / OUTPUT).unlink(missing_ok=True)
        self.view.event(point)
        return True

    def _interrupted(self, number: int, point: Point) -> None:
        point.state = "interrupted" if (point.folder / LAST).exists() else "waiting"

    def _turned_away(self, number: int, point: Point, message: Message) -> None:
        if message["state"] == "busy":
            point.state, point.look_at = "elsewhere", 0.0
            self.view.event(point, "another process is training it: waiting for that one")
            return
        point.state = "waiting"
        self.queue.appendleft(number)
        if not self.refused:
            self.view.say(f"{message.get('error', '')}; the others wait until one has ended")
        self.refused = True

    def _again(self, number: int, point: Point, note: str = "") -> None:
        point.state, point.epoch, point.best = "waiting", 0, None
        self.queue.append(number)
        if note:
            self.view.event(point, note)

    def _failed(self, number: int, point: Point, error: str, message: Message) -> None:
        point.state, point.error = "failed", error
        keep_failure(point, message.get("text") or f"{error}\n", message.get("printed", ""))
        self.view.event(point)


def keep_failure(point: Point, reason: str, printed: str) -> None:
    """Leave in the folder why the point failed, and its config, if it did not get so far."""
    with suppress(OSError):  # a full disk or a read-only folder: the table tells it at least
        if not (point.folder / CONFIG).exists():
            with written_whole(point.folder / CONFIG) as file:
                file.write(config_text(point.config))
        with written_whole(point.folder / ERROR) as file:
            file.write(reason.encode(errors="backslashreplace"))
        if printed:
            with written_whole(point.folder / OUTPUT) as file:
                file.write(f"{printed}\n".encode())
