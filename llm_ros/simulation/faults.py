"""What goes wrong with a simulated robot's steps: seeded, with a probability for each skill.

In: probabilities, a seed. Out: for each attempt its fault, or "". Kinds (KINDS says what each does) are drawn evenly.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

KINDS = {
    "fail": "the robot gives up half way and says so",
    "slip": "the robot ends, and tells that nothing came of it",
    "reject": "the goal is rejected",
    "crash": "the server dies half way and comes back",
    "lost": "the step is done, and the server dies before it says so",
    "hang": "nothing happens and no result comes",
    "mute": "the step is done, and no result comes",
    "late": "the step is done, in three times the time",
}


class Faults:
    """See the module. `probability` holds for skills that `skills` does not name."""

    def __init__(
        self,
        probability: float = 0.0,
        skills: Mapping[str, float] | None = None,
        kinds: tuple[str, ...] = tuple(KINDS),
        seed: int = 0,
    ):
        for name, value in (("probability", probability), *(skills or {}).items()):
            if not 0.0 <= value <= 1.0:
                raise ValueError(f"{name} = {value:g}: a probability is in [0, 1]")
        unknown = [kind for kind in kinds if kind not in KINDS]
        if unknown or not kinds:
            raise ValueError(f"kinds: {unknown[0] if unknown else 'none'!r}: expected some of {', '.join(KINDS)}")
        self._probability, self._skills, self._kinds = probability, dict(skills or {}), kinds
        self._rng = random.Random(seed)
        self.drawn: dict[str, int] = dict.fromkeys(kinds, 0)

    def draw(self, skill: str) -> str:
        """The fault of the next attempt at a skill, "" for none."""
        if self._rng.random() >= self._skills.get(skill, self._probability):
            return ""
        kind = self._rng.choice(self._kinds)
        self.drawn[kind] += 1
        return kind
