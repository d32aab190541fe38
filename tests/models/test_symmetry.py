"""Whatever the model: node order, edge order and company in a batch do not matter."""

from __future__ import annotations

import pytest
import torch

from gbench.choices import choices
from gbench.data.spec import DataSpec

from .conftest import packaged

NOT_HERE = {
    "graph-mlp-mixer": "reads patches: test_mixer_properties.py",
    "graph-vit": "reads patches: test_mixer_properties.py",
}
VARIANTS = [
    ("gcn", "model.norm=batch", "model.bias=true"),
    ("gin", "model.jk=layerwise"),
    ("dagnn", "model.norm=batch"),
    ("gat", "model.num_output_heads=2"),
    *(("mp-gnn", f"model.conv={conv}") for conv in ("gcn", "gated-gcn", "transformer")),
    ("diag-nsd", "model.add_lp=true", "model.add_hp=true", "model.second_linear=true"),
]
MODELS = [*((name,) for name in choices("model") if name not in NOT_HERE), *VARIANTS]
DATA = {
    "nodes": DataSpec("node", 2, 4),
    "graphs": DataSpec("graph", 2, 4),
    "molecules": DataSpec("graph", 2, 3, (5, 3, 4), (4, 3)),
}
PAIRS = [(model, data) for model in MODELS for data in DATA]
NAMES = ["-".join((*model, data)) for model, data in PAIRS]


@pytest.fixture
def case(request, random_graph):
    """A model with running statistics of its own, in evaluation mode, and three graphs for it."""
    (name, *changes), data = request.param
    model = packaged(DATA[data], f"model={name}", *changes).double().eval()
    for name, buffer in model.named_buffers():
        if "running_var" in name:
            buffer.uniform_(0.5, 1.5)
        elif "running_mean" in name:
            buffer.uniform_(-0.2, 0.2)
    width = None if data == "molecules" else 4
    examples = [random_graph(n, width, directed=n == 6) for n in (9, 1, 6)]
    return model, data == "nodes", examples


@pytest.mark.parametrize("case", PAIRS, indirect=True, ids=NAMES)
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


@pytest.mark.parametrize("case", PAIRS, indirect=True, ids=NAMES)
def test_a_batch_is_its_graphs_one_by_one(case, make_batch):
    model, _, examples = case
    together = model(make_batch(examples))
    alone = torch.cat([model(make_batch([example])) for example in examples])
    torch.testing.assert_close(together, alone)
    # the outputs do depend on the graph; a ReLU may leave two nodes the same nothing
    assert together.unique(dim=0).size(0) > 0.9 * together.size(0)
