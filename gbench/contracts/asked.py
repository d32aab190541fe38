"""What `gbench check` was asked about, as things whose contracts can be looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from gbench import folders
from gbench.choices import choices, stated
from gbench.config.compose import Config, compose
from gbench.contracts import tiny
from gbench.contracts.contract import BrokenError, Outcome, exemptions, outcomes
from gbench.contracts.encodings import answers
from gbench.contracts.encodings.every import CONTRACTS as OF_ENCODINGS
from gbench.contracts.encodings.subject import Encoding
from gbench.contracts.loaders.every import CONTRACTS as OF_LOADERS
from gbench.contracts.loaders.subject import Loader
from gbench.contracts.models.every import CONTRACTS as OF_MODELS
from gbench.contracts.models.subject import Subject
from gbench.contracts.part import graph_of, part_of
from gbench.data.dataset import Dataset
from gbench.data.encodings.encode import encoded, with_values
from gbench.data.encodings.parts import parts
from gbench.data.load import load
from gbench.data.spec import DataCard
from gbench.data.transforms.transform import transformed
from gbench.errors import UserError
from gbench.fault import placed
from gbench.locate import locate

Group = Literal["model", "encoding", "data"]
STANDS_FOR = {"node": "csbm", "graph": "csl"}  # whose card a tiny dataset has
TINY = {"node": tiny.nodes, "graph": tiny.graphs}


@dataclass(frozen=True)
class Report:
    """A thing, and what comes of each of its contracts, one after another."""

    title: str
    outcomes: Iterator[Outcome[Any]]


def reports(words: Sequence[str], config_dirs: Sequence[Path]) -> Iterator[Report]:
    """A model on tiny data of each of its levels, or on some of `data=`; else encoding, or data.

    Raises UserError where no such thing is named, and as `compose` does.
    """
    chosen = dict(word.split("=", 1) for word in words if "=" in word)
    if "model" in chosen:
        for title, subject in _models(words, chosen, config_dirs):
            exempt = exemptions(subject.build().model)
            yield Report(title, outcomes(OF_MODELS, subject, exempt))
    elif "encoding" in chosen:
        config = compose(["model=gcn", *_somewhere("node"), *words], config_dirs)
        found = parts(config["encoding"])
        if not found:
            raise UserError(f"encoding={chosen['encoding']} names no function: nothing to check")
        for part in found:
            encoding = Encoding(part, locate(part["_target_"]))
            title = _title("encoding", part)
            yield Report(title, outcomes(OF_ENCODINGS, encoding, exemptions(encoding.function)))
    elif "data" in chosen:
        loader = Loader.of(_config_of_data(words, config_dirs))
        title = _title("data", loader.config["data"])
        yield Report(title, outcomes(OF_LOADERS, loader, exemptions(loader.function)))
    else:
        raise UserError(
            "gbench check model=NAME, data=NAME or encoding=NAME: which? Yours with --config-dir"
        )


def _somewhere(level: str) -> list[str]:
    return [f"data={STANDS_FOR[level]}", "experiment=null"]


def _config_of_data(words: Sequence[str], config_dirs: Sequence[Path]) -> Config:
    """The config of data with a model that does its level, which is not looked at."""
    try:
        return compose(["model=gin", *words], config_dirs)
    except UserError as error:
        if "-level" not in str(error):
            raise
        return compose(["model=gcn", *words], config_dirs)


def _models(
    words: Sequence[str], chosen: Mapping[str, str], config_dirs: Sequence[Path]
) -> Iterator[tuple[str, Subject]]:
    found = choices("model", config_dirs)
    levels = stated("model.levels", found, chosen["model"])
    if stated("model.is_network", found, chosen["model"]) is False:
        raise UserError(
            f"model={chosen['model']} is no network, and what gbench check looks at are properties "
            "of networks"
        )
    if isinstance(levels, list) and "link" in levels:
        raise UserError(
            f"model={chosen['model']} answers pairs of nodes itself, and gbench check looks at "
            "models of nodes and of graphs alone: its properties are for tests of your own"
        )
    if "data" in chosen:
        config = compose(words, config_dirs)
        title = _title("model", config["model"])
        yield f"{title} on some of {config['data']['name']}", Subject(config, _real(config))
        return
    for level in levels if isinstance(levels, list) else STANDS_FOR:
        if level not in STANDS_FOR:
            continue  # compose says what levels there are
        config = compose([*_somewhere(level), *words], config_dirs)
        dataset = TINY[level](DataCard.from_config(config["data"]))
        title = _title("model", config["model"])
        yield f"{title} on tiny {level}-level data", Subject(config, with_encoding(dataset, config))


def with_encoding(dataset: Dataset, config: Config) -> Dataset:
    """A tiny dataset with what the config's encoding says of it, computed anew.

    Raises UserError for an encoding that does not answer as it should.
    """
    graphs = [graph_of(dataset.store, index) for index in range(dataset.store.num_graphs)]
    found = []
    for part in parts(config["encoding"]):
        encoding = Encoding(part, locate(part["_target_"]))
        try:
            answers.check(encoding)
        except BrokenError as error:
            raise UserError(f"encoding={part['name']}: {error}") from error
        found.append((part, encoding.of(graphs)))
    return with_values(dataset, found)


def _real(config: Config) -> Dataset:
    """A small part of the dataset that a run would load, as its model gets it."""
    card = DataCard.from_config(config["data"])
    cache_dir = folders.cache_dir(config["cache_dir"])
    data_dir, source = folders.data_dir(config["data_dir"]), config.get("data_source", "")
    dataset = load(card, data_dir, cache_dir, source)
    dataset = transformed(dataset, config["transform"], cache_dir)
    dataset = encoded(dataset, config["encoding"], cache_dir)
    if card.level == "link":
        width = config["predictor"]["hidden_dim"]
        dataset = replace(dataset, spec=replace(dataset.spec, num_outputs=width))
    return part_of(dataset)


def _title(group: Group, settings: Mapping[str, Any]) -> str:
    """The name, and of the user's own where it stands."""
    target = str(settings["_target_"])
    locate(target)  # so that its line is known
    where = "" if target.startswith("gbench.") else f", {placed(target)}"
    return f"{group}={settings['name']}{where}"
