"""The residual MLP: torch's modules one by one on the CPU, and what is said of wrong arguments."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gbench.kernels import library, residual_mlp
from gbench.kernels.residual_mlp import reference


def modules(mixed: int, width: int = 6, hidden: int = 9) -> tuple[nn.Module, ...]:
    torch.manual_seed(0)
    norm = nn.LayerNorm(width)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    return norm, nn.Linear(mixed, hidden), nn.Linear(hidden, mixed)


@pytest.mark.parametrize("across", [True, False])
def test_it_is_the_modules_one_after_the_other(across) -> None:
    norm, first, second = modules(4 if across else 6)
    x = torch.randn(3, 4, 6)
    y = norm(x).mT if across else norm(x)
    y = second(nn.GELU()(first(y)))
    assert torch.equal(
        residual_mlp(x, norm, first, second, across=across), x + (y.mT if across else y)
    )


@pytest.mark.parametrize("across", [True, False])
def test_it_drops_by_the_seeds_of_torchs_generator(across) -> None:
    norm, first, second = modules(4 if across else 6)
    x, rates = torch.randn(3, 4, 6), (0.2, 0.5, 0.3)
    torch.manual_seed(5)
    seeds = [torch.randint(2**63 - 1, ()) for _ in rates]
    given = (norm.weight, norm.bias, first.weight, first.bias, second.weight, second.bias)
    expected = reference(seeds, x, *given, across, True, rates, norm.eps)
    torch.manual_seed(5)
    found = residual_mlp(x, norm, first, second, across=across, relu=True, rates=rates)
    torch.testing.assert_close(found, expected)
    norm.eval()
    kept = residual_mlp(x, norm, first, second, across=across, relu=True, rates=rates)
    assert torch.equal(kept, reference([], x, *given, across, True, rates, norm.eps))


def test_a_layer_of_another_width_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "has_kernel", lambda name, x: True)  # as on a GPU
    norm, first, _ = modules(6)
    with pytest.raises(ValueError, match=r"weight_out has shape \(4, 9\): it should be \(6, 9\)"):
        residual_mlp(torch.randn(3, 4, 6), norm, first, nn.Linear(9, 4))
