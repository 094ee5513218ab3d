"""Checks plans: every step's skill and arguments by type, then the whole sequence by simulating needs and effects.

In: steps, skills, world, and where things and people are said to be. Out: nothing, or the first problem as `PlanError`
with a typed reason. Knows no language; the repair (complete.py) and the tests use the same simulation.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from llm_ros.planner.conditions import Condition, State, same
from llm_ros.planner.plan import PlanError, Step
from llm_ros.planner.skills import Argument, Skill, Skills
from llm_ros.planner.world import OPERATOR, World

MAX_TEXT = 300
_UNKNOWN = {
    "location": "unknown_place",
    "object": "unknown_object",
    "person": "unknown_person",
    "door": "unknown_object",
    "category": "unknown_object",
}


def initial_state(world: World, facts: Mapping[str, str] | None = None) -> State:
    """The robot stands by the operator with an empty hand; furniture is where it is, doors are reached from their
    room."""
    places: dict[str, str | None] = {name: name for name in world.places}
    places.update({door: rooms[0] for door, rooms in world.doors.items()})
    for name in world.objects:
        places[name] = world.home_of(name)
    if world.operator:
        places[OPERATOR] = world.operator
    places.update(world.learned)
    places.update(facts or {})
    return State(places=places)


def check_value(world: World, skill: Skill, arg: Argument, value):
    """The value as the skill takes it. Raises PlanError: unknown_*, impossible (out of range), forbidden."""
    where = f"{skill.name}: {arg.name}"
    if arg.type == "number":
        return _number(arg, value, where)
    if not isinstance(value, str) or not value.strip():
        raise PlanError("impossible", f"{where} is missing")
    if len(value) > MAX_TEXT or any(ord(char) < 32 for char in value):
        raise PlanError("impossible", f"{where}: not a text of at most {MAX_TEXT} printable characters")
    value = value.replace('"', "'")
    if arg.type == "text":
        return value
    known = {
        "location": world.places,
        "object": tuple(world.objects) + _kinds(world),
        "person": world.people,
        "door": tuple(world.doors),
        "category": _kinds(world),
    }[arg.type]
    if arg.type == "person":
        known = (*known, *world.descriptions.get("gestures", ()), *world.descriptions.get("poses", ()))
    if value in known:
        if value in world.forbidden:
            raise PlanError("forbidden", f"{value.replace('_', ' ')} is a forbidden zone")
        return value
    if not arg.free:
        raise PlanError(_UNKNOWN[arg.type], f"{where}: I do not know {value.replace('_', ' ')!r}")
    return value


def _kinds(world: World) -> tuple[str, ...]:
    return tuple(name for category in world.categories.values() for name in (category.singular, category.name))


def _number(arg: Argument, value, where: str) -> float | int:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise PlanError("impossible", f"{where}: {value!r} is no number") from None
    low, high = arg.min, arg.max
    if not math.isfinite(number) or low is not None and number < low or high is not None and number > high:
        span = f"{'' if low is None else f'{low:g}'} .. {'' if high is None else f'{high:g}'}"
        raise PlanError("impossible", f"{where} must be in {span}, got {number:g}")
    return int(number) if number.is_integer() else number


def check_step(step: Step, skills: Skills, world: World) -> Step:
    """The step with checked values, arguments in the skill's order. Raises PlanError."""
    skill = skills.get(step.skill)
    if skill is None:
        raise PlanError("impossible", f"there is no skill {step.skill!r}")
    if skill.safety == "forbidden":
        raise PlanError("forbidden", f"the skill {skill.name} is not allowed")
    extra = [name for name in step.args if skill.argument(name) is None]
    if extra:
        raise PlanError("impossible", f"{skill.name} has no argument {extra[0]!r}")
    args = {}
    for arg in skill.args:
        if step.args.get(arg.name) is None:
            if not arg.optional:
                raise PlanError("impossible", f"{skill.name}: {arg.name} is missing")
            continue
        args[arg.name] = check_value(world, skill, arg, step.args[arg.name])
    return Step(skill.name, args, step.inserted)


def unmet(step: Step, skill: Skill, state: State, world: World) -> Condition | None:
    """The first need of a step that does not hold in `state`, or None."""
    return next((need for need in skill.needs if not state.holds(need, step.args, world)), None)


def simulate(steps: Iterable[Step], skills: Skills, world: World, facts: Mapping[str, str] | None = None) -> State:
    """The state after all steps. Raises PlanError naming the step and the need that does not hold."""
    state = initial_state(world, facts)
    for number, step in enumerate(steps, 1):
        step = check_step(step, skills, world)
        need = unmet(step, skills[step.skill], state, world)
        if need is not None:
            raise PlanError("precondition", f"step {number}, {step}: needs {need}")
        state = state.after(skills[step.skill].effects, step.args)
    return state


__all__ = ["check_step", "check_value", "initial_state", "same", "simulate", "unmet"]
