"""What every kernel promises, whatever it computes: each test runs over all of them."""

import subprocess
import sys
from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

import gbench.kernels as kernels
from gbench.kernels import CSR
from gbench.kernels.activated_sum import activated_sum
from gbench.kernels.gated_aggregate import gated_aggregate
from gbench.kernels.gatv2_score import gatv2_score

OFFSETS = torch.tensor([0, 3, 5])


class Case(NamedTuple):
    """A kernel as a function of its differentiable inputs, on one random graph."""

    function: Callable[..., Tensor]
    inputs: tuple[Tensor, ...]


def make(name: str, nodes: int, edges: int, width: int, dtype: torch.dtype, seed: int = 0) -> Case:
    torch.manual_seed(seed)
    graph, _ = CSR.from_edge_index(torch.randint(0, nodes - 2, (2, edges)), nodes)
    code = torch.randint(0, 4, (edges,), dtype=torch.uint8)
    codes = torch.randint(0, 2, (nodes, 3))
    ptr = torch.tensor([0, nodes // 3, nodes // 3, nodes], dtype=torch.int32)
    x, table = torch.randn(nodes, width, dtype=dtype), torch.randn(4, width, dtype=dtype)
    weight, small = torch.randn(edges, dtype=dtype), torch.randn(8, width, dtype=dtype)
    root, eps = torch.randn(width, dtype=dtype), torch.tensor(0.2, dtype=dtype)
    both, _ = CSR.from_edge_index(torch.cat([graph.edge_index, graph.edge_index.flip(0)], 1), nodes)
    norm = torch.nn.BatchNorm1d(width, dtype=dtype)
    pairs = kernels.Pairs.of(torch.tensor([0, 3, 3, 8, nodes], dtype=torch.int32), nodes)
    psi = torch.randn(int(pairs.ptr[-1]), width, dtype=dtype)
    rows = torch.randn(edges, width, dtype=dtype)
    factor_of_senders = torch.rand(nodes, dtype=dtype)
    factor = 2.5 * (torch.rand(edges, 3) < 0.4).to(dtype)
    return {
        "spmm-sum": Case(lambda x: kernels.spmm(graph, x), (x,)),
        "spmm-mean": Case(lambda x: kernels.spmm(graph, x, reduce="mean"), (x,)),
        "spmm-max": Case(lambda x: kernels.spmm(graph, x, reduce="max"), (x,)),
        "spmm-weighted": Case(lambda x, w: kernels.spmm(graph, x, w), (x, weight)),
        "gcn_propagate": Case(lambda x: kernels.gcn_propagate(graph, x, 3), (x,)),
        "gcn_propagate-bias": Case(
            lambda x, b: kernels.gcn_propagate(graph, x, 2, bias=b, relu=True), (x, root)
        ),
        "teleport_propagate": Case(lambda x: kernels.teleport_propagate(graph, x, 0.3, 3), (x,)),
        "teleport_propagate-home": Case(
            lambda x, h: kernels.teleport_propagate(graph, x, 0.3, home=h), (x, x.flip(0))
        ),
        "gcn_propagate-weighted": Case(
            lambda x, w: kernels.gcn_propagate(graph, x, 2, edge_weight=w), (x, weight.abs())
        ),
        "directed_propagate": Case(
            lambda x: kernels.directed_propagate(graph, x, -0.5, -0.25), (x,)
        ),
        "gine_dense": Case(
            lambda x, e, eps: kernels.gine_dense(graph, x, e, eps),
            (x, torch.randn(edges, width, dtype=dtype), eps),
        ),
        "gcn_gated_sum": Case(
            lambda x, w, b: kernels.gcn_gated_sum(graph, x, w, b, 3), (x, root, eps)
        ),
        "segment_reduce-sum": Case(lambda x: kernels.segment_reduce(ptr, x), (x,)),
        "segment_reduce-mean": Case(lambda x: kernels.segment_reduce(ptr, x, "mean"), (x,)),
        "segment_reduce-max": Case(lambda x: kernels.segment_reduce(ptr, x, "max"), (x,)),
        "segment_add": Case(lambda x, v: kernels.segment_add(ptr, x, v), (x, table[:3])),
        "embedding_sum": Case(lambda t: kernels.embedding_sum(codes, t, OFFSETS), (small,)),
        "gine_aggregate": Case(
            lambda x, t, e: kernels.gine_aggregate(graph, x, t, code, e), (x, table, eps)
        ),
        "ragged_attention": Case(
            lambda q, k: kernels.ragged_attention(
                ptr, *(part.view(nodes, 3, -1) for part in (q, k, k))
            ),
            (x, x.flip(0)),
        ),
        "activated_sum": Case(
            lambda q, k, t: activated_sum(graph, q, k, t, code, slope=0.2), (x, x.flip(0), table)
        ),
        "activated_sum-gelu": Case(
            lambda q, e: activated_sum(graph, q, q, e, scale=factor_of_senders, act="gelu"),
            (x, rows),
        ),
        "gatv2_score": Case(
            lambda q, k, a: gatv2_score(
                graph, *(part.view(len(part), 3, -1) for part in (q, k)), a.view(3, -1)
            ),
            (x, x.flip(0), x[0].clone()),
        ),
        "gatv2_score-edges": Case(
            lambda q, e: gatv2_score(
                graph,
                *(part.view(len(part), 3, -1) for part in (q, q)),
                q[0].view(3, -1),
                e.view(len(e), 3, -1),
            ),
            (x, rows),
        ),
        "gated_aggregate": Case(
            lambda x, e: torch.cat(gated_aggregate(graph, e, x, x, x)), (x, rows)
        ),
        "pna_aggregate": Case(lambda x, t: kernels.pna_aggregate(graph, x, t, code), (x, table)),
        "pna_aggregate-edges": Case(lambda x, e: kernels.pna_aggregate(graph, x, e), (x, rows)),
        "gcn_bond_aggregate": Case(
            lambda x, t, r: kernels.gcn_bond_aggregate(graph, x, t, code, r), (x, table, root)
        ),
        "edge_softmax": Case(
            lambda s, x: kernels.edge_softmax(graph, s, x.view(nodes, 3, -1)),
            (torch.randn(edges, 3, dtype=dtype), x),
        ),
        "edge_softmax-factor": Case(
            lambda s, x: kernels.edge_softmax(graph, s, x.view(nodes, 3, -1), factor),
            (torch.randn(edges, 3, dtype=dtype), x),
        ),
        "sheaf_laplacian": Case(
            lambda m, x: kernels.sheaf_laplacian(both, m, x.view(nodes, 3, -1)),
            (torch.randn(both.num_entries, 3, 3, dtype=dtype), x),
        ),
        "pair_conv": Case(lambda p, x: kernels.pair_conv(pairs, p, x, mean=True), (psi, x)),
        "pair_conv-heads": Case(
            lambda p, x: kernels.pair_conv(pairs, p, x), (psi[:, : width // 3].contiguous(), x)
        ),
        "pair_softmax": Case(lambda p: kernels.pair_softmax(pairs, p), (psi,)),
        "pair_sum": Case(
            lambda w, p: kernels.pair_sum(pairs, w, p), (psi[:, : width // 3].contiguous(), psi)
        ),
        "pair_gate": Case(
            lambda e, q, k: kernels.pair_gate(pairs, q, k, e),
            (torch.cat([psi.abs() + 0.5, psi], 1), x.abs() + 0.5, x.flip(0).abs() + 0.5),
        ),
        "norm_act": Case(lambda x, r: kernels.norm_act(x, norm, residual=r), (x, x.flip(0))),
    }[name]


NAMES = ["spmm-sum", "spmm-mean", "spmm-max", "spmm-weighted"]
NAMES += ["teleport_propagate", "teleport_propagate-home"]
NAMES += ["gcn_propagate", "gcn_propagate-bias", "gcn_propagate-weighted", "gcn_gated_sum"]
NAMES += ["directed_propagate", "gine_dense"]
NAMES += [f"segment_reduce-{reduce}" for reduce in ("sum", "mean", "max")]
NAMES += [
    "segment_add",
    "embedding_sum",
    "gine_aggregate",
    "ragged_attention",
    "activated_sum",
    "activated_sum-gelu",
    "gatv2_score",
    "gatv2_score-edges",
    "gated_aggregate",
    "pna_aggregate",
    "pna_aggregate-edges",
    "gcn_bond_aggregate",
    "edge_softmax",
    "edge_softmax-factor",
    "sheaf_laplacian",
    "norm_act",
    "pair_conv",
    "pair_conv-heads",
    "pair_softmax",
    "pair_sum",
    "pair_gate",
]
every_kernel = pytest.mark.parametrize("name", NAMES)


def run(case: Case) -> list[Tensor]:
    """The output and the gradients, with a fixed gradient of the output."""
    inputs = [x.detach().requires_grad_() for x in case.inputs]
    out = case.function(*inputs)
    grad = torch.randn(out.shape, generator=torch.Generator().manual_seed(5)).to(out.dtype)
    return [out.detach(), *torch.autograd.grad(out, inputs, grad)]


class Nothing(torch.autograd.Function):
    """A loss whose gradient never arrives."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        return x.sum()

    @staticmethod
    def backward(ctx, grad: Tensor) -> None:
        return None


@every_kernel
def test_gradcheck(name: str) -> None:
    case = make(name, 12, 30, 3, torch.float64)
    inputs = [x.requires_grad_() for x in case.inputs]
    assert torch.autograd.gradcheck(case.function, inputs)


@every_kernel
def test_an_output_that_gets_no_gradient_gives_none(name: str) -> None:
    """None all the way and not zeros: they would be made and added for nothing."""
    case = make(name, 12, 30, 3, torch.float32)
    inputs = [x.requires_grad_() for x in case.inputs]
    found = torch.autograd.grad(Nothing.apply(case.function(*inputs)), inputs, allow_unused=True)
    assert all(grad is None for grad in found)


@every_kernel
def test_bitwise_the_same_again_and_at_any_number_of_threads(name, monkeypatch) -> None:
    case = make(name, 400, 1200, 30, torch.float32)
    whole = run(case)
    monkeypatch.setattr("gbench.kernels.cpu.rows.CHUNK_WORK", 500)  # many chunks of little work
    first = run(case)
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        for place, (a, b) in enumerate(zip(first, run(case), strict=True)):
            assert torch.equal(a, b), place
    for a, b in zip(whole, first, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


@every_kernel
def test_a_tensor_on_another_device_is_refused(name: str) -> None:
    case = make(name, 12, 30, 6, torch.float32)
    for position in range(len(case.inputs)):
        inputs = list(case.inputs)
        inputs[position] = inputs[position].to("meta")
        with pytest.raises(ValueError, match=r"is on (meta|cpu) but"):
            case.function(*inputs)


def test_a_gpu_without_triton_is_told_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "triton", None)  # as if it were not installed
    monkeypatch.delitem(sys.modules, "gbench.kernels.cuda.spmm", raising=False)
    on_gpu = kernels.library._on_first_use("cuda", "spmm", lambda args: None)
    with pytest.raises(
        RuntimeError, match=r"gbench\.spmm .* pip install triton .* stay on the CPU"
    ):
        on_gpu()


def test_an_error_in_another_thread_is_raised(monkeypatch) -> None:
    monkeypatch.setattr("gbench.kernels.cpu.rows.CHUNK_WORK", 500)
    torch.set_num_threads(3)
    graph, _ = CSR.from_edge_index(torch.randint(0, 400, (2, 1200)), 400)
    code = torch.zeros(1200, dtype=torch.int32)
    code[1199] = 9
    with pytest.raises(IndexError, match=r"edge_code\[1199\] is 9"):
        x = torch.randn(400, 30)
        kernels.gine_aggregate(graph, x, torch.randn(4, 30), code, torch.tensor(0.0))


@every_kernel
def test_strided_inputs_and_gradients(name: str) -> None:
    case = make(name, 12, 30, 6, torch.float32)
    strided = [x.T.contiguous().T if x.dim() == 2 else x for x in case.inputs]
    sparse = [torch.stack([x, x], -1)[..., 0] for x in case.inputs]
    expected = run(case)
    for inputs in (strided, sparse):
        found = run(Case(case.function, tuple(inputs)))
        assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))
    leaves = [x.detach().requires_grad_() for x in case.inputs]
    case.function(*leaves).sum().backward()  # its gradient is one number, expanded
    ones = torch.ones_like(expected[0])
    again = [x.detach().requires_grad_() for x in case.inputs]
    grads = torch.autograd.grad(case.function(*again), again, ones)
    assert all(torch.equal(x.grad, g) for x, g in zip(leaves, grads, strict=True))


@every_kernel
def test_only_the_gradients_that_are_wanted(name: str) -> None:
    case = make(name, 12, 30, 3, torch.float64)
    _, *expected = run(case)
    for position, wanted in enumerate(expected):
        inputs = [x.detach() for x in case.inputs]
        inputs[position].requires_grad_()
        out = case.function(*inputs)
        grad = torch.randn(out.shape, generator=torch.Generator().manual_seed(5)).to(out.dtype)
        (found,) = torch.autograd.grad(out, [inputs[position]], grad)
        assert torch.equal(found, wanted)
    with torch.no_grad():
        assert not case.function(*[x.requires_grad_() for x in case.inputs]).requires_grad


@every_kernel
def test_compiles_in_one_graph(name: str) -> None:
    case = make(name, 12, 30, 3, torch.float32)
    expected = run(case)
    torch.compiler.reset()
    compiled = torch.compile(case.function, fullgraph=True, backend="aot_eager")
    found = run(Case(compiled, case.inputs))
    for a, b in zip(expected, found, strict=True):
        torch.testing.assert_close(a, b)


@every_kernel
def test_a_second_derivative_is_refused(name: str) -> None:
    case = make(name, 12, 30, 3, torch.float64)
    inputs = [x.requires_grad_() for x in case.inputs]
    out = case.function(*inputs)
    (grad,) = torch.autograd.grad((out * out).sum(), inputs[0], create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()


@every_kernel
def test_activation_checkpointing(name: str) -> None:
    """What is saved is asked for once, and computed again is the same."""
    case = make(name, 12, 20, 6, torch.float32)
    inputs = tuple(x.requires_grad_() for x in case.inputs)
    wanted = torch.autograd.grad(case.function(*inputs).square().sum(), inputs)
    out = checkpoint(case.function, *inputs, use_reentrant=False)
    found = torch.autograd.grad(out.square().sum(), inputs)
    assert all(torch.equal(*pair) for pair in zip(found, wanted, strict=True))


@every_kernel
def test_opcheck(name: str) -> None:
    """Schema, fake shapes, autograd registration and AOT of the operations that a call makes."""
    calls: list[tuple[object, tuple[object, ...]]] = []

    class Record(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, op, types, args=(), kwargs=None):
            if op.namespace == "gbench":
                calls.append((op, args))
            return op(*args, **(kwargs or {}))

    case = make(name, 12, 30, 3, torch.float64)
    with Record():
        run(case)
    assert any(op.name().endswith("_backward") for op, _ in calls)
    for op, args in calls:
        is_forward = not op.name().endswith("_backward")
        detached = [
            a.detach().requires_grad_(is_forward and a.is_floating_point())
            if isinstance(a, Tensor)
            else a
            for a in args
        ]
        torch.library.opcheck(op, tuple(detached))


NODE_KERNELS = ["spmm-sum", "spmm-mean", "spmm-max", "gcn_propagate", "gcn_gated_sum"]
NODE_KERNELS += [
    "teleport_propagate",
    "gine_aggregate",
    "gcn_bond_aggregate",
    "edge_softmax",
    "sheaf_laplacian",
]
NODE_KERNELS += ["directed_propagate", "gine_dense", "gcn_propagate-weighted"]


@pytest.mark.parametrize("name", NODE_KERNELS)
def test_relabelled_nodes_give_relabelled_rows(name: str) -> None:
    torch.manual_seed(3)
    edges, x = torch.randint(0, 20, (2, 70)), torch.randn(20, 5, dtype=torch.float64)
    if name == "sheaf_laplacian":
        edges = torch.cat([edges, edges.flip(0)], 1).unique(dim=1)
    label = torch.randperm(20)
    values = torch.randn(edges.size(1), 5, dtype=torch.float64)
    code = torch.randint(0, 5, (edges.size(1),))

    def at(edges: Tensor, x: Tensor) -> Tensor:
        graph, order = CSR.from_edge_index(edges, 20)
        given, codes = values[order], code[order]
        if name == "gcn_propagate":
            return kernels.gcn_propagate(graph, x, 2, bias=values[0], relu=True)
        if name == "teleport_propagate":
            return kernels.teleport_propagate(graph, x, 0.3, 2)
        if name == "gcn_propagate-weighted":
            return kernels.gcn_propagate(graph, x, 2, edge_weight=given[:, 0].abs())
        if name == "directed_propagate":
            return kernels.directed_propagate(graph, x)
        if name == "gine_dense":
            return kernels.gine_dense(graph, x, given, values[0, 0])
        if name == "gcn_gated_sum":
            return kernels.gcn_gated_sum(graph, x, values[0], values[1, 1], 3)
        if name == "edge_softmax":
            return kernels.edge_softmax(graph, given, x[:, :, None])[:, :, 0]
        if name == "sheaf_laplacian":
            return kernels.sheaf_laplacian(graph, given, x[:, :, None])[:, :, 0]
        if name == "gine_aggregate":
            return kernels.gine_aggregate(graph, x, values[:5], codes, values[0, 0])
        if name == "gcn_bond_aggregate":
            return kernels.gcn_bond_aggregate(graph, x, values[:5], codes, values[0])
        return kernels.spmm(graph, x, reduce=name.removeprefix("spmm-"))

    moved = torch.empty_like(x)
    moved[label] = x
    torch.testing.assert_close(at(label[edges], moved)[label], at(edges, x))


@pytest.mark.parametrize("name", ["gine_aggregate", "gcn_bond_aggregate", "spmm"])
def test_shuffled_edges_change_nothing(name: str) -> None:
    torch.manual_seed(3)
    edges, x = torch.randint(0, 20, (2, 70)), torch.randn(20, 5, dtype=torch.float64)
    table, code = torch.randn(6, 5).double(), torch.randint(0, 6, (70,))

    def at(shuffle: Tensor) -> Tensor:
        graph, order = CSR.from_edge_index(edges[:, shuffle], 20)
        codes = code[shuffle][order]
        if name == "gine_aggregate":
            return kernels.gine_aggregate(graph, x, table, codes, torch.tensor(0.1).double())
        if name == "gcn_bond_aggregate":
            return kernels.gcn_bond_aggregate(graph, x, table, codes, table[0])
        return kernels.spmm(graph, x, codes.double())

    torch.testing.assert_close(at(torch.randperm(70)), at(torch.arange(70)))


def test_plain_sums_import_no_compiler() -> None:
    """Spmm starts without numba, dynamo and sympy."""
    script = """
import sys, torch
import gbench.kernels as kernels
assert not {"numba", "triton"} & set(sys.modules)
graph, _ = kernels.CSR.from_edge_index(torch.tensor([[0, 1], [1, 0]]), 2)
x = torch.ones(2, 3, requires_grad=True)
kernels.spmm(graph, x, reduce="mean").sum().backward()
heavy = {"numba", "triton", "torch._dynamo", "sympy"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", script], check=True)
