"""Peers of `embedding_sum`: the nine atom features of OGB's molecules.

Bytes forward: codes read, y written. Backward: codes and ȳ read; the tables stay in cache.
"""

from __future__ import annotations

from functools import partial
from itertools import accumulate

import torch
import torch.nn.functional as F

from gbench.bench import peers
from gbench.bench.case import Arm, Case, Plan, normal, word
from gbench.bench.workloads import Workload
from gbench.data.loaders.ogb import ATOM_CATEGORIES
from gbench.kernels import embedding_sum
from gbench.kernels.embedding_sum import reference


def case(
    workload: Workload, width: int, dtype: torch.dtype = torch.float32, spare: int = 0
) -> Case:
    """Embeddings of this width; `spare` rows of the table are of no category that occurs.

    A large table's gradient is summed in another way than a small one's.
    """
    codes = workload.molecules.x
    device = codes.device
    starts = torch.tensor([0, *accumulate(ATOM_CATEGORIES)][:-1], device=device)
    values = {"table": normal(sum(ATOM_CATEGORIES) + spare, width, device=device, dtype=dtype)}
    wide = codes.long()
    rows = wide + starts

    def ogb() -> Arm:
        encoder = peers.ogb_encoders().AtomEncoder(width).to(device)
        weights = peers.embedding_weights(encoder, values["table"])
        return Arm(lambda: encoder(wide), {"table": weights})

    def bag() -> Arm:
        return Arm.of(lambda table: F.embedding_bag(rows, table, mode="sum"), values)

    moved = codes.nbytes + codes.size(0) * width * dtype.itemsize
    found = {"embedding_bag": bag}
    if not spare:
        found |= {"OGB AtomEncoder": ogb, "Inductor": lambda: peers.inductor(ogb(), device)}
    return Case(
        Arm.of(lambda table: reference(codes, table, starts), values, torch.float64),
        Arm.of(lambda table: embedding_sum(codes, table, starts), values, dtype),
        found if dtype == torch.float32 else {},
        (moved, 2 * moved),
        dtype,
    )


def _plan(name: str, width: int = 300, dtype: torch.dtype = torch.float32, spare: int = 0) -> Plan:
    detail = f"D={width}" + (f" {spare} more rows" if spare else "") + word(dtype)
    return Plan(name, detail, partial(case, width=width, dtype=dtype, spare=spare))


PLANS = (_plan("molhiv-32"), _plan("molhiv-512"))
VARIANTS = (
    _plan("molhiv-512", dtype=torch.bfloat16),
    _plan("molhiv-512", spare=2000),
    _plan("molhiv-512", 256, torch.bfloat16, spare=2000),
    *(_plan("molhiv-32", width) for width in (7, 40, 64, 256)),
)
