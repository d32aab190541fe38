"""`gbench bench train` compares trainings of the same model, and refuses others."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import nn
from torch_geometric.data import Batch

from gbench.bench import measure, training, workloads
from gbench.bench.case import Mismatch
from gbench.bench.loader import pyg_graphs
from gbench.bench.train import graph_layers, nodes
from gbench.bench.train.baselines import PyGAPPNP, PyGGCNII, PyGSAGE
from gbench.bench.train.citation import PyGDAGNN, PyGGCN, PyGSGC
from gbench.bench.train.molecules import OGBGIN
from gbench.bench.train.pair import Comparison, check_same
from gbench.bench.train.sheaf import GatherScatterNSD
from gbench.build import build_model, build_task
from gbench.cli.main import main
from gbench.config.compose import compose
from gbench.data.loaders.ogb import ATOM_CATEGORIES, BOND_CATEGORIES
from gbench.data.spec import DataSpec
from gbench.data.store import pack
from gbench.models.gin import GIN

FAST = ("trainer.max_epochs=4", "data.num_nodes=60", "trainer=cpu")
SHEAF = ("model.hidden_dim=4", "model.num_layers=2", "model.stalk_dim=3")
SHEAVES = {
    "diag-nsd": ("model.sparse_learner=true", "model.second_linear=true"),
    "diag-nsd-degree": ("model.deg_normalised=true", "model.add_hp=true"),
    "od-nsd": ("model.sparse_learner=true",),
    "od-nsd-fixed": ("model.add_lp=true", "model.edge_weights=false"),
    "gen-nsd": ("model.add_lp=true", "model.use_act=false"),
    "gen-nsd-degree": ("model.deg_normalised=true",),
}


@pytest.fixture(autouse=True)
def _one_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GBENCH_CACHE", str(tmp_path))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


PYG = [("gcn", PyGGCN), ("sgc", PyGSGC), ("dagnn", PyGDAGNN), ("appnp", PyGAPPNP)]
PYG += [("gcnii", PyGGCNII), ("sage", PyGSAGE)]


@pytest.mark.parametrize(("model", "kind"), PYG)
def test_pygs_layers_say_what_ours_say_and_both_are_trained(model, kind) -> None:
    words = (f"model={model}", "data=csbm", *FAST)
    pair = nodes.NodePair(words, "PyG", nodes._pyg(kind))  # raises Mismatch if they do not
    assert all(seconds > 0 for seconds in pair.by_turns())
    reached = pair.finished(is_quick=True)
    assert reached.how.startswith("4 epochs") and reached.metric == "accuracy"
    assert 0 <= reached.ours <= 1 and 0 <= reached.theirs <= 1


def loss_and_gradients(model: nn.Module, *inputs) -> list[torch.Tensor]:
    """The sum of the squares of the logits, and its gradients by name."""
    loss = model(*inputs).square().sum()
    named = sorted(model.named_parameters())
    return [loss, *torch.autograd.grad(loss, [parameter for _, parameter in named])]


@pytest.mark.parametrize("name", SHEAVES)
def test_gather_and_scatter_have_the_same_values_and_gradients(name: str) -> None:
    family = "-".join(name.split("-")[:2])
    config = compose([f"model={family}", "data=csbm", *FAST, *SHEAF, *SHEAVES[name]])
    task = build_task(config)
    batch, model = task.dataset.store.whole(), task.model
    nn.init.normal_(model.epsilons[0])  # zeros and I would hide a term that is missing
    nn.init.normal_(model.left[0].weight)
    theirs = nodes._sheaf(task.dataset.spec, config["model"], batch)
    assert isinstance(theirs, GatherScatterNSD)
    theirs.load_state_dict(model.state_dict())
    theirs.eval()  # no noise in the SVD
    found = loss_and_gradients(theirs, batch.x, batch.edge_index)
    for ours, other in zip(loss_and_gradients(model.eval(), batch), found, strict=True):
        torch.testing.assert_close(
            other, ours, rtol=1e-3, atol=1e-4 * float(ours.detach().abs().max())
        )


def test_ogbs_gin_has_the_same_values_and_gradients() -> None:
    store = pack(workloads.drawn_molecules(12))
    spec = DataSpec("graph", 1, 9, workloads.ATOM_CATEGORIES, workloads.BOND_CATEGORIES)
    settings = {**compose(["model=gin", "data=csbm"])["model"], "hidden_dim": 16, "dropout": 0.0}
    kept = ("hidden_dim", "num_layers", "mlp_ratio", "learn_eps", "virtual_node", "jk", "readout")
    torch.manual_seed(0)
    ours = GIN(spec, **{name: settings[name] for name in kept}, dropout=0.0)
    theirs = OGBGIN(settings)
    theirs.take_weights(ours)
    batch = store.batch(torch.arange(12))
    graphs = Batch.from_data_list(pyg_graphs(store, torch.arange(12)))
    wanted, found = ours(batch), theirs(graphs)  # in training mode: the batch's statistics
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    wanted.square().sum().backward()
    found.square().sum().backward()
    table = torch.cat([part.weight.grad for part in theirs.atoms.atom_embedding_list])
    torch.testing.assert_close(table, ours.encoder.features.table.grad, rtol=1e-3, atol=1e-5)
    first = ours.layers[0].mlp[0].weight.grad
    torch.testing.assert_close(theirs.convs[0].mlp[0].weight.grad, first, rtol=1e-3, atol=1e-5)


class Other(PyGGCN):
    """GCN without its ReLU's gain: another model."""

    def forward(self, x, edge_index):
        return 1.01 * super().forward(x, edge_index)


def test_accuracies_are_means_over_the_same_seeds_of_both(monkeypatch) -> None:
    words = ("model=sgc", "data=csbm", *FAST)
    pair = nodes.NodePair(words, "PyG", nodes._pyg(PyGSGC))
    seeds = []

    def build(config):
        seeds.append(config["seed"])
        return build_task(config)

    def train(config, epochs):
        task = build_task(config)
        seeds.append(config["seed"])
        monkeypatch.setattr(task, "evaluate", lambda split: config["seed"] / 10)
        return task, 0.0

    monkeypatch.setattr(nodes, "build_task", build)
    monkeypatch.setattr(nodes, "trained", train)
    monkeypatch.setattr(nodes, "SEEDS", 3)
    reached = pair.finished(is_quick=False)
    assert seeds == [0, 0, 1, 1, 2, 2]
    assert reached.ours == pytest.approx(0.1)
    assert reached.how.endswith("mean of 3 seeds")


def test_another_model_is_not_timed_and_missing_data_are_told(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("GBENCH_DATA", str(tmp_path))

    def wrong() -> nodes.NodePair:
        return nodes.NodePair(("model=gcn", "data=csbm", *FAST), "PyG", nodes._pyg(Other))

    there = {"wrong": Comparison("csbm", wrong), "absent": Comparison("cora", wrong)}
    monkeypatch.setattr(training, "COMPARISONS", there)
    missing: dict[str, str] = {}
    (row,) = training.run((), is_quick=True, missing=missing)
    assert not row.checked and row.note.startswith("Mismatch: logits are off")
    assert row.ratio is row.ours_test is None
    assert list(missing) == ["absent"] and "gbench data get cora" in missing["absent"]
    with pytest.raises(Mismatch):
        check_same(torch.ones(3), torch.full((3,), torch.nan))


def test_rows_hold_medians_of_ratios(monkeypatch, capsys) -> None:
    class Fixed:
        other, unit = "PyG", "epoch"
        rounds = iter([(1.0, 8.0), (2.0, 18.0), (4.0, 40.0)] * 9)

        def by_turns(self):
            return next(self.rounds)

        def finished(self, is_quick):
            assert is_quick
            return nodes.Trained(0.815, 0.8125, "accuracy", "200 epochs")

    monkeypatch.setattr(training, "COMPARISONS", {"fixed": Comparison("csbm", Fixed)})
    monkeypatch.setattr(measure, "QUICK", measure.Budget(seconds=0.0, min_rounds=3))
    assert main(["bench", "train", "--quick", "--only", "fixed"]) == 0
    shown = capsys.readouterr().out
    assert "fixed" in shown and "9.00×" in shown and "81.50" in shown and "81.25" in shown
    (row,) = training.run(["fixed"], is_quick=True, missing={})
    assert (row.ratio, row.ours_ms, row.other_ms) == (9.0, 2000.0, 18000.0)
    assert dataclasses.asdict(row)["versions"]["gbench"]
    assert main(["bench", "train", "--only", "fixd"]) == 2
    assert "did you mean 'fixed'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "kind"), [(graph_layers.PNA, "PyGPNA"), (graph_layers.GPS, "PyGGPS")]
)
def test_graph_layers_of_pyg_say_what_ours_say(words, kind) -> None:
    """Molecules of different sizes, with the same weights."""
    config = compose([*words])
    store = pack(workloads.drawn_molecules(6))
    spec = DataSpec("graph", 1, 9, ATOM_CATEGORIES, BOND_CATEGORIES)
    spec = dataclasses.replace(spec, statistics={"mean_log_degree": 1.1})
    ours = build_model(config["model"], spec).eval()
    theirs = getattr(graph_layers, kind)(config["model"])
    theirs.take_weights(ours)
    theirs.eval()
    ids = torch.arange(6)
    with torch.no_grad():
        check_same(ours(store.batch(ids)), theirs(Batch.from_data_list(pyg_graphs(store, ids))))
