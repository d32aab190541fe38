"""Search good settings of one model on one dataset by validation, then train and test the best.

  gbench search model=sgc data=cora                    the space conf/sweep/sgc.yaml
  gbench search model=diag-nsd data=texas sweep=nsd trials=100 seeds=10 jobs=4

A trial trains and validates and is never tested. The same command goes on with what was
interrupted; two of them, on machines that share the runs folder too, work on one study. Then the
best setting is trained and tested, and its records tell the number of trials.

  sweep=NAME   the search space, else the model's own; `gbench list sweeps` shows them
  trials=N     settings to try, those of earlier commands included; otherwise the space says it
  pruner=NAME  gives up hopeless trials: median, hyperband or none (median)
  study.storage=URL  a database in place of the runs folder's journal, for machines that share
               none: sqlite:///studies.db, postgresql://USER:PASSWORD@HOST/NAME
  seeds=10     repeat the best setting; also folds=, jobs=, retries= as of `gbench train`

A setting that is typed is not searched. A space of your own is sweep/NAME.yaml in --config-dir:

  trials: 50
  model.hidden_dim: [16, 32, 64]
  model.num_layers: {low: 2, high: 6}
  model.dropout: {low: 0.0, high: 0.8, step: 0.1}
  optim.lr: {low: 1.0e-4, high: 1.0e-1, log: true}
"""

from __future__ import annotations

import argparse

from gbench.cli.arguments import add_overrides

SUMMARY = "search good settings by validation, then test the best"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_overrides(parser)
    parser.add_argument("--force", action="store_true", help="search anew, and train the best anew")
    parser.add_argument("--json", action="store_true", help="print the records to stdout")


def run(args: argparse.Namespace) -> int:
    from rich.console import Console

    from gbench.records.folder import put_aside
    from gbench.records.other_code import refuse_edited
    from gbench.search.best import best_configs, best_words, tell, train_best
    from gbench.search.request import read_request
    from gbench.search.search import Search
    from gbench.sweep.points import run_folder
    from gbench.sweep.report import report

    request = read_request(args.overrides, args.config_dir)
    if args.force:
        put_aside(request.folder)
    console = Console(stderr=True, highlight=False)
    with request.study(anew=args.force) as study:
        search = Search(request.options, console, study, request.composed, request.trials)
        stopped_by = search.run(request.base)
        if stopped_by:
            console.print(f"Stopped with {study.tally()}. The same command goes on.")
            return 128 + stopped_by
        best = tell(study, request.base, console)
    words = best_words(request.words, best, study.tally().spent)
    configs = best_configs([*words, *request.repetitions], args.config_dir, request.space)
    for config in configs:
        refuse_edited(config, request.base)
    if args.force:
        for folder in map(run_folder, configs):
            put_aside(folder)
    outcomes = train_best(configs, request.options, console)
    report(outcomes, console, args.json)
    return outcomes.exit_code
