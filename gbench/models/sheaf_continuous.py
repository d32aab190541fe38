"""Sheaf diffusion in continuous time (Bodnar et al., "Neural Sheaf Diffusion", NeurIPS 2022).

Legend: N nodes, B graphs, d stalk dimension, C channels of a stalk (d + the fixed ones), F
hidden_dim, D = C · F.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from gbench.data.batch import Batch
from gbench.data.spec import DataSpec
from gbench.errors import UserError
from gbench.kernels import CSR
from gbench.models.dense import Dense
from gbench.models.readout import Readout
from gbench.models.sheaf import Stalks, mixed
from gbench.models.sheaf_learner import EdgeWeightLearner, Sheaf, SheafLearner, undirected

FIXED_STEPS = ("euler", "midpoint", "rk4")  # solvers that take model.step_size
MAX_STEPS = 1000  # untrained, Texas takes 3; a stiff equation would otherwise run for hours


class ContinuousNSD(nn.Module):
    """Diffusion in time: x' = elu(-Δ(x) (I ⊗ W_1) x W_2) from the stalks at 0 to max_time.

    One sheaf learner for all times; with `linear` the sheaf stays that of x(0). The paper has
    -elu(Δ …), the authors' code this, and elu is not odd. Solved by torchdiffeq with the tolerances
    1e-7 and 1e-9 times tol_scale, or in steps of step_size; `adjoint` integrates the gradients
    backwards in time instead of keeping what the solver did.

    Shapes: x (N, features) → x(t) (N, C, F) → (N, D) → (N, classes), or (B, D) → (B, classes).
    Raises UserError as `NSD` does, where torchdiffeq is missing, for adjoint with linear, and when
    the solver does not reach max_time in MAX_STEPS steps.
    """

    contracts: ClassVar = {"layer-wise": "the solver looks over all nodes at each step"}
    waits: ClassVar = "the solver chooses its steps by what it has computed"

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
        linear: bool,
        edge_weights: bool,
        deg_normalised: bool,
        left_weights: bool,
        right_weights: bool,
        use_act: bool,
        second_linear: bool,
        input_dropout: float,
        dropout: float,
        max_time: float,
        solver: str,
        step_size: float,
        tol_scale: float,
        adjoint: bool,
        readout: str,
    ) -> None:
        super().__init__()
        if adjoint and linear:
            raise UserError(
                "model.adjoint=true: the adjoint method has no gradient for a sheaf that "
                "model.linear=true keeps over time; set one of them to false"
            )
        if find_spec("torchdiffeq") is None:
            raise UserError(
                "continuous sheaf diffusion needs torchdiffeq: pip install 'gbench[continuous]'"
            )
        channels = stalk_dim + add_lp + add_hp
        width = channels * hidden_dim
        self.linear, self.use_act = linear, use_act
        self.max_time, self.solver, self.adjoint = max_time, solver, adjoint
        self.step_size, self.tol_scale = step_size, tol_scale
        self.stalks = Stalks(
            spec,
            channels,
            hidden_dim,
            use_act=use_act,
            second_linear=second_linear,
            input_dropout=input_dropout,
            dropout=dropout,
        )
        self.sheaf_learner = SheafLearner(
            maps=maps,
            orthogonal=orthogonal,
            stalk_dim=stalk_dim,
            hidden_dim=hidden_dim,
            sparse_learner=False,
            deg_normalised=deg_normalised,
            add_lp=add_lp,
            add_hp=add_hp,
        )
        has_weights = maps == "orthogonal" and edge_weights
        self.weight_learner = EdgeWeightLearner(width) if has_weights else None
        self.left = Dense(channels, channels, bias=False) if left_weights else nn.Identity()
        self.right = Dense(hidden_dim, hidden_dim, bias=False) if right_weights else nn.Identity()
        self.readout = Readout(spec, readout)
        self.head = Dense(width, spec.num_outputs)

    def forward(self, batch: Batch) -> Tensor:
        graph = undirected(batch)
        x = self.stalks(batch)
        with torch.autocast(x.device.type, enabled=False):
            first = self._sheaf(graph, x) if self.linear else None

            def velocity(_: Tensor, x: Tensor) -> Tensor:
                sheaf = first or self._sheaf(graph, x)
                out = sheaf.laplacian(mixed(-x, self.left, self.right))
                return functional.elu(out) if self.use_act else out

            try:
                x = self._integrate(velocity, x)
            except AssertionError as error:  # torchdiffeq's, of steps too many or too small
                raise UserError(
                    f"the solver gave up ({error}): take a larger model.tol_scale, such as 1000, "
                    "or steps of one size with model.solver=rk4"
                ) from error
            out: Tensor = self.head(self.readout(batch, x.flatten(1)))
        return out

    def _sheaf(self, graph: CSR, x: Tensor) -> Sheaf:
        weight = None if self.weight_learner is None else self.weight_learner(graph, x)
        sheaf: Sheaf = self.sheaf_learner(graph, x, weight)
        return sheaf

    def _integrate(self, velocity: Callable[[Tensor, Tensor], Tensor], x: Tensor) -> Tensor:
        """Return x at max_time. Shapes: (N, C, F) → (N, C, F)."""
        from torchdiffeq import odeint, odeint_adjoint

        is_fixed = self.solver in FIXED_STEPS
        limit = {"step_size": self.step_size} if is_fixed else {"max_num_steps": MAX_STEPS}
        solving = {
            "method": self.solver,
            "options": limit,
            "atol": 1e-7 * self.tol_scale,
            "rtol": 1e-9 * self.tol_scale,
        }
        span = x.new_tensor([0.0, self.max_time])
        if self.adjoint and self.training:
            moving = (self.sheaf_learner, self.weight_learner, self.left, self.right)
            parameters = tuple(p for m in moving if m is not None for p in m.parameters())
            path: Tensor = odeint_adjoint(velocity, x, span, adjoint_params=parameters, **solving)
        else:
            path = odeint(velocity, x, span, **solving)
        return path[-1]
