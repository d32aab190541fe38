"""What is said that a model can see, against what each packaged model tells apart.

A hexagon and two triangles: all nodes have one 1-WL colour, so that whoever answers differently
somewhere sees more. Seen with random weights, since none of them may make a difference.
"""

import pytest
import torch

from gbench.board.sight import sight, sight_of_published
from gbench.build import build_task
from gbench.choices import PACKAGED, read_yaml
from gbench.config.compose import compose


def level_of(path):
    """At which a model is looked at; none for links alone, and for what is no network."""
    stated = read_yaml(path)
    for base in (entry for entry in stated.get("defaults", ()) if isinstance(entry, str)):
        if base != "_self_":
            below = read_yaml(path.with_stem(base))
            stated = {**below, "model": {**below["model"], **stated.get("model", {})}}
    levels = stated["model"]["levels"] if stated["model"].get("is_network", True) else ()
    return next((level for level in ("graph", "node") if level in levels), None)


PATHS = sorted((PACKAGED / "model").glob("*.yaml"))
MODELS = {path.stem: level for path in PATHS if (level := level_of(path))}
HEXAGON = [(i, (i + 1) % 6) for i in range(6)]
TRIANGLES = [(i, i // 3 * 3 + (i + 1) % 3) for i in range(6)]
COPIES = 6
DIRECTED = ("dir-gnn", "fabernet")  # more of edges that go one way, which these do not


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Copies of both as graphs of two classes, and as one graph whose nodes have two."""
    root = tmp_path_factory.mktemp("sight")
    for level in ("graph", "node"):
        nodes, edges, graphs = ["id,label"], ["source,target"], ["id,label"]
        if level == "graph":
            nodes = ["id,graph"]
        for copy in range(2 * COPIES):
            graphs.append(f"{copy},{copy % 2}")
            for i in range(6):
                nodes.append(f"{6 * copy + i},{copy if level == 'graph' else copy % 2}")
            for i, j in TRIANGLES if copy % 2 else HEXAGON:
                edges.append(f"{6 * copy + i},{6 * copy + j}")
        folder = root / f"{level}s"
        folder.mkdir()
        (folder / "nodes.csv").write_text("\n".join(nodes) + "\n")
        (folder / "edges.csv").write_text("\n".join(edges) + "\n")
        if level == "graph":
            (folder / "graphs.csv").write_text("\n".join(graphs) + "\n")
    return root


@pytest.mark.parametrize("name", MODELS)
def test_a_model_tells_apart_what_is_said(name, folders, made_up_teacher, monkeypatch):
    monkeypatch.chdir(folders)
    words = [f"model={name}", "data=folder", f"data.path={MODELS[name]}s", "experiment=null"]
    config = compose(words)
    task = build_task(config, made_up_teacher(config)).eval()
    with torch.no_grad():
        answers, _ = task.answers_to(torch.arange(len(task.dataset.store.y)))
    answers = answers.reshape(len(answers), -1).double()
    is_one = bool(torch.allclose(answers, answers[:1].expand_as(answers), atol=1e-5))
    if sight(config) in ("features", "1-WL"):
        assert is_one, f"{name} tells apart what 1-WL does not: see gbench/board/sight.py"
    elif config["encoding"]["name"] == "none" and name not in DIRECTED:
        assert not is_one, f"{name} is said to see more than it does"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "1-WL"),
        ({"encoding": {"name": "none"}, "transform": {"name": "none"}}, "1-WL"),
        ({"encoding": {"name": "lappe"}}, "isomorphism"),
        ({"transform": {"name": "virtual-node"}}, "isomorphism"),
        ({"batching": {"name": "shadow"}}, "isomorphism"),
        ({"model._target_": "gbench.models.glnn.GLNN"}, "features"),
        ({"model.is_network": False}, "all"),
        ({"model": None}, "all"),
    ],
)
def test_settings_decide(make_config, changes, said):
    assert sight(make_config(changes)) == said


def test_of_code_outside_gbench_nothing_more_is_known(make_config):
    assert sight(make_config({"model._target_": "mine.Net"}), is_own=True) == "isomorphism"


def test_a_paper_s_mlp_sees_features(make_published):
    assert sight_of_published(make_published(model="MLP")) == "features"
    assert sight_of_published(make_published(model="GPS")) == "1-WL"
