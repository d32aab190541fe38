"""Parameters as many as the official implementations have, from the config that a user gets."""

from __future__ import annotations

import importlib

import pytest

from gbench.config import compose
from gbench.data.spec import DataSpec

# Sizes of OGB's categorical features; the 119, 5, ... sum to 174 since chirality's "misc" of 2022.
ATOMS, BONDS = (119, 5, 12, 12, 10, 6, 6, 2, 2), (5, 6, 2)
MOLHIV = DataSpec("graph", 1, 9, ATOMS, BONDS)
MOLPCBA = DataSpec("graph", 128, 9, ATOMS, BONDS)
CORA = DataSpec("node", 7, 1433)
ARXIV = DataSpec("node", 40, 128)
MUTAG = DataSpec("graph", 2, 7)
WEBKB = DataSpec("node", 5, 1703)
CHAMELEON, SQUIRREL = DataSpec("node", 5, 2325), DataSpec("node", 5, 2089)

AS_ON_ARXIV = (
    "model=gcn data=cora model.hidden_dim=256 model.num_layers=3 model.bias=true model.norm=batch"
)


def build(config: dict, spec: DataSpec):
    settings = {k: v for k, v in config["model"].items() if k not in ("name", "levels")}
    module, name = settings.pop("_target_").rsplit(".", 1)
    return getattr(importlib.import_module(module), name)(spec, **settings)


@pytest.mark.parametrize(
    ("words", "spec", "expected"),
    [
        ("model=gin data=ogbg-molhiv", MOLHIV, 1_885_506),
        ("model=gin data=ogbg-molhiv", MOLPCBA, 1_923_733),
        ("model=gin-vn data=ogbg-molhiv", MOLHIV, 3_336_606),
        ("model=gin-vn data=ogbg-molhiv", MOLPCBA, 3_374_833),
        ("model=gcn data=ogbg-molhiv", MOLHIV, 528_001),
        ("model=gcn data=ogbg-molhiv", MOLPCBA, 566_228),
        (AS_ON_ARXIV, ARXIV, 110_120),
        ("model=gcn data=cora", CORA, 1433 * 16 + 16 * 7),
        ("model=sgc data=cora", CORA, 1433 * 7 + 7),
        # the five scripts of sheaf diffusion's authors
        ("model=od-nsd data=texas", WEBKB, 105_153),
        ("model=od-nsd data=wisconsin", WEBKB, 278_113),
        ("model=diag-nsd data=cornell", WEBKB, 138_577),
        ("model=diag-nsd data=chameleon", CHAMELEON, 410_395),
        ("model=od-nsd data=squirrel", SQUIRREL, 295_017),
        # GIN-0 of the paper: MLPs 7-32-32 and three of 32-32-32, two batch norms in each layer,
        # and a classifier of the input and of each layer
        ("model=gin data=mutag", MUTAG, 256 + 7 * 1056 + 4 * 128 + 16 + 4 * 66),
    ],
)
def test_parameters(words, spec, expected):
    model = build(compose(words.split()), spec)
    assert sum(p.numel() for p in model.parameters()) == expected


def test_weight_decay_of_gcn_is_on_the_first_layer_alone():
    config = compose(["model=gcn", "data=cora"])
    names = [name for name, _ in build(config, CORA).named_parameters()]
    decayed = [name for name in names if name.startswith(config["optim"]["decay_only"])]
    assert decayed == ["layers.0.linear.weight"]


def test_gin_vn_differs_from_gin_by_the_virtual_node():
    gin, gin_vn = (compose([f"model={m}", "data=ogbg-molhiv"]) for m in ("gin", "gin-vn"))
    changed = {**gin["model"], "name": "gin-vn", "virtual_node": True, "levels": ["graph"]}
    assert gin_vn == {**gin, "model": changed}
