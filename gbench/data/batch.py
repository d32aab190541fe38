"""A batch of graphs as every model receives it: one disjoint graph, ready for the kernels."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from gbench.data.bag import Bag
from gbench.data.patches.patch_set import Patches
from gbench.data.sparse import SparseFeatures
from gbench.data.transfer import on_device
from gbench.kernels.csr import CSR


@dataclass(frozen=True, eq=False)
class Valid:
    """How many of a batch's leading nodes and graphs count, int64 () on its device.

    Those behind them fill a frame (see gbench/data/padding.py): a model may compute with them, and
    what it takes over all nodes or graphs, as batch norm its statistics, leaves them out.
    """

    nodes: Tensor
    graphs: Tensor


@dataclass(eq=False)
class Batch:
    """B graphs laid side by side.

    Row i of `graph` names the nodes that i receives from, its predecessors: sums over a row follow
    the edges. Row i of `graph.t` names those that i sends to, its successors; the two differ where
    spec.is_directed, and a model that looks both ways says `directed = True`.

    Shapes: x (N, F) float or (N, K) integer categories; y (N,) or (B,) int64, or (B, T) float;
    node_ptr (B + 1,) int32, nodes of graph b are node_ptr[b]:node_ptr[b + 1];
    edge_code (E,) integer: the row of `edge_combos` (U, K) that holds the categories of each entry
    of `graph.col` (in that order), both None without categorical edge features; integers come in
    the smallest type that holds them, and torch takes a uint8 index for a mask: the kernels and
    embeddings accept any type, indexing by hand wants `.long()`;
    targets (T,) int64: the nodes that this batch trains or is evaluated on (None: all of y); what
    a model says of other nodes is never read;
    edge_weight (E,) and edge_attr (E, F_e) float32: the weight and the numbers of each entry of
    `graph.col`; in the transpose, entry e of `graph.col_t` has those of graph.perm_t[e];
    x_numbers (N, F_n) float32: numbers of nodes that have categories in x; each None if the data
    have none;
    teacher (N, C) or (B, C) float32: what a finished run says of what y is about, log p of classes,
    with model.teacher=run:NAME (see gbench/data/taught.py);
    pe (N, K) float32: the positional encoding, None with encoding=none;
    patches: of a model that asks for them (see gbench/data/patches/patch_set.py);
    pairs (P, 2) int64: of link-level data, the pairs of nodes that y (P, 1) float is about;
    pairs (Q, K) float32: at other levels, with an encoding of pairs, the values of all ordered
    pairs of nodes of each graph, Q = Σ n² of them: graph b's are pair_ptr[b]:pair_ptr[b + 1] of
    pair_ptr (B + 1,) int64, and of its n² rows i n + j is about the receiver i and the sender j,
    both counted within the graph;
    graphs, degree: of a part of a big graph (see gbench/data/big/part.py) the graph that each layer
    sees, N × M: its columns are the first M of the part's nodes, of which the first N are its rows;
    and degree (M,) int32, how many in-neighbours these nodes have in the whole graph;
    asked (T,) int64: the targets, where a row for each of them, (T, C), is all that a model has to
    answer; only models that say `answers_targets` are asked so, with the whole graph on the CPU;
    is_kept: the same batch comes again in every epoch, so that what is derived from it is kept;
    valid: of a batch in a frame, how much of it counts; None: all;
    bag: of a model that asks for it, copies of its graphs (see gbench/data/bag.py).
    """

    graph: CSR
    x: Tensor
    y: Tensor
    node_ptr: Tensor
    edge_code: Tensor | None = None
    edge_combos: Tensor | None = None
    targets: Tensor | None = None
    pairs: Tensor | None = None
    pe: Tensor | None = None
    pair_ptr: Tensor | None = None
    graphs: tuple[CSR, ...] = ()
    degree: Tensor | None = None
    patches: Patches | None = None
    memo: dict[str, Any] = field(default_factory=dict)  # constants a model derives once per batch
    is_kept: bool = False
    valid: Valid | None = None
    edge_weight: Tensor | None = None
    edge_attr: Tensor | None = None
    x_numbers: Tensor | None = None
    bag: Bag | None = None
    teacher: Tensor | None = None
    asked: Tensor | None = None

    @property
    def valid_nodes(self) -> Tensor | None:
        """The number of nodes that count, as the kernels take it; None: all."""
        return None if self.valid is None else self.valid.nodes

    @property
    def valid_graphs(self) -> Tensor | None:
        """The same of graphs."""
        return None if self.valid is None else self.valid.graphs

    @property
    def num_graphs(self) -> int:
        return self.node_ptr.numel() - 1

    @property
    def num_nodes(self) -> int:
        return self.graph.num_rows

    @property
    def edge_index(self) -> Tensor:
        """(2, E) int64 in PyG's convention, for layers that want it."""
        if "edge_index" not in self.memo:
            self.memo["edge_index"] = self.graph.edge_index
        index: Tensor = self.memo["edge_index"]
        return index

    @property
    def batch(self) -> Tensor:
        """The graph of each node, int64 (N,), as PyG's readouts want it."""
        if "batch" not in self.memo:
            sizes = self.node_ptr.diff()
            graphs = torch.repeat_interleave(sizes, output_size=self.num_nodes)
            self.memo["batch"] = graphs.long()
        index: Tensor = self.memo["batch"]
        return index

    @property
    def sparse_x(self) -> SparseFeatures | None:
        """The non-zeros of x where they make products cheaper: on a kept batch of mostly zeros.

        None where x has a gradient to receive or was computed in inference mode.
        """
        x = self.x
        if not self.is_kept or x.requires_grad or x.is_inference():
            return None
        kept = self.memo.get("sparse_x")
        if kept is None or kept[0] is not x or kept[1] != x._version:
            # what validation leaves here is trained on: autograd refuses inference-mode tensors
            with torch.inference_mode(False):
                kept = self.memo["sparse_x"] = (x, x._version, SparseFeatures.of(x))
        sparse: SparseFeatures | None = kept[2]
        return sparse

    def to(self, device: torch.device) -> Batch:
        """The batch on a device, in one copy; what was derived from it stays behind."""
        return self if device == self.x.device else on_device(replace(self, memo={}), device)

    def layer(self, index: int) -> Batch:
        """Of a part of a big graph, what one of a model's layers sees."""
        assert self.degree is not None
        graph = self.graphs[index]
        return replace(self, graph=graph, degree=self.degree[: graph.num_cols], memo={})

    def with_targets(self, targets: Tensor) -> Batch:
        """The same graph (and the same memo) for another set of target nodes."""
        other = object.__new__(type(self))
        vars(other).update(vars(self), targets=targets, asked=None)
        return other
