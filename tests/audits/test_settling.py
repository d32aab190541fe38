"""Stable colours found from what changed, against refinement of everything in each round."""

from __future__ import annotations

import networkx
import numpy as np
import pytest

from gbench.audits.audited import kept_colours
from gbench.audits.colours import refine
from tests.audits.made import of_nodes


def same(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether both tell the same nodes apart, by numbers from 0 without gaps."""
    pairs = np.unique(np.stack([one, other]), axis=1)
    return pairs.shape[1] == one.max() + 1 == other.max() + 1


GRAPHS = {
    "path": networkx.path_graph(60),
    "even path": networkx.path_graph(61),
    "cycle": networkx.cycle_graph(30),
    "grid": networkx.convert_node_labels_to_integers(networkx.grid_2d_graph(9, 14)),
    "tree": networkx.balanced_tree(3, 4),
    "tail": networkx.lollipop_graph(6, 40),
    "cycles": networkx.disjoint_union(networkx.cycle_graph(9), networkx.path_graph(33)),
    "alone": networkx.empty_graph(5),
    **{f"sparse {k}": networkx.gnm_random_graph(120, 130, seed=k) for k in range(5)},
}


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("directed", [False, True])
def test_the_same_colours_after_as_many_rounds(name: str, directed: bool) -> None:
    edges = list(GRAPHS[name].edges)
    edges += [] if directed else [(b, a) for a, b in edges]
    number = GRAPHS[name].number_of_nodes()
    for initial in (np.zeros(number, dtype=np.int64), np.arange(number) % 7 == 3):
        data = of_nodes(np.asarray(initial, np.float32)[:, None], edges, [0] * number, [])
        s = data.structure
        lists = (s.in_ptr, s.in_indices) if directed else (s.indptr, s.indices)
        *_, expected = rounds = list(refine(initial, *lists))
        found = data.directed_colours if directed else data.colours
        assert found.stable_depth == len(rounds) - 1
        assert same(found.stable, expected)
        assert all(same(found.at(k), rounds[min(k, len(rounds) - 1)]) for k in range(4))


def test_a_long_path_is_done_in_seconds() -> None:
    """Refining all nodes in each of its 5,000 rounds would take much longer."""
    number = 10_000
    ends = np.arange(number - 1)
    edges = np.concatenate([np.stack([ends, ends + 1], 1), np.stack([ends + 1, ends], 1)])
    s = of_nodes(np.ones((number, 1), np.float32), edges, [0] * number, []).structure
    lists = s.indptr, s.indices
    found = kept_colours(np.zeros(number, dtype=np.int64), lists, lists)
    assert found.stable_depth == number // 2 - 1
    assert same(found.stable, np.minimum(np.arange(number), np.arange(number)[::-1]))
