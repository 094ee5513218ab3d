"""What is true of a picture, as far as questions go, and its mirror image."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Fact:
    """A thing that is seen. `x`, `y`: its middle, as parts of the picture's side; `ahead`: distance from the camera
    along the ground; `distance`: as the crow flies. The rest: see `llm_ros.sim.Thing`."""

    shape: str
    colour: str
    x: float
    y: float
    ahead: float
    distance: float
    support: str
    base: int
    under_table: bool

    @property
    def name(self) -> str:
        """Colour and shape."""
        return f"{self.colour} {self.shape}"


@dataclass(frozen=True)
class Facts:
    """All of a picture. `kind`: "table" or "room", which `has_table` or not."""

    seed: int
    kind: str
    has_table: bool
    things: tuple[Fact, ...]

    @classmethod
    def read(cls, found: dict) -> Facts:
        """From what `dataclasses.asdict` made."""
        return cls(**{**found, "things": tuple(Fact(**thing) for thing in found["things"])})

    def mirrored(self) -> Facts:
        """Left is right."""
        return replace(self, things=tuple(replace(thing, x=1 - thing.x) for thing in self.things))
