"""Floors in a config: methods that are no network, and which settings say nothing to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def is_floor(model: Mapping[str, Any]) -> bool:
    """Whether a model's YAML says `is_network: false`: its class is a gbench.floors.floor.Floor."""
    return model.get("is_network") is False
