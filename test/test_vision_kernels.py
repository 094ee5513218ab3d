"""The kernels of vision towers against their formulas in numpy."""

import math
from functools import partial

import numpy as np
import pytest
from test_kernels import call, random_weights

from llm_core.gguf import GGMLType
from llm_core.kernels import activation, full_attention, full_attention16, layer_norm, rope, rows, step
from llm_core.kernels.matmul import PANEL_FORMATS, int16, many, panels, tile
from llm_core.program.graph import float_bits


def strided(n, width, rng):
    """Random rows in a buffer with rows of whole cache lines: (view, stride)."""
    stride = -(-width // 16) * 64
    room = np.full((n + 1, stride // 4), np.nan, np.float32)
    room[:n, :width] = rng.standard_normal((n, width))
    return room, room[:n, :width], stride


@pytest.mark.parametrize("kind", [GGMLType.F32, GGMLType.F16, GGMLType.BF16])
@pytest.mark.parametrize("m, n, k", [(many.MANY, 16, 20), (577, 48, 130), (many.GROUP + 1, 80, 588), (100, 33, 256)])
def test_many_rows_have_the_bits_of_one_alone(kind, m, n, k):
    rng = np.random.default_rng(m)
    layout = PANEL_FORMATS[kind]
    raw, values = random_weights(kind, n, k, rng)
    packed = np.ascontiguousarray(layout.pack(np.concatenate([raw, np.zeros((-n % 16, raw.shape[1]), np.uint8)])))
    _, x, stride = strided(m, k, rng)
    width = len(packed) * 16
    bias, residual = rng.standard_normal(width).astype(np.float32), rng.standard_normal((m, width)).astype(np.float32)

    def product(first, count, n_threads, guard=0):
        out = np.full((count + guard, width), np.inf, np.float32)
        words = {
            panels.X: x.ctypes.data + first * stride, panels.X_STRIDE: stride, panels.OUT: out.ctypes.data,
            panels.OUT_STRIDE: width * 4, panels.WEIGHT: packed.ctypes.data, panels.PANEL_BYTES: packed.shape[1],
            panels.N_PANELS: len(packed), panels.K: k, panels.BIAS: bias.ctypes.data,
            panels.RESIDUAL: residual.ctypes.data + first * width * 4, panels.ROW_COUNT: step.ROWS,
        }  # fmt: skip
        call(layout.op, words, count, n_threads)
        assert np.isinf(out[count:]).all()  # rows behind the last are left alone
        return out[:count]

    whole = product(0, m, 3, guard=2)
    expected = x.astype(np.float64) @ values.astype(np.float64).T + bias[:n] + residual[:, :n]
    np.testing.assert_allclose(whole[:, :n], expected, atol=2e-5 * math.sqrt(k) + 1e-4)
    for first in (0, m // 2, m - 1):
        np.testing.assert_array_equal(product(first, 1, 1)[0], whole[first])


def check_products_of_16_bit_integers(m, n, k):
    """They are close, and never overflow."""
    rng = np.random.default_rng(k)
    _, x, stride = strided(m, k, rng)
    weights = rng.standard_normal((n, k)).astype(np.float16).astype(np.float32)
    x[0] = 1e4 * weights[0]  # as large a sum as can be: everything has one sign
    x[m // 2] = 0
    packed = int16.pack(np.concatenate([weights, np.zeros((-n % 16, k), np.float32)]))
    assert packed.shape == (-(-n // 16), int16.panel_bytes(k))
    width, stride16 = len(packed) * 16, int16.x_stride(k)
    rows16 = np.zeros(int16.x_bytes(m, k), np.uint8)
    bias, residual = rng.standard_normal(width).astype(np.float32), rng.standard_normal((m, width)).astype(np.float32)
    out = np.full((m + 1, width), np.inf, np.float32)
    quantize = {
        panels.X: x.ctypes.data, panels.X_STRIDE: stride, panels.OUT: rows16.ctypes.data, panels.OUT_STRIDE: stride16,
        panels.K: k, panels.ROW_COUNT: step.ROWS,
    }  # fmt: skip
    multiply = {
        panels.X: rows16.ctypes.data, panels.X_STRIDE: stride16, panels.OUT: out.ctypes.data,
        panels.OUT_STRIDE: width * 4, panels.WEIGHT: packed.ctypes.data, panels.PANEL_BYTES: packed.shape[1],
        panels.N_PANELS: len(packed), panels.BIAS: bias.ctypes.data, panels.RESIDUAL: residual.ctypes.data, panels.K: k,
        panels.ROW_COUNT: step.ROWS,
    }  # fmt: skip
    call(int16.quantize_int16, quantize, m, n_threads=3)
    call(int16.matmul_int16, multiply, m, n_threads=2)
    exact = x.astype(np.float64) @ weights.astype(np.float64).T
    error = np.abs(out[:m, :n] - bias[:n] - residual[:, :n] - exact)
    # A product of two vectors is measured by their lengths.
    lengths = np.linalg.norm(x, axis=1)[:, None] * np.linalg.norm(weights, axis=1)
    assert (error <= 6e-5 * lengths + 1e-4).all() and np.isinf(out[m]).all()
    x[1, 5] = np.nan
    call(int16.quantize_int16, quantize, m)
    call(int16.matmul_int16, multiply, m)
    assert np.isnan(out[1, :n]).all() and np.isfinite(out[2:m]).all() and np.isfinite(out[0]).all()


if int16.AVAILABLE:  # x86-64 from AVX2 on

    @pytest.mark.parametrize("m, n, k", [(577, 48, 1024), (12, 16, 588), (100, 33, 128), (2, 20, 72), (30, 40, 4304)])
    def test_products_of_16_bit_integers_are_close_and_never_overflow(m, n, k):
        check_products_of_16_bit_integers(m, n, k)



def check_attention(kind, n, heads, d, inner, within):
    """Attention of a module over segments that begin at `inner`, against numpy's."""
    rng = np.random.default_rng(n)
    (_, q, stride), (_, k, _), (_, v, _) = (strided(n, heads * d, rng) for _ in range(3))
    q *= 3
    out = np.full((n + 1, stride // 4), np.inf, np.float32)
    table = full_attention.segments((0, *inner, n), kind.COLUMNS, partial(kind.packed_bytes, heads, d))
    packed = np.full(int(table[-1, 2]) * 64, 0xFF, np.uint8)
    size = kind.scratch_bytes(n)
    scratch = np.full(3 * size, 0xFF, np.uint8)
    words = {
        full_attention.Q: q.ctypes.data, full_attention.K: k.ctypes.data, full_attention.V: v.ctypes.data,
        full_attention.Q_STRIDE: stride, full_attention.K_STRIDE: stride, full_attention.V_STRIDE: stride,
        full_attention.OUT: out.ctypes.data, full_attention.OUT_STRIDE: stride, full_attention.N_HEAD: heads,
        full_attention.HEAD_DIM: d, full_attention.SCALE: float_bits(1 / math.sqrt(d)),
        full_attention.PACKED: packed.ctypes.data, full_attention.SCRATCH: scratch.ctypes.data,
        full_attention.SCRATCH_BYTES: size, full_attention.SEGMENTS: table.ctypes.data,
        full_attention.N_SEGMENTS: len(table) - 1,
    }  # fmt: skip
    for op in kind.OPS:
        call(op, words, n, n_threads=3)
    q, k, v = (x.astype(np.float64).reshape(n, heads, d) for x in (q, k, v))
    scores = np.einsum("nhd,mhd->hnm", q, k) / math.sqrt(d)
    segment = np.searchsorted(inner, np.arange(n), "right")
    scores[:, segment[:, None] != segment] = -np.inf
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    expected = np.einsum("hnm,mhd->nhd", weights / weights.sum(-1, keepdims=True), v).reshape(n, -1)
    np.testing.assert_allclose(out[:n, : heads * d], expected, atol=within)
    assert np.isinf(out[:, heads * d :]).all() and np.isinf(out[n:]).all()


@pytest.mark.parametrize(
    "n, heads, d, inner",
    [
        (577, 2, 64, ()), (5, 3, 16, ()), (128, 2, 72, ()), (130, 1, 128, ()), (33, 4, 24, ()), (1, 2, 20, ()),
        (150, 2, 40, (64, 65, 129)), (40, 3, 20, (13,)),
    ],
)  # fmt: skip
def test_full_attention_is_numpys(n, heads, d, inner):
    check_attention(full_attention, n, heads, d, inner, 2e-5)
    if int16.AVAILABLE:
        check_attention(full_attention16, n, heads, d, inner, 1.5e-3)


@pytest.mark.parametrize("width", [16, 40, 72, 1024])
@pytest.mark.parametrize("n", [1, 3, 50])
def test_layer_norm_is_numpys(n, width):
    rng = np.random.default_rng(width)
    _, x, stride = strided(n, width, rng)
    x += 3
    weight, bias = (np.zeros(-(-width // 16) * 16, np.float32) for _ in range(2))
    weight[:width], bias[:width] = rng.standard_normal(width), rng.standard_normal(width)
    residual = rng.standard_normal((n, stride // 4)).astype(np.float32)
    for has_bias in (True, False):
        out = np.zeros((n, stride // 4), np.float32)
        words = {
            layer_norm.X: x.ctypes.data, layer_norm.X_STRIDE: stride, layer_norm.OUT: out.ctypes.data,
            layer_norm.OUT_STRIDE: stride, layer_norm.WEIGHT: weight.ctypes.data, layer_norm.WIDTH: width,
            layer_norm.BIAS: bias.ctypes.data if has_bias else 0, layer_norm.EPS: float_bits(1e-5),
            layer_norm.RESIDUAL: 0 if has_bias else residual.ctypes.data, layer_norm.ROW_COUNT: step.ROWS,
        }  # fmt: skip
        call(layer_norm.layer_norm, words, n, n_threads=2)
        y = x.astype(np.float64)
        expected = (y - y.mean(1, keepdims=True)) / np.sqrt(y.var(1, keepdims=True) + 1e-5) * weight[:width]
        expected += bias[:width] if has_bias else residual[:, :width]
        np.testing.assert_allclose(out[:, :width], expected, atol=1e-4)


def test_activations_are_their_formulas():
    x = np.concatenate([np.linspace(-12, 12, 4000), [0, -0.0, 88, -88, 1e30, -1e30]]).astype(np.float32)
    x = np.resize(x, (1, 4016))
    y = x.astype(np.float64)
    erf = np.vectorize(math.erf)
    with np.errstate(over="ignore"):
        formulas = {
            "quick_gelu": y / (1 + np.exp(-1.702 * y)), "silu": y / (1 + np.exp(-y)), "relu": np.maximum(y, 0),
            "hard_sigmoid": np.clip(y + 3, 0, 6) / 6, "hard_swish": y * np.clip(y + 3, 0, 6) / 6,
            "exact_gelu": y * 0.5 * (1 + erf(y / math.sqrt(2))),
            "gelu": y * 0.5 * (1 + np.tanh(math.sqrt(2 / math.pi) * (y + 0.044715 * y**3))),
        }  # fmt: skip
    assert set(formulas) == set(activation.ACTIVATIONS)
    for name, expected in formulas.items():
        out = np.zeros_like(x)
        words = {
            activation.GATE: x.ctypes.data, activation.X_STRIDE: x.nbytes, activation.OUT: out.ctypes.data,
            activation.OUT_STRIDE: out.nbytes, activation.WIDTH: x.size, activation.ROW_COUNT: step.ROWS,
        }  # fmt: skip
        call(activation.ACTIVATIONS[name][0], words, 1, n_threads=2)
        np.testing.assert_allclose(out, expected, rtol=2e-6, atol=2e-6, err_msg=name)


def test_rows_made_of_rows():
    rng = np.random.default_rng(0)
    _, x, stride = strided(12, 32, rng)
    lists = np.array([[3, 0, 7], [11, 11, 1]], np.int32)
    for op, expected in ((rows.concat_rows, x[lists].reshape(2, -1)), (rows.mean_rows, x[lists].mean(axis=1))):
        out = np.zeros((2, expected.shape[1]), np.float32)
        words = {
            rows.X: x.ctypes.data, rows.X_STRIDE: stride, rows.OUT: out.ctypes.data, rows.OUT_STRIDE: out.strides[0],
            rows.WIDTH: 32, rows.INDEXES: lists.ctypes.data, rows.COUNT: 3, rows.ROW_COUNT: step.OUTPUTS,
        }  # fmt: skip
        call(op, words, 12, n_threads=2, extra={step.OUTPUTS: 2})
        np.testing.assert_allclose(out, expected, atol=1e-6)


def test_rows_are_filtered_and_scaled():
    rng = np.random.default_rng(1)
    for width in (32, 40):
        line = -(-width // 16) * 16
        _, x, stride = strided(9, width, rng)
        lists = np.array([[3, -1, 7], [8, 8, 1], [-1, -1, -1]], np.int32)
        weight, bias = rng.standard_normal((3, line)).astype(np.float32), rng.standard_normal(line).astype(np.float32)
        out = np.zeros((3, stride // 4), np.float32)
        residual = rng.standard_normal(out.shape).astype(np.float32)
        words = {
            rows.X: x.ctypes.data, rows.X_STRIDE: stride, rows.OUT: out.ctypes.data, rows.OUT_STRIDE: stride,
            rows.WIDTH: width, rows.INDEXES: lists.ctypes.data, rows.COUNT: 3, rows.WEIGHT: weight.ctypes.data,
            rows.BIAS: bias.ctypes.data, rows.RESIDUAL: residual.ctypes.data, rows.ROW_COUNT: step.OUTPUTS,
        }  # fmt: skip
        call(rows.filter_rows, words, 9, n_threads=2, extra={step.OUTPUTS: 3})
        taken = np.where(lists[..., None] < 0, 0, x[lists]) * weight[:, :width]
        expected = taken.sum(axis=1) + bias[:width] + residual[:, :width]
        np.testing.assert_allclose(out[:, :width], expected, atol=2e-6)
        words[rows.WEIGHT] = bias.ctypes.data
        call(rows.scale_rows, words, 9, n_threads=2, extra={step.OUTPUTS: 3})
        np.testing.assert_array_equal(out[:, :width], x[:3] * bias[:width])


def test_heads_turn_by_the_angles_of_their_row():
    rng = np.random.default_rng(2)
    _, x, stride = strided(5, 3 * 12, rng)
    angle = rng.uniform(0, 6, (5, 6))
    table = np.concatenate([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)
    turned = (x.reshape(5, 3, 2, 6)[:, :, 0] + 1j * x.reshape(5, 3, 2, 6)[:, :, 1]) * np.exp(1j * angle)[:, None]
    words = {
        rope.Q: x.ctypes.data, rope.Q_STRIDE: stride, rope.N_HEAD: 3, rope.HEAD_DIM: 12, rope.N_ROT: 12,
        rope.TABLE: table.ctypes.data,
    }  # fmt: skip
    call(rope.turn_heads, words, 5, n_threads=2)
    np.testing.assert_allclose(x.reshape(5, 3, 2, 6), np.stack([turned.real, turned.imag], axis=2), atol=1e-6)


def test_a_tile_fits_the_level():
    assert many.GROUP % tile.COLUMNS == 0 and tile.X_BYTES // 64 % 2 == 1 and tile.STRIP == tile.PANELS * 64
