"""Graphs of other kinds than gbench trains on: refused in a sentence that says what to do."""

from __future__ import annotations

from collections.abc import Iterable

KINDS = {
    "HeteroData": (
        "several kinds of nodes or edges: HeteroData.to_homogeneous() makes one graph, whose "
        "node_type and edge_type may be categories in x and edge_attr"
    ),
    "TemporalData": (
        "events in time: make a graph of them, with their time in edge_attr, and a split by time"
    ),
    "DataBatch": "several graphs in one: take batch.to_data_list()",
    "HyperGraphData": (
        "hyperedges: give nodes and hyperedges as a graph, or take transform=hypergraph"
    ),
}


def refusal(kind: str) -> str:
    """What is told of an object of a class of PyG's, by its name; empty: nothing is wrong."""
    return f"{kind}, {KINDS[kind]}" if kind in KINDS else ""


def mesh(keys: Iterable[str], *, has_edges: bool) -> str:
    """What is told of a mesh without edges; empty for any other graph."""
    if "face" in keys and not has_edges:
        return "a mesh has faces and no edges: torch_geometric.transforms.FaceToEdge() makes edges"
    return ""


def of_edges(rows: int, edges: int) -> str:
    """What is told of labels that are those of edges."""
    return (
        f"y has {rows:,} rows for {edges:,} edges: gbench predicts nodes, graphs and links, and no "
        "labels of edges; make a node of each edge (torch_geometric.transforms.LineGraph()), or of "
        "links take data.level=link"
    )
