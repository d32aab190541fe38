"""Whatever the model: node order, edge order and company in a batch do not matter."""

from __future__ import annotations

import pytest
import torch

from gbench.data.spec import DataSpec
from gbench.models.dagnn import DAGNN
from gbench.models.gat import GAT
from gbench.models.gcn import GCN
from gbench.models.gin import GIN
from gbench.models.mlp import MLP
from gbench.models.mp_gnn import MPGNN
from gbench.models.sgc import SGC
from gbench.models.sheaf import NSD

GCN_SETTINGS = {
    "hidden_dim": 12, "num_layers": 3, "bias": True, "norm": "batch", "input_dropout": 0.5,
    "dropout": 0.5, "readout": "mean",
}  # fmt: skip
DAGNN_SETTINGS = {
    "hidden_dim": 12, "hops": 3, "norm": "batch", "input_dropout": 0.5, "dropout": 0.5,
}  # fmt: skip
GAT_SETTINGS = {
    "hidden_dim": 4, "num_heads": 3, "num_output_heads": 2, "num_layers": 2, "input_dropout": 0.5,
    "dropout": 0.5, "attention_dropout": 0.5, "readout": "sum",
}  # fmt: skip
MLP_SETTINGS = {
    "hidden_dim": 12, "num_layers": 3, "norm": "batch", "input_dropout": 0.5, "dropout": 0.5,
    "readout": "sum",
}  # fmt: skip
GIN_SETTINGS = {
    "hidden_dim": 12, "num_layers": 3, "mlp_ratio": 2, "learn_eps": True, "virtual_node": False,
    "jk": "last", "readout": "sum", "dropout": 0.5,
}  # fmt: skip
MP_GNN_SETTINGS = {"hidden_dim": 16, "num_layers": 3, "dropout": 0.5, "readout": "sum"}
NSD_SETTINGS = {
    "maps": "diagonal", "orthogonal": "householder", "stalk_dim": 3, "add_lp": True,
    "add_hp": True, "hidden_dim": 4, "num_layers": 3, "linear": False, "sparse_learner": False,
    "edge_weights": True, "deg_normalised": False, "left_weights": True, "right_weights": True,
    "use_act": True, "second_linear": True, "input_dropout": 0.5, "dropout": 0.5,
    "readout": "sum",
}  # fmt: skip
MODELS = {
    "gcn": (GCN, GCN_SETTINGS),
    "gin": (GIN, GIN_SETTINGS),
    "gin-vn": (GIN, {**GIN_SETTINGS, "virtual_node": True}),
    "gin-layerwise": (GIN, {**GIN_SETTINGS, "jk": "layerwise"}),
    "mp-gine": (MPGNN, {**MP_GNN_SETTINGS, "conv": "gine"}),
    "mp-gcn": (MPGNN, {**MP_GNN_SETTINGS, "conv": "gcn"}),
    "mp-gated-gcn": (MPGNN, {**MP_GNN_SETTINGS, "conv": "gated-gcn"}),
    "mp-transformer": (MPGNN, {**MP_GNN_SETTINGS, "conv": "transformer"}),
    "sgc": (SGC, {"hops": 2}),
    "dagnn": (DAGNN, DAGNN_SETTINGS),
    "gat": (GAT, GAT_SETTINGS),
    "mlp": (MLP, MLP_SETTINGS),
    "diag-nsd": (NSD, NSD_SETTINGS),
    "od-nsd": (NSD, {**NSD_SETTINGS, "maps": "orthogonal"}),
    "gen-nsd": (NSD, {**NSD_SETTINGS, "maps": "general"}),
}
DATA = {
    "nodes": DataSpec("node", 2, 4),
    "graphs": DataSpec("graph", 2, 4),
    "molecules": DataSpec("graph", 2, 3, (5, 3, 4), (4, 3)),
}
PAIRS = [
    (model, data)
    for model in MODELS
    for data in DATA
    if (model in ("sgc", "dagnn")) <= (data == "nodes") and (model == "gin-vn") <= (data != "nodes")
]


@pytest.fixture
def case(request, random_graph):
    """A model with running statistics of its own, in evaluation mode, and three graphs for it."""
    model_name, data = request.param
    make, settings = MODELS[model_name]
    model = make(DATA[data], **settings).double().eval()
    for name, buffer in model.named_buffers():
        if "running_var" in name:
            buffer.uniform_(0.5, 1.5)
        elif "running_mean" in name:
            buffer.uniform_(-0.2, 0.2)
    width = None if data == "molecules" else 4
    examples = [random_graph(n, width, directed=n == 6) for n in (9, 1, 6)]
    return model, data == "nodes", examples


@pytest.mark.parametrize("case", PAIRS, indirect=True, ids="-".join)
def test_node_and_edge_order_do_not_matter(case, make_batch):
    model, is_node_level, examples = case
    permuted, old_places, start = [], [], 0
    for x, edge_index, edge_attr in examples:
        order, shuffle = torch.randperm(len(x)), torch.randperm(edge_index.size(1))
        attr = None if edge_attr is None else edge_attr[shuffle]
        permuted.append(
            examples[0]._replace(
                x=x[order], edge_index=order.argsort()[edge_index][:, shuffle], edge_attr=attr
            )
        )
        old_places.append(order + start)
        start += len(x)
    before, after = model(make_batch(examples)), model(make_batch(permuted))
    torch.testing.assert_close(after, before[torch.cat(old_places)] if is_node_level else before)


@pytest.mark.parametrize("case", PAIRS, indirect=True, ids="-".join)
def test_a_batch_is_its_graphs_one_by_one(case, make_batch):
    model, _, examples = case
    together = model(make_batch(examples))
    alone = torch.cat([model(make_batch([example])) for example in examples])
    torch.testing.assert_close(together, alone)
    assert together.unique(dim=0).size(0) == together.size(0)  # the outputs do depend on the graph
