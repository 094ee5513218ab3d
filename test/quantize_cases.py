"""What test_quantize.py and its golden script share: the models whose mixes are compared, and values to quantize."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tiny_models import write_tiny

from llm_core.gguf import GGMLType, GGUFFile
from llm_core.quants import dequantize

# rows of whole blocks and four heads a value head; rows that are not, a tied embedding; fused projections
MIX_CASES = {
    "llama": dict(arch="llama", n_embd=256, n_heads=4, n_kv_heads=1, head_dim=64, n_ff=256, n_layers=17, n_vocab=260),
    "qwen2": dict(arch="qwen2", n_embd=192, n_ff=256, n_layers=8, n_vocab=260),
    "phi3": dict(arch="phi3", n_embd=256, n_heads=4, n_kv_heads=4, head_dim=64, n_ff=96, n_layers=8, n_vocab=260),
}
ERROR_FORMATS = ("Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS")


def write_case(path: Path, case: str) -> Path:
    """The model of a case, in F16."""
    return write_tiny(path, type=GGMLType.F16, **MIX_CASES[case])


def importances(file: GGUFFile) -> dict[str, np.ndarray]:
    """Importances of every matrix's columns: every eighth input is stronger than the others."""
    return {
        name: np.where(np.arange(tensor.columns) % 8 == 0, 100, 1).astype(np.float32)
        for name, tensor in file.tensors.items()
        if len(tensor.shape) == 2
    }


def bell(rows: int, columns: int) -> np.ndarray:
    """Bell-shaped float32 values (sums of four uniform ones) from the raw PCG64 stream: the same everywhere."""
    bits = np.random.PCG64(7).random_raw(rows * columns)
    parts = bits.astype("<u8").view("<u2").reshape(rows, columns, 4).astype(np.float32)
    return (parts.sum(axis=2) - np.float32(2 * 65535)) / np.float32(65535)


def relative_error(values: np.ndarray, packed: np.ndarray, kind: GGMLType) -> float:
    """Root mean square of what quantizing changed, in units of the values' own."""
    return float(np.sqrt(np.mean((dequantize(packed, kind) - values) ** 2) / np.mean(values**2)))
