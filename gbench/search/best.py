"""What follows a search: the best setting is trained and tested, and its trials are told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from gbench.config.compose import Config
from gbench.errors import UserError
from gbench.figures import metric_text
from gbench.records import record as records
from gbench.search.space import Space, setting_words
from gbench.search.study import Study
from gbench.search.view import setting_text
from gbench.sweep.engine import run_all
from gbench.sweep.points import compose_all
from gbench.sweep.queued import Outcome, Outcomes
from gbench.sweep.words import Options

if TYPE_CHECKING:
    import optuna

SHOWN = 5  # of the best trials


def tell(study: Study, base: Config, console: Console) -> optuna.trial.FrozenTrial:
    """Print what became of the trials and the best of them, which is returned.

    Raises UserError if none came to its end.
    """
    best, metric = study.best(), base["data"]["metric"]
    if best is None:
        reasons = "; ".join(dict.fromkeys(study.errors())) or "all were pruned"
        raise UserError(
            f"no trial came to its end: {reasons}. --force searches anew, once that is mended"
        )
    console.print(f"{study.tally()}. The best by validation, none of them tested:", soft_wrap=True)
    for trial in study.ranked()[:SHOWN]:
        value = metric_text(metric, study.value(trial))
        line = f"  valid {metric} {value}  trial {trial.number:3}  {setting_text(trial.params)}"
        console.print(line, soft_wrap=True, style="bold" if trial.number == best.number else "")
    weights = study.importances()
    if weights:
        shares = "  ".join(f"{key} {100 * share:.0f} %" for key, share in weights.items())
        console.print(f"What the spread of the trials comes from: {shares}", soft_wrap=True)
    console.print()
    return best


def best_words(words: Sequence[str], best: optuna.trial.FrozenTrial, trials: int) -> list[str]:
    """The words of `gbench train` for the best setting."""
    return [*words, *setting_words(best.params), f"trials={trials}"]


def best_configs(words: Sequence[str], config_dirs: Sequence[Path], space: Space) -> list[Config]:
    """The runs of the best setting; their records tell the space that it was searched in."""
    return [{**config, "space": space.stated} for config in compose_all(words, config_dirs)]


def train_best(configs: Sequence[Config], options: Options, console: Console) -> Outcomes:
    """Train and test the best setting.

    A run that had finished before is not trained again; its record now tells the trials that led to
    it, if they are more.
    """
    outcomes = run_all(configs, options=options, console=console)
    outcomes[:] = [
        _told(outcome, config) for outcome, config in zip(outcomes, configs, strict=True)
    ]
    return outcomes


def _told(outcome: Outcome, config: Config) -> Outcome:
    record = outcome.record
    if record is None or record.trials >= config["trials"]:
        return outcome
    searched: dict[str, Any] = {key: config[key] for key in ("trials", "space")}
    record = replace(record, trials=config["trials"], config={**record.config, **searched})
    records.write(record, outcome.folder)
    return replace(outcome, record=record)
