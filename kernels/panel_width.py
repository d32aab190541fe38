"""How many columns a panel has: see cpu/panels.py. Both devices pad what they keep to panels."""

from __future__ import annotations


def panel_width(width: int) -> int:
    """8, 16 or 32, whichever makes a hop over `width` columns cheapest.

    A panel of P columns costs as much as P + 14: 12, 14 and 23 µs per hop of Cora. Wide ones walk
    the entries less often, narrow ones pad less.
    """
    return min((32, 16, 8), key=lambda lanes: -(-width // lanes) * (lanes + 14))


def padded(width: int) -> int:
    """The width of all panels together."""
    lanes = panel_width(width)
    return -(-width // lanes) * lanes
