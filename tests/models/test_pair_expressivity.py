"""What models on pairs of nodes can tell apart: the classes of CSL, pairs of EXP; not SR25.

States of pairs that are told along pairs of one node are bounded by 3-WL, for which the 15 graphs
of SR25 are one: an untrained model answers them alike, in training too, and so would any other.
Who reaches more than 6.67 % there reads the order of nodes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from gbench.build import build_model
from gbench.config.compose import compose
from gbench.data.batch import Batch
from gbench.data.encodings.encode import options_of, parts
from gbench.data.loaders import csl, exp, sr25
from gbench.data.source import Source
from gbench.data.spec import DataSpec
from gbench.locate import locate
from tests.models.test_expressivity import batch_of

ON_PAIRS = ["ckgconv", "grit", "sswl-plus", "pdf"]
BY_NODES = ["gps"]  # attention among nodes, by their own walks
# A softmax over constant features says nothing of a graph, and five steps do not suffice.
WORDS = {"pdf": ("model.softmax=false", "encoding.epsilons=[-0.5]", "encoding.powers=[1,20]")}


def model_on(name: str, batch: Batch, spec: DataSpec, *words: str) -> tuple[nn.Module, Batch]:
    """The packaged model without dropout, in float64, and the batch with its encoding."""
    config = compose([f"model={name}", "data=csl", "experiment=null", *words])
    settings: dict[str, Any] = config["model"]
    for key in settings:
        if key.endswith("dropout"):
            settings[key] = 0.0
    settings |= {"hidden_dim": 16, "num_layers": 2}
    (encoding,) = parts(config["encoding"])
    values = locate(encoding["_target_"])(batch.graph, batch.node_ptr, **options_of(encoding))
    if encoding.get("values") == "pairs":
        batch = replace(batch, pairs=values.double(), memo={})
        spec = replace(spec, pair_dim=values.size(1))
    else:
        batch = replace(batch, pe=values.double(), memo={})
        spec = replace(spec, pe_dim=values.size(1))
    torch.manual_seed(1)
    return build_model(settings, spec).double(), batch


@pytest.fixture(scope="module")
def csl_graphs() -> Batch:
    """Two copies of each class, differently numbered, one after the other."""
    source = csl.load(Path())
    picked = [source.graphs[i] for k in range(10) for i in (15 * k, 15 * k + 7)]
    return batch_of(Source(picked, [], 10))


@pytest.fixture(scope="module")
def exp_pairs(data_dir: Path) -> Batch:
    return batch_of(exp.load(data_dir / "EXP" / "raw", split="gnn-rni-10-fold"), count=20)


@pytest.fixture(scope="module")
def sr25_graphs(data_dir: Path) -> Batch:
    return batch_of(sr25.load(data_dir / "sr25" / "raw", file="sr251256.g6"))


def settled(model: nn.Module, batch: Batch) -> Callable[[Batch], torch.Tensor]:
    """The model in evaluation, its norms by what it has seen."""
    for _ in range(4):
        model(batch)
    return model.eval()


@pytest.mark.parametrize("name", [*ON_PAIRS, *BY_NODES])
def test_csl_is_told_apart_by_class_and_not_by_copy(name, csl_graphs) -> None:
    spec = DataSpec("graph", 10, 1)
    model, batch = model_on(name, csl_graphs, spec, *WORDS.get(name, ()))
    out = settled(model, batch)(batch)
    scale = out.std(0).max()
    torch.testing.assert_close(out[0::2], out[1::2], rtol=0, atol=float(1e-5 * scale))
    distance = torch.cdist(out[0::2], out[0::2]) + scale * torch.eye(10)
    assert distance.min() > 1e-3 * scale


@pytest.mark.data
@pytest.mark.parametrize("name", ON_PAIRS)
def test_the_graphs_of_each_pair_of_exp_are_told_apart(name, exp_pairs) -> None:
    model, batch = model_on(name, exp_pairs, DataSpec("graph", 2, 1, (2,)))
    out = settled(model, batch)(batch)
    scale = out.std(0).max()
    assert (out[0::2] - out[1::2]).abs().amax(1).min() > 1e-4 * scale


@pytest.mark.data
@pytest.mark.parametrize("name", [*ON_PAIRS, *BY_NODES])
def test_sr25_is_one_graph_in_training_and_in_evaluation(name, sr25_graphs) -> None:
    spec = DataSpec("graph", 15, 1)
    model, batch = model_on(name, sr25_graphs, spec, *WORDS.get(name, ()))
    for out in (model.train()(batch), settled(model, batch)(batch)):
        assert out.abs().max() > 0.01
        torch.testing.assert_close(out, out[:1].expand_as(out), rtol=0, atol=1e-5)
