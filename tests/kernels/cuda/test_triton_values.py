"""Every Triton kernel against its reference: on a GPU, or in the interpreter's own process."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from gbench import kernels
from gbench.kernels import CSR
from gbench.kernels.act_dropout import reference as act_dropout_reference
from gbench.kernels.activated_sum import activated_sum
from gbench.kernels.activated_sum import reference as activated_reference
from gbench.kernels.cross_entropy import counted, cross_entropy
from gbench.kernels.cross_entropy import reference as cross_entropy_reference
from gbench.kernels.cuda import rows
from gbench.kernels.directed_propagate import reference as directed_reference
from gbench.kernels.dropout import reference as dropout_reference
from gbench.kernels.edge_softmax import reference as edge_softmax_reference
from gbench.kernels.embedding_sum import reference as embedding_sum_reference
from gbench.kernels.entry_loss import KINDS, entry_loss
from gbench.kernels.entry_loss import reference as entry_loss_reference
from gbench.kernels.gat_attention import reference as gat_reference
from gbench.kernels.gated_aggregate import gated_aggregate
from gbench.kernels.gated_aggregate import reference_of_both as gated_reference
from gbench.kernels.gatv2_score import gatv2_score
from gbench.kernels.gatv2_score import reference as gatv2_reference
from gbench.kernels.gcn_bond_aggregate import reference as gcn_bond_reference
from gbench.kernels.gcn_gated_sum import reference as gcn_gated_sum_reference
from gbench.kernels.gcn_propagate import reference as gcn_propagate_reference
from gbench.kernels.gine_aggregate import reference as gine_reference
from gbench.kernels.gine_dense import reference as gine_dense_reference
from gbench.kernels.group_mean import reference as group_mean_reference
from gbench.kernels.householder import householder
from gbench.kernels.householder import reference as householder_reference
from gbench.kernels.inverse_sqrt import inverse_sqrt
from gbench.kernels.inverse_sqrt import reference as inverse_sqrt_reference
from gbench.kernels.norm_act import reference as norm_act_reference
from gbench.kernels.pair_conv import reference as pair_conv_reference
from gbench.kernels.pair_gate import reference as pair_gate_reference
from gbench.kernels.pair_softmax import reference as pair_softmax_reference
from gbench.kernels.pair_sum import reference as pair_sum_reference
from gbench.kernels.pair_tanh import pair_tanh
from gbench.kernels.pair_tanh import reference as pair_tanh_reference
from gbench.kernels.pair_weight import pair_weight
from gbench.kernels.pair_weight import reference as pair_weight_reference
from gbench.kernels.pna_aggregate import pna_aggregate
from gbench.kernels.pna_aggregate import reference as pna_reference
from gbench.kernels.ragged_attention import reference as attention_reference
from gbench.kernels.residual_mlp import reference as residual_mlp_reference
from gbench.kernels.segment_add import reference as segment_add_reference
from gbench.kernels.segment_reduce import reference as segment_reduce_reference
from gbench.kernels.sheaf_blocks import reference as sheaf_blocks_reference
from gbench.kernels.sheaf_blocks import sheaf_blocks
from gbench.kernels.sheaf_laplacian import reference as sheaf_reference
from gbench.kernels.sheaf_mix import reference as sheaf_mix_reference
from gbench.kernels.sheaf_mix import sheaf_mix
from gbench.kernels.sheaf_residual import reference as sheaf_residual_reference
from gbench.kernels.sheaf_residual import sheaf_residual
from gbench.kernels.sheaf_step import reference as sheaf_step_reference
from gbench.kernels.sheaf_step import sheaf_step
from gbench.kernels.sparse_linear import reference as sparse_linear_reference
from gbench.kernels.spmm import reference as spmm_reference
from gbench.kernels.teleport_propagate import reference as teleport_reference

pytestmark = pytest.mark.gpu

FLOATS = (torch.float32, torch.float64, torch.bfloat16)
TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-6, torch.bfloat16: 1.2e-2}
FULL = FLOATS[:2]
NARROW = [(1, torch.float32), *((3, dtype) for dtype in FLOATS)]
# The interpreter needs seconds for wide rows, so these have one type each.
CASES = [*NARROW, (33, torch.bfloat16), (300, torch.float32)]
every_case = pytest.mark.parametrize(("width", "dtype"), CASES, ids=str)


def fewer(graph: CSR, width: int) -> CSR:
    """The graph, or its first nodes where each costs much in the interpreter."""
    if width < 33:
        return graph
    edges = graph.edge_index
    return CSR.from_edge_index(edges[:, (edges < 8).all(0)], 8)[0]


@every_case
@pytest.mark.parametrize("reduce", ["sum", "mean", "max"])
def test_spmm(hub_graph, width, dtype, reduce, device, agrees) -> None:
    graph = fewer(hub_graph, width)
    there = graph.to(device)
    x = torch.randn(graph.num_cols, width)
    x = (x * 2).round() if reduce == "max" else x  # ties: their gradient is shared
    agrees(
        lambda x: kernels.spmm(there, x, reduce=reduce),
        lambda x: spmm_reference(graph, x, reduce=reduce),
        x.to(dtype),
    )


@every_case
@pytest.mark.parametrize("reduce", ["sum", "mean"])
def test_spmm_weighted(hub_graph, width, dtype, reduce, device, agrees) -> None:
    graph = fewer(hub_graph, width)
    there = graph.to(device)
    agrees(
        lambda x, weight: kernels.spmm(there, x, weight, reduce),
        lambda x, weight: spmm_reference(graph, x, weight, reduce),
        torch.randn(graph.num_cols, width).to(dtype),
        torch.randn(graph.num_entries).to(dtype),
    )


def test_spmm_of_a_rectangular_pattern(device, agrees) -> None:
    edges = torch.stack([torch.randint(0, 31, (50,)), torch.randint(0, 6, (50,))])
    graph, _ = CSR.from_edge_index(edges, 6, 31)
    there = graph.to(device)
    agrees(
        lambda x, weight: kernels.spmm(there, x, weight),
        lambda x, weight: spmm_reference(graph, x, weight),
        torch.randn(31, 5),
        torch.randn(50),
    )


@pytest.mark.parametrize("reduce", ["sum", "max"])
def test_spmm_of_rows_of_every_length(reduce, device, agrees) -> None:
    """Rows that begin anywhere in a slot and end anywhere in one up to five slots later."""
    row = torch.repeat_interleave(torch.arange(20), torch.randperm(20))
    graph, _ = CSR.from_edge_index(torch.stack([torch.randperm(190), row]), 20, 190)
    there = graph.to(device)
    agrees(
        lambda x: kernels.spmm(there, x, reduce=reduce),
        lambda x: spmm_reference(graph, x, reduce=reduce),
        torch.randn(190, 2),
    )


@pytest.mark.parametrize("reduce", ["sum", "max"])
@pytest.mark.parametrize("longest", [8, 9])
def test_spmm_launches_for_hubs_only_where_there_are_some(
    longest, reduce, device, agrees, monkeypatch
) -> None:
    """Slots have 4 entries here: rows of 8 are summed where they begin, wherever that is."""
    lengths = torch.tensor([8, 1, 8, 8, 3, 8, 2, 8, 7, longest, 0, 8])
    row = torch.repeat_interleave(torch.arange(12), lengths)
    graph, _ = CSR.from_edge_index(torch.stack([torch.randperm(len(row)), row]), 12, len(row))
    there, merges, grids = graph.to(device), [], []

    def recorded(kernel, grid, *args, **flags) -> None:
        merges.append(flags.get("MERGE", False))
        grids.append(grid)
        launch(kernel, grid, *args, **flags)

    launch = rows.launch
    monkeypatch.setattr(rows, "launch", recorded)
    agrees(
        lambda x: kernels.spmm(there, x, reduce=reduce),
        lambda x: spmm_reference(graph, x, reduce=reduce),
        torch.randn(len(row), 2),
    )
    assert any(merges) == (longest == 9)
    merges.clear()
    grids.clear()
    x = torch.randn(len(row), 2, device=device)
    known = kernels.spmm(there, x, reduce=reduce)
    assert merges == [False, *[True] * (longest == 9)]
    assert (grids[0][0] > 1) == (longest == 9)  # the tile of all 12 rows, and slots' programs
    nobody_counted = CSR(*there.arrays)
    assert nobody_counted.longest is None
    torch.testing.assert_close(kernels.spmm(nobody_counted, x, reduce=reduce), known)
    assert merges[-2:] == [False, True]


@pytest.mark.parametrize("reduce", ["sum", "mean", "max"])
def test_spmm_without_edges(bare_graph, reduce, device, agrees) -> None:
    there = bare_graph.to(device)
    agrees(
        lambda x: kernels.spmm(there, x, reduce=reduce),
        lambda x: spmm_reference(bare_graph, x, reduce=reduce),
        torch.randn(bare_graph.num_cols, 3),
    )


@pytest.mark.parametrize("reduce", ["sum", "mean", "max"])
def test_spmm_brings_a_nan_to_exactly_the_rows_that_read_it(hub_graph, reduce, device) -> None:
    x = torch.randn(12, 3)
    x[7, 1] = torch.nan  # a neighbour of the hub
    found = kernels.spmm(hub_graph.to(device), x.to(device), reduce=reduce).cpu().isnan()
    expected = torch.zeros(12, 3, dtype=torch.bool)
    expected[hub_graph.row[hub_graph.col == 7], 1] = True
    assert torch.equal(found, expected)


@every_case
def test_gcn_propagate(hub_graph, width, dtype, device, agrees) -> None:
    hops = 3 if width < 33 else 1
    graph = fewer(hub_graph, width)
    there = graph.to(device)
    agrees(
        lambda x: kernels.gcn_propagate(there, x, hops),
        lambda x: gcn_propagate_reference(graph, x, hops),
        torch.randn(graph.num_rows, width).to(dtype),
        roundings=hops,
    )


@pytest.mark.parametrize(("width", "dtype"), NARROW, ids=str)
def test_gcn_propagate_with_bias_and_relu(hub_graph, width, dtype, device, agrees) -> None:
    there = hub_graph.to(device)
    agrees(
        lambda x, bias: kernels.gcn_propagate(there, x, 2, bias=bias, relu=True),
        lambda x, bias: gcn_propagate_reference(hub_graph, x, 2, bias=bias, relu=True),
        torch.randn(12, width).to(dtype),
        torch.randn(width).to(dtype),
        roundings=2,
    )


@pytest.mark.parametrize(("width", "dtype"), NARROW, ids=str)
def test_gcn_propagate_with_dropout(hub_graph, width, dtype, device, agrees) -> None:
    """Hubs, whose second launch drops, included; of no ReLU the gradient passes below 0, too."""
    there, seed = hub_graph.to(device), torch.tensor(1234567890123)
    for relu in (True, False):
        agrees(
            lambda x, bias, relu=relu: torch.ops.gbench.gcn_propagate(
                there.arrays, there.bound, x, bias, seed.to(device), 2, relu, 0.4
            ),
            lambda x, bias, relu=relu: dropout_reference(
                gcn_propagate_reference(hub_graph, x, 2, bias=bias, relu=relu), seed, 0.4
            ),
            torch.randn(12, width).to(dtype),
            torch.randn(width).to(dtype),
            roundings=3,
        )


def test_gcn_propagate_without_edges(bare_graph, device, agrees) -> None:
    there = bare_graph.to(device)
    x = torch.randn(bare_graph.num_rows, 3)
    agrees(
        lambda x: kernels.gcn_propagate(there, x),
        lambda x: gcn_propagate_reference(bare_graph, x),
        x,
    )


@every_case
@pytest.mark.parametrize("hops", [1, 3])
def test_teleport_propagate(hub_graph, width, dtype, hops, device, agrees) -> None:
    graph = fewer(hub_graph, width)
    there = graph.to(device)
    agrees(
        lambda x: kernels.teleport_propagate(there, x, 0.1, hops),
        lambda x: teleport_reference(graph, x, 0.1, hops),
        torch.randn(graph.num_rows, width).to(dtype),
        roundings=hops,
    )


def test_teleport_propagate_home(hub_graph, device, agrees) -> None:
    there = hub_graph.to(device)
    agrees(
        lambda x, home: kernels.teleport_propagate(there, x, 0.3, home=home),
        lambda x, home: teleport_reference(hub_graph, x, 0.3, home=home),
        torch.randn(hub_graph.num_rows, 3),
        torch.randn(hub_graph.num_rows, 3),
        roundings=2,
    )


@every_case
def test_gcn_gated_sum(hub_graph, width, dtype, device, agrees) -> None:
    graph, hops = fewer(hub_graph, width), 3 if width < 33 else 1
    there = graph.to(device)
    agrees(
        lambda *given: kernels.gcn_gated_sum(there, *given, hops),
        lambda *given: gcn_gated_sum_reference(graph, *given, hops),
        torch.randn(graph.num_rows, width).to(dtype),
        (torch.randn(width) / width**0.5).to(dtype),
        torch.tensor(0.3).to(dtype),
        roundings=4,
    )


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(("width", "dtype"), [*NARROW, (520, torch.float32)], ids=str)
def test_gcn_gated_sum_of_a_graph_without_hubs(
    width, dtype, together, device, agrees, monkeypatch
) -> None:
    """All hops in one launch, and a launch for each; rows of 521 lie in two blocks of columns."""
    if not together:
        monkeypatch.setattr("gbench.kernels.cuda.gcn_gated_sum.MAX_TILES", 0)
    nodes, hops = (40, 4) if width < 520 else (3, 2)
    ring = torch.arange(nodes)
    edges = torch.cat([torch.stack([ring, (ring + k) % nodes]) for k in (0, 1, 7)], 1)
    graph, _ = CSR.from_edge_index(edges[:, 1:], nodes)
    there = graph.to(device)
    agrees(
        lambda *given: kernels.gcn_gated_sum(there, *given, hops),
        lambda *given: gcn_gated_sum_reference(graph, *given, hops),
        torch.randn(nodes, width).to(dtype),
        (torch.randn(width) / width**0.5).to(dtype),
        torch.tensor(0.3).to(dtype),
        roundings=4,
    )


def test_gcn_gated_sum_in_one_launch_reads_nothing_too_early(device, monkeypatch) -> None:
    """On a GPU several tiles to a program, whose neighbours are far, over ten hops, many times."""
    nodes, hops, times = (60_000, 10, 20) if device == "cuda" else (18, 2, 1)
    ring = torch.arange(nodes)
    edges = torch.cat([torch.stack([ring, (ring + k) % nodes]) for k in (1, 7, nodes // 2)], 1)
    graph = CSR.from_edge_index(edges, nodes)[0].to(device)
    given = (torch.randn(nodes, 7), torch.randn(7), torch.tensor(0.3))
    leaves = [x.to(device).requires_grad_() for x in given]

    def values() -> list[torch.Tensor]:
        out = kernels.gcn_gated_sum(graph, *leaves, hops)
        return [out, *torch.autograd.grad(out.square().sum(), leaves)]

    first = values()
    for _ in range(times):
        assert all(torch.equal(a, b) for a, b in zip(first, values(), strict=True))
    monkeypatch.setattr("gbench.kernels.cuda.gcn_gated_sum.MAX_TILES", 0)  # a launch for each hop
    for ours, theirs in zip(first, values(), strict=True):
        atol = 2e-5 * max(1.0, float(theirs.detach().abs().max()))
        torch.testing.assert_close(ours, theirs, rtol=0, atol=atol)


@pytest.mark.parametrize("hops", [0, 2])
def test_gcn_gated_sum_without_edges(bare_graph, hops, device, agrees) -> None:
    there = bare_graph.to(device)
    agrees(
        lambda *given: kernels.gcn_gated_sum(there, *given, hops),
        lambda *given: gcn_gated_sum_reference(bare_graph, *given, hops),
        torch.randn(bare_graph.num_rows, 3),
        torch.randn(3),
        torch.tensor(-0.2),
        roundings=2,
    )


def test_gcn_gated_sum_in_inference_takes_turns_with_two_buffers(hub_graph, device) -> None:
    given = [t.to(device) for t in (torch.randn(12, 3), torch.randn(3), torch.tensor(0.1))]
    kept = kernels.gcn_gated_sum(hub_graph.to(device), *[t.requires_grad_() for t in given], 3)
    with torch.no_grad():
        assert torch.equal(kernels.gcn_gated_sum(hub_graph.to(device), *given, 3), kept)


@every_case
@pytest.mark.parametrize("reduce", ["sum", "mean", "max"])
def test_segment_reduce(width, dtype, reduce, device, agrees) -> None:
    # one long segment, a short one and an empty one
    ptr = torch.tensor([0, 19, 21, 21] if width < 33 else [0, 9, 11, 11], dtype=torch.int32)
    x = (torch.randn(int(ptr[-1]), width) * 2).round()
    agrees(
        lambda x: kernels.segment_reduce(ptr.to(device), x, reduce),
        lambda x: segment_reduce_reference(ptr, x, reduce),
        x.to(dtype),
    )


@pytest.mark.parametrize("ptr", [[0], [0, 0, 0]])
def test_segment_reduce_of_nothing(ptr, device, agrees) -> None:
    ptr = torch.tensor(ptr, dtype=torch.int32)
    agrees(
        lambda x: kernels.segment_reduce(ptr.to(device), x, "mean"),
        lambda x: segment_reduce_reference(ptr, x, "mean"),
        torch.randn(0, 3),
    )


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 5), (3, 1367)], ids=str)
def test_dropout(shape, dtype, device, agrees) -> None:
    """Elements of two of the hash's blocks, of 4096 each: the bits of the definition."""
    seed, x = torch.tensor(1234567890123), torch.randn(shape).to(dtype)
    agrees(
        lambda x: torch.ops.gbench.dropout(x, seed.to(device), 0.3),
        lambda x: dropout_reference(x, seed, 0.3),
        x,
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("classes", [1, 7, 300])
@pytest.mark.parametrize("tiles", [16, 1], ids=["one-program", "several"])
def test_cross_entropy(classes, dtype, tiles, device, monkeypatch) -> None:
    """A target that is there twice, one without a label; the other rows have gradient 0."""
    monkeypatch.setattr("gbench.kernels.cuda.cross_entropy.TILES", tiles)
    monkeypatch.setattr("gbench.kernels.cuda.cross_entropy.TILE", 2 * classes)
    logits, y = (4 * torch.randn(9, classes)).to(dtype), torch.randint(0, classes, (9,))
    y[4] = -100
    for targets in (torch.tensor([8, 1, 4, 0, 1]), None):
        exact = logits.double().requires_grad_()
        expected = cross_entropy_reference(exact, y, targets)
        (wanted,) = torch.autograd.grad(3 * expected, exact)
        there = logits.to(device).requires_grad_()
        given = () if targets is None else (targets, counted(targets, 9))
        strided = [each.to(device).repeat_interleave(2)[::2] for each in (y, *given)]
        found = cross_entropy(there, *strided)
        (grad,) = torch.autograd.grad(3 * found, there)
        assert found.dtype == torch.float32 and grad.dtype == dtype
        loss = found.detach().cpu().double()
        torch.testing.assert_close(loss, expected.detach(), rtol=1e-5, atol=1e-6)
        atol = 1e-6 if dtype == torch.float32 else 1e-2
        torch.testing.assert_close(grad.cpu().double(), wanted, rtol=0, atol=atol)


def test_cross_entropy_of_a_label_that_is_no_class_and_of_certain_scores(device) -> None:
    logits = torch.tensor([[2e4, 0.0], [0.0, -2e4]], device=device)
    zero = torch.zeros(2, dtype=torch.int64, device=device)
    assert cross_entropy(logits, zero).item() == 0
    assert cross_entropy(logits, zero + 1).item() == 2e4
    for wrong in (-1, 2):
        assert cross_entropy(logits, zero + wrong).isnan()


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tiles", [16, 1], ids=["one-program", "several"])
def test_entry_loss(kind, dtype, tiles, device, monkeypatch) -> None:
    """Missing labels, rows that are no target or twice, pairs of nodes, no label at all."""
    monkeypatch.setattr("gbench.kernels.cuda.entry_loss.TILES", tiles)
    monkeypatch.setattr("gbench.kernels.cuda.entry_loss.TILE", 16)
    x, y = (2 * torch.randn(15, 3)).to(dtype), torch.randn(15, 3)
    x[1, 0], y[1, 0] = 1.5, 1.5  # ŷ = y
    x[2], y[2] = torch.tensor([30.0, -30.0, 0.0]), torch.tensor([1.0, 0.0, 1.0])
    y[0, 1] = y[4] = torch.nan
    count = torch.tensor([1, 1, 1, 0, 1, 2, *[1] * 9], dtype=torch.int32)
    for labels, times, pairs in ((y, None, False), (y, count, False), (y.round(), None, True)):
        labels = labels.nan_to_num() if pairs else labels
        assert_entry_loss(x, labels, kind, times, pairs, device)
    assert_entry_loss(x, y * torch.nan, kind, None, False, device)


def assert_entry_loss(x, y, kind, count, pairs, device) -> None:
    exact = x.double().requires_grad_()
    expected = entry_loss_reference(exact, y, count, kind, 0.7, pairs)
    (wanted,) = torch.autograd.grad(3 * expected, exact)
    there = x.to(device).requires_grad_()
    times = None if count is None else count.to(device).repeat_interleave(2)[::2]
    found = entry_loss(there, y.to(device), times, kind, 0.7, pairs)
    (grad,) = torch.autograd.grad(3 * found, there)
    assert found.dtype == torch.promote_types(x.dtype, torch.float32) and grad.dtype == x.dtype
    rtol = 1e-12 if x.dtype == torch.float64 else 1e-5
    torch.testing.assert_close(found.detach().cpu().double(), expected.detach(), rtol=rtol, atol=0)
    near = {torch.float64: 1e-12, torch.float32: 1e-6, torch.bfloat16: 1e-2}[x.dtype]
    torch.testing.assert_close(grad.cpu().double(), wanted, rtol=near, atol=near)


@pytest.mark.parametrize("rate", [0.0, 0.3])
@pytest.mark.parametrize("act", ["none", "relu", "elu"])
@pytest.mark.parametrize(
    ("shape", "dtype"), [*(((4, 3), d) for d in FLOATS), ((3, 1367), FLOATS[0])]
)
def test_act_dropout(shape, dtype, act, rate, device, agrees) -> None:
    seed = torch.tensor(1234567890123) if rate else None
    there = None if seed is None else seed.to(device)
    agrees(
        lambda x, bias: torch.ops.gbench.act_dropout(x, bias, there, act, rate),
        lambda x, bias: act_dropout_reference(x, bias, seed, act, rate),
        torch.randn(shape).to(dtype),
        torch.randn(shape[1]).to(dtype),
        roundings=2,
    )


def test_act_dropout_without_bias_of_nothing_and_of_nan(device, agrees) -> None:
    plain = torch.ops.gbench.act_dropout
    agrees(lambda x: plain(x, None, None, "elu", 0.0), torch.nn.functional.elu, torch.randn(5, 3))
    assert plain(torch.zeros(0, 3, device=device), None, None, "relu", 0.0).shape == (0, 3)
    for act in ("relu", "elu"):
        x = torch.tensor([torch.nan, -torch.inf, torch.inf], device=device)
        found = plain(x, None, None, act, 0.0).tolist()
        assert found[0] != found[0] and found[1:] == [0.0 if act == "relu" else -1.0, torch.inf]


@every_case
@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_sparse_linear(hub_graph, width, dtype, rate, device, agrees) -> None:
    edges = fewer(hub_graph, width).edge_index
    pattern, _ = CSR.from_edge_index(edges, 12, 31)  # a rectangle, with rows and columns of zeros
    there = pattern.to(device)
    values, seed = torch.randn(pattern.num_entries).to(dtype), torch.tensor(12345678901)
    seed = seed if rate else None
    op = torch.ops.gbench.sparse_linear
    given = (there.arrays, there.bound, there.bound, values.to(device))
    drawn = None if seed is None else seed.to(device)
    agrees(
        lambda weight, bias: op(*given, weight, bias, drawn, rate),
        lambda weight, bias: sparse_linear_reference(
            pattern, values.double(), weight, bias, seed, rate
        ),
        torch.randn(31, width).to(dtype),
        torch.randn(width).to(dtype),
    )


@pytest.mark.parametrize("rate", [0.0, 0.4])
@pytest.mark.parametrize(
    ("heads", "width", "dtype"),
    [(1, 1, FLOATS[0]), *((2, 3, dtype) for dtype in FLOATS), (1, 40, FLOATS[0])],
    ids=str,
)
def test_gat_attention(hub_graph, heads, width, dtype, rate, device, agrees) -> None:
    """Hubs' parts have highest scores of their own, which a second launch brings together."""
    there, seed = hub_graph.to(device), torch.tensor(987654321) if rate else None
    drawn = None if seed is None else seed.to(device)
    agrees(
        lambda *given: kernels_gat(there, *given, drawn, rate),
        lambda *given: gat_reference(hub_graph, *given, seed, rate),
        torch.randn(12, heads, width).to(dtype),
        *((3 * torch.randn(heads, width) / width**0.5).to(dtype) for _ in range(2)),
        roundings=4,
    )


def test_gat_attention_of_wide_heads_and_of_more_columns_than_rows(device, agrees) -> None:
    edges = torch.tensor([[0, 1, 2, 3, 2], [0, 0, 1, 1, 0]])
    graph, _ = CSR.from_edge_index(edges, 3, 5)
    there = graph.to(device)
    for width in (2, 600):
        agrees(
            lambda *given: kernels_gat(there, *given, None, 0.0),
            lambda *given: gat_reference(graph, *given, None, 0.0),
            torch.randn(5, 1, width),
            *(torch.randn(1, width) / width**0.5 for _ in range(2)),
            roundings=4,
        )


def test_gat_attention_of_huge_scores_and_without_edges(bare_graph, device, agrees) -> None:
    there = bare_graph.to(device)
    agrees(
        lambda *given: kernels_gat(there, *given, None, 0.0),
        lambda *given: gat_reference(bare_graph, *given, None, 0.0),
        *(torch.randn(bare_graph.num_cols, 2, 3), torch.randn(2, 3), torch.randn(2, 3)),
    )
    chain, _ = CSR.from_edge_index(torch.tensor([[0, 1, 2], [2, 2, 2]]), 3)
    x = torch.tensor([[[2e4]], [[-3e4]], [[2e4]]], device=device)
    one = torch.ones(1, 1, device=device)
    out = kernels_gat(chain.to(device), x, one, one, None, 0.0)
    assert out.flatten().tolist() == [2e4, -3e4, 2e4]


def kernels_gat(graph, x, own, other, seed, rate):
    return torch.ops.gbench.gat_attention(graph.arrays, graph.bound, x, own, other, seed, rate)[0]


@every_case
def test_segment_add(width, dtype, device, agrees) -> None:
    ptr = torch.tensor([0, 0, 19, 21] if width < 33 else [0, 0, 9, 11], dtype=torch.int32)
    agrees(
        lambda x, v: kernels.segment_add(ptr.to(device), x, v),
        lambda x, v: segment_add_reference(ptr, x, v),
        torch.randn(int(ptr[-1]), width).to(dtype),
        torch.randn(3, width).to(dtype),
    )


@pytest.mark.parametrize("ptr", [[0], [0, 0, 0]])
def test_segment_add_of_nothing(ptr, device, agrees) -> None:
    ptr = torch.tensor(ptr, dtype=torch.int32)
    agrees(
        lambda x, v: kernels.segment_add(ptr.to(device), x, v),
        lambda x, v: segment_add_reference(ptr, x, v),
        torch.randn(0, 3),
        torch.randn(ptr.numel() - 1, 3),
    )


OFFSETS = torch.tensor([0, 3, 5])


@every_case
@pytest.mark.parametrize("large", [512, 1], ids=["tables", "sorted"])
def test_embedding_sum(width, dtype, large, device, agrees, monkeypatch) -> None:
    monkeypatch.setattr("gbench.kernels.cuda.embedding_sum.LARGE", large)
    num_rows = 40 if width < 33 else 9
    codes = torch.stack([torch.randint(0, size, (num_rows,)) for size in (3, 2, 65)], 1)
    agrees(
        lambda table: kernels.embedding_sum(codes.to(device), table, OFFSETS.to(device)),
        lambda table: embedding_sum_reference(codes, table, OFFSETS),
        torch.randn(70, width).to(dtype),  # more than one block of 64 table rows
    )


@pytest.mark.parametrize("num_rows", [5, 40])  # of one copy of the tables, and of several
@pytest.mark.parametrize("large", [4, 512])
@pytest.mark.parametrize(("width", "dtype"), NARROW, ids=str)
def test_embedding_sum_of_several_tables(
    width, dtype, large, num_rows, device, agrees, monkeypatch
) -> None:
    monkeypatch.setattr("gbench.kernels.cuda.embedding_sum.LARGE", large)
    codes = torch.stack([torch.randint(0, size, (num_rows,)) for size in (3, 2, 65)], 1)
    agrees(
        lambda tables: kernels.embedding_sum(codes.to(device), tables, OFFSETS.to(device)),
        lambda tables: embedding_sum_reference(codes, tables, OFFSETS),
        torch.randn(3, 70, width).to(dtype),
    )


def test_embedding_sum_of_no_rows(device, agrees) -> None:
    codes = torch.zeros(0, 3, dtype=torch.int64)
    agrees(
        lambda table: kernels.embedding_sum(codes.to(device), table, OFFSETS.to(device)),
        lambda table: embedding_sum_reference(codes, table, OFFSETS),
        torch.randn(7, 3),
    )


def test_embedding_sum_marks_a_category_that_its_feature_lacks(device) -> None:
    codes = torch.tensor([[0, 0, 0], [0, 2, 0], [-1, 0, 0], [2, 1, 64]]).to(device)
    table = torch.randn(70, 4).to(device)
    found = kernels.embedding_sum(codes, table, OFFSETS.to(device))
    assert found.isnan().all(1).tolist() == [False, True, True, False]


@every_case
def test_gine_aggregate(hub_graph, width, dtype, device, agrees) -> None:
    graph = fewer(hub_graph, width)
    there = graph.to(device)
    code = torch.randint(0, 7, (graph.num_entries,), dtype=torch.uint8)
    agrees(
        lambda x, table, eps: kernels.gine_aggregate(there, x, table, code.to(device), eps),
        lambda x, table, eps: gine_reference(graph, x, table, code, eps),
        torch.randn(graph.num_rows, width).to(dtype),
        torch.randn(7, width).to(dtype),
        torch.tensor(0.3, dtype=dtype),
    )


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("rate", [0.0, 0.5])
@pytest.mark.parametrize(
    ("sizes", "width"), [((3, 0, 21, 1), 5), ((70, 9), 18), ((0, 2), 3)], ids=str
)
def test_ragged_attention(sizes, width, rate, dtype, device, agrees) -> None:
    """Graphs that share a tile, one without nodes, and one of more nodes than a tile."""
    ptr = torch.tensor([0, *sizes]).cumsum(0).int()
    seed = torch.tensor(1234567890123) if rate else None
    there = None if seed is None else seed.to(device)
    agrees(
        lambda *given: torch.ops.gbench.ragged_attention(ptr.to(device), *given, there, rate)[0],
        lambda *given: attention_reference(ptr, *given, seed, rate),
        *(torch.randn(sum(sizes), 2, width).to(dtype) for _ in range(3)),
        roundings=4,
    )


@pytest.mark.parametrize(("width", "dtype"), [(3, torch.float64), (33, torch.float32)], ids=str)
def test_gated_aggregate(hub_graph, width, dtype, device, agrees) -> None:
    graph = fewer(hub_graph, width)
    there = graph.to(device)
    rows = (graph.num_entries, *(graph.num_rows for _ in range(3)))
    agrees(
        lambda *given: torch.cat(gated_aggregate(there, *given)),
        lambda *given: torch.cat(gated_reference(graph, *given)),
        *(torch.randn(count, width).to(dtype) for count in rows),
        roundings=4,
    )
    agrees(  # the last layer's states are not read
        lambda *given: gated_aggregate(there, *given)[0],
        lambda *given: gated_reference(graph, *given)[0],
        *(torch.randn(count, width).to(dtype) for count in rows),
        roundings=4,
    )


@pytest.mark.parametrize(("width", "dtype"), [(3, torch.float64), (33, torch.float32)], ids=str)
@pytest.mark.parametrize("act", ["relu", "gelu"])
@pytest.mark.parametrize("kind", ["none", "table", "edges"])
def test_activated_sum(hub_graph, width, dtype, kind, act, device, agrees) -> None:
    graph = fewer(hub_graph, width)
    there = graph.to(device)
    code = torch.randint(0, 7, (graph.num_entries,), dtype=torch.uint8)
    scale = torch.rand(graph.num_rows) if kind != "none" else None
    given = () if kind != "table" else (code,)
    rows = (graph.num_rows, graph.num_rows, 7 if kind == "table" else graph.num_entries)
    options = {"act": act, "slope": 0.2}

    def ours(*inputs):
        factor = None if scale is None else scale.to(inputs[0])
        codes = (part.to(device) for part in given)
        return activated_sum(there, *inputs, *codes, scale=factor, **options)

    agrees(
        ours,
        lambda *exact: activated_reference(
            graph, *exact, *given, scale=None if scale is None else scale.to(dtype), **options
        ),
        *(torch.randn(count, width).to(dtype) for count in rows[: 2 + (kind != "none")]),
        roundings=4,
    )


@pytest.mark.parametrize(
    ("heads", "width", "dtype"),
    [(2, 3, torch.float64), (3, 5, torch.float32), (1, 130, torch.float32)],
)
@pytest.mark.parametrize("edges", [False, True])
def test_gatv2_score(hub_graph, heads, width, dtype, edges, device, agrees) -> None:
    graph = fewer(hub_graph, heads * width)
    there = graph.to(device)
    shapes = [(graph.num_rows, heads, width), (graph.num_cols, heads, width), (heads, width)]
    if edges:
        shapes.append((graph.num_entries, heads, width))
    agrees(
        lambda *given: gatv2_score(there, *given),
        lambda *given: gatv2_reference(graph, *given),
        *(torch.randn(shape).to(dtype) for shape in shapes),
        roundings=4,
    )


PNA_CASES = [(1, torch.float32), (3, torch.float64), (33, torch.float32)]


@pytest.mark.parametrize(("width", "dtype"), PNA_CASES, ids=str)
@pytest.mark.parametrize("kind", ["none", "table", "edges"])
def test_pna_aggregate(hub_graph, width, dtype, kind, device, agrees) -> None:
    graph = fewer(hub_graph, width)
    there = graph.to(device)
    code = torch.randint(0, 7, (graph.num_entries,), dtype=torch.uint8)
    given = () if kind != "table" else (code,)
    inputs = [(2 * torch.randn(graph.num_cols, width)).round()]  # ties: their gradient is shared
    if kind != "none":
        inputs.append(torch.randn(7 if kind == "table" else graph.num_entries, width))
    agrees(
        lambda *ours: pna_aggregate(there, *ours, *(part.to(device) for part in given)),
        lambda *exact: pna_reference(graph, *exact, *given),
        *(value.to(dtype) for value in inputs),
        roundings=4,
    )


def test_pna_aggregate_without_edges(bare_graph, device, agrees) -> None:
    there = bare_graph.to(device)
    agrees(
        lambda x: pna_aggregate(there, x),
        lambda x: pna_reference(bare_graph, x),
        torch.randn(bare_graph.num_cols, 3),
    )


@every_case
def test_gine_dense(hub_graph, width, dtype, device, agrees) -> None:
    graph = fewer(hub_graph, width)
    there = graph.to(device)
    agrees(
        lambda x, edge, eps: kernels.gine_dense(there, x, edge, eps),
        lambda x, edge, eps: gine_dense_reference(graph, x, edge, eps),
        torch.randn(graph.num_rows, width).to(dtype),
        torch.randn(graph.num_entries, width).to(dtype),
        torch.tensor(0.3, dtype=dtype),
    )


@every_case
@pytest.mark.parametrize("powers", [(-0.5, -0.5), (-0.25, -1.0), (0.0, 1.0)], ids=str)
def test_directed_propagate(hub_graph, width, dtype, powers, device, agrees) -> None:
    graph = fewer(hub_graph, width)
    there = graph.to(device)
    agrees(
        lambda x: kernels.directed_propagate(there, x, *powers),
        lambda x: directed_reference(graph, x, *powers),
        torch.randn(graph.num_rows, width).to(dtype),
    )


@every_case
def test_gcn_bond_aggregate(hub_graph, width, dtype, device, agrees) -> None:
    graph = fewer(hub_graph, width)
    there = graph.to(device)
    code = torch.randint(0, 7, (graph.num_entries,))
    agrees(
        lambda x, table, root: kernels.gcn_bond_aggregate(there, x, table, code.to(device), root),
        lambda x, table, root: gcn_bond_reference(graph, x, table, code, root),
        torch.randn(graph.num_rows, width).to(dtype),
        torch.randn(7, width).to(dtype),
        torch.randn(width).to(dtype),
    )


@pytest.mark.parametrize("name", ["gine_aggregate", "gcn_bond_aggregate"])
def test_bonds_fill_several_blocks_and_copies_of_the_table(name, hub_graph, device, agrees) -> None:
    there = hub_graph.to(device)
    code = torch.tensor([0, 64, 69])[torch.randint(0, 3, (30,))]  # rows of both blocks of 64
    few = torch.randint(0, 3, (30,))  # 3 rows: 10 chunks of 3 entries
    last = torch.tensor(0.3) if name == "gine_aggregate" else torch.randn(5)
    reference = gine_reference if name == "gine_aggregate" else gcn_bond_reference
    for codes, num_codes in ((code, 70), (few, 3)):
        agrees(
            lambda x, t, p, c=codes: getattr(kernels, name)(there, x, t, c.to(device), p),
            lambda x, t, p, c=codes: reference(hub_graph, x, t, c, p),
            torch.randn(12, 5),
            torch.randn(num_codes, 5),
            last,
        )


@pytest.mark.parametrize("name", ["gine_aggregate", "gcn_bond_aggregate"])
def test_bonds_without_edges(name, bare_graph, device, agrees) -> None:
    there = bare_graph.to(device)
    code = torch.zeros(0, dtype=torch.uint8)
    last = torch.tensor(0.3) if name == "gine_aggregate" else torch.randn(3)
    reference = gine_reference if name == "gine_aggregate" else gcn_bond_reference
    agrees(
        lambda x, t, p: getattr(kernels, name)(there, x, t, code.to(device), p),
        lambda x, t, p: reference(bare_graph, x, t, code, p),
        torch.randn(bare_graph.num_rows, 3),
        torch.randn(7, 3),
        last,
    )


@pytest.mark.parametrize("name", ["gine_aggregate", "gcn_bond_aggregate"])
@pytest.mark.parametrize("wrong", [-1, 7])
def test_bonds_outside_the_table_mark_the_node(name, wrong, hub_graph, device) -> None:
    code = torch.zeros(30, dtype=torch.int32)
    code[25] = wrong
    last = torch.tensor(0.3) if name == "gine_aggregate" else torch.randn(3)
    x, table = torch.randn(12, 3).to(device), torch.randn(7, 3).to(device)
    there, operation = hub_graph.to(device), getattr(kernels, name)
    found = operation(there, x, table, code.to(device), last.to(device)).isnan().all(1)
    assert found.nonzero().flatten().tolist() == [int(hub_graph.row[25])]


@pytest.mark.parametrize("name", ["gine_aggregate", "gcn_bond_aggregate"])
def test_bonds_with_a_message_of_exactly_zero_have_no_gradient(name, hub_graph, device) -> None:
    x = torch.ones(12, 2, device=device, requires_grad=True)
    table = torch.full((1, 2), -1.0, device=device, requires_grad=True)
    code = torch.zeros(30, dtype=torch.uint8, device=device)
    last = torch.tensor(0.0) if name == "gine_aggregate" else torch.full((2,), -1.0)
    out = getattr(kernels, name)(hub_graph.to(device), x, table, code, last.to(device))
    out.sum().backward()
    own = 1.0 if name == "gine_aggregate" else 0.0
    assert torch.equal(x.grad.cpu(), torch.full((12, 2), own))
    assert torch.equal(table.grad.cpu(), torch.zeros(1, 2))


@pytest.mark.parametrize(("width", "dtype"), NARROW, ids=str)
def test_edge_softmax(hub_graph, width, dtype, device, agrees) -> None:
    there = hub_graph.to(device)
    agrees(
        lambda score, x: kernels.edge_softmax(there, score, x),
        lambda score, x: edge_softmax_reference(hub_graph, score, x),
        (3 * torch.randn(30, 2)).to(dtype),
        torch.randn(12, 2, width).to(dtype),
        roundings=4,
    )


@pytest.mark.parametrize(("width", "dtype"), NARROW, ids=str)
def test_edge_softmax_with_factors(hub_graph, width, dtype, device, agrees) -> None:
    there = hub_graph.to(device)
    factor = 2.5 * (torch.rand(30, 2) < 0.4)
    agrees(
        lambda score, x: kernels.edge_softmax(there, score, x, factor.to(device, dtype)),
        lambda score, x: edge_softmax_reference(hub_graph, score, x, factor),
        (3 * torch.randn(30, 2)).to(dtype),
        torch.randn(12, 2, width).to(dtype),
        roundings=4,
    )


def test_edge_softmax_of_huge_scores_and_without_edges(bare_graph, device, agrees) -> None:
    there = bare_graph.to(device)
    agrees(
        lambda score, x: kernels.edge_softmax(there, score, x),
        lambda score, x: edge_softmax_reference(bare_graph, score, x),
        torch.randn(0, 2),
        torch.randn(bare_graph.num_cols, 2, 3),
    )
    pair, _ = CSR.from_edge_index(torch.tensor([[0, 1], [2, 2]]), 3)
    score = torch.tensor([[1000.0], [1000.0]], device=device)  # exp(1000) is infinite
    x = torch.tensor([[[1.0]], [[3.0]], [[9.0]]], device=device)
    out = kernels.edge_softmax(pair.to(device), score, x)
    assert out.flatten().tolist() == [0.0, 0.0, 2.0]


def undirected(graph: CSR) -> CSR:
    """The graph's distinct edges in both directions, without self-loops."""
    edges = graph.edge_index[:, graph.row != graph.col]
    edges = torch.cat([edges, edges.flip(0)], 1).unique(dim=1)
    return CSR.from_edge_index(edges, graph.num_rows)[0]


def calm() -> CSR:
    """No hubs, and an isolated node."""
    return undirected(CSR.from_edge_index(torch.randint(0, 11, (2, 16)), 12)[0])


SHEAVES = [(kind, 3, torch.float32) for kind in ("diagonal", "full", "weight", "degree")]
SHEAVES += [(kind, 2, torch.bfloat16) for kind in ("diagonal", "full", "weight")]
SHEAVES += [("diagonal", 1, torch.float64), ("full", 2, torch.float64)]
SHEAVES += [("diagonal-degree", 2, torch.float32)]


@pytest.mark.parametrize("hubs", [True, False], ids=["hubs", "calm"])
@pytest.mark.parametrize(("kind", "stalk", "dtype"), SHEAVES, ids=str)
def test_sheaf_laplacian(hub_graph, kind, stalk, dtype, hubs, device, agrees) -> None:
    graph = undirected(hub_graph) if hubs else calm()
    there = graph.to(device)
    is_diagonal = kind.startswith("diagonal")
    shape = (graph.num_entries, stalk) + (() if is_diagonal else (stalk,))
    named = kind.removeprefix("diagonal-") if kind.endswith(("weight", "degree")) else None
    more = {None: (), "weight": (graph.num_entries,), "degree": (graph.num_rows,)}[named]
    rest = (torch.rand(more).to(dtype),) if more else ()

    def reference(maps, x, *rest):
        full = maps.diag_embed() if is_diagonal else maps
        if named is None:
            return sheaf_reference(graph, full, x)
        if named == "weight":
            full = full * rest[0][:, None, None]
        size = rest[0] if named == "degree" else torch.zeros(graph.num_rows).to(x)
        if named == "weight":
            size = size.index_add(0, graph.row, rest[0].square())
        root = (1 + size).rsqrt()[:, None, None]
        apart = full @ (root * x)[graph.row]
        apart = apart - full[graph.perm_t.long()] @ (root * x)[graph.col.long()]
        return root * torch.zeros_like(x).index_add(0, graph.row, full.mT @ apart)

    agrees(
        lambda maps, x, *rest: kernels.sheaf_laplacian(
            there, maps, x, **({named: rest[0]} if named else {})
        ),
        reference,
        torch.randn(shape, dtype=dtype),
        torch.randn(graph.num_rows, stalk, 5, dtype=dtype),
        *rest,
        roundings=20,  # a root of blocks with eigenvalues from 1 to 50
    )


def test_sheaf_laplacian_without_edges(bare_graph, device, agrees) -> None:
    there, num_nodes = bare_graph.to(device), bare_graph.num_rows
    for shape in ((0, 2), (0, 2, 2)):
        agrees(
            lambda maps, x: kernels.sheaf_laplacian(there, maps, x),
            lambda maps, x: 0 * x + maps.sum(),
            torch.randn(shape),
            torch.randn(num_nodes, 2, 3),
        )


@pytest.mark.parametrize("count", [0, 21])
@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("dtype", FULL, ids=str)
def test_householder(size, count, dtype, device, agrees) -> None:
    agrees(
        lambda parameters: householder(parameters, size),
        lambda parameters: householder_reference(parameters, size),
        torch.randn(count, size * (size - 1) // 2, dtype=dtype),
        roundings=8,
    )


@pytest.mark.parametrize("width", [1, 3, 9])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_pair_tanh(hub_graph, width, dtype, device, agrees) -> None:
    there, z = hub_graph.to(device), torch.randn(12, 2 * width)
    z[:4] *= torch.tensor([1e-3, 20.0, 1e3, 0.0])[:, None]  # nearly 0, nearly 1, and exp overflows
    agrees(
        lambda z: pair_tanh(there, z),
        lambda z: pair_tanh_reference(hub_graph, z),
        z.to(dtype),
        roundings=2,
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_pair_tanh_of_small_numbers_has_all_digits(dtype, device) -> None:
    pair = CSR.from_edge_index(torch.tensor([[0], [1]]), 2)[0].to(device)
    for size in (1e-30, 1e-8, 1e-4, 0.01, 0.3, 0.9, 5.0):
        z = torch.tensor([[0.0, 0.0], [size, 0.0]], dtype=dtype, device=device)
        exact = torch.tensor([[size]], dtype=dtype).double().tanh()
        rtol = 8 * torch.finfo(dtype).eps
        torch.testing.assert_close(pair_tanh(pair, z).cpu().double(), exact, rtol=rtol, atol=0)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_pair_weight(hub_graph, dtype, device, agrees) -> None:
    graph = undirected(hub_graph)
    there, z = graph.to(device), torch.randn(12, 2).to(dtype)
    agrees(
        lambda z: pair_weight(there, z),
        lambda z: pair_weight_reference(graph, z),
        z,
        roundings=3,
    )
    out = pair_weight(there, z.to(device))
    assert torch.equal(out, out[there.perm_t.long()])  # of an edge, from both its ends


def test_pairs_without_edges(bare_graph, device, agrees) -> None:
    there, z = bare_graph.to(device), torch.randn(bare_graph.num_rows, 2)
    agrees(lambda z: pair_tanh(there, z), lambda z: pair_tanh_reference(bare_graph, z), z)
    agrees(lambda z: pair_weight(there, z), lambda z: pair_weight_reference(bare_graph, z), z)


def graphs_of(sizes: list[int], device: str) -> tuple[kernels.Pairs, kernels.Pairs]:
    """The pairs of graphs with so many nodes, on the CPU and there."""
    node_ptr = torch.tensor([0, *sizes]).cumsum(0).int()
    pairs = kernels.Pairs.of(node_ptr, sum(sizes))
    return pairs, kernels.Pairs(*(array.to(device) for array in pairs))


@pytest.mark.parametrize("mean", [False, True], ids=["sum", "mean"])
@pytest.mark.parametrize(("heads", "width"), [(5, 5), (2, 6), (1, 3)])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_pair_conv(heads, width, dtype, mean, device, agrees) -> None:
    pairs, there = graphs_of([3, 0, 1, 6], device)
    agrees(
        lambda psi, x: kernels.pair_conv(there, psi, x, mean=mean),
        lambda psi, x: pair_conv_reference(pairs, psi, x, mean),
        torch.randn(46, heads).to(dtype),
        torch.randn(10, width).to(dtype),
    )


@pytest.mark.parametrize(
    ("sizes", "heads", "width"), [([40], 1, 2), ([2], 300, 300), ([3], 2, 300)]
)
def test_pair_conv_of_many_nodes_and_features(sizes, heads, width, device, agrees) -> None:
    pairs, there = graphs_of(sizes, device)
    agrees(
        lambda psi, x: kernels.pair_conv(there, psi, x),
        lambda psi, x: pair_conv_reference(pairs, psi, x),
        torch.randn(sizes[0] ** 2, heads),
        torch.randn(sizes[0], width),
    )


@pytest.mark.parametrize(("heads", "width"), [(4, 4), (2, 6)])
def test_pair_conv_drops(heads, width, device, agrees) -> None:
    pairs, there = graphs_of([3, 5], device)

    def seeded(psi: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(5)
        return kernels.pair_conv(there, psi, x, mean=True, dropout=0.4)

    torch.manual_seed(5)
    seed = torch.randint(2**63 - 1, (), device=device).cpu()
    agrees(
        seeded,
        lambda psi, x: pair_conv_reference(pairs, psi, x, True, 0.4, seed),
        torch.randn(34, heads),
        torch.randn(8, width),
    )


@pytest.mark.parametrize(("sizes", "width"), [([3, 0, 1, 6], 3), ([40], 1), ([2], 70)], ids=str)
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_pair_softmax(sizes, width, dtype, device, agrees) -> None:
    pairs, there = graphs_of(sizes, device)
    agrees(
        lambda score: kernels.pair_softmax(there, score),
        lambda score: pair_softmax_reference(pairs, score),
        torch.randn(sum(n * n for n in sizes), width).to(dtype),
        roundings=2,
    )


@pytest.mark.parametrize(("sizes", "width"), [([3, 0, 1, 5], 3), ([20], 1), ([2], 70)], ids=str)
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_pair_gate(sizes, width, dtype, device, agrees) -> None:
    pairs, there = graphs_of(sizes, device)
    e = torch.randn(sum(n * n for n in sizes), 2 * width)
    q, k = (torch.rand(sum(sizes), width) + 0.5 for _ in range(2))  # no root of nearly 0
    agrees(
        lambda q, k, e: kernels.pair_gate(there, q, k, e),
        lambda q, k, e: pair_gate_reference(pairs, q, k, e),
        *(value.to(dtype) for value in (q, k, e + 0.5 * e.sign())),
        roundings=4,
    )


@pytest.mark.parametrize(("heads", "width"), [(5, 5), (2, 6), (1, 70)])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_pair_sum(heads, width, dtype, device, agrees) -> None:
    pairs, there = graphs_of([3, 0, 1, 6], device)
    agrees(
        lambda weight, e: kernels.pair_sum(there, weight, e),
        lambda weight, e: pair_sum_reference(pairs, weight, e),
        torch.randn(46, heads).to(dtype),
        torch.randn(46, width).to(dtype),
    )


# Nodes, channels and features; and whether the weights' gradients are sums of sums.
STEPS = [
    ((0, 2, 3), torch.float32, False),
    ((7, 1, 3), torch.float64, True),
    ((23, 3, 20), torch.float32, False),
    ((23, 3, 20), torch.float32, True),
    ((9, 5, 33), torch.float32, True),
]
every_step = pytest.mark.parametrize(("shape", "dtype", "several"), STEPS, ids=str)


@every_step
def test_sheaf_mix(shape, dtype, several, device, agrees, monkeypatch) -> None:
    monkeypatch.setattr("gbench.kernels.cuda.sheaf_mix.TILES", 1 if several else 100)
    _, channels, width = shape
    agrees(
        sheaf_mix,
        sheaf_mix_reference,
        torch.randn(shape, dtype=dtype),
        torch.randn(channels, channels, dtype=dtype),
        torch.randn(width, width, dtype=dtype),
        roundings=4,
    )


@every_step
def test_sheaf_residual(shape, dtype, several, device, agrees, monkeypatch) -> None:
    monkeypatch.setattr("gbench.kernels.cuda.sheaf_residual.TILES", 1 if several else 100)
    monkeypatch.setattr("gbench.kernels.cuda.sheaf_residual.ELEMENTS", 64)
    agrees(
        sheaf_residual,
        sheaf_residual_reference,
        torch.randn(shape, dtype=dtype),
        3 * torch.randn(shape, dtype=dtype),
        torch.randn(shape[1], 1, dtype=dtype),
        roundings=4,
    )


@pytest.mark.parametrize("looks", ["seen", "sums", "no"])
@every_step
def test_sheaf_step(shape, dtype, several, looks, device, agrees, monkeypatch) -> None:
    monkeypatch.setattr("gbench.kernels.cuda.sheaf_residual.TILES", 1 if several else 100)
    monkeypatch.setattr("gbench.kernels.cuda.sheaf_residual.ELEMENTS", 64)
    options = {"looks": looks != "no", "sums": looks == "sums"}
    seeds = [torch.tensor(0x7123456789ABCDEF), torch.tensor(5)]

    def given(step, *args):
        """All results beside each other."""
        y, seen, dropped = step(*args)
        parts = [y, dropped] if seen is None else [y, dropped, seen]
        return torch.cat([part.flatten(1) for part in parts], 1)

    def ours(*args):
        draws = iter(seeds if looks != "no" else seeds[1:])
        monkeypatch.setattr(
            "gbench.kernels.sheaf_step.seed_on", lambda place: next(draws).to(place)
        )
        return given(lambda *args: sheaf_step(*args, 0.4, **options), *args)

    def theirs(*args):
        draws = iter(seeds if looks != "no" else seeds[1:])

        def draw(x, rate):
            return dropout_reference(x, next(draws), rate)

        return given(lambda *args: sheaf_step_reference(*args, 0.4, draw, **options), *args)

    agrees(
        ours,
        theirs,
        torch.randn(shape, dtype=dtype),
        3 * torch.randn(shape, dtype=dtype),
        torch.randn(shape[1], 1, dtype=dtype),
        roundings=4,
    )


@pytest.mark.parametrize("hubs", [True, False], ids=["hubs", "calm"])
@pytest.mark.parametrize(("size", "dtype"), [*NARROW, (2, FLOATS[1]), (5, FLOATS[0])], ids=str)
def test_sheaf_blocks(hub_graph, size, dtype, hubs, device, agrees) -> None:
    graph = hub_graph if hubs else calm()
    there = graph.to(device)
    agrees(
        lambda maps: sheaf_blocks(there, maps).to(dtype),
        lambda maps: sheaf_blocks_reference(graph, maps),
        torch.randn(graph.num_entries, size, size, dtype=dtype),
        roundings=4,
    )


def test_sheaf_blocks_without_edges(bare_graph, device, agrees) -> None:
    there = bare_graph.to(device)
    agrees(
        lambda maps: sheaf_blocks(there, maps),
        lambda maps: sheaf_blocks_reference(bare_graph, maps),
        torch.randn(0, 3, 3),
    )


@pytest.mark.parametrize("size", [1, 2, 3])
def test_inverse_sqrt(size, device) -> None:
    factors = torch.randn(9, size, size, dtype=torch.float64)
    factors[0] = 0  # an isolated node's block is the identity
    blocks = (factors.mT @ factors + torch.eye(size)).requires_grad_()
    there = blocks.detach().to(device).requires_grad_()
    found, expected = inverse_sqrt(there), inverse_sqrt_reference(blocks)
    torch.testing.assert_close(found.cpu(), expected, rtol=1e-9, atol=1e-9)
    grad = torch.randn(9, size, size, dtype=torch.float64)
    grad = grad + grad.mT
    (ours,) = torch.autograd.grad(found, there, grad.to(device))
    (theirs,) = torch.autograd.grad(expected, blocks, grad)
    symmetric = (theirs + theirs.mT) / 2
    torch.testing.assert_close((ours + ours.mT).cpu() / 2, symmetric, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("few", [16, 32, 64], ids=["chunks", "narrow", "whole"])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("width", "dtype"), NARROW, ids=str)
def test_norm_act(width, dtype, training, dropout, few, device, agrees, monkeypatch) -> None:
    monkeypatch.setattr("gbench.kernels.cuda.norm_act.FEW", few)
    wide = torch.promote_types(dtype, torch.float32)
    mean, var = torch.randn(width).to(wide), torch.rand(width).to(wide) + 0.5
    seed = torch.tensor(0x7123456789ABCDEF)
    residual = torch.randn(50, width).to(dtype)
    options = (training, 1e-5, True, dropout)

    def at(operation, place, kind):
        def call(x, weight, bias):
            given = (mean.to(kind), var.to(kind), residual.to(x.dtype), seed)
            given = [value.to(place) for value in given]
            if operation is not norm_act_reference:
                given += [None, None]  # all rows count, and nothing is added before
            return operation(x, weight.to(kind), bias.to(kind), *given, *options)[0]

        return call

    agrees(
        at(torch.ops.gbench.norm_act, device, wide),
        at(norm_act_reference, "cpu", torch.float64),
        torch.randn(50, width).to(dtype),
        torch.randn(width).to(dtype),
        torch.randn(width).to(dtype),
        roundings=4,
    )


@pytest.mark.parametrize("count", [None, 2, 37, 70])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("few", [16, 128], ids=["chunks", "whole"])
def test_norm_act_of_the_leading_rows(few, dtype, count, device, monkeypatch) -> None:
    """Against torch's module on these rows, in training, running statistics included."""
    monkeypatch.setattr("gbench.kernels.cuda.norm_act.FEW", few)
    wide = torch.promote_types(dtype, torch.float32)
    norms = [torch.nn.BatchNorm1d(3, momentum=0.3, dtype=kind) for kind in (wide, torch.float64)]
    ours, theirs = norms[0].to(device), norms[1]
    x, residual, grad = (torch.randn(3, 70, 3) + 4).to(dtype).unbind()
    if count is not None:
        x[count:], residual[count:] = torch.inf, torch.nan  # nobody reads them
    rows = None if count is None else torch.tensor(count, device=device)
    for _ in range(2):
        given = [value.detach().to(device).requires_grad_() for value in (x, residual)]
        exact = [value[:count].detach().double().requires_grad_() for value in (x, residual)]
        out = kernels.norm_act(given[0], ours, residual=given[1], rows=rows)
        expected = theirs(exact[0]).relu() + exact[1]
        wants = [*given, ours.weight, ours.bias]
        found = torch.autograd.grad(out, wants, grad.to(device))
        wanted = torch.autograd.grad(
            expected, [*exact, theirs.weight, theirs.bias], grad[:count].double()
        )
    tolerance = 20 * TOLERANCE[dtype]
    pairs = zip((out.detach(), *found), (expected.detach(), *wanted), strict=True)
    for mine, right in pairs:
        scale = max(1.0, float(right.abs().max()))
        mine = mine.cpu()
        atol = tolerance * scale
        torch.testing.assert_close(mine[: len(right)].double(), right, rtol=0, atol=atol)
        assert not mine[len(right) :].any()
    for name, value in theirs.state_dict().items():
        mine = ours.state_dict()[name].cpu()
        torch.testing.assert_close(mine.double(), value.double(), rtol=0, atol=tolerance)


@pytest.mark.parametrize("few", [16, 128], ids=["chunks", "whole"])
@pytest.mark.parametrize("training", [True, False])
def test_norm_act_of_what_is_added_before(training, few, device, agrees, monkeypatch) -> None:
    """As if it were added: to the output, the gradients and the running statistics."""
    monkeypatch.setattr("gbench.kernels.cuda.norm_act.FEW", few)
    ours, theirs = (torch.nn.BatchNorm1d(3, dtype=kind) for kind in (torch.float32, torch.float64))
    ours = ours.to(device).train(training)
    theirs.train(training)
    agrees(
        lambda x, before: kernels.norm_act(x, ours, before=before),
        lambda x, before: theirs(x + before).relu(),
        torch.randn(70, 3),
        torch.randn(3),
        roundings=4,
    )
    torch.manual_seed(1)
    x, before = torch.randn(70, 3), torch.randn(3)
    for norm in (ours, theirs):
        norm.running_mean.fill_(0.5)
        norm.running_var.fill_(2.0)
    kernels.norm_act(x.to(device), ours, before=before.to(device))
    theirs((x + before).double())
    for name in ("running_mean", "running_var"):
        mine = ours.state_dict()[name].cpu().double()
        torch.testing.assert_close(mine, theirs.state_dict()[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("few", [16, 512], ids=["chunks", "whole"])
def test_norm_act_has_an_exact_variance_for_large_means(few, device, monkeypatch) -> None:
    monkeypatch.setattr("gbench.kernels.cuda.norm_act.FEW", few)
    x = torch.randn(400, 3) + 1000
    weight, bias, seed = torch.ones(3), torch.zeros(3), torch.tensor(0)
    given = [t.to(device) for t in (x, weight, bias, bias, weight)]
    options = (None, seed.to(device), None, None, True, 1e-5, True, 0.0)
    _, mean, var = torch.ops.gbench.norm_act(*given, *options)
    exact = x.double().var(0, unbiased=False)
    torch.testing.assert_close(var.cpu().double(), exact, rtol=1e-5, atol=0)
    torch.testing.assert_close(mean.cpu().double(), x.double().mean(0), rtol=1e-6, atol=0)


@every_case
def test_group_mean(width, dtype, device, agrees) -> None:
    """Groups of 9 rows, of one, of none and of some in between, listed in any order."""
    ptr = torch.tensor([0, 9, 10, 10, 13], dtype=torch.int32)
    col = torch.randperm(13).int()
    agrees(
        lambda x: kernels.group_mean(ptr.to(device), col.to(device), x),
        lambda x: group_mean_reference(ptr, col, x),
        torch.randn(13, width).to(dtype),
    )


MIXED = [(across, (3, 5, 20), torch.float32) for across in (True, False)]
MIXED += [(True, (2, 18, 33), torch.bfloat16), (False, (3, 11, 70), torch.bfloat16)]


@pytest.mark.parametrize("rates", [(0.0, 0.0, 0.0), (0.3, 0.5, 0.2)], ids=["kept", "dropped"])
@pytest.mark.parametrize(("across", "shape", "dtype"), MIXED, ids=str)
def test_residual_mlp(across, shape, dtype, rates, device, agrees) -> None:
    """Several tiles, blocks of hidden units and parts of the sums; sizes that fill none of them."""
    (_, rows, width), hidden, relu = shape, 40, rates[0] > 0 and across
    mixed = rows if across else width
    seeds = [torch.tensor(71 * 10**k) for k in (3, 9, 15)] if any(rates) else []
    weight, weight_out = torch.randn(hidden, mixed), torch.randn(mixed, hidden) / 6
    sides = (torch.randn(width), torch.randn(width), torch.randn(hidden), torch.randn(mixed))
    given = [t.to(dtype) for t in (torch.randn(shape), *sides, weight / mixed**0.5, weight_out)]

    def at(operation, kind, place):
        def call(x, scale, shift, bias, bias_out, weight, weight_out):
            parameters = (scale, shift, weight, bias, weight_out, bias_out)
            parameters = [parameter.to(kind) for parameter in parameters]
            there = [seed.to(place) for seed in seeds]
            out = operation(there, x, *parameters, across, relu, rates, 1e-5)
            return out if isinstance(out, torch.Tensor) else out[0]

        return call

    wide = torch.promote_types(dtype, torch.float32)
    agrees(
        at(torch.ops.gbench.residual_mlp, wide, device),
        at(residual_mlp_reference, torch.float64, "cpu"),
        *given,
        roundings=4,
    )


@pytest.mark.parametrize("across", [True, False])
def test_residual_mlp_of_nothing(across, device) -> None:
    """No graphs: no output, and no gradient."""
    width = 5 if across else 6
    shapes = (0, 5, 6), (6,), (6,), (7, width), (7,), (width, 7), (width,)
    given = [torch.randn(shape, device=device).requires_grad_() for shape in shapes]
    out, _ = torch.ops.gbench.residual_mlp([], *given, across, False, [0.0] * 3, 1e-5)
    out.sum().backward()
    assert out.shape == (0, 5, 6)
    assert all(not parameter.grad.any() for parameter in given)


# Largest allowed error, as a part of the largest value: float16 is rounded from float32 once.
LOWER = {torch.bfloat16: 2.5e-2, torch.float16: 3e-3}


@pytest.mark.parametrize("lower", LOWER, ids=str)
def test_under_autocast(operation, lower, device) -> None:
    """Features of the lower precision beside parameters of float32, forward and backward."""
    if operation.name == "dropout":
        return  # for CPU tensors
    first, *others = operation.inputs
    given = [first.to(lower), *(x.float() for x in others)]
    leaves = [x.to(device).requires_grad_() for x in given]
    exact = [x.double().requires_grad_() for x in given]
    expected = operation.reference(operation.on("cpu"), *exact)
    with torch.autocast(device, lower):
        out = operation.function(operation.on(device), *leaves)
    grad = torch.randint(-4, 5, out.shape).to(lower)
    found = (out, *torch.autograd.grad(out, leaves, grad.to(out)))
    wanted = (expected, *torch.autograd.grad(expected, exact, grad.double()))
    assert [each.dtype for each in found[1:]] == [each.dtype for each in given]
    for ours, theirs in zip(found, wanted, strict=True):
        atol = LOWER[lower] * max(1.0, float(theirs.detach().abs().max()))
        torch.testing.assert_close(ours.cpu().double(), theirs, rtol=0, atol=atol)


def test_under_autocast_an_overflow_is_seen(operation, device) -> None:
    """GradScaler leaves a step out where a gradient is inf or NaN, as it then has to be."""
    leaves = [x.float().to(device).requires_grad_() for x in operation.inputs]
    leaves[0] = leaves[0].detach().half().requires_grad_()
    torch.manual_seed(0)
    with torch.autocast(device, torch.float16):
        out = operation.function(operation.on(device), *leaves)
    grads = torch.autograd.grad(out, leaves, torch.full_like(out, torch.inf))
    assert all(not grad.isfinite().all() for grad in grads)


class Places(TorchDispatchMode):
    """Where the operations' tensors lie."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function.namespace == "gbench":
            for each in tree_leaves(args):
                assert not isinstance(each, torch.Tensor) or each.is_meta, function
        return function(*args, **(kwargs or {}))


def test_inputs_of_an_operation_lie_where_its_first_does(operation, device) -> None:
    """Else the tests here would fail on a GPU alone, whose kernels read no memory of the CPU."""
    if operation.name.startswith(("sheaf_laplacian", "sheaf_layers")):
        return  # looks at the graph's numbers, which meta tensors have not
    leaves = [x.float().to("meta").requires_grad_() for x in operation.inputs]
    with Places():
        operation.function(operation.on("meta"), *leaves).sum().backward()


def test_in_any_order_of_its_programs_an_operation_has_the_same_bits(
    operation, device, monkeypatch
) -> None:
    """A GPU runs them in any: interpreted, the last one first; on a GPU, once more."""
    leaves = [(x * (torch.pi / 3)).float().to(device).requires_grad_() for x in operation.inputs]

    def values() -> list[torch.Tensor]:
        torch.manual_seed(0)
        out = operation.function(operation.on(device), *leaves)
        grad = torch.randn(out.shape, generator=torch.Generator().manual_seed(1))
        return [out, *torch.autograd.grad(out, leaves, grad.to(out))]

    first = values()
    if device == "cpu":
        from triton.runtime.interpreter import InterpreterBuilder

        def backwards(builder, *place):
            builder.grid_idx = tuple(
                size - 1 - at for size, at in zip(builder.grid_dim, place, strict=True)
            )

        monkeypatch.setattr(InterpreterBuilder, "set_grid_idx", backwards)
    for one, other in zip(first, values(), strict=True):
        assert torch.equal(one, other)
