"""Every kernel against its formula in numpy: products of all formats, quantization, norms, gates, functions, threads.

The ISA level under test is the machine's best, or LLM_CORE_ISA; `test_isa.py` compares the levels with one another.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from kernel_helpers import call, multiply, packed, quantized, random_weights
from naive import gelu, rms_norm, silu

from llm_core.errors import ModelError
from llm_core.gguf import GGMLType
from llm_core.kernels import activation, cpu, gather, norm, quantize, step
from llm_core.kernels.matmul import PANEL_FORMATS


def product(kind, n_rows, k, m, n_threads, rng):
    """Our product, and numpy's on the same (quantized) activations in double precision."""
    raw, values = random_weights(kind, n_rows, k, rng)
    weights = packed(kind, raw)
    assert weights.shape == (-(-n_rows // 16), PANEL_FORMATS[kind].panel_bytes(k))
    x = rng.standard_normal((m, k)).astype(np.float32)
    source, x_read = quantized(x)[:2] if PANEL_FORMATS[kind].quantized else (x, x)
    width = len(weights) * 16
    bias, residual = rng.standard_normal(width).astype(np.float32), rng.standard_normal((m, width)).astype(np.float32)
    out = multiply(kind, weights, k, source, bias, residual, n_threads)
    expected = x_read.astype(np.float64) @ values.T.astype(np.float64) + bias[:n_rows] + residual[:, :n_rows]
    return out[:, :n_rows], expected


@pytest.mark.parametrize("kind", PANEL_FORMATS, ids=lambda kind: kind.name)
def test_product_is_numpys(kind):
    # 7 or 15 rows of activations: tiles of every width; 40 rows of weights: a last panel that is half empty.
    m = 2 * cpu.isa().max_columns - 1
    ours, expected = product(kind, 40, 512, m, 3, np.random.default_rng(kind))
    assert np.abs(ours - expected).max() < 3e-6 * np.abs(expected).max()


@pytest.mark.parametrize("name", "Q4_K Q8_0 F16 IQ2_XS IQ3_S IQ1_M".split())
def test_product_does_not_depend_on_the_number_of_rows(name):
    """A row's result is the same, bit for bit, alone and in a batch: same seed, same text, whoever else is served."""
    kind = GGMLType[name]
    together = product(kind, 32, 256, 7, 1, np.random.default_rng(5))[0]
    alone = product(kind, 32, 256, 7, 2, np.random.default_rng(5))[0]
    assert np.array_equal(together, alone)
    rng = np.random.default_rng(9)
    weights, x = packed(kind, random_weights(kind, 16, 256, rng)[0]), rng.standard_normal((7, 256)).astype(np.float32)
    source = quantized(x)[0] if PANEL_FORMATS[kind].quantized else x
    single = [multiply(kind, weights, 256, source[i : i + 1]) for i in range(7)]
    assert np.array_equal(multiply(kind, weights, 256, source), np.concatenate(single))


def test_quantization_rounds_to_nearest_and_keeps_sums():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((5, 128)).astype(np.float32)
    x[1, :32] = 0
    x[2, 32:64] = 1e-39  # subnormal: as good as zero
    x[3, 64:96] *= 1e30
    out, values, q, scales = quantized(x)
    k = 128
    assert np.abs(q).max() == 127
    assert (np.abs(values - x) <= np.repeat(scales, 32, axis=1) * 0.5001 + 1e-37).all()
    s32 = out[:, k + k // 8 : k + k // 4].copy().view(np.float32)
    s16 = out[:, k + k // 4 :].copy().view(np.float32)
    assert np.allclose(s32, q.sum(2) * scales, rtol=1e-6)
    assert np.allclose(s16.reshape(5, -1, 2).sum(2), s32, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("rows", [1, 9])
def test_rms_norm(rows):
    rng = np.random.default_rng(2)
    x, weight, residual = (rng.standard_normal(shape).astype(np.float32) for shape in ((rows, 96), 96, (rows, 96)))
    out, packed = np.zeros((rows, 96), np.float32), np.zeros((rows, quantize.row_bytes(96)), np.uint8)
    words = {
        norm.X: x.ctypes.data,
        norm.X_STRIDE: 384,
        norm.WEIGHT: weight.ctypes.data,
        norm.WIDTH: 96,
        norm.ROW_COUNT: step.ROWS,
        norm.EPS: int(np.float32(1e-5).view(np.uint32)),
        norm.OUT_STRIDE: 384,
    }
    call(norm.rms_norm, words | {norm.OUT: out.ctypes.data, norm.RESIDUAL: residual.ctypes.data}, rows, n_threads=2)
    expected = rms_norm(x, weight, 1e-5)
    assert np.allclose(out, expected + residual, rtol=1e-5, atol=1e-6)
    call(
        norm.rms_norm_quantize,
        words | {norm.OUT: packed.ctypes.data, norm.OUT_STRIDE: packed.shape[1]},
        rows,
        n_threads=2,
    )
    assert np.abs(packed[:, :96].view(np.int8).astype(int) - quantized(expected)[0][:, :96].view(np.int8)).max() <= 1


@pytest.mark.parametrize(
    "op, formula", [(activation.silu_gate, silu), (activation.gelu_gate, gelu)], ids=["silu", "gelu"]
)
def test_gates(op, formula):
    gate = np.concatenate([np.linspace(-100, 100, 1000), [-1e30, 1e30, 0, -0.0] * 2]).astype(np.float32)[None]
    up, out = np.full_like(gate, 2), np.zeros_like(gate)
    call(
        op,
        {
            activation.GATE: gate.ctypes.data,
            activation.UP: up.ctypes.data,
            activation.X_STRIDE: gate.nbytes,
            activation.OUT: out.ctypes.data,
            activation.OUT_STRIDE: gate.nbytes,
            activation.WIDTH: gate.shape[1],
            activation.ROW_COUNT: step.ROWS,
        },
        n_threads=2,
    )
    with np.errstate(over="ignore", invalid="ignore"):
        expected = np.where(np.abs(gate) > 1e20, np.maximum(gate, 0), formula(gate.astype(np.float64))) * 2
    assert np.allclose(out, expected, rtol=2e-6, atol=2e-6)


def test_nan_stays_nan():
    """A broken activation must show, not turn into a plausible number."""
    gate = np.full((1, 16), np.nan, np.float32)
    up, out = np.ones_like(gate), np.zeros_like(gate)
    for op in (activation.silu_gate, activation.gelu_gate):
        call(
            op,
            {
                activation.GATE: gate.ctypes.data,
                activation.UP: up.ctypes.data,
                activation.X_STRIDE: 64,
                activation.OUT: out.ctypes.data,
                activation.OUT_STRIDE: 64,
                activation.WIDTH: 16,
                activation.ROW_COUNT: step.ROWS,
            },
        )
        assert np.isnan(out).all()


def test_outputs_are_gathered_and_capped():
    x = np.arange(5 * 32, dtype=np.float32).reshape(5, 32)
    wanted, out = np.array([4, 0, 4], np.int32), np.zeros((3, 32), np.float32)
    extra = {step.OUTPUTS: 3, step.OUTPUT_ROWS: wanted.ctypes.data}
    call(
        gather.gather_outputs,
        {
            gather.X: x.ctypes.data,
            gather.X_STRIDE: 128,
            gather.OUT: out.ctypes.data,
            gather.OUT_STRIDE: 128,
            gather.WIDTH: 32,
        },
        n_threads=2,
        extra=extra,
    )
    assert np.array_equal(out, x[wanted])
    call(
        gather.soft_cap_outputs,
        {
            gather.X: out.ctypes.data,
            gather.X_STRIDE: 128,
            gather.WIDTH: 32,
            gather.CAP: int(np.float32(30).view(np.uint32)),
        },
        n_threads=2,
        extra=extra,
    )
    assert np.allclose(out, 30 * np.tanh(x[wanted] / 30), rtol=1e-6)


def test_unknown_and_missing_isa_levels_are_refused(monkeypatch):
    missing = [level for level in cpu.LEVELS.values() if not cpu.available(level)]
    assert missing, "no machine has the levels of two processor families"
    for name, message in (("sse9", "unknown level"), (missing[0].name, "this CPU lacks it")):
        monkeypatch.setenv("LLM_CORE_ISA", name)
        with pytest.raises(ModelError, match=message):
            cpu.isa.__wrapped__()


def test_levels_are_those_that_numba_compiles_for():
    """Code with instructions that the compiler was told to leave alone would end the process, not raise."""
    told = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "", "LLM_CORE_ISA": ""}
    script = "from llm_core.kernels import cpu; print(cpu.isa().name)"
    run = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, **told}, cwd=Path(__file__).parents[1], capture_output=True
    )
    assert run.stdout.split() == [b"generic"], run.stderr
