"""Link prediction: OGB's raw files, its evaluator, and a model that learns from training links."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from gbench.config import compose
from gbench.data.check import check_source
from gbench.data.load import load
from gbench.data.loaders.ogb_link import load as read_ogb_link
from gbench.data.spec import DataCard
from gbench.errors import UserError
from gbench.models.link_predictor import LinkPredictor
from gbench.train.links import known_pairs, training_pairs
from gbench.train.metrics import score
from gbench.train.optimizer import make_optimizer

NODES, GROUPS = 60, 3


def write_dataset(root: Path, *, features: bool, split_folder: str = "time") -> dict[str, object]:
    """Raw files as OGB ships them: links within groups of nodes, a fifth of them held out."""
    random = np.random.RandomState(0)
    upper = [(i, j) for i in range(NODES) for j in range(i + 1, NODES)]
    linked = [p for p in upper if p[0] % GROUPS == p[1] % GROUPS and random.rand() < 0.5]
    rest = [p for p in upper if p[0] % GROUPS != p[1] % GROUPS]
    links, others = random.permutation(linked), random.permutation(rest)
    fifth = len(links) // 5
    parts = {
        "train": {"edge": links[2 * fifth :], "year": np.full(len(links) - 2 * fifth, 2017)},
        "valid": {"edge": links[:fifth], "edge_neg": others[:100]},
        "test": {"edge": links[fifth : 2 * fifth], "edge_neg": others[100:200]},
    }
    (root / "raw").mkdir(parents=True)
    (root / "split" / split_folder).mkdir(parents=True)
    for part, arrays in parts.items():
        torch.save(arrays, root / "split" / split_folder / f"{part}.pt")
    tables = {"edge": parts["train"]["edge"], "num-node-list": [[NODES]]}
    tables["num-edge-list"] = [[len(tables["edge"])]]
    if features:
        tables["node-feat"] = random.randn(NODES, 4).round(3)
    for name, rows in tables.items():
        with gzip.open(root / "raw" / f"{name}.csv.gz", "wt") as file:
            file.writelines(",".join(map(str, row)) + "\n" for row in rows)
    return {"parts": parts, **tables}


@pytest.mark.parametrize("features", [True, False])
def test_raw_files_become_a_graph_of_training_links(tmp_path: Path, features: bool) -> None:
    written = write_dataset(tmp_path, features=features)
    source = read_ogb_link(tmp_path, "time")
    (graph,), (split,) = source.graphs, source.splits
    edges = torch.as_tensor(written["edge"])
    assert torch.equal(graph.edge_index[:, : len(edges)].t(), edges)
    assert torch.equal(graph.edge_index[:, len(edges) :].t(), edges.flip(1))
    for part, ids in zip(("train", "valid", "test"), split, strict=True):
        arrays = written["parts"][part]
        links = torch.as_tensor(arrays["edge"])
        assert torch.equal(graph.pairs[ids][graph.y[ids, 0] == 1], links)
        negatives = torch.as_tensor(arrays.get("edge_neg", np.zeros((0, 2), dtype=np.int64)))
        assert torch.equal(graph.pairs[ids][graph.y[ids, 0] == 0], negatives)
    if features:
        assert torch.equal(graph.x, torch.tensor(written["node-feat"], dtype=torch.float32))
    else:  # an embedding per node
        assert source.node_categories == (NODES,) and torch.equal(
            graph.x[:, 0], torch.arange(NODES)
        )


def test_ogb_reads_the_same_from_these_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oracle: ogb's own class on the same folder, its unsafe torch.load allowed."""
    import sys

    monkeypatch.setitem(sys.modules, "outdated", None)
    from ogb.linkproppred import PygLinkPropPredDataset

    folder = tmp_path / "ogbl_collab"
    write_dataset(folder, features=True)
    (folder / "RELEASE_v1.txt").touch()
    for name in ("edge_weight", "edge_year"):
        with gzip.open(folder / "raw" / f"{name}.csv.gz", "wt") as file:
            num_edges = len(read_ogb_link(folder, "time").splits[0].train)
            file.writelines("1\n" for _ in range(num_edges))
    plain = torch.load
    monkeypatch.setattr(torch, "load", lambda f, **o: plain(f, **{**o, "weights_only": False}))
    theirs = PygLinkPropPredDataset("ogbl-collab", root=str(tmp_path))
    ours = read_ogb_link(folder, "time")

    def arcs(edge_index: torch.Tensor) -> list[list[int]]:
        return sorted(edge_index.t().tolist())

    assert torch.equal(theirs[0].x, ours.graphs[0].x)
    assert arcs(theirs[0].edge_index) == arcs(ours.graphs[0].edge_index)
    edge_split = theirs.get_edge_split()
    for part, ids in zip(("train", "valid", "test"), ours.splits[0], strict=True):
        pairs = [
            edge_split[part]["edge"],
            edge_split[part].get("edge_neg", torch.zeros(0, 2).long()),
        ]
        assert torch.equal(torch.cat(pairs), ours.graphs[0].pairs[ids])


@pytest.mark.parametrize("name", ["ogbl-collab", "ogbl-ddi"])
def test_score_is_that_of_ogbs_evaluator(name: str) -> None:
    from ogb.linkproppred import Evaluator

    card = DataCard.from_config(compose(["model=gcn", f"data={name}"])["data"])
    torch.manual_seed(0)
    links, others = torch.randn(200) + 1, torch.randn(300)
    order = torch.randperm(500)
    logits = torch.cat([links, others])[order].unsqueeze(1)
    y = (torch.arange(500) < 200).float()[order].unsqueeze(1)
    answer = Evaluator(name).eval({"y_pred_pos": links, "y_pred_neg": others})
    assert score(card, logits, y) == pytest.approx(answer[card.metric], abs=0)
    threshold = others.sort(descending=True).values[int(card.metric[5:]) - 1]
    assert score(card, logits, y) == pytest.approx((links > threshold).float().mean().item())


def card_of(**changes: object) -> DataCard:
    data = compose(["model=gcn", "data=ogbl-collab"])["data"]
    return DataCard.from_config({**data, "statistics": {}, "download": [], **changes})


def test_wrong_pairs_are_refused(tmp_path: Path) -> None:
    write_dataset(tmp_path, features=True)
    source = read_ogb_link(tmp_path, "time")
    check_source(card_of(), source)
    (graph,) = source.graphs
    for wrong, message in (
        (graph._replace(pairs=None), "pairs should be"),
        (graph._replace(pairs=graph.pairs.float()), "pairs should be"),
        (graph._replace(pairs=graph.pairs + 1), "pairs names nodes outside"),
        (graph._replace(y=graph.y[1:]), "y has shape"),
    ):
        with pytest.raises(UserError, match=message):
            check_source(card_of(), source._replace(graphs=[wrong]))


def test_training_pairs_are_links_and_as_many_random_pairs(tmp_path: Path) -> None:
    write_dataset(tmp_path / "data" / "ogbl_collab", features=True)
    dataset = load(card_of(), tmp_path / "data", tmp_path / "cache")
    store, ids = dataset.store, dataset.split.train
    chunks = ids.split(50)
    first = list(training_pairs(store, chunks, torch.Generator().manual_seed(1)))
    again = list(training_pairs(store, chunks, torch.Generator().manual_seed(1)))
    other = list(training_pairs(store, chunks, torch.Generator().manual_seed(2)))
    assert [len(batch.y) for batch in first] == [2 * len(chunk) for chunk in chunks]
    for batch, chunk in zip(first, chunks, strict=True):
        assert torch.equal(batch.pairs[: len(chunk)], store.pairs[chunk])
        assert batch.y[: len(chunk)].eq(1).all() and batch.y[len(chunk) :].eq(0).all()
        drawn = batch.pairs[len(chunk) :]
        assert int(drawn.min()) >= 0 and int(drawn.max()) < NODES
    assert all(torch.equal(a.pairs, b.pairs) for a, b in zip(first, again, strict=True))
    assert any(not torch.equal(a.pairs, b.pairs) for a, b in zip(first, other, strict=True))
    test = known_pairs(store, dataset.split.test)
    assert set(test.y.view(-1).tolist()) == {0.0, 1.0}
    # held-out links are not edges of the graph that the model sees
    arcs = set(map(tuple, test.edge_index.t().tolist()))
    assert not arcs & set(map(tuple, test.pairs[test.y[:, 0] == 1].tolist()))


def test_logit_is_the_mlp_of_the_product(tmp_path: Path) -> None:
    write_dataset(tmp_path / "data" / "ogbl_collab", features=True)
    dataset = load(card_of(), tmp_path / "data", tmp_path / "cache")
    batch = known_pairs(dataset.store, dataset.split.valid)
    torch.manual_seed(0)
    model = LinkPredictor(lambda b: b.x, hidden_dim=4, num_layers=2, dropout=0.5).eval()
    first, last = model.predictor
    product = batch.x[batch.pairs[:, 0]] * batch.x[batch.pairs[:, 1]]
    expected = last((first.weight @ product.t() + first.bias[:, None]).clamp(min=0).t())
    assert torch.allclose(model(batch), expected, atol=1e-6)
    batch.pairs = batch.pairs.flip(1)
    assert torch.allclose(model(batch), expected, atol=1e-6)


def test_weight_decay_is_for_the_model_within_and_not_for_the_predictor() -> None:
    encoder = torch.nn.ModuleDict({"layers": torch.nn.ModuleList([torch.nn.Linear(2, 2)])})
    model = LinkPredictor(encoder, hidden_dim=2, num_layers=1, dropout=0.0)
    optim = {**compose(["model=gcn", "data=ogbl-ddi"])["optim"], "decay_prefix": "layers.0."}
    optimizer = make_optimizer(model, {**optim, "weight_decay": 0.5}, fused=False)
    decays = {
        id(parameter): group["weight_decay"]
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    named = {name: decays[id(parameter)] for name, parameter in model.named_parameters()}
    assert {name for name, decay in named.items() if decay == 0.5} == {
        "encoder.layers.0.weight",
        "encoder.layers.0.bias",
    }
    assert {name for name, decay in named.items() if decay == 0.0} >= {"predictor.0.weight"}


@pytest.mark.parametrize(("features", "model"), [(True, "gcn"), (False, "gcn"), (False, "gin")])
def test_a_run_ranks_held_out_links_first(
    tmp_path: Path, run: Callable[..., object], features: bool, model: str
) -> None:
    """Groups are learnable: most held-out links beat the 20th best of 100 other pairs."""
    write_dataset(tmp_path / "data" / "ogbl_ddi", features=features, split_folder="target")
    record, _ = run(
        f"model={model}", "data=ogbl-ddi", f"data_dir={tmp_path / 'data'}", "model.hidden_dim=32",
        f"cache_dir={tmp_path / 'cache'}", "predictor.hidden_dim=32", "predictor.num_layers=2",
        "trainer.max_epochs=60", "optim.lr=0.01", "optim.batch_size=128", "model.dropout=0",
        data={"statistics": {}},
    )  # fmt: skip
    assert record.task == "link-prediction" and record.item == "links"
    # chance is 0.2; on the same files without edges, random features reach 0.09 and GIN 0.20
    assert record.test > 0.8


def test_predictor_is_refused_elsewhere() -> None:
    with pytest.raises(UserError, match="predictor is for link-level datasets, and cora is none"):
        compose(["model=gcn", "data=cora", "predictor.dropout=0.3"])
    assert "predictor" not in compose(["model=gcn", "data=cora"])
    with pytest.raises(UserError, match=r"predictor.num_layers=0: allowed is a number at least 1"):
        compose(["model=gcn", "data=ogbl-ddi", "predictor.num_layers=0"])
