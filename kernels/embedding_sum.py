"""Sum several categorical lookups of each row, from one table that holds all of theirs.

    y_i = Σ_k table[offsets_k + codes_ik]

The K tables of an atom or bond encoder lie one below the other, feature k from row offsets_k on.
Gradient of the table: add ȳ_i to K of its rows. The table is small (174 rows for OGB's atoms), so
each chunk of nodes adds into its own copy, and the copies are added in a fixed order: no sort of
N·K codes, no atomics. Equal rows of codes have equal results and share their gradient's way: the
CPU looks each up once.

Several tables of one layout, stacked, are looked up by the same codes in one operation: the bond
encoders of all layers.

Bytes moved, float32: N·D·4 written + N·K codes read; in backward N·D·4 read. The table stays in
cache.

Legend: N rows, K features, R rows in the table, D dimensions, L tables.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from gbench.kernels import check, library


def reference(codes: Tensor, table: Tensor, offsets: Tensor) -> Tensor:
    """The specification: K lookups and a sum."""
    return table[..., codes.long() + offsets, :].sum(-2)


@library.operation("table")
def embedding_sum(codes: Tensor, table: Tensor, offsets: Tensor) -> Tensor:
    """Look each row's K categories up and add them.

    Shapes: codes (N, K) integer, table (R, D), offsets (K,) int64, rising → (N, D); of a table
    (L, R, D) → (L, N, D).
    Raises ValueError or TypeError on a wrong shape, device or dtype, IndexError on a category
    outside its feature's rows.
    """
    rows = table.flatten(0, 1) if table.dim() == 3 else table
    check.features("table", rows, rows.size(0), codes.device)
    check.integers("codes", codes, (codes.size(0), offsets.numel()), codes.device)
    check.integers("offsets", offsets, (codes.size(1),), codes.device)
    if not library.has_kernel("embedding_sum", table):
        return reference(codes, table, offsets)
    out: Tensor = _SUM(codes, table, offsets)
    return out


def _fake(codes: Tensor, table: Tensor, offsets: Tensor) -> Tensor:
    return table.new_empty(*table.shape[:-2], codes.size(0), table.size(-1))


_SUM = library.define("embedding_sum(Tensor codes, Tensor table, Tensor offsets) -> Tensor", _fake)


def _fake_backward(grad: Tensor, codes: Tensor, offsets: Tensor, num_rows: int) -> Tensor:
    return grad.new_empty(*grad.shape[:-2], num_rows, grad.size(-1))


_BACKWARD = library.define(
    "embedding_sum_backward(Tensor grad, Tensor codes, Tensor offsets, SymInt num_rows) -> Tensor",
    _fake_backward,
)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    codes, table, offsets = inputs
    ctx.save_for_backward(codes, offsets)
    ctx.num_rows = table.size(-2)


def _backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    return None, _BACKWARD(grad, *ctx.saved_tensors, ctx.num_rows), None


library.differentiate("embedding_sum", _save, _backward)
