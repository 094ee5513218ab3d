"""A plan's task in PDDL: the skills as a domain, and a problem that asks for what the plan achieves. Typed STRIPS.

In: a `Course`. Out: texts of a domain and a problem over the names that the plan speaks of and where they are. Where
the planner's own language says more than STRIPS does:

    at(room)          (at ?here) and (inside ?here ?room): a location is inside its room, and every place inside itself
    at(place(x))      (located ?x ?place); every thing is located at exactly one spot, unknown ones at `somewhere`. As
                      such a need holds for them, there is a second action, NAME-anywhere
    not found(*)      one deletion for each thing that can be found: all names are constants of the domain
    not closed(x)     (opened ?x)
    optional x        a second action, NAME-without-X, where the plan leaves the argument out
    steps             (did-NAME ...): the goal asks for each step that was not merely inserted

Source: Ghallab et al., PDDL - The Planning Domain Definition Language, 1998; typing and negative preconditions of 1.2.
"""

from __future__ import annotations

import itertools

from llm_ros.planner.conditions import Condition, same
from llm_ros.planner.export import Course
from llm_ros.planner.identifiers import Identifiers, one_line
from llm_ros.planner.plan import PlanError, Step
from llm_ros.planner.skills import Argument, Skill
from llm_ros.planner.world import OPERATOR

_TYPES = {
    "location": "area",
    "object": "item",
    "person": "person",
    "door": "door",
    "category": "item",
    "text": "text",
    "number": "number",
}
_PARENTS = {"room": "area", "location": "area", "area": "spot"}
_WORDS = "and or not imply forall exists when either define".split()
# Nothing in a problem may have the name of something else in it: unified-planning refuses that.
_OURS = """object spot area room location item person door text number somewhere at inside located found holding
    hand_empty closed opened placement graspable""".split()
_RESERVED = """define domain problem requirements types constants objects predicates action parameters precondition
    effect init goal strips typing here minimize maximize metric total-time""".split()


class Pddl:
    """See the module."""

    def __init__(self, course: Course):
        """Raises PlanError for a plan that uses one name for several things."""
        if course.again:
            raise PlanError("impossible", f"{course.again[0]} stands for several things, which PDDL cannot say")
        self._course, self._skills, self._world = course, course.skills, course.world
        self._actions = Identifiers([*_WORDS, *_OURS], lower=True)
        names = [self._actions[skill.name] for skill in self._skills.values()]
        self._ids = Identifiers([*_WORDS, *_OURS, *_RESERVED, *names], lower=True)
        self._args = {skill.name: self._parameters(skill) for skill in self._skills.values()}
        self._types = self._constants()
        self._wide = self._misfits()
        self._present = {skill.name: {tuple(arg.name for arg in skill.args)} for skill in self._skills.values()}
        for step in course.steps:
            self._present[step.skill].add(self._given(step))
        self._negative = any(need.negated for skill in self._skills.values() for need in skill.needs)

    # Names

    def _constants(self) -> dict[str, str]:
        """Every name of the plan, and the places where these are, with their types."""
        found: dict[str, str] = {}
        for step in self._course.steps:
            for arg in self._skills[step.skill].args:
                if arg.name in step.args:
                    name = self._name(step.args[arg.name], arg, found)
                    found.setdefault(name, self._type(name, arg))
        first, last = self._course.states[0], self._course.states[-1]
        for state in (first, last):
            for name in (state.at, state.holding, *[state.places.get(name) for name in tuple(found)]):
                if name is not None:
                    found.setdefault(name, self._type(name, None))
        for name in tuple(found):
            room = self._world.room_of(name)
            if room is not None and name not in self._world.doors:
                found.setdefault(room, "room")
        return {name: kind for name, kind in found.items() if name not in self._world.forbidden}

    def _name(self, value, arg: Argument, known) -> str:
        """A value as a name: spelled as it was the first time."""
        name = value if isinstance(value, str) else f"{value:g}"
        world = self._world
        if arg.type in ("text", "number") or name in (*world.places, *world.doors, *world.objects, *world.people):
            return name
        return next((other for other in known if same(other, name)), name)

    def _type(self, name: str, arg: Argument | None) -> str:
        world = self._world
        if name in world.rooms or name in world.locations:
            return "room" if name in world.rooms else "location"
        if name in world.doors:
            return "door"
        people = (*world.people, *world.descriptions.get("gestures", ()), *world.descriptions.get("poses", ()))
        if name in people:
            return "person"
        return "item" if arg is None or name in world.objects else _TYPES[arg.type]

    def _misfits(self) -> set[tuple[str, str]]:
        """(skill, argument) that take names of other types as well, such as a cupboard that is opened like a door."""
        found = set()
        for step in self._course.steps:
            for arg in self._skills[step.skill].args:
                if arg.name in step.args:
                    kind = self._types.get(self._name(step.args[arg.name], arg, self._types))
                    if kind is not None and not _is_a(kind, _TYPES[arg.type]):
                        found.add((step.skill, arg.name))
        return found

    def _given(self, step: Step) -> tuple[str, ...]:
        return tuple(arg.name for arg in self._skills[step.skill].args if arg.name in step.args)

    def _parameters(self, skill: Skill) -> Identifiers:
        names = Identifiers(("here",), lower=True)
        for arg in skill.args:
            _ = names[arg.name]
        return names

    def parameter_type(self, skill: Skill, arg: Argument) -> str:
        """The type of an argument's parameter."""
        return "object" if (skill.name, arg.name) in self._wide else _TYPES[arg.type]

    def able(self, predicate: str) -> list[str]:
        """The constants for which an action can make a predicate of one argument true."""
        kinds = set()
        for skill in self._skills.values():
            for effect in skill.effects:
                if effect.predicate == predicate and not effect.negated:
                    kinds.add(self.parameter_type(skill, skill.argument(effect.terms[0][0])))
        names = [name for name, kind in self._types.items() if any(_is_a(kind, wanted) for wanted in kinds)]
        if predicate == "found" and OPERATOR in self._types and OPERATOR not in names:
            names.append(OPERATOR)
        return [self._ids[name] for name in names]

    # Texts

    def domain(self) -> str:
        """The domain's text."""
        negative = " :negative-preconditions" if self._negative else ""
        lines = [
            "; Skills of the robot as actions; see the problem for what is wanted.",
            "(define (domain robot)",
            f"  (:requirements :strips :typing{negative})",
            "  (:types spot item person door text number - object area - spot room location - area)",
            "  (:constants",
            "    somewhere - spot",
        ]
        for name, kind in self._types.items():
            identifier = self._ids[name]
            lines.append(f"    {identifier} - {kind}" + (f"  ; {one_line(name)}" if identifier != name else ""))
        lines += [
            "  )",
            "  (:predicates",
            "    (at ?s - spot) (inside ?s - spot ?p - area) (located ?x - object ?s - spot)",
            "    (found ?x - object) (holding ?x - object) (hand_empty)",
            "    (closed ?x - object) (opened ?x - object)",
            "    (placement ?p - object) (graspable ?x - object)",
        ]
        actions = []
        for skill in self._skills.values():
            if skill.safety == "forbidden":
                continue
            for present in sorted(self._present[skill.name], key=len, reverse=True):
                typed = " ".join(
                    f"?{self._args[skill.name][arg.name]} - {self.parameter_type(skill, arg)}"
                    for arg in skill.args
                    if arg.name in present
                )
                lines.append(f"    ({' '.join(filter(None, (self._did(skill, present), typed)))})")
                actions += self._variants(skill, present)
        return "\n".join([*lines, "  )", *actions, ")", ""])

    def problem(self, command: str = "") -> str:
        """The problem's text; `command` becomes a comment."""
        state, world = self._course.states[0], self._world
        known = [name for name in self._types if name in world.places]
        init = [f"(at {self._spot(state.at)})"]
        init += [f"(inside {self._ids[name]} {self._ids[name]})" for name in known]
        rooms = {name: world.room_of(name) for name in known if name in world.locations}
        init += [f"(inside {self._ids[name]} {self._ids[room]})" for name, room in rooms.items() if room in self._types]
        for name in self._types:
            place = state.places.get(name)
            if place is None or place in self._types:
                init.append(f"(located {self._ids[name]} {self._spot(place)})")
        init += [f"(found {self._ids[name]})" for name in state.found if name in self._types]
        init.append(f"(holding {self._ids[state.holding]})" if state.holding else "(hand_empty)")
        for predicate, kinds in (("placement", ("area",)), ("graspable", ("item", "person", "door", "area"))):
            condition = Condition(predicate, (("x", False),))
            names = [name for name, kind in self._types.items() if any(_is_a(kind, wanted) for wanted in kinds)]
            init += [f"({predicate} {self._ids[n]})" for n in names if state.holds(condition, {"x": n}, world)]
        lines = [f"; {one_line(command)}"] if command else []
        lines += ["(define (problem plan)", "  (:domain robot)", "  (:init", *(f"    {fact}" for fact in init), "  )"]
        lines += ["  (:goal (and", *(f"    {fact}" for fact in self._goal()), "  ))", ")", ""]
        return "\n".join(lines)

    def _spot(self, place: str | None) -> str:
        return self._ids[place] if place in self._types else "somewhere"

    def _goal(self) -> list[str]:
        """How things stand at the end, and what was to be done."""
        first, last = self._course.states[0], self._course.states[-1]
        goal = [f"(at {self._spot(last.at)})"] if last.at and last.at != first.at else []
        for name, kind in self._types.items():
            place = last.places.get(name)
            if kind in ("item", "person") and (place is None or place in self._types):
                goal.append(f"(located {self._ids[name]} {self._spot(place)})")
        goal.append(f"(holding {self._ids[last.holding]})" if last.holding else "(hand_empty)")
        for name, closed in last.closed.items():
            goal.append(f"({'closed' if closed else 'opened'} {self._ids[self._same(name)]})")
        for step in self._course.steps:
            if not step.inserted:
                skill = self._skills[step.skill]
                values = [self._ids[self._same(step.args[name], skill.argument(name))] for name in self._given(step)]
                goal.append(f"({' '.join((self._did(skill, self._given(step)), *values))})")
        return list(dict.fromkeys(goal))

    def _same(self, value, arg: Argument | None = None) -> str:
        return self._name(value, arg or Argument("", "object"), self._types)

    def step(self, action: str, values: list[str]) -> Step:
        """The step that a grounded action of the domain stands for. Raises KeyError for one that does not exist."""
        for skill in self._skills.values():
            for present in self._present[skill.name]:
                name = self._action(skill, present)
                if action in (name, f"{name}-anywhere"):
                    names = {identifier: original for original, identifier in self._ids.names.items()}
                    args = [names[value] for value in values[: len(present)]]
                    return Step(skill.name, dict(zip(present, args, strict=True)))
        raise KeyError(action)

    # Actions

    def _action(self, skill: Skill, present: tuple[str, ...]) -> str:
        left = [self._args[skill.name][arg.name] for arg in skill.args if arg.name not in present]
        return self._actions[skill.name] + ("-without-" + "-".join(left) if left else "")

    def _did(self, skill: Skill, present: tuple[str, ...]) -> str:
        return f"did-{self._action(skill, present)}"

    def _variants(self, skill: Skill, present: tuple[str, ...]) -> list[str]:
        """The skill as actions: for things whose place is known, and for others."""
        needs = [need for need in skill.needs if all(name in present for name, _ in need.terms)]
        placed = list(dict.fromkeys(name for need in needs for name, is_place in need.terms if is_place))
        actions = []
        for known in itertools.product((True, False), repeat=len(placed)):
            action = _Action(self, skill, self._args[skill.name], dict(zip(placed, known, strict=True)))
            for need in needs:
                action.need(need)
            for effect in skill.effects:
                if all(name in present or name == "*" for name, _ in effect.terms):
                    action.happen(effect)
            name = self._action(skill, present) + ("" if all(known) else "-anywhere")
            actions.append(action.text(name, present, self._did(skill, present)))
        return actions[:1] + actions[-1:] if len(actions) > 1 else actions


class _Action:
    """One action while it is put together."""

    def __init__(self, pddl: Pddl, skill: Skill, names: Identifiers, known: dict[str, bool]):
        self._pddl, self._skill, self._names, self._known = pddl, skill, names, known
        self._extra: dict[str, str] = {}  # parameters besides the arguments
        self._needs: dict[str, None] = {}
        self._adds: dict[str, None] = {}
        self._deletes: dict[str, None] = {}

    def _var(self, name: str) -> str:
        return f"?{self._names[name]}"

    def _here(self) -> str:
        """The spot where the robot is before the action."""
        self._extra.setdefault("?here", "spot")
        self._needs["(at ?here)"] = None
        return "?here"

    def _place(self, name: str, kind: str) -> str:
        """Where a thing is before the action."""
        if self._known.get(name) is False:
            spot = "somewhere"
        else:
            spot = f"?{self._names[name]}-place"
            self._extra.setdefault(spot, kind)
        self._needs[f"(located {self._var(name)} {spot})"] = None
        return spot

    def need(self, need: Condition) -> None:
        """Adds what a need asks for; nothing, where it speaks of the place of a thing that is anywhere."""
        terms = [self._place(name, "area") if is_place else self._var(name) for name, is_place in need.terms]
        if "somewhere" in terms:
            return
        fact = f"({' '.join((need.predicate, *terms))})"
        if need.predicate == "at":
            fact = f"(inside {self._here()} {terms[0]})"
        self._needs[f"(not {fact})" if need.negated else fact] = None

    def happen(self, effect: Condition) -> None:
        """Adds what an effect changes; a later one overrules those before."""
        true = not effect.negated
        terms = [self._place(name, "spot") if is_place else name for name, is_place in effect.terms]
        terms = [term if term == "*" or term.startswith("?") else self._var(term) for term in terms]
        getattr(self, f"_{effect.predicate}")(true, effect, *terms)

    def _set(self, fact: str, true: bool) -> None:
        (self._deletes if true else self._adds).pop(fact, None)
        (self._adds if true else self._deletes)[fact] = None

    def _clear(self, predicate: str) -> None:
        for fact in [fact for fact in self._adds if fact.startswith(f"({predicate} ")]:
            del self._adds[fact]
        for name in self._pddl.able(predicate):
            self._set(f"({predicate} {name})", False)

    def _at(self, true: bool, effect: Condition, x: str) -> None:
        for fact in [fact for fact in self._adds if fact.startswith("(at ")]:
            del self._adds[fact]
        self._deletes[f"(at {self._here()})"] = None
        self._adds[f"(at {x if true else 'somewhere'})"] = None

    def _found(self, true: bool, effect: Condition, x: str) -> None:
        if not true and x == "*" or true and self._known.get(effect.terms[0][0]) is False:
            self._clear("found")
        if true and self._known.get(effect.terms[0][0]) is False:
            self._at(False, effect, x)  # searched for: nobody can tell where the robot ends up
        if x != "*":
            self._set(f"(found {x})", true)

    def _holding(self, true: bool, effect: Condition, x: str) -> None:
        if x == "*" or true and "(hand_empty)" not in self._needs:
            self._clear("holding")
        if x != "*":
            self._set(f"(holding {x})", true)
        if true or x == "*" or f"(holding {x})" in self._needs:
            self._set("(hand_empty)", not true)

    def _hand_empty(self, true: bool, effect: Condition) -> None:
        if true and not any(fact.startswith("(holding ") for fact in self._deletes):
            self._clear("holding")
        self._set("(hand_empty)", true)

    def _closed(self, true: bool, effect: Condition, x: str) -> None:
        self._set(f"(closed {x})", true)
        self._set(f"(opened {x})", not true)

    def _located(self, true: bool, effect: Condition, x: str, y: str) -> None:
        was = self._place(effect.terms[0][0], "spot")
        self._deletes[f"(located {x} {was})"] = None
        self._set(f"(located {x} {y if true else 'somewhere'})", True)

    def text(self, name: str, present: tuple[str, ...], did: str) -> str:
        """The action's text."""
        typed = [(self._var(n), self._pddl.parameter_type(self._skill, self._skill.argument(n))) for n in present]
        parameters = " ".join(f"{variable} - {kind}" for variable, kind in (*typed, *self._extra.items()))
        done = f"({' '.join((did, *(variable for variable, _ in typed)))})"
        effects = [*self._adds, done, *(f"(not {fact})" for fact in self._deletes if fact not in self._adds)]
        comment = f"  ; {one_line(self._skill.description)}" if self._skill.description else ""
        return "\n".join(
            (
                f"  (:action {name}{comment}",
                f"    :parameters ({parameters})",
                f"    :precondition (and{''.join(' ' + fact for fact in self._needs)})",
                f"    :effect (and{''.join(' ' + fact for fact in effects)}))",
            )
        )


def _is_a(kind: str, wanted: str) -> bool:
    """Whether a type is another one or lies below it."""
    while kind != wanted:
        if kind not in _PARENTS:
            return wanted == "object"
        kind = _PARENTS[kind]
    return True
