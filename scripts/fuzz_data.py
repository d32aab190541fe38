"""Thousands of small random datasets in every form that gbench reads, checked and trained on.

    python scripts/fuzz_data.py --count 2000 --seed 0 --train 1

Each must be read, or refused by the sentence that is its due; what is said of its classes, gaps,
features and unused attributes must be so; a model of its level, each in its turn, must train on it
without an exception; and since the labels are noise, its accuracy on the test part must lie within
the binomial interval. A dataset that breaks any of it is kept and named. Exit code 1 then.
"""

from __future__ import annotations

import argparse
import collections
import copy
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.random import RandomState
from random_data import Made, made
from rich.console import Console
from scipy.stats import binom

from gbench.build import build_task
from gbench.choices import choices, read_yaml
from gbench.config.compose import compose
from gbench.config.floors import networks
from gbench.data import manage
from gbench.data.load import load
from gbench.data.own import facts_of
from gbench.data.spec import DataCard
from gbench.errors import UserError
from gbench.quiet import silence
from gbench.training import train

ALPHA = 1e-7  # of each interval: one of 10,000 runs would fall out of it by chance
LOSSES = {"classification": "cross-entropy", "multi-label": "bce", "regression": "l1"}
METRICS = {"classification": "accuracy", "multi-label": "rocauc", "regression": "mae"}


def main() -> int:
    """Make, check and train; print a summary."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--start", type=int, default=0, help="the number of the first")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--train", type=int, default=1, help="train on each so-manieth; 0: on none")
    parser.add_argument("--keep", type=Path, default=Path("fuzzed"), help="where failing ones go")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    silence()
    torch.set_num_threads(1)
    found = {name: base(name) for name in networks()}
    bases = {name: config for name, config in found.items() if config is not None}
    counts: collections.Counter[str] = collections.Counter()
    seen = [0.0, 0.0, 0.0]  # hits, expected hits, their variance
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        for i in range(args.start, args.start + args.count):
            folder = Path(scratch) / f"made-{args.seed}-{i}"
            random = RandomState([args.seed, i])
            about = made(folder, random)
            counts[f"{about.form} {about.level}"] += 1
            try:
                problem = check(about, Path(scratch) / "cache")
                if not problem and about.refused:
                    counts["refused as due"] += 1
                elif not problem and args.train and i % args.train == 0:
                    problem = trained(about, bases, i, Path(scratch), seen)
                    counts["trained"] += 1
            except Exception:
                problem = traceback.format_exc()
            if problem:
                counts["failed"] += 1
                print(
                    f"{folder.name} ({about.form}, {about.level}, {about.task}): {problem}",
                    flush=True,
                )
                shutil.copytree(folder, args.keep / folder.name, dirs_exist_ok=True)
            for path in Path(scratch).iterdir():
                shutil.rmtree(path, ignore_errors=True)
    print(", ".join(f"{name}: {count:,}" for name, count in sorted(counts.items())))
    z = (seen[0] - seen[1]) / max(seen[2], 1e-9) ** 0.5
    print(f"noise: {seen[0]:,.0f} right of {seen[1]:,.1f} expected (z = {z:+.2f})")
    where = f"failing ones are in {args.keep}" if counts["failed"] else "none failed"
    print(f"{time.perf_counter() - started:,.0f} s; {where}")
    return int(counts["failed"] > 0 or abs(z) > 5)


def base(name: str) -> dict[str, Any] | None:
    """The config of a model, small, for two epochs; None of links, or with a teacher to name."""
    words = [f"model={name}", "trainer.max_epochs=2", "experiment=null", "optim.warmup_epochs=0"]
    for data in ("csbm", "digits"):
        try:
            config = compose([*words, f"data={data}"])
        except UserError:
            continue
        if "hidden_dim" in config["model"]:
            config["model"]["hidden_dim"] = 16
        return config
    return None


def card_of(about: Made) -> DataCard:
    """The card of a dataset; a loader's is stated as in its YAML."""
    if about.form != "loader":
        return manage.card_of(str(about.path))
    sys.path.insert(0, str(about.path))
    module = next(about.path.glob("loader_*.py")).stem
    return DataCard.from_config(
        {"name": about.path.name, "_target_": f"{module}.load", "level": about.level,
         "loss": LOSSES[about.task], "metric": METRICS[about.task],
         "direction": "min" if about.task == "regression" else "max", "split": "own",
         "num_folds": 1, "fold": 0, "source": "-", "licence": "-", "citation": "-"}
    )  # fmt: skip


def check(about: Made, cache: Path) -> str:
    """What is wrong with what gbench says of a dataset; nothing, if all is right."""
    try:
        card = card_of(about)
        text = "\n".join(manage.get([card], Path("/nowhere"), cache))
        dataset = load(card, Path("/nowhere"), cache)
    except UserError as error:
        if any(word in str(error) for word in ("defect", "damaged", "delete")):
            return f"blamed: {error}"
        is_due = any(part in str(error) for part in about.refused)
        return "" if is_due else f"refused: {error}"
    if about.refused:
        return f"taken, although {about.refused} is due"
    if dataset.card.loss != LOSSES[about.task] or dataset.card.level != about.level:
        return f"taken for {dataset.card.task} by {dataset.card.loss}"
    if about.classes:
        found = next(line for line in text.splitlines() if line.startswith("  classes"))
        words = found.split(": ", 1)[1].split(", ")
        if [word.rsplit(" (", 1)[0] for word in words] != about.classes:
            return f"classes should be {about.classes}: {found}"
    if about.unlabelled and f"{about.unlabelled} of {about.items} {about.level}s" not in text:
        return f"{about.unlabelled} unlabelled are not told:\n{text}"
    for name in about.named:
        if name not in text:
            return f"'{name}' is not named:\n{text}"
    if about.width is not None and dataset.spec.num_features != about.width:
        return f"{dataset.spec.num_features} features, not {about.width}"
    if about.tested is not None and sorted(dataset.split.test.tolist()) != about.tested:
        return f"the test part is {dataset.split.test.tolist()}, not {about.tested}"
    inside = torch.cat([*dataset.split])
    if inside.unique().numel() != inside.numel():
        return "the parts share items"
    return ""


def trained(about: Made, bases: dict[str, Any], i: int, root: Path, seen: list[float]) -> str:
    """Train the next model of the level; what is wrong with its score."""
    names = [name for name, base in bases.items() if about.level in base["model"]["levels"]]
    config = copy.deepcopy(bases[names[i % len(names)]])
    if about.form == "loader":
        card = card_of(about)
        data = {
            key: getattr(card, key) for key in DataCard.__dataclass_fields__ if key != "options"
        }
        data = {key: value for key, value in data.items() if value not in ("", (), {}, None)}
    else:
        data = {**read_yaml(choices("data")["folder"]), **facts_of(about.path)}
        data.pop("path")
    config |= {
        "data": data,
        "cache_dir": str(root / "cache"),
        "runs_dir": str(root / "runs"),
        "seed": i,
    }
    config["experiment"] = None
    try:
        record = train(config, root / "runs" / "run", Console(quiet=True))
    except UserError as error:
        if "take model=" in str(error):  # a model that does not know such edges says so
            return ""
        return f"{names[i % len(names)]}: not trained: {error}"
    assert record is not None
    if about.task != "classification":
        return (
            "" if np.isfinite(record.test) or about.task == "multi-label" else "test is no number"
        )
    task = build_task(config)
    y = task.dataset.store.y[task.dataset.split.test]
    counts = torch.bincount(y, minlength=len(about.classes)) / len(y)
    low = binom.ppf(ALPHA, len(y), float(counts.min())) / len(y)
    high = binom.ppf(1 - ALPHA, len(y), float(counts.max())) / len(y)
    if about.is_fair and about.tested is not None and not about.unlabelled:
        p = 1 / len(about.classes)
        seen[0] += record.test * len(y)
        seen[1] += p * len(y)
        seen[2] += p * (1 - p) * len(y)
    if not low <= record.test <= high:
        return f"{record.model}: accuracy {record.test:.3f} of noise, outside {low:.3f}..{high:.3f}"
    return ""


if __name__ == "__main__":
    sys.exit(main())
