"""Experiments of GCN, SGC, APPNP, GIN and NSD are their papers' tables, typed from the papers."""

from __future__ import annotations

import math
from typing import Any

import pytest

from gbench.choices import choices
from gbench.config.compose import Config, compose
from gbench.config.flat import flatten

ADAM = {"optim.optimizer": "adam", "optim.schedule": "constant", "optim.steps_per_epoch": 0}

KIPF = {
    **ADAM,
    "model.hidden_dim": 16, "model.num_layers": 2, "model.bias": False, "model.norm": "none",
    "model.input_dropout": 0.5, "model.dropout": 0.5, "optim.lr": 0.01,
    "optim.weight_decay": 5e-4, "optim.decay_prefix": "layers.0.", "optim.decay_of_others": 0.0,
    "trainer.max_epochs": 200, "trainer.stop": "window", "trainer.patience": 10,
    "trainer.monitor": "objective", "trainer.select": "last",
}  # fmt: skip

SGC = {
    **ADAM,
    "model.hops": 2, "optim.lr": 0.2, "optim.decay_prefix": "", "trainer.max_epochs": 100,
    "trainer.patience": 0, "trainer.select": "last", "data.split": "public",
}  # fmt: skip

PYG = {
    **ADAM,
    "optim.decay_prefix": "", "trainer.max_epochs": 200, "trainer.stop": "late-window",
    "trainer.patience": 10, "trainer.monitor": "loss", "trainer.ties": "earlier",
    "trainer.select": "best",
}  # fmt: skip
PYG_GCN = {
    **PYG,
    "model.hidden_dim": 16, "model.num_layers": 2, "model.bias": True, "model.input_dropout": 0.0,
    "model.dropout": 0.5, "optim.lr": 0.01, "optim.weight_decay": 5e-4,
    "data.normalize_features": True,
}  # fmt: skip
PYG_APPNP = {
    **PYG,
    "model.hidden_dim": 64, "model.hops": 10, "model.alpha": 0.1, "model.bias": True,
    "model.input_dropout": 0.5, "model.dropout": 0.5, "model.propagation_dropout": 0.0,
    "optim.lr": 0.01, "optim.weight_decay": 5e-4, "data.normalize_features": True,
}  # fmt: skip
PYG_SGC = {**PYG, "optim.lr": 0.1, "data.normalize_features": False}
PYG_SGC_OF = {
    "cora": {"model.hops": 3, "optim.weight_decay": 5e-4},
    "citeseer": {"model.hops": 2, "optim.weight_decay": 5e-3},
    "pubmed": {"model.hops": 2, "optim.weight_decay": 5e-4},
}

OGB = {**ADAM, "optim.weight_decay": 0.0, "trainer.patience": 0, "trainer.select": "best",
       "trainer.monitor": "metric", "trainer.ties": "earlier"}  # fmt: skip
MOLECULES = {
    **OGB,
    "model.hidden_dim": 300, "model.num_layers": 5, "model.dropout": 0.5, "model.readout": "mean",
    "optim.lr": 1e-3, "optim.batch_size": 32, "trainer.max_epochs": 100, "data.split": "scaffold",
}  # fmt: skip
OGB_GCN = {
    **OGB,
    "model.hidden_dim": 256, "model.num_layers": 3, "model.bias": True, "model.input_dropout": 0.0,
    "model.dropout": 0.5, "optim.lr": 0.01, "optim.decay_prefix": "",
}  # fmt: skip

XU = {
    "model.num_layers": 4, "model.mlp_ratio": 1, "model.learn_eps": False, "model.jk": "layerwise",
    "model.dropout": 0.5, "model.virtual_node": False,
    "optim.optimizer": "adam", "optim.lr": 0.01, "optim.weight_decay": 0.0, "optim.batch_size": 32,
    "optim.schedule": "step", "optim.lr_every": 50, "optim.lr_factor": 0.5,
    "optim.steps_per_epoch": 50, "trainer.max_epochs": 350, "trainer.patience": 0,
}  # fmt: skip
BIO = {"model.hidden_dim": 32, "model.readout": "sum"}
SOCIAL = {"model.hidden_dim": 64, "model.readout": "mean"}
XU_SETS = {
    "mutag": BIO, "proteins": BIO, "ptc": BIO, "nci1": BIO, "imdb-binary": SOCIAL,
    "imdb-multi": SOCIAL, "reddit-binary": SOCIAL, "collab": SOCIAL,
}  # fmt: skip

# d, low-pass, high-pass, layers, width, rate, weight decay, sheaf decay, two dropouts, epochs,
# patience, second linear layer, what stops
NSD_COLUMNS = (
    "model.stalk_dim", "model.add_lp", "model.add_hp", "model.num_layers", "model.hidden_dim",
    "optim.lr", "others", "sheaf", "model.input_dropout", "model.dropout", "trainer.max_epochs",
    "trainer.patience", "model.second_linear", "trainer.monitor",
)  # fmt: skip
NSD = {
    "texas": (3, False, False, 4, 20, 0.02, 5e-3, 5e-3, 0.0, 0.7, 1500, 200, False, "loss"),
    "wisconsin": (
        3, True, True, 2, 32, 0.02, 6.6857e-4, 6.6857e-4, 0.0, 0.72765, 500, 200, False, "loss",
    ),
    "cornell": (
        4, True, False, 2, 16, 0.02, 6.9148e-4, 3.1764e-4, 0.2, 0.7, 500, 200, False, "loss",
    ),
    "chameleon": (
        4, True, False, 5, 32, 0.01, 2.9699e-4, 1.26389e-3, 0.7, 0.0, 1000, 100, True, "metric",
    ),
    "squirrel": (
        3, True, False, 5, 32, 0.01, 1.12158e-4, 1.12158e-4, 0.7, 0.0, 1000, 100, True, "metric",
    ),
    "actor": (4, True, True, 3, 16, 0.01, 2.9e-3, 2.9e-3, 0.0, 0.9, 1000, 100, True, "metric"),
}  # fmt: skip


def expected() -> dict[str, dict[str, Any]]:
    table: dict[str, dict[str, Any]] = {}
    for data in ("cora", "citeseer", "pubmed"):
        table[f"gcn-{data}"] = {**KIPF, "data.split": "public"}
        for split, ending in (("public", ""), ("random", "-random")):
            there = {"data.split": split}
            table[f"dagnn-gcn-{data}{ending}"] = {**PYG_GCN, **there}
            table[f"appnp-{data}{ending}"] = {**PYG_APPNP, **there}
            table[f"dagnn-sgc-{data}{ending}"] = {**PYG_SGC, **PYG_SGC_OF[data], **there}
    table["sgc-cora"] = {**SGC, "optim.weight_decay": 1.3026973714043257e-05}
    table["sgc-citeseer"] = {
        **SGC, "optim.weight_decay": 2.3545587233182368e-05, "trainer.max_epochs": 150,
    }  # fmt: skip
    table["sgc-pubmed"] = {**SGC, "optim.weight_decay": 7.403929623323868e-05}
    for data in ("ogbg-molhiv", "ogbg-molpcba"):
        gin = {"model.mlp_ratio": 2, "model.learn_eps": True, "model.jk": "last"}
        gcn = {"model.norm": "batch", "model.bias": True, "model.input_dropout": 0.0}
        for name, has_virtual_node in (("gcn", False), ("gcn-vn", True)):
            own = {**gcn, "optim.decay_prefix": "", "model.virtual_node": has_virtual_node}
            table[f"{name}-{data}"] = {**MOLECULES, **own}
        table[f"gin-{data}"] = {**MOLECULES, **gin, "model.virtual_node": False}
        table[f"gin-vn-{data}"] = {**MOLECULES, **gin, "model.virtual_node": True}
    table["gcn-ogbn-arxiv"] = {**OGB_GCN, "model.norm": "batch", "trainer.max_epochs": 500}
    table["gcn-ogbn-products"] = {**OGB_GCN, "model.norm": "none", "trainer.max_epochs": 300}
    quirk = "gin-10-fold-selects-on-test"
    for data, sizes in XU_SETS.items():
        honest = {"data.split": "nested-10-fold", "trainer.select": "best"}
        table[f"gin-{data}"] = {**XU, **sizes, **honest}
        theirs = {"data.split": quirk, "trainer.select": "best-mean-epoch"}
        table[f"gin-{data}-{quirk}"] = {**XU, **sizes, **theirs, "data.parts": "valid-is-test"}
    for data, values in NSD.items():
        for model in ("diag", "od", "gen"):
            row = dict(zip(NSD_COLUMNS, values, strict=True))
            row |= {
                **ADAM, "data.split": "geom-gcn-undirected", "model.linear": False,
                "model.sparse_learner": data == "texas", "model.orthogonal": "householder",
                "model.edge_weights": True, "model.use_act": True,
                "model.deg_normalised": False,
                "trainer.stop": "patience", "trainer.select": "best", "trainer.ties": "earlier",
            }  # fmt: skip
            table[f"{model}-nsd-{data}"] = row
    for data, (lr, layers) in {"chameleon": (0.005, 5), "squirrel": (0.01, 4)}.items():
        table[f"dir-gnn-{data}"] = {
            "data.split": "geom-gcn-raw", "data.normalize_features": False,
            "optim.optimizer": "adam", "optim.lr": lr, "optim.weight_decay": 0.0,
            "model.hidden_dim": 128, "model.num_layers": layers, "model.jk": "max",
            "model.base": "gcn", "model.alpha": 1.0, "model.normalize": True,
            "model.dropout": 0.0, "trainer.max_epochs": 10000, "trainer.patience": 400,
            "trainer.monitor": "metric", "trainer.select": "best",
        }  # fmt: skip
        decay, powers, jk = (1.0, 4, "cat") if data == "chameleon" else (0.1, 5, "max")
        names = ("*.imag.*", "*.real.*")
        table[f"fabernet-{data}"] = {
            "data.split": "geom-gcn-raw", "data.normalize_features": False,
            "optim.optimizer": "adamw", "optim.lr": lr, "optim.weight_decay": 0.0,
            "optim.groups": [{"match": name, "weight_decay": decay} for name in names],
            "model.hidden_dim": 128, "model.num_layers": layers, "model.jk": jk,
            "model.powers": powers, "model.alpha": 0.0, "model.normalize": True,
            "model.complex_weights": True, "model.quirk": True, "model.zero_order": False,
            "trainer.max_epochs": 10000, "trainer.patience": 400, "trainer.select": "best",
        }  # fmt: skip
    return table


TABLE = expected()


def test_every_experiment_of_these_models_is_in_the_table() -> None:
    others = {"gin-digits", "gcn-ogbl-collab", "gcn-ogbl-ddi"}  # of no paper's table
    starts = ("gcn-", "gin-", "sgc-", "diag-nsd-", "od-nsd-", "gen-nsd-")
    starts += ("dagnn-gcn", "dagnn-sgc", "appnp-", "dir-gnn-", "fabernet-")
    forms = ("-tuned-", "-platonov-", "-gnn-plus-")  # of those models, whose convolution is first
    found = {n for n in choices("experiment") if n.startswith(starts)} - others
    assert {n for n in found if not any(form in n for form in forms)} == set(TABLE)


@pytest.mark.parametrize("name", TABLE)
def test_an_experiment_is_its_papers(name: str) -> None:
    config = compose([f"experiment={name}"])
    flat, row = dict(flatten(config)), dict(TABLE[name])
    if "sheaf" in row:
        assert decays(config, "sheaf_learners.") == (row.pop("sheaf"), row.pop("others"))
    for key, value in row.items():
        same = math.isclose(flat[key], value) if type(value) is float else flat[key] == value
        assert same, f"{key} is {flat[key]}, not {value}"


def decays(config: Config, prefix: str) -> tuple[float, float]:
    """The weight decay of the parameters whose names begin so, and that of the others."""
    optim = config["optim"]
    if not optim["decay_prefix"]:
        return optim["weight_decay"], optim["weight_decay"]
    assert optim["decay_prefix"] == prefix
    return optim["weight_decay"], optim["decay_of_others"]
