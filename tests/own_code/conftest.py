"""A folder of one's own with a model, an encoding, a loader and what they import."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest
import torch
from rich.console import Console

from gbench.config.compose import Config, compose
from gbench.config.identity import run_name
from gbench.own_code import importing
from gbench.quiet import silence
from gbench.records.record import RunRecord
from gbench.training import train

FILES = {
    "own_model.py": """
        import torch
        from own_parts import width
        class Own(torch.nn.Module):
            def __init__(self, spec, *, table="", factor=1):
                super().__init__()
                inputs = spec.num_features + spec.pe_dim
                self.lin = torch.nn.Linear(width.of(inputs), spec.num_outputs)
                self.scale = float(open(table).read()) if table else factor
            def forward(self, batch):
                from own_lazy import shifted
                x = batch.x if batch.pe is None else torch.cat([batch.x, batch.pe], 1)
                return shifted(self.lin(x)) * self.scale
        """,
    "own_parts/__init__.py": "",
    "own_parts/width.py": """
        from .rule import times
        def of(inputs): return inputs * times
        """,
    "own_parts/rule.py": "times = 1\n",
    "own_lazy.py": "def shifted(x): return x + 0.5\n",
    "own_encoding.py": """
        import own_help
        def degree(graph, node_ptr, table=""):
            own_help.seen("encoding")
            return graph.in_degree.float().unsqueeze(1) * own_help.factor
        """,
    "own_data.py": """
        import own_help
        from gbench.data.loaders import csbm
        from gbench.train.metrics import accuracy
        def share(logits, y): return accuracy(logits, y)
        def load(raw, table="", **options):
            own_help.seen("loader")
            return csbm.load(raw, **options)
        """,
    "own_help.py": "factor = 2.0\ndef seen(name): print('computed', name)\n",
    "own_batching.py": """
        from own_help import factor
        from gbench.data.big.neighbours import Neighbours
        class Cut(Neighbours): pass
        """,
    "own_logger.py": "def make(config, folder): return []\n",
    "unrelated.py": "x = 1\n",
    "model/own.yaml": """
        # @package _global_
        model: {_target_: own_model.Own, levels: [node], factor: 1, table: ''}
        """,
    "encoding/degree.yaml": "_target_: own_encoding.degree\n",
    "logger/own.yaml": "_target_: own_logger.make\n",
    "batching/cut.yaml": """
        {_target_: own_batching.Cut, fan_outs: [2], nodes_per_batch: 9, workers: 1}
        """,
    "data/owndata.yaml": """
        {_target_: own_data.load, num_nodes: 120, num_classes: 2, num_features: 4, avg_degree: 3,
         homophily: 0.8, signal: 1.0, seed: 0, level: node, loss: cross-entropy,
         metric: own_data.share, direction: max, split: own, num_folds: 10, fold: 0, source: here,
         licence: CC0, citation: none}
        """,
}
SHORT = ("trainer=cpu", "trainer.max_epochs=3", "optim.lr=0.1", "logger=none")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)
    silence()


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder, `mine/` in the current one."""
    before = [*sys.path]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GBENCH_CACHE", str(tmp_path / "cache"))
    for name, text in FILES.items():
        path = tmp_path / "mine" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text).lstrip())
    yield tmp_path / "mine"
    importing.use([])
    sys.path[:] = before
    for name in [name for name in sys.modules if name.startswith("own_")]:
        del sys.modules[name]


@pytest.fixture
def composed(mine: Path) -> Callable[..., Config]:
    """Compose these words with the folder."""
    return lambda *words: compose(["model=own", "data=csbm", *SHORT, *words], [Path("mine")])


@pytest.fixture
def trained(composed: Callable[..., Config]) -> Callable[..., tuple[RunRecord, Path]]:
    """Train with these words; the record and the run's folder."""

    def start(*words: str) -> tuple[RunRecord, Path]:
        config = composed(*words)
        folder = Path(config["runs_dir"]) / run_name(config)
        record = train(config, folder, Console(quiet=True))
        assert record is not None
        return record, folder

    return start
