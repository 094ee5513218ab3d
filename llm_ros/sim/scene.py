"""What a scene is: things that stand somewhere, a camera, and a look (light, surfaces, the sensor's faults).

Lengths are in units in which a thing is 0.06 to 0.15 large; z points up and the surface that things stand on is at
z = 0. Nothing here needs MuJoCo. `Camera` says where a point appears in its picture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

SHAPES = ("box", "ball", "cylinder", "cone", "mug", "bottle", "bowl")
COLOURS = {
    "red": (0.80, 0.06, 0.06),
    "green": (0.08, 0.50, 0.13),
    "blue": (0.08, 0.20, 0.80),
    "yellow": (0.92, 0.80, 0.06),
    "orange": (0.96, 0.42, 0.02),
    "purple": (0.48, 0.10, 0.62),
    "white": (0.93, 0.93, 0.93),
    "black": (0.05, 0.05, 0.05),
}
KINDS = ("table", "room")
MAX_THINGS = 6
NEAR_PLANE = 0.01


@dataclass(frozen=True)
class Thing:
    """An object. `size`: half extents of a box; radius, radius, half height of anything else. `position`: the middle of
    its bottom. `variant`: which of a shape's meshes. `support`: "surface", "table" (a room's), or "thing"; `base` is
    the number of the thing below then."""

    shape: str
    colour: str
    rgb: tuple[float, float, float]
    size: tuple[float, float, float]
    position: tuple[float, float, float]
    yaw: float = 0.0
    variant: int = 0
    support: str = "surface"
    base: int = -1
    under_table: bool = False

    @property
    def name(self) -> str:
        """Colour and shape."""
        return f"{self.colour} {self.shape}"

    @property
    def centre(self) -> tuple[float, float, float]:
        """The middle of the thing."""
        x, y, z = self.position
        return x, y, z + self.size[2]

    @property
    def reach(self) -> float:
        """Radius of the circle that it stands in."""
        return math.hypot(*self.size[:2]) if self.shape == "box" else self.size[0]


@dataclass(frozen=True)
class Camera:
    """A pinhole: angles in degrees. `pitch`: how far it looks down; `azimuth`: how far it stands to the right."""

    target: tuple[float, float, float]
    azimuth: float
    pitch: float
    distance: float
    fovy: float
    roll: float = 0.0

    @property
    def position(self) -> np.ndarray:
        """Where it is."""
        a, p = math.radians(self.azimuth), math.radians(self.pitch)
        away = (math.sin(a) * math.cos(p), -math.cos(a) * math.cos(p), math.sin(p))
        return np.array(self.target) + self.distance * np.array(away)

    @property
    def axes(self) -> np.ndarray:
        """Rows: to the right, up and forward in its picture."""
        forward = np.array(self.target) - self.position
        forward /= np.linalg.norm(forward)
        right = np.cross(forward, (0, 0, 1))
        right /= np.linalg.norm(right)
        up = np.cross(right, forward)
        r = math.radians(self.roll)
        return np.stack([math.cos(r) * right + math.sin(r) * up, math.cos(r) * up - math.sin(r) * right, forward])

    def project(self, point, width: int, height: int) -> tuple[float, float, float]:
        """Pixel column, pixel row and distance along the view of a point (below 0: behind the camera)."""
        right, up, forward = self.axes @ (np.asarray(point) - self.position)
        focal = height / 2 / math.tan(math.radians(self.fovy) / 2)
        scale = focal / max(forward, NEAR_PLANE)
        return width / 2 + scale * right, height / 2 - scale * up, forward

    def ahead(self, point) -> float:
        """How far in front of the camera a point is, along the ground."""
        forward = self.axes[2, :2]
        return float((np.asarray(point)[:2] - self.position[:2]) @ forward / np.linalg.norm(forward))


@dataclass(frozen=True)
class Look:
    """What must not matter. `seed` decides over textures, clutter and light; noise in grey levels, blur in pixels of a
    picture 192 high, gain as a factor."""

    seed: int
    noise: float
    blur: float
    gain: float


@dataclass(frozen=True)
class Scene:
    """`kind`: "table" (things stand on it) or "room" (they stand on the floor, and about `table` if there is one:
    centre x, y, half length, half depth, height)."""

    seed: int
    kind: str
    things: tuple[Thing, ...]
    camera: Camera
    look: Look
    table: tuple[float, float, float, float, float] | None = None

    @property
    def ground(self) -> str:
        """What things stand on."""
        return "table" if self.kind == "table" else "floor"

    @property
    def names(self) -> list[str]:
        """Colour and shape of every thing, from left to right."""
        return [t.name for t in sorted(self.things, key=lambda t: self.camera.project(t.centre, 1, 1)[0])]

    def without(self, gone: set[int]) -> Scene:
        """The scene without some things (by number) and what stands on them."""
        gone = gone | {i for i, thing in enumerate(self.things) if thing.base in gone}
        kept = [i for i in range(len(self.things)) if i not in gone]
        number = {old: new for new, old in enumerate(kept)}
        things = [replace(self.things[i], base=number.get(self.things[i].base, -1)) for i in kept]
        return replace(self, things=tuple(things))
