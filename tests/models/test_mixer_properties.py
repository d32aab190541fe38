"""What a mixer or a transformer over patches does not see, and what its settings do."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from gbench.errors import UserError
from gbench.models.graph_vit import GraphViT
from gbench.models.patch_encoder import PatchContext

from .conftest import PATCHES
from .test_graph_mlp_mixer import ATTENTION, DENSE, DIM, MOLECULES, mixer


@pytest.mark.parametrize("mixing", ["mlp", *ATTENTION])
def test_the_order_of_nodes_does_not_matter_if_the_parts_follow(
    mixing, make_batch, random_graph, in_patches
):
    spec = replace(DENSE, pe_dim=0)
    model = mixer(spec, mixing=mixing).eval()
    examples = [random_graph(n, 5) for n in (9, 6)]
    part = [torch.randint(PATCHES, (len(example.x),)) for example in examples]
    orders = [torch.randperm(len(example.x)) for example in examples]
    permuted = [
        example._replace(x=example.x[order], edge_index=order.argsort()[example.edge_index])
        for example, order in zip(examples, orders, strict=True)
    ]
    followed = [own[order] for own, order in zip(part, orders, strict=True)]
    before = model(in_patches(make_batch(examples), torch.cat(part).tolist(), PATCHES))
    after = model(in_patches(make_batch(permuted), torch.cat(followed).tolist(), PATCHES))
    torch.testing.assert_close(after, before)
    other = torch.cat(part).roll(1).tolist()
    assert not torch.allclose(model(in_patches(make_batch(examples), other, PATCHES)), before)


@pytest.mark.parametrize("mixing", ["mlp", "hadamard"])
def test_a_batch_is_its_graphs_one_by_one(mixing, make_batch, random_graph, in_patches):
    examples = [random_graph(n, None) for n in (9, 1, 6)]
    part = [[0, 1, 2, 3, 0, 1, 2, 3, 3], [3], [1, 1, 1, 3, 3, 3]]
    model = mixer(MOLECULES, mixing=mixing).eval()
    together = model(in_patches(make_batch(examples), [*part[0], *part[1], *part[2]], PATCHES))
    alone = [
        model(in_patches(make_batch([example]), own, PATCHES))
        for example, own in zip(examples, part, strict=True)
    ]
    torch.testing.assert_close(together, torch.cat(alone))


def test_averaging_the_copies_twice_is_averaging_them_once(cut_batch):
    batch, _ = cut_batch(5, 2)
    context = PatchContext(DIM).double().eval()
    nn.init.zeros_(context.linear.weight)  # nothing but the average is left
    members = batch.patches.members
    x = torch.randn(members.num_entries, DIM, dtype=torch.float64)
    once = context(batch, x)
    torch.testing.assert_close(context(batch, once[members.col.long()]), once)
    for node in (0, 5):
        torch.testing.assert_close(once[node], x[members.col == node].mean(0))


@pytest.mark.parametrize("mixing", ATTENTION)
def test_empty_patches_are_not_attended_to(mixing, cut_batch):
    batch, _ = cut_batch(5, 2)
    patches = batch.patches
    assert patches.mask.tolist()[2] == [False, False, False, True]
    vit = GraphViT(mixing, DIM, num_layers=2, dropout=0.0).double()
    x = torch.randn(3, PATCHES, DIM, dtype=torch.float64)
    other = torch.where(patches.mask[:, :, None], x, torch.randn_like(x))
    before, after = vit(x, patches), vit(other, patches)
    torch.testing.assert_close(after[patches.mask], before[patches.mask], rtol=0, atol=0)
    assert not torch.allclose(after[~patches.mask], before[~patches.mask])


@pytest.mark.parametrize("mixing", ATTENTION)
def test_more_empty_patches_change_no_answer_of_a_transformer(
    mixing, make_batch, random_graph, in_patches
):
    batch = make_batch([random_graph(n, 5) for n in (9, 6)])
    part = torch.randint(PATCHES, (15,))
    part[[0, 9]] = PATCHES - 1
    model = mixer(replace(DENSE, pe_dim=0), mixing=mixing, patch_pe_steps=0).eval()
    few = model(in_patches(batch, part.tolist(), PATCHES))
    torch.testing.assert_close(model(in_patches(batch, (part + 3).tolist(), PATCHES + 3)), few)


def test_dropout_of_a_gnn_and_of_a_mixer_are_two_settings(cut_batch):
    batch, _ = cut_batch(5, 2)
    still = mixer()(batch)
    for rates in ({"dropout": 0.5}, {"mixer_dropout": 0.5}):
        for mixing in ("mlp", "hadamard"):
            model = mixer(mixing=mixing, **rates)
            assert not torch.allclose(model(batch), model(batch))
            assert torch.equal(model.eval()(batch), model(batch))
    assert still.shape == (3, 3)


def test_a_width_that_the_heads_do_not_divide_is_refused():
    with pytest.raises(UserError, match=r"model\.hidden_dim=4: attention has 8 heads"):
        mixer(mixing="graph", hidden_dim=4)
