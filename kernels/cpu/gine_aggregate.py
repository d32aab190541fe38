"""CPU, numba: the walks of bonds.py with 1 + ε as the node's own factor."""

from __future__ import annotations

import torch
from torch import Tensor

from gbench.kernels.cpu import bonds
from gbench.kernels.cpu.rows import array, count_chunks, run
from gbench.kernels.cpu.tables import private_tables, table_chunks, total_table


def gine_aggregate(
    rowptr: Tensor,
    col: Tensor,
    rowptr_t: Tensor,
    col_t: Tensor,
    perm_t: Tensor,
    x: Tensor,
    table: Tensor,
    edge_code: Tensor,
    eps: Tensor,
) -> Tensor:
    """The forward of gbench/kernels/gine_aggregate.py."""
    out = torch.empty(x.shape, dtype=x.dtype)
    bad = run(
        bonds.forward,
        count_chunks((col.numel() + x.size(0)) * x.size(1)),
        array(rowptr),
        array(col),
        array(edge_code),
        None,
        array(x),
        array(table),
        None,
        1 + eps.item(),
        array(out),
    )
    if bad:
        raise IndexError(
            f"edge_code[{bad - 1}] is {int(edge_code[bad - 1])}: the table has {table.size(0)} rows"
        )
    return out


def gine_aggregate_backward(
    grad: Tensor,
    rowptr_t: Tensor,
    col_t: Tensor,
    perm_t: Tensor,
    x: Tensor,
    table: Tensor,
    edge_code: Tensor,
    eps: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of gbench/kernels/gine_aggregate.py."""
    work = (col_t.numel() + x.size(0)) * x.size(1)
    chunks = table_chunks(work, col_t.numel(), table.size(0))
    grad_x = torch.empty(x.shape, dtype=x.dtype)
    tables = private_tables(chunks, table.size(0) + 1, x)
    run(
        bonds.backward,
        chunks,
        array(rowptr_t),
        array(col_t),
        array(perm_t),
        array(edge_code),
        None,
        array(x),
        array(table),
        None,
        1 + eps.item(),
        array(grad),
        array(grad_x),
        tables,
    )
    total = total_table(tables)
    grad_eps = total[-1].sum(dtype=torch.float64)
    return grad_x, total[:-1].to(x.dtype, copy=True), grad_eps.to(eps.dtype)
