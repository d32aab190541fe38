"""Links: what the training edges alone say of the pairs to be told apart.

Edges are those of the graph that training sees, undirected and loops dropped; a pair is a link, or
one of the others that it has to be told from. Legend: P pairs, N nodes.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.sparse import csr_matrix

from gbench.audits.audited import Audited
from gbench.audits.fact import Fact
from gbench.audits.link_scores import NAMES, Array, neighbours, scores
from gbench.metrics import is_percent

WORDS = {name: name.replace("-", " ") for name in NAMES}
DEFINITIONS = {
    "{part} links": "pairs of the part that are linked",
    "{part} other pairs": "pairs of the part that are not linked, from which links are told apart",
    "{part} links that are training edges": "links of the part whose ends an edge joins",
    "{part} other pairs that are training edges": "the same of the other pairs",
    "{part} links with a common neighbour": "share of the links whose ends have a neighbour in "
    "common: a score of common neighbours (Liben-Nowell and Kleinberg, CIKM 2003) says nothing of "
    "the rest",
    "{part} other pairs with a common neighbour": "share of the other pairs with one",
    "{part} links with an end without edges": "links of which an end has no edge",
    "{part} links between components": "links whose ends no path of edges joins",
    "common neighbours, {part}": "the dataset's metric of the number of common neighbours",
    "preferential attachment, {part}": "the metric of the product of the two degrees",
    "resource allocation, {part}": "the metric of the sum of 1 / degree over common neighbours "
    "(Zhou, Lü and Zhang, 2009)",
    "adamic adar, {part}": "the metric of the sum of 1 / ln degree over common neighbours (Adamic "
    "and Adar, 2003)",
}


def facts(data: Audited) -> Iterator[Fact]:
    """Facts of the validation and the test pairs of each fold."""
    linked = neighbours(data.structure)
    assert data.store.pairs is not None
    metric = data.card.metric
    pairs, y = data.store.pairs.numpy().astype(np.int64), data.y
    for fold, split in enumerate(data.splits):
        for part in ("valid", "test"):
            ids = getattr(split, part)
            place = data.place(fold, part)
            is_link = y[ids].reshape(-1) > 0
            told = _of_pairs(data, linked, pairs[ids], is_link, part)
            yield from (Fact(*place, name, value, unit) for name, value, unit in told)
            for name in NAMES:
                value = in_metric(metric, scores(name, linked, pairs[ids]), is_link)
                if value is None:
                    data.skipped["scores of common neighbours"] = f"metric {metric}: not known here"
                elif not np.isnan(value):
                    unit, factor = ("%", 100) if is_percent(metric) else (metric, 1)
                    yield Fact(*place, f"{WORDS[name]}, {part}", factor * value, unit)


def in_metric(metric: str, said: Array, is_link: Array) -> float | None:
    """Hits@K as OGB has it, ROC-AUC or AP; None for another metric, NaN where it has no value.

    Hits@K is the share of links that score above the K-th best other pair. Shapes: (P,), (P,) bool.
    """
    links, others = said[is_link], said[~is_link]
    if not len(links) or not len(others):
        return float("nan")
    if metric.startswith("hits@"):
        k = int(metric.removeprefix("hits@"))
        if len(others) < k:
            return float("nan")
        return float((links > np.sort(others)[-k]).mean())
    from sklearn.metrics import average_precision_score, roc_auc_score

    known = {"rocauc": roc_auc_score, "ap": average_precision_score}
    return float(known[metric](is_link, said)) if metric in known else None


def _of_pairs(
    data: Audited, linked: csr_matrix, pairs: Array, is_link: Array, part: str
) -> Iterator[tuple[str, float, str]]:
    """Name, value and unit of facts of a part. Shapes: pairs (P, 2), is_link (P,) bool."""
    degree = np.diff(linked.indptr)
    shared = scores("common-neighbours", linked, pairs) > 0
    joined = np.asarray(linked[pairs[:, 0], pairs[:, 1]]).reshape(-1) > 0
    for what, which in (("links", is_link), ("other pairs", ~is_link)):
        yield f"{part} {what}", int(which.sum()), "count"
        yield f"{part} {what} that are training edges", int(joined[which].sum()), "count"
        if which.any():
            share = 100 * float(shared[which].mean())
            yield f"{part} {what} with a common neighbour", share, "%"
    u, v = pairs[is_link].T
    alone = int(((degree[u] == 0) | (degree[v] == 0)).sum())
    yield f"{part} links with an end without edges", alone, "count"
    apart = int((data.component[u] != data.component[v]).sum())
    yield f"{part} links between components", apart, "count"
