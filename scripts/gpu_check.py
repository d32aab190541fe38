"""Check every kernel against its reference on a GPU and time it against what users have today.

This script has not been run on a GPU yet.

    python scripts/gpu_check.py [--op gine_aggregate] [--rounds 21] [--json FILE]

Each row first compares values and gradients, and two runs of ours bit by bit; where they differ it
says so and is not timed. Arms take turns, round after round, between CUDA events, eagerly and
replayed from a CUDA graph (which leaves out Python and launches). A ratio is the peer's time over
ours, with a bootstrap interval of the medians.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch_geometric.nn import GINEConv
from torch_geometric.utils import scatter

import gbench
from gbench import kernels
from gbench.kernels import CSR

DEVICE = "cuda"
ATOM_SIZES = (119, 5, 12, 12, 10, 6, 6, 2, 2)  # OGB's nine categorical atom features
NUM_BONDS = 60  # 5 × 6 × 2 combinations of OGB's bond features
TOLERANCE = 2e-5  # of the largest value: float32 sums of some thousand terms of both signs

Function = Callable[..., Tensor]


class Case(NamedTuple):
    """An operation on a workload: the differentiable inputs, ours, the reference and the peers."""

    op: str
    workload: str
    inputs: list[Tensor]
    ours: Function
    reference: Function
    peers: dict[str, Function]


class Workload(NamedTuple):
    """A graph, the segments that its nodes are pooled in, and the width of its features."""

    name: str
    graph: CSR
    ptr: Tensor
    width: int


def molecules(num_graphs: int) -> Workload:
    """Trees of 25.5 atoms with two rings each: molhiv's 25.5 nodes and 27.5 bonds per graph."""
    draw = random.Random(0)
    sources, targets, starts = [], [], [0]
    for _ in range(num_graphs):
        first, size = starts[-1], draw.randint(12, 39)
        bonds = {(first + max(0, i - draw.choice((1, 1, 1, 2))), first + i) for i in range(1, size)}
        while len(bonds) < size + 1:
            a = draw.randrange(size - 5)
            bonds.add((first + a, first + a + 5))
        sources += [a for a, _ in bonds] + [b for _, b in bonds]
        targets += [b for _, b in bonds] + [a for a, _ in bonds]
        starts.append(first + size)
    graph, _ = CSR.from_edge_index(torch.tensor([sources, targets]), starts[-1])
    ptr = torch.tensor(starts, dtype=torch.int32)
    return Workload(f"molecules-{num_graphs}", graph.to(DEVICE), ptr.to(DEVICE), 300)


def heavy_tailed(name: str, num_nodes: int, num_edges: int, power: float, width: int) -> Workload:
    """Both ends drawn with probability ∝ rank^-power, ranks shuffled, edges in both directions."""
    torch.manual_seed(0)
    weight = (torch.arange(num_nodes) + 10.0) ** -power
    label = torch.randperm(num_nodes)
    ends = torch.stack(
        [label[torch.multinomial(weight, num_edges, replacement=True)] for _ in range(2)]
    )
    graph, _ = CSR.from_edge_index(torch.cat([ends, ends.flip(0)], 1).unique(dim=1), num_nodes)
    ptr = torch.linspace(0, num_nodes, 1001).int()
    return Workload(name, graph.to(DEVICE), ptr.to(DEVICE), width)


def workloads() -> Iterator[Workload]:
    yield molecules(32)
    yield molecules(512)
    yield heavy_tailed("arxiv-profile", 169_343, 1_170_000, 0.88, 128)
    yield heavy_tailed("power-law", 100_000, 500_000, 0.8, 128)


def cases(work: Workload) -> Iterator[Case]:
    torch.manual_seed(0)
    graph, width = work.graph, work.width
    nodes, entries = graph.num_rows, graph.num_entries
    x, weight = draw(nodes, width), draw(entries)
    col, row = graph.col.long(), graph.row
    edge_index = torch.stack([col, row])

    def case(op: str, inputs: list[Tensor], given: Function, peers: dict[str, Function]) -> Case:
        """`given(function, *inputs)` calls the operation or its reference alike."""
        module = import_module(f"gbench.kernels.{op.partition(' ')[0]}")
        ours = getattr(kernels, op.partition(" ")[0])
        return Case(
            op,
            work.name,
            inputs,
            lambda *values: given(ours, *values),
            lambda *values: given(module.reference, *values),
            {"reference": lambda *values: given(module.reference, *values), **peers},
        )

    def sparse(values: Tensor) -> Tensor:
        return torch.sparse_csr_tensor(graph.rowptr, graph.col, values, (nodes, nodes))

    ones = sparse(torch.ones(entries, device=DEVICE))
    for reduce in ("sum", "mean", "max"):
        peers: dict[str, Function] = {
            "PyG scatter": lambda x, r=reduce: scatter(x[col], row, 0, nodes, r)
        }
        if reduce == "sum":
            peers["cuSPARSE"] = lambda x: ones @ x
        yield case(f"spmm {reduce}", [x], lambda f, x, r=reduce: f(graph, x, None, r), peers)
    yield case("spmm weighted", [x, weight], lambda f, x, w: f(graph, x, w), {})

    scale = (graph.in_degree + 1).float().rsqrt()
    norm, own = sparse(scale[col] * scale[row]), scale[:, None] ** 2
    peers = {"cuSPARSE": lambda x: norm @ x + own * x}
    yield case("gcn_propagate", [x], lambda f, x: f(graph, x), peers)

    sizes = work.ptr.diff().long()
    batch = torch.repeat_interleave(torch.arange(len(sizes), device=DEVICE), sizes)
    peers = {"PyG scatter": lambda x: scatter(x, batch, 0, len(sizes), "mean")}
    yield case("segment_reduce", [x], lambda f, x: f(work.ptr, x, "mean"), peers)

    heads, score = draw(nodes, 4, width // 4), draw(entries, 4)
    yield case("edge_softmax", [score, heads], lambda f, s, x: f(graph, s, x), {})

    yield norm_act_case(work, x)
    if work.name.startswith("molecules"):
        code = torch.randint(0, NUM_BONDS, (entries,), device=DEVICE)
        small, table, eps = code.to(torch.uint8), draw(NUM_BONDS, width), draw()

        def conv(x: Tensor, table: Tensor, eps: Tensor) -> Tensor:
            layer = GINEConv(nn.Identity())
            layer.eps = eps
            return layer(x, edge_index, table[code])

        given = [x, table, eps]
        peers = {"PyG GINEConv": conv}
        yield case("gine_aggregate", given, lambda f, *v: f(graph, *v[:2], small, v[2]), peers)
        given = [x, table, draw(width)]
        yield case("gcn_bond_aggregate", given, lambda f, *v: f(graph, *v[:2], small, v[2]), {})

        codes = torch.stack([torch.randint(0, n, (nodes,), device=DEVICE) for n in ATOM_SIZES], 1)
        offsets = torch.tensor([0, *ATOM_SIZES], device=DEVICE).cumsum(0)[:-1]

        def encoder(table: Tensor) -> Tensor:
            return sum(t[codes[:, k]] for k, t in enumerate(table.split(ATOM_SIZES)))

        atoms, peers = draw(sum(ATOM_SIZES), width), {"nine embeddings": encoder}
        yield case("embedding_sum", [atoms], lambda f, t: f(codes, t, offsets), peers)

        maps, stalks = draw(entries, 3, 3), draw(nodes, 3, 32)
        yield case("sheaf_laplacian", [maps, stalks], lambda f, m, x: f(graph, m, x), {})


def norm_act_case(work: Workload, x: Tensor) -> Case:
    """Without dropout, so that the peers agree."""
    norm = nn.BatchNorm1d(x.size(1), device=DEVICE)

    def ours(x: Tensor) -> Tensor:
        return kernels.norm_act(x, norm)

    def exact(x: Tensor) -> Tensor:
        return ((x - x.mean(0)) / (x.var(0, unbiased=False) + norm.eps).sqrt()).relu()

    modules: dict[str, Function] = {"torch modules": lambda x: norm(x).relu()}
    return Case("norm_act", work.name, [x], ours, exact, modules)


def draw(*shape: int) -> Tensor:
    return torch.randn(shape, device=DEVICE)


def run(function: Function, inputs: list[Tensor], grad: Tensor | None) -> list[Tensor]:
    """The output, and with `grad` the gradients."""
    if grad is None:
        with torch.no_grad():
            return [function(*inputs)]
    values = [x.detach().to(grad.dtype).requires_grad_() for x in inputs]
    out = function(*values)
    return [out.detach(), *torch.autograd.grad(out, values, grad)]


def wrong(case: Case, grad: Tensor) -> str:
    """What differs between ours and the reference in float64, "" when nothing does."""
    found, again = run(case.ours, case.inputs, grad), run(case.ours, case.inputs, grad)
    if not all(torch.equal(a, b) for a, b in zip(found, again, strict=True)):
        return "two runs differ"
    wanted = run(case.reference, case.inputs, grad.double())
    for position, (ours, exact) in enumerate(zip(found, wanted, strict=True)):
        terms = max(1, found[0].numel() // max(1, exact.numel()))
        error = float((ours - exact).abs().max()) / max(terms**0.5, float(exact.abs().max()))
        if not error <= TOLERANCE:
            return f"{'gradient ' + str(position) if position else 'output'} is off by {error:.1e}"
    return ""


def captured(step: Callable[[], object]) -> Callable[[], object] | None:
    """The step as a replay of a CUDA graph, None where it cannot be captured."""
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph):
            step()
    except RuntimeError:  # it waits for the device, or allocates what a graph may not
        torch.cuda.synchronize()
        return None
    return graph.replay


def time_all(arms: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each arm in each round; the arms take turns."""
    times: dict[str, list[float]] = {name: [] for name in arms}
    repeats = 10  # far above the half microsecond that events resolve
    for _ in range(rounds):
        for name, step in arms.items():
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            step()
            begin.record()
            for _ in range(repeats):
                step()
            end.record()
            end.synchronize()
            times[name].append(begin.elapsed_time(end) / repeats)
    return times


def interval(peer: list[float], ours: list[float]) -> tuple[float, float]:
    """95 % of the ratios of medians of resampled rounds."""
    pick = random.Random(0)
    ratios = sorted(
        median(pick.choices(peer, k=len(peer))) / median(pick.choices(ours, k=len(ours)))
        for _ in range(1000)
    )
    return ratios[25], ratios[974]


def measure(case: Case, rounds: int, facts: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Rows of one case: each direction, each way of running, each peer."""
    grad = torch.randn_like(case.ours(*case.inputs))
    problem = wrong(case, grad)
    if problem:
        yield {"op": case.op, "workload": case.workload, "checked": False, "problem": problem}
        return
    for direction, given in (("forward", None), ("forward+backward", grad)):
        eager: dict[str, Callable[[], object]] = {
            name: (lambda f=function, g=given: run(f, case.inputs, g))
            for name, function in {"ours": case.ours, **case.peers}.items()
        }
        for step in eager.values():  # compiles, and fills caches, before anything is captured
            step()
        torch.cuda.synchronize()
        replays = {name: replay for name, step in eager.items() if (replay := captured(step))}
        for mode, arms in (("eager", eager), ("replay", replays)):
            if "ours" not in arms:
                continue
            times = time_all(arms, rounds)
            for peer in arms.keys() - {"ours"}:
                low, high = interval(times[peer], times["ours"])
                yield {
                    "op": case.op,
                    "workload": case.workload,
                    "dtype": "float32",
                    "direction": direction,
                    "mode": mode,
                    "peer": peer,
                    "ours_ms": median(times["ours"]),
                    "peer_ms": median(times[peer]),
                    "ratio": median(times[peer]) / median(times["ours"]),
                    "ratio_low": low,
                    "ratio_high": high,
                    "checked": True,
                    **facts,
                }


def show(row: dict[str, Any]) -> None:
    head = f"{row['op']:20} {row['workload']:14}"
    if not row["checked"]:
        print(f"{head} NOT TIMED: {row['problem']}")
        return
    print(
        f"{head} {row['direction']:16} {row['mode']:6} {row['peer']:16}"
        f" {row['ours_ms']:9.4f} {row['peer_ms']:9.4f}"
        f" {row['ratio']:7.2f} ({row['ratio_low']:.2f}-{row['ratio_high']:.2f})",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--op", help="only operations whose name begins so")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if DEVICE == "cuda" and not torch.cuda.is_available():
        raise SystemExit("this script needs a CUDA device")
    facts = {
        "hardware": torch.cuda.get_device_name(),
        "version": gbench.__version__,
        "torch": torch.__version__,
    }
    print(" ".join(facts.values()))
    print("operation, workload, direction, mode, peer, ours ms, peer ms, ratio (95 %)")
    rows = []
    for work in workloads():
        for case in cases(work):
            if case.op.startswith(args.op or ""):
                for row in measure(case, args.rounds, facts):
                    rows.append(row)
                    show(row)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")
    if not all(row["checked"] for row in rows):
        raise SystemExit("some kernels disagree with their reference")


if __name__ == "__main__":
    main()
