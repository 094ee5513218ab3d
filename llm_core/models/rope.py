"""Cosine and sine tables: one line per position, computed in double precision.

Scalings: linear (Chen et al., 2023), YaRN (Peng et al., 2023), per-dimension factors (Llama 3's `rope_freqs`, and
LongRoPE's short and long lists, Ding et al., 2024). Conventions are those of the GGUF metadata.
"""

import math
from dataclasses import replace

import numpy as np

from llm_core.models.config import RopeConfig

# Tables are filled in pieces, so that double precision is only ever held for a few positions.
PIECE = 4096


def frequencies(rope: RopeConfig, factors: np.ndarray | None) -> tuple[np.ndarray, float]:
    """Angle per position of each rotated pair, float64 [n_rot / 2], and the magnitude of cos and sin.

    factors: divisors per pair (Llama 3, LongRoPE), float [n_rot / 2], or None.
    """
    half = rope.n_rot // 2
    plain = rope.base ** (-np.arange(half, dtype=np.float64) / half)
    if factors is not None:
        plain = plain / factors.astype(np.float64)
    magnitude = rope.attn_factor
    if rope.scaling == "longrope":
        return plain, magnitude
    slow = plain / rope.factor
    if rope.scaling != "yarn" or rope.factor <= 1.0:
        return slow, magnitude
    low, high = (_pair_of_turns(rope, turns) for turns in (rope.beta_fast, rope.beta_slow))
    low, high = max(0.0, math.floor(low)), min(rope.n_rot - 1.0, math.ceil(high))
    keep = 1.0 - np.clip((np.arange(half) - low) / max(0.001, high - low), 0.0, 1.0)
    return slow * (1.0 - keep) + plain * keep, magnitude * (1.0 + 0.1 * math.log(rope.factor))


def _pair_of_turns(rope: RopeConfig, turns: float) -> float:
    """The pair that turns so many times over the original context (YaRN, equation for the ramp's ends)."""
    return rope.n_rot * math.log(rope.n_ctx_original / (turns * 2 * math.pi)) / (2 * math.log(rope.base))


def table(rope: RopeConfig, factors: np.ndarray | None, n_ctx: int) -> np.ndarray:
    """float32 [n_ctx, n_rot]: the cosines of each pair, then the sines."""
    angle, magnitude = frequencies(rope, factors)
    out = np.empty((n_ctx, rope.n_rot), np.float32)
    for start in range(0, n_ctx, PIECE):
        theta = np.arange(start, min(start + PIECE, n_ctx), dtype=np.float64)[:, None] * angle
        out[start : start + PIECE, : len(angle)] = np.cos(theta) * magnitude
        out[start : start + PIECE, len(angle) :] = np.sin(theta) * magnitude
    return out


def local(rope: RopeConfig, base: float) -> RopeConfig:
    """The unscaled variant that sliding-window layers of gemma3 use."""
    return replace(rope, base=base, scaling="none", factor=1.0, attn_factor=1.0)
