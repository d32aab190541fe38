"""All contracts of a loader, in the order in which they are told."""

from __future__ import annotations

from gbench.contracts.contract import Contract
from gbench.contracts.loaders import labels, process, repeatable, sound, untouched
from gbench.contracts.loaders.subject import Loader

ROOMS = (sound, repeatable, process, labels, untouched)
CONTRACTS: tuple[Contract[Loader], ...] = tuple(room.CONTRACT for room in ROOMS)
