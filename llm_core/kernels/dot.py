"""Integer dot products and byte tables, spelled for the ISA level in use (`cpu.isa()`).

One unit of packed weights is 64 bytes: 16 rows by 4 neighbouring values of k. A dot instruction multiplies it with 4
activations of each column (int8, read as one 32-bit word and broadcast) and adds the 4 products into the row's lane.

`dot_u` takes unsigned weights and a *narrow* accumulator (`dot_start`), which AVX2 keeps in 16 bits: at most
`NARROW_BUDGET // largest weight` units may be added before `dot_end` turns it into int32 lanes. `dot_s` takes signed
weights and an int32 accumulator; where the machine only multiplies unsigned by signed bytes the weights are shifted by
`SIGNED_BIAS`, and the caller takes SIGNED_BIAS times the sum of the activations off again.
"""

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from llm_core.kernels import cpu
from llm_core.kernels.vectors import (
    I8,
    I16,
    I32,
    I64,
    LANES,
    U8X64,
    Vec,
    call,
    const,
    i32,
    join,
    load_at,
    part,
    pick,
    splat,
)

ISA = cpu.isa().name
NARROW = ISA == "avx2"
NARROW_BUDGET = (
    129  # 16-bit sums: units * 2 * 127 * weight <= 32767, so units * weight <= 129 (8 units of 4 bits = 120)
)
SIGNED_BIAS = 128 if ISA in ("avxvnni", "avx512vnni") else 0

V16I16, V8I32, V32I8 = ir.VectorType(I16, 16), ir.VectorType(I32, 8), ir.VectorType(I8, 32)


def _vnni_operands(name, lanes):
    """The operand type that this LLVM wants: bytes in newer releases, int32 words in older ones."""
    words, octets = f"<{lanes} x i32>", f"<{lanes * 4} x i8>"
    try:
        llvm.parse_assembly(f"declare {words} @{name}({words}, {octets}, {octets})").verify()
        return ir.VectorType(I8, lanes * 4)
    except RuntimeError:
        return ir.VectorType(I32, lanes)


def _dpbusd(builder, acc, weights, activations, lanes):
    name = f"llvm.x86.avx512.vpdpbusd.{lanes * 32}"
    operand = _vnni_operands(name, lanes)
    return call(builder, name, acc.type, acc, builder.bitcast(weights, operand), builder.bitcast(activations, operand))


def _unsigned_avx512(builder, acc, weights, word):
    return _dpbusd(builder, acc, weights, splat(builder, word, 16), 16)


def _unsigned_avxvnni(builder, acc, weights, word):
    spread = splat(builder, word, 8)
    return join(
        builder,
        [_dpbusd(builder, part(builder, acc, 8 * h, 8), part(builder, weights, 32 * h, 32), spread, 8) for h in (0, 1)],
    )


def _unsigned_avx2(builder, acc, weights, word):
    """16-bit sums: two products a lane, 32 lanes a column."""
    spread = builder.bitcast(splat(builder, word, 8), V32I8)
    halves = []
    for h in (0, 1):
        pairs = call(builder, "llvm.x86.avx2.pmadd.ub.sw", V16I16, part(builder, weights, 32 * h, 32), spread)
        halves.append(builder.add(part(builder, acc, 16 * h, 16), pairs))
    return join(builder, halves)


def _sdot_neon(builder, acc, weights, word):
    spread = builder.bitcast(splat(builder, word, 4), ir.VectorType(I8, 16))
    return join(
        builder,
        [
            call(
                builder,
                "llvm.aarch64.neon.sdot.v4i32.v16i8",
                ir.VectorType(I32, 4),
                part(builder, acc, 4 * q, 4),
                part(builder, weights, 16 * q, 16),
                spread,
            )
            for q in range(4)
        ],
    )


def _generic(extend):
    def dot(builder, acc, weights, word):
        wide = ir.VectorType(I32, 64)
        activations = builder.sext(builder.bitcast(splat(builder, word, 16), ir.VectorType(I8, 64)), wide)
        products = builder.mul(getattr(builder, extend)(weights, wide), activations)
        for k in range(4):
            acc = builder.add(acc, pick(builder, products, range(k, 64, 4)))
        return acc

    return dot


def _signed_vnni(unsigned):
    def dot(builder, acc, weights, word):
        return unsigned(builder, acc, builder.xor(weights, const(weights.type, 0x80)), word)

    return dot


def _signed_avx2(builder, acc, weights, word):
    """|w| times a with w's sign: the only way to keep 16-bit pairs from saturating with 8-bit weights."""
    spread = builder.bitcast(splat(builder, word, 8), V32I8)
    halves = []
    for h in (0, 1):
        w = part(builder, weights, 32 * h, 32)
        size = call(builder, "llvm.abs.v32i8", V32I8, w, ir.IntType(1)(0))
        signed = call(builder, "llvm.x86.avx2.psign.b", V32I8, spread, w)
        pairs = call(builder, "llvm.x86.avx2.pmadd.ub.sw", V16I16, size, signed)
        quads = call(builder, "llvm.x86.avx2.pmadd.wd", V8I32, pairs, const(V16I16, 1))
        halves.append(builder.add(part(builder, acc, 8 * h, 8), quads))
    return join(builder, halves)


_UNSIGNED = {
    "avx512vnni": _unsigned_avx512,
    "avxvnni": _unsigned_avxvnni,
    "avx2": _unsigned_avx2,
    "neon": _sdot_neon,
    "generic": _generic("zext"),
}[ISA]
_SIGNED = {
    "avx512vnni": _signed_vnni(_unsigned_avx512),
    "avxvnni": _signed_vnni(_unsigned_avxvnni),
    "avx2": _signed_avx2,
    "neon": _sdot_neon,
    "generic": _generic("sext"),
}[ISA]
_NARROW_LANES = 2 * LANES if NARROW else LANES  # lanes of a narrow accumulator per column


def _dot(spelling, lanes):
    @intrinsic
    def dot(_ctx, acc, weights, address, at, stride):
        def generate(_context, builder, sig, args):
            base = builder.add(args[2], args[3])
            columns = []
            for c in range(sig.args[0].lanes // lanes):
                word = load_at(builder, builder.add(base, builder.mul(args[4], I64(c))), I32)
                columns.append(spelling(builder, part(builder, args[0], c * lanes, lanes), args[1], word))
            return join(builder, columns)

        return acc(acc, U8X64, types.int64, types.int64, types.int64), generate

    return dot


dot_u = _dot(_UNSIGNED, _NARROW_LANES)
dot_s = _dot(_SIGNED, LANES)


@intrinsic
def dot_start(_ctx, columns):
    """A narrow accumulator of zeros."""
    vec = Vec(types.int16 if NARROW else types.int32, _NARROW_LANES * columns.count)
    return vec(columns), lambda _c, _b, sig, _a: const(sig.return_type.llvm, 0)


@intrinsic
def dot_end(_ctx, acc):
    """A narrow accumulator's int32 lanes, 16 per column."""
    lanes = LANES * acc.lanes // _NARROW_LANES

    def generate(_context, builder, sig, args):
        if not NARROW:
            return args[0]
        return join(
            builder,
            [
                call(builder, "llvm.x86.avx2.pmadd.wd", V8I32, part(builder, args[0], 8 * i * 2, 16), const(V16I16, 1))
                for i in range(lanes // 8)
            ],
        )

    return i32(lanes)(acc), generate


@intrinsic
def int_zeros(_ctx, columns):
    """An int32 accumulator of zeros, 16 lanes per column."""
    vec = i32(LANES * columns.count)
    return vec(columns), lambda _c, _b, sig, _a: const(sig.return_type.llvm, 0)


# --- byte tables -----------------------------------------------------------------------------------------------------


def _look_up_x86(name, lanes):
    def look_up(builder, table, indexes):
        vector = ir.VectorType(I8, lanes)
        entries = ir.Constant(vector, list(table) * (lanes // 16))
        return join(
            builder,
            [call(builder, name, vector, entries, part(builder, indexes, at, lanes)) for at in range(0, 64, lanes)],
        )

    return look_up


def _look_up_neon(builder, table, indexes):
    vector = ir.VectorType(I8, 16)
    return join(
        builder,
        [
            call(
                builder,
                "llvm.aarch64.neon.tbl1.v16i8",
                vector,
                ir.Constant(vector, list(table)),
                part(builder, indexes, at, 16),
            )
            for at in range(0, 64, 16)
        ],
    )


def _look_up_generic(builder, table, indexes):
    result = const(indexes.type, table[0])
    for i in range(1, 16):
        here = builder.icmp_unsigned("==", indexes, const(indexes.type, i))
        result = builder.select(here, const(indexes.type, table[i]), result)
    return result


_LOOK_UP = {
    "avx512vnni": _look_up_x86("llvm.x86.avx512.pshuf.b.512", 64),
    "avxvnni": _look_up_x86("llvm.x86.avx2.pshuf.b", 32),
    "avx2": _look_up_x86("llvm.x86.avx2.pshuf.b", 32),
    "neon": _look_up_neon,
    "generic": _look_up_generic,
}[ISA]


def byte_table(values):
    """An intrinsic that replaces each byte (0…15) of a unit by `values[byte]` (16 signed bytes)."""
    table = [v & 255 for v in values]

    @intrinsic
    def look_up(_ctx, indexes):
        return U8X64(U8X64), lambda _c, builder, _s, args: _LOOK_UP(builder, table, args[0])

    return look_up
