"""What is typed for a search, checked before the first trial starts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from gbench.config.compose import Config, compose
from gbench.config.identity import identity
from gbench.config.names import FOLDER_BYTES, num_bytes, shortened
from gbench.errors import UserError, unknown
from gbench.mirror.mlflow_address import check_servers
from gbench.search.space import Space, Value, check_objective, read_space, setting_words
from gbench.search.storage import database_errors
from gbench.search.study import PRUNERS, Study, import_optuna
from gbench.sweep.points import compose_all
from gbench.sweep.words import REPETITIONS, Options, alternatives, count, take_options

FOLDER = "search"  # below the runs folder
STORAGE = "study.storage"


@dataclass(frozen=True)
class Request:
    """One search."""

    words: list[str]  # settings that all trials share
    repetitions: list[str]  # seeds= and folds=, for the best setting
    config_dirs: Sequence[Path]
    base: Config  # of the words alone
    space: Space
    trials: int
    pruner: str
    options: Options
    storage: str | None = None  # the URL of a database

    @property
    def folder(self) -> Path:
        """Where the study of these words and this space lies, however many its trials are."""
        base = self.base
        asked = [identity(base), base["seed"], base["data"]["fold"], self.space.stated]
        digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:10]
        about = f"{base['data']['name']}-{base['model']['name']}"
        name = shortened(about, FOLDER_BYTES, num_bytes, f"-{digest}")
        return Path(base["runs_dir"]) / FOLDER / name

    @contextmanager
    def study(self, anew: bool = False) -> Iterator[Study]:
        """The study, begun now or before.

        Raises UserError where its database fails, whenever that is.
        """
        with database_errors(self.storage) if self.storage else nullcontext():
            study = Study(
                self.folder,
                self.space.dimensions,
                maximise=self.base["data"]["direction"] == "max",
                seed=self.base["seed"],
                pruner=self.pruner,
                max_epochs=self.base["trainer"]["max_epochs"],
                storage=self.storage,
                anew=anew,
            )
            try:
                yield study
            finally:
                study.close()

    def composed(self, values: dict[str, Value]) -> Config:
        """The config of a trial."""
        return compose([*self.words, *setting_words(values)], self.config_dirs)


def read_request(overrides: Sequence[str], config_dirs: Sequence[Path]) -> Request:
    """The search that the words ask for.

    Raises UserError for what is wrong with them or with the space, and where Optuna is missing.
    """
    import_optuna()
    options, words = take_options(overrides)
    own, repetitions, settings = {"pruner": "median"}, [], []
    for word in words:
        key, _, value = word.partition("=")
        if key in ("sweep", "trials", "pruner", STORAGE):
            own[key] = value
        elif key in REPETITIONS:
            repetitions.append(word)
        elif alternatives(word) != [word]:
            hint = f" (or {key}s=, for the best setting)" if key == "seed" else ""
            raise UserError(f"{word}: a search has one value of what it does not search{hint}")
        else:
            settings.append(word)
    if own["pruner"] not in PRUNERS:
        raise unknown("pruner", own["pruner"], PRUNERS)
    base = compose(settings, config_dirs)
    check_objective(base)
    space = read_space(settings, base, own.get("sweep"), config_dirs)
    trials = count("trials", own["trials"], least=1) if "trials" in own else space.trials
    compose_all([*settings, *repetitions], config_dirs)  # what comes last is checked first, too
    check_servers([base])
    searched = (base, space, trials, own["pruner"], options, own.get(STORAGE))
    return Request(settings, repetitions, config_dirs, *searched)
