"""Full-batch training on one graph, validated every epoch: gbench beside a plain loop.

Both have the same settings, those of the experiment, except that both test the weights of the best
validation epoch. The arms are compared first: the same weights have to give the same logits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from statistics import fmean
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from gbench.bench.train.baselines import PyGAPPNP, PyGGATv2, PyGGCNII, PyGSAGE
from gbench.bench.train.citation import PyGDAGNN, PyGGCN, PyGSGC
from gbench.bench.train.directions import PyGDirSAGE
from gbench.bench.train.ours import trained
from gbench.bench.train.pair import Comparison, Trained, check_same
from gbench.bench.train.plain import PlainLoop
from gbench.bench.train.sheaf import GatherScatterNSD
from gbench.build import build_task
from gbench.config.compose import Config, compose
from gbench.data.batch import Batch
from gbench.data.spec import DataSpec
from gbench.models.sheaf_learner import undirected

CHUNK_SECONDS = 0.25  # both sides take turns with so much work at a time
MAX_CHUNK = 100
QUICK_EPOCHS = 30
SEEDS, SEEDS_SECONDS = 5, 120  # of whole trainings; none is begun when the seconds are over

Make = Callable[[DataSpec, Mapping[str, Any], Batch], nn.Module]


def _pyg(kind: type[nn.Module]) -> Make:
    return lambda spec, settings, _: kind(spec, settings)


def _sheaf(spec: DataSpec, settings: Mapping[str, Any], batch: Batch) -> nn.Module:
    graph = undirected(batch)
    edge_index = torch.stack([graph.row, graph.col.long()])
    return GatherScatterNSD(spec, settings, edge_index, graph.num_rows)


class NodePair:
    """A model on a dataset, ours and another's."""

    unit = "epoch"

    def __init__(self, words: tuple[str, ...], other: str, make: Make) -> None:
        self.config, self.other, self.make = _comparable(compose([*words])), other, make
        task, loop = build_task(self.config), self._loop(patience=0)
        check_same(_logits(task.model, loop.batch), _logits(loop.model, *loop.inputs))
        # a first chunk each, in which everything is compiled and cached that will be
        self.loop, seconds = loop, (loop.advance(2), trained(self.config, 5)[1])
        self.chunks = [max(3, min(MAX_CHUNK, round(CHUNK_SECONDS / each))) for each in seconds]

    def _loop(self, patience: int, seed: int = 0) -> PlainLoop:
        """The other's model with the weights that ours begins with."""
        task = build_task({**self.config, "seed": seed})
        batch = task.dataset.store.whole()
        model = self.make(task.dataset.spec, self.config["model"], batch)
        renamed: Any = getattr(model, "renamed", dict)
        model.load_state_dict(renamed(task.model.state_dict()))
        optim = self.config["optim"]
        prefix = getattr(model, "decay_prefix", optim["decay_prefix"])
        return PlainLoop(model, task.dataset, {**optim, "decay_prefix": prefix}, patience)

    def by_turns(self) -> tuple[float, float]:
        """Seconds per epoch, ours first: our first epochs, and the other's next ones."""
        ours, theirs = self.chunks
        return trained(self.config, ours)[1], self.loop.advance(theirs)

    def finished(self, is_quick: bool) -> Trained:
        """Test accuracies at the best validation epochs: the mean of seeds, or quickly of one."""
        settings = self.config["trainer"]
        epochs = min(QUICK_EPOCHS, settings["max_epochs"]) if is_quick else settings["max_epochs"]
        ours: list[float] = []
        theirs: list[float] = []
        started = perf_counter()
        for seed in range(1 if is_quick else SEEDS):
            if ours and perf_counter() - started > SEEDS_SECONDS:
                break
            loop = self._loop(settings["patience"], seed)
            loop.advance(epochs)
            task, _ = trained({**self.config, "seed": seed}, epochs)
            ours.append(task.evaluate("test"))
            theirs.append(loop.best_test)
        waits = f", patience {settings['patience']}" if settings["patience"] else ""
        seeds = f", mean of {len(ours)} seeds" if len(ours) > 1 else ""
        how = f"{epochs} epochs{waits}{seeds}"
        return Trained(fmean(ours), fmean(theirs), task.dataset.card.metric, how)


def _comparable(config: Config) -> Config:
    """The experiment with the weights of the best validation accuracy tested.

    Without a stopping rule but patience: all others look at losses, each at its own.
    """
    trainer = dict(config["trainer"])
    trainer["patience"] = trainer["patience"] if trainer["stop"] == "patience" else 0
    best = {"stop": "patience", "monitor": "metric", "ties": "earlier", "select": "best"}
    return {**config, "trainer": trainer | best}


def _logits(model: nn.Module, *inputs: Any) -> Tensor:
    """What the model says of all nodes in evaluation. Shapes: → (N, C)."""
    model.eval()
    with torch.no_grad():
        out: Tensor = model(*inputs)
    return out


def _citation(model: str, data: str, kind: type[nn.Module], *more: str) -> Comparison:
    words = (f"model={model}", f"data={data}", *more)
    return Comparison(data, lambda: NodePair(words, "PyG", _pyg(kind)))


def _sheaf_on(model: str, data: str) -> Comparison:
    words = (f"experiment={model}-{data}",)
    return Comparison(data, lambda: NodePair(words, "gather and scatter", _sheaf))


PAIRS = {
    **{
        f"{model}-{data}": _citation(model, data, kind)
        for data in ("cora", "citeseer")
        for model, kind in (("gcn", PyGGCN), ("sgc", PyGSGC), ("dagnn", PyGDAGNN))
    },
    **{
        f"{model}-{data}": _citation(model, data, kind)
        for data in ("cora", "computers")
        for model, kind in (
            ("appnp", PyGAPPNP),
            ("gatv2", PyGGATv2),
            ("gcnii", PyGGCNII),
            ("sage", PyGSAGE),
        )
    },
    **{
        f"dir-gnn-{data}": _citation("dir-gnn", data, PyGDirSAGE, "model.base=sage")
        for data in ("cora", "computers")
    },
    **{
        f"{model}-{data}": _sheaf_on(model, data)
        for data in ("texas", "chameleon")
        for model in ("diag-nsd", "od-nsd", "gen-nsd")
    },
}
