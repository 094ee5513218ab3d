"""What a `Layout` becomes: the kernel for few activation rows, which unpacks weights in registers, and the pair for
many rows, `expand` (a packed block → units, scales and offsets in the first-level cache) and `tile` (those times a
tile of rows).

Both add the same floats in the same order: sub-block after sub-block, activation scale times dot, times weight scale.
So a row's result does not depend on how many rows there are.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from llm_core.kernels import dot
from llm_core.kernels.jit import static
from llm_core.kernels.matmul.layout import Block, Layout
from llm_core.kernels.simd import zeros
from llm_core.kernels.vectors import F32, I8, I32, I64, LANES, call, const, join, load_at, part, splat, store_at

# How many values of k are expanded at a time, and where the parts of the scratch area are (bytes).
CHUNK = 256
SCALES = CHUNK * LANES
OFFSETS = SCALES + CHUNK // 16 * LANES * 4
EXPANDED = OFFSETS + CHUNK // 16 * LANES * 4

FLOATS = ir.VectorType(F32, LANES)


def _dots(builder, layout: Layout, unit, word, n_columns):
    """int32 lanes per column: the units of one sub-block (`unit(u)`) times activations (`word(c, u)`)."""
    count, columns = layout.width // 4, range(n_columns)
    hold = dot.settle if n_columns > 1 else lambda _builder, value: value
    sums = [const(ir.VectorType(I32, LANES), 0)] * n_columns
    if not layout.peak:
        for u in range(count):
            weights = unit(u)
            sums = [hold(builder, dot.add_signed(builder, sums[c], weights, word(c, u))) for c in columns]
        return sums
    # A narrow accumulator holds a few units only; int32 addition is exact, so the order changes nothing.
    most = min(count, dot.NARROW_BUDGET // layout.peak) if dot.NARROW else count
    for first in range(0, count, most):
        narrow = [dot.narrow_zero()] * n_columns
        if most > 2:
            for u in range(first, first + most):
                weights = unit(u)
                narrow = [hold(builder, dot.add_unsigned(builder, narrow[c], weights, word(c, u))) for c in columns]
            sums = [builder.add(sums[c], dot.widen(builder, narrow[c])) for c in columns]
        else:  # column by column, so that only one narrow accumulator is alive
            weights = [unit(u) for u in range(first, first + most)]
            for c in columns:
                for i, w in enumerate(weights):
                    narrow[c] = dot.add_unsigned(builder, narrow[c], w, word(c, first + i))
                sums[c] = hold(builder, builder.add(sums[c], dot.widen(builder, narrow[c])))
    return sums


def _fma(builder, a, b, c):
    return call(builder, f"llvm.fma.v{LANES}f32", FLOATS, a, b, c)


class _Row:
    """A quantized activation row (see `kernels/quantize.py`) from value `first` on, at an address."""

    def __init__(self, builder, layout, address, k, first):
        self._builder, self._layout = builder, layout
        self._values = builder.add(address, first)
        block = builder.lshr(first, I64(5))
        eighth = builder.lshr(k, I64(3))
        start = builder.add(builder.add(address, k), builder.shl(block, I64(2)))
        self._scales = start
        if layout.width == 32:
            self._sums = builder.add(start, eighth)
        else:
            self._sums = builder.add(builder.add(start, builder.add(eighth, eighth)), builder.shl(block, I64(2)))

    def word(self, value):
        """Activations value … value + 3."""
        return load_at(self._builder, self._builder.add(self._values, I64(value)), I32)

    def scale(self, s):
        """The activation scale of sub-block s, in all lanes."""
        return self._float(self._scales, s * self._layout.width // 32)

    def sum(self, s):
        """The sum of the activations of sub-block s."""
        return self._float(self._sums, s)

    def _float(self, base, i):
        return splat(self._builder, load_at(self._builder, self._builder.add(base, I64(4 * i)), F32), LANES)


def _add(builder, layout, acc, dots, row, s, scale, offset):
    """One column's sum with sub-block s: the arithmetic that few and many rows share."""
    value = builder.fmul(builder.sitofp(dots, FLOATS), row.scale(s))
    zero = layout.zero + (0 if layout.peak else dot.SIGNED_BIAS)
    if zero:
        value = _fma(builder, row.sum(s), const(FLOATS, -float(zero)), value)
    acc = _fma(builder, value, scale, acc)
    return _fma(builder, row.sum(s), offset, acc) if offset is not None else acc


def _prefetch(builder, address, first, last):
    for at in range(first, last, 64):
        pointer = builder.inttoptr(builder.add(address, I64(at)), I8.as_pointer())
        call(builder, "llvm.prefetch.p0", ir.VoidType(), pointer, I32(0), I32(3), I32(1))


def _named(function, layout):
    """A device function of its own name for each layout: numba tells static functions apart by name."""
    function.__name__ = f"{function.__name__}_{layout.name}"
    return static(function)


def few_rows(layout: Layout, ahead: int):
    """The panel function `panel(w, k, x, stride, columns)` of a layout; a single row asks for weights `ahead` bytes
    early."""

    @intrinsic
    def add_block(_ctx, acc, w, x, k, first, stride):
        n = acc.lanes // LANES

        def generate(_context, builder, sig, args):
            value, address, x, k, first, stride = args
            block = Block(builder, address)
            sums = [part(builder, value, c * LANES, LANES) for c in range(n)]
            rows = [
                _Row(builder, layout, builder.add(x, builder.mul(stride, I64(c))), k, first) for c in range(n)
            ]
            lines = -(-layout.nbytes // 64)
            for s in range(layout.n_sub):
                if n == 1:
                    near, far = (lines * i // layout.n_sub * 64 + ahead for i in (s, s + 1))
                    _prefetch(builder, address, near, far)
                start = s * layout.width
                dots = _dots(
                    builder,
                    layout,
                    lambda u, start=start: layout.unit(block, start // 4 + u).value,
                    lambda c, u, start=start: rows[c].word(start + 4 * u),
                    n,
                )
                scale = layout.scale(block, s).value
                offset = layout.offset(block, s).value if layout.has_offset else None
                for c in range(n):
                    sums[c] = _add(builder, layout, sums[c], dots[c], rows[c], s, scale, offset)
            return join(builder, sums)

        return acc(acc, types.int64, types.int64, types.int64, types.int64, types.int64), generate

    size, nbytes = layout.block, layout.nbytes

    def panel(w, k, x, stride, columns):
        acc = zeros(columns)
        for i in range(k // size):
            acc = add_block(acc, w + i * nbytes, x, k, i * size, stride)
        return acc

    return _named(panel, layout)


def expander(layout: Layout):
    """`expand(w, scratch, n_values)`: the packed blocks from w on become an expanded chunk; returns where the next
    one begins."""

    @intrinsic
    def expand(_ctx, w, scratch, i):
        def generate(context, builder, _sig, args):
            block = Block(builder, args[0])
            units = builder.add(args[1], builder.mul(args[2], I64(layout.block * LANES)))
            rows = builder.add(args[1], builder.mul(args[2], I64(layout.n_sub * LANES * 4)))
            for s in range(layout.n_sub):
                for u in range(s * layout.width // 4, (s + 1) * layout.width // 4):
                    store_at(builder, builder.add(units, I64(u * 64)), layout.unit(block, u).value)
                at = s * LANES * 4
                store_at(builder, builder.add(rows, I64(SCALES + at)), layout.scale(block, s).value)
                if layout.has_offset:
                    store_at(builder, builder.add(rows, I64(OFFSETS + at)), layout.offset(block, s).value)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, types.int64), generate

    size, nbytes = layout.block, layout.nbytes

    def expand_chunk(w, scratch, n_values):
        for i in range(n_values // size):
            expand(w + i * nbytes, scratch, i)
        return w + n_values // size * nbytes

    return _named(expand_chunk, layout)


def tiler(layout: Layout, n_columns: int):
    """`tile(scratch, sums, n_values, x, k, first, stride, row, last)`: add the expanded chunk, values first … of k,
    times activation rows row … row + n_columns - 1 (none after `last`: it stands in for those) to their float sums."""

    @intrinsic
    def tile(_ctx, scratch, sums, n_values, x, k, first, stride, row, last):
        def generate(context, builder, _sig, args):
            scratch, sums, n_values, x, k, first, stride, row, last = args
            addresses = []
            for c in range(n_columns):
                own = builder.add(row, I64(c))
                own = builder.select(builder.icmp_signed("<", own, last), own, last)
                addresses.append(builder.add(x, builder.mul(own, stride)))
            at_sums = builder.add(sums, builder.mul(row, I64(LANES * 4)))
            step = 32  # values per turn: whole activation blocks
            with cgutils.for_range(builder, builder.lshr(n_values, I64(5))) as loop:
                value = builder.mul(loop.index, I64(step))
                units = builder.add(scratch, builder.mul(loop.index, I64(step * LANES)))
                per_turn = step // layout.width
                floats = builder.add(scratch, builder.mul(loop.index, I64(per_turn * LANES * 4)))
                rows = [_Row(builder, layout, a, k, builder.add(first, value)) for a in addresses]
                accs = [load_at(builder, builder.add(at_sums, I64(c * LANES * 4)), FLOATS) for c in range(n_columns)]
                for s in range(per_turn):
                    start = s * layout.width
                    dots = _dots(
                        builder,
                        layout,
                        lambda u, start=start: load_at(
                            builder, builder.add(units, I64((start + 4 * u) * LANES)), ir.VectorType(I8, 64)
                        ),
                        lambda c, u, start=start: rows[c].word(start + 4 * u),
                        n_columns,
                    )
                    at = s * LANES * 4
                    scale = load_at(builder, builder.add(floats, I64(SCALES + at)), FLOATS)
                    offset = (
                        load_at(builder, builder.add(floats, I64(OFFSETS + at)), FLOATS) if layout.has_offset else None
                    )
                    accs = [
                        _add(builder, layout, accs[c], dots[c], rows[c], s, scale, offset) for c in range(n_columns)
                    ]
                for c in range(n_columns):
                    store_at(builder, builder.add(at_sums, I64(c * LANES * 4)), accs[c])
            return context.get_dummy_value()

        return types.void(*[types.int64] * 9), generate

    def tile_of(scratch, sums, n_values, x, k, first, stride, row, last):
        tile(scratch, sums, n_values, x, k, first, stride, row, last)

    return _named(tile_of, layout)
