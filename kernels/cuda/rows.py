"""How the Triton kernels share rows among programs, rows of any length included.

A program holds a tile of ROWS rows × COLUMNS features and walks its rows' entries side by side. The
entries are cut into slots, at every multiple of SLOT. A row that ends within the slot after the one
it begins in is summed where it is. A longer one, a hub, is summed there to the end of that second
slot, and each further slot is summed by another program; all of them leave their sums in `partial`,
and a second launch (MERGE) adds each hub's sums in the order of its slots.

So no program walks more than 2 SLOT entries, the same bits come out every time (no atomics), and
the host never waits for the device: the number of programs follows from the numbers of rows and
entries, and from the longest row's bound, which the graph carries. Where that is at most 2 SLOT,
every row is summed where it is, and neither programs for slots nor the second launch exist.
"""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

SLOT = 128  # entries; reckoned, not measured: a warp gathers as many rows in some 30 µs

# A row or entry that has nothing to write, and one whose result is whole; others have a slot.
NOTHING: tl.constexpr = tl.constexpr(-2)
WHOLE: tl.constexpr = tl.constexpr(-1)


# Arguments that a batch cuts from larger tensors, so that their alignment changes by batch.
VIEWS = {"rowptr", "rowptr_t", "walk", "col", "col_t", "perm", "perm_t", "reverse", "degree"}
VIEWS |= {"ptr", "start", "node_ptr", "edge_code", "codes", "y"}
# Numbers of one draw or count, of which every second one is aligned.
VIEWS |= {"seed", "other_seed", "seed_in", "seed_inner", "seed_out", "rows"}


def kernel(function: Any) -> Any:
    """A Triton kernel that is compiled once for all sizes of batches.

    Triton compiles anew for integers that are 1 or a multiple of 16 and for pointers that are
    aligned: a dataset's batches would meet all combinations, some for the first time in the middle
    of an epoch. Run-time integers are named num_* or search_steps and are never specialised on,
    nor is the alignment of VIEWS. The alignment of features is: it makes their loads wide; and so
    is `count`, of a walk over single elements, whose mask is as wide as it is a multiple of.
    """
    names = list(inspect.signature(function).parameters)
    sizes = [name for name in names if name.startswith("num_") or name == "search_steps"]
    views = [name for name in names if name in VIEWS]
    return triton.jit(do_not_specialize=sizes, do_not_specialize_on_alignment=views)(function)


class Tiling(NamedTuple):
    """The launches that walk the rows of one graph, and the buffer that hubs need between them."""

    partial: Tensor
    width: int
    num_rows: int
    num_slots: int
    rows: int
    columns: int
    slot: int
    heads: int
    merges: bool = True  # without it one launch only: for what is written for each entry

    def launch(self, kernel: Any, *args: Any, **flags: Any) -> None:
        """Call kernel(*args, partial, num_rows, num_slots, search_steps, **flags, tile sizes)."""
        slot_programs = cdiv(self.num_slots, self.rows)
        for merge, programs in ((False, self.row_programs + slot_programs), (True, slot_programs)):
            if programs and self.width and (self.merges or not merge):
                launch(
                    kernel,
                    (programs, self.blocks * self.heads),
                    *args,
                    self.partial,
                    self.num_rows,
                    self.num_slots,
                    self.num_rows.bit_length(),
                    **flags,
                    WIDTH=self.width,
                    ROWS=self.rows,
                    COLUMNS=self.columns,
                    SLOT=self.slot,
                    # Entries that are loaded before the first is used; an atom has 2.1 bonds.
                    UNROLL=4 if self.columns <= 128 else 2,
                    MERGE=merge,
                    num_warps=1,
                )

    @property
    def blocks(self) -> int:
        """Tiles that lie side by side in a row."""
        return cdiv(self.width, self.columns)

    @property
    def row_programs(self) -> int:
        """Tiles that lie one below the other."""
        return cdiv(self.num_rows, self.rows)


def tiling(
    num_rows: int, num_sources: int, num_entries: int, longest: int, like: Tensor, heads: int = 1
) -> Tiling:
    """Tiles for `num_rows` rows of like's width and type that read `num_entries` entries.

    No row has more than `longest` of these. With `heads` the grid has so many times as many blocks
    of columns, and a slot so many rows.
    `partial` takes at most as much memory as the source: slots grow with the average degree.

    A program is one warp: between two, each index that is loaded would pass through shared memory
    and a barrier, eight times per entry of gine_aggregate.
    """
    slot = max(SLOT, power_of_2(cdiv(num_entries, max(num_rows, num_sources, 1))))
    num_slots = cdiv(num_entries, slot) if min(num_entries, longest) > 2 * slot else 0
    width, dtype = like.size(-1), like.dtype
    columns = tile_columns(width)
    if num_slots == 0 and dtype is wide(dtype):
        partial = like  # nothing is written to it: it tells the type that sums are made in
    else:
        partial = like.new_empty(num_slots * heads, width, dtype=wide(dtype))
    return Tiling(
        partial,
        width,
        num_rows,
        num_slots,
        max(1, min(32, 128 // columns)),
        columns,
        slot,
        heads,
    )


def cdiv(number: int, by: int) -> int:
    """How often `by` goes into `number`, rounded up; triton's takes a µs."""
    return -(-number // by)


def power_of_2(number: int) -> int:
    """The least power of two that is no less than `number`, 1 for 0."""
    return 1 << max(0, number - 1).bit_length()


@cache
def tile_columns(width: int) -> int:
    """Columns of one tile: the fewest instructions for the whole width.

    A tile's instructions grow with its columns, those beyond the width included, and finding its
    rows costs as many as 170 columns do (counted in gine_aggregate compiled for sm_90).
    """
    if width <= 128:
        return power_of_2(width)
    return min((512, 256, 128), key=lambda columns: cdiv(width, columns) * (columns + 170))


def launch(kernel: Any, grid: tuple[int, ...], *args: Any, **flags: Any) -> None:
    """Run the kernel on the device of its first argument, which need not be the current one."""
    device = args[0].get_device()  # -1 on the CPU, in Triton's interpreter
    if device < 0 or device == torch.cuda.current_device():
        kernel[grid](*args, **flags)
    else:
        with torch.cuda.device(device):
            kernel[grid](*args, **flags)


@cache
def wide(dtype: torch.dtype) -> torch.dtype:
    """The type that sums are made in: at least float32, for bfloat16 has no 257."""
    return torch.promote_types(dtype, torch.float32)


@triton.jit
def row_of(
    rowptr: tl.tensor, entry: tl.tensor, num_rows: tl.tensor, search_steps: tl.tensor
) -> tl.tensor:
    """The row that each entry belongs to: the last one that begins at or before it."""
    row = tl.zeros_like(entry)
    for step in range(search_steps):
        probe = row + (1 << (search_steps - 1 - step))
        begin = tl.load(rowptr + probe, mask=probe < num_rows, other=2147483647)
        row = tl.where(begin <= entry, probe, row)
    return row


@triton.jit
def portion(
    rowptr: tl.tensor,
    num_rows: tl.tensor,
    num_slots: tl.tensor,
    search_steps: tl.tensor,
    ROWS: tl.constexpr,
    SLOT: tl.constexpr,
    MERGE: tl.constexpr,
) -> tl.tensor:
    """What this program sums, each of shape (ROWS,): row, begin, length and target.

    begin and length count entries, or in the second launch slots. target is WHOLE, NOTHING or the
    slot of `partial` that the sum goes to.
    """
    lane = tl.arange(0, ROWS)
    row_programs = 0 if MERGE else tl.cdiv(num_rows, ROWS)
    program = tl.program_id(0)
    if program < row_programs:
        row = program * ROWS + lane
        mask = row < num_rows
        begin = tl.load(rowptr + row, mask=mask, other=0)
        length = tl.load(rowptr + row + 1, mask=mask, other=0) - begin
        # Without slots no row is a hub.
        room = tl.where(num_slots == 0, 2147483647, 2 * SLOT - begin % SLOT)
        target = tl.where(length > room, begin // SLOT + 1, WHOLE)
        target = tl.where(mask, target, NOTHING)
        length = tl.minimum(length, room)
    else:
        slot = (program - row_programs) * ROWS + lane
        slot = tl.where(slot < num_slots, slot, 0)  # slot 0 is no hub's
        row = row_of(rowptr, slot * SLOT, num_rows, search_steps)
        first = tl.load(rowptr + row) // SLOT + 2
        end = tl.load(rowptr + row + 1)
        if MERGE:
            mask = (slot == first) & (slot * SLOT < end)
            begin = slot - 1
            length = tl.where(mask, tl.cdiv(end, SLOT) - begin, 0)
            target = tl.where(mask, WHOLE, NOTHING)
        else:
            mask = slot >= first
            begin = slot * SLOT
            length = tl.where(mask, tl.minimum(end - begin, SLOT), 0)
            target = tl.where(mask, slot, NOTHING)
    return row, begin, length, target


@triton.jit
def size_of(rowptr: tl.tensor, row: tl.tensor, mask: tl.tensor) -> tl.tensor:
    """Entries of each row, 0 where the mask is false."""
    end = tl.load(rowptr + row + 1, mask=mask, other=0)
    return end - tl.load(rowptr + row, mask=mask, other=0)


@triton.jit
def gather(
    x: tl.tensor,
    row: tl.tensor,
    mask: tl.tensor,
    column: tl.tensor,
    WIDTH: tl.constexpr,
    other: tl.tensor,
) -> tl.tensor:
    """x[row, column], a tile; `other` where the mask (ROWS,) is false."""
    place = row.to(tl.int64)[:, None] * WIDTH + column[None, :]  # rows × width may pass 2^31
    return tl.load(x + place, mask=mask[:, None] & (column < WIDTH)[None, :], other=other)


@triton.jit
def add_partials(
    partial: tl.tensor,
    begin: tl.tensor,
    length: tl.tensor,
    column: tl.tensor,
    WIDTH: tl.constexpr,
    UNROLL: tl.constexpr,
    head: tl.tensor = 0,
    HEADS: tl.constexpr = 1,
) -> tl.tensor:
    """The sum of `length` partial sums from slot `begin` on; each slot has a row for each head."""
    total = tl.zeros([begin.shape[0], column.shape[0]], partial.dtype.element_ty)
    for step in range(0, tl.max(length), UNROLL):
        for ahead in tl.static_range(UNROLL):
            here = step + ahead < length
            place = (begin + step + ahead) * HEADS + head
            total += gather(partial, place, here, column, WIDTH, 0.0)
    return total


@triton.jit
def put(
    total: tl.tensor,
    final: tl.tensor,
    row: tl.tensor,
    target: tl.tensor,
    column: tl.tensor,
    out: tl.tensor,
    partial: tl.tensor,
    WIDTH: tl.constexpr,
    MERGE: tl.constexpr,
) -> None:
    """Write `final` to the whole rows of out, and a hub's `total` to its slots of partial."""
    inside = (column < WIDTH)[None, :]
    place = row.to(tl.int64)[:, None] * WIDTH + column[None, :]
    tl.store(out + place, final.to(out.dtype.element_ty), (target == WHOLE)[:, None] & inside)
    if not MERGE:
        place = target.to(tl.int64)[:, None] * WIDTH + column[None, :]
        tl.store(partial + place, total, (target >= 0)[:, None] & inside)
