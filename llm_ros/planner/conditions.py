"""What a step needs and what it changes: a small declarative language and the state that it speaks about.

A condition is `[not] predicate(term)`; a term is an argument of the skill, `place(argument)` (where the thing or
person is
known to be) or `*` (anything). In: conditions as text, a `State`, bound arguments. Out: whether they hold, or the
state after.

    at(x)           the robot is at place x, or at a location in room x       placement(x)  things can be put at x
    found(x)        object or person x is in reach since the last drive       graspable(x)  x is a thing that can be
    carried
    holding(x)      x is in the hand                                          hand_empty    nothing is in the hand
    closed(x)       only as an effect: x was closed or opened last            located(x, y) only as an effect: x is
    now at y
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from llm_ros.planner.tokens import key_of, words_of
from llm_ros.planner.world import OPERATOR, World

PREDICATES = {
    "at": 1,
    "found": 1,
    "holding": 1,
    "hand_empty": 0,
    "closed": 1,
    "located": 2,
    "placement": 1,
    "graspable": 1,
}
STATIC = ("placement", "graspable")
_EFFECT_ONLY = ("closed", "located")
_CONDITION = re.compile(r"\s*(not\s+)?(\w+)\s*(?:\(\s*(.*?)\s*\))?\s*$")
_TERM = re.compile(r"(place)\(\s*(\w+)\s*\)|(\w+|\*)$")


@dataclass(frozen=True)
class Condition:
    """`terms` are (argument, is_place) pairs; argument "*" means anything."""

    predicate: str
    terms: tuple[tuple[str, bool], ...] = ()
    negated: bool = False

    def bind(self, args: Mapping, places: Mapping[str, str | None]) -> tuple[str | None, ...]:
        """The values of the terms; None where an optional argument is missing or a place is not known."""
        return tuple(
            ("*" if name == "*" else places.get(args.get(name)) if is_place else args.get(name))
            for name, is_place in self.terms
        )

    def renamed(self, names: Mapping[str, str]) -> Condition:
        """The same with other argument names."""
        return replace(self, terms=tuple((names.get(name, name), is_place) for name, is_place in self.terms))

    def __str__(self) -> str:
        terms = ", ".join(f"place({name})" if is_place else name for name, is_place in self.terms)
        return f"{'not ' if self.negated else ''}{self.predicate}{f'({terms})' if terms else ''}"


def parse_condition(text: str, arguments: tuple[str, ...], effect: bool) -> Condition:
    """Reads one condition over the given argument names. Raises ValueError saying what is wrong with it."""
    match = _CONDITION.match(text)
    if not match or match[2] not in PREDICATES:
        raise ValueError(f"{text!r} is no condition; predicates: {', '.join(PREDICATES)}")
    negated, predicate = bool(match[1]), match[2]
    if predicate in (STATIC if effect else _EFFECT_ONLY):
        raise ValueError(f"{predicate!r} cannot be {'an effect' if effect else 'a need'}")
    terms = []
    for part in filter(None, (piece.strip() for piece in (match[3] or "").split(","))):
        term = _TERM.fullmatch(part)
        name = term and (term[2] or term[3])
        if not term or name != "*" and name not in arguments:
            raise ValueError(
                f"{part!r} in {text!r} is no argument of the skill; arguments: {', '.join(arguments) or 'none'}"
            )
        if name == "*" and not (effect and negated):
            raise ValueError(f"'*' in {text!r}: only an effect `not predicate(*)` may speak of everything")
        terms.append((name, bool(term[1])))
    if len(terms) != PREDICATES[predicate]:
        raise ValueError(f"{text!r}: {predicate} takes {PREDICATES[predicate]} term(s), got {len(terms)}")
    return Condition(predicate, tuple(terms), negated)


def same(a: str | None, b: str | None) -> bool:
    """Whether two names mean the same thing, whatever the spelling: "tomato tins" and "tomato_tin"."""
    return a is not None and b is not None and (a == b or key_of(words_of(str(a))) == key_of(words_of(str(b))))


@dataclass(frozen=True)
class State:
    """The simulated robot. places: where things and people are, as told by the command, the world and the plan so
    far."""

    at: str | None = None
    found: tuple[str, ...] = (OPERATOR,)
    holding: str | None = None
    closed: Mapping[str, bool] = field(default_factory=dict)
    places: Mapping[str, str | None] = field(default_factory=dict)

    def holds(self, condition: Condition, args: Mapping, world: World) -> bool:
        """Whether a need holds. One that speaks of an unknown place or a missing argument holds: nothing can be
        checked."""
        values = condition.bind(args, self.places)
        if any(value is None for value in values):
            return True
        return _HOLDS[condition.predicate](self, world, *values) != condition.negated

    def after(self, effects: tuple[Condition, ...], args: Mapping) -> State:
        """The state once all effects have happened, in order."""
        state = self
        for effect in effects:
            values = effect.bind(args, state.places)
            if all(value is not None for value in values):
                state = _HAPPENS[effect.predicate](state, not effect.negated, *values)
        return state


def _is_at(state: State, world: World, place: str) -> bool:
    return state.at == place or (place in world.rooms and world.room_of(state.at) == place)


def _is_placement(state: State, world: World, place: str) -> bool:
    return place not in world.locations or world.locations[place].placement


def _is_graspable(state: State, world: World, thing: str) -> bool:
    return not any(same(thing, name) for name in (*world.places, *world.doors, *world.people))


_HOLDS = {
    "at": _is_at,
    "found": lambda state, world, x: any(same(x, y) for y in state.found),
    "holding": lambda state, world, x: same(state.holding, x),
    "hand_empty": lambda state, world: state.holding is None,
    "placement": _is_placement,
    "graspable": _is_graspable,
}


def _find(state: State, true: bool, x: str) -> State:
    if true and state.places.get(x) is None and x != state.holding:
        # Searched for without knowing where: nobody can tell where the robot ends up, and what was in reach is not.
        return replace(state, at=None, found=(x,))
    rest = tuple(y for y in state.found if x != "*" and not same(x, y))
    return replace(state, found=(*rest, x) if true else rest)


def _hold(state: State, true: bool, x: str) -> State:
    if true:
        return replace(state, holding=x)
    return replace(state, holding=None) if x == "*" or same(state.holding, x) else state


def _locate(state: State, true: bool, x: str, y: str) -> State:
    return replace(state, places={**state.places, x: y if true else None})


_HAPPENS = {
    "at": lambda state, true, x: replace(state, at=x if true else None),
    "found": _find,
    "holding": _hold,
    "hand_empty": lambda state, true: replace(state, holding=None) if true else state,
    "closed": lambda state, true, x: replace(state, closed={**state.closed, x: true}),
    "located": _locate,
}
