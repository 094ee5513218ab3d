"""How 16-bit integers lie in memory and are multiplied, at each ISA level that can: `WORDS` is the one in use (None:
there is none, and products stay in floats).

A chunk is CHUNK values of k: of a packed panel 16 rows side by side, of activations a row of X_BYTES: its values, then
its float scale. Sums are whole numbers, below 2^31 (see `int16.py`), so every level finds the same ones.
"""

import functools

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir

from llm_core.kernels import cpu
from llm_core.kernels.deferred import cgutils
from llm_core.kernels.dot import Tiles
from llm_core.kernels.matmul.tile import COLUMNS
from llm_core.kernels.vectors import I8, I16, I32, I64, LANES, call, const, join, load_at, part, splat, store_at

CHUNK = 128
WEIGHT_BYTES = CHUNK * LANES * 2  # of a panel's chunk
X_BYTES = CHUNK * 2 + 64  # an odd number of cache lines, so that rows do not meet in the same sets

_INTS = ir.VectorType(I32, LANES)


class Pairs:
    """Two values of k at a time, which an instruction multiplies and adds into 32 bits."""

    columns = COLUMNS

    def __init__(self, instruction: str, lanes: int, adds: bool):
        """instruction: its name in LLVM; lanes: how many sums it makes; adds: to those before?"""
        self._name, self._lanes, self._adds = instruction, lanes, adds

    def arrange(self, q: np.ndarray) -> np.ndarray:
        """int16 [panels, 16, chunks, CHUNK] → uint8 [panels, chunks, WEIGHT_BYTES]: each row's pair side by side."""
        pairs = q.reshape(*q.shape[:3], CHUNK // 2, 2).transpose(0, 2, 3, 1, 4)
        return np.ascontiguousarray(pairs).reshape(*pairs.shape[:2], -1).view(np.uint8)

    def store(self, builder, row, i, values):
        """Activations i … i + 15 of a chunk, int32 in the range of int16."""
        store_at(builder, builder.add(row, builder.shl(i, I64(1))), builder.trunc(values, ir.VectorType(I16, LANES)))

    def begin(self, builder):
        """Before the first `sums` of a product."""

    def end(self, builder):
        """After the last one."""

    def sums(self, builder, panels, x):
        """`sum(p, c)`, 16 int32: of the chunks of weights at `panels` times those of rows at x, COLUMNS of them."""
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
            word = load_at(builder, builder.add(row, I64(c * X_BYTES)), I32)
            for p, own in enumerate(weights):
                done[p].append(self._add(builder, sums[p][c], own, word))
        following = builder.add(i, I64(1))
        i.add_incoming(following, loop)
        for of_panel, new in zip(sums, done, strict=True):
            for one, value in zip(of_panel, new, strict=True):
                one.add_incoming(const(_INTS, 0), before)
                one.add_incoming(value, loop)
        builder.cbranch(builder.icmp_signed("<", following, I64(CHUNK // 2)), loop, after)
        builder.position_at_end(after)
        return lambda p, c: done[p][c]

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
    """High bytes and low bytes apart, which AMX multiplies 16 rows by 64 values by 16 rows at a time: the four
    products of two bytes are added up where each belongs. High bytes are signed, low ones unsigned."""

    columns = 16
    _HALF = CHUNK * LANES  # bytes of a panel's high ones
    _X, _W = 6, 7  # tiles of activations and of weights; those before hold sums, three for each panel
    _SUMS = (("tdpbssd", 0), ("tdpbsud", 1)), (("tdpbusd", 1), ("tdpbuud", 2))  # for x high, low: w high, low

    def arrange(self, q: np.ndarray) -> np.ndarray:
        """As of `Pairs`: each row's four neighbours side by side, high bytes of the chunk first."""
        fours = q.reshape(*q.shape[:3], CHUNK // 4, 4).transpose(0, 2, 3, 1, 4)
        planes = [(fours >> 8).astype(np.int8).view(np.uint8), (fours & 255).astype(np.uint8)]
        return np.concatenate([plane.reshape(*fours.shape[:2], -1) for plane in planes], axis=2)

    def store(self, builder, row, i, values):
        """As of `Pairs`."""
        at, eight = builder.add(row, i), const(_INTS, 8)
        for plane in (builder.ashr(values, eight), values):
            store_at(builder, at, builder.trunc(plane, ir.VectorType(I8, LANES)))
            at = builder.add(at, I64(CHUNK))

    def begin(self, builder):
        """All tiles are 16 rows of 64 bytes."""
        Tiles.configure(builder, dict.fromkeys(range(8), (16, 64)))

    def end(self, builder):
        """The tiles are given back."""
        Tiles.release(builder)

    def sums(self, builder, panels, x):
        """As of `Pairs`."""
        for tile in range(3 * len(panels)):
            Tiles.zero(builder, tile)
        for k in range(0, CHUNK, 64):
            for plane, products in enumerate(self._SUMS):
                Tiles.load(builder, self._X, builder.add(x, I64(plane * CHUNK + k)), I64(X_BYTES))
                for p, base in enumerate(panels):
                    for half, (product, to) in enumerate(products):
                        Tiles.load(builder, self._W, builder.add(base, I64(half * self._HALF + k * LANES)), I64(64))
                        Tiles.multiply(builder, product, 3 * p + to, self._X, self._W)
        room = cgutils.alloca_once(builder, ir.ArrayType(_INTS, 3 * self.columns * len(panels)))
        room.align = 64
        room = builder.ptrtoint(room, I64)
        for tile in range(3 * len(panels)):
            Tiles.store(builder, tile, builder.add(room, I64(tile * self.columns * 64)))

        def total(p, c):
            high, middle, low = (
                load_at(builder, builder.add(room, I64(((3 * p + t) * self.columns + c) * 64)), _INTS) for t in range(3)
            )
            eight = const(_INTS, 8)
            return builder.add(builder.shl(builder.add(builder.shl(high, eight), middle), eight), low)

        return total


_LEVELS = {
    "avx2": lambda: Pairs("llvm.x86.avx2.pmadd.wd", 8, adds=False),
    "avxvnni": lambda: Pairs("llvm.x86.avx512.vpdpwssd.256", 8, adds=True),
    "avx512vnni": lambda: Pairs("llvm.x86.avx512.vpdpwssd.512", 16, adds=True),
    "amx": Planes,
}
WORDS = _LEVELS.get(cpu.isa().name, lambda: None)()
