"""What a model says of the nodes of a big graph, layer by layer in chunks of nodes.

Each layer is computed for all nodes before the next, so that nothing is sampled and nothing is
computed twice: the answer is that of the whole graph as one batch. At any time there are two
layers' outputs, N × F each, and what one chunk needs: at most ENTRIES_AT_ONCE in-neighbours (more
only for a single node that has more), their rows of the layer before, and the layer's own
activations for them.

Legend: N nodes, T targets, F features, R rows of a chunk, M those and their in-neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from gbench.data.batch import Batch
from gbench.data.big.neighbours import surroundings
from gbench.data.big.part import Part, Pattern
from gbench.data.store import GraphStore
from gbench.errors import UserError
from gbench.kernels.csr import CSR
from gbench.models.answers import checked
from gbench.train.parts import batches

# Rows of F floats are 4 F bytes: 2^17 of them with F = 64 are 32 MiB.
ENTRIES_AT_ONCE = 1 << 17

Step = Callable[[Batch, Tensor], Tensor]


class LayerWise(Protocol):
    """What such a model has besides `forward`, which for a whole graph is embed and all steps.

    Every step looks one hop. The graph of its batch has R rows and M columns: the columns are the
    nodes whose outputs of the step before it gets, the first R of them are the rows to answer for.
    """

    def embed(self, batch: Batch) -> Tensor:
        """What needs no neighbours. Shapes: batch.x (R, F) → (R, D)."""

    def steps(self) -> Sequence[Step]:
        """The layers. Shapes: x (M, D) → (R, D); the last one returns the outputs (R, C)."""


def layer_wise(model: nn.Module, name: str) -> LayerWise:
    """The model, if it can be evaluated so; UserError if it cannot."""
    if not (hasattr(model, "embed") and hasattr(model, "steps")):
        raise UserError(
            f"model {name} cannot be evaluated on parts of a graph: it has no `embed` and `steps` "
            "(see gbench/train/layerwise.py). Take batching=full"
        )
    return cast("LayerWise", model)


def through_layers(model: nn.Module, batch: Batch) -> Tensor:
    """The outputs for a part's R rows. Shapes: batch.x (M, F) → (R, C)."""
    layers = cast("LayerWise", model)
    x = _checked(layers.embed(batch), batch.x.size(0), model)
    for index, step in enumerate(layers.steps()):
        layer = batch.layer(index)
        x = _checked(step(layer, x), layer.graph.num_rows, model)
    return x


def predict(
    model: nn.Module,
    store: GraphStore,
    pattern: Pattern,
    ids: Tensor,
    device: torch.device,
    tick: Callable[[float], None] = lambda fraction: None,
    entries_at_once: int = 0,
) -> Tensor:
    """The outputs for the nodes `ids`, on the store's device. Shapes: (T,) → (T, C).

    `tick` is told the fraction that is done; `entries_at_once` is a chunk's size, 0 the usual one.
    """
    layers = cast("LayerWise", model)
    steps = layers.steps()
    everyone, ids = torch.arange(pattern.num_nodes), ids.cpu()

    def alone(rows: Tensor) -> Part:
        none = torch.empty(0, dtype=torch.int64)
        graph, _ = CSR.from_edge_index(none.expand(2, -1), rows.numel())
        return Part((graph,), rows.int(), none)

    def embed(batch: Batch, _: Tensor) -> Tensor:
        return _checked(layers.embed(batch), batch.x.size(0), model)

    def checked_step(step: Step, batch: Batch, x: Tensor) -> Tensor:
        return _checked(step(batch, x), batch.graph.num_rows, model)

    def part_done(layer: int) -> Callable[[float], None]:
        return lambda fraction: tick((layer + fraction) / (len(steps) + 1))

    # the store of each layer holds what the layer before it made
    size = entries_at_once or ENTRIES_AT_ONCE
    chunks = _chunks(pattern, everyone if steps else ids, size)
    made = _computed(embed, store, chunks, alone, device, part_done(0))
    for number, step in enumerate(steps, start=1):
        store = _with_rows(store, made)
        chunks = _chunks(pattern, ids if number == len(steps) else everyone, size)
        work, cut = partial(checked_step, step), partial(surroundings, pattern)
        made = _computed(work, store, chunks, cut, device, part_done(number))
    return made


def _computed(
    step: Step,
    store: GraphStore,
    chunks: Sequence[Tensor],
    cut: Callable[[Tensor], Part],
    device: torch.device,
    tick: Callable[[float], None],
) -> Tensor:
    """What a step answers for all rows of the chunks, one chunk after another."""
    out, done, total = store.x, 0, sum(map(len, chunks))
    for batch in (batch.to(device) for batch in batches(store, cut, chunks, 1)):
        made = step(batch.layer(0), batch.x)
        if not done:
            out = made.new_empty(total, made.size(1), device=store.device)
        out[done : done + made.size(0)] = made
        done += made.size(0)
        tick(done / max(1, total))
    return out


def _checked(made: object, rows: int, model: nn.Module) -> Tensor:
    """What `embed` or a step made, with a row for each node that it is about."""
    columns = made.size(-1) if isinstance(made, Tensor) and made.dim() else 0
    return checked(made, (rows, columns), model, "a row per node of this layer")


def _with_rows(store: GraphStore, x: Tensor) -> GraphStore:
    return replace(store, x=x, pe=None, x_numbers=None, memo={})


def _chunks(pattern: Pattern, rows: Tensor, most: int) -> list[Tensor]:
    """Consecutive `rows`, each chunk with at most so many in-neighbours and rows."""
    size = (pattern.rowptr.diff()[rows] + 1).cumsum(0)
    chunks: list[Tensor] = []
    first = 0
    while first < rows.numel() or not chunks:
        used = int(size[first - 1]) if first else 0
        end = int(torch.searchsorted(size, used + most, right=True))
        chunks.append(rows[first : max(end, first + 1)])
        first += chunks[-1].numel()
    return chunks
