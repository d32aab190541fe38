"""Which pairs (u, v) of a batch take from which others, as patterns that the kernels walk.

Every pattern is made once for a batch, with its transpose and without sorting, and kept with it.

Legend: N nodes, E entries of the graph, P = Σ n² pairs (u, v) of receiver u and sender v, T
entries of a pattern.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from gbench.data.batch import Batch
from gbench.kernels import CSR, Pairs
from gbench.models.pair_features import pair_values, pairs_of


class Product(NamedTuple):
    """A pattern P × P that runs along the graph's edges.

    Shapes: edges (T,) int64, the entry of `batch.graph.col` that each entry runs along.
    """

    graph: CSR
    edges: Tensor


class Patterns(NamedTuple):
    """The patterns of a batch; None where nobody asked.

    of_sender (P × N): (u, v) from v; to_sender (N × P): v from all (u, v); own (P × P): (u, v) from
    (v, v); along_sender: (u, v) from (u, w), w → v; along_receiver: (u, v) from (w, v), w → u.
    """

    of_sender: CSR
    to_sender: CSR
    own: CSR
    along_sender: Product
    along_receiver: Product


def patterns_of(batch: Batch) -> Patterns:
    """Kept with the batch. On a GPU the host waits, for the numbers of entries along edges."""
    if "pair_patterns" not in batch.memo:
        # what validation leaves here is trained on: autograd refuses inference-mode tensors
        with torch.inference_mode(False):
            batch.memo["pair_patterns"] = _patterns(
                pairs_of(batch), batch.graph, pair_values(batch).size(0)
            )
    found: Patterns = batch.memo["pair_patterns"]
    return found


def _patterns(pairs: Pairs, graph: CSR, num_pairs: int) -> Patterns:
    receiver, sender = pairs.receivers(num_pairs), pairs.senders(num_pairs)
    ptr, start = pairs.ptr.long(), pairs.start.long()
    every = torch.arange(num_pairs + 1, dtype=torch.int32, device=pairs.device)
    flipped = (ptr[sender] + receiver - start[receiver]).int()  # where (v, u) stands
    of_sender = CSR(every, sender.int(), pairs.ptr, flipped, flipped)
    own = pairs.diagonal()
    counts = torch.zeros(num_pairs, dtype=torch.int64, device=pairs.device)
    counts[own] = pairs.sizes.long()
    from_own = CSR(every, own[sender].int(), _pointers(counts), flipped, flipped)
    offset = ptr[receiver] - start[receiver]  # (u, w) stands at this plus w
    place = sender - start[sender]  # (w, v) stands at ptr[w] plus this
    return Patterns(
        of_sender,
        of_sender.t,
        from_own,
        _along(graph, sender, lambda pair, node: offset[pair] + node),
        _along(graph, receiver, lambda pair, node: ptr[node] + place[pair]),
    )


def _along(graph: CSR, base: Tensor, stands: Callable[[Tensor, Tensor], Tensor]) -> Product:
    """Each pair from those that have a neighbour of its node `base` (P,) in that node's place."""
    rowptr, rowptr_t = graph.rowptr.long(), graph.rowptr_t.long()
    pointers, edges, pair = _entries(rowptr, base)
    col = stands(pair, graph.col.long()[edges])
    pointers_t, edges_t, pair_t = _entries(rowptr_t, base)
    node = graph.col_t.long()[edges_t]
    target = stands(pair_t, node)
    perm = pointers.long()[target] + graph.perm_t.long()[edges_t] - rowptr[node]
    arrays = (pointers, col.int(), pointers_t, target.int(), perm.int())
    return Product(CSR(*arrays, longest=graph.longest), edges)


def _entries(rowptr: Tensor, base: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """For each pair its node's entries: pointers (P + 1,), the entries and their pairs (T,)."""
    counts = rowptr.diff()[base]
    pointers = _pointers(counts)
    pair = torch.repeat_interleave(counts)
    within = torch.arange(pair.numel(), device=base.device) - pointers.long()[pair]
    return pointers, rowptr[base][pair] + within, pair


def _pointers(counts: Tensor) -> Tensor:
    return torch.nn.functional.pad(counts.cumsum(0), (1, 0)).int()
