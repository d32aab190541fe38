"""SIR-GCN beside its formula, entry by entry."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import gelu, leaky_relu

from gbench.data.spec import DataSpec
from gbench.models.sir_gcn import SIRConv, SIRLayer
from tests.models.conftest import BONDS

DIM = 6
PLAIN = DataSpec("graph", 2, DIM)


def by_entry(conv: SIRConv, batch, x: Tensor, edges: Tensor | None) -> Tensor:
    """Receiver after receiver: what stands in the paper."""
    source, target = batch.edge_index
    act = gelu if conv.act == "gelu" else lambda z: leaky_relu(z, 0.2)
    degree = torch.bincount(target, minlength=len(x)).clamp(min=1).double()
    w = conv.value.weight
    rows = []
    for i in range(len(x)):
        messages = []
        for place in (target == i).nonzero().flatten().tolist():
            j = int(source[place])
            z = conv.query(x[i]) + x[j] @ conv.key.weight.t()
            z = z if edges is None else z + edges[place]
            factor = (degree[i] * degree[j]).rsqrt() if conv.aggregate == "sym" else 1.0
            messages.append(factor * act(z))
        if conv.aggregate == "max":
            told = [w @ m + conv.value.bias for m in messages]
            rows.append(torch.stack(told).amax(0) if told else torch.zeros(DIM).double())
            continue
        total = torch.stack(messages).sum(0) if messages else torch.zeros(DIM).double()
        total = total / degree[i] if conv.aggregate == "mean" else total
        rows.append(w @ total + conv.value.bias)
    return torch.stack(rows)


@pytest.mark.parametrize("act", ["leaky-relu", "gelu"])
@pytest.mark.parametrize("aggregate", ["sum", "mean", "sym", "max"])
def test_a_convolution_is_the_formula(
    aggregate, act, make_batch, random_graph, same_outputs_and_gradients
) -> None:
    batch = make_batch([random_graph(n, DIM, directed=n == 7) for n in (8, 7, 1)])
    options = {"aggregate": aggregate, "act": act, "edges": True, "dropout": 0.0}
    conv = SIRConv(PLAIN, DIM, **options).double()
    x = batch.x.clone().requires_grad_()
    known = {**dict(conv.named_parameters()), "x": x}
    same_outputs_and_gradients(conv(batch, x), by_entry(conv, batch, x, None), known)


@pytest.mark.parametrize("aggregate", ["sym", "max"])
def test_edges_are_read_as_a_table_or_row_by_row(aggregate, make_batch, random_graph) -> None:
    batch = make_batch([random_graph(n, None) for n in (8, 7)])
    spec = replace(PLAIN, edge_categories=BONDS)
    options = {"aggregate": aggregate, "act": "gelu", "edges": True}
    conv = SIRConv(spec, DIM, **options, dropout=0.0).double()
    x = torch.randn(15, DIM).double()
    rows = conv.edges(batch)
    expected = by_entry(conv, batch, x, rows)
    torch.testing.assert_close(conv(batch, x), expected)
    dropping = SIRConv(spec, DIM, **options, dropout=0.5).double()
    dropping.load_state_dict(conv.state_dict())
    assert not torch.allclose(dropping(batch, x), expected)  # a draw for each entry
    torch.testing.assert_close(dropping.eval()(batch, x), expected)


def test_platonovs_frame_is_pre_norm_with_a_residual(make_batch, random_graph) -> None:
    batch = make_batch([random_graph(9, DIM)])
    layer = SIRLayer(
        PLAIN,
        DIM,
        frame="platonov",
        aggregate="sym",
        act="gelu",
        layer_norm=True,
        skip="linear",
        edges=False,
        dropout=0.0,
        conv_dropout=0.0,
    ).double()
    inner = gelu(layer.conv(batch, layer.norm.layer_norm(batch.x)))
    torch.testing.assert_close(layer(batch, batch.x), batch.x + layer.linear(inner))
