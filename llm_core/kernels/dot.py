"""Integer dot products and byte tables for generated code (`matmul/`): one class per ISA level, `DOT` the one in use.

One unit of packed weights is 64 bytes: 16 rows by 4 neighbouring values of k. A dot instruction multiplies it with 4
activations of a column (int8, read as one 32-bit word and broadcast) and adds the 4 products into the row's lane.

A level says how the units of a sub-block (16 or 32 values) are multiplied with a few columns while they are unpacked
in registers (`dots`), in which order they are kept once they are expanded for many columns (`arrange`), and how they
are multiplied from there (`tile_dots`; in wide tiles, where a level has them, `start`, between `begin` and `end`: see
`matmul/wide.py`). Sums are whole numbers, so every way gives the same ones; but where the machine only multiplies
unsigned by signed bytes, signed weights are shifted by `signed_bias`, and the caller takes that many times the sum of
the activations off again.
"""

from collections.abc import Iterable

import llvmlite.binding as llvm
from llvmlite import ir

from llm_core.kernels import cpu
from llm_core.kernels.deferred import cgutils
from llm_core.kernels.vectors import F32, I8, I16, I32, I64, LANES, call, const, join, load_at, part, pick, splat

V64I8, V32I8, V16I8 = (ir.VectorType(I8, n) for n in (64, 32, 16))
V16I32, V8I32, V4I32 = (ir.VectorType(I32, n) for n in (16, 8, 4))
V32I16, V16I16 = (ir.VectorType(I16, n) for n in (32, 16))
_VOID = ir.VoidType()


def _at(builder, address, offset, vector):
    return load_at(builder, builder.add(address, I64(offset)), vector)


class Dots:
    """What the levels share: sums of 32 bits, units in their own order."""

    signed_bias = 0

    def dots(self, builder, peak, count, unit, word, n_columns) -> list:
        """16 int32 lanes per column: `count` units (`unit(u)`; bytes 0…peak, or signed bytes if peak is 0) times
        activations (`word(c, u)`, int32)."""
        add, hold = self._add_unsigned if peak else self._add_signed, self._hold(n_columns)
        sums = [const(V16I32, 0)] * n_columns
        for u in range(count):
            weights = unit(u)
            sums = [hold(builder, add(builder, sums[c], weights, word(c, u))) for c in range(n_columns)]
        return sums

    def arrange(self, builder, peak, units: Iterable) -> Iterable:
        """The units of a sub-block as the 64-byte vectors that `tile_dots` reads, in its order."""
        return units

    def tile_dots(self, builder, peak, count, panels, rows) -> list[list]:
        """For each panel 16 int32 lanes per column: the arranged sub-block at each address of `panels` times the
        activations at each address of `rows`."""
        return [
            self.dots(
                builder,
                peak,
                count,
                lambda u, units=units: _at(builder, units, 64 * u, V64I8),
                lambda c, u: _at(builder, rows[c], 4 * u, I32),
                len(rows),
            )
            for units in panels
        ]

    def start(self, builder, number, count, units, row, stride, to):
        """Multiply the arranged sub-block at `units` with a wide tile's rows of activations, one every `stride` bytes:
        16 int32 lanes a column, at `to`. Neighbours have different numbers."""
        raise NotImplementedError

    def gather(self, builder, address, stride):
        """A wide tile's floats, one every `stride` bytes."""
        raise NotImplementedError

    def begin(self, builder, width):
        """Sets up what wide tiles of sub-blocks of `width` values need, once for a whole product. Returns the address
        of what was there before."""
        return I64(0)

    def end(self, builder, before) -> None:
        """Gives it back."""

    def look_up(self, builder, table, indexes):
        """A unit's bytes (0…15) replaced by the 16 bytes of `table`."""
        raise NotImplementedError

    def _add_unsigned(self, builder, acc, unit, word):
        """A column's lanes + a unit of unsigned bytes · 4 activations."""
        raise NotImplementedError

    def _add_signed(self, builder, acc, unit, word):
        """A column's lanes + a unit of signed bytes · 4 activations (plus signed_bias times their sum)."""
        raise NotImplementedError

    def _hold(self, n_columns):
        """What is done to a sum after each addition."""
        return lambda _builder, acc: acc


class Generic(Dots):
    """Plain LLVM vectors: 16-bit products, two of them added in each of 32 *narrow* lanes a column, which hold a few
    units (8 of 4-bit weights) before `_widen` turns them into 16 int32 lanes."""

    _BUDGET = 129  # units * 2 * 127 * peak <= 32767, so units * peak <= 129

    def dots(self, builder, peak, count, unit, word, n_columns):
        columns, hold = range(n_columns), self._hold(n_columns)
        sums = [const(V16I32, 0)] * n_columns
        most = min(count, self._BUDGET // (peak or 128))
        for first in range(0, count, most):
            last = min(first + most, count)
            narrow = [const(V32I16, 0)] * n_columns
            if most > 2:
                for u in range(first, last):
                    weights = unit(u)
                    narrow = [
                        hold(builder, self._add_narrow(builder, narrow[c], weights, word(c, u), not peak))
                        for c in columns
                    ]
                sums = [builder.add(sums[c], self._widen(builder, narrow[c])) for c in columns]
            else:  # column by column, so that only one narrow accumulator is alive
                weights = [unit(u) for u in range(first, last)]
                for c in columns:
                    for u, w in enumerate(weights, first):
                        narrow[c] = self._add_narrow(builder, narrow[c], w, word(c, u), not peak)
                    sums[c] = hold(builder, builder.add(sums[c], self._widen(builder, narrow[c])))
        return sums

    def look_up(self, builder, table, indexes):
        left = [const(indexes.type, entry) for entry in table]
        for bit in (1, 2, 4, 8):
            here = builder.icmp_unsigned("!=", builder.and_(indexes, const(indexes.type, bit)), const(indexes.type, 0))
            left = [builder.select(here, one, zero) for zero, one in zip(left[::2], left[1::2], strict=True)]
        return left[0]

    def _add_narrow(self, builder, acc, unit, word, signed):
        weights = self._bytes_of_words(builder, builder.bitcast(unit, V32I16), signed)
        activations = self._bytes_of_words(builder, builder.bitcast(splat(builder, word, 16), V32I16), True)
        for w, a in zip(weights, activations, strict=True):
            acc = builder.add(acc, builder.mul(w, a))
        return acc

    @staticmethod
    def _bytes_of_words(builder, words, signed):
        """The lower and the upper byte of each 16-bit word."""
        eight, shift = const(words.type, 8), builder.ashr if signed else builder.lshr
        return shift(builder.shl(words, eight), eight), shift(words, eight)

    def _widen(self, builder, acc):
        """A narrow accumulator as 16 int32 lanes."""
        pairs, half = builder.bitcast(acc, V16I32), const(V16I32, 16)
        return builder.add(builder.ashr(builder.shl(pairs, half), half), builder.ashr(pairs, half))


def _look_up_registers(builder, name, lanes, table, indexes):
    """`look_up` by an instruction `name` that takes `lanes` bytes."""
    vector = ir.VectorType(I8, lanes)
    entries = ir.Constant(vector, list(table) * (lanes // 16))
    return join(
        builder, [call(builder, name, vector, entries, part(builder, indexes, at, lanes)) for at in range(0, 64, lanes)]
    )


def _settle(bits):
    """What computes a sum here, in registers of `bits`: nothing of it is put off or done in another order. Left to
    itself, LLVM may run through half of the lanes or one column first, in long chains, and spill what others need."""

    def settle(builder, acc):
        n = bits // acc.type.element.width
        same = ir.FunctionType(ir.VectorType(acc.type.element, n), [ir.VectorType(acc.type.element, n)])
        parts = [part(builder, acc, at, n) for at in range(0, acc.type.count, n)]
        return join(builder, [builder.asm(same, "", "=v,0", [one], side_effect=True) for one in parts])

    return settle


class Avx2(Generic):
    """`vpmaddubsw`: both products of a narrow lane and their sum at once, where weights are unsigned."""

    def dots(self, builder, peak, count, unit, word, n_columns):
        way = Generic if peak else Dots
        return way.dots(self, builder, peak, count, unit, word, n_columns)

    def look_up(self, builder, table, indexes):
        return _look_up_registers(builder, "llvm.x86.avx2.pshuf.b", 32, table, indexes)

    def _add_narrow(self, builder, acc, unit, word, signed):
        spread = builder.bitcast(splat(builder, word, 8), V32I8)
        halves = []
        for h in (0, 1):
            pairs = call(builder, "llvm.x86.avx2.pmadd.ub.sw", V16I16, part(builder, unit, 32 * h, 32), spread)
            halves.append(builder.add(part(builder, acc, 16 * h, 16), pairs))
        return join(builder, halves)

    def _add_signed(self, builder, acc, unit, word):
        """|w| times a with w's sign: the only way to keep 16-bit pairs from saturating with 8-bit weights."""
        spread = builder.bitcast(splat(builder, word, 8), V32I8)
        halves = []
        for h in (0, 1):
            w = part(builder, unit, 32 * h, 32)
            size = call(builder, "llvm.abs.v32i8", V32I8, w, ir.IntType(1)(0))
            signed = call(builder, "llvm.x86.avx2.psign.b", V32I8, spread, w)
            pairs = call(builder, "llvm.x86.avx2.pmadd.ub.sw", V16I16, size, signed)
            quads = call(builder, "llvm.x86.avx2.pmadd.wd", V8I32, pairs, const(V16I16, 1))
            halves.append(builder.add(part(builder, acc, 8 * h, 8), quads))
        return join(builder, halves)

    def _hold(self, n_columns):
        return _settle(256) if n_columns > 1 else super()._hold(n_columns)

    def _widen(self, builder, acc):
        ones = const(V16I16, 1)
        halves = [call(builder, "llvm.x86.avx2.pmadd.wd", V8I32, part(builder, acc, 16 * h, 16), ones) for h in (0, 1)]
        return join(builder, halves)


def _vnni_operands(name, lanes):
    """The operand type that this LLVM wants: bytes in newer releases, int32 words in older ones."""
    words, octets = f"<{lanes} x i32>", f"<{lanes * 4} x i8>"
    try:
        llvm.parse_assembly(f"declare {words} @{name}({words}, {octets}, {octets})").verify()
        return ir.VectorType(I8, lanes * 4)
    except RuntimeError:
        return ir.VectorType(I32, lanes)


class Vnni(Dots):
    """`vpdpbusd`: unsigned times signed bytes, `lanes` int32 sums an instruction (16: AVX-512, 8: AVX-VNNI)."""

    signed_bias = 128

    def __init__(self, lanes, look_up):
        self._lanes, self._look_up = lanes, look_up
        self._name = f"llvm.x86.avx512.vpdpbusd.{lanes * 32}"
        self._operand = _vnni_operands(self._name, lanes)

    def look_up(self, builder, table, indexes):
        return _look_up_registers(builder, self._look_up, 4 * self._lanes, table, indexes)

    def _hold(self, n_columns):
        return _settle(32 * self._lanes) if n_columns > 1 else super()._hold(n_columns)

    def _add_unsigned(self, builder, acc, unit, word):
        return self._add_spread(builder, acc, unit, splat(builder, word, self._lanes))

    def _add_spread(self, builder, acc, unit, spread):
        n, sums = self._lanes, []
        spread = builder.bitcast(spread, self._operand)
        for at in range(0, LANES, n):
            weights = builder.bitcast(part(builder, unit, 4 * at, 4 * n), self._operand)
            here = part(builder, acc, at, n)
            sums.append(call(builder, self._name, here.type, here, weights, spread))
        return join(builder, sums)

    def arrange(self, builder, peak, units):
        return units if peak else (self._raised(builder, unit) for unit in units)

    def tile_dots(self, builder, peak, count, panels, rows):
        """All panels at once: a broadcast word serves each of them. (Signed bytes were raised by `arrange`.)"""
        hold = self._hold(len(rows) * len(panels))
        sums = [[const(V16I32, 0)] * len(rows) for _ in panels]
        for u in range(count):
            units = [_at(builder, address, 64 * u, V64I8) for address in panels]
            for c, row in enumerate(rows):
                spread = self._spread(builder, _at(builder, row, 4 * u, I32), len(panels))
                for of_panel, unit in zip(sums, units, strict=True):
                    of_panel[c] = hold(builder, self._add_spread(builder, of_panel[c], unit, spread))
        return sums

    def _spread(self, builder, word, times):
        """A word in all lanes; in a register if it is used several times, else LLVM makes it an operand of each."""
        spread = splat(builder, word, self._lanes)
        return _settle(32 * self._lanes)(builder, spread) if times > 1 else spread

    def _add_signed(self, builder, acc, unit, word):
        return self._add_unsigned(builder, acc, self._raised(builder, unit), word)

    def _raised(self, builder, unit):
        return builder.xor(unit, const(unit.type, self.signed_bias))


class Tiles:
    """AMX's eight tiles, by number: up to 16 rows of up to 64 bytes each."""

    @staticmethod
    def configure(builder, shape: dict[int, tuple[int, int]]):
        """shape: tile → (rows, bytes of each). Palette 1: bytes of a row (16 bits each, from byte 16 on) and rows (from
        byte 48 on). Returns the address of what was configured before, perhaps by somebody else's code on this thread,
        who believes that it still is: for `restore`."""
        palette = bytearray(64)
        palette[0] = 1
        for tile, (rows, n_bytes) in shape.items():
            palette[16 + 2 * tile], palette[48 + tile] = n_bytes, rows
        before, place = cgutils.alloca_once(builder, V64I8), cgutils.alloca_once(builder, V64I8)
        call(builder, "llvm.x86.sttilecfg", _VOID, builder.bitcast(before, I8.as_pointer()))
        builder.store(ir.Constant(V64I8, list(palette)), place)
        call(builder, "llvm.x86.ldtilecfg", _VOID, builder.bitcast(place, I8.as_pointer()))
        return builder.ptrtoint(before, I64)

    @staticmethod
    def restore(builder, before):
        """The tiles are what they were: as a rule not in use."""
        call(builder, "llvm.x86.ldtilecfg", _VOID, builder.inttoptr(before, I8.as_pointer()))

    @staticmethod
    def zero(builder, tile: int):
        """Zeros in all of a tile."""
        call(builder, "llvm.x86.tilezero", _VOID, I8(tile))

    @staticmethod
    def load(builder, tile: int, address, stride):
        """A tile from memory, a row every `stride` bytes."""
        call(builder, "llvm.x86.tileloadd64", _VOID, I8(tile), builder.inttoptr(address, I8.as_pointer()), stride)

    @staticmethod
    def store(builder, tile: int, address):
        """A tile of 64-byte rows to memory, one after another."""
        place = builder.inttoptr(address, I8.as_pointer())
        call(builder, "llvm.x86.tilestored64", _VOID, I8(tile), place, I64(64))

    @staticmethod
    def multiply(builder, instruction: str, sums: int, activations: int, weights: int):
        """sums (rows by lanes) += activations (rows by bytes) times weights (fours of bytes by lanes)."""
        call(builder, f"llvm.x86.{instruction}", _VOID, I8(sums), I8(activations), I8(weights))


class Amx(Vnni):
    """`tdpbsud`, for 16 columns at once: a tile of 16 columns by 16 or 32 activations (rows of the activations as they
    are) times one of as many weights by 16 rows (the units as they are) gives 16 columns of 16 sums, the same as
    `vpdpbusd`'s, which serves fewer columns. Tiles: two of sums, of activations and of weights each."""

    def __init__(self):
        super().__init__(16, "llvm.x86.avx512.pshuf.b.512")

    def begin(self, builder, width):
        sums, activations, weights = (16, 64), (16, width), (width // 4, 64)
        return Tiles.configure(builder, dict(enumerate((sums, sums, activations, activations, weights, weights))))

    def end(self, builder, before):
        Tiles.restore(builder, before)

    def start(self, builder, number, count, units, row, stride, to):
        # Activations are signed, weights unsigned: `arrange` has raised signed ones.
        sums, activations, weights = (number % 2 + first for first in (0, 2, 4))
        Tiles.load(builder, activations, row, stride)
        Tiles.load(builder, weights, units, I64(64))
        Tiles.zero(builder, sums)
        Tiles.multiply(builder, "tdpbsud", sums, activations, weights)
        Tiles.store(builder, sums, to)

    def gather(self, builder, address, stride):
        name = "llvm.x86.avx512.gather.dps.512"
        steps = builder.mul(splat(builder, builder.trunc(stride, I32), 16), ir.Constant(V16I32, list(range(16))))
        pointer = builder.inttoptr(address, I8.as_pointer())
        nothing = const(ir.VectorType(F32, 16), 0.0)
        return call(builder, name, nothing.type, nothing, pointer, steps, ir.IntType(16)(-1), I32(1))


class Neon(Dots):
    """`sdot`: signed bytes (no unsigned weight exceeds 127), 4 int32 sums an instruction."""

    def look_up(self, builder, table, indexes):
        return _look_up_registers(builder, "llvm.aarch64.neon.tbl1.v16i8", 16, table, indexes)

    def _add_signed(self, builder, acc, unit, word):
        spread = builder.bitcast(splat(builder, word, 4), V16I8)
        name, sums = "llvm.aarch64.neon.sdot.v4i32.v16i8", []
        for q in range(4):
            here, weights = part(builder, acc, 4 * q, 4), part(builder, unit, 16 * q, 16)
            sums.append(call(builder, name, V4I32, here, weights, spread))
        return join(builder, sums)

    _add_unsigned = _add_signed


class NeonI8mm(Neon):
    """`smmla` for many columns: 2 rows of weights times 2 columns, 8 values each, twice the products of `sdot`. An
    expanded sub-block is pairs of units, each kept as 8 times 2 rows by 8 values; activations stay as they are."""

    def arrange(self, builder, peak, units):
        units = iter(units)
        for first in units:
            words = [builder.bitcast(unit, V16I32) for unit in (first, next(units))]
            for half in (0, 8):  # 8 rows: their words of the first unit and of the second one by turns
                order = [at for row in range(half, half + 8) for at in (row, LANES + row)]
                mask = ir.Constant(V16I32, order)
                yield builder.bitcast(builder.shuffle_vector(*words, mask), V64I8)

    def tile_dots(self, builder, peak, count, panels, rows):
        return [self._tile_dots(builder, count, units, rows) for units in panels]

    def _tile_dots(self, builder, count, units, rows):
        pairs = range(0, len(rows), 2)
        sums = {c: [const(V4I32, 0)] * 8 for c in pairs}
        for at in range(0, 4 * count, 8):
            two = {c: self._columns(builder, rows[c], rows[c + 1], at) for c in pairs}
            for i in range(8):
                weights = load_at(builder, builder.add(units, I64(at * LANES + 16 * i)), V16I8)
                for c in pairs:
                    sums[c][i] = call(
                        builder, "llvm.aarch64.neon.smmla.v4i32.v16i8", V4I32, sums[c][i], weights, two[c]
                    )
        # of each sum, lanes 0 and 2 are the first column's, 1 and 3 the second's
        joined = [join(builder, sums[c]) for c in pairs]
        return [pick(builder, both, range(odd, 2 * LANES, 2)) for both in joined for odd in (0, 1)]

    @staticmethod
    def _columns(builder, first, second, at):
        """8 activations of one column and of the next, from their values `at` on."""
        both = ir.Constant(ir.VectorType(I64, 2), ir.Undefined)
        for i, address in enumerate((first, second)):
            eight = load_at(builder, builder.add(address, I64(at)), I64)
            both = builder.insert_element(both, eight, I32(i))
        return builder.bitcast(both, V16I8)


LEVELS = {
    "generic": Generic,
    "avx2": Avx2,
    "avxvnni": lambda: Vnni(8, "llvm.x86.avx2.pshuf.b"),
    "avx512vnni": lambda: Vnni(16, "llvm.x86.avx512.pshuf.b.512"),
    "amx": Amx,
    "neon": Neon,
    "neon_i8mm": NeonI8mm,
}
DOT = LEVELS[cpu.isa().name]()
