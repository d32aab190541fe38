"""CPU, numba: the walks of bonds.py with d^-1/2 at both ends of a bond and a root term."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gbench.kernels.cpu import bonds
from gbench.kernels.cpu.rows import array, count_chunks, run
from gbench.kernels.cpu.tables import private_tables, table_chunks, total_table


def gcn_bond_aggregate(
    rowptr: Tensor,
    col: Tensor,
    rowptr_t: Tensor,
    col_t: Tensor,
    perm_t: Tensor,
    x: Tensor,
    table: Tensor,
    edge_code: Tensor,
    root: Tensor,
) -> Tensor:
    """The forward of gbench/kernels/gcn_bond_aggregate.py."""
    out = torch.empty(x.shape, dtype=x.dtype)
    bad = run(
        bonds.forward,
        count_chunks((col.numel() + x.size(0)) * x.size(1)),
        array(rowptr),
        array(col),
        array(edge_code),
        _scale(rowptr_t, x),
        array(x),
        array(table),
        array(root),
        1.0,
        array(out),
    )
    if bad:
        raise IndexError(
            f"edge_code[{bad - 1}] is {int(edge_code[bad - 1])}: the table has {table.size(0)} rows"
        )
    return out


def gcn_bond_aggregate_backward(
    grad: Tensor,
    rowptr_t: Tensor,
    col_t: Tensor,
    perm_t: Tensor,
    x: Tensor,
    table: Tensor,
    edge_code: Tensor,
    root: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of gbench/kernels/gcn_bond_aggregate.py."""
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
        _scale(rowptr_t, x),
        array(x),
        array(table),
        array(root),
        1.0,
        array(grad),
        array(grad_x),
        tables,
    )
    total = total_table(tables).to(x.dtype)
    return grad_x, total[:-1].clone(), total[-1].clone()


def _scale(rowptr_t: Tensor, like: Tensor) -> Any:
    """d^-1/2 (N,), at least in float32: bfloat16 has no 257."""
    wide = torch.promote_types(like.dtype, torch.float32)
    return (rowptr_t.diff() + 1).to(wide).rsqrt_().numpy()
