import pytest
import torch
from torch_geometric.nn import GATConv
from torch_geometric.utils import softmax

from gbench.kernels import edge_softmax
from gbench.kernels.edge_softmax import reference


@pytest.mark.parametrize("heads", [1, 4])
def test_agrees_with_the_reference(graph, width, dtype, heads, assert_agrees) -> None:
    assert_agrees(
        lambda score, x: edge_softmax(graph, score, x),
        lambda score, x: reference(graph, score, x),
        (3 * torch.randn(graph.num_entries, heads)).to(dtype),
        torch.randn(graph.num_cols, heads, width).to(dtype),
        roundings=2,
    )


@pytest.mark.parametrize("heads", [1, 4])
def test_factors_agree_with_the_reference(graph, width, dtype, heads, assert_agrees) -> None:
    factor = 2.5 * (torch.rand(graph.num_entries, heads) < 0.4)
    assert_agrees(
        lambda score, x: edge_softmax(graph, score, x, factor.to(dtype)),
        lambda score, x: reference(graph, score, x, factor),
        (3 * torch.randn(graph.num_entries, heads)).to(dtype),
        torch.randn(graph.num_cols, heads, width).to(dtype),
        roundings=2,
    )


def test_factors_are_pygs_dropout_of_attention(random_graph) -> None:
    """PyG drops weights after the softmax, so that the rest of a row does not sum to 1."""
    conv = GATConv(6, 5, heads=3, add_self_loops=False, bias=False, dropout=0.6)
    x, edge_index = torch.randn(40, 6), random_graph.edge_index
    torch.manual_seed(4)
    expected, (_, dropped) = conv(x, edge_index, return_attention_weights=True)
    _, (_, alpha) = conv.eval()(x, edge_index, return_attention_weights=True)
    hidden, factor = conv.lin(x).view(40, 3, 5), dropped / alpha
    assert 0 < (factor == 0).float().mean() < 1
    out = edge_softmax(random_graph, alpha.log(), hidden, factor.detach())
    torch.testing.assert_close(out.flatten(1), expected)


def test_the_weights_are_pygs_softmax(random_graph) -> None:
    score = torch.randn(120, 1)
    weights = edge_softmax(random_graph, score, torch.eye(40)[:, None, :])[:, 0]
    expected = torch.zeros(40, 40).index_put_(
        (random_graph.row, random_graph.col.long()),
        softmax(score[:, 0], random_graph.row, num_nodes=40),
        accumulate=True,
    )
    torch.testing.assert_close(weights, expected)


def test_is_pygs_graph_attention(random_graph) -> None:
    conv = GATConv(6, 5, heads=3, add_self_loops=False, bias=False)
    x = torch.randn(40, 6)
    hidden = conv.lin(x).view(40, 3, 5)
    source, target = ((hidden * a).sum(-1) for a in (conv.att_src, conv.att_dst))
    score = (source[random_graph.col] + target[random_graph.row]).relu() - 0.2 * (
        -source[random_graph.col] - target[random_graph.row]
    ).relu()
    torch.testing.assert_close(
        edge_softmax(random_graph, score, hidden).flatten(1), conv(x, random_graph.edge_index)
    )


def test_scores_too_large_for_exp_and_equal_shifts(random_graph) -> None:
    score, x = torch.randn(120, 2, dtype=torch.float64), torch.randn(40, 2, 3, dtype=torch.float64)
    shifted = edge_softmax(random_graph, score + 5000, x)
    torch.testing.assert_close(shifted, edge_softmax(random_graph, score, x))


@pytest.mark.parametrize(("heads", "width"), [(8, 8), (12, 4), (16, 2), (2, 64)])
def test_several_heads_in_a_vector(graph, heads, width, assert_agrees) -> None:
    assert_agrees(
        lambda score, x: edge_softmax(graph, score, x),
        lambda score, x: reference(graph, score, x),
        3 * torch.randn(graph.num_entries, heads),
        torch.randn(graph.num_cols, heads, width),
        roundings=2,
    )


@pytest.mark.parametrize("heads", [1, 3, 8])
def test_infinite_scores_and_nans(random_graph, heads) -> None:
    """-inf is a weight of 0; a row of nothing else, one with inf and one with a NaN are NaN."""
    score, x = torch.randn(120, heads), torch.randn(40, heads, 5)
    start = random_graph.rowptr
    rows = [int(i) for i in (start.diff() > 2).nonzero()[:4]]
    score[start[rows[0]]] = -torch.inf
    score[start[rows[1]] : start[rows[1] + 1]] = -torch.inf
    score[start[rows[2]]] = torch.inf
    score[start[rows[3]] + 1] = torch.nan
    out = edge_softmax(random_graph, score, x)
    torch.testing.assert_close(out, reference(random_graph, score, x), equal_nan=True)
    assert out[rows[0]].isfinite().all()
    assert out[rows[1:]].isnan().all()


def test_wrong_arguments_are_named(random_graph) -> None:
    score, x = torch.randn(120, 2), torch.randn(40, 2, 3)
    with pytest.raises(ValueError, match="x has shape"):
        edge_softmax(random_graph, score, x[:, 0])
    with pytest.raises(ValueError, match="score has shape"):
        edge_softmax(random_graph, score[:, :1], x)
    with pytest.raises(TypeError, match=r"score is torch\.float64"):
        edge_softmax(random_graph, score.double(), x)
    with pytest.raises(ValueError, match="factor has shape"):
        edge_softmax(random_graph, score, x, score[:, :1])
    with pytest.raises(ValueError, match=r"factor requires .* factor\.detach"):
        edge_softmax(random_graph, score, x, score.clone().requires_grad_())
