"""`gbench.run`: what `gbench train` does with the same words, from Python."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from gbench.config.compose import Config, compose
from gbench.console import console as usual_console
from gbench.interface.calling import alone, unchanged
from gbench.interface.run import Run
from gbench.interface.runs import Runs
from gbench.interface.words import Setting, words_of
from gbench.records.folder import LAST, RECORD, put_aside
from gbench.records.other_code import finished_notes, runs_of_other_code
from gbench.records.record import read
from gbench.sweep.points import compose_all, run_folder
from gbench.sweep.words import Options, is_sweep, take_options

if TYPE_CHECKING:
    from rich.console import Console

SHOWN_NOTES = 3


class Failed(RuntimeError):
    """Some runs of a sweep have failed. `runs` are the finished ones, `errors` says why by name."""

    def __init__(self, runs: Runs, errors: Mapping[str, str]) -> None:
        self.runs, self.errors = runs, dict(errors)
        told = [f"{name}: {error}" for name, error in self.errors.items()]
        number = f"{len(self.errors)} of {len(runs) + len(self.errors)} runs failed"
        super().__init__("\n  ".join([f"{number}; error.txt in its folder tells more:", *told]))


def run(
    *words: str,
    config_dir: str | Path | Sequence[str | Path] | None = (),
    force: bool = False,
    quiet: bool = False,
    **settings: Setting,
) -> Run | Runs:
    """Train a model on a dataset, or read the run of these settings that has finished before.

    The words are those of `gbench train`, and the run is the same, in the same folder:

        run = gbench.run("model=gcn", "data=cora", "trainer.max_epochs=50", seed=3)
        run = gbench.run(model="gcn", data="cora", seed=3, **{"trainer.max_epochs": 50})

    An interrupted run goes on where it was. Words with several values (`seeds=10`,
    `model=gcn,sgc`, `folds=all`) make a sweep, each run in a process of its own, and return Runs;
    everything else returns a Run.

    Args:
        words: Settings as `key=value`.
        config_dir: One or more folders of your own, with YAML and Python files.
        force: Run again although it has finished; the old folder goes to `replaced/`.
        quiet: Print nothing.
        settings: Settings as keywords; a path, True, False or None is written as YAML has it.

    Raises:
        UserError: For settings that cannot run, with what to write instead.
        KeyboardInterrupt: After Ctrl-C, when a checkpoint has been left; the same call goes on.
        Failed: Where some runs of a sweep have failed.
    """
    typed = words_of(words, settings)
    folders = [config_dir] if isinstance(config_dir, str | Path) else config_dir
    own = [Path(folder).expanduser() for folder in folders or ()]
    with alone(quiet):
        console = usual_console()
        if is_sweep(typed):
            options, typed = take_options(typed)
            return _sweep(compose_all(typed, own), options, force, console)
        config = compose(typed, own)
        if config["trainer"].get("devices", 1) != 1:  # Lightning runs its command again
            return _sweep([config], Options(), force, console)[0]
        return _run(config, force, console)


def _run(config: Config, force: bool, console: Console) -> Run:
    folder = run_folder(config)
    if force:
        put_aside(folder)
    if (folder / RECORD).exists():
        console.print(f"{folder.name} has finished before; force=True runs it again.")
        for note in finished_notes(read(folder / RECORD), config):
            console.print(note, markup=False, soft_wrap=True)
        return Run(folder)
    _tell_other_code([config], console)
    going_on = " (continuing after an interruption)" if (folder / LAST).exists() else ""
    console.print(f"[bold]{folder.name}[/]{going_on}")
    with unchanged():
        from gbench.mirror.mlflow_address import check_servers
        from gbench.train.interrupt import Interrupted
        from gbench.training import train

        check_servers([config])
        stopped_by = 0
        try:
            train(config, folder, console)
        except Interrupted as interrupted:
            stopped_by = interrupted.exit_code - 128
    _stop(stopped_by)
    return Run(folder)


def _sweep(configs: Sequence[Config], options: Options, force: bool, console: Console) -> Runs:
    from gbench.sweep.engine import run_all

    if force:
        for config in configs:
            put_aside(run_folder(config))
    _tell_other_code((c for c in configs if not (run_folder(c) / RECORD).exists()), console)
    outcomes = run_all(configs, options=options, console=console)
    _stop(outcomes.stopped_by)
    runs = Runs(Run(outcome.folder) for outcome in outcomes if outcome.state == "finished")
    errors = {o.folder.name: o.error for o in outcomes if o.state != "finished"}
    if errors:
        raise Failed(runs, errors)
    return runs


def _tell_other_code(configs: Iterable[Config], console: Console) -> None:
    """Say which runs of these settings are there already, with other code of the user's own."""
    notes = (text for c in configs for text in runs_of_other_code(c, Path(c["runs_dir"])))
    for note in islice(notes, SHOWN_NOTES):
        console.print(note, markup=False, soft_wrap=True)


def _stop(signal_number: int) -> None:
    """After a signal that ended the work: what the caller's program does with it."""
    if not signal_number:
        return
    if signal_number != signal.SIGINT:
        signal.raise_signal(signal_number)  # ends the process, unless the program has a handler
    raise KeyboardInterrupt("interrupted: the same call goes on")
