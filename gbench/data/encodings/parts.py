"""The encodings that a config's `encoding` names: none, one, or a group of settings for each.

Nothing here needs torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gbench.errors import UserError

NOT_OPTIONS = ("name", "_target_", "random_signs", "values")
VALUES = ("nodes", "pairs")


def parts(settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The settings of each encoding, with its name, in the order in which they are listed."""
    if "_target_" in settings:
        return [dict(settings)]
    inner = [(name, part) for name, part in settings.items() if isinstance(part, Mapping)]
    return [{"name": name, **part} for name, part in inner if "_target_" in part]


def are_pairs(part: Mapping[str, Any]) -> bool:
    """Whether an encoding is one of pairs. Raises UserError for a word that means neither."""
    values = part.get("values", "nodes")
    if values not in VALUES:
        raise UserError(
            f"encoding={part['name']}: values is '{values}', allowed are {' and '.join(VALUES)}"
        )
    return bool(values == "pairs")


def options_of(part: Mapping[str, Any]) -> dict[str, Any]:
    """What is given to the function by name."""
    return {key: value for key, value in part.items() if key not in NOT_OPTIONS}


def check_pairs(settings: Mapping[str, Any], data: Mapping[str, Any], batching: str) -> None:
    """Raise UserError where an encoding of pairs has no pairs to say something of.

    At link level `batch.pairs` are the pairs to tell apart, and a part of a graph has only some.
    """
    name = next((part["name"] for part in parts(settings) if are_pairs(part)), None)
    if name is None:
        return
    if data["level"] == "link":
        raise UserError(
            f"encoding={name} has values for all pairs of nodes, and {data['name']} is link-level, "
            "where batch.pairs are the pairs to tell apart: take an encoding of nodes, as "
            "encoding=rwse"
        )
    if batching != "full":
        raise UserError(
            f"batching={batching}: encoding={name} has values for all pairs of nodes of the graph, "
            "and a part has only some: take batching=full, or an encoding of nodes, as "
            "encoding=rwse"
        )
