"""A folder of your own: data=folder data.path=FOLDER, for `gbench train` and the other verbs.

nodes.csv     id, label, graph (where there are several); every other column is a feature: numbers,
              or categories where it holds words alone
edges.csv     source, target: ids of nodes; weight: a number; every other column is a category
              (words or whole numbers) or a number (where any is not whole)
graphs.csv    id, label: if it is there, graphs are predicted, and the labels of nodes are not
splits.csv    id (of several graphs theirs, else of nodes), part (train, valid or test), fold (0, 1,
              ...; may be left out)
dataset.yaml  task (classification, multi-label, regression), metric, direction, loss, loss_options,
              unlabelled, directed, source, licence, citation; any of them may be left out

The first line of a CSV file names its columns. Several labels are columns label_NAME. If
dataset.yaml does not say the task, the labels do: words and whole numbers are classes, other
numbers are to be regressed, and several columns of nothing but 0 and 1 are tasks of their own
(multi-label). Edges count in both directions, with the same values, and repeated ones once; with
`directed: true` as they stand. Without features every node has a 1. A column without a name, as
pandas and R write their row numbers, is left out.

The metric is accuracy, rocauc or mae unless dataset.yaml names another, such as f1-macro, ap or
spearman, and the loss cross-entropy, bce, or that of the metric, unless it names one, such as
`loss: focal` with `loss_options: {gamma: 2}`. Both may be functions of your own, my_module.my_name
in the folder given by --config-dir: a metric of (logits, y) answers one number, and needs
`direction: max` or `min` beside it; a loss answers a term for each entry of y.

The classes are the labels that occur (words, years, -1 and 1, codes), in increasing order. A label
is unknown where the place is empty, NaN, NA or <NA>; `unlabelled: -1` (or a list) states another
mark instead, and without it -1 is a class. Of several targets each may be missing by itself: loss
and metric leave it out. Infinite targets are refused.

Without splits.csv there are ten random splits into 60, 20 and 20 %: draws, not the folds of a
cross-validation. If it names no validation part, a fifth of the training part is drawn for it.

A saved PyG dataset (.pt, a Data, a list of them, or what InMemoryDataset saves) in the folder, or
named by data.path=FILE.pt, takes the place of the first three files; its masks are splits, its
edge_weight (or weight) weights, and edge_attr categories if its numbers are whole, else numbers.
Its labels are classes if they are whole numbers in one column or words; columns of floats that are
0, 1 or NaN are tasks of their own (multi-label); other floats are to be regressed.

`gbench data get FOLDER` tells the classes, what each column became, and what is not used. Results
stand under the folder's name and a hash of its files, so that no two contents mix.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gbench import losses, metrics
from gbench.choices import read_yaml
from gbench.data.files import named
from gbench.data.judged import check_judged
from gbench.data.own_kinds import ABOUT, FOLDS_DRAWN, Description, table_of, task_of_numbers
from gbench.data.spec import Level
from gbench.errors import UserError, unknown
from gbench.metrics import Labels

if TYPE_CHECKING:
    from gbench.data.loaders.table import Table

TASKS: dict[str, Labels] = {  # each with what its labels are
    "classification": "classes",
    "multi-label": "tasks",
    "regression": "numbers",
}
JUDGED = ("metric", "direction", "loss", "loss_options")
SAID = ("task", *JUDGED, "unlabelled", "directed", "source", "licence", "citation")
TEXTS = ("source", "licence", "citation")


NAME_CHARACTERS = 100  # of a folder, in its dataset's name


def facts_of(path: Path) -> dict[str, Any]:
    """The facts of `data=folder`, to lay over those of its YAML.

    The name is that of the folder and the start of a hash of its files, so that results of one
    content never stand beside those of another. Raises UserError for what is wrong with the folder.
    """
    folder, saved = parts_of(path)
    about = described(folder, saved)
    names = [saved] if saved else ["nodes.csv", "edges.csv", "graphs.csv"]
    files = {
        name: named.digest(folder / name)
        for name in (*names, "splits.csv", ABOUT)
        if (folder / name).is_file()
    }
    digest = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
    root = folder.parent if folder.name == "processed" else folder
    title = Path(saved).stem if path.is_file() and saved != "data.pt" else root.name
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", title).strip("-.") or "folder"
    drawn = "stratified-60-20-20" if about.task == "classification" else "random-60-20-20"
    drawn = "graphs-60-20-20" if about.by_graphs else drawn
    return {
        "name": f"{slug[:NAME_CHARACTERS]}-{digest[:8]}",
        "level": about.level,
        **_judged(about, folder / ABOUT),
        "split": "own" if about.num_folds else drawn,
        "num_folds": about.num_folds or FOLDS_DRAWN,
        "folder": str(folder),
        "download": [{"url": "", "files": files}],
        **({"saved": saved} if saved else {}),
        **{key: str(about.said[key]) for key in TEXTS if key in about.said},
    }


def described(folder: Path, saved: str) -> Description:
    """Read dataset.yaml, and of the tables what decides level and task."""
    said = _said(folder)
    if saved:
        from gbench.data.loaders.saved import kind_of

        if "directed" in said:
            raise UserError(f"{folder / ABOUT}: directed: the edges in {saved} stay as they are")
        about = Description("node", "", "", 0, said)
        level, guess, num_folds, by_graphs = kind_of(folder / saved, about)
    else:
        level = "graph" if (folder / "graphs.csv").is_file() else "node"
        guess, num_folds = "", 0
        by_graphs = level == "node" and "graph" in table_of(folder, "nodes.csv").columns
    if (folder / "splits.csv").is_file():
        num_folds = _num_folds(folder / "splits.csv")
    task = said.get("task") or guess or _guessed_task(labels_of(folder, level), said)
    metric = said.get("metric", metrics.usual(TASKS[task]))
    return Description(level, task, metric, num_folds, said, by_graphs)


def _judged(about: Description, path: Path) -> dict[str, Any]:
    """Loss, metric and direction: what dataset.yaml says of them, else the usual ones."""
    labels, said = TASKS[about.task], about.said
    try:
        metric = metrics.find(str(about.metric))
        usual = metric.loss if labels in metric.labels and metric.loss else losses.usual(labels)
        loss = losses.find(str(said.get("loss", usual)), labels)
        if metric.is_own and "direction" not in said:
            raise UserError(f"metric {metric.name} is your own: write direction: max or min")
        facts = {
            "loss": loss.name,
            "metric": metric.name,
            "direction": said.get("direction", metric.direction),
            **({"loss_options": said["loss_options"]} if "loss_options" in said else {}),
            **({"loss_labels": labels} if loss.is_own else {}),
        }
        check_judged({"name": f"a folder of {about.task}", "level": about.level, **facts})
    except UserError as error:
        raise UserError(f"{path}: {str(error).removeprefix('data.')}") from error
    return facts


def labels_of(folder: Path, level: Level) -> tuple[Table, list[str]]:
    """The table that holds the labels, with the names of their columns."""
    table = table_of(folder, f"{level}s.csv")
    names = [name for name in table.columns if name == "label" or name.startswith("label_")]
    if not names:
        raise UserError(
            f"{table.path}:1: there is no column 'label' (or label_NAME, where there are several), "
            f"only {', '.join(table.columns)}"
        )
    return table, names


def has_no_labels(path: Path) -> bool:
    """Whether a folder has CSV files none of whose columns holds labels."""
    try:
        folder, saved = parts_of(path)
        if saved:
            return False
        level = "graph" if (folder / "graphs.csv").is_file() else "node"
        table = table_of(folder, f"{level}s.csv")
    except UserError:
        return False
    return not any(name == "label" or name.startswith("label_") for name in table.columns)


def parts_of(path: Path, setting: str = "data.path") -> tuple[Path, str]:
    """The folder, and the name of the saved dataset in it, if it is one.

    Raises UserError where there is neither, with what the user `setting` was.
    """
    path = path.expanduser().absolute()
    if path.is_file():
        return path.parent, path.name
    if not path.is_dir():
        raise UserError(f"{setting}={path}: there is no such folder or file")
    if (path / "nodes.csv").is_file():
        return path, ""
    for folder in (path, path / "processed"):
        found = [f.name for f in folder.glob("*.pt") if not f.name.startswith("pre_")]
        if len(found) == 1:
            return folder, found[0]
        if found:
            raise UserError(f"{folder} has several saved datasets: name one, as in {setting}=FILE")
    raise UserError(
        f"{path} has neither a nodes.csv nor a saved PyG dataset (.pt): see `gbench data --help`"
    )


def _said(folder: Path) -> dict[str, Any]:
    from yaml import YAMLError

    path = folder / ABOUT
    try:
        said = read_yaml(path) if path.is_file() else {}
    except (YAMLError, ValueError, OSError) as error:
        raise UserError(f"{path}: {' '.join(str(error).split())}") from error
    for key in said:
        if key not in SAID:
            raise UserError(f"{path}: {unknown('key', str(key), SAID)}")
    if said.get("task", "regression") not in TASKS:
        raise UserError(f"{path}: {unknown('task', str(said['task']), TASKS)}")
    marks = said.get("unlabelled", "")
    if any(
        isinstance(mark, dict | list) for mark in (marks if isinstance(marks, list) else [marks])
    ):
        raise UserError(f"{path}: unlabelled is {marks}, allowed are a label and a list of labels")
    if not isinstance(said.get("directed", False), bool):
        raise UserError(f"{path}: directed is {said['directed']}, allowed are true and false")
    return said


def _guessed_task(labels: tuple[Table, Sequence[str]], said: Mapping[str, Any]) -> str:
    """What the labels look like."""
    import numpy as np

    from gbench.data.labels import read_words

    table, names = labels
    markers = Description("node", "", "", 0, said).markers
    columns = [read_words(table.words(name), markers).values for name in names]
    if len(columns) > 1:
        is_bits = [c is not None and np.isin(c[~np.isnan(c)], (0, 1)).all() for c in columns]
        return "multi-label" if all(is_bits) else "regression"
    values = columns[0]
    return "classification" if values is None else task_of_numbers(values, str(table.path))


def _num_folds(path: Path) -> int:
    table = table_of(path.parent, path.name)
    table.only(("id", "part", "fold"))
    if "fold" not in table.columns or not len(table):
        return 1
    folds = table.words("fold")
    table.refuse(
        ~folds.str.fullmatch(r"\d{1,4}"), lambda row: f"fold '{folds[row]}': not 0, 1, 2, ..."
    )
    return int(folds.astype(int).max()) + 1
