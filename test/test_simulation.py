"""The simulated robot: the truth that it keeps, and the executor in it over seeded trials."""

from __future__ import annotations

import random

import pytest
from planner_helpers import parts

from llm_ros.execution import Outcome
from llm_ros.planner import Step
from llm_ros.simulation import Faults, House
from llm_ros.simulation.faults import KINDS
from llm_ros.simulation.trials import figures, run_trial, run_trials


def test_the_house_knows_what_is_true():
    skills, world = parts()
    house = House(world, random.Random(0))

    def do(skill, **args):
        return house.do(Step(skill, args), skills[skill])

    assert do("go_to", location="hallway").outcome is Outcome.SUCCEEDED
    assert do("pick", object="apple").facts == ("not found(apple)",)
    assert do("go_to", location="kitchen_table").outcome is Outcome.SUCCEEDED
    assert do("pick", object="fruit").outcome is Outcome.SUCCEEDED and house.hand == "apple"
    assert do("pick", object="pear").facts == ("holding(fruit)",)
    assert do("place", object="fruit", location="sofa").outcome is Outcome.PRECONDITION
    assert do("place", object="fruit", location="kitchen_table").outcome is Outcome.SUCCEEDED
    assert house.places["apple"] == "kitchen_table" and house.hand is None
    assert do("count", kind="fruits").text == "5"


def test_faults_are_seeded_and_checked():
    one, two = (Faults(0.5, {"say": 0.0}, seed=3) for _ in range(2))
    drawn = [one.draw("pick") for _ in range(200)]
    assert drawn == [two.draw("pick") for _ in range(200)] and set(drawn) == {"", *KINDS}
    assert 60 < len(list(filter(None, drawn))) < 140 and not one.draw("say")
    with pytest.raises(ValueError, match="pick = 2: a probability"):
        Faults(skills={"pick": 2.0})
    with pytest.raises(ValueError, match="'explode': expected some of fail"):
        Faults(kinds=("explode",))


def test_two_hundred_seeded_trials_with_a_fifth_of_the_attempts_failing():
    trials = list(run_trials(*parts(), range(200)))
    found = figures(trials)
    assert found["trials"] == 200 and found["solvable"] >= 190
    assert found["done"] >= 0.95 * found["solvable"]
    assert found["hung"] == found["wrongly succeeded"] == found["world differs"] == 0
    assert run_trial(*parts(), seed=7) == run_trial(*parts(), seed=7)


def test_nothing_goes_wrong_where_nothing_fails():
    trials = list(run_trials(*parts(), range(40), failures=0.0, displaced=0.0, absent=0.0))
    assert all(trial.done and trial.outcome is Outcome.SUCCEEDED and not trial.differences for trial in trials)
