"""Every kernel against its formula in numpy: products of all formats, quantization, norms, gates, functions, threads.

The ISA level under test is the machine's best; `test_generic_level` runs this file's products once more in a process
with LLM_CORE_ISA=generic, so that the spelling that every machine can run is tried on every machine.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from naive import gelu, rms_norm, silu
from tiny_models import put_half

from llm_core.errors import ModelError
from llm_core.gguf import GGMLType
from llm_core.kernels import activation, cpu, gather, norm, quantize, step
from llm_core.kernels.matmul import PANEL_FORMATS, panels
from llm_core.kernels.threads import ROW_WORDS, entry
from llm_core.quants import dequantize, format_of

# Where each format keeps its half-precision scales, so that random blocks get sane ones.
HALVES = {
    "Q4_0": (0,),
    "Q4_1": (0, 2),
    "Q5_0": (0,),
    "Q5_1": (0, 2),
    "Q8_0": (0,),
    "IQ4_NL": (0,),
    "Q4_K": (0, 2),
    "Q5_K": (0, 2),
    "Q6_K": (208,),
    "Q2_K": (80, 82),
    "Q3_K": (108,),
    "IQ4_XS": (0,),
    "IQ2_XXS": (0,),
    "IQ2_XS": (0,),
    "IQ2_S": (0,),
    "IQ3_XXS": (0,),
    "IQ3_S": (0,),
    "IQ1_S": (0,),
    "IQ1_M": ((49, 51, 53, 55),),
    "Q1_0": (0,),
    "TQ1_0": (52,),
    "TQ2_0": (64,),
}


def random_weights(kind, rows, k, rng):
    """Raw bytes of a random matrix and its values."""
    if kind.name in ("F32", "F16", "BF16"):
        values = rng.standard_normal((rows, k)).astype(np.float32)
        raw = {
            "F32": values,
            "F16": values.astype(np.float16),
            "BF16": (values.view(np.uint32) >> 16).astype(np.uint16),
        }[kind.name]
        raw = np.ascontiguousarray(raw).view(np.uint8)
    else:
        layout = format_of(kind)
        blocks = rng.integers(0, 256, (rows, k // layout.block, layout.nbytes), dtype=np.uint8)
        for at in HALVES.get(kind.name, ()):
            put_half(blocks, at, rng.uniform(0.01, 0.1, blocks.shape[:2]))
        if kind.name == "MXFP4":
            blocks[..., 0] = rng.integers(118, 130, blocks.shape[:2])
            blocks[0, 0, 0], blocks[1, 0, 0] = 0, 1  # the two subnormal powers of two
        raw = blocks.reshape(rows, -1)
    return raw, dequantize(raw, kind)


def call(op, words, rows=1, n_threads=1, extra=None):
    """Run one operation on all its threads, one after the other."""
    header = np.zeros(step.N_WORDS, np.int64)
    header[step.ROWS // 8] = rows
    for at, value in (extra or {}).items():
        header[at // 8] = value
    row = np.zeros(ROW_WORDS, np.int64)
    for at, value in words.items():
        row[at // 8] = value
    function = entry(op)
    for tid in range(n_threads):
        function(row.ctypes.data, header.ctypes.data, tid, n_threads)


def quantized(x):
    """Rows of x as the kernels take them, and the values that the int8 form stands for."""
    m, k = x.shape
    out = np.zeros((m, quantize.row_bytes(k)), np.uint8)
    call(
        quantize.quantize,
        {
            quantize.X: x.ctypes.data,
            quantize.X_STRIDE: k * 4,
            quantize.OUT: out.ctypes.data,
            quantize.OUT_STRIDE: out.shape[1],
            quantize.K: k,
            quantize.ROW_COUNT: step.ROWS,
        },
        m,
        n_threads=3,
    )
    q = out[:, :k].view(np.int8).reshape(m, -1, 32).astype(np.float32)
    scales = out[:, k : k + k // 8].copy().view(np.float32)
    return out, (q * scales[..., None]).reshape(m, k), q, scales


def product(kind, n_rows, k, m, n_threads, rng):
    """Our product, and numpy's on the same (quantized) activations in double precision."""
    layout = PANEL_FORMATS[kind]
    raw, values = random_weights(kind, n_rows, k, rng)
    padding = np.zeros((-n_rows % 16, raw.shape[1]), np.uint8)
    packed = np.ascontiguousarray(layout.pack(np.concatenate([raw, padding])))
    assert packed.shape == (-(-n_rows // 16), layout.panel_bytes(k))
    x = rng.standard_normal((m, k)).astype(np.float32)
    source, x_read = (quantized(x)[:2]) if layout.quantized else (x, x)
    width = len(packed) * 16
    bias, residual = rng.standard_normal(width).astype(np.float32), rng.standard_normal((m, width)).astype(np.float32)
    out = np.zeros((m, width), np.float32)
    call(
        layout.op,
        {
            panels.X: source.ctypes.data,
            panels.X_STRIDE: source.strides[0],
            panels.OUT: out.ctypes.data,
            panels.OUT_STRIDE: width * 4,
            panels.WEIGHT: packed.ctypes.data,
            panels.PANEL_BYTES: packed.shape[1],
            panels.N_PANELS: len(packed),
            panels.K: k,
            panels.BIAS: bias.ctypes.data,
            panels.RESIDUAL: residual.ctypes.data,
            panels.ROW_COUNT: step.ROWS,
        },
        m,
        n_threads,
    )
    expected = x_read.astype(np.float64) @ values.T.astype(np.float64) + bias[:n_rows] + residual[:, :n_rows]
    return out[:, :n_rows], expected, x_read, source


@pytest.mark.parametrize("kind", PANEL_FORMATS, ids=lambda kind: kind.name)
def test_product_is_numpys(kind):
    # 7 or 15 rows of activations: tiles of every width; 40 rows of weights: a last panel that is half empty.
    m = 2 * cpu.isa().max_columns - 1
    ours, expected, _, _ = product(kind, 40, 512, m, 3, np.random.default_rng(kind))
    assert np.abs(ours - expected).max() < 3e-6 * np.abs(expected).max()


@pytest.mark.parametrize("name", "Q4_K Q8_0 F16 IQ2_XS IQ3_S IQ1_M".split())
def test_product_does_not_depend_on_the_number_of_rows(name):
    """A row's result is the same, bit for bit, alone and in a batch: same seed, same text, whoever else is served."""
    kind = GGMLType[name]
    together = product(kind, 32, 256, 7, 1, np.random.default_rng(5))[0]
    alone = product(kind, 32, 256, 7, 2, np.random.default_rng(5))[0]
    assert np.array_equal(together, alone)
    layout = PANEL_FORMATS[kind]
    rng = np.random.default_rng(9)
    raw, _ = random_weights(kind, 16, 256, rng)
    packed, x = np.ascontiguousarray(layout.pack(raw)), rng.standard_normal((7, 256)).astype(np.float32)
    source = quantized(x)[0] if layout.quantized else x
    results = []
    for rows in (source, *(source[i : i + 1] for i in range(7))):
        rows = np.ascontiguousarray(rows)
        out = np.zeros((len(rows), 16), np.float32)
        call(
            layout.op,
            {
                panels.X: rows.ctypes.data,
                panels.X_STRIDE: rows.strides[0],
                panels.OUT: out.ctypes.data,
                panels.OUT_STRIDE: 64,
                panels.WEIGHT: packed.ctypes.data,
                panels.PANEL_BYTES: packed.shape[1],
                panels.N_PANELS: 1,
                panels.K: 256,
                panels.ROW_COUNT: step.ROWS,
            },
            len(rows),
        )
        results.append(out)
    assert np.array_equal(results[0], np.concatenate(results[1:]))


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


def test_generic_level():
    """The level that needs no feature gives the same products (a subset of formats: one per family of instructions)."""
    chosen = "Q4_1 or Q5_K or Q8_0 or IQ4_XS or IQ2_S or IQ1_M"
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-v",
            "-p",
            "no:cacheprovider",
            __file__,
            "-k",
            f"test_product_is_numpys and ({chosen})",
        ],
        env={**os.environ, "LLM_CORE_ISA": "generic"},
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert run.returncode == 0, run.stdout[-3000:]
    assert "6 passed" in run.stdout
