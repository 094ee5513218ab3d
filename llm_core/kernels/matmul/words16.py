"""How 16-bit integers lie in memory and are multiplied, at each ISA level that can: `WORDS` is the one in use (None:
there is none, and products stay in floats).

A chunk is `chunk` values of k: of a packed panel 16 rows side by side, of activations a tile of `columns` rows in
`tile_bytes`, with their float scales. Values stay within `peak`, and chunks of weights and of activations within
`norms` (Euclidean) where all is summed up in 32 bits: by Cauchy and Schwarz no sum of products exceeds their product.
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

_INTS, _FLOATS = ir.VectorType(I32, LANES), ir.VectorType(F32, LANES)


class Pairs:
    """Two values of k at a time, which an instruction multiplies and adds into 32 bits. A tile is a row after another:
    its values, then its scale."""

    columns, chunk, peak = COLUMNS, 128, 32767.0
    norms = 32700.0, 65400.0  # of a chunk of weights, of activations
    _ROW = chunk * 2 + 64  # an odd number of cache lines, so that rows do not meet in the same sets
    tile_bytes = columns * _ROW

    def __init__(self, instruction: str, lanes: int, adds: bool):
        """instruction: its name in LLVM; lanes: how many sums it makes; adds: to those before?"""
        self._name, self._lanes, self._adds = instruction, lanes, adds

    def arrange(self, q: np.ndarray) -> np.ndarray:
        """int16 [panels, 16, chunks, chunk] → uint8 [panels, chunks, 32 * chunk]: each row's pair side by side."""
        pairs = q.reshape(*q.shape[:3], self.chunk // 2, 2).transpose(0, 2, 3, 1, 4)
        return np.ascontiguousarray(pairs).reshape(*pairs.shape[:2], -1).view(np.uint8)

    def store(self, builder, tile, c, i, values):
        """Activations i … i + 15 of row c of a tile, int32 in the range of int16."""
        at = builder.add(builder.add(tile, builder.mul(c, I64(self._ROW))), builder.shl(i, I64(1)))
        store_at(builder, at, builder.trunc(values, ir.VectorType(I16, LANES)))

    def scale(self, builder, tile, c):
        """Where the scale of row c of a tile is."""
        return builder.add(builder.add(tile, builder.mul(c, I64(self._ROW))), I64(self.chunk * 2))

    def begin(self, builder):
        """Before the first `sums` of a product; as of `Dots`."""
        return I64(0)

    def end(self, builder, before):
        """After the last one."""

    def sums(self, builder, panels, x, n):
        """`sum(p, c)`, 16 floats: of n values of the chunks of weights at `panels` times row c of the tile at x."""
        before = builder.block
        loop, after = builder.append_basic_block("pairs"), builder.append_basic_block("pairs.end")
        builder.branch(loop)
        builder.position_at_end(loop)
        i = builder.phi(I64)
        i.add_incoming(I64(0), before)
        sums = [[builder.phi(_INTS) for _ in range(self.columns)] for _ in panels]
        at = builder.shl(i, I64(6))
        weights = [load_at(builder, builder.add(base, at), _INTS) for base in panels]
        row = builder.add(x, builder.shl(i, I64(2)))
        done = [[] for _ in panels]
        for c in range(self.columns):
            word = load_at(builder, builder.add(row, I64(c * self._ROW)), I32)
            for p, own in enumerate(weights):
                done[p].append(self._add(builder, sums[p][c], own, word))
        following = builder.add(i, I64(1))
        i.add_incoming(following, loop)
        for of_panel, new in zip(sums, done, strict=True):
            for one, value in zip(of_panel, new, strict=True):
                one.add_incoming(const(_INTS, 0), before)
                one.add_incoming(value, loop)
        builder.cbranch(builder.icmp_signed("<", builder.shl(following, I64(1)), n), loop, after)
        builder.position_at_end(after)
        return lambda p, c: builder.sitofp(done[p][c], _FLOATS)

    def _add(self, builder, acc, weights, word):
        """16 sums + 16 rows' pairs of weights times a pair of activations (both pairs as int32 words)."""
        n = self._lanes
        operand = _operands(self._name, n) if self._adds else ir.VectorType(I16, 2 * n)
        pair, sums = builder.bitcast(splat(builder, word, n), operand), []
        for at in range(0, LANES, n):
            here, own = part(builder, acc, at, n), builder.bitcast(part(builder, weights, at, n), operand)
            if self._adds:
                sums.append(call(builder, self._name, here.type, here, own, pair))
            else:
                sums.append(builder.add(here, call(builder, self._name, here.type, own, pair)))
        return join(builder, sums)


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
    tile_bytes = 2 * columns * chunk + 64
    _STEP, _PLANE = 64, 64 * LANES  # values of k at a time; bytes of a tile of AMX
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

    def scale(self, builder, tile, c):
        """As of `Pairs`."""
        return builder.add(builder.add(tile, I64(self.tile_bytes - 64)), builder.shl(c, I64(2)))

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


_LEVELS = {
    "avx2": lambda: Pairs("llvm.x86.avx2.pmadd.wd", 8, adds=False),
    "avxvnni": lambda: Pairs("llvm.x86.avx512.vpdpwssd.256", 8, adds=True),
    "avx512vnni": lambda: Pairs("llvm.x86.avx512.vpdpwssd.512", 16, adds=True),
    "amx": Planes,
}
WORDS = _LEVELS.get(cpu.isa().name, lambda: None)()
