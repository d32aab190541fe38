"""Whether each setting of a composed config is read by something, and has a value that it may have.

Nothing here needs torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from gbench.choices import GROUPS, stated
from gbench.config.arguments import check_arguments, check_unlisted
from gbench.config.flat import flatten
from gbench.config.floors import check_level, is_floor, networks
from gbench.config.names import check_wandb
from gbench.config.optim import check_groups, is_free
from gbench.config.protocol import check_protocol
from gbench.data.encodings.parts import check_pairs
from gbench.data.judged import check_also, check_judged
from gbench.data.spec import DataCard
from gbench.errors import UserError, unknown
from gbench.limits import check_limits

Config = dict[str, Any]

# Sections whose settings go by name to a model, a loader or Lightning's Trainer, which check them.
EXTENSIBLE = ("model", "data", "trainer")

CARD = {f.name for f in fields(DataCard)}

# What a dataset states and no command line may change: everything on its card but the fold.
FACTS = CARD - {"fold", "options"}

# Arguments that Lightning's Trainer checks itself: several types are legal ("auto", 2, [0, 1]).
LIGHTNING_CHECKS = ("accelerator", "devices", "strategy", "precision", "deterministic")
# What gbench checks itself: YAML takes a bare `on` for true.
_CHECKED = ("cuda_graphs",)

# Settings that are null as long as nothing else is said.
_WORDS = ("data_dir", "cache_dir", "init_from", "logger.entity", "logger.tracking_uri")

_ALL_LEVELS = ("node", "graph")  # of a model that does not say

_TYPE_NAMES = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a word",
    list: "a list",
    dict: "a mapping",
}


def check_keys(values: Sequence[str], base: Config) -> None:
    """`a.b=c` and `~a.b` name a setting that exists; `+a.b=c` adds one where something reads it."""
    known = {key: value for key, value in flatten(base) if not key.endswith((".name", "._target_"))}
    sections = [key for key, value in base.items() if isinstance(value, dict)]
    for word in values:
        key = word.split("=", 1)[0].lstrip("+~")
        section = key.rpartition(".")[0]
        if key in sections:
            raise UserError(
                f"{word}: {key} is a group of settings; change one, as in {key}.KEY=VALUE"
            )
        if key.startswith("data.") and key.split(".")[1] in FACTS:
            raise UserError(
                f"{word}: {base['data']['name']} owns its {key.split('.')[1]}, so that its "
                "results compare; for another protocol make a dataset of your own (see README)"
            )
        if key.endswith("._target_"):
            raise UserError(f"{word}: a name stands for one class; make a {section} of your own")
        if (
            is_free(key)
            or word.startswith("++model.teacher=")
            or (word.startswith("+") and section.split(".")[0] in EXTENSIBLE)
        ):
            continue
        if word.startswith("~") and key in known and section.split(".")[0] not in EXTENSIBLE:
            raise UserError(f"{word}: gbench needs {key}; it can be changed but not removed")
        if key not in known:
            check_unlisted(word)
            siblings = [k for k in known if k.rpartition(".")[0] == section]
            siblings = siblings or [k for k in known if section and k.startswith(f"{section}.")]
            if not siblings and section in sections:
                name = base[section].get("name")  # a logger has none
                chosen = f"{section}={name}" if name else f"this {section}"
                raise UserError(
                    f"{word}: {chosen} has no settings; choose another first, as in "
                    f"{section}=NAME {word}"
                )
            if not siblings:
                raise unknown("group of settings", section.split(".")[0], sections)
            hint = f"To give the {section} a new one: +{word}" if section in EXTENSIBLE else ""
            if section == "optim":
                hint = f"An argument of the optimizer: optim.options.{word.lstrip('+')[6:]}"
            raise unknown("setting", key, siblings if section else [*siblings, *GROUPS], hint)


def check_values(config: Config, base: Config, config_dirs: Sequence[Path]) -> None:
    """Types as in the YAML files, values within their limits, and a model that fits the data."""
    optim = config["optim"]
    if "." not in str(optim["optimizer"]):  # torch's names are taken in any case
        optim["optimizer"] = str(optim["optimizer"]).lower()
    flat, default = dict(flatten(config)), dict(flatten(base))
    for key, expected in default.items():
        deeper = [other for other in flat if other.startswith(f"{key}.")]
        if deeper and (key in _WORDS or expected not in (None, {})):
            kind = "a word or null" if key in _WORDS else _TYPE_NAMES[type(expected)]
            raise UserError(f"{deeper[0]}: {key} is {kind}, without settings of its own")
    for key, value in flat.items():
        expected = default.get(key)
        if key in _WORDS and not isinstance(value, str | None):
            raise UserError(f"{key}={value}: expected a word or null")
        if expected in (None, "???") or key.removeprefix("trainer.") in LIGHTNING_CHECKS + _CHECKED:
            continue
        if not _same_type(value, expected):
            example = {"[]": "[A,B]", "": f"'{value}' in quotes"}.get(str(expected), expected)
            raise UserError(
                f"{key}={value}: expected {_TYPE_NAMES[type(expected)]}, such as {example}"
            )
        if isinstance(expected, float):
            _set(config, key, float(value))
    for key, value in flat.items():
        if value == "???":
            raise UserError(f"{key}: has to be given, as in {key}=VALUE; it is ??? so far")
    check_arguments(config["trainer"])
    check_limits(flat)
    check_groups(config["optim"]["groups"])
    model, data = config["model"], config["data"]
    check_judged(data)
    check_also(config["trainer"]["also"], data)
    if data["fold"] >= data["num_folds"]:
        last = data["num_folds"] - 1
        raise UserError(f"data.fold={data['fold']}: {data['name']} has folds 0 to {last}")
    if data["level"] != "link" and config["predictor"] != base["predictor"]:
        raise UserError(f"predictor is for link-level datasets, and {data['name']} is none")
    batching = config["batching"]["name"]
    if data["level"] != "node" and batching != "full":
        raise UserError(
            f"batching={batching} cuts one graph of labelled nodes into batches, and "
            f"{data['name']} is {data['level']}-level: see optim.batch_size"
        )
    levels = model.get("levels", _ALL_LEVELS)
    if isinstance(levels, str) or not levels or not {*levels} <= {*_ALL_LEVELS, "link"}:
        raise UserError(f"model.levels={levels}: expected a list of node, graph and link")
    if is_floor(model):
        check_level(model, data, config_dirs)
    # links are predicted from what a model says of the nodes, where it does not answer pairs itself
    is_link = data["level"] == "link"
    level = "node" if is_link and not answers_pairs(model) else data["level"]
    if is_link and answers_pairs(model) and config["predictor"] != base["predictor"]:
        raise UserError(
            f"predictor: model={model['name']} answers pairs of nodes itself, so that no predictor "
            "stands behind it: leave it out, or set model.KEY"
        )
    if level not in levels:
        models = networks(config_dirs)
        fit = [m for m in models if level in (stated("model.levels", models, m) or _ALL_LEVELS)]
        raise UserError(
            f"{model['name']} works on {' and '.join(model['levels'])}-level datasets, and "
            f"{data['name']} is {data['level']}-level: models that fit are {', '.join(fit)}"
        )
    check_pairs(config["encoding"], data, batching)
    check_protocol(flat)
    if flat["logger._target_"] == "gbench.train.loggers.wandb":
        check_wandb(config["logger"])


def answers_pairs(model: Mapping[str, Any]) -> bool:
    """Whether a model's YAML says that it answers pairs of nodes itself: `levels: [link]`."""
    return "link" in model.get("levels", ())


def _same_type(value: object, expected: object) -> bool:
    if isinstance(expected, float):
        return isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(expected, dict):
        return isinstance(value, dict)
    return type(value) is type(expected)


def _set(config: Config, key: str, value: object) -> None:
    *path, leaf = key.split(".")
    for part in path:
        config = config[part]
    config[leaf] = value
