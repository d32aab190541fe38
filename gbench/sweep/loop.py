"""The loop of a sweep and of a search: start jobs, hear what they say, stop them by a signal.

What there is to start, and what becomes of a job that has ended, is for the one who uses it:
engine.py has points that are known from the start, gbench/search/search.py asks its study for one
trial after another.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar, Generic, Protocol, Self, TypeVar

from rich.console import Console

from gbench.sweep.executor import Executor
from gbench.sweep.job import Message
from gbench.sweep.signals import signals_kept
from gbench.sweep.words import Options

TICK_SECONDS = 0.1  # how long a signal may go unnoticed
LOOK_SECONDS = 1.0  # how often to look what other processes have done
MAX_LOSSES = 3  # of fork servers in a row, none of which ran a job


class View(Protocol):
    """What the user sees while the jobs run."""

    def __enter__(self) -> Self:
        """Begin to show them."""

    def __exit__(self, *_: object) -> None:
        """Leave the screen."""

    def say(self, text: str) -> None:
        """Something that concerns all jobs."""

    def draw(self) -> None:
        """Show where all jobs are, if it is time to."""


class Tried(Protocol):
    """A job on its way."""

    attempts: int  # that have failed


Job = TypeVar("Job", bound=Tried)


@dataclass
class Loop(ABC, Generic[Job]):
    """Jobs by number, from the first to the last."""

    noun: ClassVar[str]  # a job, for the user

    options: Options
    console: Console
    signals: list[int] = field(default_factory=list, kw_only=True)  # that have come
    losses: int = field(default=0, kw_only=True)

    def work(self, executor: Executor, view: View) -> int:
        """Go on until no job is left or a signal comes; return that signal, or 0."""
        self.executor = executor
        answered = 0
        with signals_kept(self.signals), view:
            try:
                while self._fill() or self._is_busy():
                    for number, message in executor.wait(TICK_SECONDS):
                        if message["kind"] == "room":
                            view.say(message["said"])
                        elif (job := self._running(number)) is not None:
                            self._hear(number, job, message)
                    if answered < len(self.signals):
                        answered = len(self.signals)
                        self._forget_waiting()
                        if answered > 1:
                            executor.kill()
                        else:
                            each = f"each {self.noun} leaves its checkpoint"
                            view.say(f"stopping: {each}; again to kill them")
                            executor.stop()
                    view.draw()
            finally:
                executor.close()
        return self.signals[0] if self.signals else 0

    def _hear(self, number: int, job: Job, message: Message) -> None:
        match message["kind"]:
            case "started":
                self.losses = 0
                self._started(job)
            case "pending":
                self._pending(job, message)
            case "progress":
                self._progress(number, job, message)
            case _:
                self._end(number, job, message)

    def _end(self, number: int, job: Job, message: Message) -> None:
        """The job's process has ended: what becomes of the job."""
        state, error = message["state"], message.get("error", "")
        if self._is_done(number, job, message):
            return
        if self.signals:
            self._interrupted(number, job)
        elif state in ("busy", "refused"):
            self._turned_away(number, job, message)
        elif state == "cut":
            self._again(number, job, f"{error or 'its job was cut'}; it goes on in another")
        elif state == "lost":
            self._again(number, job)
            self.losses += 1
            if self.losses > MAX_LOSSES:
                raise RuntimeError(f"the process that starts each {self.noun} dies again and again")
        else:
            if state == "finished":
                error = "it said that it had finished, and left no record"
            error = error or "it was stopped from outside"
            job.attempts += 1
            if message.get("again", True) and job.attempts <= self.options.retries:
                self._again(number, job, f"{error}; it will be tried again")
            else:
                self._failed(number, job, error, message)

    @abstractmethod
    def _fill(self) -> bool:
        """Start jobs while there is room; whether there may be more to start."""

    @abstractmethod
    def _is_busy(self) -> bool:
        """Whether a job runs, here or elsewhere."""

    @abstractmethod
    def _running(self, number: int) -> Job | None:
        """The job of this number, if it is still of interest what its process says."""

    @abstractmethod
    def _forget_waiting(self) -> None:
        """A signal has come: what waits to be started waits for another command."""

    @abstractmethod
    def _progress(self, number: int, job: Job, message: Message) -> None:
        """It tells how far it is."""

    @abstractmethod
    def _is_done(self, number: int, job: Job, message: Message) -> bool:
        """Whether it has come to its end as it should; then it is put down as that."""

    @abstractmethod
    def _interrupted(self, number: int, job: Job) -> None:
        """It has ended because a signal came."""

    @abstractmethod
    def _turned_away(self, number: int, job: Job, message: Message) -> None:
        """Another process has it ("busy"), or a cluster has no room for it ("refused")."""

    @abstractmethod
    def _again(self, number: int, job: Job, note: str = "") -> None:
        """It is to be started again; the note says why, where the user is to know."""

    @abstractmethod
    def _failed(self, number: int, job: Job, error: str, message: Message) -> None:
        """It has failed for good."""

    def _started(self, job: Job) -> None:
        """Its process has begun."""

    def _pending(self, job: Job, message: Message) -> None:
        """A cluster has it in its queue."""
