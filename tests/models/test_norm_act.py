"""What the fused parts add to, and in which dtype under autocast."""

import pytest
import torch

from gbench.models.norm_act import NormAct
from gbench.models.virtual_node import told
from tests.models.conftest import Example


@pytest.mark.parametrize("wide", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("norm", [True, False], ids=["norm", "plain"])
def test_a_residual_is_added_as_torch_adds(norm, wide) -> None:
    """Wider than what is normalised, as autocast leaves embeddings, it is not rounded."""
    x, residual = torch.randn(9, 4).bfloat16(), torch.randn(9, 4).to(wide)
    module = NormAct(4, norm=norm, relu=True, dropout=0.0)
    with torch.autocast("cpu", torch.bfloat16):
        wanted = residual + module(x)
        found = module(x, residual)
    assert found.dtype is wide
    assert torch.equal(found, wanted)


def test_a_virtual_node_tells_what_autocast_leaves_wide(make_batch) -> None:
    edges = torch.tensor([[0, 1], [1, 0]])
    batch = make_batch([Example(torch.randn(3, 4), edges), Example(torch.randn(2, 4), edges)])
    x, v = torch.randn(5, 4).bfloat16(), torch.randn(2, 4)
    with torch.autocast("cpu", torch.bfloat16):
        found = told(batch, x, v)
    assert found.dtype is torch.float32
    assert torch.equal(found, x + v[batch.batch])
