"""How 16-bit integers lie in memory and are multiplied, at each ISA level that can: `WORDS` is the one in use (None:
there is none, and products stay in floats).

A chunk is `chunk` values of k: of a packed panel 16 rows side by side in `panel_bytes`, of activations a tile of
`columns` rows in `tile_bytes`, with their float scales. Values stay within `peak`, and chunks of weights and of
activations within `norms` (Euclidean) where all is summed up in 32 bits: by Cauchy and Schwarz no sum of products
exceeds their product.
"""

import functools
import math

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir

from llm_core.kernels import cpu
from llm_core.kernels.deferred import cgutils
from llm_core.kernels.dot import Tiles
from llm_core.kernels.matmul.tile import COLUMNS
from llm_core.kernels.vectors import F32, I8, I16, I32, I64, LANES, call, const, join, load_at, part, splat, store_at

SPAN = 64  # values of a row of activations are multiplied in whole numbers of these at most
_INTS, _FLOATS = ir.VectorType(I32, LANES), ir.VectorType(F32, LANES)


class Pairs:
    """Two values of k at a time, which an instruction multiplies and adds into 32 bits. A tile is a row after another:
    its values, then its scale."""

    columns, chunk, peak = COLUMNS, 128, 32767.0
    norms = 32700.0, 65400.0  # of a chunk of weights, of activations
    _TURN, _OWN = 1, 0  # pairs of a turn of the loop; bytes before a panel's values

    def __init__(self, instruction: str, lanes: int, adds: bool):
        """instruction: its name in LLVM; lanes: how many sums it makes; adds: to those before?"""
        self._name, self._lanes, self._adds = instruction, lanes, adds
        self._row = self.chunk * 2 + 64  # an odd number of cache lines, so that rows do not meet in the same sets
        self.tile_bytes, self.panel_bytes = self.columns * self._row, self.chunk * 2 * LANES + self._OWN

    def arrange(self, q: np.ndarray) -> np.ndarray:
        """int16 [panels, 16, chunks, chunk] → uint8 [panels, chunks, panel_bytes]: each row's pair side by side."""
        pairs = q.reshape(*q.shape[:3], self.chunk // 2, 2).transpose(0, 2, 3, 1, 4)
        return np.ascontiguousarray(pairs).reshape(*pairs.shape[:2], -1).view(np.uint8)

    def store(self, builder, tile, c, i, values):
        """Activations i … i + 15 of row c of a tile, int32 in the range of int16."""
        at = builder.add(builder.add(tile, builder.mul(c, I64(self._row))), builder.shl(i, I64(1)))
        store_at(builder, at, builder.trunc(values, ir.VectorType(I16, LANES)))

    def stored(self, builder, tile, c, n):
        """All values of row c of a tile are there: n, and zeros up to a multiple of SPAN."""

    def scale(self, builder, tile, c):
        """Where the scale of row c of a tile is."""
        return builder.add(builder.add(tile, builder.mul(c, I64(self._row))), I64(self.chunk * 2))

    def turn(self, builder, tile, c, lane, n):
        """The first n values of row c of a tile, or some more, → the row at `lane` of a panel's chunk."""
        row = builder.add(tile, builder.mul(c, I64(self._row)))
        with cgutils.for_range(builder, builder.shl(builder.lshr(builder.add(n, I64(3)), I64(2)), I64(1))) as loop:
            word = load_at(builder, builder.add(row, builder.shl(loop.index, I64(2))), I32)
            store_at(builder, builder.add(lane, builder.shl(loop.index, I64(6))), word)

    def four(self, builder, panel, i, values):
        """Values i … i + 3 of all rows of a panel's chunk (`panel`: behind its scales), int32 in the range of int16."""
        at = builder.add(panel, builder.shl(i, I64(5)))
        for j, pair in enumerate(self._as_pairs(builder, values)):
            store_at(builder, builder.add(at, I64(64 * j)), pair)

    @staticmethod
    def _as_pairs(builder, values):
        low = [builder.and_(value, const(_INTS, 0xFFFF)) for value in values[::2]]
        high = [builder.shl(value, const(_INTS, 16)) for value in values[1::2]]
        return [builder.or_(*pair) for pair in zip(low, high, strict=True)]

    def begin(self, builder):
        """Before the first `sums` of a product; as of `Dots`."""
        return I64(0)

    def end(self, builder, before):
        """After the last one."""

    def sums(self, builder, panels, x, n):
        """`sum(p, c)`, 16 floats: of n values of the chunks of weights at `panels` times row c of the tile at x."""
        first = self._first(builder, panels, x)
        before = builder.block
        loop, after = builder.append_basic_block("pairs"), builder.append_basic_block("pairs.end")
        builder.branch(loop)
        builder.position_at_end(loop)
        i = builder.phi(I64)
        i.add_incoming(I64(0), before)
        sums = [[builder.phi(_INTS) for _ in row] for row in first]
        at, row = builder.shl(i, I64(6)), builder.add(x, builder.shl(i, I64(2)))
        weights = [self._pairs(builder, builder.add(base, at), 64, _INTS) for base in panels]
        done = [[] for _ in panels]
        for c in range(self.columns):
            pairs = self._pairs(builder, builder.add(row, I64(c * self._row)), 4, I32)
            pairs = [splat(builder, pair, LANES) for pair in pairs]
            for p, own in enumerate(weights):
                done[p].append(self._add(builder, sums[p][c], own, pairs))
        following = builder.add(i, I64(self._TURN))
        i.add_incoming(following, loop)
        for old, new, begin in zip(sums, done, first, strict=True):
            for one, value, start in zip(old, new, begin, strict=True):
                one.add_incoming(start, before)
                one.add_incoming(value, loop)
        builder.cbranch(builder.icmp_signed("<", builder.shl(following, I64(1)), n), loop, after)
        builder.position_at_end(after)
        return lambda p, c: builder.sitofp(done[p][c], _FLOATS)

    def _pairs(self, builder, address, step, kind):
        """The pairs of a turn of the loop."""
        return [load_at(builder, builder.add(address, I64(step * turn)), kind) for turn in range(self._TURN)]

    def _first(self, builder, panels, x):
        """What sums begin with, by panel and row."""
        return [[const(_INTS, 0)] * self.columns for _ in panels]

    def _add(self, builder, acc, weights, pairs):
        """16 sums + 16 rows' weights times activations, a turn's pairs of each as int32 lanes."""
        return self._multiply(builder, acc, weights[0], pairs[0])

    def _multiply(self, builder, acc, left, right):
        """16 sums + 16 pairs times 16 pairs."""
        n, sums = self._lanes, []
        operand = _operands(self._name, n) if self._adds else ir.VectorType(I16, 2 * n)
        for at in range(0, LANES, n):
            here, *two = (part(builder, value, at, n) for value in (acc, left, right))
            two = [builder.bitcast(value, operand) for value in two]
            if self._adds:
                sums.append(call(builder, self._name, here.type, here, *two))
            else:
                sums.append(builder.add(here, call(builder, self._name, here.type, *two)))
        return join(builder, sums)


class Crossed(Pairs):
    """Two pairs at a time with one product in place of two, where the processor adds more 16-bit integers than it
    multiplies: (w + x')(w' + x) = wx + w'x' + ww' + xx', w and w' being neighbouring pairs of weights, x and x' of
    activations (Winograd, 1968: "A new algorithm for inner product"). ww' and xx' of whole rows are known before and
    stand, taken off, behind the scales. All is right modulo 2^32, and the sum that is left fits 31 bits."""

    columns, chunk, peak = 8, 256, 16383.0  # two values together are 16 bits
    _TURN, _OWN = 2, 4 * LANES

    def arrange(self, q: np.ndarray) -> np.ndarray:
        """As of `Pairs`, behind minus the sums of ww'."""
        fours = q.astype(np.int64).reshape(*q.shape[:3], -1, 2, 2)
        own = -(fours[..., 0, :] * fours[..., 1, :]).sum((-1, -2)).transpose(0, 2, 1)
        own = np.ascontiguousarray((own & 0xFFFFFFFF).astype(np.uint32)).view(np.uint8)
        return np.concatenate([own, super().arrange(q)], axis=-1)

    def stored(self, builder, tile, c, n):
        """As of `Pairs`: minus the sum of xx' goes behind the scale."""
        row, sums = builder.add(tile, builder.mul(c, I64(self._row))), cgutils.alloca_once(builder, _INTS)
        builder.store(const(_INTS, 0), sums)
        with cgutils.for_range(builder, builder.udiv(builder.add(n, I64(SPAN - 1)), I64(SPAN))) as loop:
            total = builder.load(sums)
            for at in range(0, SPAN * 2, 64):
                at = builder.add(builder.mul(loop.index, I64(SPAN * 2)), I64(at))
                both = load_at(builder, builder.add(row, at), ir.VectorType(I64, LANES // 2))
                second = builder.lshr(both, const(both.type, 32))  # its pair by the first one, nothing by itself
                total = self._multiply(builder, total, builder.bitcast(both, _INTS), builder.bitcast(second, _INTS))
            builder.store(total, sums)
        total = builder.neg(call(builder, f"llvm.vector.reduce.add.v{LANES}i32", I32, builder.load(sums)))
        store_at(builder, builder.add(self.scale(builder, tile, c), I64(4)), total)

    def turn(self, builder, tile, c, lane, n):
        """As of `Pairs`."""
        own = load_at(builder, builder.add(self.scale(builder, tile, c), I64(4)), I32)
        store_at(builder, lane, own)
        super().turn(builder, tile, c, builder.add(lane, I64(self._OWN)), n)

    def four(self, builder, panel, i, values):
        """As of `Pairs`; the first four begin minus the sums of ww'."""
        both = self._multiply(builder, const(_INTS, 0), *self._as_pairs(builder, values))
        first = builder.icmp_signed("==", i, I64(0))
        before = builder.select(first, const(_INTS, 0), load_at(builder, panel, _INTS))
        store_at(builder, panel, builder.sub(before, both))
        super().four(builder, builder.add(panel, I64(self._OWN)), i, values)

    def sums(self, builder, panels, x, n):
        """As of `Pairs`."""
        return super().sums(builder, [builder.add(base, I64(self._OWN)) for base in panels], x, n)

    def _first(self, builder, panels, x):
        weights = [load_at(builder, builder.sub(base, I64(self._OWN)), _INTS) for base in panels]
        rows = [builder.add(self.scale(builder, x, I64(c)), I64(4)) for c in range(self.columns)]
        rows = [splat(builder, load_at(builder, row, I32), LANES) for row in rows]
        return [[builder.add(own, row) for row in rows] for own in weights]

    def _add(self, builder, acc, weights, pairs):
        words = ir.VectorType(I16, 2 * LANES)
        crossed = [
            builder.add(builder.bitcast(weight, words), builder.bitcast(pair, words))
            for weight, pair in zip(weights, reversed(pairs), strict=True)
        ]
        return self._multiply(builder, acc, *(builder.bitcast(both, _INTS) for both in crossed))


@functools.cache
def _operands(name: str, lanes: int) -> ir.VectorType:
    """The operand type that this LLVM takes: int32 words, or 16-bit words if it takes nothing else."""
    words = f"<{lanes} x i32>"
    try:
        llvm.parse_assembly(f"declare {words} @{name}({words}, {words}, {words})").verify()
        return ir.VectorType(I32, lanes)
    except RuntimeError:
        return ir.VectorType(I16, 2 * lanes)


class Planes:
    """High bytes and low bytes apart (q = 256 high + low), which AMX multiplies 16 rows by 64 values by 16 rows at a
    time. The four products of two bytes are added up where each belongs, in 32 bits that a chunk cannot fill. A tile
    of activations is 64 high bytes of each row, their low bytes, the next 64, …, the rows' scales."""

    columns, chunk, peak = 16, 512, 127.0 * 256 + 127
    norms = math.inf, math.inf
    panel_bytes = chunk * 2 * LANES
    tile_bytes = 2 * columns * chunk + 64
    _STEP, _PLANE = SPAN, SPAN * LANES  # values of k at a time; bytes of a tile of AMX
    _X, _W = (3, 4), (5, 6)  # tiles of activations and of weights, high and low; those before hold sums

    def arrange(self, q: np.ndarray) -> np.ndarray:
        """As of `Pairs`: each row's four neighbours side by side, of each 64 values the high bytes first."""
        fours = q.reshape(*q.shape[:3], -1, self._STEP // 4, 4).transpose(0, 2, 3, 4, 1, 5)
        low = fours.astype(np.int8)
        planes = [((fours - low) >> 8).astype(np.int8).view(np.uint8), low.view(np.uint8)]
        return np.stack(planes, axis=3).reshape(*fours.shape[:2], -1)

    def store(self, builder, tile, c, i, values):
        """As of `Pairs`."""
        at = builder.mul(builder.lshr(i, I64(6)), I64(2 * self._PLANE))
        at = builder.add(builder.add(at, builder.and_(i, I64(63))), builder.add(tile, builder.shl(c, I64(6))))
        for plane in (builder.ashr(builder.add(values, const(_INTS, 128)), const(_INTS, 8)), values):
            store_at(builder, at, builder.trunc(plane, ir.VectorType(I8, LANES)))
            at = builder.add(at, I64(self._PLANE))

    def stored(self, builder, tile, c, n):
        """As of `Pairs`."""

    def scale(self, builder, tile, c):
        """As of `Pairs`."""
        return builder.add(builder.add(tile, I64(self.tile_bytes - 64)), builder.shl(c, I64(2)))

    def turn(self, builder, tile, c, lane, n):
        """As of `Pairs`."""
        row = builder.add(tile, builder.shl(c, I64(6)))
        planes = builder.shl(builder.lshr(builder.add(n, I64(self._STEP - 1)), I64(6)), I64(1))
        with cgutils.for_range(builder, planes) as plane:
            at = builder.mul(plane.index, I64(self._PLANE))
            with cgutils.for_range(builder, I64(self._STEP // 4)) as loop:
                word = load_at(builder, builder.add(builder.add(row, at), builder.shl(loop.index, I64(2))), I32)
                store_at(builder, builder.add(builder.add(lane, at), builder.shl(loop.index, I64(6))), word)

    def four(self, builder, panel, i, values):
        """As of `Pairs`."""
        at = builder.mul(builder.lshr(i, I64(6)), I64(2 * self._PLANE))
        at = builder.add(at, builder.shl(builder.lshr(builder.and_(i, I64(63)), I64(2)), I64(6)))
        high = [builder.ashr(builder.add(value, const(_INTS, 128)), const(_INTS, 8)) for value in values]
        for plane, octets in enumerate((high, values)):
            word = const(_INTS, 0)
            for j, value in enumerate(octets):
                own = builder.and_(value, const(_INTS, 0xFF))
                word = builder.or_(word, builder.shl(own, const(_INTS, 8 * j)))
            store_at(builder, builder.add(panel, builder.add(at, I64(plane * self._PLANE))), word)

    def begin(self, builder):
        """All tiles are 16 rows of 64 bytes."""
        return Tiles.configure(builder, dict.fromkeys(range(8), (16, 64)))

    def end(self, builder, before):
        """The tiles are given back."""
        Tiles.restore(builder, before)

    def sums(self, builder, panels, x, n):
        """As of `Pairs`."""
        steps = builder.lshr(builder.add(n, I64(self._STEP - 1)), I64(6))
        size = 3 * self._PLANE  # of a panel's sums
        room = cgutils.alloca_once(builder, ir.ArrayType(I8, size * len(panels)))
        room.align = 64
        room = builder.ptrtoint(room, I64)
        for p, base in enumerate(panels):
            for tile in range(3):
                Tiles.zero(builder, tile)
            with cgutils.for_range(builder, steps) as loop:
                step = builder.mul(loop.index, I64(2 * self._PLANE))
                for tiles, start in ((self._X, x), (self._W, base)):
                    at = builder.add(start, step)
                    Tiles.load(builder, tiles[0], at, I64(64))
                    Tiles.load(builder, tiles[1], builder.add(at, I64(self._PLANE)), I64(64))
                for i, x_tile in enumerate(self._X):
                    for j, w_tile in enumerate(self._W):
                        Tiles.multiply(builder, "tdpbssd", i + j, x_tile, w_tile)
            for tile in range(3):
                Tiles.store(builder, tile, builder.add(room, I64(p * size + tile * self._PLANE)))

        def total(p, c):
            value = None
            for tile in range(3):
                at = builder.add(room, I64(p * size + tile * self._PLANE + c * 64))
                own = builder.sitofp(load_at(builder, at, _INTS), _FLOATS)
                times = const(_FLOATS, 256.0)
                value = own if value is None else call(builder, f"llvm.fma.v{LANES}f32", _FLOATS, value, times, own)
            return value

        return total


def _avx512vnni() -> Pairs:
    """Zen 4 adds on four pipes and multiplies on two of them."""
    return (Crossed if cpu.is_zen4() else Pairs)("llvm.x86.avx512.vpdpwssd.512", 16, adds=True)


_LEVELS = {
    "avx2": lambda: Pairs("llvm.x86.avx2.pmadd.wd", 8, adds=False),
    "avxvnni": lambda: Pairs("llvm.x86.avx512.vpdpwssd.256", 8, adds=True),
    "avx512vnni": _avx512vnni,
    "amx": Planes,
}
WORDS = _LEVELS.get(cpu.isa().name, lambda: None)()
