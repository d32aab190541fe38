"""A folder whose tables have no labels: an audit tells its shape, training refuses it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from gbench.audits import parts, shape
from gbench.audits.audited import Audited
from gbench.audits.fact import Audit
from gbench.data.dataset import Dataset
from gbench.data.files.fingerprint import fingerprint
from gbench.data.loaders import edge_table, node_table
from gbench.data.loaders import folder as own
from gbench.data.own import parts_of
from gbench.data.own_kinds import Description, Items, table_of
from gbench.data.source import Split
from gbench.data.spec import DataCard, DataSpec, Level
from gbench.data.store import pack

WHY = "the folder has no labels"


def shape_of(path: Path, tell: Callable[[str], None] = lambda line: None) -> tuple[DataCard, Audit]:
    """Facts that need no labels, of a folder of CSV files; they are not kept.

    Raises UserError for what is wrong with its files.
    """
    begun = time.perf_counter()
    tell(f"{path.name}: size and shape")
    data = _read(path)
    facts = (*shape.facts(data), *parts.facts(data))
    skipped = {"labels, parts, homophily, twins, leaks, ceilings and floors": WHY}
    seconds = time.perf_counter() - begun
    made = Audit(path.name, "none", data.dataset.fingerprint, facts, skipped, seconds)
    return data.card, made


def _read(path: Path) -> Audited:
    folder, _ = parts_of(path)
    is_graphs = (folder / "graphs.csv").is_file()
    nodes, edges = table_of(folder, "nodes.csv"), table_of(folder, "edges.csv")
    table = table_of(folder, "graphs.csv") if is_graphs else nodes
    by_graphs = not is_graphs and "graph" in nodes.columns
    level: Level = "graph" if is_graphs else "node"
    about = Description(level, "classification", "accuracy", 0, {}, by_graphs)
    nothing = np.zeros(len(table.ids()), dtype=bool)
    items = Items(table.ids(), torch.zeros(len(nothing), dtype=torch.long), nothing, 1)
    of_nodes = node_table.read_columns(nodes, own.feature_names(nodes, about))
    tables = own.Tables(
        about, table, [], nodes, edges, items, of_nodes, edge_table.read_columns(edges)
    )
    source, _ = own.joined(folder, tables)
    store = pack(source.graphs, level)
    card = DataCard(
        name=folder.name,
        _target_="gbench.data.loaders.folder.load",
        level=level,
        loss="cross-entropy",
        metric="accuracy",
        direction="max",
        split="none",
        num_folds=1,
        fold=0,
        source="",
        licence="",
        citation="",
    )
    none = torch.zeros(0, dtype=torch.long)
    spec = store.told(DataSpec(level, 1, store.x.size(1), source.node_categories))
    split = Split(none, none, none)
    dataset = Dataset(card, spec, store, split, fingerprint(store.tensors()), {})
    return Audited(card, dataset, store, [], nothing, folder)
