"""What a mixer or a transformer over patches does not see, and what its settings do."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gbench.errors import UserError
from gbench.models.graph_vit import GraphViT
from gbench.models.patch_encoder import PatchContext

from .conftest import PATCHES
from .test_graph_mlp_mixer import ATTENTION, DIM, mixer


def test_averaging_the_copies_twice_is_averaging_them_once(cut_batch):
    batch, _ = cut_batch(5, 2)
    context = PatchContext(DIM).double().eval()
    nn.init.zeros_(context.linear.weight)  # nothing but the average is left
    members = batch.patches.members
    x = torch.randn(members.num_entries, DIM, dtype=torch.float64)
    once = context(batch, x)
    torch.testing.assert_close(context(batch, once), once)
    for node in (0, 5):
        copies = members.col == node
        torch.testing.assert_close(once[copies], x[copies].mean(0).expand_as(once[copies]))


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
