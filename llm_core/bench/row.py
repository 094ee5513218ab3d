"""One measured row: ours, theirs, the ratio, the floor that physics sets, our share of it, and the goal.

A ratio says how many times better we are, whichever way the unit counts, and is the median over turns (a turn is one
measurement of each, one after the other), so that a drifting machine moves both sides.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class Goal:
    """What a row is to reach; every figure that is set must hold."""

    ratio: float | None = None  # at least so many times as good as llama.cpp
    share: float | None = None  # at least this share of the floor
    at_most: float | None = None  # ours, in the row's unit

    def __str__(self) -> str:
        said = [
            "" if self.ratio is None else f"≥ {self.ratio:g} x llama.cpp",
            "" if self.share is None else f"≥ {100 * self.share:g} % of the floor",
            "" if self.at_most is None else f"≤ {self.at_most:.4g}",
        ]
        return ", ".join(text for text in said if text)

    def met_by(self, row: Row) -> bool | None:
        """Whether the row reaches all of it; None when a figure that it speaks of was not measured."""
        pairs = [
            (self.ratio, row.ratio, 1),
            (self.share, row.floor_share, 1),
            (self.at_most, row.ours, -1),
        ]
        asked = [(wanted, got, sign) for wanted, got, sign in pairs if wanted is not None]
        if not asked or any(got is None for _, got, _ in asked):
            return None
        return all(sign * got >= sign * wanted for wanted, got, sign in asked)


@dataclass(frozen=True)
class Row:
    """A line of the table; None: not measured, or there is no such thing."""

    case: str
    name: str
    unit: str
    ours: float | None
    theirs: float | None = None
    ratio: float | None = None
    floor: float | None = None
    floor_share: float | None = None
    floor_is: str = ""  # what the floor is made of
    goal: Goal = Goal()
    n_tokens: int = 0  # of the prompt, where there is one
    turns: dict[str, list[float]] = field(default_factory=dict)  # every measurement, in the row's unit

    def as_json(self) -> dict:
        """The row as plain values; the goal as text, and whether it is met."""
        return asdict(self) | {"goal": str(self.goal), "met": self.goal.met_by(self)}


def row(
    case: str,
    name: str,
    unit: str,
    turns: dict[str, Sequence[float]],
    *,
    floors: Sequence[float] = (),
    floor_is: str = "",
    lower_is_better: bool = False,
    goal: Goal = Goal(),
    n_tokens: int = 0,
) -> Row:
    """The row of `turns`: {"ours": one figure a turn, "llama_cpp": the same, or absent}; `floors`: one a turn."""
    sides = {who: [figure for figure in figures if math.isfinite(figure)] for who, figures in turns.items()}
    ours, theirs = turns["ours"], turns.get("llama_cpp", ())
    better = (lambda a, b: b / a) if lower_is_better else (lambda a, b: a / b)
    return Row(
        case, name, unit, _median(sides["ours"]), _median(sides.get("llama_cpp", ())),
        ratio=_median(_quotients(better, ours, theirs)), floor=_median(floors),
        floor_share=_median(_quotients(better, ours, floors)),
        floor_is=floor_is, goal=goal, n_tokens=n_tokens, turns=sides,
    )  # fmt: skip


def _quotients(divide, left: Sequence[float], right: Sequence[float]) -> list[float]:
    return [
        divide(a, b)
        for a, b in zip(left, right)  # noqa: B905 - what was measured on one side only has no ratio
        if math.isfinite(a) and math.isfinite(b) and a > 0 and b > 0
    ]


def _median(figures: Sequence[float]) -> float | None:
    return statistics.median(figures) if len(figures) else None
