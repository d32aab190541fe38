"""Finished runs that a setting of another run names: its teacher, and where its weights begin.

    model.teacher=run:cora-sage-1a2b3c4d5e-s0    one run, by its folder or by its name in runs_dir
    model.teacher=run:cora-sage-1a2b3c4d5e       of its seeds and folds the one that this run has
    init_from=run:cora-sage-1a2b3c4d5e-s0

What they resolve to stands in the config's key `runs`, by setting: the named run's identity, seed,
fold, folder, and the SHA-256 of its weights. Identity and, where one run was named, seed count in
the new run's identity, and of the same dataset another fold; the folder does not.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gbench.errors import UserError, unknown

PREFIX = "run:"
SETTINGS = ("model.teacher", "init_from")
CONFIG, RECORD, WEIGHTS = "config.yaml", "record.json", "best.ckpt"

RUN_NAME = re.compile(r"(?P<setting>.+-[0-9a-f]{10})-s(?P<seed>\d+)(-f(?P<fold>\d+))?")

Config = Mapping[str, Any]


def is_run(key: str, value: object) -> bool:
    """Whether a setting names a run; a model of one's own may call something else its teacher."""
    if key not in SETTINGS or not isinstance(value, str):
        return False
    return value.startswith(PREFIX) or key == "init_from"


def named(config: Config) -> Iterator[tuple[str, str]]:
    """The settings of a config that name runs, with what they say behind `run:`."""
    for key, value in (
        ("model.teacher", config["model"].get("teacher")),
        ("init_from", config.get("init_from")),
    ):
        if is_run(key, value):
            yield key, str(value).removeprefix(PREFIX)


def resolved(config: Config) -> dict[str, Any]:
    """The config with its key `runs`, where it names any; each run under its folder's name.

    Raises UserError for a run that is not there, is not finished, or of several that are meant.
    """
    runs = {key: _facts(key, text, config) for key, text in named(config)}
    if not runs:
        return dict(config)
    found = {**config, "runs": runs}
    for key, facts in runs.items():
        name = f"{PREFIX}{facts['setting' if facts['by_seed'] else 'run']}"
        if key == "init_from":
            found["init_from"] = name
        else:
            found["model"] = {**config["model"], "teacher": name}
    return found


def counted(config: Config) -> dict[str, dict[str, Any]]:
    """What of the named runs counts in an identity, by setting."""
    return {
        key: {
            "identity": facts["identity"],
            **({} if facts["by_seed"] else {"seed": facts["seed"]}),
            **({"fold": facts["fold"]} if _is_other_fold(facts, config) else {}),
        }
        for key, facts in config.get("runs", {}).items()
    }


def without_transform(title: str) -> str:
    """The title of a dataset as its loader gives it: of `cora transform=knn` it is `cora`."""
    return re.sub(r" ?transform=\S+$", "", title)


def _is_other_fold(facts: Mapping[str, Any], config: Config) -> bool:
    """Whether a run of the same dataset has another fold, as each of these must be judged alone."""
    is_same = f"{facts['data']} ".startswith(f"{config['data']['name']} ")
    return bool(is_same and facts["fold"] != config["data"]["fold"])


def place(key: str, config: Config) -> Path:
    """The folder of a named run: where it was, or where a run of its name is in runs_dir.

    Raises UserError where it is gone, and where its weights are others than they were.
    """
    facts = config["runs"][key]
    known = (Path(facts["place"]), Path(config["runs_dir"]) / facts["run"])
    folder = next((path for path in known if (path / WEIGHTS).is_file()), None)
    if folder is None:
        raise UserError(
            f"{key}={PREFIX}{facts['run']}: its folder {facts['place']} is gone: put it back, or "
            f"below {config['runs_dir']}"
        )
    if digest(folder / WEIGHTS) != facts["weights"]:
        raise UserError(
            f"{key}={PREFIX}{facts['run']}: {folder / WEIGHTS} has changed since this run was "
            "composed: type gbench train again, which is then a run of the new weights"
        )
    return folder


def digest(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _facts(key: str, text: str, config: Config) -> dict[str, Any]:
    folder, by_seed = _found(key, text, config)
    if not (folder / RECORD).is_file():
        raise UserError(f"{key}: {folder.name} has not finished: gbench resume {folder}")
    if not (folder / WEIGHTS).is_file():
        raise UserError(
            f"{key}: {folder} has no {WEIGHTS}, the weights of the run, which a method without a "
            "network never has"
        )
    try:
        record = json.loads((folder / RECORD).read_bytes())
        said = {name: record[name] for name in ("identity", "seed", "fold", "data", "model")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{key}: {folder / RECORD} cannot be read ({error})") from error
    match = RUN_NAME.fullmatch(folder.name)
    return {
        "run": folder.name,
        "setting": match["setting"] if match else folder.name,
        "by_seed": by_seed,
        **said,
        "place": str(folder.absolute()),
        "weights": digest(folder / WEIGHTS),
    }


def _found(key: str, text: str, config: Config) -> tuple[Path, bool]:
    """The run's folder, and whether it was chosen by this run's seed."""
    runs_dir, seed, fold = Path(config["runs_dir"]), config["seed"], config["data"]["fold"]
    for folder in (Path(text).expanduser(), runs_dir / text):
        if text and (folder / CONFIG).is_file():
            return folder.absolute(), False
    names = sorted(path.parent.name for path in runs_dir.glob(f"*/{CONFIG}"))
    matches = [m for m in map(RUN_NAME.fullmatch, names) if m and m[0].startswith(text) and text]
    settings = sorted({match["setting"] for match in matches})
    if not settings:
        where = f"{runs_dir}/ holds none" if not names else ""
        hint = "It is the folder of a finished run, or its name in runs_dir: gbench runs"
        if where:
            raise UserError(f"{key}: no run '{text}': {where}. {hint}")
        raise unknown(f"run in {key}:", text, names[:20], hint)
    if len(settings) > 1:
        raise UserError(f"{key}: '{text}' begins several runs' names: {', '.join(settings)}")
    is_one_seed = text.startswith(f"{settings[0]}-s")
    if is_one_seed:
        wanted = re.match(r"\d+", text[len(settings[0]) + 2 :])
        matches = [m for m in matches if wanted is None or m["seed"] == wanted[0]]
    else:
        matches = [match for match in matches if int(match["seed"]) == seed]
    matches = [match for match in matches if int(match["fold"] or 0) == fold] or (
        matches if is_one_seed else []
    )
    if len({match[0] for match in matches}) != 1:
        at = f"seed {seed}" + (f" and fold {fold}" if config["data"]["num_folds"] > 1 else "")
        raise UserError(
            f"{key}: {settings[0]} has no run of {at}, which this run has: train it, or name one "
            f"by its seed, as {key}={PREFIX}{settings[0]}-s0"
        )
    return (runs_dir / matches[0][0]).absolute(), not is_one_seed
