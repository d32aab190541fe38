"""A folder of CSV files of one's own: what is read, what is refused, and on which line."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gbench.config.compose import compose
from gbench.config.identity import identity
from gbench.data.dataset import Dataset
from gbench.data.load import load
from gbench.data.spec import DataCard
from gbench.errors import UserError

NODES = "id,age,height,label\na,1,0.5,red\nb,2,1.5,blue\nc,3,2.5,red\nd,4,3.5,blue\ne,5,4.5,\n"
EDGES = "source,target\na,b\nb,c\nc,d\nd,a\n"
SPLITS = "id,part\na,train\nb,train\nc,valid\nd,test\n"
NODE_LEVEL = {"nodes.csv": NODES, "edges.csv": EDGES, "splits.csv": SPLITS}

GRAPH_LEVEL = {
    "graphs.csv": "id,label\ng1,1\ng2,0\ng3,1\n",
    # nodes of a graph need not stand together
    "nodes.csv": "id,graph,x\na,g1,1\nc,g2,3\nb,g1,2\nd,g2,4\ne,g3,5\n",
    "edges.csv": "source,target,bond\na,b,double\nd,c,single\n",
    "splits.csv": "id,part\ng1,train\ng2,valid\ng3,test\n",
}


class Folder:
    """A folder made of a table of contents, its config and its dataset."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fill(self, files: dict[str, str], **changes: str) -> Folder:
        self.path.mkdir(exist_ok=True)
        for name, text in files.items():
            (self.path / name).write_text(text)
        for name, text in changes.items():
            (self.path / name.replace("__", ".")).write_text(text)
        return self

    def config(self, *words: str) -> dict[str, Any]:
        model = [] if any(word.startswith("model=") for word in words) else ["model=gin"]
        return compose([*model, "data=folder", f"data.path={self.path}", *words])

    def read(self, *words: str) -> Dataset:
        card = DataCard.from_config(self.config(*words)["data"])
        return load(card, Path("/nowhere"), self.path.parent / "cache")


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "my graphs")


def edges_of(dataset: Dataset) -> set[tuple[int, int]]:
    index = dataset.store.batch(torch.arange(dataset.store.num_graphs)).edge_index
    return {(int(s), int(t)) for s, t in index.t()}


def test_nodes_with_words_for_classes(folder: Folder) -> None:
    dataset = folder.fill(NODE_LEVEL).read("model=gcn")
    card = dataset.card
    assert (card.task, card.metric, card.split) == ("node-classification", "accuracy", "own")
    store = dataset.store
    assert store.x.tolist() == [[1, 0.5], [2, 1.5], [3, 2.5], [4, 3.5], [5, 4.5]]
    assert store.y[:4].tolist() == [1, 0, 1, 0]  # blue, red
    assert dataset.spec.num_outputs == 2
    one_way = {(0, 1), (1, 2), (2, 3), (3, 0)}
    assert edges_of(dataset) == one_way | {(t, s) for s, t in one_way}
    assert [part.tolist() for part in dataset.split] == [[0, 1], [2], [3]]


def test_graphs_with_categories_of_edges(folder: Folder) -> None:
    dataset = folder.fill(GRAPH_LEVEL).read()
    assert dataset.card.task == "graph-classification"
    batch = dataset.store.batch(torch.arange(3))
    assert batch.x.view(-1).tolist() == [1, 2, 3, 4, 5]
    assert batch.y.tolist() == [1, 0, 1]
    assert batch.node_ptr.tolist() == [0, 2, 4, 5]
    assert edges_of(dataset) == {(0, 1), (1, 0), (2, 3), (3, 2)}
    assert dataset.spec.edge_categories == (2,)
    assert batch.edge_code is not None and batch.edge_combos is not None
    of_edge = dict(
        zip(
            [tuple(pair) for pair in batch.edge_index.t().tolist()],
            batch.edge_combos[batch.edge_code.long()].view(-1).tolist(),
            strict=True,
        )
    )
    assert of_edge == {(0, 1): 0, (1, 0): 0, (2, 3): 1, (3, 2): 1}  # double, single


@pytest.mark.parametrize(
    ("labels", "task", "loss", "metric", "direction"),
    [
        ("label\n1\n0\n1\n", "classification", "cross-entropy", "accuracy", "max"),
        ("label\n10\n9\n10\n", "classification", "cross-entropy", "accuracy", "max"),
        ("label\n1.5\n0\n-2e3\n", "regression", "l1", "mae", "min"),
        ("label_a,label_b\n1,0\n,1\n0,\n", "classification", "bce", "rocauc", "max"),
        ("label_a,label_b\n1,0.5\n2,1\n0,3\n", "regression", "l1", "mae", "min"),
    ],
)
def test_what_the_labels_say(
    folder: Folder, labels: str, task: str, loss: str, metric: str, direction: str
) -> None:
    rows = ["id", "g1", "g2", "g3"]
    text = "".join(f"{row},{line}\n" for row, line in zip(rows, labels.splitlines(), strict=True))
    dataset = folder.fill(GRAPH_LEVEL, graphs__csv=text).read()
    card = dataset.card
    assert (card.task, card.loss) == (f"graph-{task}", loss)
    assert (card.metric, card.direction) == (metric, direction)
    expected = [
        [float(word) if word else float("nan") for word in line.split(",")]
        for line in labels.splitlines()[1:]
    ]
    if loss == "cross-entropy":
        assert dataset.store.y.tolist() == [1, 0, 1]  # numbers in their order: 9 before 10
    else:
        assert np.array_equal(dataset.store.y.numpy(), np.float32(expected), equal_nan=True)


def test_dataset_yaml_overrules_the_rules(folder: Folder) -> None:
    about = "task: regression\nmetric: rmse\ndirected: true\nlicence: CC0\n"
    labels = "id,label\ng1,1\ng2,0\ng3,1\n"
    dataset = folder.fill(GRAPH_LEVEL, dataset__yaml=about, graphs__csv=labels).read()
    card = dataset.card
    assert (card.loss, card.metric, card.direction) == ("mse", "rmse", "min")
    assert card.licence == "CC0"
    assert edges_of(dataset) == {(0, 1), (3, 2)}
    assert dataset.store.y.tolist() == [[1.0], [0.0], [1.0]]


def test_ten_random_splits_of_what_has_a_label(folder: Folder) -> None:
    lines = [f"n{i},{i},{'xyz'[i % 3] if i < 60 else ''}\n" for i in range(80)]
    files = {"nodes.csv": "id,f,label\n" + "".join(lines), "edges.csv": "source,target\nn0,n1\n"}
    folder.fill(files)
    first, second = folder.read("model=gcn"), folder.read("model=gcn", "data.fold=9")
    assert first.card.num_folds == 10 and first.card.split == "stratified-60-20-20"
    for dataset in (first, second):
        assert [len(part) for part in dataset.split] == [36, 12, 12]
        assert torch.cat([*dataset.split]).sort().values.tolist() == list(range(60))
        for part in dataset.split:
            assert dataset.store.y[part].bincount().tolist() == [len(part) // 3] * 3
    assert first.split.test.tolist() != second.split.test.tolist()
    with pytest.raises(UserError, match="folds 0 to 9"):
        folder.config("model=gcn", "data.fold=10")


def test_folds_of_ones_own(folder: Folder) -> None:
    swap = "id,part,fold\n" + "".join(
        f"{line},{fold}\n"
        for fold, parts in enumerate([("train", "valid", "test"), ("test", "train", "valid")])
        for line in (f"{node},{part}" for node, part in zip("abc", parts, strict=True))
    )
    folder.fill(NODE_LEVEL, splits__csv=swap)
    assert [part.tolist() for part in folder.read("model=gcn").split] == [[0], [1], [2]]
    second = folder.read("model=gcn", "data.fold=1")
    assert [part.tolist() for part in second.split] == [[1], [2], [0]]


def test_what_a_spreadsheet_writes(folder: Folder) -> None:
    def as_windows(text: str) -> str:
        return "\ufeff" + text.replace("\n", "\r\n").replace(",", ", ") + "\r\n"

    plain = folder.fill(NODE_LEVEL).read("model=gcn")
    other = Folder(folder.path.parent / "other")
    other.fill({name: as_windows(text) for name, text in NODE_LEVEL.items()})
    assert other.read("model=gcn").fingerprint == plain.fingerprint
    quoted = NODES.replace("a,1,", '"a",1,').replace("b,2,1.5,blue", 'b,2,1.5,"blue"')
    assert other.fill({"nodes.csv": quoted}).read("model=gcn").fingerprint == plain.fingerprint


def test_ids_are_words(folder: Folder) -> None:
    nodes = NODES.replace("a,", "NA,").replace("b,", "1,").replace("c,", "01,")
    edges = (
        EDGES.replace("a", "NA")
        .replace("b", "1")
        .replace("c", "01")
        .replace("sour01e", "source")
        .replace("tNArget", "target")
    )
    splits = "id,part\nNA,train\n1,train\n01,valid\nd,test\n"
    changed = folder.fill({"nodes.csv": nodes, "edges.csv": edges, "splits.csv": splits})
    plain = Folder(folder.path.parent / "plain").fill(NODE_LEVEL)
    assert changed.read("model=gcn").fingerprint == plain.read("model=gcn").fingerprint


def test_repeated_edges_count_once_and_ones_stand_in_for_features(folder: Folder) -> None:
    files = {**NODE_LEVEL, "nodes.csv": re.sub(r",\w+,[\w.]+(?=,\w*\n)", "", NODES)}
    dataset = folder.fill(files, edges__csv=EDGES + "b,a\na,b\n").read("model=gcn")
    assert dataset.statistics["num_edges"] == 8
    assert dataset.store.x.tolist() == [[1.0]] * 5


FAULTS = [
    # file, its text, what is told behind the file's name
    ("nodes.csv", NODES.replace("id,", "name,"), ":1: there is no column 'id', only name, age"),
    ("nodes.csv", NODES.replace("label", "class"), ":1: there is no column 'label'"),
    ("nodes.csv", NODES.replace("b,2,", "b,two,"), ":3: column 'age' has 'two': not a number"),
    ("nodes.csv", NODES.replace("b,2,", "b,,"), ":3: column 'age' has '': not a number"),
    ("nodes.csv", NODES.replace("b,2,", "b,nan,"), ":3: column 'age' has 'nan': not a number"),
    ("nodes.csv", NODES.replace("b,2,", "b,1e99,"), ":3: column 'age' has '1e+99': not a number"),
    ("nodes.csv", NODES.replace("d,4", "b,4"), ":5: id 'b' occurs a second time"),
    ("nodes.csv", NODES.replace("d,4", ",4"), ":5: id is empty"),
    ("nodes.csv", NODES.replace("d,4,3.5,", "d,4,3.5,7,"), ":5: 5 fields, but line 1 names 4"),
    ("nodes.csv", NODES.replace("c,3,2.5,red\n", "c,3\n"), ":4: 2 fields, but line 1 names 4"),
    ("nodes.csv", NODES.replace("\nd,4", '\n\n"d\n",oops'), ":7: column 'age' has 'oops'"),
    ("nodes.csv", NODES.replace("age", "height"), ":1: two columns have one name"),
    ("nodes.csv", "id,label\n", ": there is nothing below"),
    ("nodes.csv", "", ":1: there is no column 'id'"),
    ("edges.csv", EDGES.replace("target", "to"), ":1: there is no column 'target', only source"),
    ("edges.csv", EDGES.replace("c,d", "c,x"), ":4: column 'target': there is no node 'x'"),
    ("edges.csv", "source,target,w\na,b,0.5\nb,c,inf\n", ":3: column 'w' has 'inf': not a number"),
    ("edges.csv", "source,target,weight\na,b,1\nb,c,x\n", ":3: column 'weight' has 'x': not a nu"),
    ("edges.csv", "source,target,weight\na,b,1\nb,a,1\nb,c,nan\n", ":4: column 'weight' has 'nan'"),
    ("edges.csv", "source,target,weight,edge_weight\na,b,1,1\n", ":1: weight and edge_weight are"),
    (
        "edges.csv",
        "source,target,weight\na,b,1\nc,d,1\nb,a,2\n",
        ":4: this edge was given before with another weight or numbers, in line 2: with `dir",
    ),
    (
        "edges.csv",
        "source,target,kind\na,b,x\nc,d,x\nb,a,y\n",
        ":4: this edge was given before with other categories, in line 2",
    ),
    ("splits.csv", SPLITS.replace("b,train", "x,train"), ":3: column 'id': there is no node 'x'"),
    ("splits.csv", SPLITS.replace("valid", "val"), ":4: unknown part 'val': did you mean 'valid'"),
    ("splits.csv", SPLITS + "a,test\n", ":6: node 'a' is in the train part in line 2 already"),
    ("splits.csv", SPLITS + "e,train\n", ":6: node 'e' is in the train part without a label"),
    ("splits.csv", SPLITS.replace("d,test\n", ""), ": fold 0 has nothing in its test part"),
    ("splits.csv", "id,part,fold\na,train,x\n", ":2: fold 'x': not 0, 1, 2, ..."),
    ("splits.csv", "id,part,kind\na,train,x\n", ":1: unknown column 'kind'"),
    ("dataset.yaml", "tsak: regression\n", ": unknown key 'tsak': did you mean 'task'"),
    ("dataset.yaml", "task: regresion\n", ": unknown task 'regresion': did you mean 'regression'"),
    ("dataset.yaml", "metric: mae\n", ": metric=mae: it is for numbers, and the labels of "),
    ("dataset.yaml", "directed: maybe\n", ": directed is maybe, allowed are true and false"),
    ("dataset.yaml", "a: [\n", " is not valid YAML: while parsing a flow node"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "message"), FAULTS)
def test_a_fault_is_told_with_file_and_line(
    folder: Folder, name: str, text: str, message: str
) -> None:
    folder.fill({**NODE_LEVEL, name: text})
    with pytest.raises(UserError, match=re.escape(f"{folder.path / name}{message}")):
        folder.read("model=gcn")


GRAPH_FAULTS = [
    ("nodes.csv", "b,g1", "b,g9", "nodes.csv:4: column 'graph': there is no graph 'g9'"),
    ("nodes.csv", "graph,x", "group,x", "nodes.csv:1: there is no column 'graph'"),
    ("nodes.csv", "graph,x", "graph,label", "nodes.csv:1: column 'label': labels of graphs"),
    ("nodes.csv", "e,g3", "e,g2", "graphs.csv:4: graph 'g3' has no nodes in nodes.csv"),
    ("edges.csv", "d,c", "d,a", "edges.csv:3: 'd' and 'a' are nodes of two graphs"),
    ("graphs.csv", "g2,0", "g1,0", "graphs.csv:3: id 'g1' occurs a second time"),
    ("graphs.csv", "g2,0", "g2,", "graph 'g2' is in the valid part without a label"),
    ("graphs.csv", "id,label", "id,size,label", "graphs.csv:2: 2 fields, but line 1 names 3"),
]


@pytest.mark.parametrize(("name", "old", "new", "message"), GRAPH_FAULTS)
def test_a_fault_of_several_graphs(
    folder: Folder, name: str, old: str, new: str, message: str
) -> None:
    assert old in GRAPH_LEVEL[name]
    folder.fill(GRAPH_LEVEL).fill({name: GRAPH_LEVEL[name].replace(old, new)})
    with pytest.raises(UserError, match=re.escape(message)):
        folder.read()


def test_many_whole_numbers_may_be_either(folder: Folder) -> None:
    lines = "".join(f"n{i},{i}\n" for i in range(200))
    files = {"nodes.csv": "id,label\n" + lines, "edges.csv": "source,target\nn0,n1\n"}
    with pytest.raises(UserError, match=r"200 different whole numbers: write `task: class"):
        folder.fill(files).config("model=gcn")
    card = folder.fill(files, dataset__yaml="task: regression\n").read("model=gcn").card
    assert card.loss == "l1"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data=folder"], "needs data.path=FOLDER"),
        (["data=folder", "data.path=/no/such"], "there is no such folder or file"),
        (["data=csbm", "data.path=/tmp"], "unknown setting 'data.path'"),
    ],
)
def test_the_path_is_checked(words: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        compose(["model=gcn", *words])


def test_an_empty_folder_says_what_belongs_in_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"neither a nodes.csv nor a saved PyG dataset"):
        Folder(tmp_path).config()
    (tmp_path / "nodes.csv").write_text(NODES)
    with pytest.raises(UserError, match=r"has no edges.csv"):
        Folder(tmp_path).read("model=gcn")


def test_two_contents_never_share_a_name_and_a_copy_does(folder: Folder, tmp_path: Path) -> None:
    one = folder.fill(NODE_LEVEL).config("model=gcn")
    copy = Folder(tmp_path / "elsewhere" / "my graphs")
    copy.path.parent.mkdir()
    copied = copy.fill(NODE_LEVEL).config("model=gcn")
    assert one["data"]["name"] == copied["data"]["name"]
    assert re.fullmatch(r"my-graphs-[0-9a-f]{8}", one["data"]["name"])
    assert identity(one) == identity(copied)
    changed = folder.fill({"edges.csv": EDGES + "a,c\n"}).config("model=gcn")
    assert changed["data"]["name"] != one["data"]["name"]
    assert identity(changed) != identity(one)


def test_a_folder_that_changed_since_the_run_began_is_refused(folder: Folder) -> None:
    card = DataCard.from_config(folder.fill(NODE_LEVEL).config("model=gcn")["data"])
    folder.fill({"edges.csv": EDGES + "a,c\n"})
    with pytest.raises(UserError, match=r"edges.csv has changed, and is my-graphs-\w+ no more"):
        load(card, Path("/nowhere"), folder.path.parent / "cache")
    (folder.path / "edges.csv").unlink()
    with pytest.raises(UserError, match=r"no longer has edges.csv"):
        load(card, Path("/nowhere"), folder.path.parent / "cache")


def test_no_row_costs_a_call(folder: Folder) -> None:
    """A million edges are read in seconds because Python does nothing for each."""

    def calls(num_nodes: int) -> int:
        ends = np.random.RandomState(0).randint(0, num_nodes, (10 * num_nodes, 2))
        edges = "source,target\n" + "\n".join(f"n{s},n{t}" for s, t in ends.tolist()) + "\n"
        nodes = "id,f,label\n" + "".join(f"n{i},{i % 7},{i % 3}\n" for i in range(num_nodes))
        folder.fill({"nodes.csv": nodes, "edges.csv": edges})
        made = 0

        def count(frame: object, event: str, argument: object) -> None:
            nonlocal made
            made += event.endswith("call")

        sys.setprofile(count)
        dataset = folder.read("model=gcn")
        sys.setprofile(None)
        both = np.concatenate([ends, ends[:, ::-1]])
        expected = np.unique(both[:, 0] * num_nodes + both[:, 1]).size
        assert dataset.statistics["num_edges"] == expected
        return made

    calls(100)  # imports what is needed
    assert calls(8000) < calls(1000) + 1000


def test_the_rules_are_found_without_torch(folder: Folder) -> None:
    folder.fill(NODE_LEVEL)
    script = f"""
import sys
from gbench.config.compose import compose
compose(["model=gcn", "data=folder", "data.path={folder.path}"])
print("torch" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.stdout == "False\n"
