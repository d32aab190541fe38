"""Peers of `scaled_sheaf_laplacian`, which is what `sheaf_laplacian` calls for such a D."""

from __future__ import annotations

from functools import partial

import torch

from gbench.bench.case import Plan
from gbench.bench.ops.sheaf_laplacian import case, scaled_case

PLANS = (
    Plan(
        "chameleon-sized",
        "d=2 F=20 diagonal",
        partial(case, stalk=2, width=20, is_diagonal=True, dtype=torch.float32),
    ),
    Plan(
        "chameleon-sized",
        "d=3 F=20 weight",
        partial(scaled_case, width=20, option="weight", dtype=torch.float32),
    ),
)
VARIANTS = ()
