"""Degrees, homophily, components and twins of items, against networkx and by hand."""

import networkx as nx
import numpy as np
import pytest

from gbench.audits.audited import audited
from gbench.config.compose import compose
from gbench.data.spec import DataCard
from gbench.predictions.surroundings import measures
from gbench.predictions.twins import in_conflict


@pytest.fixture
def data_of(shared_cache, tmp_path):
    def made(folder):
        config = compose(["model=mlp", "data=folder", f"data.path={folder}"])
        return audited(DataCard.from_config(config["data"]), tmp_path, shared_cache)

    return made


def test_nodes_are_measured_as_networkx_has_them(data_of, people, read_table):
    values = {m.name: m.values for m in measures(data_of(people))}
    nodes = {row["id"]: row["label"] for row in read_table((people / "nodes.csv").read_text())}
    graph = nx.Graph()
    graph.add_nodes_from(nodes)
    rows = read_table((people / "edges.csv").read_text())
    graph.add_edges_from((row["source"], row["target"]) for row in rows)
    assert values["degree"].tolist() == [graph.degree[n] for n in nodes]
    assert values["component size"].tolist() == [
        len(nx.node_connected_component(graph, n)) for n in nodes
    ]
    for value, (name, label) in zip(values["homophily"], nodes.items(), strict=True):
        near = [nodes[other] for other in graph[name] if nodes[other]]
        if not label:
            continue
        wanted = np.mean([other == label for other in near]) if near else np.nan
        np.testing.assert_allclose(value, wanted)


def test_nodes_with_equal_features_and_neighbours_are_twins(data_of, tmp_path, write_table):
    """a and b hang on c, alike but for their labels; d hangs there too with the label of a."""
    where = tmp_path / "star"
    nodes = {
        "id": [*"abcdefgh"],
        "x": [1, 1, 5, 1, 2, 2, 3, 4],
        "label": ["u", "v", "u", "u", "v", "v", "u", "v"],
    }
    write_table(where / "nodes.csv", nodes)
    ends = ["ac", "bc", "dc", "ec", "fc", "gh"]
    source, target = ([end[k] for end in ends] for k in (0, 1))
    write_table(where / "edges.csv", {"source": source, "target": target})
    found = in_conflict(data_of(where))
    assert [name for name, is_twin in zip(nodes["id"], found, strict=True) if is_twin] == [*"abd"]


def test_isomorphic_graphs_of_other_labels_are_twins(data_of, tmp_path, write_table):
    where = tmp_path / "paths"
    graphs = {f"g{k}": (3 if k < 4 else 4) for k in range(8)}
    nodes = [(g, f"{g}.{i}") for g, n in graphs.items() for i in range(n)]
    graph, name = zip(*nodes, strict=True)
    # g0 to g3 are paths of three, g3 with its mark in the middle; g4 to g7 paths of four
    mark = [int(i == ("g3.1" if g == "g3" else f"{g}.0")) for g, i in nodes]
    write_table(where / "nodes.csv", {"id": name, "graph": graph, "mark": mark})
    ends = [(f"{g}.{i}", f"{g}.{i + 1}") for g, n in graphs.items() for i in range(n - 1)]
    source, target = zip(*ends, strict=True)
    write_table(where / "edges.csv", {"source": source, "target": target})
    label = [*"uvuvuuuu"]
    write_table(where / "graphs.csv", {"id": [*graphs], "label": label})
    assert in_conflict(data_of(where)).tolist() == [True, True, True, *[False] * 5]


def test_directions_and_loops_tell_graphs_apart(data_of, tmp_path, write_table):
    """Each pair of graphs has one undirected form; all but the last pair differ as stored."""
    where = tmp_path / "arrows"
    edges = {
        "g0": ["ab", "bc"], "g1": ["ba", "bc"],
        "g2": ["ab", "bc", "aa"], "g3": ["ab", "bc"],
        "g4": ["ab", "bc", "ca"], "g5": ["ba", "cb", "ac"],
    }  # fmt: skip
    names = [f"{g}{n}" for g in edges for n in "abc"]
    write_table(where / "nodes.csv", {"id": names, "graph": [name[:2] for name in names]})
    ends = [(f"{g}{e[0]}", f"{g}{e[1]}") for g, own in edges.items() for e in own]
    source, target = zip(*ends, strict=True)
    write_table(where / "edges.csv", {"source": source, "target": target})
    write_table(where / "graphs.csv", {"id": [*edges], "label": [*"uvuvuv"]})
    (where / "dataset.yaml").write_text("directed: true\n")
    # g0 and g3 are one path; their labels differ
    assert in_conflict(data_of(where)).tolist() == [True, False, False, True, True, True]
