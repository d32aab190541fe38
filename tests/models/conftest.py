"""Small graphs and batches of them, in float64, for comparisons with dense mathematics."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gbench.build import build_model
from gbench.config.compose import compose
from gbench.data.batch import Batch
from gbench.data.patches.grow import grown
from gbench.data.patches.metis import Graphs
from gbench.data.spec import DataSpec
from gbench.errors import UserError
from gbench.kernels.csr import CSR

ATOMS, BONDS = (5, 3, 4), (4, 3)
PATCHES = 4


def packaged(spec: DataSpec, *words: str) -> nn.Module:
    """The model of conf/model that the words choose; the test is over if it refuses the level."""
    data = {"node": "csbm", "graph": "csl"}[spec.level]
    try:
        config = compose([*words, f"data={data}", "experiment=null"])
        known = {"mean_log_degree": 1.0, **spec.statistics}
        return build_model(config["model"], replace(spec, statistics=known))
    except UserError as error:
        assert "-level" in str(error) or "pairs of nodes" in str(error), error
        pytest.skip(f"{words[0]} does not do {spec.level}-level data, or not without pairs")


class Example(NamedTuple):
    x: Tensor
    edge_index: Tensor
    edge_attr: Tensor | None = None


@pytest.fixture(autouse=True)
def one_thread_and_seed():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def make_batch() -> Callable[..., Batch]:
    """Lay graphs side by side; the edges come in any order and leave sorted, codes with them."""

    def make(examples: Sequence[Example]) -> Batch:
        sizes = [example.x.size(0) for example in examples]
        starts = torch.tensor([0, *sizes]).cumsum(0)
        edge_index = torch.cat(
            [e.edge_index + start for e, start in zip(examples, starts.tolist(), strict=False)], 1
        )
        graph, order = CSR.from_edge_index(edge_index, sum(sizes))
        code = combos = None
        if examples[0].edge_attr is not None:
            attributes = torch.cat([e.edge_attr for e in examples])
            combos, code = attributes.unique(dim=0, return_inverse=True)
            code = code[order]
        y = torch.zeros(len(examples), dtype=torch.int64)
        return Batch(graph, torch.cat([e.x for e in examples]), y, starts.int(), code, combos)

    return make


@pytest.fixture
def in_patches() -> Callable[..., Batch]:
    """The batch with its nodes, of which `part` (N,) says the part, in patches of one hop."""

    def cut(batch: Batch, part: Sequence[int], num_patches: int) -> Batch:
        node_ptr, rowptr, col = (
            array.numpy().astype(np.int64)
            for array in (batch.node_ptr, batch.graph.rowptr, batch.graph.col)
        )
        own = col - node_ptr[batch.batch.numpy()[batch.graph.row.numpy()]]
        graphs = Graphs(node_ptr, rowptr, own)
        ids = np.arange(batch.num_graphs)
        patches = grown(graphs, ids, np.asarray(part, dtype=np.int16), num_patches, 1)
        return replace(batch, patches=replace(patches, coarse=patches.coarse.double()))

    return cut


@pytest.fixture
def cut_batch(
    make_batch: Callable[..., Batch],
    random_graph: Callable[..., Example],
    in_patches: Callable[..., Batch],
) -> Callable[..., tuple[Batch, list[int]]]:
    """Three graphs, one directed and one without edges, in patches, some of them empty.

    Returns the batch and the part of each node.
    """

    def make(num_features: int | None, pe_dim: int) -> tuple[Batch, list[int]]:
        examples = [random_graph(n, num_features, directed=n == 7) for n in (9, 7, 1)]
        batch = make_batch(examples)
        if pe_dim:
            batch.pe = torch.randn(batch.num_nodes, pe_dim, dtype=torch.float64)
        part = [0, 0, 1, 1, 2, 2, 3, 3, 3, *[1, 1, 1, 3, 3, 3, 3], 3]
        return in_patches(batch, part, PATCHES), part

    return make


@pytest.fixture
def random_graph() -> Callable[..., Example]:
    """A connected-ish undirected graph with float64 features or with categories."""

    def make(num_nodes: int, num_features: int | None = 4, *, directed: bool = False) -> Example:
        dense = torch.rand(num_nodes, num_nodes) < 0.4
        dense.fill_diagonal_(False)
        if not directed:
            dense = dense.triu()
            dense = dense | dense.T
        edge_index = dense.nonzero().T[:, torch.randperm(int(dense.sum()))]
        if num_features is not None:
            x = torch.randn(num_nodes, num_features, dtype=torch.float64)
            return Example(x, edge_index)
        x = torch.stack([torch.randint(size, (num_nodes,)) for size in ATOMS], 1)
        low, high = edge_index.min(0).values, edge_index.max(0).values
        both_ways_alike = (low * 7 + high * 3) % 5
        columns = [(both_ways_alike + k) % size for k, size in enumerate(BONDS)]
        return Example(x, edge_index, torch.stack(columns, 1))

    return make


def walks(batch: Batch, steps: int) -> Batch:
    """The batch with I, M, ..., M^steps of each of its graphs, M = D^-1 A, by dense powers."""
    dense = torch.zeros(batch.num_nodes, batch.num_nodes, dtype=torch.float64)
    dense[batch.graph.row, batch.graph.col.long()] = 1
    move = dense / dense.sum(1, keepdim=True).clamp(min=1)
    powers = [torch.eye(batch.num_nodes, dtype=torch.float64)]
    for _ in range(steps):
        powers.append(powers[-1] @ move)
    whole = torch.stack(powers, 2)
    ends = batch.node_ptr.tolist()
    blocks = [whole[a:b, a:b].flatten(0, 1) for a, b in itertools.pairwise(ends)]
    sizes = batch.node_ptr.diff().long().square()
    pair_ptr = torch.nn.functional.pad(sizes.cumsum(0), (1, 0))
    return replace(batch, pairs=torch.cat(blocks), pair_ptr=pair_ptr, memo={})


def moved(model: nn.Module, batch: Batch) -> nn.Module:
    """The model in float64 after steps that leave no parameter or statistic where it began."""
    model.double().train()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
        for _ in range(3):
            model(batch)
    return model


@pytest.fixture
def same_outputs_and_gradients() -> Callable[[Tensor, Tensor, dict[str, Tensor]], None]:
    """Compare two outputs that were computed from the same parameters, and all gradients."""

    def check(ours: Tensor, theirs: Tensor, parameters: dict[str, Tensor]) -> None:
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
        weight = torch.randn_like(ours)
        values = list(parameters.values())
        got = torch.autograd.grad((ours * weight).sum(), values)
        want = torch.autograd.grad((theirs * weight).sum(), values)
        for name, a, b in zip(parameters, got, want, strict=True):
            assert b.abs().sum() > 0, f"{name} has no influence on this example"
            about = f"gradient of {name}: {{}}".format
            torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-8, msg=about)

    return check
