"""What is true in a simulated world, and what skills do to it: the mock robot's side of the story.

In: a world file's `World`, a random generator; later skills by the role they play. Out: what each of them comes to:
a `Result` with facts. It shares no code with what the executor believes, so that the two can be compared.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

from llm_ros.execution.outcome import Outcome
from llm_ros.execution.robot import Result
from llm_ros.planner.plan import Step
from llm_ros.planner.skills import Skill
from llm_ros.planner.world import OPERATOR, World


class House:
    """The truth: where robot, things and people are. A thing that was handed over is in `given`."""

    def __init__(self, world: World, rng: random.Random, displaced: float = 0.0, absent: float = 0.0):
        """displaced, absent: shares of the things that are elsewhere than usual, or nowhere."""
        self.world = world
        surfaces = [place.name for place in world.locations.values() if place.placement] or list(world.places)
        rooms = [room for room in world.rooms if room not in world.forbidden]
        surfaces = [place for place in surfaces if self._room(place) in rooms and place not in world.forbidden] or rooms
        self.hand: str | None = None
        self.hand_name = ""  # what the executor calls the thing in the hand: a name or a kind
        self.at: str | None = world.operator or rooms[0]
        self.places: dict[str, str] = {}
        for name in world.objects:
            place = world.home_of(name)
            if place is None or rng.random() < displaced:
                place = rng.choice(surfaces)
            if rng.random() >= absent:
                self.places[name] = place
        self.people: dict[str, str] = {name: rng.choice(rooms) for name in world.people}
        self.people[OPERATOR] = self._room(self.at)
        for name in (*world.descriptions.get("gestures", ()), *world.descriptions.get("poses", ())):
            self.people[name] = rng.choice(rooms)
        self.open: dict[str, bool] = {}
        self.given: dict[str, str] = {}
        self.said: list[str] = []
        self.asked: list[tuple[str, str]] = []
        self._rng, self._rooms = rng, rooms

    def _room(self, place: str | None) -> str | None:
        return place if place in self.world.rooms else self.world.room_of(place)

    def matching(self, name: str) -> list[str]:
        """The things that a name means: itself, or those of its category."""
        kinds = self.world.categories.values()
        members = next((kind.objects for kind in kinds if name in (kind.name, kind.singular)), None)
        return list(members) if members is not None else [name]

    def here(self, place: str | None) -> bool:
        """Whether the robot can see what is at a place from where it stands."""
        return place is not None and (place == self.at or self.at in self.world.rooms and self._room(place) == self.at)

    def seen(self, name: str) -> list[str]:
        """The things of that name or kind that the robot can see."""
        return [thing for thing in self.matching(name) if self.here(self.places.get(thing))]

    def near(self, person: str) -> bool:
        """Whether somebody is in the robot's room."""
        if person not in self.people:
            # Described in words of the command: somebody fits, and waits in some room.
            self.people[person] = self._rng.choice(self._rooms)
        return self.people[person] == self._room(self.at)

    def do(self, step: Step, skill: Skill) -> Result:
        """Does a step as its role says; a skill without a role always succeeds and changes nothing."""
        deed = _DEEDS.get(skill.role)
        slots = {slot: step.args.get(arg) for slot, arg in skill.slots.items()}
        return deed(self, slots) if deed else Result(Outcome.SUCCEEDED)

    def fumble(self, step: Step, skill: Skill) -> Result:
        """What is left of a step that goes wrong at its end: the robot tells that nothing came of it."""
        if any(effect.predicate == "at" and not effect.negated for effect in skill.effects):
            self.at = None
            return Result(Outcome.EXECUTION, "the way is blocked")
        facts = ["hand_empty"] if self.hand is None else [f"holding({self.hand_name})"]
        return Result(Outcome.EXECUTION, "it slipped", facts=tuple(facts))

    def stray(self, skill: Skill) -> None:
        """A drive that ended half way: the robot stands somewhere between places."""
        if any(effect.predicate == "at" for effect in skill.effects):
            self.at = None


def _go_to(house: House, slots: Mapping) -> Result:
    if slots["location"] not in house.world.places:
        return Result(Outcome.INVALID, f"no such place: {slots['location']}")
    house.at = slots["location"]
    return Result(Outcome.SUCCEEDED)


def _find_object(house: House, slots: Mapping) -> Result:
    name = slots["object"]
    if not house.seen(name):
        return Result(Outcome.POSTCONDITION, f"no {name} here", facts=(f"not found({name})",))
    return Result(Outcome.SUCCEEDED, text=", ".join(house.seen(name)).replace("_", " "))


def _find_person(house: House, slots: Mapping) -> Result:
    name = slots["person"]
    if not house.near(name):
        return Result(Outcome.POSTCONDITION, f"{name} is not here", facts=(f"not found({name})",))
    facts = (f"at({house.at})",) if house.at else ()
    return Result(Outcome.SUCCEEDED, text=name.replace("_", " "), facts=facts)


def _pick(house: House, slots: Mapping) -> Result:
    name = slots["object"]
    if house.hand is not None:
        return Result(Outcome.PRECONDITION, "the hand is full", facts=(f"holding({house.hand_name})",))
    if not house.seen(name):
        return Result(Outcome.PRECONDITION, f"no {name} in reach", facts=(f"not found({name})",))
    house.hand, house.hand_name = house.seen(name)[0], name
    del house.places[house.hand]
    return Result(Outcome.SUCCEEDED)


def _let_go(house: House, name: str | None) -> Result | None:
    """Why the hand cannot give a thing away; None if it can."""
    if house.hand is None:
        return Result(Outcome.PRECONDITION, "the hand is empty", facts=("hand_empty", *_whereabouts(house, name)))
    if name is not None and house.hand not in house.matching(name):
        return Result(Outcome.PRECONDITION, "something else is in the hand", facts=(f"holding({house.hand_name})",))
    return None


def _whereabouts(house: House, name: str | None) -> tuple[str, ...]:
    """What the robot sees of a thing that it does not hold."""
    seen = house.seen(name) if name is not None else []
    return (f"located({name}, {house.places[seen[0]]})", f"found({name})") if seen else ()


def _place(house: House, slots: Mapping) -> Result:
    name, target = slots.get("object"), slots["location"]
    problem = _let_go(house, name)
    if problem is not None:
        return problem
    if not house.here(target):
        facts = (f"at({house.at})",) if house.at else ()
        return Result(Outcome.PRECONDITION, f"{target} is out of reach", facts=facts)
    if target in house.world.locations and not house.world.locations[target].placement:
        return Result(Outcome.INVALID, f"nothing can be put on {target}")
    house.places[house.hand] = target
    house.hand = None
    return Result(Outcome.SUCCEEDED)


def _hand_over(house: House, slots: Mapping) -> Result:
    person = slots["person"]
    problem = _let_go(house, slots.get("object"))
    if problem is not None:
        return problem
    if not house.near(person):
        return Result(Outcome.PRECONDITION, f"{person} is not here", facts=(f"not found({person})",))
    house.given[house.hand] = person
    house.hand = None
    return Result(Outcome.SUCCEEDED)


def _guide(house: House, slots: Mapping) -> Result:
    person, target = slots["person"], slots["location"]
    if not house.near(person):
        return Result(Outcome.PRECONDITION, f"{person} is not here", facts=(f"not found({person})",))
    house.at, house.people[person] = target, house._room(target)
    return Result(Outcome.SUCCEEDED)


def _follow(house: House, slots: Mapping) -> Result:
    person = slots["person"]
    if not house.near(person):
        return Result(Outcome.PRECONDITION, f"{person} is not here", facts=(f"not found({person})",))
    target = slots.get("location") or house._rng.choice(house._rooms)
    house.at, house.people[person] = target, house._room(target)
    return Result(Outcome.SUCCEEDED, facts=(f"at({target})", f"found({person})"))


def _say(house: House, slots: Mapping) -> Result:
    house.said.append(slots["text"])
    return Result(Outcome.SUCCEEDED)


def _talk(house: House, slots: Mapping) -> Result:
    person = slots.get("person")
    if person is not None and not house.near(person):
        return Result(Outcome.PRECONDITION, f"{person} is not here", facts=(f"not found({person})",))
    house.asked.append((person or "", slots.get("question") or ""))
    return Result(Outcome.SUCCEEDED, text="yes" if slots.get("question") else "")


def _count(house: House, slots: Mapping) -> Result:
    kind = str(slots["kind"]).replace(" ", "_")
    people = kind in ("people", "persons", "person")
    number = sum(map(house.near, list(house.people))) if people else len(house.seen(kind))
    return Result(Outcome.SUCCEEDED, text=str(number))


def _detect(house: House, slots: Mapping) -> Result:
    things = sorted(thing for thing, place in house.places.items() if house.here(place))
    return Result(Outcome.SUCCEEDED, text=", ".join(things).replace("_", " ") or "nothing")


def _leaf(opened: bool):
    def deed(house: House, slots: Mapping) -> Result:
        house.open[slots["object"]] = opened
        return Result(Outcome.SUCCEEDED)

    return deed


_DEEDS = {
    "go_to": _go_to,
    "find_object": _find_object,
    "find_person": _find_person,
    "pick": _pick,
    "place": _place,
    "hand_over": _hand_over,
    "guide": _guide,
    "follow": _follow,
    "say": _say,
    "answer_question": _talk,
    "ask": _talk,
    "count": _count,
    "detect": _detect,
    "open": _leaf(True),
    "close": _leaf(False),
}
