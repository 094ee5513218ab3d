"""Products of half-precision weights with many rows as 16-bit integers, where the processor multiplies those two at a
time: twice as fast as floats, and closer than activations rounded to half precision.

Weights and activations are int16 with one scale for each row and CHUNK values of k. Scales keep the Euclidean norm of a
chunk below LIMIT_W and LIMIT_X, whose product is below 2^31: so by Cauchy and Schwarz no sum of products overflows 32
bits, and sums are exact. A chunk's sum becomes a float and is added to those before it.

A packed panel is a chunk after another: 16 float scales, then for each pair of k the 16 rows' two values. So are
activations: a chunk of all rows after another, X_BYTES a row: its values, then its scale.
"""

import functools

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir

from llm_core.kernels import cpu
from llm_core.kernels.deferred import intrinsic, types
from llm_core.kernels.jit import inline, op, share
from llm_core.kernels.matmul.panels import (
    BIAS,
    CHOOSES,
    N_PANELS,
    OUT,
    OUT_STRIDE,
    PANEL_BYTES,
    RESIDUAL,
    ROW_COUNT,
    WEIGHT,
    X_STRIDE,
    K,
    X,
)
from llm_core.kernels.matmul.tile import COLUMNS, PANELS, STRIP, copy_rows
from llm_core.kernels.simd import (
    absolute,
    fill,
    fma,
    get_f32,
    get_i64,
    largest,
    load_f32,
    maximum,
    put_f32,
    rint,
    stack_area,
    store,
    to_i32,
    total,
)
from llm_core.kernels.tickets import draw
from llm_core.kernels.vectors import F32, I16, I32, I64, LANES, call, const, join, load_at, part, splat, store_at

# The instruction of each level that has one: its name and how many int32 sums it makes. `vpdpwssd` adds to them.
_VPDPWSSD_512, _VPDPWSSD_256 = ("llvm.x86.avx512.vpdpwssd.512", 16), ("llvm.x86.avx512.vpdpwssd.256", 8)
_VPMADDWD = ("llvm.x86.avx2.pmadd.wd", 8)
_INSTRUCTIONS = {"avx2": _VPMADDWD, "avxvnni": _VPDPWSSD_256, "avx512vnni": _VPDPWSSD_512, "amx": _VPDPWSSD_512}
AVAILABLE = cpu.isa().name in _INSTRUCTIONS
CHUNK = 128
CHUNK_BYTES = 64 + CHUNK * LANES * 2  # of a packed panel
X_BYTES = CHUNK * 2 + 64  # of a row: an odd number of cache lines, so that rows do not meet in the same sets
GROUP_BYTES = 1 << 20  # of activations that meet a strip of weights while they are in the second level
TICKETS = CHOOSES + 8  # a further word of the operation's row
LIMIT_W, LIMIT_X, PEAK = 32700.0, 65400.0, 32767.0

_FLOATS, _INTS = ir.VectorType(F32, LANES), ir.VectorType(I32, LANES)


def chunks_of(k: int) -> int:
    """Chunks that hold k values."""
    return -(-k // CHUNK)


def chunk_bytes(rows: int) -> int:
    """Bytes of a chunk of so many rows of activations: whole tiles."""
    return -(-rows // COLUMNS) * COLUMNS * X_BYTES


def panel_bytes(k: int) -> int:
    """Bytes of a packed panel."""
    return chunks_of(k) * CHUNK_BYTES


def pack(values: np.ndarray) -> np.ndarray:
    """float32 [rows, k] (rows a multiple of 16) → uint8 [panels, panel_bytes(k)]."""
    rows, k = values.shape
    padded = np.zeros((rows, chunks_of(k) * CHUNK), np.float32)
    padded[:, :k] = values
    parts = padded.reshape(rows // LANES, LANES, -1, CHUNK)
    norm = np.sqrt(np.square(parts, dtype=np.float64).sum(-1))
    scale = np.maximum(norm / LIMIT_W, np.abs(parts).max(-1) / PEAK)
    scale = np.where(scale > 1e-30, scale, 1).astype(np.float32)
    q = np.rint(parts / scale[..., None]).astype(np.int16)
    out = np.empty((rows // LANES, chunks_of(k), CHUNK_BYTES), np.uint8)
    out[..., :64] = np.ascontiguousarray(scale.transpose(0, 2, 1)).view(np.uint8)
    pairs = q.reshape(rows // LANES, LANES, -1, CHUNK // 2, 2).transpose(0, 2, 3, 1, 4)
    out[..., 64:] = np.ascontiguousarray(pairs).reshape(*out.shape[:2], -1).view(np.uint8)
    return out.reshape(rows // LANES, -1)


@intrinsic
def store_i16(_ctx, address, at, value):
    """Store a vector of int32 as int16 (the caller has them in range)."""

    def generate(context, builder, _sig, args):
        narrow = builder.trunc(args[2], ir.VectorType(I16, args[2].type.count))
        store_at(builder, builder.add(args[0], args[1]), narrow)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, value), generate


@op
def quantize_int16(op, ctx, tid, n_threads):
    """float rows → int16 rows, OUT_STRIDE bytes a chunk; K values a row, zeros after them."""
    rows, k = get_i64(ctx, get_i64(op, ROW_COUNT)), get_i64(op, K)
    chunks = (k + CHUNK - 1) // CHUNK
    first, last = share(rows, tid, n_threads)
    for row in range(first, last):
        x = get_i64(op, X) + row * get_i64(op, X_STRIDE)
        for chunk in range(chunks):
            out = get_i64(op, OUT) + chunk * get_i64(op, OUT_STRIDE) + row * X_BYTES
            start = chunk * CHUNK
            n = min(CHUNK, k - start)
            whole = n & ~15
            squares, peaks = fill(np.float32(0.0)), fill(np.float32(0.0))
            for i in range(0, whole, 16):
                value = load_f32(x, (start + i) * 4)
                squares, peaks = fma(value, value, squares), maximum(peaks, absolute(value))
            norm, peak = total(squares), largest(peaks)
            for i in range(whole, n):
                value = get_f32(x, (start + i) * 4)
                norm += value * value
                peak = max(peak, abs(value))
            scale = max(np.float32(np.sqrt(norm)) / np.float32(LIMIT_X), peak / np.float32(PEAK))
            inverse = fill(np.float32(1.0) / scale if scale > np.float32(1e-30) else np.float32(0.0))
            if norm != norm:
                scale = norm  # a NaN shows in the result
            for i in range(0, whole, 16):
                store_i16(out, i * 2, to_i32(rint(load_f32(x, (start + i) * 4) * inverse)))
            if n < CHUNK:
                _last_values(x, out, start, whole, n, inverse)
            put_f32(out, CHUNK * 2, scale)


@inline
def _last_values(x, out, start, whole, n, inverse):
    """The end of a row: what is behind its last value counts as zero."""
    area = _edge()
    store(area, 0, fill(np.float32(0.0)))
    for i in range(whole, n):
        put_f32(area, (i - whole) * 4, get_f32(x, (start + i) * 4))
    for i in range(whole, CHUNK, 16):
        store_i16(out, i * 2, to_i32(rint(load_f32(area, 0) * inverse)))
        store(area, 0, fill(np.float32(0.0)))


@functools.cache
def _operands(name: str, lanes: int) -> ir.VectorType:
    """The operand type that this LLVM takes: int32 words, or 16-bit words if it takes nothing else."""
    words = f"<{lanes} x i32>"
    try:
        llvm.parse_assembly(f"declare {words} @{name}({words}, {words}, {words})").verify()
        return ir.VectorType(I32, lanes)
    except RuntimeError:
        return ir.VectorType(I16, 2 * lanes)


def _add_pairs(builder, acc, weights, word):
    """16 int32 lanes + 16 rows' pairs of weights times a pair of activations (both pairs as int32 words)."""
    instruction = _INSTRUCTIONS[cpu.isa().name]
    name, n = instruction
    adds = instruction != _VPMADDWD
    operand = _operands(name, n) if adds else ir.VectorType(I16, 2 * n)
    pair, sums = builder.bitcast(splat(builder, word, n), operand), []
    for at in range(0, LANES, n):
        here, own = part(builder, acc, at, n), builder.bitcast(part(builder, weights, at, n), operand)
        if adds:
            sums.append(call(builder, name, here.type, here, own, pair))
        else:
            sums.append(builder.add(here, call(builder, name, here.type, own, pair)))
    return join(builder, sums)


def _tile(panels: int):
    """tile(w, bytes from panel to panel, x, out, stride): OUT += a chunk's products."""

    @intrinsic
    def tile(_ctx, w, panel_size, x, out, stride):
        def generate(context, builder, _sig, args):
            w, panel_size, x, out, stride = args
            bases = [builder.add(w, builder.mul(panel_size, I64(p))) for p in range(panels)]
            before = builder.block
            loop, after = builder.append_basic_block("tile"), builder.append_basic_block("tile.end")
            builder.branch(loop)
            builder.position_at_end(loop)
            i = builder.phi(I64)
            i.add_incoming(I64(0), before)
            sums = [[builder.phi(_INTS) for _ in range(COLUMNS)] for _ in range(panels)]
            at = builder.add(builder.shl(i, I64(6)), I64(64))
            weights = [load_at(builder, builder.add(base, at), _INTS) for base in bases]
            row = builder.add(x, builder.shl(i, I64(2)))
            done = [[] for _ in range(panels)]
            for c in range(COLUMNS):
                word = load_at(builder, builder.add(row, I64(c * X_BYTES)), I32)
                for p in range(panels):
                    done[p].append(_add_pairs(builder, sums[p][c], weights[p], word))
            following = builder.add(i, I64(1))
            i.add_incoming(following, loop)
            for p in range(panels):
                for c in range(COLUMNS):
                    sums[p][c].add_incoming(const(_INTS, 0), before)
                    sums[p][c].add_incoming(done[p][c], loop)
            builder.cbranch(builder.icmp_signed("<", following, I64(CHUNK // 2)), loop, after)
            builder.position_at_end(after)
            for p in range(panels):
                scales = load_at(builder, bases[p], _FLOATS)
                for c in range(COLUMNS):
                    own = load_at(builder, builder.add(x, I64(c * X_BYTES + CHUNK * 2)), F32)
                    scale = builder.fmul(scales, splat(builder, own, LANES))
                    place = builder.add(builder.add(out, builder.mul(stride, I64(c))), I64(p * 64))
                    value = builder.sitofp(done[p][c], _FLOATS)
                    old = load_at(builder, place, _FLOATS)
                    store_at(builder, place, call(builder, f"llvm.fma.v{LANES}f32", _FLOATS, value, scale, old))
            return context.get_dummy_value()

        return types.void(*[types.int64] * 5), generate

    return tile


_strip, _panel = _tile(PANELS), _tile(1)


@inline
def multiply(wide, w, panel_size, x, out, stride):
    """`tile` of a strip of panels (`wide`) or of one."""
    if wide:
        _strip(w, panel_size, x, out, stride)
    else:
        _panel(w, panel_size, x, out, stride)


@inline
def begin(op, panel, n_panels, first, count):
    """OUT = bias + residual, in the panels and rows of a group."""
    bias, residual, stride = get_i64(op, BIAS), get_i64(op, RESIDUAL), get_i64(op, OUT_STRIDE)
    for row in range(first, first + count):
        for p in range(panel, panel + n_panels):
            at = row * stride + p * 64
            value = fill(np.float32(0.0))
            if bias != 0:
                value = value + load_f32(bias, p * 64)
            if residual != 0:
                value = value + load_f32(residual, at)
            store(get_i64(op, OUT), at, value)


_area = stack_area(COLUMNS * STRIP)
_edge = stack_area(64)


@inline
def run_strip(op, w, x, sums, panel, n_panels, group, count):
    """A strip's chunk times all rows of a group."""
    stride, size = get_i64(op, OUT_STRIDE), get_i64(op, PANEL_BYTES)
    out = get_i64(op, OUT) + group * stride + panel * 64
    for m in range(0, count, COLUMNS):
        if m + COLUMNS <= count:
            multiply(n_panels == PANELS, w, size, x + m * X_BYTES, out + m * stride, stride)
        else:  # OUT has no rows for the whole tile
            copy_rows(out + m * stride, stride, sums, STRIP, count - m, n_panels * 64)
            multiply(n_panels == PANELS, w, size, x + m * X_BYTES, sums, STRIP)
            copy_rows(sums, STRIP, out + m * stride, stride, count - m, n_panels * 64)


@op
def matmul_int16(op, ctx, tid, n_threads):
    """A product of packed weights with rows of `quantize_int16`; threads draw groups of rows and strips."""
    rows, k = get_i64(ctx, get_i64(op, ROW_COUNT)), get_i64(op, K)
    n_panels, chunks = get_i64(op, N_PANELS), (k + CHUNK - 1) // CHUNK
    strips = (n_panels + PANELS - 1) // PANELS
    sums = _area()
    groups = (rows * chunks * X_BYTES + GROUP_BYTES - 1) // GROUP_BYTES
    each = ((rows + groups - 1) // groups + COLUMNS - 1) // COLUMNS * COLUMNS
    n_items = strips * ((rows + each - 1) // each)
    item = draw(op, TICKETS, ctx, n_items, n_threads)
    while item < n_items:
        group, panel = item // strips * each, item % strips * PANELS
        count, wide = min(each, rows - group), min(PANELS, n_panels - panel)
        begin(op, panel, wide, group, count)
        for chunk in range(chunks):
            w = get_i64(op, WEIGHT) + panel * get_i64(op, PANEL_BYTES) + chunk * CHUNK_BYTES
            x = get_i64(op, X) + chunk * get_i64(op, X_STRIDE) + group * X_BYTES
            run_strip(op, w, x, sums, panel, wide, group, count)
        item = draw(op, TICKETS, ctx, n_items, n_threads)
