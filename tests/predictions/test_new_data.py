"""Predictions of new data: those of the training data again, however the files are arranged."""

import shutil

import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from gbench.errors import UserError
from gbench.predictions.predict import predict

GIN = ("model=gin", "model.hidden_dim=8", "model.num_layers=2")


@pytest.fixture
def rearranged(people, tmp_path, write_table, read_table):
    """The same people: lines and columns in another order, words as they occur, no labels."""

    def made(change=lambda name, rows: rows):
        folder = tmp_path / "new"
        for name in ("nodes.csv", "edges.csv"):
            rows = read_table((people / name).read_text())[::-1]
            rows = [{k: row[k] for k in reversed(row) if k != "label"} for row in rows]
            rows = change(name, rows)
            write_table(folder / name, {k: [row[k] for row in rows] for k in rows[0]})
        return folder

    return made


def test_people_in_another_order_are_predicted_as_before(trained, people, rearranged):
    folder = trained(*GIN, "data=folder", f"data.path={people}", "data.fold=2")
    every = predict(folder, "all").frame().set_index("id")
    new = predict(folder, data=rearranged()).frame().set_index("id")
    assert [*new.index] == [*every.index][::-1]
    assert {*new["true"]} == {""}
    assert {*new["split"]} == {"new"}
    chances = ["p_ant", "p_bee", "p_cat"]
    np.testing.assert_allclose(new.loc[every.index, chances], every[chances], atol=1e-5)


def test_labels_are_mapped_by_name_where_they_are(trained, people, tmp_path, write_table):
    folder = trained(*GIN, "data=folder", f"data.path={people}", "data.fold=2")
    nodes = {"id": ["u", "v"], "size": [1, 2], "colour": ["red", "blue"], "label": ["cat", ""]}
    write_table(tmp_path / "nodes.csv", nodes)
    write_table(tmp_path / "edges.csv", {"source": ["u"], "target": ["v"], "kind": ["far"]})
    new = predict(folder, data=tmp_path)
    assert new.true.tolist() == [2, -1]
    assert [*new.frame()["true"]] == ["cat", ""]


@pytest.mark.parametrize("kind", ["tasks", "numbers"])
def test_some_rings_are_predicted_as_among_all(
    trained, rings, kind, tmp_path, write_table, read_table
):
    where = rings(kind)
    words = (*GIN, "data=folder", f"data.path={where}", "encoding=rwse")
    folder = trained(*words)
    every = predict(folder, "all")
    rows = {n: read_table((where / n).read_text()) for n in ("nodes.csv", "edges.csv")}
    chosen = {f"g{k}" for k in (3, 8, 20)}
    kept = {
        "nodes.csv": [row for row in rows["nodes.csv"] if row["graph"] in chosen],
        "edges.csv": [r for r in rows["edges.csv"] if r["source"].split("/")[0] in chosen],
    }
    for name, lines in kept.items():
        write_table(tmp_path / name, {k: [row[k] for row in lines] for k in lines[0]})
    new = predict(folder, data=tmp_path)  # without graphs.csv, whose labels nobody knows
    assert {*new.ids} == chosen
    assert np.isnan(new.true).all()
    place = {name: k for k, name in enumerate(every.ids)}
    same = every.scores[[place[name] for name in new.ids]]
    np.testing.assert_allclose(new.scores, same, atol=1e-5)


def test_a_saved_dataset_is_predicted_as_its_training_file(trained, tmp_path):
    draw = torch.Generator().manual_seed(3)

    def graph(label):
        ends = torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 0, 2]])
        return Data(
            x=torch.randint(4, (4, 2), generator=draw),
            edge_index=torch.cat([ends, ends.flip(0)], 1),
            edge_attr=torch.rand(10, 1, generator=draw).round(decimals=3),
            y=torch.tensor([label]),
        )  # fmt: skip

    graphs = [graph([-1, 1][k % 2]) for k in range(20)]
    graphs[0].x[:] = 3
    torch.save(graphs, tmp_path / "own.pt")
    folder = trained(*GIN, "data=folder", f"data.path={tmp_path / 'own.pt'}")
    every = predict(folder, "all")
    for new in graphs:
        new.edge_attr = new.edge_attr.double()
    graphs[4].y, graphs[6].y = torch.tensor([1]), None
    torch.save(graphs[4:8], tmp_path / "new.pt")
    new = predict(folder, data=tmp_path / "new.pt")
    np.testing.assert_allclose(new.scores, every.scores[4:8], atol=1e-6)
    assert new.true.tolist() == [1, 1, -1, 1]
    assert new.classes == ("-1", "1")
    whole = [Data(**{**g.to_dict(), "edge_attr": torch.ones(10, 1)}) for g in graphs[4:6]]
    torch.save(whole, tmp_path / "whole.pt")  # numbers, whole as they are
    assert len(predict(folder, data=tmp_path / "whole.pt")) == 2
    for g in whole:
        del g.y
    whole[1].x[2, 1] = 9
    torch.save(whole, tmp_path / "bad.pt")
    with pytest.raises(UserError, match=r"bad.pt: graph 1: x of node 2 has 9 in column 1, and"):
        predict(folder, data=tmp_path / "bad.pt")


def changed(file, line, **cells):
    def change(name, rows):
        if name == file:
            rows[line - 2].update(cells)
        return rows

    return change


def without(file, column):
    return lambda name, rows: [
        {k: v for k, v in row.items() if name != file or k != column} for row in rows
    ]


def added(file, column):
    return lambda name, rows: [{**row, **({column: 1} if name == file else {})} for row in rows]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (changed("nodes.csv", 4, colour="pink"), r"nodes.csv:4: column 'colour' has 'pink', which "
         "did not occur in the training data: there are blue, green, red"),
        (changed("nodes.csv", 5, size="big"), r"nodes.csv:5: column 'size' has 'big': not a num"),
        (changed("edges.csv", 3, kind="odd"), r"edges.csv:3: column 'kind' has 'odd', which did "),
        (changed("edges.csv", 6, source="zed"), r"edges.csv:6: column 'source': there is no node"),
        (without("nodes.csv", "size"), r"nodes.csv:1: there is no column 'size', which the run"),
        (without("edges.csv", "kind"), r"edges.csv:1: there is no column 'kind', which the run"),
        (added("nodes.csv", "more"), r"nodes.csv:1: column 'more' is none that the run was train"),
        (added("edges.csv", "weight"), r"edges.csv:1: column 'weight' is none that the run was"),
        (added("nodes.csv", "label"), r"nodes.csv:2: label '1' is no class of the run's, which"),
        (added("nodes.csv", "label_x"), r"nodes.csv:1: the columns of labels are label_x, and "),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named_with_file_and_line(trained, people, rearranged, change, says):
    folder = trained(*GIN, "data=folder", f"data.path={people}", "data.fold=2")
    with pytest.raises(UserError, match=says):
        predict(folder, data=rearranged(change))


def test_data_of_another_form_are_refused(trained, people, rings, own_pairs, tmp_path):
    folder = trained(*GIN, "data=folder", f"data.path={people}", "data.fold=2")
    torch.save(Data(x=torch.ones(3, 2), edge_index=torch.zeros(2, 0).long()), tmp_path / "new.pt")
    with pytest.raises(UserError, match=r"was trained on CSV files, and reads a folder with nod"):
        predict(folder, data=tmp_path / "new.pt")
    with pytest.raises(UserError, match="there is no such folder or file"):
        predict(folder, data=tmp_path / "nowhere")
    (tmp_path / "directed").mkdir()
    shutil.copytree(people, tmp_path / "directed", dirs_exist_ok=True)
    (tmp_path / "directed" / "dataset.yaml").write_text("directed: true\n")
    with pytest.raises(UserError, match="directed is True, and that of the run's data is False"):
        predict(folder, data=tmp_path / "directed")
    links = trained("model=gcn", "data=own_pairs", config_dirs=(own_pairs,))
    with pytest.raises(UserError, match="tells pairs of nodes of one graph apart"):
        predict(links, data=people)
    packaged = trained("model=gcn", "data=csbm")
    with pytest.raises(UserError, match=r"trained on graphs without names of columns, and reads"):
        predict(packaged, data=people)
