"""From a card to a dataset: the prepared file if it is good, else prepare it once."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import asdict, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import torch

from gbench.data import between_runs, told
from gbench.data.accepted import accepted
from gbench.data.between_runs import Prepared
from gbench.data.check import check_source, check_statistics
from gbench.data.class_weights import with_weights
from gbench.data.dataset import Dataset
from gbench.data.files import cache, named, raw
from gbench.data.files.checked import read_checked, write_checked
from gbench.data.files.fingerprint import fingerprint
from gbench.data.graph_splits import by_nodes
from gbench.data.names import Names
from gbench.data.source import Source, Split
from gbench.data.spec import DataCard, DataSpec
from gbench.data.store import GraphStore, pack
from gbench.errors import UserError
from gbench.locate import locate


def load(card: DataCard, data_dir: Path, cache_dir: Path, source: str = "") -> Dataset:
    """Load a dataset, preparing (and downloading) it first where that is not done yet.

    `source` is where missing raw files come from instead of their official URLs.

    Raises UserError when raw files cannot be had, are not the published ones, or a folder cannot be
    written.
    """
    return load_all_folds(card, data_dir, cache_dir, source).dataset


class AllFolds(NamedTuple):
    """A dataset with the splits of all its folds."""

    dataset: Dataset  # whose split is that of card.fold
    splits: tuple[Split, ...]


def load_all_folds(card: DataCard, data_dir: Path, cache_dir: Path, source: str = "") -> AllFolds:
    """The same as `load`, with the splits of all folds."""
    path = cache.path_of(card, cache_dir)
    state = named.state(card, data_dir)
    prepared = between_runs.recalled(path, state) or _read(path, state, card)
    if prepared is None:
        with cache.locked(path):
            # another process may have made it while this one waited for the lock
            state = named.state(card, data_dir)
            prepared = _read(path, state, card)
            if prepared is None:
                contents = _prepare(card, data_dir, path, source)
                prepared = _made(path, between_runs.stamp(path), contents, card)
    check_statistics(card, prepared.contents["statistics"])
    between_runs.remember(prepared)
    return AllFolds(_dataset(card, prepared), prepared.splits)


def read(card: DataCard, data_dir: Path, source: str = "") -> tuple[Source, GraphStore]:
    """The raw files, obtained where they are missing, checked, and packed as they are.

    Of several graphs with labelled nodes the splits are of nodes. Raises UserError as `load` does.
    """
    if card._target_.startswith("gbench.") and "path" in card.options:  # data/folder.yaml as it is
        raise UserError(
            f"{card.name} stands for a folder of your own: give its path, as in ./mygraphs, in "
            "place of the name"
        )
    given = _source(card, raw.obtain(card, data_dir, source))
    if not card._target_.startswith("gbench."):
        given = accepted(card, given)
    check_source(card, given)
    if card.level == "node" and len(given.graphs) > 1:
        given = by_nodes(given)
        _check_parts(card, given)
    return given, pack(given.graphs, card.level)


def _dataset(card: DataCard, prepared: Prepared) -> Dataset:
    contents, store, split = prepared.contents, prepared.store, prepared.splits[card.fold]
    spec = store.told(DataSpec(**contents["spec"]))
    return Dataset(
        with_weights(card, store.y, split.train, spec.num_outputs),
        spec,
        store,
        split,
        contents["fingerprint"],
        dict(contents["statistics"]),
        dict(contents["told"]),
        tuple(contents["notes"]),
        names=Names(**contents["names"]),
    )


def _read(path: Path, state: named.State | None, card: DataCard) -> Prepared | None:
    """The prepared file, or None when there is none, it is damaged, or its raw files changed."""
    stamp = between_runs.stamp(path)
    contents = read_checked(path)
    # Raw files that are no longer there cannot have changed: what was prepared from them serves.
    if not contents or state not in (None, contents["raw"]):
        return None
    return _made(path, stamp, contents, card)


def _made(path: Path, stamp: tuple[int, ...], contents: dict[str, Any], card: DataCard) -> Prepared:
    sizes = contents["split_sizes"]
    folds = contents["splits"].split([sum(fold) for fold in sizes])
    splits = tuple(Split(*ids.split(fold)) for ids, fold in zip(folds, sizes, strict=True))
    return Prepared(path, stamp, contents, GraphStore(card.level, **contents["tensors"]), splits)


def _prepare(card: DataCard, data_dir: Path, path: Path, data_source: str) -> dict[str, Any]:
    raw.obtain(card, data_dir, data_source)
    state = named.state(card, data_dir)
    source, store = read(card, data_dir, data_source)
    if card.normalize_features:
        # a row of zeros stays zero; x is this function's own, so that it may be divided in place
        store.x.div_(store.x.sum(dim=1, keepdim=True).clamp(min=1e-12))
    statistics = _statistics(card, source, store)
    check_statistics(card, statistics)
    tensors, splits = (
        store.tensors(),
        torch.cat([part for split in source.splits for part in split]),
    )
    sizes = [[part.numel() for part in split] for split in source.splits]
    spec = DataSpec(
        card.level,
        source.num_outputs,
        store.x.size(1),
        source.node_categories,
        source.edge_categories,
        source.reads_first_node,
    )
    prepared = {
        "spec": asdict(spec),
        "tensors": tensors,
        "splits": splits,
        "split_sizes": sizes,
        "statistics": statistics,
        "fingerprint": fingerprint({**tensors, "splits": splits}, str(sizes)),
        "told": told.rows(card, source, store.y) | told.weights(store),
        "notes": told.notes(card, source, store.y),
        "raw": state,
        "names": vars(Names.of(source)),
    }
    with cache.writing(path.parent):
        write_checked(path, prepared)
        said: dict[str, Any] = {
            key: prepared[key] for key in ("fingerprint", "told", "notes", "raw")
        }
        cache.describe(path, _what(card), "prepared", card._target_, **said)
    return prepared


def _check_parts(card: DataCard, source: Source) -> None:
    """Raise UserError for a part of a split whose graphs have no labelled node."""
    for fold, split in enumerate(source.splits):
        for part, ids in zip(Split._fields, split, strict=True):
            if not ids.numel():
                raise UserError(
                    f"dataset '{card.name}': fold {fold}: no node of the {part} part's graphs has "
                    "a label"
                )


def _source(card: DataCard, folder: Path) -> Source:
    function: Callable[..., Source] = locate(card._target_)
    options = {**card.options, **({"split": card.split} if card.splits else {})}
    try:
        inspect.signature(function).bind(folder, **options)
    except TypeError as error:
        said = f"dataset '{card.name}': the loader {card._target_}: {error}"
        facts = [fact.name for fact in fields(DataCard)]
        near = [meant for key in options for meant in get_close_matches(key, facts, 1, 0.75)]
        hint = f". Did you mean the fact '{near[0]}'?" if near else ""
        raise UserError(said + hint) from error
    try:
        return function(folder, **options)
    except Exception as error:  # a damaged file raises whatever its bytes happen to say
        is_ours = card.folder and card._target_.startswith("gbench.")
        if isinstance(error, UserError) or not is_ours or not card.download[0]["url"]:
            raise  # a user's own loader may have a fault, which only its traceback tells
        raise UserError(
            f"the raw files of '{card.name}' in {folder} are damaged "
            f"({type(error).__name__}: {error}): delete them and run `gbench data get {card.name}`"
        ) from error


def _statistics(card: DataCard, source: Source, store: GraphStore) -> dict[str, int]:
    """Sizes as papers state them; edges count each direction, the split is that of fold 0."""
    train, valid, test = (part.numel() for part in source.splits[0])
    outputs = "num_classes" if card.labels == "classes" else "num_tasks"
    return {
        "num_graphs": store.num_graphs,
        "num_nodes": store.num_nodes,
        "num_edges": store.num_edges,
        "num_features": store.x.size(1),
        outputs: source.num_outputs,
        "num_train": train,
        "num_valid": valid,
        "num_test": test,
    }


def _what(card: DataCard) -> str:
    """How one prepared file of a dataset differs from another."""
    options = {**({"split": card.split} if card.splits else {}), **card.options}
    return " ".join(["prepared", *(f"{key}={value}" for key, value in options.items())])
