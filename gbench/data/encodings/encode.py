"""Positional encodings: computed once per dataset, kept on disk, and laid beside the features.

An encoding is a function of (graph, node_ptr, **options), the union of all graphs as one CSR and
where each begins, that returns (N, K) float32; `conf/encoding/<name>.yaml` names it. One that says
`values: pairs` returns (Q, K), values of each ordered pair of nodes of a graph: see `Batch.pairs`.

Several at once are one group of settings per name. Each is computed and kept as it is alone; those
of nodes then stand side by side, and those of pairs too, in the order of the names.

Legend: N nodes and Q = Σ n² pairs of nodes of all graphs.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gbench.data.batch import Batch
from gbench.data.dataset import Dataset
from gbench.data.encodings.pair_bounds import check_largest, check_total
from gbench.data.encodings.parts import are_pairs, check_pairs, options_of, parts
from gbench.data.files.derived import Key, derived
from gbench.data.store import GraphStore
from gbench.data.transfer import on_device
from gbench.errors import UserError
from gbench.kernels.csr import CSR


def encoded(dataset: Dataset, settings: Mapping[str, Any], cache_dir: Path) -> Dataset:
    """The dataset with `store.pe` and `store.pair_values`, read from the cache or put there.

    With `random_signs` each training batch has the columns of `pe` multiplied by random signs.
    `encoding=none` names no function and leaves the dataset as it is. Raises UserError for options
    that a function does not have, for what it returns if that is no floats of the right shape, and
    for more pairs than are computed (pair_bounds.py).
    """
    check_pairs(settings, {"level": dataset.card.level, "name": dataset.card.name}, "full")
    found = [(part, _computed(dataset, part, cache_dir)) for part in parts(settings)]
    return with_values(dataset, found)


def with_values(dataset: Dataset, found: Sequence[tuple[Mapping[str, Any], Tensor]]) -> Dataset:
    """The dataset with what each encoding of some settings says, side by side in their order."""
    if not found:
        return dataset
    nodes = [(part, values) for part, values in found if not are_pairs(part)]
    pairs = [(part, values) for part, values in found if are_pairs(part)]
    pe = _beside([values for _, values in nodes])
    pair_values = _beside([values for _, values in pairs])
    signs = [bool(part.get("random_signs")) for part, v in nodes for _ in range(v.size(1))]
    return replace(
        dataset,
        store=replace(dataset.store, pe=pe, pair_values=pair_values, memo={}),
        spec=replace(
            dataset.spec,
            pe_dim=0 if pe is None else pe.size(1),
            pair_dim=0 if pair_values is None else pair_values.size(1),
            encodings=tuple((str(part["name"]), values.size(1)) for part, values in nodes),
            pair_encodings=tuple((str(part["name"]), values.size(1)) for part, values in pairs),
        ),
        random_signs=tuple(signs) if any(signs) else (),
    )


def with_random_signs(
    batches: Iterator[Batch], seed: int, columns: Sequence[bool]
) -> Iterator[Batch]:
    """Each batch with these columns of its `pe` kept or negated, as the seed alone says."""
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.tensor(columns)
    for batch in batches:
        assert batch.pe is not None
        signs = torch.ones(chosen.numel(), dtype=torch.int64)
        signs[chosen] = 2 * torch.randint(2, (sum(columns),), generator=generator) - 1
        yield replace(batch, pe=batch.pe * on_device(signs, batch.pe.device))


def _computed(dataset: Dataset, part: Mapping[str, Any], cache_dir: Path) -> Tensor:
    """What one encoding says of all nodes (N, K), or of all pairs (Q, K), memory-mapped."""
    name, target, options = part["name"], part["_target_"], options_of(part)
    store, of_pairs = dataset.store, are_pairs(part)
    if of_pairs:
        check_largest(name, store.ranges[2])

    def compute(function: Callable[..., Tensor]) -> dict[str, Tensor]:
        try:
            inspect.signature(function).bind(None, None, **options)
        except TypeError as error:
            raise UserError(f"encoding={name}: {target}: {error}") from error
        if of_pairs:
            check_total(name, dataset.card.name, store.ranges[2], _width(function, options))
        graph, node_ptr = store.union()
        values: object = function(graph, node_ptr, **options)
        return {"pe": checked(values, store, of_pairs, f"encoding={name}: {target}")}

    # what is kept of nodes has the key that it had before there were pairs
    kind = {"values": "pairs"} if of_pairs else {}
    key = Key(dataset.card.name, dataset.fingerprint, name, target, {**options, **kind})
    return derived(key, compute, cache_dir)["pe"]


def checked(values: object, store: GraphStore, of_pairs: bool, who: str) -> Tensor:
    """What a function returned as float32, if it is a row per node, or per pair of nodes.

    Raises UserError for anything else, and for a value that is not finite.
    """
    if not isinstance(values, Tensor):
        raise UserError(f"{who} returned {type(values).__name__}, expected a tensor of floats")
    rows, others = store.num_nodes, int(store.first_pair[-1])
    kind = "pairs"
    if of_pairs:
        rows, others, kind = others, rows, "nodes"
    is_table = values.dim() == 2 and values.size(0) == rows and values.size(1) > 0
    if not is_table or not values.is_floating_point():
        hint = f" (its YAML may say values: {kind})" if values.shape[:1] == (others,) else ""
        meant = ", a row for each pair of nodes of each graph" if of_pairs else ""
        raise UserError(
            f"{who} returned {values.dtype} of shape {tuple(values.shape)}, "
            f"expected floats of shape ({rows}, K){meant}{hint}"
        )
    values = values.float().contiguous()
    # a sum of finite float32 in float64 is finite, and needs no mask of all values
    if not bool(values.sum(dtype=torch.float64).isfinite()):
        row = int((~values.isfinite()).any(1).nonzero()[0])
        raise UserError(
            f"{who} returned {values[row][~values[row].isfinite()][0].item()} in row {row}: every "
            "value has to be a finite number"
        )
    return values


def _width(function: Callable[..., Tensor], options: Mapping[str, Any]) -> int:
    """How many values a pair has, as two nodes and an edge tell; 1 where they cannot."""
    try:
        ends = torch.tensor([[0, 1], [1, 0]])
        ptr = torch.tensor([0, 2], dtype=torch.int32)
        return int(function(CSR.from_edge_index(ends, 2)[0], ptr, **options).size(1))
    except Exception:  # what is wrong shows when it is called in earnest
        return 1


def _beside(values: Sequence[Tensor]) -> Tensor | None:
    return torch.cat([*values], 1) if len(values) > 1 else (values[0] if values else None)
