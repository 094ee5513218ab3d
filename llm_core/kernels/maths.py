"""Vector functions that kernels share: exp, tanh, SiLU, the forms of GELU on float32 vectors of any width."""

import math

import numpy as np
from llvmlite import ir

from llm_core.kernels.deferred import intrinsic, types
from llm_core.kernels.jit import inline, static
from llm_core.kernels.simd import absolute, fma, less, maximum, minimum
from llm_core.kernels.vectors import I32, call, const, f32, splat

LN2_HIGH, LN2_LOW = 0.693359375, -2.12194440e-4
# exp on ±ln(2)/2, highest power first: the polynomial of degree 5 with the smallest largest relative error, 1e-7, among
# those that are 1 at 0.
_SHIFT = 1.5 * 2**23 + 127
_POLYNOMIAL = 0.00829023, 0.04189839, 0.1666764, 0.49999146, 0.99999971, 1.0


def _f(vector_type, value):
    return const(vector_type, float(np.float32(value)))


@intrinsic
def exp(_ctx, x):
    """e^x, relative error below 3e-7; 0 below -87.3, 2.4e38 above 88.3 (never infinite); NaN stays NaN."""

    def generate(_context, builder, sig, args):
        vector = sig.return_type.llvm
        suffix = f"v{vector.count}f32"
        integer = ir.VectorType(I32, vector.count)
        clamped = builder.select(builder.fcmp_ordered(">", args[0], _f(vector, 88.3)), _f(vector, 88.3), args[0])
        # n = x / ln(2) to the nearest is in the last bits of this sum, with the exponent's bias.
        shifted = call(builder, f"llvm.fma.{suffix}", vector, clamped, _f(vector, 1 / math.log(2)), _f(vector, _SHIFT))
        n = builder.fsub(shifted, _f(vector, _SHIFT))
        r = call(builder, f"llvm.fma.{suffix}", vector, n, _f(vector, -LN2_HIGH), clamped)
        r = call(builder, f"llvm.fma.{suffix}", vector, n, _f(vector, -LN2_LOW), r)
        p = _f(vector, _POLYNOMIAL[0])
        for c in _POLYNOMIAL[1:]:
            p = call(builder, f"llvm.fma.{suffix}", vector, p, r, _f(vector, c))
        power = builder.shl(builder.bitcast(shifted, integer), const(integer, 23))
        value = builder.fmul(p, builder.bitcast(power, vector))
        too_low = builder.fcmp_ordered("<", args[0], _f(vector, -87.3))
        return builder.select(too_low, const(vector, 0.0), value)

    return x(x), generate


@intrinsic
def like(_ctx, x, scalar):
    """A vector as wide as x with `scalar` in every lane."""

    def generate(context, builder, sig, args):
        return splat(builder, context.cast(builder, args[1], sig.args[1], types.float32), sig.args[0].lanes)

    return f32(x.lanes)(x, scalar), generate


@inline
def tanh(x):
    """Hyperbolic tangent: absolute error below 3e-7."""
    bounded = maximum(minimum(x, like(x, 10.0)), like(x, -10.0))
    e = exp(bounded + bounded)
    return (e - like(x, 1.0)) / (e + like(x, 1.0))


@static
def silu(x):
    """x / (1 + e^-x)"""
    return x / (exp(like(x, 0.0) - x) + like(x, 1.0))


@static
def gelu(x):
    """The tanh form of GELU, as gemma and llama.cpp use it (Hendrycks and Gimpel, 2016)."""
    inner = fma(x * x, x * like(x, 0.044715), x) * like(x, math.sqrt(2 / math.pi))
    return x * like(x, 0.5) * (tanh(inner) + like(x, 1.0))


@static
def quick_gelu(x):
    """x / (1 + e^(-1.702 x)), as CLIP has it."""
    return x / (exp(x * like(x, -1.702)) + like(x, 1.0))


@static
def exact_gelu(x):
    """x Φ(x), where Φ is the normal distribution: erf within 2e-7 (Abramowitz and Stegun, 1964, 7.1.26)."""
    half = absolute(x) * like(x, math.sqrt(0.5))
    t = like(x, 1.0) / fma(half, like(x, 0.3275911), like(x, 1.0))
    p = fma(t, like(x, 1.061405429), like(x, -1.453152027))
    p = fma(fma(fma(p, t, like(x, 1.421413741)), t, like(x, -0.284496736)), t, like(x, 0.254829592)) * t
    tail = p * exp(like(x, 0.0) - half * half) * like(x, 0.5)  # Φ of the negative side
    return less(x, like(x, 0.0), x * tail, x * (like(x, 1.0) - tail))


@static
def relu(x):
    """max(x, 0)"""
    return less(x, like(x, 0.0), like(x, 0.0), x)


@static
def hard_sigmoid(x):
    """min(max(x + 3, 0), 6) / 6 (Howard et al., 2019)"""
    return minimum(maximum(x + like(x, 3.0), like(x, 0.0)), like(x, 6.0)) * like(x, 1 / 6)


@static
def hard_swish(x):
    """x times its hard sigmoid"""
    return x * (minimum(maximum(x + like(x, 3.0), like(x, 0.0)), like(x, 6.0)) * like(x, 1 / 6))
