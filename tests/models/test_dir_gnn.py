"""Dir-GNN against its formula on dense matrices, and against PyG's layers with its parameters."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.nn import DirGNNConv, GATConv, SAGEConv

from gbench.build import build_model
from gbench.config.compose import compose
from gbench.data.batch import Batch
from gbench.data.spec import DataSpec
from gbench.errors import UserError
from gbench.kernels import CSR
from gbench.models.dir_gnn import DirGAT, DirSAGE
from gbench.models.reverse import reverse
from tests.models.conftest import packaged

SPEC = DataSpec("node", 3, 4, is_directed=True)
N = 12


def directed_batch(*, kept: bool = True) -> tuple[Batch, Tensor]:
    """A graph with loops and one-way edges, the last node alone; A_ij = 1 for an edge i → j."""
    A = (torch.rand(N, N) < 0.3).double()
    A[-1], A[:, -1] = 0, 0
    graph, _ = CSR.from_edge_index(A.nonzero().t(), N)
    y, ptr = torch.zeros(N, dtype=torch.int64), torch.tensor([0, N], dtype=torch.int32)
    return Batch(graph, torch.randn(N, 4, dtype=torch.float64), y, ptr, is_kept=kept), A


def normed(A: Tensor, power: float) -> Tensor:
    """D_out^power A D_in^power, 0^power = 0."""
    out, into = (torch.where(d > 0, d**power, 0) for d in (A.sum(1), A.sum(0)))
    return out[:, None] * A * into


def model(*words: str, spec: DataSpec = SPEC) -> nn.Module:
    built = packaged(spec, "model=dir-gnn", "model.hidden_dim=6", *words).double().eval()
    for name, parameter in built.named_parameters():
        if "bias" in name:  # zeros would hide a term that is missing
            nn.init.normal_(parameter)
    return built


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("jk", ["max", "cat", "none"])
@pytest.mark.parametrize("normalize", [True, False])
def test_dir_gcn_is_its_formula(alpha: float, jk: str, normalize: bool) -> None:
    batch, A = directed_batch()
    ours = model(f"model.alpha={alpha}", f"model.jk={jk}", f"model.normalize={normalize}")
    x, outputs, P = batch.x, [], normed(A, -0.5)
    for index, layer in enumerate(ours.layers):
        x = alpha * layer.successors(P @ x) + (1 - alpha) * layer.predecessors(P.T @ x)
        if jk != "none" or index < 2:
            x = x.relu()
            x = x / x.norm(dim=1, keepdim=True).clamp(min=1e-12) if normalize else x
        outputs.append(x)
    if jk != "none":
        x = ours.head(torch.stack(outputs).amax(0) if jk == "max" else torch.cat(outputs, 1))
    torch.testing.assert_close(ours(batch), x)
    torch.testing.assert_close(ours(directed_batch_again(batch)), x)


def directed_batch_again(batch: Batch) -> Batch:
    """The same, as one that does not come again."""
    return replace(batch, memo={}, is_kept=False)


@pytest.mark.parametrize("base", ["gcn", "sage", "gat"])
def test_turned_edges_exchanged_maps_and_alpha_change_nothing(base: str) -> None:
    """And without the exchange they do."""
    batch, _ = directed_batch()
    one = model(f"model.base={base}", "model.alpha=0.3")
    other = model(f"model.base={base}", "model.alpha=0.7")
    state = one.state_dict()
    names = {"successors": "predecessors", "predecessors": "successors"}
    exchanged = {
        ".".join(names.get(part, part) for part in name.split(".")): value
        for name, value in state.items()
        if name != "alpha"
    }
    other.load_state_dict({**exchanged, "alpha": torch.tensor([0.7])})
    torch.testing.assert_close(other(reverse(batch)), one(batch))
    other.load_state_dict({**state, "alpha": torch.tensor([0.7])})
    assert not torch.allclose(other(reverse(batch)), one(batch))


def test_dir_sage_is_pygs() -> None:
    batch, _ = directed_batch()
    ours = DirSAGE(4, 5).double()
    theirs = DirGNNConv(SAGEConv(4, 5), alpha=0.3).double()
    theirs.conv_in.lin_l.load_state_dict(ours.predecessors.state_dict())
    theirs.conv_out.lin_l.load_state_dict(ours.successors.state_dict())
    theirs.lin.load_state_dict(ours.own.state_dict())
    sums, bias = ours(batch, batch.x, 0.3)
    torch.testing.assert_close(sums + bias, theirs(batch.x, batch.edge_index))


def test_dir_gat_is_two_of_pygs() -> None:
    batch, _ = directed_batch()
    ours, expected = DirGAT(4, 5).double(), 0
    for weight, layer, edges in (
        (0.3, ours.successors, batch.edge_index.flip(0)),
        (0.7, ours.predecessors, batch.edge_index),
    ):
        theirs = GATConv(4, 5).double()
        theirs.lin.weight, theirs.bias = layer.linear.weight, nn.init.normal_(layer.bias)
        theirs.att_dst, theirs.att_src = (
            nn.Parameter(layer.own[None]),
            nn.Parameter(layer.other[None]),
        )
        expected = expected + weight * theirs(batch.x, edges)
    sums, bias = ours(batch, batch.x, 0.3)
    torch.testing.assert_close(sums + bias, expected)


def test_alpha_is_learned_on_request_and_counted_in_any_case() -> None:
    batch, _ = directed_batch()
    learned, fixed = model("model.learn_alpha=true"), model()
    fixed.load_state_dict(learned.state_dict())
    torch.testing.assert_close(learned(batch), fixed(batch))
    learned(batch).square().sum().backward()
    assert learned.alpha.grad is not None and bool(learned.alpha.grad != 0)
    assert not fixed.alpha.requires_grad


def test_a_reversed_batch_takes_the_values_of_its_edges_with_it() -> None:
    batch, _ = directed_batch()
    weight = 10.0 * batch.graph.row + batch.graph.col  # 10 receiver + sender
    turned = reverse(replace(batch, edge_weight=weight, memo={}))
    assert torch.equal(turned.edge_weight, 10.0 * turned.graph.col + turned.graph.row)
    assert reverse(batch) is reverse(batch)
    assert reverse(reverse(batch)).graph.edge_index.equal(batch.edge_index)


def test_another_jk_is_refused() -> None:
    with pytest.raises(UserError, match=r"this model has max, cat, none"):
        build_model(compose(["model=dir-gnn", "data=csbm", "model.jk=layerwise"])["model"], SPEC)
