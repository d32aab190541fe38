"""Peers of `embedding_sum`: the nine atom features of OGB's molecules.

Bytes forward: codes read, y written. Backward: codes and ȳ read; the tables stay in cache.
"""

from __future__ import annotations

from functools import partial
from itertools import accumulate

import torch
import torch.nn.functional as F

from gbench.bench import peers
from gbench.bench.case import Arm, Case, Plan
from gbench.bench.workloads import Workload
from gbench.data.loaders.ogb import ATOM_CATEGORIES
from gbench.kernels import embedding_sum
from gbench.kernels.embedding_sum import reference


def case(workload: Workload, width: int) -> Case:
    """Embeddings of this width."""
    codes = workload.molecules.x
    device = codes.device
    starts = torch.tensor([0, *accumulate(ATOM_CATEGORIES)][:-1], device=device)
    values = {"table": torch.randn(sum(ATOM_CATEGORIES), width, device=device)}
    wide = codes.long()
    rows = wide + starts

    def ogb() -> Arm:
        encoder = peers.ogb_encoders().AtomEncoder(width).to(device)
        weights = peers.embedding_weights(encoder, values["table"])
        return Arm(lambda: encoder(wide), {"table": weights})

    def bag() -> Arm:
        return Arm.of(lambda table: F.embedding_bag(rows, table, mode="sum"), values)

    moved = codes.nbytes + codes.size(0) * width * 4
    return Case(
        Arm.of(lambda table: reference(codes, table, starts), values, torch.float64),
        Arm.of(lambda table: embedding_sum(codes, table, starts), values),
        {
            "OGB AtomEncoder": ogb,
            "embedding_bag": bag,
            "Inductor": lambda: peers.inductor(ogb(), device),
        },
        (moved, 2 * moved),
    )


PLANS = tuple(Plan(name, "D=300", partial(case, width=300)) for name in ("molhiv-32", "molhiv-512"))
