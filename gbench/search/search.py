"""Run trials until there are enough: ask the study, start a process, prune, tell.

The processes are those of a sweep's executor. They say how they validate; this process alone talks
to the study, and ends a trial that the pruner gives up.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.console import Console

from gbench.config.compose import Config
from gbench.errors import UserError
from gbench.own_code.kept import keep
from gbench.records.folder import ERROR
from gbench.records.other_code import refuse_edited
from gbench.search.running import Running
from gbench.search.space import Value
from gbench.search.study import Study
from gbench.search.view import View
from gbench.sweep.engine import LOOK_SECONDS, MAX_LOSSES, TICK_SECONDS
from gbench.sweep.executor import make_executor
from gbench.sweep.fork_server import Message
from gbench.sweep.signals import signals_kept
from gbench.sweep.words import Options

if TYPE_CHECKING:
    import optuna

RUN_TRIAL = "gbench.search.trial.run_trial"


@dataclass
class Search:
    """The trials of this command, from its first to the study's last."""

    study: Study
    composed: Callable[[dict[str, Value]], Config]  # the config of these values
    limit: int  # trials of the study
    options: Options
    console: Console
    running: dict[int, Running] = field(default_factory=dict)  # by the trial's number
    signals: list[int] = field(default_factory=list)  # that have come
    losses: int = 0
    look_at: float = 0.0

    def run(self, base: Config) -> int:
        """Work until the study has its trials, or a signal comes; returns that signal."""
        self.base, self.executor = base, make_executor([base], self.options, RUN_TRIAL)
        answered = 0
        with signals_kept(self.signals), self._view(base) as view:
            self.view = view
            try:
                while self._fill() or self.running:
                    for number, message in self.executor.wait(TICK_SECONDS):
                        self._hear(self.running[number], message)
                    if answered < len(self.signals):
                        answered = len(self.signals)
                        self._stop(at_once=answered > 1)
                    self.study.beat()
                    view.draw()
            finally:
                self.executor.close()
        return self.signals[0] if self.signals else 0

    def _view(self, base: Config) -> View:
        return View(self.study, self.running, self.limit, self.executor.slots, base, self.console)

    def _fill(self) -> bool:
        """Start trials while there is room; whether there may be more to come."""
        if self.signals:
            return False
        now = time.monotonic()
        for number, running in self.running.items():
            if running.again_at is not None and now >= running.again_at:
                running.again_at = None
                self.executor.start(number, running.config, running.folder)
        while len(self.running) < self.executor.slots and now >= self.look_at:
            found = self.study.next(self.limit)
            if found is None:
                self.look_at = now + LOOK_SECONDS
                return self.study.others_run()
            self._start(*found)
        return True

    def _start(self, trial: optuna.Trial, values: dict[str, Value]) -> None:
        try:
            config = self.composed(values)
        except UserError as error:  # two values that do not go together
            self.study.fail(trial, str(error))
            self.view.event(trial.number, values, f"cannot run: {error}")
            return
        try:
            refuse_edited(config, self.base)
        except UserError as error:
            self.study.fail(trial, str(error))
            raise
        folder = self.study.folder / "trials" / str(trial.number)
        keep(config, folder)
        self.running[trial.number] = Running(trial, values, config, folder)
        self.executor.start(trial.number, config, folder)

    def _hear(self, running: Running, message: Message) -> None:
        number = running.trial.number
        if message["kind"] == "started":
            self.losses = 0
            return
        if message["kind"] == "pending":
            return
        if message["kind"] == "progress":
            if "valid" in message:
                self._judge(running, message["epoch"], message["valid"])
            else:
                running.epoch, running.of = message["epoch"], message["of"]
            return
        state = message["state"]
        if running.given_up:
            self.study.prune(running.trial)
            self._over(running, f"pruned after epoch {int(running.epoch)}")
        elif state == "finished":
            self.study.finish(running.trial, message["valid"])
            self._over(running, self.view.metric(message["valid"]))
        elif self.signals:
            del self.running[number]  # the study keeps it running: the same command goes on with it
        elif state == "lost":
            self.losses += 1
            if self.losses > MAX_LOSSES:
                raise RuntimeError("the process that starts the trials dies again and again")
            running.again_at = 0.0
        elif state == "cut":
            running.again_at = 0.0
        elif state in ("busy", "refused"):  # a killed command's last process has not gone yet
            running.again_at = time.monotonic() + LOOK_SECONDS
        else:
            self._failed(running, message)

    def _judge(self, running: Running, epoch: int, valid: float) -> None:
        if not running.given_up and self.study.is_hopeless(running.trial, epoch, valid):
            running.given_up, running.epoch = True, epoch
            self.executor.cancel(running.trial.number)

    def _failed(self, running: Running, message: Message) -> None:
        error = message.get("error") or "it was stopped from outside"
        running.attempts += 1
        if message.get("again", True) and running.attempts <= self.options.retries:
            self.view.event(running.trial.number, running.values, f"{error}; tried again")
            running.again_at = 0.0
            return
        self.study.fail(running.trial, error)
        if "text" in message:  # the trial's own folder goes
            with suppress(OSError):
                (self.study.folder / ERROR).write_text(message["text"], encoding="utf-8")
            error = f"{error} (see {self.study.folder / ERROR})"
        self._over(running, f"failed: {error}")

    def _over(self, running: Running, note: str) -> None:
        del self.running[running.trial.number]
        self.look_at = 0.0
        shutil.rmtree(running.folder, ignore_errors=True)
        self.view.event(running.trial.number, running.values, note)

    def _stop(self, at_once: bool) -> None:
        for number, running in [*self.running.items()]:
            if running.again_at is not None:
                del self.running[number]
        if at_once:
            self.executor.kill()
        else:
            self.view.say("stopping: each trial leaves its checkpoint; again to kill them")
            self.executor.stop()
