"""Tensors of more than 2^31 elements: the last rows have to be what they are on their own.

A small graph is laid side by side so often that rows × width passes 2^31, in bfloat16. Value and
gradient of the last copy are compared with the reference in float64 on that copy alone: a row
number times a width that overflowed would have read or written another row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from gbench import kernels
from gbench.bench import workloads
from gbench.bench.case import TOLERANCE
from gbench.kernels import CSR
from gbench.kernels.edge_softmax import reference as edge_softmax_reference
from gbench.kernels.gcn_bond_aggregate import reference as gcn_bond_reference
from gbench.kernels.gcn_gated_sum import reference as gated_reference
from gbench.kernels.gcn_propagate import reference as propagate_reference
from gbench.kernels.gine_aggregate import reference as gine_reference
from gbench.kernels.segment_reduce import reference as segment_reference
from gbench.kernels.sheaf_laplacian import reference as sheaf_reference
from gbench.kernels.spmm import reference as spmm_reference
from gbench.models.dropout import dropout

ELEMENTS = 2**31 + 2**24
NEEDED = 40 * 10**9  # bytes of a GPU's memory
ROW = 256  # elements


class Block(NamedTuple):
    """A graph, or copies of it side by side, with what the operations want beside x."""

    graph: CSR
    ptr: Tensor  # two segments of each copy's nodes
    code: Tensor  # of each entry, below 4
    score: Tensor  # (E, 4)
    maps: Tensor  # (E, 2, 2)
    table: Tensor  # (4, ROW)
    row: Tensor  # (ROW,)

    def cast(self, dtype: torch.dtype) -> Block:
        """The same with other floats."""
        floats = {name: getattr(self, name).to(dtype) for name in ("score", "maps", "table", "row")}
        return self._replace(**floats)

    def repeated(self, copies: int) -> Block:
        """So many copies, disjoint."""
        return self._replace(
            graph=repeated(self.graph, copies),
            ptr=_pointers(self.ptr, copies),
            code=self.code.repeat(copies),
            score=self.score.repeat(copies, 1),
            maps=self.maps.repeat(copies, 1, 1),
        )


Call = Callable[[Block, Tensor], Tensor]


class LargeCase(NamedTuple):
    """An operation of x whose rows have this shape."""

    shape: tuple[int, ...]
    ours: Call
    reference: Call


def _norm(block: Block, x: Tensor) -> Tensor:
    out: Tensor = kernels.norm_act(x, nn.BatchNorm1d(ROW, device=x.device).eval())
    return out


def _exact_norm(block: Block, x: Tensor) -> Tensor:
    out: Tensor = (x / (1 + 1e-5) ** 0.5).relu()
    return out


CASES = {
    "spmm": LargeCase(
        (ROW,),
        lambda block, x: kernels.spmm(block.graph, x),
        lambda block, x: spmm_reference(block.graph, x),
    ),
    "spmm max": LargeCase(
        (ROW,),
        lambda block, x: kernels.spmm(block.graph, x, reduce="max"),
        lambda block, x: spmm_reference(block.graph, x, reduce="max"),
    ),
    "gcn_propagate": LargeCase(
        (ROW,),
        lambda block, x: kernels.gcn_propagate(block.graph, x),
        lambda block, x: propagate_reference(block.graph, x),
    ),
    "gcn_gated_sum": LargeCase(
        (ROW,),
        lambda block, x: kernels.gcn_gated_sum(block.graph, x, block.row, block.row[0], 1),
        lambda block, x: gated_reference(block.graph, x, block.row, block.row[0], 1),
    ),
    "gine_aggregate": LargeCase(
        (ROW,),
        lambda block, x: kernels.gine_aggregate(
            block.graph, x, block.table, block.code, block.row[0]
        ),
        lambda block, x: gine_reference(block.graph, x, block.table, block.code, block.row[0]),
    ),
    "gcn_bond_aggregate": LargeCase(
        (ROW,),
        lambda block, x: kernels.gcn_bond_aggregate(
            block.graph, x, block.table, block.code, block.row
        ),
        lambda block, x: gcn_bond_reference(block.graph, x, block.table, block.code, block.row),
    ),
    "segment_reduce": LargeCase(
        (ROW,),
        lambda block, x: kernels.segment_reduce(block.ptr, x),
        lambda block, x: segment_reference(block.ptr, x, "sum"),
    ),
    "edge_softmax": LargeCase(
        (4, ROW // 4),
        lambda block, x: kernels.edge_softmax(block.graph, block.score, x),
        lambda block, x: edge_softmax_reference(block.graph, block.score, x),
    ),
    "sheaf_laplacian": LargeCase(
        (2, ROW // 2),
        lambda block, x: kernels.sheaf_laplacian(block.graph, block.maps, x),
        lambda block, x: sheaf_reference(block.graph, block.maps, x),
    ),
    "sheaf_laplacian diagonal": LargeCase(
        (2, ROW // 2),
        lambda block, x: kernels.sheaf_laplacian(block.graph, block.maps[:, 0].contiguous(), x),
        lambda block, x: sheaf_reference(block.graph, block.maps[:, 0].diag_embed(), x),
    ),
    "norm_act": LargeCase((ROW,), _norm, _exact_norm),
    "dropout": LargeCase((ROW,), lambda _, x: dropout(x, 0.5, True), lambda _, x: 2 * x),
}


def row(name: str, device: torch.device, is_tiny: bool) -> dict[str, Any]:
    """The operation on x of ELEMENTS elements, of three copies where `is_tiny`."""
    head: dict[str, Any] = {"kind": "large", "op": name, "dtype": "bfloat16"}
    if not is_tiny:
        if device.type != "cuda":
            return {**head, "status": "skipped", "note": "needs a GPU"}
        if (have := torch.cuda.get_device_properties(device).total_memory) < NEEDED:
            note = f"needs {NEEDED / 1e9:.0f} GB of GPU memory, this one has {have / 1e9:.0f}"
            return {**head, "status": "skipped", "note": note}
    torch.manual_seed(0)
    nodes, entries = (40, 200) if is_tiny else (2_000, 8_000)
    one = _block(nodes, entries, device)
    copies = 3 if is_tiny else -(-ELEMENTS // (nodes * ROW))
    many = one.cast(torch.bfloat16).repeated(copies)
    case = CASES[name]
    x = torch.randn(copies * nodes, *case.shape, dtype=torch.bfloat16, device=device)
    last = x[-nodes:].double().requires_grad_()
    value = case.reference(one.cast(torch.float64), last)
    out = case.ours(many, x.requires_grad_())
    share = out.size(0) // copies
    grad = torch.randn_like(out)
    (found,) = torch.autograd.grad(out, x, grad)
    (wanted,) = torch.autograd.grad(value, last, grad[-share:].double())
    ours, gradient = out[-share:].detach().double(), found[-nodes:].double()
    if name == "dropout":  # what is dropped is read off: about a half, there and in the gradient
        kept = ours != 0
        far = abs(float(kept.double().mean()) - 0.5)
        value, wanted = value * kept, wanted * kept
    else:
        far = 0.0
    allowed = TOLERANCE[torch.bfloat16]
    error = max(_error(ours, value.detach()), _error(gradient, wanted), allowed + far - 0.05)
    return {
        **head,
        "workload": f"{x.numel():.2e} elements",
        "error": error,
        "allowed": allowed,
        "status": "ok" if error <= allowed else "wrong",
    }


def _error(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


def _block(nodes: int, entries: int, device: torch.device) -> Block:
    graph = workloads.power_law(nodes, entries, 0.5, device)
    count = graph.num_entries
    return Block(
        graph,
        torch.tensor([0, nodes // 3, nodes], dtype=torch.int32, device=device),
        torch.randint(0, 4, (count,), device=device).to(torch.uint8),
        torch.randn(count, 4, device=device).bfloat16(),
        torch.randn(count, 2, 2, device=device).bfloat16(),
        torch.randn(4, ROW, device=device).bfloat16(),
        torch.randn(ROW, device=device).bfloat16() / 16,
    )


def repeated(graph: CSR, copies: int) -> CSR:
    """Disjoint copies of a square graph, side by side."""

    def shifted(index: Tensor, by: int) -> Tensor:
        offset = torch.arange(copies, dtype=torch.int32, device=index.device) * by
        return (offset[:, None] + index).flatten()

    nodes, entries = graph.num_rows, graph.num_entries
    return CSR(
        _pointers(graph.rowptr, copies),
        shifted(graph.col, nodes),
        _pointers(graph.rowptr_t, copies),
        shifted(graph.col_t, nodes),
        shifted(graph.perm_t, entries),
        longest=graph.longest,
    )


def _pointers(ptr: Tensor, copies: int) -> Tensor:
    """The pointers of copies of the same segments."""
    sizes = ptr.diff().repeat(copies)
    return nn.functional.pad(sizes.cumsum(0), (1, 0)).to(torch.int32)
