"""Wide tiles: an expanded panel times 16 rows of activations at once, by a unit of the processor that multiplies tiles
(AMX; see `dot.py`). The arithmetic is that of `integer.py`'s tiles, and so are the bits of the results.

The unit's sums reach the vector registers through memory, where a load waits for a store shortly before it. So there is
room for two turns of 32 values: while one is added up, the next one's sums are made, and its rows' scales and sums are
gathered from the rows, which lie apart, to where one address finds them all.
"""

from llvmlite import ir

from llm_core.kernels import cpu
from llm_core.kernels.deferred import cgutils, intrinsic, types
from llm_core.kernels.dot import DOT
from llm_core.kernels.matmul.integer import FLOATS, Row, add, factors, named, prefetch, spread
from llm_core.kernels.matmul.layout import Layout
from llm_core.kernels.vectors import I8, I32, I64, LANES, load_at, store_at

STEP = 32  # values of a turn: whole activation blocks
COLUMNS = cpu.isa().wide_columns
_DOTS, _FLOATS = 64 * COLUMNS, 4 * COLUMNS  # bytes of a sub-block's sums, of its scales
_PART = _DOTS + 2 * _FLOATS


class _Column:
    """A column's dots, scales and sums in the half of the room at `half`; as `Row`."""

    def __init__(self, builder, half, c):
        self._builder, self._half, self._c = builder, half, c

    def dots(self, s):
        return load_at(self._builder, self._at(s, 64 * self._c), ir.VectorType(I32, LANES))

    def scale(self, s):
        return spread(self._builder, self._at(s, _DOTS + 4 * self._c))

    def sum(self, s):
        return spread(self._builder, self._at(s, _DOTS + _FLOATS + 4 * self._c))

    def _at(self, s, offset):
        return self._builder.add(self._half, I64(s * _PART + offset))


def around(begin_of, end_of):
    """Intrinsics before the first and after the last wide tile of a product, `begin() -> before` and `end(before)`, to
    be called in one function, of what writes them: `begin_of(builder)` and `end_of(builder, before)`."""

    @intrinsic
    def begin(_ctx):
        return types.int64(), lambda _context, builder, _sig, _args: begin_of(builder)

    @intrinsic
    def end(_ctx, before):
        def generate(context, builder, _sig, args):
            end_of(builder, args[0])
            return context.get_dummy_value()

        return types.void(types.int64), generate

    return begin, end


def wide_tiler(layout: Layout):
    """(rows of a wide tile, or 0 where the layout is multiplied faster without, `tiles`).

    `tiles(scratch, sums, n_values, x, k, first, stride, count, ahead, lines)`: add an expanded chunk, values first …
    of k, times `count` tiles of activation rows from x on to their float sums. Meanwhile the packed bytes at `ahead`
    are asked for, `lines` with every turn."""
    per_turn = STEP // layout.width

    @intrinsic
    def tiles(_ctx, scratch, sums, n_values, x, k, first, stride, count, ahead, lines):
        def generate(context, builder, _sig, args):
            scratch, sums, n_values, x, k, first, stride, count, ahead, lines = args
            turns = builder.udiv(n_values, I64(STEP))
            size = per_turn * _PART
            room = cgutils.alloca_once(builder, ir.ArrayType(I8, 2 * size))
            room.align = 64
            room = builder.ptrtoint(room, I64)

            def half(number):
                return builder.add(room, builder.mul(builder.and_(number, I64(1)), I64(size)))

            def start(tile, turn, to):
                address = builder.add(x, builder.mul(builder.mul(tile, I64(COLUMNS)), stride))
                row = Row(builder, layout, address, k, builder.add(first, builder.mul(turn, I64(STEP))))
                units = builder.add(scratch, builder.mul(turn, I64(STEP * LANES)))
                for s in range(per_turn):
                    own, begin = builder.add(to, I64(s * _PART)), s * layout.width
                    DOT.start(
                        builder,
                        s,
                        layout.width // 4,
                        builder.add(units, I64(begin * LANES)),
                        row.at(begin),
                        stride,
                        own,
                    )
                    for i, at in enumerate((row.at_scale(s), row.at_sum(s))):
                        place = builder.add(own, I64(_DOTS + i * _FLOATS))
                        store_at(builder, place, DOT.gather(builder, at, stride))

            accs = [cgutils.alloca_once(builder, FLOATS) for _ in range(COLUMNS)]  # registers, after LLVM's first pass
            start(I64(0), I64(0), room)
            with cgutils.for_range(builder, count) as tile:
                at_sums = builder.add(sums, builder.mul(tile.index, I64(COLUMNS * LANES * 4)))
                places = [builder.add(at_sums, I64(c * LANES * 4)) for c in range(COLUMNS)]
                for acc, place in zip(accs, places, strict=True):
                    builder.store(load_at(builder, place, FLOATS), acc)
                before = builder.mul(tile.index, turns)
                with cgutils.for_range(builder, turns) as turn:
                    number, after = builder.add(before, turn.index), builder.add(turn.index, I64(1))
                    ends = builder.icmp_signed("==", after, turns)
                    following = builder.add(tile.index, I64(1))
                    following = builder.select(builder.icmp_signed("<", following, count), following, tile.index)
                    start(
                        builder.select(ends, following, tile.index),
                        builder.select(ends, I64(0), after),
                        half(builder.add(number, I64(1))),
                    )
                    early = builder.add(ahead, builder.mul(number, builder.shl(lines, I64(6))))
                    with cgutils.for_range(builder, lines) as line:
                        prefetch(builder, builder.add(early, builder.shl(line.index, I64(6))), (0,))
                    floats = builder.add(scratch, builder.mul(turn.index, I64(per_turn * LANES * 4)))
                    columns = [_Column(builder, half(number), c) for c in range(COLUMNS)]
                    for s in range(per_turn):
                        scale, offset = factors(builder, layout, floats, s)
                        for acc, column in zip(accs, columns, strict=True):
                            value = builder.load(acc)
                            builder.store(add(builder, layout, value, column.dots(s), column, s, scale, offset), acc)
                for acc, place in zip(accs, places, strict=True):
                    store_at(builder, place, builder.load(acc))
            return context.get_dummy_value()

        return types.void(*[types.int64] * 10), generate

    def wide_tiles(scratch, sums, n_values, x, k, first, stride, count, ahead, lines):
        tiles(scratch, sums, n_values, x, k, first, stride, count, ahead, lines)

    def none(scratch, sums, n_values, x, k, first, stride, count, ahead, lines):
        pass

    # A sub-block of 16 values is half of the work of one of 32, and as many floats to add up.
    return (COLUMNS, named(wide_tiles, layout)) if COLUMNS and layout.width == STEP else (0, named(none, layout))
