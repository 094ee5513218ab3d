"""Half-precision numbers ↔ float32, for generated code: instructions where the CPU has them (F16C, every AArch64).

Elsewhere LLVM would call a function of the C compiler's own library, which is not in a Python process: that ends it. So
there both directions are spelled with integers, and give the same bits but for a NaN's payload.
"""

import platform

from llvmlite import ir

from llm_core.kernels import cpu
from llm_core.kernels.vectors import F16, F32, I16, I32, const

NATIVE = platform.machine() in cpu.ARM or "f16c" in cpu.host_features()

_SUBNORMAL_END = 0x38800000  # 2^-14 as a float
_INFINITY = 0x7F800000


def to_floats(builder, words):
    """Halves, as int16 words <n x i16> → <n x float>, exactly."""
    n = words.type.count
    floats, ints = ir.VectorType(F32, n), ir.VectorType(I32, n)
    if NATIVE:
        return builder.fpext(builder.bitcast(words, ir.VectorType(F16, n)), floats)
    wide = builder.zext(words, ints)
    sign = builder.shl(builder.and_(wide, const(ints, 0x8000)), const(ints, 16))
    size = builder.shl(builder.and_(wide, const(ints, 0x7FFF)), const(ints, 13))
    exponent = builder.and_(size, const(ints, 0x0F800000))
    normal = builder.add(size, const(ints, 112 << 23))  # the exponents' biases are 127 and 15
    # 2^-14 (1 + m / 1024) - 2^-14: no operand is a subnormal float
    start = const(floats, 2.0**-14)
    below = builder.fsub(builder.bitcast(builder.add(size, const(ints, 113 << 23)), floats), start)
    special = builder.or_(size, const(ints, _INFINITY))
    bits = builder.select(builder.icmp_unsigned("==", exponent, const(ints, 0)), builder.bitcast(below, ints), normal)
    bits = builder.select(builder.icmp_unsigned("==", exponent, const(ints, 0x0F800000)), special, bits)
    return builder.bitcast(builder.or_(bits, sign), floats)


def to_halves(builder, floats):
    """<n x float> → halves as int16 words <n x i16>, to the nearest, ties to even."""
    n = floats.type.count
    ints, narrow = ir.VectorType(I32, n), ir.VectorType(I16, n)
    if NATIVE:
        return builder.bitcast(builder.fptrunc(floats, ir.VectorType(F16, n)), narrow)
    bits = builder.bitcast(floats, ints)
    size = builder.and_(bits, const(ints, 0x7FFFFFFF))
    odd = builder.and_(builder.lshr(size, const(ints, 13)), const(ints, 1))
    # less 112 of the exponent, plus all but half of what is cut off: a carry rounds up, to infinity at last
    rounded = builder.add(builder.add(size, const(ints, (0xFFF - (112 << 23)) & 0xFFFFFFFF)), odd)
    normal = builder.lshr(rounded, const(ints, 13))
    # at 0.5 a float's last bit is 2^-24, a half's smallest step: the addition rounds
    sum_ = builder.fadd(builder.bitcast(size, floats.type), const(floats.type, 0.5))
    below = builder.sub(builder.bitcast(sum_, ints), const(ints, 0x3F000000))
    half = builder.select(builder.icmp_unsigned("<", size, const(ints, _SUBNORMAL_END)), below, normal)
    half = builder.select(builder.icmp_unsigned(">=", size, const(ints, 0x47800000)), const(ints, 0x7C00), half)
    half = builder.select(builder.icmp_unsigned(">", size, const(ints, _INFINITY)), const(ints, 0x7E00), half)
    sign = builder.and_(builder.lshr(bits, const(ints, 16)), const(ints, 0x8000))
    return builder.trunc(builder.or_(half, sign), narrow)
