"""Cosine and sine tables: one line per position, computed in double precision.

Scalings: linear (Chen et al., 2023), YaRN (Peng et al., 2023), per-dimension factors (Llama 3's `rope_freqs`, and
LongRoPE's short and long lists, Ding et al., 2024). Conventions are those of the GGUF metadata.
"""

import math
import mmap
from dataclasses import replace

import numpy as np

from llm_core.models.config import RopeConfig

# Tables are filled in pieces of so many positions, when one of them is first needed (about 1 ms each).
PIECE = 1024


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


class Table:
    """The cosines of each pair, then the sines, for positions up to n_ctx: `rows`, float32 [n_ctx, n_rot].

    Its place is reserved when it is made and never moves; memory is taken and computed as `fill` asks for positions.
    """

    def __init__(self, rope: RopeConfig, factors: np.ndarray | None, n_ctx: int):
        self._angle, self._magnitude = frequencies(rope, factors)
        self.rows = np.frombuffer(mmap.mmap(-1, 4 * n_ctx * rope.n_rot), np.float32).reshape(n_ctx, rope.n_rot)
        self._filled = 0

    def fill(self, n: int) -> None:
        """Have the first `n` positions, n <= n_ctx."""
        half = len(self._angle)
        while self._filled < n:
            rows = self.rows[self._filled : self._filled + PIECE]
            theta = np.arange(self._filled, self._filled + len(rows), dtype=np.float64)[:, None] * self._angle
            rows[:, :half] = np.cos(theta) * self._magnitude
            rows[:, half:] = np.sin(theta) * self._magnitude
            self._filled += len(rows)


def local(rope: RopeConfig, base: float) -> RopeConfig:
    """The unscaled variant that sliding-window layers of gemma3 use."""
    return replace(rope, base=base, scaling="none", factor=1.0, attn_factor=1.0)
