"""Platonov's blocks against their formulas, dense and with the same parameters."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from gbench.build import build_model
from gbench.config.compose import compose
from gbench.data.spec import DataSpec
from gbench.errors import UserError
from gbench.models.platonov import BLOCKS

SPEC = DataSpec("node", 3, 4)


def platonov(block, spec=SPEC, **changes):
    settings = compose(["model=platonov", "data=csbm"])["model"]
    small = {"hidden_dim": 8, "num_layers": 2, "num_heads": 2, "block": block, "dropout": 0.0}
    return build_model({**settings, **small, **changes}, spec).double()


def ffn(module, z):
    return module.second(functional.gelu(module.first(z)))


def by_heads(alpha, value, heads):
    """Σ_j α_hij v_jh, heads side by side, of dense weights (H, N, N)."""
    parts = value.chunk(heads, 1)
    return torch.cat([a @ part for a, part in zip(alpha, parts, strict=True)], 1)


def message(block, module, x, a):
    looped = a + torch.eye(len(a), dtype=a.dtype)
    degree = a.sum(1, keepdim=True)
    if block == "resnet":
        return ffn(module.ffn, x)
    if block == "gcn":
        root = looped.sum(1).rsqrt()
        return ffn(module.ffn, root[:, None] * looped * root @ x)
    if block == "sage":
        return ffn(module.ffn, torch.cat([x, torch.nan_to_num(a @ x / degree)], 1))
    mask = (a if block.endswith("sep") else looped) > 0
    if block.startswith("gat"):
        y = module.linear(x)
        score = module.own(y).T[:, :, None] + module.other(y).T[:, None, :]
        score = functional.leaky_relu(score, 0.2)
        value = y
    else:
        query, key = module.query(x).unflatten(1, (2, 4)), module.key(x).unflatten(1, (2, 4))
        score = torch.einsum("ihf,jhf->hij", query, key) / 2
        value = module.value(x)
    alpha = torch.nan_to_num(score.masked_fill(~mask, -torch.inf).softmax(2))
    made = by_heads(alpha, value, 2)
    if block == "gat-sep":
        made = torch.cat([y, made], 1)
    if block == "gt-sep":
        made = torch.cat([x, made], 1)
    return module.out(made) if block.startswith("gt") else ffn(module.ffn, made)


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_is_its_formula(block, make_batch, random_graph, same_outputs_and_gradients):
    example = random_graph(10)
    model = platonov(block)
    a = torch.zeros(10, 10, dtype=torch.float64)
    a[example.edge_index[1], example.edge_index[0]] = 1
    h = functional.gelu(model.first(example.x))
    for layer in model.layers:
        h = h + message(block, layer.message, layer.normalization(h), a)
        if layer.after is not None:
            h = h + ffn(layer.after, layer.normalization_after(h))
    expected = model.last(model.normalization(h))
    # what is added to all keys' or to all scores of a softmax has no gradient
    parameters = {n: p for n, p in model.named_parameters() if not n.endswith("key.bias")}
    same_outputs_and_gradients(model(make_batch([example])), expected, parameters)


@pytest.mark.parametrize(
    ("block", "count"), [("sage", 3_948_033), ("gat-sep", 5_302_313), ("gcn", 2_637_313)]
)
def test_as_many_parameters_as_the_authors_on_minesweeper(block, count):
    config = compose(["model=platonov", "data=minesweeper", f"model.block={block}"])
    spec = replace(SPEC, num_outputs=1, num_features=7)
    assert config["model"]["num_layers"] == 5
    assert sum(p.numel() for p in build_model(config["model"], spec).parameters()) == count


def test_dropout_stands_before_the_activation(make_batch, random_graph):
    """A dropped entry of h_0 is gelu(0), a kept one gelu(2 x), which is not 2 gelu(x)."""
    example = random_graph(10)
    model = platonov("resnet", dropout=0.5).train()
    x, h = model.first(example.x), model.embed(make_batch([example]))
    kept = h != 0
    torch.testing.assert_close(h[kept], functional.gelu(2 * x)[kept])


def test_scores_of_each_edge_are_made_again_and_not_kept(make_batch, random_graph):
    batch, model = make_batch([random_graph(30)]), platonov("gt")
    entries, sizes = batch.graph.num_entries + 30, []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: sizes.append(t.shape) or t, lambda t: t
    ):
        model(batch)
    assert not [size for size in sizes if len(size) == 2 and size[0] == entries and size[1] >= 8]


def test_unknown_blocks_and_heads_are_refused():
    with pytest.raises(UserError, match=r"model\.block=gin"):
        platonov("gin")
    with pytest.raises(UserError, match="attention has 3 heads"):
        platonov("gt", num_heads=3)
