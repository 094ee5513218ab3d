"""What a `Layout` becomes: the kernel for few activation rows, which unpacks weights in registers, and the pair for
many rows, `expand` (a packed block → units, scales and offsets in the first-level cache) and `tile` (those times a
tile of rows). How bytes are multiplied, and in which order they are expanded, is the ISA level's (`dot.py`).

Both add the same floats in the same order: sub-block after sub-block, activation scale times dot, times weight scale.
So a row's result does not depend on how many rows there are.
"""

from llvmlite import ir

from llm_core.kernels.deferred import cgutils, intrinsic, types
from llm_core.kernels.dot import DOT
from llm_core.kernels.jit import static
from llm_core.kernels.matmul.layout import Block, Layout
from llm_core.kernels.simd import LOCALITY, zeros
from llm_core.kernels.vectors import F32, I8, I32, I64, LANES, call, const, join, load_at, part, splat, store_at

# How many values of k are expanded at a time, and where the parts of the scratch area are (bytes).
CHUNK = 256
SCALES = CHUNK * LANES
OFFSETS = SCALES + CHUNK // 16 * LANES * 4
EXPANDED = OFFSETS + CHUNK // 16 * LANES * 4

FLOATS = ir.VectorType(F32, LANES)


def _fma(builder, a, b, c):
    return call(builder, f"llvm.fma.v{LANES}f32", FLOATS, a, b, c)


class Row:
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

    def at(self, value):
        """The address of activation `value`."""
        return self._builder.add(self._values, I64(value))

    def word(self, value):
        """Activations value … value + 3."""
        return load_at(self._builder, self.at(value), I32)

    def at_scale(self, s):
        """The address of the activation scale of sub-block s."""
        return self._builder.add(self._scales, I64(s * self._layout.width // 32 * 4))

    def at_sum(self, s):
        """The address of the sum of the activations of sub-block s."""
        return self._builder.add(self._sums, I64(4 * s))

    def scale(self, s):
        """The activation scale of sub-block s, in all lanes."""
        return spread(self._builder, self.at_scale(s))

    def sum(self, s):
        """The sum of the activations of sub-block s, in all lanes."""
        return spread(self._builder, self.at_sum(s))


def spread(builder, address):
    """The float at an address, in all lanes."""
    return splat(builder, load_at(builder, address, F32), LANES)


def add(builder, layout, acc, dots, row, s, scale, offset):
    """One column's sum with sub-block s: the arithmetic that few and many rows share."""
    value = builder.fmul(builder.sitofp(dots, FLOATS), row.scale(s))
    zero = layout.zero + (0 if layout.peak else DOT.signed_bias)
    if zero:
        value = _fma(builder, row.sum(s), const(FLOATS, -float(zero)), value)
    acc = _fma(builder, value, scale, acc)
    return _fma(builder, row.sum(s), offset, acc) if offset is not None else acc


def prefetch(builder, address, lines):
    """Ask for lines behind `address`, here and not sooner: left to itself, LLVM gathers the requests of a whole block,
    and a core that has some 16 of them open waits for memory."""
    builder.asm(ir.FunctionType(ir.VoidType(), []), "", "~{memory}", [], side_effect=True)
    for at in (64 * line for line in lines):
        pointer = builder.inttoptr(builder.add(address, I64(at)), I8.as_pointer())
        call(builder, "llvm.prefetch.p0", ir.VoidType(), pointer, I32(0), I32(LOCALITY), I32(1))


def named(function, layout, *sizes):
    """A device function of its own name for each layout and size: numba tells static functions apart by name."""
    function.__name__ = "_".join((function.__name__, layout.name, *(str(size) for size in sizes)))
    return static(function)


def few_rows(layout: Layout, early):
    """The panel function `panel(w, end, then, k, x, stride, columns)` of a layout; one or two rows ask for the weights
    at `early(address, w, end, then)` while they read those at `address`."""

    @intrinsic
    def add_block(_ctx, acc, w, ahead, x, k, first, stride):
        n = acc.lanes // LANES

        def generate(_context, builder, sig, args):
            value, address, ahead, x, k, first, stride = args
            block = Block(builder, address)
            sums = [part(builder, value, c * LANES, LANES) for c in range(n)]
            rows = [Row(builder, layout, builder.add(x, builder.mul(stride, I64(c))), k, first) for c in range(n)]
            lines = -(-layout.nbytes // 64)
            for s in range(layout.n_sub):
                if n <= 2:  # more rows wait for arithmetic, not for memory
                    prefetch(builder, ahead, range(lines * s // layout.n_sub, lines * (s + 1) // layout.n_sub))
                start = s * layout.width
                dots = DOT.dots(
                    builder,
                    layout.peak,
                    layout.width // 4,
                    lambda u, start=start: layout.unit(block, start // 4 + u).value,
                    lambda c, u, start=start: rows[c].word(start + 4 * u),
                    n,
                )
                scale = layout.scale(block, s).value
                offset = layout.offset(block, s).value if layout.has_offset else None
                for c in range(n):
                    sums[c] = add(builder, layout, sums[c], dots[c], rows[c], s, scale, offset)
            return join(builder, sums)

        return acc(acc, *[types.int64] * 6), generate

    size, nbytes = layout.block, layout.nbytes

    def panel(w, end, then, k, x, stride, columns):
        acc = zeros(columns)
        for i in range(k // size):
            at = w + i * nbytes
            acc = add_block(acc, at, early(at, w, end, then), x, k, i * size, stride)
        return acc

    return named(panel, layout)


def expander(layout: Layout):
    """`expand(w, scratch, n_values)`: the packed blocks from w on become an expanded chunk."""

    @intrinsic
    def expand(_ctx, w, scratch, i):
        def generate(context, builder, _sig, args):
            w, scratch, i = args
            block = Block(builder, w)
            chunk = builder.add(scratch, builder.mul(i, I64(layout.block * LANES)))
            rows = builder.add(scratch, builder.mul(i, I64(layout.n_sub * LANES * 4)))
            for s in range(layout.n_sub):
                first, last = (i * layout.width // 4 for i in (s, s + 1))
                units = DOT.arrange(builder, layout.peak, (layout.unit(block, u).value for u in range(first, last)))
                for u, unit in enumerate(units, first):
                    store_at(builder, builder.add(chunk, I64(u * 64)), unit)
                at = s * LANES * 4
                store_at(builder, builder.add(rows, I64(SCALES + at)), layout.scale(block, s).value)
                if layout.has_offset:
                    store_at(builder, builder.add(rows, I64(OFFSETS + at)), layout.offset(block, s).value)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 3), generate

    size, nbytes = layout.block, layout.nbytes

    def expand_chunk(w, scratch, n_values):
        for i in range(n_values // size):
            expand(w + i * nbytes, scratch, i)

    return named(expand_chunk, layout)


def factors(builder, layout, floats, s):
    """(scale, offset or None) of sub-block s of an expanded panel whose scratch is shifted to the turn at `floats`."""
    at = s * LANES * 4
    scale = load_at(builder, builder.add(floats, I64(SCALES + at)), FLOATS)
    offset = load_at(builder, builder.add(floats, I64(OFFSETS + at)), FLOATS) if layout.has_offset else None
    return scale, offset


def tiler(layout: Layout, n_columns: int, n_panels: int, sums_bytes: int):
    """`tile(scratch, sums, n_values, x, k, first, stride, row, last, ahead, apart, lines)`: add `n_panels` expanded
    chunks (one every EXPANDED bytes), values first … of k, times activation rows row … row + n_columns - 1 (none after
    `last`: it stands in for those) to their float sums (those of a panel: every `sums_bytes`). Meanwhile the packed
    bytes at `ahead`, and `apart` behind them for each further panel, are asked for, `lines` with every 32 values: a few
    at a time, because a core waits for memory once some 16 requests are under way."""

    @intrinsic
    def tile(_ctx, scratch, sums, n_values, x, k, first, stride, row, last, ahead, apart, lines):
        def generate(context, builder, _sig, args):
            scratch, sums, n_values, x, k, first, stride, row, last, ahead, apart, lines = args
            columns, panels = range(n_columns), range(n_panels)
            addresses = []
            for c in columns:
                own = builder.add(row, I64(c))
                own = builder.select(builder.icmp_signed("<", own, last), own, last)
                addresses.append(builder.add(x, builder.mul(own, stride)))
            at_sums = builder.add(sums, builder.mul(row, I64(LANES * 4)))
            places = {
                (p, c): builder.add(at_sums, I64(p * sums_bytes + c * LANES * 4)) for p in panels for c in columns
            }
            accs = {at: cgutils.alloca_once(builder, FLOATS) for at in places}  # registers, after LLVM's first pass
            for at, place in places.items():
                builder.store(load_at(builder, place, FLOATS), accs[at])
            step = 32  # values per turn: whole activation blocks
            with cgutils.for_range(builder, builder.lshr(n_values, I64(5))) as loop:
                value = builder.mul(loop.index, I64(step))
                per_turn = step // layout.width
                units = builder.add(scratch, builder.mul(loop.index, I64(step * LANES)))
                floats = builder.add(scratch, builder.mul(loop.index, I64(per_turn * LANES * 4)))
                rows = [Row(builder, layout, a, k, builder.add(first, value)) for a in addresses]
                early = builder.add(ahead, builder.mul(loop.index, builder.shl(lines, I64(6))))
                with cgutils.for_range(builder, lines) as line:
                    here = builder.add(early, builder.shl(line.index, I64(6)))
                    for p in panels:
                        prefetch(builder, builder.add(here, builder.mul(apart, I64(p))), (0,))
                for s in range(per_turn):
                    start = s * layout.width
                    dots = DOT.tile_dots(
                        builder,
                        layout.peak,
                        layout.width // 4,
                        [builder.add(units, I64(p * EXPANDED + start * LANES)) for p in panels],
                        [row.at(start) for row in rows],
                    )
                    for p in panels:
                        scale, offset = factors(builder, layout, builder.add(floats, I64(p * EXPANDED)), s)
                        for c in columns:
                            acc = builder.load(accs[p, c])
                            acc = add(builder, layout, acc, dots[p][c], rows[c], s, scale, offset)
                            builder.store(acc, accs[p, c])
            for at, place in places.items():
                store_at(builder, place, builder.load(accs[at]))
            return context.get_dummy_value()

        return types.void(*[types.int64] * 12), generate

    def tile_of(scratch, sums, n_values, x, k, first, stride, row, last, ahead, apart, lines):
        tile(scratch, sums, n_values, x, k, first, stride, row, last, ahead, apart, lines)

    return named(tile_of, layout, n_columns, n_panels)
