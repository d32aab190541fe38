import pytest
import torch
from torch_geometric.nn import GCNConv

from gbench.kernels import CSR, gcn_gated_sum, gcn_propagate
from gbench.kernels.gcn_gated_sum import reference


@pytest.mark.parametrize("hops", [0, 1, 4])
def test_agrees_with_the_reference(graph, width, dtype, hops, assert_agrees) -> None:
    assert_agrees(
        lambda *given: gcn_gated_sum(graph, *given, hops),
        lambda *given: reference(graph, *given, hops),
        torch.randn(graph.num_rows, width).to(dtype),
        (torch.randn(width) / width**0.5).to(dtype),
        torch.tensor(0.3).to(dtype),
        roundings=2 * (hops + 1),
    )


@pytest.mark.parametrize("width", [7, 8, 16, 40])  # with the score: whole panels and a column more
def test_the_score_is_a_feature_of_the_last_panel(width, random_graph, assert_agrees) -> None:
    assert_agrees(
        lambda *given: gcn_gated_sum(random_graph, *given, 3),
        lambda *given: reference(random_graph, *given, 3),
        torch.randn(40, width),
        torch.randn(width) / width**0.5,
        torch.tensor(-0.4),
        roundings=8,
    )


def near_graph(nodes: int, far: int) -> CSR:
    """Each node receives from some that stand at most `far` places before or behind it."""
    generator = torch.Generator().manual_seed(4)
    row = torch.arange(nodes).repeat(3)
    col = (row + torch.randint(-far, far + 1, row.shape, generator=generator)).clamp(0, nodes - 1)
    return CSR.from_edge_index(torch.stack([col, row]), nodes)[0]


@pytest.mark.parametrize("hops", [0, 1, 4])
@pytest.mark.parametrize("columns", [1, 7, 40])
def test_of_the_first_nodes_it_is_the_same_from_those_in_reach(
    columns, hops, dtype, assert_agrees
) -> None:
    graph, reach = near_graph(60, 3), [2 + 3 * distance for distance in range(hops + 1)]
    assert_agrees(
        lambda *given: gcn_gated_sum(graph, *given, hops, reach),
        lambda *given: reference(graph, *given, hops, reach),
        torch.randn(reach[-1], columns).to(dtype),
        (torch.randn(columns) / columns**0.5).to(dtype),
        torch.tensor(0.3).to(dtype),
        roundings=2 * (hops + 1),
    )


def test_counts_of_reach_that_cannot_be_are_named() -> None:
    graph, given = near_graph(9, 1), (torch.randn(4, 2), torch.randn(2), torch.tensor(0.1))
    with pytest.raises(ValueError, match="reach has 2 counts: pass 3"):
        gcn_gated_sum(graph, *given, 2, [2, 4])
    with pytest.raises(ValueError, match="counts that do not fall"):
        gcn_gated_sum(graph, *given, 2, [5, 3, 4])
    with pytest.raises(ValueError, match="x has"):
        gcn_gated_sum(graph, *given, 2, [2, 3, 5])


def test_is_dagnns_sum_over_pygs_propagation() -> None:
    edges = torch.randint(0, 30, (2, 90), generator=torch.Generator().manual_seed(2))
    edges = edges[:, edges[0] != edges[1]].unique(dim=1)
    graph, _ = CSR.from_edge_index(edges, 30)
    x, gate = torch.randn(30, 7), torch.nn.Linear(7, 1)
    conv = GCNConv(7, 7, bias=False)
    torch.nn.init.eye_(conv.lin.weight)
    hops = [x]
    for _ in range(5):
        hops.append(conv(hops[-1], graph.edge_index))
    hidden = torch.stack(hops, dim=1)
    expected = (gate(hidden).sigmoid() * hidden).sum(1)
    found = gcn_gated_sum(graph, x, gate.weight[0], gate.bias[0], 5)
    torch.testing.assert_close(found, expected)


def test_gates_wide_open_and_shut_sum_all_hops_and_none(random_graph) -> None:
    x, weight = torch.randn(40, 3), torch.zeros(3)
    hops = sum(gcn_propagate(random_graph, x, hop) for hop in range(4))
    torch.testing.assert_close(gcn_gated_sum(random_graph, x, weight, torch.tensor(100.0), 3), hops)
    shut = gcn_gated_sum(random_graph, x, weight, torch.tensor(-100.0), 3)
    torch.testing.assert_close(shut, torch.zeros(40, 3))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_gates_are_sigmoids_wherever_they_are(dtype) -> None:
    graph, _ = CSR.from_edge_index(torch.zeros(2, 0).long(), 401)
    score = torch.cat([torch.linspace(-80, 80, 400), torch.tensor([torch.nan])]).to(dtype)
    weight, bias = torch.ones(1, dtype=dtype), torch.zeros((), dtype=dtype)
    gate = gcn_gated_sum(graph, score[:, None], weight, bias, 0)[:, 0] / score
    expected = score.double().sigmoid()
    relative = (gate.double() / expected - 1).abs()
    assert relative[:-1].max() < 4 * torch.finfo(dtype).eps
    assert gate[-1].isnan()


@pytest.mark.parametrize("threads", [1, 2])
def test_inference_keeps_no_hops(threads, peak_of) -> None:
    torch.set_num_threads(threads)
    graph, _ = CSR.from_edge_index(torch.randint(0, 60_000, (2, 60_000)), 60_000)
    x, weight, bias = torch.randn(60_000, 63), torch.randn(63), torch.tensor(0.1)
    weight.requires_grad_()
    with torch.no_grad():
        peak = peak_of(lambda: gcn_gated_sum(graph, x, weight, bias, 20))
    assert peak < 4.3 * x.nbytes  # two buffers, their sum and the result; 21 hops would be 21
    assert peak_of(lambda: gcn_gated_sum(graph, x, weight, bias, 20)) > 20 * x.nbytes


def test_wrong_arguments_are_named(random_graph) -> None:
    x, weight, bias = torch.randn(40, 3), torch.randn(3), torch.tensor(0.1)
    with pytest.raises(ValueError, match="hops=-1"):
        gcn_gated_sum(random_graph, x, weight, bias, -1)
    with pytest.raises(ValueError, match="weight has shape"):
        gcn_gated_sum(random_graph, x, weight[:2], bias, 1)
    with pytest.raises(ValueError, match="bias has shape"):
        gcn_gated_sum(random_graph, x, weight, bias[None], 1)
    with pytest.raises(TypeError, match=r"bias is torch\.float64"):
        gcn_gated_sum(random_graph, x, weight, bias.double(), 1)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("read", [[], [0], [5, 39], [*range(0, 40, 3)]])
def test_a_loss_of_few_nodes_has_the_gradients_of_the_reference(
    read, threads, random_graph
) -> None:
    torch.set_num_threads(threads)
    given = [torch.randn(40, 7), torch.randn(7), torch.tensor(0.2)]
    factor = torch.zeros(40, 7)
    factor[read] = torch.randn(len(read), 7)
    found, expected = (
        torch.autograd.grad(
            (function(random_graph, *leaves, 4) * factor).sum(),
            leaves,
        )
        for function in (gcn_gated_sum, reference)
        for leaves in [[each.clone().requires_grad_() for each in given]]
    )
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_gradient_of_nan_is_not_taken_for_none(random_graph) -> None:
    x = torch.randn(40, 3, requires_grad=True)
    factor = torch.zeros(40, 3)
    factor[7, 1] = torch.nan
    (gcn_gated_sum(random_graph, x, torch.randn(3), torch.tensor(0.1), 0) * factor).sum().backward()
    assert x.grad is not None
    assert x.grad[7].isnan().any()
