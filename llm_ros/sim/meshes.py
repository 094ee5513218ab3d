"""Meshes of turned shapes: (vertices float [n, 3], faces int [m, 3]) with the bottom's middle at the origin."""

from __future__ import annotations

import math

import numpy as np

SEGMENTS = 28
# Outlines from the axis at the bottom, as (part of the radius, part of the height); bowl and mug are hollow.
OUTLINES = {
    "cone": [(0, 0), (1, 0), (0.02, 1), (0, 1)],
    "bottle": [(0, 0), (0.95, 0), (1, 0.03), (1, 0.52), (0.9, 0.62), (0.45, 0.76), (0.38, 0.8), (0.38, 0.93),
               (0.46, 0.93), (0.46, 1), (0, 1)],
    "bowl": [(0, 0), (0.4, 0), (0.62, 0.2), (0.85, 0.55), (1, 1), (0.93, 1), (0.78, 0.6), (0.55, 0.3), (0.3, 0.14),
             (0, 0.12)],
    "mug": [(0, 0), (0.96, 0), (1, 0.04), (1, 1), (0.9, 1), (0.9, 0.1), (0, 0.1)],
}  # fmt: skip


def turned(shape: str, radius: float, height: float) -> tuple[np.ndarray, np.ndarray]:
    """A shape of `OUTLINES` of this radius and height."""
    return _turn([(r * radius, z * height) for r, z in OUTLINES[shape]])


def handle(radius: float, height: float) -> tuple[np.ndarray, np.ndarray]:
    """A mug's handle: a bent tube at its right side."""
    thick, reach = 0.15 * radius, 0.27 * height
    ends = np.linspace(-math.pi / 2 - 0.2, math.pi / 2 + 0.2, 12)
    around = np.linspace(0, 2 * math.pi, 9)[:-1]
    rings = []
    for angle in ends:
        out = np.array([math.cos(angle), 0, math.sin(angle)])
        centre = np.array([radius * 0.97, 0, height * 0.5]) + out * (reach * 0.9, 0, reach)
        rings.append([centre + thick * (math.cos(a) * out + math.sin(a) * np.array([0, 1, 0])) for a in around])
    return _skin(np.array(rings))


def _turn(outline: list[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Sharp edges stay sharp: each piece of the outline has vertices of its own."""
    vertices, faces, n = [], [], 0
    turn = np.linspace(0, 2 * math.pi, SEGMENTS + 1)[:-1]
    for a, b in zip(outline, outline[1:], strict=False):
        rings = np.array([[(r * math.cos(t), r * math.sin(t), z) for t in turn] for r, z in (a, b)])
        part, skin = _skin(rings)
        vertices.append(part)
        faces.append(skin[:, ::-1] + n)
        n += len(part)
    return np.concatenate(vertices), np.concatenate(faces)


def _skin(rings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two triangles between each two neighbours of rings [n, m, 3], closed around."""
    n, m, _ = rings.shape
    i, j = np.meshgrid(np.arange(n - 1), np.arange(m), indexing="ij")
    a, b = i * m + j, i * m + (j + 1) % m
    faces = np.concatenate([np.stack([a, a + m, b], -1).reshape(-1, 3), np.stack([b, a + m, b + m], -1).reshape(-1, 3)])
    return rings.reshape(-1, 3), faces
