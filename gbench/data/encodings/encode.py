"""Positional encodings: computed once per dataset, kept on disk, and laid beside the features.

An encoding is a function of (graph, node_ptr, **options), the union of all graphs as one CSR and
where each begins, that returns (N, K) float32; `conf/encoding/<name>.yaml` names it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gbench.data.batch import Batch
from gbench.data.dataset import Dataset
from gbench.data.files.derived import Key, derived
from gbench.data.transfer import on_device
from gbench.errors import UserError

NOT_OPTIONS = ("name", "_target_", "random_signs")


def encoded(dataset: Dataset, settings: Mapping[str, Any], cache_dir: Path) -> Dataset:
    """The dataset with `store.pe` (N, K), read from the cache or computed and put there.

    With `random_signs` each training batch has the columns of `pe` multiplied by random signs.
    `encoding=none` names no function and leaves the dataset as it is. Raises UserError for options
    that the function does not have, and for what it returns if that is not (N, K) floats.
    """
    if "_target_" not in settings:
        return dataset
    name, target = settings["name"], settings["_target_"]
    options = {key: value for key, value in settings.items() if key not in NOT_OPTIONS}

    def compute(function: Callable[..., Tensor]) -> dict[str, Tensor]:
        try:
            inspect.signature(function).bind(None, None, **options)
        except TypeError as error:
            raise UserError(f"encoding={name}: {target}: {error}") from error
        graph, node_ptr = dataset.store.union()
        pe = function(graph, node_ptr, **options)
        if pe.dim() != 2 or pe.size(0) != dataset.store.num_nodes or not pe.is_floating_point():
            raise UserError(
                f"encoding={name}: {target} returned {pe.dtype} of shape {tuple(pe.shape)}, "
                f"expected floats of shape ({dataset.store.num_nodes}, K)"
            )
        return {"pe": pe.float().contiguous()}

    key = Key(dataset.card.name, dataset.fingerprint, name, target, options)
    pe = derived(key, compute, cache_dir)["pe"]
    return replace(
        dataset,
        store=replace(dataset.store, pe=pe, memo={}),
        spec=replace(dataset.spec, pe_dim=pe.size(1)),
        random_signs=settings.get("random_signs", False),
    )


def with_random_signs(batches: Iterator[Batch], seed: int) -> Iterator[Batch]:
    """Each batch with every column of its `pe` kept or negated, as the seed alone says."""
    generator = torch.Generator().manual_seed(seed)
    for batch in batches:
        assert batch.pe is not None
        signs = 2 * torch.randint(2, (batch.pe.size(1),), generator=generator) - 1
        yield replace(batch, pe=batch.pe * on_device(signs, batch.pe.device))
