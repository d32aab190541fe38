"""Graphs that the 1-WL test cannot tell apart: message passing cannot either, and patches can.

Patches are closed neighbourhoods here, one around each node. They do not depend on how nodes are
numbered, and attention not on how patches are: two different answers are not for chance.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gbench.data.encodings.laplacian import eigenvectors
from gbench.data.loaders import csl, exp, sr25
from gbench.data.source import Source
from gbench.data.spec import DataSpec
from gbench.data.store import pack
from gbench.models.convolutions import CONVOLUTIONS
from gbench.models.graph_mlp_mixer import GraphMLPMixer
from gbench.models.mp_gnn import MPGNN


def batch_of(source: Source, step: int = 1, count: int = 150):
    store = pack(list(source.graphs[: step * count : step]))
    batch = store.batch(torch.arange(store.num_graphs))
    return replace(batch, x=batch.x.double()) if batch.x.is_floating_point() else batch


@pytest.fixture
def csl_graphs():
    """Two copies of each class, differently numbered, one after the other."""
    source = csl.load(Path())
    return batch_of(Source([source.graphs[i] for k in range(10) for i in (15 * k, 15 * k + 7)],
                           [], 10))  # fmt: skip


@pytest.fixture(scope="module")
def exp_pairs(data_dir):
    return batch_of(exp.load(data_dir / "EXP" / "raw", split="gnn-rni-10-fold"), count=40)


@pytest.fixture(scope="module")
def sr25_graphs(data_dir):
    return batch_of(sr25.load(data_dir / "sr25" / "raw", file="sr251256.g6"))


def message_passing(conv: str, spec: DataSpec) -> MPGNN:
    return MPGNN(spec, conv=conv, hidden_dim=16, num_layers=4, dropout=0.0, readout="mean").double()


def mixer(spec: DataSpec, num_patches: int, **changes: object) -> GraphMLPMixer:
    settings = {
        "conv": "gine", "mixing": "hadamard", "hidden_dim": 16, "num_layers": 3,
        "num_mixer_layers": 2, "num_patches": num_patches, "hops": 1, "edge_dropout": 0.0,
        "partition": "metis", "patch_pe_steps": 8, "dropout": 0.0, "mixer_dropout": 0.0,
    }  # fmt: skip
    return GraphMLPMixer(spec, **{**settings, **changes}).double()


def around_each_node(in_patches, batch, num_patches: int):
    sizes = batch.node_ptr.diff().tolist()
    part = torch.cat([torch.arange(num_patches - size, num_patches) for size in sizes])
    return in_patches(batch, part.tolist(), num_patches)


@pytest.mark.parametrize("conv", CONVOLUTIONS)
def test_message_passing_sees_one_graph_in_csl(conv, csl_graphs):
    out = message_passing(conv, DataSpec("graph", 10, 1)).eval()(csl_graphs)
    torch.testing.assert_close(out, out[:1].expand_as(out), rtol=0, atol=1e-11)


@pytest.mark.data
@pytest.mark.parametrize("conv", CONVOLUTIONS)
def test_message_passing_sees_one_graph_in_sr25(conv, sr25_graphs):
    out = message_passing(conv, DataSpec("graph", 15, 1)).eval()(sr25_graphs)
    torch.testing.assert_close(out, out[:1].expand_as(out), rtol=0, atol=1e-11)


@pytest.mark.data
@pytest.mark.parametrize("conv", CONVOLUTIONS)
def test_message_passing_sees_no_difference_in_a_pair_of_exp(conv, exp_pairs):
    out = message_passing(conv, DataSpec("graph", 2, 1, (2,))).eval()(exp_pairs)
    torch.testing.assert_close(out[0::2], out[1::2], rtol=0, atol=1e-11)
    assert out[0::2].unique(dim=0).size(0) > 1  # of different pairs it does


def test_patches_tell_the_classes_of_csl_apart_and_not_their_copies(csl_graphs, in_patches):
    model = mixer(DataSpec("graph", 10, 1), 41)
    out = model(around_each_node(in_patches, csl_graphs, 41))
    torch.testing.assert_close(out[0::2], out[1::2], rtol=0, atol=1e-4)  # float32 random walks
    distance = torch.cdist(out[0::2], out[0::2]) + torch.eye(10)
    assert distance.min() > 0.01


@pytest.mark.data
def test_patches_tell_the_graphs_of_each_pair_of_exp_apart(exp_pairs, in_patches):
    model = mixer(DataSpec("graph", 2, 1, (2,)), 64)
    out = model(around_each_node(in_patches, exp_pairs, 64))
    assert (out[0::2] - out[1::2]).abs().amax(1).min() > 0.01


@pytest.mark.data
def test_a_mixer_learns_sr25_from_its_patches_and_eigenvectors(sr25_graphs, in_patches):
    """That neighbourhoods alone do not suffice: these graphs are alike for the 3-WL test."""
    batch = sr25_graphs
    spec = DataSpec("graph", 15, 1, pe_dim=8)
    nodes_alone = mixer(replace(spec, pe_dim=0), 25)(around_each_node(in_patches, batch, 25))
    torch.testing.assert_close(nodes_alone, nodes_alone[:1].expand(15, 15), rtol=0, atol=0.01)

    pe = eigenvectors(batch.graph, batch.node_ptr, dim=8).double()
    batch = in_patches(replace(batch, pe=pe), torch.randint(8, (375,)).tolist(), 8)
    model = mixer(spec, 8, mixing="mlp", hidden_dim=32)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(30):
        optimizer.zero_grad()
        out = model(batch)
        torch.nn.functional.cross_entropy(out, batch.y).backward()
        optimizer.step()
    assert out.argmax(1).tolist() == list(range(15))
