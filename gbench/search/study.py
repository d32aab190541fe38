"""Optuna's study, on disk, shared by all commands that search the same space at once.

    runs/search/cora-gcn-1a2b3c4d5e/study.journal   all trials: settings, curves, how they ended
    runs/search/cora-gcn-1a2b3c4d5e/workers/        a locked file for each command at work
    runs/search/cora-gcn-1a2b3c4d5e/trials/         checkpoints of the trials that still run

A trial belongs to the command whose worker file is locked. The kernel frees the lock when that
process ends, however it ends; its trials are then anyone's, who goes on from their checkpoints.

In a database (storage.py) the trials may be those of machines that share no folder. Their commands
sign them each BEAT seconds; a trial that is not signed any more is anyone's, from its beginning.
"""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from gbench.errors import UserError
from gbench.locks import locked, take
from gbench.search.space import Dimension, Value
from gbench.search.storage import open_database, open_journal
from gbench.seeds import nth_seed

if TYPE_CHECKING:
    import optuna

WORKER, ERROR, SEEN = "worker", "error", "seen"  # a trial's attributes
BEAT, SILENCE = 30.0, 150.0  # seconds: between two signs, and after which nobody is there
# What of the sampler a version of Optuna changes. Trials that run tell it nothing: its "constant
# liar" would count those of a command that died as bad ones.
SAMPLER = {
    "n_startup_trials": 10,
    "n_ei_candidates": 24,
    "multivariate": False,
    "group": False,
    "constant_liar": False,
}
WARM_UP = 10  # no trial is pruned in the first tenth of its epochs
ENOUGH_FOR_IMPORTANCES = 10  # trials
PRUNERS = ("median", "hyperband", "none")


@dataclass(frozen=True)
class Tally:
    """How many trials there are of each kind."""

    finished: int
    pruned: int
    failed: int
    running: int

    @property
    def spent(self) -> int:
        return self.finished + self.pruned + self.failed

    def __str__(self) -> str:
        kinds = {"pruned": self.pruned, "failed": self.failed, "running": self.running}
        said = [f"{number} {kind}" for kind, number in kinds.items() if number]
        return ", ".join([f"{self.finished} finished", *said])


class Study:
    """The trials of one search."""

    def __init__(
        self,
        folder: Path,
        dimensions: Sequence[Dimension],
        *,
        maximise: bool,
        seed: int,
        pruner: str,
        max_epochs: int,
        storage: str | None = None,
        anew: bool = False,
    ) -> None:
        self.optuna = import_optuna()
        self.folder, self.dimensions, self.seed = folder, dimensions, seed
        self.is_shared, self.beat_at = storage is not None, 0.0
        self.worker = secrets.token_hex(6)
        self.mine: set[int] = set()
        try:
            (folder / "workers").mkdir(parents=True, exist_ok=True)
            self.lock = (folder / "workers" / self.worker).open("w")
            take(self.lock, wait=True)
        except OSError as error:
            raise UserError(
                f"cannot write to {folder} ({error.strerror}): choose another with runs_dir=FOLDER"
            ) from error
        self.storage = (
            open_database(self.optuna, storage) if storage else open_journal(self.optuna, folder)
        )
        with locked(folder / ".claim"):
            self.study = self.optuna.create_study(
                storage=self.storage,
                study_name=self._name(anew) if storage else folder.name,
                direction="maximize" if maximise else "minimize",
                pruner=_pruner(self.optuna, pruner, max_epochs),
                load_if_exists=True,
            )

    def _name(self, anew: bool) -> str:
        """In a database each search anew is another study; the last of them is gone on with."""
        known, name = {*self.optuna.get_all_study_names(self.storage)}, self.folder.name
        names = [name, *(f"{name}-{number}" for number in range(2, len(known) + 2))]
        last = sum(name in known for name in names)
        return names[last if anew else max(0, last - 1)]

    def close(self) -> None:
        """Leave the study; what is still running of it is then anyone's."""
        (self.folder / "workers" / self.worker).unlink(missing_ok=True)
        self.lock.close()

    def next(self, limit: int) -> tuple[optuna.Trial, dict[str, Value]] | None:
        """A trial that was cut, or a new one while there are fewer than `limit`; and its setting.

        The sampler of each trial is seeded by the study's seed and the trial's number, so that a
        search that was cut goes on as if it had not been.
        """
        with locked(self.folder / ".claim"):
            trials = self.study.get_trials(deepcopy=False)
            left = [t for t in self._running(trials) if not self._is_alive(t)]
            if not left and len(trials) >= limit:
                return None
            self.study.sampler = self._sampler(len(trials))
            trial = self._trial(left[0].number) if left else self.study.ask()
            self.study.sampler = self._sampler(trial.number)  # another machine may have asked, too
            trial.set_user_attr(WORKER, self.worker)
            if self.is_shared:
                trial.set_user_attr(SEEN, time.time())
            values = {dimension.key: _suggested(trial, dimension) for dimension in self.dimensions}
        self.mine.add(trial.number)
        return trial, values

    def _trial(self, number: int) -> optuna.Trial:
        """A trial that runs, to go on with."""
        study = self.storage.get_study_id_from_name(self.study.study_name)
        key = self.storage.get_trial_id_from_study_id_trial_number(study, number)
        trial: optuna.Trial = self.optuna.Trial(self.study, key)
        return trial

    def _sampler(self, number: int) -> Any:
        seed = nth_seed(self.seed, number) % 2**32  # what Optuna takes
        return self.optuna.samplers.TPESampler(seed=seed, **SAMPLER)

    def beat(self) -> None:
        """Sign the trials of this command, where machines look that see no lock of it."""
        if self.is_shared and self.mine and time.monotonic() >= self.beat_at:
            self.beat_at = time.monotonic() + BEAT
            for trial in self.study.get_trials(deepcopy=False):
                if trial.number in self.mine and not trial.state.is_finished():
                    self._trial(trial.number).set_user_attr(SEEN, time.time())

    def others_run(self) -> bool:
        """Whether trials are left that another command works on, or that nobody does any more."""
        running = self._running(self.study.get_trials(deepcopy=False))
        return any(trial.number not in self.mine for trial in running)

    def is_hopeless(self, trial: optuna.Trial, epoch: int, valid: float) -> bool:
        """Note the validation metric after so many epochs; whether it is not worth going on."""
        known = self.study.get_trials(deepcopy=False)[trial.number].intermediate_values
        if not math.isfinite(valid) or epoch in known:
            return False
        trial.report(valid, epoch)
        return bool(trial.should_prune())

    def finish(self, trial: optuna.Trial, valid: float) -> None:
        """The trial has come to its end, with this validation metric."""
        if not math.isfinite(valid):
            return self.fail(trial, f"its validation metric is {valid}")
        return self._tell(trial, "COMPLETE", valid)

    def prune(self, trial: optuna.Trial) -> None:
        """The trial was given up."""
        self._tell(trial, "PRUNED")

    def fail(self, trial: optuna.Trial, error: str) -> None:
        """The trial's setting does not train: it counts as spent, and tells the sampler nothing."""
        trial.set_user_attr(ERROR, error)
        self._tell(trial, "FAIL")

    def tally(self) -> Tally:
        """What became of all trials so far."""
        states = [t.state.name for t in self.study.get_trials(deepcopy=False)]
        return Tally(*(states.count(name) for name in ("COMPLETE", "PRUNED", "FAIL", "RUNNING")))

    def best(self) -> optuna.trial.FrozenTrial | None:
        """The trial with the best validation metric, of those that came to their end."""
        return next(iter(self.ranked()), None)

    def ranked(self) -> list[optuna.trial.FrozenTrial]:
        """The trials that came to their end, the best first; of equal ones the earlier."""
        ended = [t for t in self.study.get_trials(deepcopy=False) if t.state.name == "COMPLETE"]
        sign = -1 if self.study.direction.name == "MAXIMIZE" else 1
        return sorted(ended, key=lambda trial: (sign * trial.value, trial.number))

    def value(self, trial: optuna.trial.FrozenTrial) -> float:
        """The validation metric of a trial that came to its end."""
        assert trial.value is not None
        return trial.value

    def importances(self) -> dict[str, float]:
        """Shares of the settings in the variance of the trials; none of too few trials."""
        if len(self.dimensions) < 2 or len(self.ranked()) < ENOUGH_FOR_IMPORTANCES:
            return {}
        evaluator = self.optuna.importance.FanovaImportanceEvaluator(seed=self.seed)
        shares: dict[str, float] = self.optuna.importance.get_param_importances(
            self.study, evaluator=evaluator
        )
        return shares

    def errors(self) -> list[str]:
        """Why trials failed."""
        trials = self.study.get_trials(deepcopy=False)
        return [trial.user_attrs[ERROR] for trial in trials if ERROR in trial.user_attrs]

    def _tell(self, trial: optuna.Trial, state: str, value: float | None = None) -> None:
        self.study.tell(trial, value, self.optuna.trial.TrialState[state])
        self.mine.discard(trial.number)

    def _running(self, trials: Sequence[Any]) -> list[optuna.trial.FrozenTrial]:
        return [trial for trial in trials if not trial.state.is_finished()]

    def _is_alive(self, trial: optuna.trial.FrozenTrial) -> bool:
        worker = trial.user_attrs.get(WORKER)
        if worker is None:  # it was killed between making the trial and signing it
            return False
        try:
            with (self.folder / "workers" / worker).open() as lock:
                return not take(lock, shared=True)
        except FileNotFoundError:
            seen: float = trial.user_attrs.get(SEEN, 0.0)  # by a machine with another folder
            return self.is_shared and time.time() - seen < SILENCE


def import_optuna() -> ModuleType:
    """Optuna, which says nothing of its own here."""
    try:
        import optuna
    except ImportError:
        raise UserError("a search needs Optuna: pip install 'gbench[search]'") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def _suggested(trial: optuna.Trial, dimension: Dimension) -> Value:
    """What the trial has of this setting; drawn now, if it was cut before that."""
    key, low, high = dimension.key, dimension.low, dimension.high
    if dimension.choices:
        value: Value = trial.suggest_categorical(key, dimension.choices)
        return value
    if dimension.whole:
        step = 1 if dimension.step is None else int(dimension.step)
        return trial.suggest_int(key, int(low), int(high), step=step, log=dimension.log)
    return trial.suggest_float(key, low, high, step=dimension.step, log=dimension.log)


def _pruner(optuna: ModuleType, name: str, max_epochs: int) -> Any:
    if name == "median":
        return optuna.pruners.MedianPruner(n_warmup_steps=max_epochs // WARM_UP)
    if name == "hyperband":
        least = max(1, max_epochs // WARM_UP)
        return optuna.pruners.HyperbandPruner(min_resource=least, max_resource=max_epochs)
    return optuna.pruners.NopPruner()
