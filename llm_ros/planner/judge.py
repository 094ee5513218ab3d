"""Judges plans against what a command requires: the required steps in order, at the right places, nothing extra that
acts.

In: an entry of a development set (`command`, and `steps`, `refuse` or `clarify`) and a `Plan`. Out: None, or why it
fails.
A required step is `skill(argument, …)@place`; each part may hold `*` wildcards and `|` alternatives, a whole step
may have
alternatives too. `@place`: where the robot must be (the place, or the room it is in). Spaces count as underscores.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fnmatch import fnmatchcase

from llm_ros.planner.plan import Plan, Step, parse_line
from llm_ros.planner.skills import Skills
from llm_ros.planner.world import World

# Roles that only move or look: more of them than required does no harm.
HARMLESS = ("go_to", "find_object", "find_person", "detect")


def judge(entry: dict, plan: Plan, skills: Skills, world: World) -> str | None:
    """None if the plan does what the entry requires, else the reason why not."""
    if "steps" not in entry:
        right = (
            plan.status == "refuse"
            and plan.reason in entry.get("refuse", ())
            or plan.status == "clarify"
            and entry.get("clarify")
        )
        return None if right else f"expected {entry.get('refuse') or 'a question'}, got {plan.status} {plan.reason}"
    if plan.status != "plan":
        return f"expected a plan, got {plan.status} {plan.reason}: {plan.message}"
    return missing(entry["steps"], plan.steps, skills, world)


def missing(required: Sequence[str], steps: Sequence[Step], skills: Skills, world: World) -> str | None:
    """None if `steps` holds the required ones in order and nothing else that acts."""
    at, wanted = None, 0
    for step in steps:
        skill = skills[step.skill]
        if skill.role == "go_to":
            at = step.args[skill.slots["location"]]
        if wanted < len(required) and any(fits(pattern, step, at, world) for pattern in alternatives(required[wanted])):
            wanted += 1
        elif skill.role not in HARMLESS:
            return (
                f"{step} is not asked for here"
                if wanted == len(required)
                else f"{step} comes where {required[wanted]} should"
            )
        if skill.role in ("guide", "follow"):
            at = step.args.get(skill.slots.get("location", ""), at)
    return None if wanted == len(required) else f"{required[wanted]} is missing"


def alternatives(pattern: str) -> list[str]:
    """Splits "a(x)@p|b(y)" into whole steps; "a(x)@p|q" stays one."""
    found: list[str] = []
    for part in pattern.split("|"):
        if "(" in part or not found:
            found.append(part)
        else:
            found[-1] += "|" + part
    return found


def fits(pattern: str, step: Step, at: str | None, world: World) -> bool:
    """Whether a step, taken at place `at`, is what a required step describes."""
    pattern, _, places = pattern.partition("@")
    name, values = parse_line(pattern)
    if name != step.skill or len(values) != len(step.args):
        return False
    for value, given in zip(values, step.args.values(), strict=False):
        if not any(fnmatchcase(_plain(given), _plain(one)) for one in value.split("|")):
            return False
    return not places or any(
        at == place or place in world.rooms and world.room_of(at) == place for place in places.split("|")
    )


def _plain(value) -> str:
    return (f"{value:g}" if isinstance(value, (int, float)) else str(value)).lower().replace("_", " ").strip()


def wilson(right: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """The 95 % Wilson score interval of a rate."""
    if total == 0:
        return 0.0, 1.0
    rate, square = right / total, z * z
    centre = (rate + square / (2 * total)) / (1 + square / total)
    half = z * math.sqrt(rate * (1 - rate) / total + square / (4 * total * total)) / (1 + square / total)
    return max(0.0, centre - half), min(1.0, centre + half)
