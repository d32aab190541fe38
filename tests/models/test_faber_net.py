"""FaberNet against its formula on dense matrices, complex numbers as torch has them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from gbench.build import build_model
from gbench.config.compose import compose
from gbench.data.batch import Batch
from gbench.data.spec import DataSpec
from gbench.errors import UserError
from gbench.kernels import CSR
from gbench.models.faber_net import FaberLayer
from gbench.models.reverse import reverse
from tests.models.conftest import packaged

SPEC = DataSpec("node", 3, 4, is_directed=True)
N = 12


def directed_batch() -> tuple[Batch, Tensor]:
    """A graph with loops and one-way edges, and D_out^-1/4 A D_in^-1/4, A_ij = 1 for i → j."""
    A = (torch.rand(N, N) < 0.3).double()
    A[-1], A[:, -1] = 0, 0
    graph, _ = CSR.from_edge_index(A.nonzero().t(), N)
    y, ptr = torch.zeros(N, dtype=torch.int64), torch.tensor([0, N], dtype=torch.int32)
    batch = Batch(graph, torch.randn(N, 4, dtype=torch.float64), y, ptr, is_kept=True)
    out, into = (torch.where(d > 0, d**-0.25, 0) for d in (A.sum(1), A.sum(0)))
    return batch, out[:, None] * A * into


def model(*words: str) -> nn.Module:
    words = ("model=fabernet", "model.hidden_dim=5", "model.power_weights=exp", *words)
    return packaged(SPEC, *words).double().eval()


def both(linear_r: nn.Module, linear_i: nn.Module | None, z: Tensor) -> Tensor:
    """A complex map, each real layer with its bias on each part."""
    if linear_i is None:
        return linear_r(z)
    x, y = z.real, z.imag
    return torch.complex(linear_r(x) - linear_i(y), linear_i(x) + linear_r(y))


def propagated(A: Tensor, z: Tensor) -> Tensor:
    return A.to(z.dtype) @ z


def expected(layer: FaberLayer, A: Tensor, z: Tensor, weight) -> Tensor:
    """Power after power, of what the layer says of itself."""
    total = 0
    for share, side, P in (
        (layer.alpha, layer.successors, A),
        (1 - layer.alpha, layer.predecessors, A.T),
    ):
        power, imag = z, side.imag or [None] * len(side.real)
        for i in range(side.powers):
            power = propagated(P, power)
            total = total + share * weight(i) * both(side.real[i], imag[i], power)
        if len(side.real) > side.powers:
            total = total + share * both(side.real[-1], imag[-1], z)
    return total


def as_published(layer: FaberLayer, A: Tensor, z: Tensor, weight) -> Tensor:
    """The authors' code: each power is the first, the same maps both ways, imaginary of A alone."""
    real = imag = 0
    x, y = z.real, z.imag
    for i in range(layer.successors.powers):
        r, m = layer.successors.real[i], layer.successors.imag[i]
        forward = r(A @ x) - m(A @ y)
        backward = r(A.T @ x) - m(A.T @ y)
        real = real + weight(i) * (layer.alpha * forward + (1 - layer.alpha) * backward)
        imag = imag + weight(i) * (m(A @ x) + r(A @ y))
    return torch.complex(real, imag)


def lengths_of_one(z: Tensor) -> Tensor:
    return z / z.norm(dim=1, keepdim=True).clamp(min=1e-12)


@pytest.mark.parametrize("jk", ["max", "cat", "none"])
@pytest.mark.parametrize("quirk", [False, True])
@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_complex_form_is_its_formula(alpha: float, quirk: bool, jk: str) -> None:
    batch, A = directed_batch()
    ours = model(
        f"model.alpha={alpha}", f"model.quirk={quirk}", f"model.jk={jk}", "model.normalize=true",
        "model.complex_weights=true",
    )  # fmt: skip
    z, outputs = torch.complex(batch.x, torch.zeros_like(batch.x)), []
    for layer in ours.layers:
        z = (as_published if quirk else expected)(layer, A, z, lambda i: 2.0**-i)
        real, imag = lengths_of_one(z.real.abs()), lengths_of_one(z.imag.abs())
        z = torch.complex(real, imag)
        outputs.append(torch.cat([real, imag], 1))
    x = {"max": torch.stack(outputs).amax(0), "cat": torch.cat(outputs, 1), "none": outputs[-1]}
    torch.testing.assert_close(ours(batch), ours.head(x[jk]))


@pytest.mark.parametrize("zero", ["true", "false"])
@pytest.mark.parametrize("weights", ["exp", "lin"])
def test_real_form_is_its_formula(weights: str, zero: str) -> None:
    batch, A = directed_batch()
    ours = model(
        "model.alpha=0.3", "model.jk=none", "model.powers=4", f"model.zero_order={zero}",
        f"model.power_weights={weights}",
    )  # fmt: skip
    weight = (lambda i: 2.0**-i) if weights == "exp" else (lambda i: 1 / max(i, 1))
    x = batch.x
    for layer in ours.layers:
        x = expected(layer, A, x, weight).abs()
    torch.testing.assert_close(ours(batch), ours.head(x))


def test_turned_edges_exchanged_maps_and_alpha_change_nothing() -> None:
    batch, _ = directed_batch()
    one, other = model("model.alpha=0.3"), model("model.alpha=0.7")
    names = {"successors": "predecessors", "predecessors": "successors"}
    exchanged = {
        ".".join(names.get(part, part) for part in name.split(".")): value
        for name, value in one.state_dict().items()
    }
    other.load_state_dict(exchanged)
    torch.testing.assert_close(other(reverse(batch)), one(batch))


def test_of_one_direction_the_clean_form_sees_nothing_of_the_other() -> None:
    """With alpha=0 a node hears of predecessors alone; under quirk=true of successors as well."""
    edges = torch.tensor([[0], [1]])
    graph, _ = CSR.from_edge_index(edges, 2)
    y, ptr = torch.zeros(2, dtype=torch.int64), torch.tensor([0, 2], dtype=torch.int32)
    batch = Batch(graph, torch.randn(2, 4, dtype=torch.float64), y, ptr)
    words = ("model.alpha=0.0", "model.complex_weights=true", "model.num_layers=1")
    for quirk, hears in (("false", False), ("true", True)):
        ours = model(*words, f"model.quirk={quirk}")
        changed = replace(batch, x=batch.x * torch.tensor([[1.0], [2.0]]).double(), memo={})
        same = torch.allclose(ours(batch)[0], ours(changed)[0])  # of node 0, whose successor is 1
        assert same is not hears


def test_quirk_goes_with_complex_weights() -> None:
    settings = compose(["model=fabernet", "data=csbm", "model.quirk=true"])["model"]
    with pytest.raises(UserError, match=r"it goes with model\.complex_weights=true"):
        build_model(settings, SPEC)
