"""OGB's GIN on ogbg-molhiv from PyG's message passing and loader, step by step beside ours.

Both step through the same graphs in the same order; a step is a batch from the loader, forward,
backward and Adam.

Legend: N nodes, E edges, D hidden_dim.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader
from torch_geometric.nn import MessagePassing, global_mean_pool

from gbench.bench import measure, peers
from gbench.bench.loader import pyg_graphs
from gbench.bench.train.pair import Comparison, Trained, check_same
from gbench.build import build_task
from gbench.config.compose import compose
from gbench.train.metrics import score
from gbench.train.optimizer import make_optimizer
from gbench.train.task import EVALUATION_BATCH

TRAINED, QUICK = 8192, 512  # graphs that both are trained on, once
STRETCH_SECONDS = 0.5  # both sides take turns with so much work at a time


class OGBGINConv(MessagePassing):  # type: ignore[misc]
    """MLP((1 + ε) x_i + Σ relu(x_j + e_ij)). Shapes: x (N, D), bond (E, 3) → (N, D)."""

    def __init__(self, dim: int) -> None:
        super().__init__(aggr="add")
        self.mlp = nn.Sequential(
            nn.Linear(dim, 2 * dim), nn.BatchNorm1d(2 * dim), nn.ReLU(), nn.Linear(2 * dim, dim)
        )
        self.eps = nn.Parameter(torch.zeros(1))
        self.bonds = peers.ogb_encoders().BondEncoder(dim)

    def forward(self, x: Tensor, edge_index: Tensor, bond: Tensor) -> Tensor:
        total = self.propagate(edge_index, x=x, edge_attr=self.bonds(bond))
        out: Tensor = self.mlp((1 + self.eps) * x + total)
        return out

    def message(self, x_j: Tensor, edge_attr: Tensor) -> Tensor:
        return functional.relu(x_j + edge_attr)


class OGBGIN(nn.Module):
    """OGB's arrangement, as our GIN with jk=last. Shapes: a batch of B graphs → (B, 1)."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__()
        dim, layers = settings["hidden_dim"], settings["num_layers"]
        self.dropout = settings["dropout"]
        self.atoms = peers.ogb_encoders().AtomEncoder(dim)
        self.convs = nn.ModuleList(OGBGINConv(dim) for _ in range(layers))
        self.norms = nn.ModuleList(nn.BatchNorm1d(dim) for _ in range(layers))
        self.head = nn.Linear(dim, 1)

    def forward(self, batch: Any) -> Tensor:
        x = self.atoms(batch.x)
        for layer, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            x = norm(conv(x, batch.edge_index, batch.edge_attr))
            x = functional.relu(x) if layer < len(self.convs) - 1 else x
            x = functional.dropout(x, self.dropout, self.training)
        out: Tensor = self.head(global_mean_pool(x, batch.batch, batch.num_graphs))
        return out

    def take_weights(self, ours: Any) -> None:
        """Begin with the parameters of a GIN of ours."""
        peers.embedding_weights(self.atoms, ours.encoder.features.table)
        conv: Any
        for conv, layer in zip(self.convs, ours.layers, strict=True):
            peers.embedding_weights(conv.bonds, layer.bonds.table)
            conv.mlp[0].load_state_dict(layer.mlp[0].state_dict())
            conv.mlp[1].load_state_dict(layer.mlp[1].norm.state_dict())
            conv.mlp[3].load_state_dict(layer.mlp[2].state_dict())
        for norm, norm_act in zip(self.norms, ours.norm_acts, strict=True):
            norm.load_state_dict(norm_act.norm.state_dict())
        self.head.load_state_dict(ours.heads[0].state_dict())


class Side(NamedTuple):
    """A model that is trained, and where its batches come from."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    batches: Callable[[], Iterable[Any]]
    is_bf16: bool = False  # trainer.precision=bf16-mixed

    def steps(self) -> Iterator[None]:
        """Make a step each time that the next one is asked for, pass after pass."""
        self.model.train()
        while True:
            for batch in self.batches():
                self.optimizer.zero_grad()
                self.loss(batch).backward()
                self.optimizer.step()
                yield

    def loss(self, batch: Any) -> Tensor:
        """The mean over the labelled graphs."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.is_bf16):
            return functional.binary_cross_entropy_with_logits(self.model(batch), batch.y)

    def logits(self, batches: Iterable[Any]) -> Tensor:
        """What the model says of these graphs in evaluation."""
        self.model.eval()
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=self.is_bf16):
            return torch.cat([self.model(batch) for batch in batches]).float()


class MoleculePair:
    """Our model with our loader, and another's with PyG's over a list of graphs.

    `theirs` is built from our settings and has `take_weights(ours)`; both are trained on `trained`
    graphs. With `is_bf16` ours computes as trainer.precision=bf16-mixed has it, theirs in float32.
    """

    unit = "step"

    def __init__(
        self,
        batch_size: int,
        words: Sequence[str] = ("model=gin", "data=ogbg-molhiv"),
        theirs: Any = OGBGIN,
        other: str = "OGB's model, PyG's loader",
        trained: int = TRAINED,
        is_bf16: bool = False,
    ) -> None:
        self.batch_size, self.kind, self.other, self.trained = batch_size, theirs, other, trained
        self.config = compose([*words, f"optim.batch_size={batch_size}"])
        self.dataset = build_task(self.config).dataset
        train = self.dataset.split.train
        order = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))
        self.ids = train[order[:trained]]
        self.graphs = pyg_graphs(self.dataset.store, self.ids)
        self.is_bf16 = is_bf16
        sides = self._sides(self.ids, self.graphs)
        check_same(
            *(side._replace(is_bf16=False).logits(islice(side.batches(), 1)) for side in sides)
        )
        self.steps = [side.steps() for side in sides]
        seconds = [min(_seconds(steps, 1) for _ in range(3)) for steps in self.steps]
        self.counts = [max(1, round(STRETCH_SECONDS / each)) for each in seconds]

    def _sides(self, ids: Tensor, graphs: Sequence[Data]) -> tuple[Side, Side]:
        """Both with the same fresh weights, and the optimizer as each of them has it."""
        ours = build_task(self.config).model
        theirs = self.kind(self.config["model"])
        theirs.take_weights(ours)
        optim, store = self.config["optim"], self.dataset.store
        return (
            Side(
                ours,
                make_optimizer(ours, optim, fused=True),
                lambda: store.batches(ids.split(self.batch_size)),
                self.is_bf16,
            ),
            Side(
                theirs,
                make_optimizer(theirs, optim, fused=False),
                lambda: DataLoader(graphs, self.batch_size),
            ),
        )

    def by_turns(self) -> tuple[float, float]:
        """Seconds per step of both sides' next steps, ours first."""
        ours, theirs = map(_seconds, self.steps, self.counts)
        return ours, theirs

    def finished(self, is_quick: bool) -> Trained:
        """The test metric after one pass."""
        count = QUICK if is_quick else self.trained
        test = self.dataset.split.test
        sides = self._sides(self.ids[:count], self.graphs[:count])
        for side in sides:
            for _ in islice(side.steps(), count // self.batch_size):
                pass
        ours, theirs = sides
        y = self.dataset.store.y[test]
        logits = (
            ours.logits(self.dataset.store.batches(test.split(EVALUATION_BATCH))),
            theirs.logits(DataLoader(pyg_graphs(self.dataset.store, test), EVALUATION_BATCH)),
        )
        card = self.dataset.card
        reached, other = (score(card, each, y) for each in logits)
        return Trained(reached, other, card.metric, f"{count:,} graphs once")


def _seconds(steps: Iterator[None], count: int) -> float:
    clock = measure.cpu_clock()
    started = clock()
    for _ in islice(steps, count):
        pass
    return (clock() - started) / count


PAIRS = {
    f"gin-molhiv-{size}{word}": Comparison(
        "ogbg-molhiv", partial(MoleculePair, size, is_bf16=bool(word))
    )
    for word in ("", "-bf16")
    for size in (32, 512)
}
