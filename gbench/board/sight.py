"""What a model can see of an item, at most, by its settings: which ceiling holds for it.

A network that passes messages sees an item's stable 1-WL colour, one without edges its features.
Whatever gives a node a place in its graph, an encoding, another transform of the graph, parts or
copies of it, can see more, but gives isomorphic graphs equal answers. tests/board/test_sight.py
holds these lists against what each packaged model tells apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from gbench.board.published import Published
from gbench.config.identity import NOTHING

Sight = Literal["features", "1-WL", "isomorphism", "all"]

_MODELS = "gbench.models."
_FEATURES = {"mlp.MLP", "glnn.GLNN"}
_BEYOND_COLOURS = {  # copies, surroundings, patches and pairs of nodes
    "dss_gnn.SubgraphGNN",
    "gnn_ak.GNNAK",
    "graph_mlp_mixer.GraphMLPMixer",
    "sswl.SSWL",
    "dir_gnn.DirGNN",  # edges into and out of a node, told apart
    "faber_net.FaberNet",
}


def sight(config: Mapping[str, Any], is_own: bool = False) -> Sight:
    """What the model of a run's config can see: "all" if it has labels of other items.

    Code outside gbench (`is_own`) counts as seeing what an isomorphism keeps.
    """
    model = config.get("model", {})
    if not isinstance(model, dict) or model.get("is_network") is False:
        return "all"  # a table of training labels knows its neighbours by name
    if is_own:
        return "isomorphism"
    for group, nothing in NOTHING.items():
        chosen = config.get(group)
        if isinstance(chosen, dict) and chosen.get("name", nothing) != nothing:
            return "isomorphism"
    name = str(model.get("_target_", "")).removeprefix(_MODELS)
    if name in _BEYOND_COLOURS:
        return "isomorphism"
    return "features" if name in _FEATURES else "1-WL"


def sight_of_published(row: Published) -> Sight:
    """Of a network in a paper, by its name: MLPs see features, all others count as 1-WL.

    Those that see more are named as what they are where they score more.
    """
    return "features" if row.is_of("mlp") else "1-WL"
