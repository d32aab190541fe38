"""Sheaf diffusion trained on Texas as the command line trains it: half a second each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

VARIANTS = {
    "diagonal": ("model=diag-nsd",),
    "householder": ("model=od-nsd",),
    "cayley": ("model=od-nsd", "model.orthogonal=cayley"),
    "matrix-exp": ("model=od-nsd", "model.orthogonal=matrix_exp"),
    "euler": ("model=od-nsd", "model.orthogonal=euler"),
    "general": ("model=gen-nsd",),
    "linear": ("model=gen-nsd", "model.linear=true", "model.add_lp=true", "model.add_hp=true"),
    "continuous": ("model=cont-nsd", "model.maps=orthogonal", "model.solver=euler"),
}


@pytest.mark.data
@pytest.mark.parametrize("words", VARIANTS.values(), ids=VARIANTS)
def test_it_learns_on_texas(words: tuple[str, ...], run: Any, data_dir: Path) -> None:
    record, _ = run(
        *words, "data=texas", "data.split=geom-gcn-undirected", f"data_dir={data_dir}",
        "model.num_layers=2" if "model=cont-nsd" not in words else "model.max_time=2",
        "model.dropout=0.3", "trainer.max_epochs=30", "optim.weight_decay=0.0005",
    )  # fmt: skip
    assert record.split == "geom-gcn-undirected"
    assert record.valid > 0.65  # the commonest class: 0.53
