"""What the robot takes for true: the planner's `State`, kept up with what steps achieve and what servers report.

In: effects of steps that succeeded or failed, facts such as "holding(apple)" or "not found(cup)". Out: the state that
needs are checked against. It outlives plans: the next command starts from where the last one ended.
"""

from __future__ import annotations

import contextlib
import functools
import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import replace

from llm_ros.execution.outcome import Outcome
from llm_ros.execution.robot import Result
from llm_ros.planner.conditions import PREDICATES, STATIC, Condition, State, same
from llm_ros.planner.plan import Step
from llm_ros.planner.skills import Skill
from llm_ros.planner.validate import initial_state
from llm_ros.planner.world import World

_FACT = re.compile(r"\s*(not\s+)?(\w+)\s*(?:\(([^()]*)\))?\s*$")


def parse_fact(text: str) -> tuple[Condition, dict[str, str]]:
    """A condition over names of the world, "located(cup, sink)", as an effect and its arguments. Raises ValueError."""
    match = _FACT.match(text)
    if not match or match[2] not in PREDICATES or match[2] in STATIC:
        known = ", ".join(name for name in PREDICATES if name not in STATIC)
        raise ValueError(f"{text[:80]!r} is no fact; predicates: {known}")
    values = [value.strip() for value in (match[3] or "").split(",")] if match[3] else []
    if len(values) != PREDICATES[match[2]] or not all(values):
        raise ValueError(f"{text[:80]!r}: {match[2]} takes {PREDICATES[match[2]]} name(s), got {len(values)}")
    names = [f"_{number}" for number in range(len(values))]
    return Condition(match[2], tuple((name, False) for name in names), bool(match[1])), dict(
        zip(names, values, strict=True)
    )


def _whole(method):
    """Holds the belief's lock while the method runs."""

    @functools.wraps(method)
    def locked(self, *args, **kwargs):
        with self._lock:
            return method(self, *args, **kwargs)

    return locked


class Belief:
    """The state, and how it changes. Every change is whole for other threads: the executor and whoever tells what was
    seen write to it, the planner reads.
    """

    def __init__(self, world: World):
        self._lock = threading.RLock()
        self.world, self.state = world, initial_state(world)

    @_whole
    def use(self, world: World) -> None:
        """Another world file: what was learned holds on where the names still exist."""
        places = initial_state(world).places
        learned = {name: place for name, place in self.state.places.items() if place is None or place in world.places}
        known = {name: place for name, place in learned.items() if place != initial_state(self.world).places.get(name)}
        at = self.state.at if self.state.at in world.places else None
        self.world, self.state = world, replace(self.state, at=at, places={**places, **known})

    @_whole
    def moved(self) -> dict[str, str | None]:
        """Where things and people are that are not where the world file has them; None: nobody knows."""
        start = initial_state(self.world).places
        return {name: place for name, place in self.state.places.items() if place != start.get(name)}

    @_whole
    def put(self, thing: str, place: str | None) -> None:
        """Somebody says where a thing or person is now; None: nobody knows. It is in reach only if it was and stays."""
        state = self.state
        stays = self.world.is_at(state.at, place) if place is not None else False
        self.state = replace(
            state,
            found=tuple(name for name in state.found if stays or not same(name, thing)),
            holding=None if same(state.holding, thing) else state.holding,
            places={**state.places, thing: place},
        )

    @_whole
    def forget(self, thing: str) -> None:
        """The thing is no longer part of the world."""
        self.put(thing, None)
        state = self.state
        places = {name: place for name, place in state.places.items() if name != thing}
        self.state = replace(state, places=places, closed={k: v for k, v in state.closed.items() if k != thing})

    @contextlib.contextmanager
    def presuming(self, facts: Mapping[str, str]):
        """Within: things are where a step takes them to be. After it that is kept only for what was found there."""
        with self._lock:
            before = {thing: self.state.places.get(thing) for thing in facts}
            self.state = replace(self.state, places={**self.state.places, **facts})
        try:
            yield
        finally:
            with self._lock:
                places = dict(self.state.places)
                for thing, place in facts.items():
                    if places.get(thing) in (place, None) and not any(same(thing, name) for name in self.state.found):
                        places[thing] = before[thing] if before[thing] != place else places.get(thing)
                self.state = replace(self.state, places=places)

    @_whole
    def learn(self, facts: Iterable[str]) -> None:
        """Takes reported facts, in order. Raises ValueError for one that cannot be read."""
        for text in facts:
            condition, args = parse_fact(text)
            if condition.predicate == "at" and not condition.negated and args["_0"] not in self.world.places:
                raise ValueError(f"{text[:80]!r}: no room or location of the world")
            if condition.predicate == "found" and condition.negated:
                self.missing(args["_0"])
            else:
                self._apply(condition, args)

    @_whole
    def judged(self, result: Result, step: Step, skill: Skill) -> Result:
        """The result after what it tells about the world was taken in, which may say more than the server's verdict."""
        if result.outcome is Outcome.SUCCEEDED:
            self.done(step, skill)
        else:
            self.failed(step, skill)
        before = self.achieved(step, skill)
        try:
            self.learn(result.facts)
        except ValueError as error:
            result = replace(result, message="; ".join(filter(None, (result.message, f"facts: {error}"))))
        after = self.achieved(step, skill)
        if result.outcome is Outcome.SUCCEEDED and before and not after:
            return replace(result, outcome=Outcome.POSTCONDITION, message=result.message or "it had no effect")
        if result.outcome not in (Outcome.SUCCEEDED, Outcome.UNKNOWN) and after and not before:
            return replace(result, outcome=Outcome.SUCCEEDED)
        return result

    @_whole
    def missing(self, thing: str) -> None:
        """The thing is not where the robot is."""
        state = self.state
        place = state.places.get(thing)
        gone = place is not None and (place == state.at or self.world.room_of(state.at) == place)
        found = tuple(name for name in state.found if not same(name, thing))
        self.state = replace(state, found=found, places={**state.places, thing: None} if gone else state.places)

    @_whole
    def done(self, step: Step, skill: Skill) -> None:
        """The step succeeded: its effects hold."""
        for effect in skill.effects:
            self._apply(effect, step.args)

    @_whole
    def failed(self, step: Step, skill: Skill) -> None:
        """The step was begun and did not succeed: it may have moved the robot."""
        if not any(effect.predicate == "at" for effect in skill.effects):
            return
        for effect in skill.effects:
            if effect.negated:
                self._apply(effect, step.args)
        self.state = replace(self.state, at=None)

    @_whole
    def forget_reach(self, step: Step) -> None:
        """What the step deals with has to be looked for again."""
        values = [value for value in step.args.values() if isinstance(value, str)]
        found = tuple(name for name in self.state.found if not any(same(name, value) for value in values))
        self.state = replace(self.state, found=found)

    def achieved(self, step: Step, skill: Skill) -> bool:
        """Whether everything that the step is to bring about holds (a step that brings nothing about: no)."""
        wanted = [effect for effect in skill.effects if not effect.negated]
        return bool(wanted) and all(self._holds(effect, step.args) for effect in wanted)

    def _holds(self, effect: Condition, args: Mapping) -> bool:
        values = effect.bind(args, self.state.places)
        if any(value is None for value in values):
            return True
        if effect.predicate == "located":
            return same(self.state.places.get(values[0]), values[1])
        if effect.predicate == "closed":
            return self.state.closed.get(values[0]) is True
        if effect.predicate == "at":
            return self.state.at == values[0]
        return self.state.holds(effect, args, self.world)

    def _apply(self, effect: Condition, args: Mapping) -> None:
        values = effect.bind(args, self.state.places)
        self.state = self.state.after((effect,), args)
        if effect.predicate == "holding" and not effect.negated and values[0] is not None:
            # What is in the hand is at no place.
            self.state = replace(self.state, places={**self.state.places, values[0]: None})


class Presumed:
    """What a plan takes for granted about where things are: who drives to a place and looks there expects it there."""

    def __init__(self, state: State, world: World):
        self._state, self._world = replace(state, at=None), world

    def facts(self, step: Step, skill: Skill) -> dict[str, str]:
        """Where the things of the plan's next step are presumed to be."""
        facts = {}
        for need in skill.needs:
            if need.predicate == "at" and need.terms[0][1] and not self._state.holds(need, step.args, self._world):
                thing = step.args.get(need.terms[0][0])
                if thing is not None and self._state.at is not None and thing not in self._world.places:
                    facts[str(thing)] = self._state.at
        state = replace(self._state, places={**self._state.places, **facts})
        self._state = state.after(skill.effects, step.args)
        return facts
