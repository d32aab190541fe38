"""NSD: Bodnar et al., "Neural Sheaf Diffusion", NeurIPS 2022, the discrete model.

Legend: N nodes, B graphs, d stalk dimension, C channels of a stalk (d + the fixed ones), F
hidden_dim, D = C · F.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from gbench.data.batch import Batch
from gbench.data.spec import DataSpec
from gbench.kernels import CSR
from gbench.kernels.act_dropout import act_dropout
from gbench.kernels.sheaf_layers import fits, sheaf_layers
from gbench.kernels.sheaf_mix import sheaf_mix
from gbench.kernels.sheaf_residual import sheaf_residual
from gbench.kernels.sheaf_step import sheaf_step
from gbench.kernels.torch_private import has_hooks
from gbench.models.dense import Dense
from gbench.models.dropout import dropout
from gbench.models.encoders import input_features
from gbench.models.linear import Linear
from gbench.models.readout import Readout
from gbench.models.sheaf_learner import EdgeWeightLearner, Sheaf, SheafLearner, undirected


class Stalks(nn.Module):
    """A vector over each node: W_12 drop(elu(W_1 drop(x) + b)), W_12 with `second_linear` alone.

    Shapes: x (N, features) → (N, D) → (N, C, F), float32 under autocast as well: what follows has
    inverse square roots.
    """

    def __init__(
        self,
        spec: DataSpec,
        channels: int,
        hidden_dim: int,
        *,
        use_act: bool,
        second_linear: bool,
        input_dropout: float,
        dropout: float,
    ) -> None:
        super().__init__()
        self.shape = channels, hidden_dim
        self.use_act = use_act
        self.input_dropout, self.dropout = input_dropout, dropout
        width = channels * hidden_dim
        self.features, in_dim = input_features(spec, width)
        self.first = Linear(in_dim, width)
        self.second = Dense(width, width) if second_linear else None

    def forward(self, batch: Batch) -> Tensor:
        x = dropout(self.features(batch), self.input_dropout, self.training)
        act, rate = "elu" if self.use_act else "none", self.dropout if self.training else 0.0
        x = act_dropout(self.first(x), act=act, rate=rate)
        x = x if self.second is None else self.second(x)
        out: Tensor = x.to(self.first.weight.dtype).unflatten(1, self.shape)
        return out


class NSD(nn.Module):
    """Diffusion on a sheaf that is learned anew in each layer (once with `linear`).

    x_0 = the stalks; x_{t+1} = (1 + tanh ε_t) x_t - elu(Δ(x_t) (I ⊗ W_1) drop(x_t) W_2), where ε_t
    is a number for each channel that starts at 0, W_1 starts at I and W_2 orthogonal; the logits
    are W readout(x_T) + b. A layer's sheaf is learned from drop(x_t), that of the first from x_0
    undropped. On directed data each edge counts in both directions; edges' features are not used.

    Shapes: x (N, features) → x_t (N, C, F) → (N, D) → (N, classes), or (B, D) → (B, classes).
    Raises UserError as `SheafLearner` does.
    """

    contracts: ClassVar = {"layer-wise": "maps are of pairs of nodes and change with each layer"}

    def __init__(
        self,
        spec: DataSpec,
        *,
        maps: str,
        orthogonal: str,
        stalk_dim: int,
        add_lp: bool,
        add_hp: bool,
        hidden_dim: int,
        num_layers: int,
        linear: bool,
        sparse_learner: bool,
        edge_weights: bool,
        deg_normalised: bool,
        left_weights: bool,
        right_weights: bool,
        use_act: bool,
        second_linear: bool,
        input_dropout: float,
        dropout: float,
        readout: str,
    ) -> None:
        super().__init__()
        channels = stalk_dim + add_lp + add_hp
        width = channels * hidden_dim
        self.waits = ""  # see gbench/train/capturing.py
        if maps == "orthogonal" and orthogonal in ("cayley", "matrix_exp"):
            self.waits = f"torch waits for the GPU in model.orthogonal={orthogonal}"
        self.dropout, self.use_act, self.sparse_learner = dropout, use_act, sparse_learner
        self.stalks = Stalks(
            spec,
            channels,
            hidden_dim,
            use_act=use_act,
            second_linear=second_linear,
            input_dropout=input_dropout,
            dropout=dropout,
        )
        learners = 1 if linear else num_layers
        # `sheaf_learners.` is the prefix of what the authors' sheaf_decay decays
        self.sheaf_learners = nn.ModuleList(
            SheafLearner(
                maps=maps,
                orthogonal=orthogonal,
                stalk_dim=stalk_dim,
                hidden_dim=hidden_dim,
                sparse_learner=sparse_learner,
                deg_normalised=deg_normalised,
                add_lp=add_lp,
                add_hp=add_hp,
            )
            for _ in range(learners)
        )
        has_weights = maps == "orthogonal" and edge_weights
        self.weight_learners = nn.ModuleList(
            EdgeWeightLearner(width) for _ in range(learners if has_weights else 0)
        )
        self.left = nn.ModuleList(
            Dense(channels, channels, bias=False) if left_weights else nn.Identity()
            for _ in range(num_layers)
        )
        self.right = nn.ModuleList(
            Dense(hidden_dim, hidden_dim, bias=False) if right_weights else nn.Identity()
            for _ in range(num_layers)
        )
        for left, right in zip(self.left, self.right, strict=True):
            if isinstance(left, nn.Linear):
                nn.init.eye_(left.weight)
            if isinstance(right, nn.Linear):
                nn.init.orthogonal_(right.weight)
        self.epsilons = nn.ParameterList(torch.zeros(channels, 1) for _ in range(num_layers))
        self.readout = Readout(spec, readout)
        self.head = Dense(width, spec.num_outputs)
        is_known = maps == "diagonal" or (orthogonal == "householder" and maps == "orthogonal")
        one_each = learners == num_layers and left_weights and right_weights and use_act
        # one operation for all layers, see gbench/kernels/sheaf_layers.py
        self.fuses = is_known and one_each and not (add_lp or add_hp) and channels > 1
        self.is_diagonal = maps == "diagonal"
        self.by_degree = deg_normalised or (maps == "orthogonal" and not edge_weights)

    def forward(self, batch: Batch) -> Tensor:
        graph = undirected(batch)
        x = self.stalks(batch)
        with torch.autocast(x.device.type, enabled=False):
            is_one = self.fuses and fits(graph, x) and not has_hooks(self._passed_by())
            x = self._fused(graph, x) if is_one else self._parts(graph, x)
            out: Tensor = self.head(self.readout(batch, x.flatten(1)))
        return out

    def _passed_by(self) -> Iterable[nn.Module]:
        """The parts whose weights one operation takes, and that it does not call."""
        return (*self.sheaf_learners, *self.weight_learners, *self.left, *self.right)

    def _fused(self, graph: CSR, x: Tensor) -> Tensor:
        """The state after all layers, one operation. Shapes: (N, C, F) → (N, C, F)."""

        def stack(modules: Iterable[Any]) -> Tensor:
            return torch.stack([module.weight for module in modules])

        has_weights = len(self.weight_learners) > 0
        return sheaf_layers(
            graph,
            x,
            stack(each.linear for each in self.sheaf_learners),
            stack(each.linear for each in self.weight_learners) if has_weights else None,
            stack(self.left),
            stack(self.right),
            torch.stack([*self.epsilons]),
            rate=self.dropout if self.training else 0.0,
            is_diagonal=self.is_diagonal,
            by_degree=self.by_degree,
        )

    def _parts(self, graph: CSR, x: Tensor) -> Tensor:
        """The same by the parts of a layer, of any settings. Shapes: (N, C, F) → (N, C, F)."""
        seen = x
        for layer, epsilon in enumerate(self.epsilons):
            if layer < len(self.sheaf_learners):
                weights = self.weight_learners
                weight = weights[layer](graph, seen) if len(weights) else None
                sheaf: Sheaf = self.sheaf_learners[layer](graph, seen, weight)
            if layer == 0:
                dropped = dropout(x, self.dropout, self.training)
            step = sheaf.laplacian(mixed(dropped, self.left[layer], self.right[layer]))
            x, seen, dropped = self._stepped(x, step, epsilon, layer + 1)
        return x

    def _stepped(
        self, x: Tensor, step: Tensor, epsilon: Tensor, layer: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """X after a step, and what `layer`, the next one, sees of it and sends: both under dropout.

        Shapes: x and step (N, C, F) → (N, C, F), what is seen (N, C, F), or the sums over channels
        (N, F), and (N, C, F).
        """
        looks, is_last = layer < len(self.sheaf_learners), layer == len(self.epsilons)
        drops = self.training and self.dropout > 0 and not is_last
        if self.use_act and drops:
            # an edge's weight is learned from all channels
            sums = self.sparse_learner and not len(self.weight_learners)
            x, seen, dropped = sheaf_step(x, step, epsilon, self.dropout, looks=looks, sums=sums)
            return x, x if seen is None else seen, dropped
        x = sheaf_residual(x, step, epsilon) if self.use_act else (1 + epsilon.tanh()) * x - step
        if not drops:
            return x, x, x
        seen = dropout(x, self.dropout, self.training) if looks else x
        return x, seen, dropout(x, self.dropout, self.training)


def mixed(x: Tensor, left: nn.Module, right: nn.Module) -> Tensor:
    """(I ⊗ W_1) x W_2ᵀ: a matrix on each stalk, and one on each channel; the identity is none.

    Modules that have hooks are called.

    Shapes: (N, C, F) → (N, C, F).
    """
    called = has_hooks((left, right))
    if isinstance(left, nn.Linear) and isinstance(right, nn.Linear) and not called:
        return sheaf_mix(x, left.weight, right.weight)
    out: Tensor = right(left(x.transpose(1, 2)).transpose(1, 2))
    return out
