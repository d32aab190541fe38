"""Random numbers from where they are needed: a hash of the seed and the element's place.

Nothing is kept for the way back, which draws the same again, and any number of threads draws the
same. `keep_mask` of gbench/kernels/norm_act.py is the same in plain torch.
"""

from __future__ import annotations

from typing import Any

from numba import uint32

from gbench.kernels.cpu.rows import compiled


@compiled
def _mix(word: Any) -> Any:
    word = uint32((word ^ (word >> uint32(16))) * uint32(0x7FEB352D))
    word = uint32((word ^ (word >> uint32(15))) * uint32(0x846CA68B))
    return uint32(word ^ (word >> uint32(16)))


@compiled
def row_key(seed: int, row: int) -> Any:
    """What the draws of a row begin with."""
    return _mix(uint32(_mix(uint32(row + seed)) ^ uint32(seed >> 32)))


@compiled
def draw(key: Any, feature: int) -> Any:
    """32 random bits for an element of the row."""
    return _mix(uint32(key + uint32(feature) * uint32(0x9E3779B9)))


@compiled
def drop_rule(dropout: float) -> tuple[bool, Any, float]:
    """Whether to drop at all, the smallest draw that is kept, and the factor of what is kept."""
    return dropout > 0, uint32(dropout * 4294967296.0), 1 / (1 - dropout)
