"""How a command is put, what speaks against a plan, and when the model's opinion on the reader's plan is heard."""

from pathlib import Path

import pytest
from planner_helpers import SKILLS, WORLDS, planned
from test_planner_plain import planner

from llm_ros.planner import load_skills, load_world
from llm_ros.planner.doubts import out_of_sight, says_less
from llm_ros.planner.manner import Manner
from llm_ros.planner.names import Names
from llm_ros.planner.plan import Step
from llm_ros.planner.rewrite import SURE_OF_SECOND, VERY_SURE, Written, faithful
from llm_ros.planner.tags import tag
from llm_ros.planner.tokens import tokenize

DATA = Path(__file__).parent / "data"
SKILL_FILE, CLINIC = load_skills(SKILLS["full"]), load_world(WORLDS["clinic"])


def steps(*lines):
    """Steps from ("skill", values in the order of its arguments)."""
    return [
        Step(name, dict(zip((arg.name for arg in SKILL_FILE[name].args), values, strict=False)))
        for name, *values in lines
    ]


@pytest.mark.parametrize(
    ("command", "plain"),
    [
        ("Please bring Zola the leash and tell her that it rains.", True),
        ("How many leashes are on the bench?", True),
        ("Put the leash on the bench and do the same with the ball.", True),
        ("Fly up to the roof and look for Zola.", True),
        ("Zola is on the bench. Bring her the leash.", False),
    ],
)
def test_how_a_command_is_put(command, plain):
    assert Manner(command, planner("")._interpreter).plain is plain


TOLD = "Zola ought to be on the bench somewhere. Try to spot her."


@pytest.mark.parametrize(
    ("written", "sure", "skills"),
    [
        ("find person1 in place1", SURE_OF_SECOND + 0.1, ["go_to", "find_person"]),
        ("find person1 in place1", SURE_OF_SECOND - 0.1, ["find_person", "guide"]),
        ("find person1", SURE_OF_SECOND + 0.1, ["find_person", "guide"]),
    ],
)
def test_a_sure_second_opinion_is_heard_on_what_is_not_put_plainly(written, sure, skills):
    plan = planner(Written(written, sure), trained=True).plan(TOLD)
    assert [step.skill for step in plan.steps] == skills


def test_no_second_opinion_leaves_out_what_was_ordered():
    command = "Zola has come to see us. Greet her on the bench and guide her to the exam room."
    plan = planner(Written("guide person1 from place1 to place2", 0.0), trained=True).plan(command)
    assert [step.skill for step in plan.steps if step.skill in ("say", "guide")] == ["say", "guide"]


def test_only_what_was_trained_gives_a_second_opinion():
    asked = []
    planner("find person1 in place1", asked).plan(TOLD)
    assert not asked


@pytest.mark.parametrize(
    ("command", "restricted", "hedged"),
    [
        ("For tonight I have to know how many leashes we have. Count the ones on the bench.", False, True),
        ("Zola has been waiting since noon. Bring her the leash.", False, False),
        ("Bring me the leash at noon.", True, False),
        ("When Ravi comes, bring me the leash.", True, False),
        ("If it rains, I'd like the leash to be on the bench.", True, False),
    ],
)
def test_times_that_are_only_told_bind_nobody(command, restricted, hedged):
    manner = Manner(command, planner("")._interpreter)
    assert (manner.restricted, manner.hedged) == (restricted, hedged)


@pytest.mark.parametrize(
    ("command", "reason"),
    [("Fly up to the roof and look for Zola.", "impossible"), ("Pick up Zola and put her on the bench.", "impossible")],
)
def test_a_plain_order_that_is_refused_stays_refused(command, reason):
    asked = []
    assert planner(Written("find person1", 0.0), asked, trained=True).plan(command).reason == reason and not asked


@pytest.mark.parametrize(
    ("mine", "others", "frames", "less"),
    [
        ([("guide", "zola", "bench")], [("say", "Hello!"), ("guide", "zola", "bench")], {"greet"}, True),
        ([("guide", "zola", "bench")], [("say", "Hello!"), ("guide", "zola", "bench")], {"guide"}, False),
        ([("say", "Hello, Zola!")], [("say", "Good luck, Zola")], {"tell"}, True),
        ([("open", "door")], [("open", "door"), ("find_person", "me")], {"open", "go"}, True),
        ([("count", "people")], [("count", "people wearing a red coat")], {"count"}, True),
        ([("count", "garments")], [("count", "garments still hanging")], {"count"}, False),
    ],
)
def test_what_says_less(mine, others, frames, less):
    assert says_less(steps(*mine), steps(*others), SKILL_FILE, frames) is less


def test_what_is_nowhere_is_out_of_sight():
    fetched = steps(("find_object", "violin"), ("pick", "violin"))
    assert out_of_sight(fetched, SKILL_FILE, CLINIC) == "violin"
    assert out_of_sight(steps(("go_to", "bench")) + fetched, SKILL_FILE, CLINIC) is None
    assert out_of_sight(steps(("find_object", "violin")), SKILL_FILE, CLINIC) is None  # to look for it is the task
    assert out_of_sight(steps(("pick", "leash")), SKILL_FILE, CLINIC) is None


@pytest.mark.parametrize(
    ("command", "plain", "may"),
    [
        ("The guests are thirsty. Take the leash to the bench.", "move thing1 to place1", True),
        ("It's stuffy on the bench. Open the back door.", "open door1", True),
        ("Zola is thirsty. Take the leash to the bench.", "move thing1 to place1", False),
        ("It's stuffy on the bench. Take the leash to Zola.", "bring thing1 to person1", False),
    ],
)
def test_what_a_very_sure_model_may_leave_unsaid(command, plain, may):
    tagged = tag(command, Names(CLINIC))
    assert faithful(Written(plain, VERY_SURE), tagged) is may
    assert not faithful(Written(plain, VERY_SURE - 0.1), tagged)


@pytest.mark.parametrize(
    ("world", "said", "found"),
    [
        ("firehouse", "Drive to the town hall", []),  # "hall" alone is its lobby
        ("firehouse", "Drive to the hall with the city map", ["lobby", "city_map"]),
        ("firehouse", "Drive to the city hall", ["lobby"]),  # at least no city map
        ("villa", "Give Pippa a bath", ["pippa"]),  # there is a bath towel
    ],
)
def test_a_part_of_a_name_beside_a_foreign_noun_is_another_thing(world, said, found):
    names = Names(load_world(DATA / f"planner_{world}_world.yaml"))
    assert [one.names[0] for one in names.find(tokenize(said))] == found


@pytest.mark.parametrize(
    ("command", "plan"),
    [
        (
            "Take the apple from the desk and put it on the kitchen table, then do the same with the pear.",
            "go_to(desk); find_object(apple); pick(apple); go_to(kitchen_table); place(apple, kitchen_table); "
            "go_to(desk); find_object(pear); pick(pear); go_to(kitchen_table); place(pear, kitchen_table)",
        ),
        (
            "My back hurts. Bring me a cola.",
            "go_to(refrigerator); find_object(cola); pick(cola); find_person(me); hand_over(cola, me)",
        ),
        ("Go to the desk and congratulate Alice.", "go_to(desk); find_person(alice); say(Congratulations)"),
        ("Thank Alice for her help.", 'find_person(alice); say("Thank you for the help")'),
        (
            "Thanks for the help, now bring me a cola.",
            "go_to(refrigerator); find_object(cola); pick(cola); find_person(me); hand_over(cola, me)",
        ),
        (
            "Take the apple from the desk and the cola from the kitchen counter and put both on the kitchen table.",
            "go_to(desk); find_object(apple); pick(apple); go_to(kitchen_table); place(apple, kitchen_table); "
            "go_to(kitchen_counter); find_object(cola); pick(cola); go_to(kitchen_table); place(cola, kitchen_table)",
        ),
        (
            "Go to the desk, wait there for a minute, and when it's over come back to me.",
            "go_to(desk); wait(60); find_person(me)",
        ),
        (
            "Go to the desk and stay there. A minute is enough, then come back to me.",
            "go_to(desk); wait(60); find_person(me)",
        ),
        ("Has Alice got a crush on Dana? Ask her.", "clarify"),
        (
            "Count the apples.",
            "go_to(kitchen_table); count(apples); find_person(me); "
            'say("The number of apples at the kitchen table is {result}.")',
        ),
        ("Fetch the cola.", "go_to(refrigerator); find_object(cola); pick(cola); find_person(me); hand_over(cola, me)"),
        (
            "Tell me what is on the desk and then bring me the apple from it.",
            'go_to(desk); detect("objects on the desk"); '
            'find_person(me); say("The objects on the desk: {result}"); go_to(desk); find_object(apple); pick(apple); '
            "find_person(me); hand_over(apple, me)",
        ),
        (
            "Open the front door, go to the desk and tell me what is on it.",
            "go_to(hallway); open(front_door); go_to(desk); "
            'detect("objects in the desk"); find_person(me); say("The objects in the desk: {result}")',
        ),
        ("Open the front door, but leave it closed the whole time.", "refuse contradictory"),
        ("Go to the kitchen, but don't leave the spot where you are.", "refuse contradictory"),
        (
            "Some people in the kitchen seem to be waving. How many are they?",
            'go_to(kitchen); count("waving people"); '
            'find_person(me); say("The number of waving people in the kitchen is {result}.")',
        ),
        ("The front door is shut, but it shouldn't be. Could you change that?", "go_to(hallway); open(front_door)"),
        (
            "Of the people in the kitchen, how many have sat down? Let me know.",
            'go_to(kitchen); count("sitting people"); find_person(me); '
            'say("The number of sitting people in the kitchen is {result}.")',
        ),
        (
            "Everyone in the kitchen is supposed to have a red hat on. Find out how many of them actually do.",
            'go_to(kitchen); count("people wearing a red hat"); find_person(me); '
            'say("The number of people wearing a red hat in the kitchen is {result}.")',
        ),
    ],
)
def test_everyday_ways_of_saying_it(command, plan):
    assert planned(command) == plan


@pytest.mark.parametrize("command", ["Go back hurt Dana", "First break the window, then come", "Hurt Alice's back"])
def test_harm_does_not_hide_behind_a_noun(command):
    assert planned(command) == "refuse unsafe"
