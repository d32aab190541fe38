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

from gbench.config.compose import Config
from gbench.errors import UserError
from gbench.own_code.kept import keep
from gbench.records.folder import ERROR
from gbench.records.other_code import refuse_edited
from gbench.search.running import Running
from gbench.search.space import Value
from gbench.search.study import Study
from gbench.search.view import View
from gbench.sweep.executor import make_executor
from gbench.sweep.job import Message
from gbench.sweep.loop import LOOK_SECONDS, Loop

if TYPE_CHECKING:
    import optuna

RUN_TRIAL = "gbench.search.trial.run_trial"


@dataclass
class Search(Loop[Running]):
    """The trials of this command, from its first to the study's last."""

    noun = "trial"

    study: Study
    composed: Callable[[dict[str, Value]], Config]  # the config of these values
    limit: int  # trials of the study
    running: dict[int, Running] = field(default_factory=dict)  # by the trial's number
    look_at: float = 0.0

    def run(self, base: Config) -> int:
        """Work until the study has its trials, or a signal comes; returns that signal."""
        self.base, executor = base, make_executor([base], self.options, RUN_TRIAL)
        shown = (self.study, self.running, self.limit, executor.slots)
        self.view = View(*shown, base, self.console)
        return self.work(executor, self.view)

    def _is_busy(self) -> bool:
        return bool(self.running)

    def _running(self, number: int) -> Running | None:
        return self.running[number]

    def _fill(self) -> bool:
        self.study.beat()
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

    def _forget_waiting(self) -> None:
        for number, running in [*self.running.items()]:
            if running.again_at is not None:
                del self.running[number]

    def _progress(self, number: int, running: Running, message: Message) -> None:
        if "valid" not in message:
            running.epoch, running.of = message["epoch"], message["of"]
            return
        epoch, valid = message["epoch"], message["valid"]
        if not running.given_up and self.study.is_hopeless(running.trial, epoch, valid):
            running.given_up, running.epoch = True, epoch
            self.executor.cancel(number)

    def _is_done(self, number: int, running: Running, message: Message) -> bool:
        if running.given_up:
            self.study.prune(running.trial)
            self._over(number, running, f"pruned after epoch {int(running.epoch)}")
        elif message["state"] == "finished":
            self.study.finish(running.trial, message["valid"])
            self._over(number, running, self.view.metric(message["valid"]))
        else:
            return False
        return True

    def _interrupted(self, number: int, running: Running) -> None:
        del self.running[number]  # the study keeps it running: the same command goes on with it

    def _turned_away(self, number: int, running: Running, message: Message) -> None:
        # a killed command's last process has not gone yet
        running.again_at = time.monotonic() + LOOK_SECONDS

    def _again(self, number: int, running: Running, note: str = "") -> None:
        running.again_at = 0.0
        if note:
            self.view.event(number, running.values, note)

    def _failed(self, number: int, running: Running, error: str, message: Message) -> None:
        self.study.fail(running.trial, error)
        if "text" in message:  # the trial's own folder goes
            with suppress(OSError):
                (self.study.folder / ERROR).write_text(message["text"], encoding="utf-8")
            error = f"{error} (see {self.study.folder / ERROR})"
        self._over(number, running, f"failed: {error}")

    def _over(self, number: int, running: Running, note: str) -> None:
        del self.running[number]
        self.look_at = 0.0
        shutil.rmtree(running.folder, ignore_errors=True)
        self.view.event(number, running.values, note)
