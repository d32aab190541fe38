"""What gine_aggregate and gcn_bond_aggregate share: a sum of relu(x_j + table[code_ji]).

A bond's embedding depends only on its categories, so the layer's bond tables are summed once into
one row per combination of categories, and an entry carries the row's number: nothing of size E × D
is read, written or kept. They differ in one last argument, which gets a gradient as x and the table
do: ε or the root. Backward is one walk over the transpose that computes the relus' masks again.

Bytes moved, float32: (E + N)·D·4 read + N·D·4 written forward, twice that backward; the table stays
in cache. The gathered E·D·4 come from cache too when a batch of molecules fits in it.

Legend: N nodes, E entries, D dimensions, U rows in the table.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gbench.kernels import check, library
from gbench.kernels.csr import CSR, Graph


def check_messages(graph: CSR, x: Tensor, table: Tensor, edge_code: Tensor) -> None:
    """Raise ValueError or TypeError unless x is (N, D), table (U, D) and edge_code (E,)."""
    check.square(graph)
    check.features("x", x, graph.num_rows, graph.device)
    check.integers("edge_code", edge_code, (graph.num_entries,), graph.device)
    check.beside("table", table, (-1, x.size(1)), x)


def define(name: str, last: str) -> Any:
    """Define the operation `name` of (graph, x, table, edge_code, last) and its gradient."""
    given = f"Tensor[] graph, int longest, Tensor x, Tensor table, Tensor edge_code, Tensor {last}"
    forward = library.define(f"{name}({given}) -> Tensor", _fake)
    backward = library.define(
        f"{name}_backward(Tensor grad, {given}) -> (Tensor, Tensor, Tensor)", _fake_backward
    )

    def gradients(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        grad_x, grad_table, grad_last = backward(grad, ctx.graph, ctx.longest, *ctx.saved_tensors)
        return None, None, grad_x, grad_table, None, grad_last

    library.differentiate(name, _save, gradients)
    return forward


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.graph, ctx.longest, *tensors = inputs
    ctx.save_for_backward(*tensors)


def _fake(
    graph: Graph, longest: int, x: Tensor, table: Tensor, edge_code: Tensor, last: Tensor
) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


def _fake_backward(
    grad: Tensor,
    graph: Graph,
    longest: int,
    x: Tensor,
    table: Tensor,
    edge_code: Tensor,
    last: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    x, table, last = (
        torch.empty_like(value, memory_format=torch.contiguous_format) for value in (x, table, last)
    )
    return x, table, last
