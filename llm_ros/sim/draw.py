"""A seed becomes a scene: which things, where, how seen. The same seed is the same scene on every machine.

`HELD_OUT_PAIRS` are colours of shapes that training never shows; `poses="new"` are views that it never takes.
"""

from __future__ import annotations

import math
import random

from llm_ros.sim.scene import COLOURS, MAX_THINGS, SHAPES, Camera, Look, Scene, Thing

HELD_OUT_PAIRS = {
    ("box", "purple"),
    ("ball", "white"),
    ("cylinder", "orange"),
    ("cone", "blue"),
    ("mug", "green"),
    ("bottle", "yellow"),
    ("bowl", "red"),
    ("ball", "black"),
}
SIZES = (0.042, 0.055, 0.07)  # half of a mesh's larger extent
# Radius as a part of half the height
PROPORTIONS = {"cone": (0.75, 0.55), "mug": (0.8, 0.68), "bottle": (0.4, 0.32), "bowl": (1.9, 1.6)}
GAP = 0.02
TRIES = 60
POSES = ("usual", "new")


def draw(seed: int, *, kind: str | None = None, unseen_pairs: bool = False, poses: str = "usual") -> Scene:
    """The scene of a seed. kind: "table", "room", or None for either. unseen_pairs: does the first thing have a colour
    that training never gives its shape? If not, no thing has. poses: "usual" or "new"."""
    if poses not in POSES:
        raise ValueError(f"poses is {poses!r}: one of {', '.join(POSES)} wanted")
    rng = random.Random(f"scene {seed}")
    kind = kind or ("table" if rng.random() < 0.6 else "room")
    table = None
    if kind == "room" and rng.random() < 0.6:
        height = rng.uniform(0.17, 0.24)
        middle = rng.uniform(-0.15, 0.15), rng.uniform(-0.02, 0.2)
        table = (*middle, rng.uniform(0.16, 0.3), rng.uniform(0.12, 0.2), height)
    camera = _camera(rng, kind, poses)
    things = _things(rng, table, unseen_pairs)
    noise, blur = rng.choice((0, rng.uniform(0, 4), rng.uniform(2, 9))), rng.choice((0, 0, rng.uniform(0.2, 1.1)))
    look = Look(rng.getrandbits(32), noise, blur, rng.uniform(0.82, 1.15))
    return Scene(seed, kind, tuple(things), camera, look, table)


def _camera(rng: random.Random, kind: str, poses: str) -> Camera:
    """Two bands of pitch are left to the new poses: one between the usual ones and one beyond them."""
    if poses == "usual":
        pitch = rng.choice((rng.uniform(22, 34), rng.uniform(40, 55)))
    else:
        pitch = rng.choice((rng.uniform(35, 39), rng.uniform(56, 62)))
    if kind == "room":
        pitch *= 0.8
    target = (rng.uniform(-0.07, 0.07), rng.uniform(-0.05, 0.07), rng.uniform(0.0, 0.06))
    fovy = rng.uniform(38, 52) if poses == "usual" else rng.uniform(36, 56)
    wide = rng.uniform(0.62, 0.86)  # what it sees of the middle
    return Camera(
        target, rng.uniform(-40, 40), pitch, wide / 2 / math.tan(math.radians(fovy) / 2), fovy, rng.gauss(0, 1.5)
    )


def _things(rng: random.Random, table, unseen_pairs: bool) -> list[Thing]:
    count = rng.choices(range(MAX_THINGS + 1), (4, 10, 17, 22, 21, 16, 10))[0]
    if unseen_pairs:
        count = max(count, 1)
    # Scenes with many alike are where counting is learned.
    alike = rng.choice(SHAPES) if rng.random() < 0.3 else None
    coloured = rng.choice(list(COLOURS)) if rng.random() < 0.25 else None
    things: list[Thing] = []
    for i in range(count):
        shape, colour = _pair(rng, alike, coloured, unseen_pairs and i == 0)
        thing = _place(rng, things, table, shape, colour)
        if thing is not None:
            things.append(thing)
    return things


def _pair(rng: random.Random, alike: str | None, coloured: str | None, unseen: bool) -> tuple[str, str]:
    if unseen:
        return rng.choice(sorted(HELD_OUT_PAIRS))
    while True:
        shape = alike if alike and rng.random() < 0.75 else rng.choice(SHAPES)
        colour = coloured if coloured and rng.random() < 0.7 else rng.choice(list(COLOURS))
        if (shape, colour) not in HELD_OUT_PAIRS:
            return shape, colour


def _place(rng: random.Random, things: list[Thing], table, shape: str, colour: str) -> Thing | None:
    """A thing where there is room for it, or None."""
    rgb = tuple(min(1.0, max(0.0, c + rng.uniform(-0.045, 0.045))) for c in COLOURS[colour])
    variant, size = _size(rng, shape)
    reach = math.hypot(*size[:2]) if shape == "box" else size[0]
    yaw = rng.uniform(-math.pi, math.pi)
    if shape == "mug":  # its handle is seen
        yaw = rng.choice((rng.uniform(-1.0, 0.4), math.pi + rng.uniform(-0.4, 1.0)))
    flat = [
        i for i, t in enumerate(things)
        if t.shape in ("box", "cylinder") and t.support != "thing" and not t.under_table
        and not any(o.base == i for o in things) and min(t.size[:2]) > 0.75 * reach and t.size[2] < 0.055
    ]  # fmt: skip
    if flat and rng.random() < 0.4:
        base = rng.choice(flat)
        x, y, z = things[base].position
        where = (x, y, z + 2 * things[base].size[2])
        return Thing(shape, colour, rgb, size, where, yaw, variant, "thing", base)
    for _ in range(TRIES):
        where = [rng.uniform(-0.33, 0.33), rng.uniform(-0.27, 0.33), 0.0]
        support, under = "surface", False
        if table is not None:
            tx, ty, half_x, half_y, high = table
            spot = rng.random()
            if spot < 0.3:
                support = "table"
                where = [rng.uniform(tx - half_x, tx + half_x), rng.uniform(ty - half_y, ty + half_y), high]
                if abs(where[0] - tx) + reach > half_x or abs(where[1] - ty) + reach > half_y:
                    continue
            elif spot < 0.5:
                under = True
                where = [tx + rng.uniform(-1, 1) * (half_x - 0.04), ty + rng.uniform(-1, 0) * (half_y - 0.04), 0.0]
                if abs(where[0] - tx) + reach > half_x - 0.02 or 2 * size[2] > high - 0.03:
                    continue
            elif abs(where[0] - tx) < half_x + reach + GAP and abs(where[1] - ty) < half_y + reach + GAP:
                continue
        others = (t for t in things if (t.position[2] > 0) == (where[2] > 0) or t.support == "thing")
        if all(math.dist(where[:2], t.position[:2]) > reach + t.reach + GAP for t in others):
            return Thing(shape, colour, rgb, size, tuple(where), yaw, variant, support, -1, under)
    return None


def _size(rng: random.Random, shape: str) -> tuple[int, tuple[float, float, float]]:
    """(which mesh, half extents)."""
    if shape == "box":
        return 0, (rng.uniform(0.035, 0.07), rng.uniform(0.035, 0.07), rng.uniform(0.025, 0.07))
    if shape == "ball":
        radius = rng.uniform(0.035, 0.07)
        return 0, (radius, radius, radius)
    if shape == "cylinder":
        radius = rng.uniform(0.03, 0.06)
        return 0, (radius, radius, rng.uniform(0.03, 0.075))
    variant = rng.randrange(len(SIZES) * 2)
    return variant, mesh_size(shape, variant)


def mesh_size(shape: str, variant: int) -> tuple[float, float, float]:
    """Radius, radius and half height of a shape's mesh."""
    half, slim = SIZES[variant % len(SIZES)], PROPORTIONS[shape][variant // len(SIZES)]
    high = half / max(1.0, slim) * (1.25 if shape == "bottle" else 1.0)
    return high * slim, high * slim, high
