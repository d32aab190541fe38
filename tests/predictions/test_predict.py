"""What a run says of each item, against its own record and against the user's files."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from gbench.errors import UserError
from gbench.offline_ogb import offline_ogb
from gbench.predictions.predict import predict
from gbench.predictions.write import as_csv

GIN = ("model=gin", "model.hidden_dim=8", "model.num_layers=2")


def recorded(folder, part="test"):
    return json.loads((folder / "record.json").read_text())[part]


@pytest.mark.parametrize("split", ["valid", "test"])
def test_accuracy_of_nodes_from_the_csv_is_the_records(trained, people, read_table, split):
    folder = trained("model=gcn", "data=folder", f"data.path={people}", "data.fold=2")
    given = predict(folder, split)
    rows = read_table(as_csv(given.frame()))
    right = [row["true"] == row["predicted"] for row in rows]
    assert np.mean(right) == pytest.approx(recorded(folder, split), abs=1e-6)
    assert {row["split"] for row in rows} == {split}
    assert {row["fold"] for row in rows} == {"2"}
    for row in rows:
        chances = {name: float(row[f"p_{name}"]) for name in ("ant", "bee", "cat")}
        assert sum(chances.values()) == pytest.approx(1)
        assert max(chances, key=chances.get) == row["predicted"]


def test_ids_and_labels_are_those_of_the_users_lines(trained, people, read_table):
    folder = trained("model=gcn", "data=folder", f"data.path={people}", "data.fold=2")
    lines = read_table((people / "nodes.csv").read_text())
    for _ in range(2):  # from the files, and from what is prepared
        rows = read_table(as_csv(predict(folder, "all").frame()))
        assert [row["id"] for row in rows] == [line["id"] for line in lines]
        assert [row["true"] for row in rows] == [line["label"] for line in lines]
    assert [row["split"] for row in rows].count("") == 2, "what has no label is in no part"
    by_id = {line["id"]: line["label"] for line in lines}
    test = predict(folder, "test").frame()
    assert [by_id[name] for name in test["id"]] == [*test["true"]]


def test_tasks_with_gaps_have_the_records_area_under_the_curve(trained, rings, read_table):
    where = rings("tasks")
    folder = trained(*GIN, "data=folder", f"data.path={where}", "data.fold=1")
    rows = read_table(as_csv(predict(folder).frame()))
    areas = []
    for name in ("long", "odd"):
        known = [row for row in rows if row[f"true_{name}"] != ""]
        truth = [int(row[f"true_{name}"]) for row in known]
        if len(set(truth)) == 2:
            areas.append(roc_auc_score(truth, [float(row[f"p_{name}"]) for row in known]))
        for row in known:
            assert (float(row[f"p_{name}"]) > 0.5) == (row[f"predicted_{name}"] == "1")
    assert np.mean(areas) == pytest.approx(recorded(folder))
    lines = {line["id"]: line for line in read_table((where / "graphs.csv").read_text())}
    every = read_table(as_csv(predict(folder, "all").frame()))
    assert [row["id"] for row in every] == [*lines]
    assert [row["true_odd"] for row in every] == [line["label_odd"] for line in lines.values()]
    assert "" in {row["true_odd"] for row in every}


def test_numbers_have_the_records_error(trained, rings, read_table):
    folder = trained(*GIN, "data=folder", f"data.path={rings('numbers')}", "data.fold=0")
    rows = read_table(as_csv(predict(folder).frame()))
    errors = [
        abs(float(row[f"predicted_{name}"]) - float(row[f"true_{name}"]))
        for row in rows
        for name in ("long", "odd")
        if row[f"true_{name}"]
    ]
    assert np.mean(errors) == pytest.approx(recorded(folder), rel=1e-5)
    assert not [name for name in rows[0] if name.startswith("p_")]


def test_links_name_both_ends_and_have_the_records_area(trained, own_pairs, read_table):
    folder = trained("model=gcn", "data=own_pairs", config_dirs=(own_pairs,))
    rows = read_table(as_csv(predict(folder).frame()))
    area = roc_auc_score([int(r["true"]) for r in rows], [float(r["p"]) for r in rows])
    assert area == pytest.approx(recorded(folder))
    assert rows[0]["source"] == "city 20"
    assert rows[0]["target"] == "city 22"


def test_nodes_of_several_graphs_are_named_with_their_graph(
    trained, tmp_path, write_table, read_table
):
    draw = np.random.default_rng(2)
    of = [(f"g{g}", f"n{g}.{k}") for g in range(9) for k in range(4)]
    lines = [of[i] for i in draw.permutation(len(of))]
    label = [("a", "b")[k] for k in draw.integers(2, size=len(lines))]
    x = draw.normal(size=len(lines)).round(3)
    graph, name = zip(*lines, strict=True)
    write_table(tmp_path / "nodes.csv", {"id": name, "graph": graph, "label": label, "x": x})
    ends = [(f"n{g}.{k}", f"n{g}.{(k + 1) % 4}") for g in range(9) for k in range(4)]
    source, target = zip(*ends, strict=True)
    write_table(tmp_path / "edges.csv", {"source": source, "target": target})
    folder = trained("model=gcn", "data=folder", f"data.path={tmp_path}")
    every = read_table(as_csv(predict(folder, "all").frame()))
    known = {n: (g, y) for n, g, y in zip(name, graph, label, strict=True)}
    assert sorted(row["id"] for row in every) == sorted(name)
    assert all((row["graph"], row["true"]) == known[row["id"]] for row in every)
    test = read_table(as_csv(predict(folder).frame()))
    right = [row["true"] == row["predicted"] for row in test]
    assert np.mean(right) == pytest.approx(recorded(folder), abs=1e-6)
    assert all((row["graph"], row["true"]) == known[row["id"]] for row in test)


def test_scores_of_an_own_loss_are_no_probabilities(trained, people, tmp_path):
    (tmp_path / "hinge.py").write_text(
        "import torch\n\n\ndef loss(logits, y):\n"
        "    return torch.nn.functional.multi_margin_loss(logits, y, reduction='none')\n"
    )
    own = tmp_path / "people"
    shutil.copytree(people, own)
    (own / "dataset.yaml").write_text("task: classification\nloss: hinge.loss\n")
    folder = trained("model=gcn", "data=folder", f"data.path={own}", config_dirs=(tmp_path,))
    given = predict(folder)
    assert given.scale == "score"
    assert "no probabilities" in given.notes[0]
    assert "score_ant" in given.frame()
    assert not np.allclose(given.scores.sum(axis=1), 1)


def test_an_unknown_part_and_other_data_are_refused(trained, people):
    folder = trained("model=gcn", "data=folder", f"data.path={people}", "data.fold=2")
    with pytest.raises(UserError, match="unknown split 'tests': did you mean 'test'"):
        predict(folder, "tests")
    path = folder / "record.json"
    text = path.read_text()
    said = json.loads(text)
    path.write_text(json.dumps({**said, "fingerprint": "0" * 64}))
    try:
        with pytest.raises(UserError, match="have changed since"):
            predict(folder)
    finally:
        path.write_text(text)


@pytest.mark.parametrize(("name", "module"), [("ogbn-arxiv", "node"), ("ogbg-molhiv", "graph")])
def test_files_of_ogb_data_are_what_its_evaluators_read(trained, tmp_path, name, module):
    """As if the run had been on OGB's set: its evaluator reads the file, and finds the same."""
    given = replace(predict(trained("model=gcn", "data=csbm")), evaluator=name)
    if module == "graph":  # one task, of which the first has no label
        true = given.true[:, None].astype(float)
        scores = given.scores[:, 1:]
        given = replace(given, labels="tasks", true=true, scores=scores, predicted=scores > 0.5)
    given.write(tmp_path / "p.npz")
    evaluator = offline_ogb(f"{module}proppred").Evaluator(name)
    found = evaluator.eval(dict(np.load(tmp_path / "p.npz")))
    wanted = roc_auc_score(given.true, given.scores) if module == "graph" else given.is_right.mean()
    assert found[evaluator.eval_metric] == pytest.approx(wanted)
