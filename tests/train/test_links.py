"""Link prediction: OGB's raw files, its evaluator, and a model that learns from training links."""

from __future__ import annotations

import csv
import gzip
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from gbench.build import build_task
from gbench.cli.main import main
from gbench.config.compose import compose
from gbench.data.check import check_source
from gbench.data.load import load
from gbench.data.loaders.ogb_link import load as read_ogb_link
from gbench.data.source import Graph
from gbench.data.spec import DataCard
from gbench.data.store import GraphStore, pack
from gbench.errors import UserError
from gbench.models.link_predictor import LinkPredictor
from gbench.train.checkpoint import load_weights
from gbench.train.links import NonLinks, distinct, known_pairs, training_pairs
from gbench.train.loader import TrainingBatches
from gbench.train.losses import loss_of
from gbench.train.metrics import score
from gbench.train.optimizer import make_optimizer
from gbench.train.sources import Pairs

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


def test_training_pairs_are_links_and_as_many_pairs_that_are_none(tmp_path: Path) -> None:
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
        arcs = set(map(tuple, batch.edge_index.t().tolist()))
        pairs = list(map(tuple, drawn.tolist()))
        assert len(set(pairs)) == len(pairs) and not arcs & set(pairs)
        assert (
            int(drawn.min()) >= 0 and int(drawn.max()) < NODES and drawn[:, 0].ne(drawn[:, 1]).all()
        )
    assert all(torch.equal(a.pairs, b.pairs) for a, b in zip(first, again, strict=True))
    assert any(not torch.equal(a.pairs, b.pairs) for a, b in zip(first, other, strict=True))
    test = known_pairs(store, dataset.split.test)
    assert set(test.y.view(-1).tolist()) == {0.0, 1.0}
    # held-out links are not edges of the graph that the model sees
    arcs = set(map(tuple, test.edge_index.t().tolist()))
    assert not arcs & set(map(tuple, test.pairs[test.y[:, 0] == 1].tolist()))


def linked(nodes: int, edges: list[tuple[int, int]], pairs: list[tuple[int, int]]) -> GraphStore:
    edge_index = torch.tensor(edges).view(-1, 2).t()
    links = torch.tensor(pairs).view(-1, 2)
    y = torch.ones(len(links), 1)
    return pack([Graph(torch.zeros(nodes, 1), edge_index, y, pairs=links)], "link")


@settings(max_examples=60, deadline=None)
@given(nodes=st.integers(2, 9), data=st.data())
def test_what_is_drawn_is_all_that_no_edge_and_no_link_joins(
    nodes: int, data: st.DataObject
) -> None:
    """Against a loop over all pairs, loops and edges that come twice among them."""
    arc = st.tuples(st.integers(0, nodes - 1), st.integers(0, nodes - 1))
    edges = data.draw(st.lists(arc, max_size=20))
    links = data.draw(st.lists(arc, max_size=6))
    joined = {*edges, *links} | {(v, u) for u, v in (*edges, *links)}
    free = [(u, v) for u in range(nodes) for v in range(nodes) if u != v and (u, v) not in joined]
    store, ids = linked(nodes, edges, links), torch.arange(len(links))
    if not free:
        with pytest.raises(UserError, match="every two nodes of the graph are joined"):
            NonLinks.of(store, ids)
        return
    others = NonLinks.of(store, ids)
    assert list(map(tuple, others.pairs(torch.arange(others.count)).tolist())) == free
    number = data.draw(st.integers(0, 3 * len(free)))
    drawn = Counter(map(tuple, others.draw(number, torch.Generator().manual_seed(0)).tolist()))
    cycles = number // len(free)
    assert set(drawn) <= set(free) and drawn.total() == number
    assert set(drawn.values()) <= {cycles, cycles + 1}


@pytest.mark.parametrize("number", [3, 30])  # by draws that are repeated, by a permutation
def test_draws_are_uniform_over_the_pairs_that_are_none(number: int) -> None:
    """Chi-square of single pairs, and of the pair that comes first beside the one after it."""
    ring = [(i, (i + 1) % 8) for i in range(8)]
    others = NonLinks.of(linked(8, ring, []), torch.arange(0))
    assert others.count == 8 * 7 - 16
    dice = torch.Generator().manual_seed(0)
    draws = torch.stack([others.draw(number, dice) for _ in range(3000)])
    code = draws[:, :, 0] * 8 + draws[:, :, 1]
    single = code.flatten().unique(return_counts=True)[1]
    assert single.numel() == 40 and stats.chisquare(single.numpy()).pvalue > 0.01
    for place in (0, number - 1):  # no place in a batch has favourites
        counts = code[:, place].unique(return_counts=True)[1]
        assert counts.numel() == 40 and stats.chisquare(counts.numpy()).pvalue > 0.01
    together = (code[:, 0] * 64 + code[:, 1]).unique(return_counts=True)[1]
    full = torch.zeros(40 * 39)
    full[: together.numel()] = together
    assert stats.chisquare(full.numpy()).pvalue > 0.01


def test_distinct_numbers_are_distinct_and_reach_all() -> None:
    dice = torch.Generator().manual_seed(0)
    seen = set()
    for _ in range(50):
        drawn = distinct(1000, 300, dice)
        assert drawn.numel() == drawn.unique().numel() == 300
        seen |= set(drawn.tolist())
    assert seen == set(range(1000))
    assert sorted(distinct(5, 5, dice).tolist()) == [0, 1, 2, 3, 4]
    assert distinct(10**15, 4, dice).max() > 2**40  # more than 32 bits


def test_the_loss_is_the_mean_over_links_and_that_over_the_others() -> None:
    logits, y = torch.tensor([[2.0], [0.5], [-1.0]]), torch.tensor([[1.0], [0.0], [0.0]])
    p = torch.sigmoid(logits[:, 0])
    expected = -p[0].log() - (1 - p[1:]).log().mean()
    assert loss_of(card_of(), logits, y).item() == pytest.approx(expected.item(), rel=1e-6)
    alone = loss_of(card_of(), logits[:1], y[:1])
    assert alone.item() == pytest.approx(-p[0].log().item(), rel=1e-6)


@pytest.mark.parametrize("features", [True, False])
def test_a_step_is_that_of_ogbs_example(
    tmp_path: Path, run: Callable[..., object], features: bool
) -> None:
    """Written out with dense matrices: two losses, a norm for each part, Adam."""
    name, folder = ("collab", "time") if features else ("ddi", "target")
    write_dataset(tmp_path / "data" / f"ogbl_{name}", features=features, split_folder=folder)
    words = [
        f"experiment=gcn-ogbl-{name}", f"data_dir={tmp_path / 'data'}", "model.hidden_dim=8",
        f"cache_dir={tmp_path / 'cache'}", "predictor.hidden_dim=8", "predictor.num_layers=2",
        "model.num_layers=2", "trainer.max_epochs=1", "model.dropout=0", "predictor.dropout=0",
        "trainer.gradient_clip_val=1e-6",  # near Adam's eps, so that its step tells norms apart
    ]  # fmt: skip
    config = compose(["trainer=cpu", *words])
    config["data"]["statistics"] = {}
    task = build_task(config)
    store, train = task.dataset.store, task.dataset.split.train
    batches = TrainingBatches(
        task.dataset, Pairs(65536), seed=0, limit=0, rank=0, world_size=1,
        next_epoch=lambda: 0, max_epochs=1,
    )  # fmt: skip
    (batch,) = batches
    assert batch.pairs.shape == (2 * train.numel(), 2)

    weights = dict(task.model.named_parameters())
    table = [weights[key] for key in weights if key.endswith("table")]
    assert len(table) == (0 if features else 1)
    adjacency = torch.eye(NODES)
    adjacency.index_put_(tuple(batch.edge_index), torch.ones(()), accumulate=True)
    scale = adjacency.sum(1).rsqrt()
    smooth = scale[:, None] * adjacency * scale
    h = store.x if features else table[0]
    for layer in range(2):
        w = weights[f"encoder.layers.{layer}.linear.weight"]
        h = smooth @ h @ w.t() + weights[f"encoder.layers.{layer}.bias"]
        h = h.relu() if layer == 0 else h
    product = h[batch.pairs[:, 0]] * h[batch.pairs[:, 1]]
    for layer in range(2):
        w, b = weights[f"predictor.{layer}.weight"], weights[f"predictor.{layer}.bias"]
        product = product @ w.t() + b
        product = product.relu() if layer == 0 else product
    p = product.sigmoid()[:, 0]
    half = train.numel()
    loss = -p[:half].log().mean() - (1 - p[half:]).log().mean()
    loss.backward()
    parts = {"table": table}
    parts["model"] = [w for key, w in weights.items() if key.startswith("encoder.layers")]
    parts["predictor"] = [w for key, w in weights.items() if key.startswith("predictor")]
    assert sum(map(len, parts.values())) == len(weights)
    for part in filter(None, parts.values()):
        assert torch.nn.utils.clip_grad_norm_(part, 1e-6) > 1e-6  # else nothing is clipped here
    torch.optim.Adam(weights.values(), lr=config["optim"]["lr"]).step()

    _, at = run(*words, data={"statistics": {}})
    after = load_weights(at / "best.ckpt")
    for key, expected in weights.items():
        assert torch.allclose(after[key], expected, atol=0.01 * config["optim"]["lr"]), key
    row = next(csv.DictReader((at / "metrics.csv").open()))
    assert float(row["train_loss"]) == pytest.approx(loss.item(), rel=1e-5)


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
        "trainer.also=[hits@5,rocauc,ap]", data={"statistics": {}},
    )  # fmt: skip
    told = {name: parts["test"] for name, parts in record.also.items()}
    assert told["hits@5"] <= record.test and min(told["rocauc"], told["ap"]) > 0.8
    assert record.task == "link-prediction" and record.item == "links"
    # chance is 0.2; on the same files without edges, random features reach 0.09 and GIN 0.20
    assert record.test > 0.8


def test_a_model_that_answers_pairs_itself_ranks_held_out_links_first(
    tmp_path: Path, run: Callable[..., object], capsys: pytest.CaptureFixture[str]
) -> None:
    """NCN, whose common neighbours tell the groups; its weights give the recorded figures again."""
    write_dataset(tmp_path / "data" / "ogbl_ddi", features=False, split_folder="target")
    record, folder = run(
        "model=ncn", "data=ogbl-ddi", f"data_dir={tmp_path / 'data'}", "model.hidden_dim=16",
        f"cache_dir={tmp_path / 'cache'}", "trainer.max_epochs=20", "optim.lr=0.01",
        "optim.batch_size=64", "model.dropout=0", "optim.groups=[]", data={"statistics": {}},
    )  # fmt: skip
    assert "predictor" not in record.config
    assert record.test > 0.8
    assert main(["eval", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["test"] == record.test

    completed, there = run(
        "model=ncnc", "data=ogbl-ddi", f"data_dir={tmp_path / 'data'}", "model.hidden_dim=16",
        f"cache_dir={tmp_path / 'cache'}", "optim.batch_size=64", "model.dropout=0",
        f"init_from=run:{folder}", data={"statistics": {}},
    )  # fmt: skip
    assert completed.test > 0.8 and completed.epochs == 2
    began, ended = (load_weights(at / "best.ckpt") for at in (folder, there))
    assert began.keys() == ended.keys()
    assert torch.equal(began["table.weight"], ended["table.weight"])  # its rate is 0
    assert not torch.equal(began["beta"], ended["beta"])


def test_predictor_is_refused_elsewhere() -> None:
    with pytest.raises(UserError, match="predictor is for link-level datasets, and cora is none"):
        compose(["model=gcn", "data=cora", "predictor.dropout=0.3"])
    assert "predictor" not in compose(["model=gcn", "data=cora"])
    with pytest.raises(UserError, match=r"predictor.num_layers=0: allowed is a number at least 1"):
        compose(["model=gcn", "data=ogbl-ddi", "predictor.num_layers=0"])
