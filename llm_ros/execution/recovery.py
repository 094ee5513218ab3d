"""What to do about a step that cannot be begun or did not succeed: the steps to try instead, or why there is no way on.

In: the step, what is believed now, what has been tried. Out: steps that end with the step itself or with one that does
the same; `PlanError` where there are none. Ways, in this order: look for a missing thing where its kind is usually
held, and then nearby; another skill with the same effects; the same step, made possible anew by the planner's symbolic
side. Bounded by `Limits`. Executes nothing.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from llm_ros.execution.belief import Belief
from llm_ros.execution.robot import Result
from llm_ros.planner.complete import Completer
from llm_ros.planner.conditions import Condition, same
from llm_ros.planner.plan import PlanError, Step
from llm_ros.planner.skills import Skill, Skills
from llm_ros.planner.world import World


@dataclass(frozen=True)
class Limits:
    """Bounds of recovery. places: where one thing is looked for, the first place included. rounds: new beginnings of
    one step after its retries. repairs: changes of one plan.
    """

    places: int = 20
    rounds: int = 4
    repairs: int = 40


class Recovery:
    """Recovery for one plan: counts what it has tried."""

    def __init__(self, skills: Skills, world: World, completer: Completer, limits: Limits):
        self._skills, self._world, self._completer, self._limits = skills, world, completer, limits
        self._looked: dict[str, list[str]] = {}
        self._rounds: Counter[tuple] = Counter()
        self._replaced: set[tuple[str, str]] = set()
        self._repairs = 0
        self._putting: list[Step] = []  # where the hand was to be freed; the latest last

    def use(self, world: World, completer: Completer) -> None:
        """The world has changed; what was tried stays tried."""
        self._world, self._completer = world, completer

    def possible(self, step: Step, belief: Belief) -> list[Step]:
        """What makes a step possible whose needs do not hold. Raises PlanError."""
        self._count(step)
        held = belief.state.holding
        try:
            return self._completer.reach(step, belief.state)
        except PlanError:
            if held is None or any(same(held, str(value)) for value in step.args.values()):
                raise
            return [*self._put_down(belief), step]  # an earlier plan left it in the hand

    def instead(
        self, step: Step, belief: Belief, missing: str | None, result: Result
    ) -> tuple[list[Step], dict[str, str]]:
        """What to do after a step failed for good with `result`, and where things are presumed to be for it; `missing`:
        the thing that it was to find and that is not there.

        Raises PlanError, its message empty where the failure itself says all there is to say.
        """
        if missing is not None:
            return self._elsewhere(step, belief, missing)
        other = self._substitute(step)
        if other is not None:
            return self._completer.reach(other, belief.state), {}
        if result.final:
            raise PlanError("precondition", "")
        self._count(step)
        if step in self._putting[-1:] and not result.unsure and belief.state.holding is not None:
            return self._put_down(belief), {}  # any place will do
        if not result.unsure:
            belief.forget_reach(step)
        return self._completer.reach(step, belief.state), {}

    def look(self, thing: str, place: str | None) -> None:
        """Notes that a thing is looked for at a place."""
        looked = self._looked.setdefault(thing, [])
        if place is not None and place not in looked:
            looked.append(place)

    def seen(self, thing: str) -> None:
        """The thing was found: where it was not before says nothing any more."""
        self._looked.pop(thing, None)

    def _count(self, step: Step) -> None:
        self._repairs += 1
        key = (step.skill, *map(str, step.args.values()))
        self._rounds[key] += 1
        if self._repairs > self._limits.repairs or self._rounds[key] > self._limits.rounds:
            raise PlanError("precondition", "")

    def _put_down(self, belief: Belief) -> list[Step]:
        """Frees the hand: what it holds goes to the nearest place that takes things."""
        skill = self._skills.playing("place")
        held = belief.state.holding
        tried = {step.args[skill.slots["location"]] for step in self._putting} if skill else set()
        places = (place for place in nearby(self._world, belief.state.at) if place not in tried)
        place = next((place for place in places if self._world.locations[place].placement), None)
        if skill is None or place is None or "object" not in skill.slots:
            raise PlanError("precondition", f"I still hold the {held}")
        step = Step(skill.name, {skill.slots["object"]: held, skill.slots["location"]: place}, inserted=True)
        self._putting.append(step)
        return self._completer.reach(step, belief.state)

    def _elsewhere(self, step: Step, belief: Belief, thing: str) -> tuple[list[Step], dict[str, str]]:
        looked = self._looked.get(thing, [])
        place = next((place for place in self._places(step, belief, thing) if place not in looked), None)
        if place is None or len(looked) >= self._limits.places:
            where = ", ".join(name.replace("_", " ") for name in looked)
            raise PlanError("precondition", f"it is not where I looked: {where}" if where else "it is not there")
        self.look(thing, place)
        state = replace(belief.state, places={**belief.state.places, thing: place})
        return self._completer.reach(step, state), {thing: place}

    def _places(self, step: Step, belief: Belief, thing: str):
        """Where a thing or person may be, the likeliest first; without what may not be entered."""
        world, looked = self._world, self._looked.get(thing, [])
        name = next((name for name in (*world.objects, *world.people) if same(name, thing)), thing)
        start = looked[0] if looked else belief.state.at
        person = any(
            arg.type == "person" and same(str(step.args.get(arg.name)), thing) for arg in self._skills[step.skill].args
        )
        found = [belief.state.places.get(thing), belief.state.places.get(name), world.home_of(name)]
        if person:
            # People move: the room where somebody was expected, then every other one.
            found += [world.room_of(start), *world.rooms]
        else:
            category = world.category_of(name) or world.category_of(name.rsplit("_", 1)[-1])
            kinds = {name} | ({category.name, category.singular, *category.objects} if category else set())
            found += [place.name for place in world.locations.values() if kinds & set(place.holds)]
            found += [belief.state.places.get(kind) for kind in kinds]
            places = nearby(world, start)  # what takes things first
            found += sorted(places, key=lambda place: not world.locations[place].placement)
        forbidden = set(world.forbidden)
        return [
            place
            for place in dict.fromkeys(found)
            if place in world.places and place not in forbidden and world.room_of(place) not in forbidden
        ]

    def _substitute(self, step: Step) -> Step | None:
        """Another skill that brings the same about with the same things."""
        skill = self._skills[step.skill]
        wanted = _bound(skill, step)
        for predicate in dict.fromkeys(predicate for predicate, _ in wanted):
            for other in self._completer.makers(predicate):
                if (
                    other.name == skill.name
                    or other.safety == "forbidden"
                    or (step.skill, other.name) in self._replaced
                ):
                    continue
                candidate = _same_arguments(skill, step, other)
                if candidate is not None and _bound(other, candidate) == wanted:
                    self._replaced |= {(step.skill, other.name), (other.name, step.skill)}
                    return candidate
        return None


def _bound(skill: Skill, step: Step) -> list[tuple[str, tuple]]:
    effects: list[Condition] = [effect for effect in skill.effects if not effect.negated]
    return sorted((effect.predicate, effect.bind(step.args, {})) for effect in effects)


def _same_arguments(skill: Skill, step: Step, other: Skill) -> Step | None:
    """The other skill with this step's values, matched by type; None unless each required argument gets one."""
    values = [(arg.type, step.args[arg.name]) for arg in skill.args if arg.name in step.args]
    args = {}
    for arg in other.args:
        value = next((value for value in values if value[0] == arg.type), None)
        if value is not None:
            values.remove(value)
            args[arg.name] = value[1]
        elif not arg.optional:
            return None
    return None if values else Step(other.name, args, step.inserted)


def nearby(world: World, place: str | None) -> list[str]:
    """Locations in the order in which one would look: those of the same room, then those next door, then the others."""
    room = world.room_of(place)
    beside = {other for between in world.doors.values() if room in between for other in between}
    rank = {room: 0} | {other: 1 for other in beside if other != room}
    locations = list(world.locations.values())
    return [place.name for place in sorted(locations, key=lambda location: rank.get(location.room, 2))]
