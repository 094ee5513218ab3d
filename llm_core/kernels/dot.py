"""Integer dot products and byte tables, spelled for the ISA level in use (`cpu.isa()`), for generated code (`matmul/`).

One unit of packed weights is 64 bytes: 16 rows by 4 neighbouring values of k. A dot instruction multiplies it with 4
activations of a column (int8, read as one 32-bit word and broadcast) and adds the 4 products into the row's lane.

`add_unsigned` takes unsigned weights and a *narrow* accumulator (`narrow_zero`), which AVX2 keeps in 16 bits: at most
`NARROW_BUDGET // largest weight` units may be added before `widen` turns it into int32 lanes. `add_signed` takes signed
weights and int32 lanes; where the machine only multiplies unsigned by signed bytes the weights are shifted by
`SIGNED_BIAS`, and the caller takes SIGNED_BIAS times the sum of the activations off again.
"""

import llvmlite.binding as llvm
from llvmlite import ir

from llm_core.kernels import cpu
from llm_core.kernels.vectors import (
    I8,
    I16,
    I32,
    LANES,
    call,
    const,
    join,
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


def narrow_zero():
    """A column's narrow accumulator of zeros, as an LLVM constant."""
    return const(ir.VectorType(I16 if NARROW else I32, _NARROW_LANES), 0)


def add_unsigned(builder, acc, unit, word):
    """A column's narrow accumulator + a unit of unsigned bytes · 4 activations (one int32 word)."""
    return _UNSIGNED(builder, acc, unit, word)


def add_signed(builder, acc, unit, word):
    """A column's 16 int32 lanes + a unit of signed bytes · 4 activations (plus SIGNED_BIAS times their sum)."""
    return _SIGNED(builder, acc, unit, word)


def settle(builder, acc):
    """The same accumulator, computed here: nothing of it is put off or done in another order. Left to itself, LLVM
    runs through half of the lanes first and spills the activations that the other half needs."""
    if not NARROW:
        return acc
    lanes = 256 // acc.type.element.width
    same = ir.FunctionType(ir.VectorType(acc.type.element, lanes), [ir.VectorType(acc.type.element, lanes)])
    halves = [part(builder, acc, lanes * h, lanes) for h in (0, 1)]
    return join(builder, [builder.asm(same, "", "=x,0", [half], side_effect=True) for half in halves])


def widen(builder, acc):
    """A column's narrow accumulator as 16 int32 lanes."""
    if not NARROW:
        return acc
    ones = const(V16I16, 1)
    halves = [
        call(builder, "llvm.x86.avx2.pmadd.wd", V8I32, part(builder, acc, 16 * h, 16), ones) for h in (0, 1)
    ]
    return join(builder, halves)


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


def look_up(builder, table, indexes):
    """A unit's bytes (0…15) replaced by the 16 bytes of `table`."""
    return _LOOK_UP(builder, table, indexes)
