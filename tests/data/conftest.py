"""A small dataset with raw files of its own, in a module that the tests may change."""

from __future__ import annotations

import hashlib
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gbench.data.spec import DataCard

LOADER = """
import os
from pathlib import Path
import torch
from gbench.data.source import Graph, Source, Split


def load(raw, scale=1.0):
    with Path(os.environ["TOY_LOG"]).open("a") as log:
        log.write("prepared\\n")
    rows = [float(word) for word in (raw / "numbers.txt").read_text().split()]
    edge_index = torch.tensor([[0, 1, 2, 1], [1, 2, 1, 0]])
    graphs = [
        Graph(torch.tensor([[row, 3 * row], [0.0, 0.0], [1.0, 1.0]]) * scale, edge_index,
              torch.tensor([i % 2]))
        for i, row in enumerate(rows)
    ]
    order = torch.arange(6)
    return Source(graphs, [Split(*order.split(2)), Split(*order.flip(0).split(2))], 2)
"""
NUMBERS = b"1 2 3 4 5 6\n"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Toy:
    """Where the toy dataset lies, its card, and how often it was prepared."""

    def __init__(self, root: Path) -> None:
        self.module, self.log = root / "toy_loader.py", root / "log"
        self.data_dir, self.cache_dir = root / "data", root / "cache"
        self.raw = self.data_dir / "toy" / "numbers.txt"
        self.raw.parent.mkdir(parents=True)
        self.raw.write_bytes(NUMBERS)
        self.log.touch()
        self.set_code(LOADER)

    def set_code(self, code: str) -> None:
        self.module.write_text(code)
        sys.modules.pop("toy_loader", None)
        importlib.invalidate_caches()

    @property
    def times_prepared(self) -> int:
        return self.log.read_text().count("prepared")

    def card(self, **changes: Any) -> DataCard:
        facts = {
            "name": "toy",
            "_target_": "toy_loader.load",
            "level": "graph",
            "loss": "cross-entropy",
            "metric": "accuracy",
            "direction": "max",
            "split": "fixed",
            "num_folds": 2,
            "fold": 0,
            "source": "here",
            "licence": "MIT",
            "citation": "nobody",
            "folder": "toy",
            "download": [{"url": "http://127.0.0.1:9/toy", "files": {"numbers.txt": None}}],
        }
        return DataCard.from_config({**facts, **changes})


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Toy]:
    made = Toy(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("TOY_LOG", str(made.log))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    # bytecode of two versions written in the same second would be taken for one another
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield made
    sys.modules.pop("toy_loader", None)
