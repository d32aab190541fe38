"""All contracts of an encoding, in the order in which they are told."""

from __future__ import annotations

from gbench.contracts.contract import Contract
from gbench.contracts.encodings import answers, batching, labels, node_order, repeatable
from gbench.contracts.encodings.subject import Encoding

ROOMS = (answers, repeatable, node_order, batching, labels)
CONTRACTS: tuple[Contract[Encoding], ...] = tuple(room.CONTRACT for room in ROOMS)
