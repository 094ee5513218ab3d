"""A plan for other tools: checked, with every state that it goes through, and written in their formats.

In: steps, skills, world. Out: texts. What a plan takes for granted about where things are ("the cup on the sofa", where
it drives to before it looks) holds from the beginning.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from llm_ros.planner.conditions import State
from llm_ros.planner.plan import PlanError, Step
from llm_ros.planner.skills import Skills
from llm_ros.planner.validate import check_step, initial_state, unmet
from llm_ros.planner.world import World


@dataclass(frozen=True)
class Course:
    """A checked plan: `states[n]` is how things stand before step n, the last one how they stand at the end.

    again: things that the plan takes from another place after it has moved one of that name ("bring two plates").
    """

    steps: Sequence[Step]
    skills: Skills
    world: World
    states: Sequence[State]
    again: Sequence[str] = ()


def course_of(steps: Iterable[Step], skills: Skills, world: World) -> Course:
    """The plan with its states. Raises PlanError for steps that do not exist or whose needs do not hold."""
    steps = [check_step(step, skills, world) for step in steps]
    if not steps:
        raise PlanError("impossible", "a plan without steps cannot be exported")
    facts: dict[str, str] = {}
    while True:
        course, told = _walk(steps, skills, world, facts)
        if not told:
            return course
        facts |= told  # and once more, from a beginning where they hold


def _walk(steps, skills: Skills, world: World, facts: dict[str, str]) -> tuple[Course, dict[str, str]]:
    """The course from a beginning with these facts, and the first other fact that should hold there."""
    states, again, dealt = [initial_state(world, facts)], [], set()
    for number, step in enumerate(steps):
        skill, state = skills[step.skill], states[-1]
        driven = number > 0 and any(effect.predicate == "at" for effect in skills[steps[number - 1].skill].effects)
        for need in skill.needs:
            thing = step.args.get(need.terms[0][0]) if need.predicate == "at" and need.terms[0][1] else None
            if thing is None or thing in world.places or state.at is None:
                continue
            unknown = state.places.get(thing) is None and driven
            if unknown and thing not in dealt | facts.keys() or not state.holds(need, step.args, world):
                if thing not in dealt and thing not in facts:
                    return Course(steps, skills, world, states), {thing: state.at}
                again.append(thing)
                state = states[-1] = replace(state, places={**state.places, thing: state.at})
        need = unmet(step, skill, state, world)
        if need is not None:
            raise PlanError("precondition", f"step {number + 1}, {step}: needs {need}")
        states.append(state.after(skill.effects, step.args))
        dealt |= {value for value in step.args.values() if isinstance(value, str)}
    return Course(steps, skills, world, states, again), {}


def export(kind: str, steps: Iterable[Step], skills: Skills, world: World, command: str = "") -> dict[str, str]:
    """The plan in a format of FORMATS, as texts by name: "bt" gives {"tree"}, "pddl" {"domain", "problem"}.

    Raises PlanError for steps that are no plan, KeyError for an unknown format.
    """
    return FORMATS[kind](course_of(steps, skills, world), command)


def _bt(course: Course, command: str) -> dict[str, str]:
    from llm_ros.planner.export_bt import behavior_tree

    return {"tree": behavior_tree(course, command)}


def _pddl(course: Course, command: str) -> dict[str, str]:
    from llm_ros.planner.export_pddl import Pddl

    pddl = Pddl(course)
    return {"domain": pddl.domain(), "problem": pddl.problem(command)}


FORMATS = {"bt": _bt, "pddl": _pddl}

__all__ = ["FORMATS", "Course", "course_of", "export"]
