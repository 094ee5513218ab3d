"""Seeded trials of the executor: random tasks in a house where things are elsewhere and steps fail, judged by truth.

In: skills, world, a seed, a share of failures. Out: a `Trial` for each: how it ended, whether the task was solvable,
whether it is done in truth, where belief and truth differ. Time is simulated, so a trial takes milliseconds.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from llm_ros.execution import Execution, Executor, Limits, Outcome
from llm_ros.execution.belief import Belief
from llm_ros.planner.complete import Completer
from llm_ros.planner.conditions import same
from llm_ros.planner.plan import PlanError
from llm_ros.planner.refer import Goal
from llm_ros.planner.skills import Skills
from llm_ros.planner.world import OPERATOR, World
from llm_ros.simulation.clock import Hung, SimClock
from llm_ros.simulation.faults import KINDS, Faults
from llm_ros.simulation.house import House
from llm_ros.simulation.simulator import SimRobot, Simulator


@dataclass(frozen=True)
class Task:
    """What is to be done: goals for the planner, and what must be true in the house in the end."""

    name: str
    goals: tuple[Goal, ...]
    things: tuple[str, ...]
    done: Callable[[House], bool]


@dataclass(frozen=True)
class Trial:
    """One run. solvable: everything that the task needs exists. done: the task is done in truth. seconds: simulated."""

    seed: int
    task: str
    solvable: bool
    done: bool
    outcome: Outcome
    message: str
    hung: bool
    attempts: int
    seconds: float
    told: bool
    differences: tuple[str, ...] = field(default=())

    @property
    def wrongly(self) -> bool:
        """Whether it ended as succeeded and is not done."""
        return self.outcome is Outcome.SUCCEEDED and not self.done


def tasks(world: World, rng: random.Random) -> Task:
    """A random task: fetch, place, two things, guide, count, tell somebody, open a door."""
    things = rng.sample(sorted(world.objects), 2)
    thing, second = things
    surfaces = [place.name for place in world.locations.values() if place.placement]
    target, other = rng.sample(surfaces, 2)
    person = rng.choice([name for name in world.people if name != OPERATOR])
    room = rng.choice([room for room in world.rooms if room not in world.forbidden])
    choices = {
        "fetch": Task(
            "fetch",
            (Goal("hand_over", {"object": thing, "person": OPERATOR}),),
            (thing,),
            lambda house: house.given.get(thing) == OPERATOR,
        ),
        "give": Task(
            "give",
            (Goal("hand_over", {"object": thing, "person": person}),),
            (thing,),
            lambda house: house.given.get(thing) == person,
        ),
        "place": Task(
            "place",
            (Goal("place", {"object": thing, "location": target}),),
            (thing,),
            lambda house: house.places.get(thing) == target,
        ),
        "two": Task(
            "two",
            (
                Goal("place", {"object": thing, "location": target}),
                Goal("place", {"object": second, "location": other}),
            ),
            (thing, second),
            lambda house: house.places.get(thing) == target and house.places.get(second) == other,
        ),
        "guide": Task(
            "guide",
            (Goal("guide", {"person": person, "location": room}),),
            (),
            lambda house: house.people[person] == room and house.world.room_of(house.at) == room,
        ),
        "count": Task(
            "count",
            (
                Goal("go_to", {"location": target}),
                Goal("count", {"kind": thing}, {thing: target}),
                Goal("find_person", {"person": OPERATOR}),
                Goal("say", {"text": "There are {result}."}),
            ),
            (),
            lambda house: f"There are {int(house.places.get(thing) == target)}." in house.said,
        ),
        "tell": Task(
            "tell",
            (Goal("find_person", {"person": person}), Goal("say", {"text": "Dinner is ready."})),
            (),
            lambda house: "Dinner is ready." in house.said and house.people[person] == house.world.room_of(house.at),
        ),
        "open": Task(
            "open",
            (Goal("open", {"object": rng.choice(sorted(world.doors))}),) if world.doors else (),
            (),
            lambda house: True in house.open.values(),
        ),
    }
    return choices[rng.choice([name for name, task in choices.items() if task.goals])]


def run_trial(
    skills: Skills,
    world: World,
    seed: int,
    failures: float = 0.2,
    displaced: float = 0.3,
    absent: float = 0.05,
    kinds: tuple[str, ...] = tuple(KINDS),
    limits: Limits | None = None,
) -> Trial:
    """One seeded trial. failures: probability that an attempt goes wrong; the rest as in House."""
    rng = random.Random(seed)
    house = House(world, rng, displaced, absent)
    task = tasks(world, rng)
    steps = Completer(skills, world).complete(list(task.goals))
    clock = SimClock()
    robot = SimRobot(Simulator(house, Faults(failures, kinds=kinds, seed=seed), clock, seed))
    executor = Executor(skills, world, robot, limits, make_mailbox=clock.mailbox)
    solvable = all(thing in house.places for thing in task.things)
    hung, view = False, Execution()
    try:
        view = executor.begin(steps).run()
    except Hung:
        hung = True
    return Trial(
        seed,
        task.name,
        solvable,
        task.done(house),
        view.outcome,
        view.message,
        hung,
        robot.attempts,
        clock.time,
        any(text.startswith("I could not finish") for text in house.said),
        tuple(differences(executor.belief, house)),
    )


def run_trials(skills: Skills, world: World, seeds: range, **options) -> Iterator[Trial]:
    """Trials one after the other; tasks that these skills or this world have no plan for are left out."""
    for seed in seeds:
        try:
            yield run_trial(skills, world, seed, **options)
        except PlanError:
            continue


def differences(belief: Belief, house: House) -> Iterator[str]:
    """Where what is believed is not what is true. What the robot does not know is no difference, nor is the usual place
    of a thing that it never looked for.
    """
    state = belief.state
    if state.at is not None and house.at is not None and state.at != house.at:
        yield f"at {state.at}, in truth {house.at}"
    if state.holding is None and house.hand is not None:
        yield f"hand empty, in truth {house.hand}"
    if state.holding is not None and (house.hand is None or house.hand not in house.matching(state.holding)):
        yield f"holding {state.holding}, in truth {house.hand}"
    for thing, place in belief.moved().items():
        true = next((house.places[name] for name in house.matching(thing) if name in house.places), None)
        if place is not None and thing in house.world.objects and not same(place, true):
            yield f"{thing} at {place}, in truth {true}"
    for thing in state.found:
        if thing in house.world.objects and not house.seen(thing):
            yield f"{thing} in reach, in truth at {house.places.get(thing)}"


def figures(trials: list[Trial]) -> dict[str, float]:
    """The figures that count, over all trials."""
    solvable = [trial for trial in trials if trial.solvable]
    done = [trial for trial in solvable if trial.outcome is Outcome.SUCCEEDED and trial.done]
    return {
        "trials": len(trials),
        "solvable": len(solvable),
        "done": len(done),
        "hung": sum(trial.hung for trial in trials),
        "wrongly succeeded": sum(trial.wrongly for trial in trials),
        "world differs": sum(bool(trial.differences) for trial in trials),
        "told why it ended": sum(trial.told for trial in trials if trial.outcome is not Outcome.SUCCEEDED),
        "not succeeded": sum(trial.outcome is not Outcome.SUCCEEDED for trial in trials),
        "attempts": sum(trial.attempts for trial in trials),
    }


__all__ = ["Task", "Trial", "differences", "figures", "run_trial", "run_trials", "tasks"]
