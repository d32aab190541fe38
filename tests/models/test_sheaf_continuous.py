"""Continuous sheaf diffusion: against exp(-Δt), against small steps, and its two gradients."""

from __future__ import annotations

import pytest
import torch

from gbench.data.spec import DataSpec
from gbench.errors import UserError
from gbench.models import sheaf_continuous
from gbench.models.sheaf_continuous import ContinuousNSD
from gbench.models.sheaf_learner import undirected

SETTINGS = {
    "maps": "diagonal", "orthogonal": "householder", "stalk_dim": 2, "add_lp": False,
    "add_hp": True, "hidden_dim": 2, "linear": False, "edge_weights": True,
    "deg_normalised": False, "left_weights": True, "right_weights": True, "use_act": True,
    "second_linear": False, "input_dropout": 0.0, "dropout": 0.0, "max_time": 1.0,
    "solver": "dopri5", "step_size": 0.1, "tol_scale": 1.0, "adjoint": False, "readout": "mean",
}  # fmt: skip


def continuous(spec=None, **changes):
    settings = {**SETTINGS, **changes}
    return ContinuousNSD(spec or DataSpec("node", 3, 4), **settings).double()


def ends_at(model, batch, x):
    """The logits when diffusion ends at the stalks x."""
    return model.head(x.flatten(1))


@pytest.mark.parametrize("maps", ["diagonal", "orthogonal", "general"])
def test_linear_diffusion_is_the_exponential(maps, make_batch, random_graph):
    batch = make_batch([random_graph(7)])
    model = continuous(
        maps=maps, linear=True, use_act=False, left_weights=False, right_weights=False, max_time=3.0
    )
    x = model.stalks(batch)
    weight = None if model.weight_learner is None else model.weight_learner(batch.graph, x)
    sheaf = model.sheaf_learner(batch.graph, x, weight)
    eye = torch.eye(21, dtype=torch.float64).view(7, 3, 21)
    delta = sheaf.laplacian(eye).reshape(21, 21)
    expected = (torch.linalg.matrix_exp(-3 * delta) @ x.reshape(21, 2)).view(7, 3, 2)
    torch.testing.assert_close(model(batch), ends_at(model, batch, expected), rtol=1e-6, atol=1e-6)


def velocity(model, graph, x):
    """elu(-Δ(x) (I ⊗ W_1) x W_2), from the sheaf of x."""
    weight = None if model.weight_learner is None else model.weight_learner(graph, x)
    inner = model.left.weight @ x @ model.right.weight.T
    out = -model.sheaf_learner(graph, x, weight).laplacian(inner)
    return torch.where(out > 0, out, out.clamp(max=0).expm1())


@pytest.mark.parametrize("maps", ["diagonal", "orthogonal", "general"])
@pytest.mark.parametrize("solver", ["dopri5", "rk4", "euler"])
def test_nonlinear_diffusion_follows_its_velocity(maps, solver, make_batch, random_graph):
    batch = make_batch([random_graph(7)])
    model = continuous(maps=maps, solver=solver)
    graph, x = undirected(batch), model.stalks(batch)
    steps = 10 if solver != "dopri5" else 40
    h = 1 / steps
    for _ in range(steps):
        a = velocity(model, graph, x)
        if solver == "euler":
            x = x + h * a
            continue
        b = velocity(model, graph, x + h / 2 * a)
        c = velocity(model, graph, x + h / 2 * b)
        d = velocity(model, graph, x + h * c)
        x = x + h / 6 * (a + 2 * b + 2 * c + d)
    tolerance = {"dopri5": 1e-6, "rk4": 1e-4, "euler": 1e-12}[solver]  # rk4: theirs has 3/8
    torch.testing.assert_close(
        model(batch), ends_at(model, batch, x), rtol=tolerance, atol=tolerance
    )


def test_the_adjoint_has_the_same_gradients(make_batch, random_graph):
    batch = make_batch([random_graph(7)])
    direct, adjoint = (continuous(maps="orthogonal", adjoint=flag) for flag in (False, True))
    adjoint.load_state_dict(direct.state_dict())
    grads = []
    for model in (direct, adjoint):
        out = model(batch)
        weight = torch.linspace(-1, 1, out.numel(), dtype=torch.float64).view_as(out)
        grads.append(torch.autograd.grad((out * weight).sum(), list(model.parameters())))
    for a, b in zip(*grads, strict=True):
        assert a.abs().sum() > 0
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_a_batch_is_its_graphs_one_by_one(make_batch, random_graph):
    examples = [random_graph(n) for n in (6, 1, 4)]
    model = continuous(DataSpec("graph", 2, 4), maps="general", solver="rk4")
    alone = torch.cat([model(make_batch([example])) for example in examples])
    torch.testing.assert_close(model(make_batch(examples)), alone)


def test_single_precision_reaches_the_authors_tolerances(make_batch, random_graph):
    example = random_graph(7)
    model = continuous(maps="orthogonal")
    exact = model(make_batch([example]))
    out = model.float()(make_batch([example._replace(x=example.x.float())]))
    torch.testing.assert_close(out, exact.float(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("speed", "reason"), [(1e8, "max_num_steps"), (float("nan"), "underflow in dt")]
)
def test_a_solver_that_gives_up_says_what_helps(
    speed, reason, make_batch, random_graph, monkeypatch
):
    monkeypatch.setattr(sheaf_continuous, "MAX_STEPS", 50)
    model = continuous()
    with torch.no_grad():
        model.right.weight.mul_(speed)
    with pytest.raises(UserError, match=rf"{reason}.*larger model\.tol_scale"):
        model(make_batch([random_graph(7)]))


def test_what_cannot_run_is_refused(monkeypatch):
    with pytest.raises(UserError, match=r"adjoint=true.*linear=true"):
        continuous(adjoint=True, linear=True)
    monkeypatch.setattr(sheaf_continuous, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'gbench\[continuous\]'"):
        continuous()
