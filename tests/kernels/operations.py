"""Every public operation of gbench.kernels with its reference, on one graph: see conftest.py."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gbench.kernels import CSR, Pairs, library

NODES, WIDTH = 10, 6
RANDOM = torch.Generator().manual_seed(0)


def some(*shape: int) -> Tensor:
    """Whole numbers of eighths: a cast to any float changes none of them."""
    return torch.randint(-12, 13, shape, generator=RANDOM).double() / 8


ENDS = torch.randint(0, NODES - 2, (2, 12), generator=RANDOM)
GRAPH, _ = CSR.from_edge_index(torch.cat([ENDS, ENDS.flip(0)], 1), NODES)
EDGES = GRAPH.num_entries
INTEGERS = {
    "graph": GRAPH,
    "code": torch.randint(0, 4, (EDGES,), generator=RANDOM, dtype=torch.uint8),
    "codes": torch.randint(0, 2, (NODES, 3), generator=RANDOM),
    "offsets": torch.tensor([0, 3, 5]),
    "ptr": torch.tensor([0, 3, 3, NODES], dtype=torch.int32),
    "seed": torch.tensor(1234567890123),
    "pairs": Pairs.of(torch.tensor([0, 3, 3, NODES], dtype=torch.int32), NODES),
    "y": torch.tensor([0, 5, -100, 3, 2, 1, 0, 4, 2, 5]),
    "targets": torch.tensor([9, 2, 0, 4, 4]),
    "count": torch.tensor([1, 0, 1, 0, 2, 0, 0, 0, 0, 1], dtype=torch.int32),
}
X, MAPS, STALKS = some(NODES, WIDTH), some(EDGES, 3, 3), some(NODES, 3, 4)
BLOCKS = some(NODES, 3, 3) / 8
BLOCKS = BLOCKS + BLOCKS.mT + 2 * torch.eye(3)  # positive definite
DEGREE = torch.zeros(NODES).double().index_add(0, GRAPH.row, torch.ones(EDGES).double())


class Operation(NamedTuple):
    """`function` and `reference` take the integers' namespace and the inputs, by order.

    The first input's dtype and device are the output's.
    """

    name: str
    inputs: tuple[Tensor, ...]
    function: Callable[..., Tensor]
    reference: Callable[..., Tensor]

    def on(self, device: str) -> SimpleNamespace:
        """The graph and the other integers there."""
        there = {
            key: Pairs(*(array.to(device) for array in part))
            if isinstance(part, Pairs)
            else part.to(device)
            for key, part in INTEGERS.items()
        }
        return SimpleNamespace(**there)


def operation(name: str, inputs: tuple[Tensor, ...], arguments: Callable[..., Any]) -> Operation:
    """One whose reference takes the same arguments, which are a tuple, or one and keywords."""
    module = import_module(f"gbench.kernels.{name.partition('-')[0]}")

    def of(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def call(there: SimpleNamespace, *tensors: Tensor) -> Tensor:
            args, options = arguments(there, *tensors), {}
            if isinstance(args[-1], dict):
                *args, options = args
            return function(*args, **options)

        return call

    return Operation(
        name, inputs, of(getattr(module, module.__name__.rpartition(".")[2])), of(module.reference)
    )


def _sheaf(name: str, inputs: tuple[Tensor, ...], option: str) -> Operation:
    """A sheaf Laplacian whose D is a number for each node, or for each of its stalk's."""
    module = import_module("gbench.kernels.sheaf_laplacian")

    def function(at: SimpleNamespace, x: Tensor, maps: Tensor, *rest: Tensor) -> Tensor:
        options = {option: rest[0]} if rest else {}
        out: Tensor = module.sheaf_laplacian(at.graph, maps, x, **options)
        return out

    def reference(at: SimpleNamespace, x: Tensor, maps: Tensor, *rest: Tensor) -> Tensor:
        row, col = at.graph.row, at.graph.col.long()
        full = maps if maps.dim() == 3 else maps.diag_embed()
        if option == "weight":
            full = full * rest[0][:, None, None]
        if option == "degree":
            size = rest[0][:, None, None]
        else:
            squares = (maps if option == "diagonal" else rest[0][:, None]).square()
            size = torch.zeros(NODES, squares.size(1)).to(x).index_add(0, row, squares)[:, :, None]
        root = (1 + size).rsqrt()
        x = root * x
        apart = full @ x[row] - full[at.graph.perm_t.long()] @ x[col]
        return root * torch.zeros_like(x).index_add(0, row, full.mT @ apart)

    return Operation(name, inputs, function, reference)


class Norm:
    """What norm_act reads of a BatchNorm1d."""

    affine, momentum, eps, num_features, num_batches_tracked = True, 0.1, 1e-5, WIDTH, None

    def __init__(self, weight: Tensor, bias: Tensor, training: bool) -> None:
        self.weight, self.bias, self.training = weight, bias, training
        self.running_mean = torch.full_like(weight.detach(), 0.5)
        self.running_var = torch.full_like(weight.detach(), 2.0)


def _norm_act(name: str, training: bool) -> Operation:
    module = import_module("gbench.kernels.norm_act")

    def function(_: object, x: Tensor, residual: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        out: Tensor = module.norm_act(x, Norm(weight, bias, training), residual=residual)
        return out

    def reference(_: object, x: Tensor, residual: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        norm = Norm(weight, bias, training)
        statistics = (norm.running_mean, norm.running_var)
        options = (torch.tensor(0), training, norm.eps, True, 0.0)
        out: Tensor
        out, _, _ = module.reference(x, weight, bias, *statistics, residual, *options)
        return out

    inputs = (X, X.flip(0), some(WIDTH), some(WIDTH))
    return Operation(name, inputs, function, reference)


def _dropout() -> Operation:
    """Of a seed that both draw from torch's generator."""
    module = import_module("gbench.kernels.dropout")

    def reference(_: object, x: Tensor) -> Tensor:
        out: Tensor = module.reference(x, torch.randint(2**63 - 1, ()), 0.5)
        return out

    return Operation("dropout", (X,), lambda _, x: module.dropout(x, 0.5), reference)


def _drawn(name: str, inputs: tuple[Tensor, ...], arguments: Callable[..., Any]) -> Operation:
    """One that the models call on a GPU only: what is registered, of a seed that is given."""
    module = import_module(f"gbench.kernels.{name.partition('-')[0]}")
    registered = getattr(torch.ops.gbench, name.partition("-")[0])

    @library.operation("first")
    def called(first: Tensor, *others: Tensor, at: SimpleNamespace) -> Tensor:
        graph, *rest = arguments(at, first, *others)
        bounds = [graph.bound] * (1 + (name == "sparse_linear")) if isinstance(graph, CSR) else []
        given = (graph.arrays, *bounds, *rest) if bounds else (graph, *rest)
        out = registered(*given)
        return out[0] if isinstance(out, tuple) else out

    def function(at: SimpleNamespace, *tensors: Tensor) -> Tensor:
        out: Tensor = called(*tensors, at=at)
        return out

    def reference(at: SimpleNamespace, *tensors: Tensor) -> Tensor:
        out: Tensor = module.reference(*arguments(at, *tensors))
        return out

    return Operation(name, inputs, function, reference)


def _gated() -> Operation:
    """The nodes' average, without the edges' states."""
    module = import_module("gbench.kernels.gated_aggregate")
    return Operation(
        "gated_aggregate",
        (some(EDGES, WIDTH), *(some(NODES, WIDTH) for _ in range(3))),
        lambda at, *given: module.gated_aggregate(at.graph, *given)[0],
        lambda at, *given: module.reference(at.graph, *given),
    )


import_module("gbench.kernels.cross_entropy")  # which defines what is called here


@library.operation("first")
def _called(first: Tensor, at: SimpleNamespace) -> Tensor:
    out: Tensor = torch.ops.gbench.cross_entropy(first, at.y, at.targets, at.count)[0]
    return out


def _cross_entropy(at: SimpleNamespace, x: Tensor) -> Tensor:
    return _called(x, at)


LABELS = some(NODES, WIDTH)
LABELS[2, 3] = torch.nan
HALF = some(EDGES, 3).abs() + 0.125
SENDERS = some(NODES).abs()
OPERATIONS = [
    *(
        operation(f"spmm-{reduce}", (X,), lambda at, x, reduce=reduce: (at.graph, x, None, reduce))
        for reduce in ("sum", "mean", "max")
    ),
    operation("spmm-weighted", (X, some(EDGES)), lambda at, x, w: (at.graph, x, w)),
    operation("spmm-weighted-mean", (X, some(EDGES)), lambda at, x, w: (at.graph, x, w, "mean")),
    operation("gcn_propagate", (X,), lambda at, x: (at.graph, x, 3)),
    operation(
        "gcn_propagate-bias",
        (X, some(WIDTH)),
        lambda at, x, b: (at.graph, x, 2, {"bias": b, "relu": True}),
    ),
    operation(
        "gcn_propagate-weighted",
        (X, some(EDGES).abs()),
        lambda at, x, w: (at.graph, x, 2, {"edge_weight": w}),
    ),
    operation("directed_propagate", (X,), lambda at, x: (at.graph, x)),
    operation("directed_propagate-powers", (X,), lambda at, x: (at.graph, x, -1.0, -0.25)),
    operation("gcn_propagate-0", (X, some(WIDTH)), lambda at, x, b: (at.graph, x, 0, {"bias": b})),
    operation("teleport_propagate", (X,), lambda at, x: (at.graph, x, 0.25, 3)),
    operation(
        "teleport_propagate-home",
        (X, X.flip(0)),
        lambda at, x, h: (at.graph, x, 0.25, {"home": h}),
    ),
    operation(
        "gcn_gated_sum", (X, some(WIDTH), some()), lambda at, x, w, b: (at.graph, x, w, b, 3)
    ),
    *(
        operation(
            f"segment_reduce-{reduce}", (X,), lambda at, x, reduce=reduce: (at.ptr, x, reduce)
        )
        for reduce in ("sum", "mean", "max")
    ),
    operation("segment_add", (X, some(3, WIDTH)), lambda at, x, v: (at.ptr, x, v)),
    *(
        operation(name, (some(*shape),), lambda at, table: (at.codes, table, at.offsets))
        for name, shape in (("embedding_sum", (8, WIDTH)), ("embedding_sum-several", (2, 8, WIDTH)))
    ),
    operation(
        "gine_aggregate",
        (X, some(4, WIDTH), some()),
        lambda at, x, t, e: (at.graph, x, t, at.code, e),
    ),
    operation(
        "ragged_attention",
        tuple(some(NODES, 2, 3) for _ in range(3)),
        lambda at, q, k, v: (at.ptr, q, k, v),
    ),
    _drawn(
        "ragged_attention-dropout",
        tuple(some(NODES, 2, 3) for _ in range(3)),
        lambda at, q, k, v: (at.ptr, q, k, v, at.seed, 0.5),
    ),
    _gated(),
    operation("activated_sum", (X, X.flip(0)), lambda at, q, k: (at.graph, q, k, {"slope": 0.25})),
    operation(
        "activated_sum-table",
        (X, X.flip(0), some(4, WIDTH)),
        lambda at, q, k, t: (at.graph, q, k, t, at.code, {"act": "gelu"}),
    ),
    operation(
        "activated_sum-edges",
        (X, X.flip(0), some(EDGES, WIDTH)),
        lambda at, q, k, e: (at.graph, q, k, e, {"scale": SENDERS.to(q)}),
    ),
    operation("pna_aggregate", (X,), lambda at, x: (at.graph, x)),
    operation(
        "pna_aggregate-table", (X, some(4, WIDTH)), lambda at, x, t: (at.graph, x, t, at.code)
    ),
    operation("pna_aggregate-edges", (X, some(EDGES, WIDTH)), lambda at, x, e: (at.graph, x, e)),
    operation(
        "gine_dense",
        (X, some(EDGES, WIDTH), some()),
        lambda at, x, edge, e: (at.graph, x, edge, e),
    ),
    operation(
        "gcn_bond_aggregate",
        (X, some(4, WIDTH), some(WIDTH)),
        lambda at, x, t, r: (at.graph, x, t, at.code, r),
    ),
    operation(
        "edge_softmax", (some(NODES, 3, 2), some(EDGES, 3)), lambda at, x, s: (at.graph, s, x)
    ),
    operation(
        "edge_softmax-factor",
        (some(NODES, 3, 2), some(EDGES, 3)),
        lambda at, x, s: (at.graph, s, x, HALF.to(s)),
    ),
    operation(
        "gatv2_score",
        (some(NODES, 3, 2), some(NODES, 3, 2), some(3, 2)),
        lambda at, q, k, a: (at.graph, q, k, a),
    ),
    operation(
        "gatv2_score-edges",
        (some(NODES, 3, 2), some(NODES, 3, 2), some(3, 2), some(EDGES, 3, 2)),
        lambda at, q, k, a, e: (at.graph, q, k, a, e),
    ),
    operation("pair_conv", (some(58, WIDTH), X), lambda at, psi, x: (at.pairs, psi, x)),
    operation("pair_conv-heads", (some(58, 2), X), lambda at, psi, x: (at.pairs, psi, x)),
    operation("pair_softmax", (some(58, 3),), lambda at, score: (at.pairs, score)),
    operation(
        "pair_gate",
        (some(58, 2 * WIDTH), some(NODES, WIDTH), X),
        lambda at, e, q, k: (at.pairs, q, k, e),
    ),
    operation("pair_sum", (some(58, WIDTH), some(58, 2)), lambda at, e, w: (at.pairs, w, e)),
    operation("sheaf_laplacian", (STALKS, MAPS), lambda at, x, maps: (at.graph, maps, x)),
    _sheaf("sheaf_laplacian-diagonal", (STALKS, some(EDGES, 3)), "diagonal"),
    _sheaf("sheaf_laplacian-weight", (STALKS, MAPS, some(EDGES)), "weight"),
    _sheaf("sheaf_laplacian-degree", (STALKS, MAPS, DEGREE), "degree"),
    operation("sheaf_blocks", (MAPS,), lambda at, maps: (at.graph, maps)),
    operation("sheaf_mix", (STALKS, some(3, 3), some(4, 4)), lambda _, *given: given),
    operation("sheaf_residual", (STALKS, STALKS.flip(0), some(3, 1)), lambda _, *given: given),
    operation(
        "sheaf_layers",
        (
            STALKS,
            some(2, 3, 24) / 8,
            some(2, 1, 24) / 8,
            some(2, 3, 3),
            some(2, 4, 4),
            some(2, 3, 1),
        ),
        lambda at, *given: (
            at.graph,
            *given,
            {"is_diagonal": False, "by_degree": False},
        ),
    ),
    operation("inverse_sqrt", (BLOCKS,), lambda _, blocks: (blocks,)),
    operation("householder", (some(EDGES, 3),), lambda _, p: (p, 3)),
    operation("pair_tanh", (some(NODES, 4),), lambda at, z: (at.graph, z)),
    operation("pair_weight", (some(NODES, 2),), lambda at, z: (at.graph, z)),
    _norm_act("norm_act", True),
    _norm_act("norm_act-evaluation", False),
    _dropout(),
    *(
        _drawn(
            f"act_dropout-{act}",
            (X, some(WIDTH)),
            lambda at, x, b, act=act: (x, b, at.seed, act, 0.5),
        )
        for act in ("none", "relu", "elu")
    ),
    Operation(
        "cross_entropy",
        (X,),
        _cross_entropy,
        lambda at, x: import_module("gbench.kernels.cross_entropy").reference(x, at.y, at.targets),
    ),
    *(
        _drawn(
            f"entry_loss-{kind}",
            (X,),
            lambda at, x, kind=kind: (x, LABELS.to(x.device), at.count, kind, 0.5, kind == "bce"),
        )
        for kind in ("bce", "mse", "l1", "huber", "quantile")
    ),
    _drawn("act_dropout", (X,), lambda at, x: (x, None, None, "relu", 0.0)),
    _drawn(
        "sparse_linear",
        (some(NODES, WIDTH), some(WIDTH)),
        lambda at, w, b: (at.graph, HALF[:, 0].to(w), w, b, at.seed, 0.5),
    ),
    _drawn(
        "gat_attention",
        (some(NODES, 3, 2), some(3, 2), some(3, 2)),
        lambda at, x, a, b: (at.graph, x, a, b, at.seed, 0.5),
    ),
]
