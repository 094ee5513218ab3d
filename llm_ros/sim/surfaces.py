"""Textures of walls, floors and table tops, made of noise: grey levels that a material's colour multiplies."""

from __future__ import annotations

import numpy as np

SIDE = 64
TEXTURES = ("flat", "grain", "wood", "planks", "tiles", "checks", "stripes", "cloth", "stone")


def textures() -> np.ndarray:
    """uint8 [textures, SIDE, SIDE, 3] in the order of TEXTURES."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    grain = rng.uniform(-1, 1, (SIDE, SIDE))
    cloudy = _smooth(rng.uniform(-1, 1, (SIDE, SIDE)), 6)
    lines = np.sin(2 * np.pi * (9 * y + 0.8 * cloudy))
    made = {
        "flat": np.ones((SIDE, SIDE)),
        "grain": 0.9 + 0.1 * grain,
        "wood": 0.84 + 0.12 * lines + 0.04 * grain,
        "planks": 0.86 + 0.08 * lines - 0.35 * ((y * 4) % 1 < 0.06),
        "tiles": 0.95 - 0.3 * (((x * 4) % 1 < 0.07) | ((y * 4) % 1 < 0.07)) + 0.03 * grain,
        "checks": 0.72 + 0.24 * (((x * 4).astype(int) + (y * 4).astype(int)) % 2),
        "stripes": 0.8 + 0.15 * np.sign(np.sin(2 * np.pi * 5 * x)),
        "cloth": 0.85 + 0.07 * np.sin(2 * np.pi * 16 * x) * np.sin(2 * np.pi * 16 * y) + 0.06 * cloudy,
        "stone": 0.78 + 0.2 * cloudy + 0.05 * grain,
    }
    grey = np.stack([made[name] for name in TEXTURES])
    return np.repeat(np.clip(grey * 255, 0, 255).astype(np.uint8)[..., None], 3, axis=-1)


def _smooth(values: np.ndarray, times: int) -> np.ndarray:
    """Means of neighbours, again and again, stretched to -1…1; the edges meet."""
    for step in range(times):
        values = sum(np.roll(values, (a, b), (0, 1)) for a in (-1, 0, 1) for b in (-1, 0, 1)) / 9
        if step % 2:
            values = values + np.roll(values, (2, 3), (0, 1))
    return values / np.abs(values).max()
