"""The legal values of settings whose type alone does not say enough.

A name means the same in every config (`dropout` is a probability wherever it stands), so each is
stated once, here, and holds for a user's own models and datasets as well.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from gbench.errors import UserError
from gbench.schedules import SCHEDULES


@dataclass(frozen=True)
class Interval:
    """Numbers from `low` to `high`; an open end excludes the bound itself."""

    low: float
    high: float = math.inf
    low_open: bool = False
    high_open: bool = False

    def __contains__(self, value: object) -> bool:
        if not isinstance(value, int | float) or isinstance(value, bool):
            return False
        above = value > self.low if self.low_open else value >= self.low
        below = value < self.high if self.high_open else value <= self.high
        return above and below and math.isfinite(value)

    def __str__(self) -> str:
        low = f"{'above' if self.low_open else 'at least'} {self.low:.12g}"
        if self.high == math.inf:
            return f"a number {low}"
        return f"a number {low} and {'below' if self.high_open else 'at most'} {self.high:.12g}"


@dataclass(frozen=True)
class OneOf:
    """A closed list of words; or, with an example in `own`, what the user has in a module."""

    words: tuple[str, ...]
    own: str = ""

    def __contains__(self, value: object) -> bool:
        parts = str(value).split(".")
        is_own = bool(self.own) and len(parts) > 1 and all(part.isidentifier() for part in parts)
        return value in self.words or is_own

    def __str__(self) -> str:
        own = f", or a function of your own, as {self.own}" if self.own else ""
        return f"one of {', '.join(self.words)}{own}"


LIMITS: dict[str, Interval | OneOf] = {
    "model.hidden_dim": Interval(1),
    "model.num_layers": Interval(1),
    "model.mlp_ratio": Interval(1),
    "model.hops": Interval(0),
    "model.alpha": Interval(0, 1),
    "model.lam": Interval(0),
    "model.propagation_dropout": Interval(0, 1, high_open=True),
    "model.num_patches": Interval(1, 2**15 - 1),
    "model.edge_dropout": Interval(0, 1, high_open=True),
    "model.partition": OneOf(("metis", "metis-fixed", "random")),
    "model.conv": OneOf(("gine", "gcn", "gated-gcn", "transformer")),
    "model.policy": OneOf(
        ("node-marked", "node-deleted", "edge-deleted", "ego-nets", "ego-nets-plus")
    ),
    "model.share": Interval(0, 1, low_open=True),
    "model.form": OneOf(("dss", "ds")),
    "model.layer": OneOf(("gin", "graph-conv")),
    "model.hop_dim": Interval(0),
    "model.num_inner_layers": Interval(1),
    "model.combine": OneOf(("concat", "add")),
    "model.num_set_layers": Interval(1),
    "model.set_dim": Interval(1),
    "model.aggregates": OneOf(("neighbours", "messages")),
    "model.towers": Interval(1),
    "model.edge_dim": Interval(0),
    "model.pe_dim": Interval(0),
    "model.act": OneOf(("relu", "gelu")),
    "model.frame": OneOf(("plain", "platonov")),
    "model.aggregate": OneOf(("sum", "mean", "sym", "max")),
    "model.activation": OneOf(("leaky-relu", "relu", "gelu")),
    "model.skip": OneOf(("linear", "identity", "none")),
    "model.answers": OneOf(("graph", "nodes")),
    "model.conv_dropout": Interval(0, 1, high_open=True),
    "model.head_layers": Interval(1),
    "model.mixing": OneOf(("mlp", "hadamard", "standard", "graph", "kernel", "additive")),
    "model.num_mixer_layers": Interval(1),
    "model.patch_pe_steps": Interval(0),
    "model.mixer_dropout": Interval(0, 1, high_open=True),
    "model.dropout": Interval(0, 1, high_open=True),
    "model.label_weight": Interval(0, 1),
    "model.input_dropout": Interval(0, 1, high_open=True),
    "model.attention_dropout": Interval(0, 1, high_open=True),
    "model.num_heads": Interval(1),
    "model.num_output_heads": Interval(1),
    "model.jk": OneOf(("last", "layerwise", "sum", "max", "cat", "none")),
    "model.base": OneOf(("gcn", "sage", "gat")),
    "model.powers": Interval(1),
    "model.power_weights": OneOf(("exp", "lin")),
    "model.convolution": OneOf(("gcn", "sage", "gat")),
    "model.reduce": OneOf(("mean", "max")),
    "model.readout": OneOf(("mean", "sum", "max")),
    "model.norm": OneOf(("none", "batch", "layer")),
    "model.filter_norm": OneOf(("none", "batch", "layer")),
    "model.head": OneOf(("linear", "hidden", "halves", "mlp")),
    "model.num_blocks": Interval(0),
    "model.kernel_dropout": Interval(0, 1, high_open=True),
    "model.mlp_dropout": Interval(0, 1, high_open=True),
    "model.scheme": OneOf(("sswl-plus", "sswl", "pswl", "swl")),
    "model.pooling": OneOf(("vs", "sv")),
    "model.maps": OneOf(("diagonal", "orthogonal", "general")),
    "model.orthogonal": OneOf(("householder", "cayley", "matrix_exp", "euler")),
    "model.stalk_dim": Interval(1),
    "model.max_time": Interval(0, low_open=True),
    "model.solver": OneOf(("dopri5", "adaptive_heun", "rk4", "midpoint", "euler")),
    "model.step_size": Interval(0, low_open=True),
    "model.tol_scale": Interval(0, low_open=True),
    "encoding.steps": Interval(1),
    "encoding.dim": Interval(1),
    "encoding.max": Interval(1),
    "encoding.curvature": OneOf(("ollivier", "forman", "forman-3")),
    "batching.nodes_per_batch": Interval(1),
    "batching.scope": OneOf(("ppr", "hops")),
    "batching.most_nodes": Interval(1),
    "batching.alpha": Interval(0, 1, low_open=True, high_open=True),
    "batching.epsilon": Interval(0, 1, low_open=True, high_open=True),
    "batching.hops": Interval(1),
    "batching.budget": Interval(-1),
    "batching.num_parts": Interval(1),
    "batching.parts_per_batch": Interval(1),
    "batching.workers": Interval(1),
    "predictor.hidden_dim": Interval(1),
    "predictor.num_layers": Interval(1),
    "predictor.dropout": Interval(0, 1, high_open=True),
    "data.level": OneOf(("node", "graph", "link")),
    "data.fold": Interval(0),
    "data.num_folds": Interval(1),
    "optim.lr": Interval(0, low_open=True),
    "optim.momentum": Interval(0, 1, high_open=True),
    "optim.rho": Interval(0),
    "optim.eta": Interval(0),
    "optim.weight_decay": Interval(0),
    "optim.decay_of_others": Interval(0),
    "optim.schedule": OneOf((*SCHEDULES,), "my_module.my_schedule"),
    "optim.warmup_epochs": Interval(0),
    "optim.warmup_steps": Interval(0),
    "optim.plateau_on": OneOf(("loss", "metric")),
    "optim.lr_factor": Interval(0, 1, low_open=True, high_open=True),
    "optim.lr_every": Interval(1),
    "optim.lr_patience": Interval(0),
    "optim.min_lr": Interval(0),
    "optim.batch_size": Interval(1),
    "optim.steps_per_epoch": Interval(0),
    "trainer.max_epochs": Interval(1),
    "trainer.patience": Interval(0),
    "trainer.monitor": OneOf(("metric", "loss", "objective")),
    "trainer.ties": OneOf(("earlier", "later")),
    "trainer.select": OneOf(("best", "last", "best-mean-epoch")),
    "trainer.stop": OneOf(("patience", "window", "late-window"), "my_module.my_rule"),
    "trainer.limit_batches": Interval(0),
    "trainer.precision": OneOf(("32-true", "bf16-mixed", "16-mixed")),
    "trainer.matmul": OneOf(("highest", "high", "medium")),
    "trainer.gradient_clip_val": Interval(0),
    "trainer.gradient_clip_algorithm": OneOf(("norm", "value")),
    "seed": Interval(0, 2**32 - 1),
    "trials": Interval(1),
}


def check_limits(flat: dict[str, Any]) -> None:
    """Raise UserError for the first setting (by its dotted name) outside its legal values."""
    within = {_without_member(key, flat): key for key in reversed(flat)}
    for name, allowed in LIMITS.items():
        key = within.get(name, name)
        if key in flat and flat[key] not in allowed:
            raise UserError(f"{key}={flat[key]}: allowed is {allowed}")


def _without_member(key: str, flat: dict[str, Any]) -> str:
    """`encoding.rwse.steps` of several encodings is one's encoding.steps."""
    group, *below = key.split(".")
    is_member = len(below) == 2 and f"{group}.{below[0]}._target_" in flat
    return f"{group}.{below[1]}" if is_member else key
