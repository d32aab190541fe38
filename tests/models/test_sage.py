"""GraphSAGE and the tuned baselines against PyG's layers with the same parameters."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch_geometric.nn import GATConv, GCNConv, SAGEConv
from torch_geometric.utils import add_self_loops

from gbench.build import build_model
from gbench.config.compose import compose
from gbench.data.spec import DataSpec
from gbench.errors import UserError
from gbench.models.sage import SAGELayer
from tests.models.conftest import packaged

SPEC = DataSpec("node", 3, 4)
PLAIN = ("model.hidden_dim=6", "model.dropout=0", "model.num_layers=3")


def model_of(*words, spec=SPEC):
    model = packaged(spec, *words, *PLAIN).double()
    for name, parameter in model.named_parameters():
        if "norm" in name:  # ones and zeros would hide a term that is missing
            nn.init.normal_(parameter)
    return model


def pygs(layer: SAGELayer, reduce: str) -> SAGEConv:
    conv = SAGEConv(
        layer.root.in_features, layer.root.out_features, aggr=reduce, normalize=layer.normalize
    ).double()
    conv.lin_l.weight, conv.lin_l.bias = layer.neighbours.weight, layer.neighbours.bias
    conv.lin_r.weight = layer.root.weight
    return conv


@pytest.mark.parametrize("reduce", ["mean", "max"])
@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("self_loops", [False, True])
def test_sage_is_pygs(
    reduce, normalize, self_loops, make_batch, random_graph, same_outputs_and_gradients
):
    example = random_graph(11, directed=True)
    model = model_of(
        "model=sage",
        f"model.reduce={reduce}",
        f"model.normalize={normalize}",
        f"model.self_loops={self_loops}",
    )
    x, edges = example.x, example.edge_index
    edges = add_self_loops(edges)[0] if self_loops else edges
    for index, layer in enumerate(model.layers):
        x = pygs(layer, reduce)(x, edges)
        x = x.relu() if index < 2 else x
    parameters = dict(model.named_parameters())
    same_outputs_and_gradients(model(make_batch([example])), x, parameters)


def test_weights_of_edges_weigh_the_mean(make_batch, random_graph):
    example = random_graph(9, directed=True)
    batch = make_batch([example])
    batch.edge_weight = torch.rand(batch.graph.num_entries, dtype=torch.float64)
    layer = SAGELayer(4, 5, reduce="mean", self_loops=False, normalize=False).double()
    a = torch.zeros(9, 9, dtype=torch.float64)
    a[batch.graph.row, batch.graph.col.long()] = batch.edge_weight
    mean = torch.nan_to_num(a @ example.x / a.sum(1, keepdim=True))
    torch.testing.assert_close(
        layer(batch, example.x), layer.neighbours(mean) + layer.root(example.x)
    )


def convolution(kind: str, layer: nn.Module) -> nn.Module:
    """PyG's with the layer's parameters, as the authors make it."""
    if kind == "sage":
        return pygs(layer, "mean")
    layer = layer if kind == "gcn" else layer.layer
    sizes = (layer.linear.in_features, layer.linear.out_features)
    if kind == "gcn":
        conv = GCNConv(*sizes).double()
        conv.bias = layer.bias
    else:
        conv = GATConv(*sizes, bias=False, add_self_loops=False).double()
        conv.att_dst, conv.att_src = nn.Parameter(layer.own[None]), nn.Parameter(layer.other[None])
    conv.lin.weight = layer.linear.weight
    return conv


@pytest.mark.parametrize("kind", ["gcn", "sage", "gat"])
@pytest.mark.parametrize(
    "words",
    [
        (),
        ("model.norm=layer", "model.residual=true"),
        ("model.norm=batch", "model.jk=sum", "model.pre_linear=true"),
        ("model.jk=cat", "model.residual=true"),
        ("model.jk=max",),
    ],
)
def test_tuned_is_the_authors_arrangement_of_pygs_layers(kind, words, make_batch, random_graph):
    example = random_graph(11)
    model = model_of("model=tuned", f"model.convolution={kind}", *words)
    x, edges, kept = example.x, add_self_loops(example.edge_index)[0], []
    x = x if model.before is None else model.before(x)
    for index, layer in enumerate(model.layers):
        z = convolution(kind, layer)(x, edges)
        z = z + model.skips[index](x) if model.skips else z
        norm = model.norm_acts[index].norm
        if "model.norm=batch" in words:
            z = (z - z.mean(0)) / (z.var(0, unbiased=False) + norm.eps).sqrt()
            z = z * norm.weight + norm.bias
        elif norm is not None:
            z = norm(z)
        x = z.relu()
        kept.append(x)
    joined = {
        "model.jk=sum": lambda: sum(kept),
        "model.jk=cat": lambda: torch.cat(kept, 1),
        "model.jk=max": lambda: torch.stack(kept).amax(0),
    }
    head = next((joined[word]() for word in words if word in joined), x)
    torch.testing.assert_close(model(make_batch([example])), model.head(head), rtol=1e-9, atol=1e-9)


def test_parameters_of_tuned_gcn_on_cora():
    """The authors' code allocates 3,262,983 of them, of which these are not used.

    A linear layer before the first convolution, 1433 · 512 + 512; a skip beside each convolution,
    as large as it, 1433 · 512 + 512 and twice 512² + 512; a layer norm and a batch norm for each,
    3 · 2 · 1024.
    """
    config = compose(["experiment=gcn-tuned-cora"])
    model = build_model(config["model"], replace(SPEC, num_outputs=7, num_features=1433))
    unused = 2 * (1433 * 512 + 512) + 2 * (512**2 + 512) + 3 * 2 * 1024
    assert sum(p.numel() for p in model.parameters()) == 3_262_983 - unused
    assert unused == 1_999_872


def test_what_does_not_go_together_is_refused():
    settings = compose(["model=sage", "data=csbm"])["model"]
    with pytest.raises(UserError, match=r"model\.jk=sum"):
        build_model({**settings, "jk": "sum"}, SPEC)
    with pytest.raises(UserError, match=r"pass model\.reduce=mean"):
        build_model({**settings, "reduce": "max"}, replace(SPEC, has_edge_weight=True))
