"""Matrix products out[m, n] = x[m, k] · W[n, k]: how weights are packed into panels, and the loops that all formats
share.

A panel is 16 rows of W over all of k, in the order in which the kernel reads it: units of 64 bytes (16 rows x 4
bytes, see `dot.py`), then the scales of the block, 16 rows wide. The last panel is padded with zero rows. A
packed weight takes the bytes of the file (to within 4 %), but for the small formats (`iquants.py`, `ternary.py`).

`run_panels` takes the activation rows in tiles that a panel function multiplies, `run_expanded` expands a chunk of a
panel into the first-level cache first and multiplies it with many rows. Both split the panels over the threads; every
weight byte is read from memory once per step whatever the number of rows.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from llm_core.kernels import cpu
from llm_core.kernels.dot import DOT
from llm_core.kernels.jit import Op, apply, inline, op, share
from llm_core.kernels.matmul.integer import CHUNK, EXPANDED, expander, few_rows, tiler
from llm_core.kernels.matmul.layout import Layout
from llm_core.kernels.matmul.wide import around, wide_tiler
from llm_core.kernels.simd import (
    fill,
    get_i64,
    load_columns,
    load_f32,
    stack_area,
    store,
    store_columns,
    wide,
)
from llm_core.kernels.step import CHOSEN, panel_at, panel_count
from llm_core.kernels.vectors import Columns

ROWS = 16
# Prefetch distances in bytes while one or two rows of activations stream the weights (decode), in a panel shorter than
# LONG and in others; found by measurement.
LONG = 12288
NEAR, FAR = (2048, 8192) if cpu.is_zen4() else (4096, 4096)

# Words of a matmul's row in the program, after the operation's address and flags. CHOOSES: 1 if the step says which
# panels are wanted (the output layer), 0 if all are. NEXT: WEIGHT, PANEL_BYTES and N_PANELS of the product that comes
# next in the program; zeros: none.
X, X_STRIDE, OUT, OUT_STRIDE, WEIGHT, PANEL_BYTES, N_PANELS, K, BIAS, RESIDUAL, ROW_COUNT, CHOOSES, NEXT = (
    8 * i for i in range(2, 15)
)

_SIZES = {2: (2, 1, 1), 4: (4, 2, 1), 8: (8, 4, 1)}[cpu.isa().max_columns]
# Tiles of rows for weights that need no unpacking, and for quantized ones that are unpacked in registers.
LARGE, MEDIUM, ONE, PAIR = Columns(_SIZES[0]), Columns(_SIZES[1]), Columns(1), Columns(2)
# Expanded weights: panels and rows per tile, rows that share an expanded chunk, from how many rows on expanding pays.
PANELS = cpu.isa().tile_panels
TILE, GROUP, MANY = cpu.isa().max_columns // PANELS, 64, 3
SUMS = GROUP * 64  # bytes of a panel's sums


@dataclass(frozen=True)
class PanelFormat:
    """How one weight format is packed and multiplied.

    block: values of k per packed block; block_bytes: bytes of a packed block (16 rows); pack: uint8 [rows, row bytes]
    (rows a multiple of 16) → uint8 [panels, panel bytes]; op: the operation; quantized: does it take int8 activations?
    """

    block: int
    block_bytes: int
    pack: Callable[[np.ndarray], np.ndarray]
    op: Op
    quantized: bool = True

    def panel_bytes(self, k: int) -> int:
        """Bytes of one panel of rows of `k` values."""
        return -(-k // self.block) * self.block_bytes


def words(blocks: np.ndarray) -> np.ndarray:
    """uint8 [rows, blocks, 4 * u] → [panels, blocks, 64 * u]: every 4 bytes become one lane of a unit."""
    rows, n_blocks, n_bytes = blocks.shape
    lanes = np.ascontiguousarray(blocks).view(np.uint32).reshape(rows // ROWS, ROWS, n_blocks, n_bytes // 4)
    return np.ascontiguousarray(lanes.transpose(0, 2, 3, 1)).view(np.uint8).reshape(rows // ROWS, n_blocks, -1)


def lanes(values: np.ndarray) -> np.ndarray:
    """[rows, blocks, s] of any type → bytes [panels, blocks, s * 16 * itemsize]: 16 rows of each value side by side."""
    rows, n_blocks, count = values.shape
    grouped = values.reshape(rows // ROWS, ROWS, n_blocks, count).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(grouped).view(np.uint8).reshape(rows // ROWS, n_blocks, -1)


def assemble(*parts: np.ndarray) -> np.ndarray:
    """Concatenate the parts of each block and flatten a panel: → uint8 [panels, panel bytes]."""
    packed = np.concatenate(parts, axis=2)
    return packed.reshape(packed.shape[0], -1)


@inline
def early(at, start, end, then):
    """The address that is read NEAR or FAR bytes after `at`, in a panel from `start` to `end` after which reading goes
    on at `then`."""
    ahead = at + (NEAR if end - start < LONG else FAR)
    return ahead if ahead < end else then + (ahead - end)


@inline
def next_start(op, tid, n_threads):
    """Where this thread begins to read the next product's weights; 0: nowhere."""
    first, _ = share(get_i64(op, NEXT + N_PANELS - WEIGHT), tid, n_threads)
    return get_i64(op, NEXT) + first * get_i64(op, NEXT + PANEL_BYTES - WEIGHT)


@inline
def finish(op, panel, row, acc, columns):
    """Add bias and residual to a tile's accumulator and store it."""
    stride = get_i64(op, OUT_STRIDE)
    at = row * stride + panel * 64
    bias, residual = get_i64(op, BIAS), get_i64(op, RESIDUAL)
    if bias != 0:
        acc = acc + wide(load_f32(bias, panel * 64), columns)
    if residual != 0:
        acc = acc + load_columns(residual, at, stride, columns)
    store_columns(get_i64(op, OUT), at, stride, acc)


@inline
def run_panels(panel, large, medium, op, ctx, tid, n_threads):
    """This thread's share of a product: every panel against tiles of `large`, `medium` and single activation rows."""
    rows = get_i64(ctx, get_i64(op, ROW_COUNT))
    x, stride = get_i64(op, X), get_i64(op, X_STRIDE)
    weight, size, k = get_i64(op, WEIGHT), get_i64(op, PANEL_BYTES), get_i64(op, K)
    chosen = get_i64(ctx, CHOSEN) if get_i64(op, CHOOSES) != 0 else 0
    first, last = share(panel_count(chosen, get_i64(op, N_PANELS)), tid, n_threads)
    after = next_start(op, tid, n_threads)
    for i in range(first, last):
        p = panel_at(chosen, i)
        w = weight + p * size
        then = weight + panel_at(chosen, i + 1) * size if i + 1 < last else after
        m = 0
        while m + len(large) <= rows:
            finish(op, p, m, apply(panel, w, w + size, then, k, x + m * stride, stride, large), large)
            m += len(large)
        while len(medium) > 1 and m + len(medium) <= rows:
            finish(op, p, m, apply(panel, w, w + size, then, k, x + m * stride, stride, medium), medium)
            m += len(medium)
        while m < rows:
            finish(op, p, m, apply(panel, w, w + size, then, k, x + m * stride, stride, ONE), ONE)
            m += 1


@inline
def panel_start(weight, size, chosen, i, last, after):
    """Where the i-th panel of this thread begins; from the `last` on, where the next product's do."""
    return weight + panel_at(chosen, i) * size if i < last else after + (i - last) * size


_scratch = stack_area(PANELS * (EXPANDED + SUMS))


@inline
def run_expanded(expand, tile, wide_tiles, wide, op, ctx, tid, n_threads):
    """This thread's share of a product with many activation rows: a chunk of PANELS panels is expanded once for a
    group of rows. wide: rows of a wide tile (0: there is none)."""
    rows = get_i64(ctx, get_i64(op, ROW_COUNT))
    x, stride = get_i64(op, X), get_i64(op, X_STRIDE)
    weight, size, k = get_i64(op, WEIGHT), get_i64(op, PANEL_BYTES), get_i64(op, K)
    chosen = get_i64(ctx, CHOSEN) if get_i64(op, CHOOSES) != 0 else 0
    first, last = share(panel_count(chosen, get_i64(op, N_PANELS)), tid, n_threads)
    after = next_start(op, tid, n_threads)
    scratch = _scratch()
    sums = scratch + PANELS * EXPANDED
    # Group by group, not panel by panel: a group's activations stay in the second-level cache for all panels.
    for group in range(0, rows, GROUP):
        count = min(GROUP, rows - group)
        for i in range(first, last, PANELS):
            for at in range(0, PANELS * SUMS, 64):
                store(sums, at, fill(np.float32(0.0)))
            for start in range(0, k, CHUNK):
                n_values = min(CHUNK, k - start)
                for p in range(PANELS):  # where one is left, it stands in for the other
                    w = weight + panel_at(chosen, min(i + p, last - 1)) * size
                    apply(expand, w + start * size // k, scratch + p * EXPANDED, n_values)
                # While these are multiplied, the packed chunks that come next are asked for, a few lines at a time.
                come, at = (i, start + CHUNK) if start + CHUNK < k else (i + PANELS, 0)
                ahead = panel_start(weight, size, chosen, come, last, after)
                apart = panel_start(weight, size, chosen, come + PANELS - 1, last, after) - ahead
                turns = (n_values + 31) // 32
                n_wide = count // wide if wide > 0 else 0
                n_tiles = n_wide + (count - n_wide * wide + TILE - 1) // TILE
                lines = (CHUNK * size // k // 64) // (turns * n_tiles) + 1
                ahead += at * size // k
                if n_wide > 0:
                    for p in range(PANELS):
                        apply(wide_tiles, scratch + p * EXPANDED, sums + p * SUMS, n_values, x + group * stride, k,
                              start, stride, n_wide, ahead + p * apart, lines)  # fmt: skip
                    ahead += 64 * lines * turns * n_wide
                for m in range(n_wide * wide, count, TILE):
                    apply(tile, scratch, sums, n_values, x + group * stride, k, start, stride, m, count - 1,
                          ahead, apart, lines)  # fmt: skip
                    ahead += 64 * lines * turns
            for p in range(min(PANELS, last - i)):
                panel = panel_at(chosen, i + p)
                for m in range(count):
                    finish(op, panel, group + m, load_f32(sums, p * SUMS + m * 64), ONE)


def integer_format(layout: Layout, pack: Callable[[np.ndarray], np.ndarray]) -> PanelFormat:
    """The `PanelFormat` of a layout and a packer that writes it; formats that share a layout share its operation."""
    return PanelFormat(layout.block, layout.nbytes, pack, _product(layout))


@functools.cache
def _product(layout: Layout) -> Op:
    few, expand, tile = few_rows(layout, early), expander(layout), tiler(layout, TILE, PANELS, SUMS)
    wide, wide_tiles = wide_tiler(layout)
    begin, end = around(lambda builder: DOT.begin(builder, layout.width), DOT.end)

    def matmul(op, ctx, tid, n_threads):
        if get_i64(ctx, get_i64(op, ROW_COUNT)) < MANY:
            run_panels(few, PAIR, ONE, op, ctx, tid, n_threads)
        else:
            before = begin()
            run_expanded(expand, tile, wide_tiles, wide, op, ctx, tid, n_threads)
            end(before)

    matmul.__name__, matmul.__module__ = f"matmul_{layout.name}", type(layout).__module__
    matmul.__doc__ = type(layout).__doc__
    return op(matmul)
