"""What commands come to: the development set, and one case for each thing that the symbolic side does."""

from pathlib import Path

import pytest
from planner_helpers import DATA, development_set, obedient_planner, parts, planned

from llm_ros.planner.complete import Completer
from llm_ros.planner.evaluate import read_set
from llm_ros.planner.judge import judge, missing, wilson
from llm_ros.planner.plan import PlanError, Step
from llm_ros.planner.refer import Goal
from llm_ros.planner.skills import parse_skills
from llm_ros.planner.validate import check_step, simulate


@pytest.mark.parametrize("entry", development_set(), ids=lambda entry: entry["id"])
def test_the_development_set(entry):
    planner = obedient_planner(entry.get("skills", "full"), entry["world"])
    assert judge(entry, planner.plan(entry["command"]), planner.skills, planner.world) is None


ALLOWED = {
    "unseen": 0, "blind": 6, "fresh": 3, "third": 9, "hostel": 19, "library": 18, "farm": 20, "school": 17, "hotel": 28,
    "museum": 37, "garage": 40,
}  # fmt: skip


@pytest.mark.parametrize("name, allowed", ALLOWED.items())
def test_commands_written_after_the_rules(name, allowed):
    entries = read_set(DATA / f"planner_{name}.json")
    planners = [obedient_planner(entry.get("skills", "full"), entry["world"]) for entry in entries]
    failures = [
        entry["command"]
        for entry, one in zip(entries, planners, strict=True)
        if judge(entry, one.plan(entry["command"]), one.skills, one.world) is not None
    ]
    assert len(failures) <= allowed, failures


@pytest.mark.parametrize(
    "command, plan",
    [
        # what is told is no order, and holds for what was ordered before
        (
            "Dana needs a cola. You'll find her in the office.",
            "go_to(refrigerator); find_object(cola); pick(cola); "
            "go_to(office); find_person(dana); hand_over(cola, dana)",
        ),
        # an errand that goes on is not meant for the operator
        (
            "Fetch a cola and put it on the desk",
            "go_to(refrigerator); find_object(cola); pick(cola); go_to(desk); place(cola, desk)",
        ),
        # a reason behind the order; a condition that the order itself makes true
        (
            "Bring me the cola because I am thirsty",
            "go_to(refrigerator); find_object(cola); pick(cola); find_person(me); hand_over(cola, me)",
        ),
        ("Open the front door if it is closed", "go_to(hallway); open(front_door)"),
        # a question about nothing that is here to be looked at
        ("What is the capital of France?", "answer_question(me)"),
        (
            "Tell me what the smallest object on the desk is",
            'go_to(desk); detect("smallest object on the desk"); find_person(me); '
            'say("The smallest object on the desk: {result}")',
        ),
        # to a thing: to where it is kept
        ("Guide Dana to the cola", "find_person(dana); guide(dana, refrigerator)"),
        # a state to be brought about
        ("Make sure the front door is closed", "go_to(hallway); close(front_door)"),
    ],
)
def test_what_is_told_and_what_is_meant(command, plan):
    assert planned(command) == plan


def test_a_sentence_that_breaks_off_is_asked_about():
    assert obedient_planner().plan("bring the cola to the").status == "clarify"


def test_staying_and_leaving_contradict():
    assert obedient_planner().plan("go to the office without leaving the kitchen").reason == "contradictory"


FETCH = (
    "go_to(kitchen); find_object(glass_of_water); pick(glass_of_water); find_person(me); hand_over(glass_of_water, me)"
)


@pytest.mark.parametrize(
    "command",
    [
        "Bring me a glass of water from the kitchen",
        "bring me a GLASS OF WATER from the kitchen!!",
        "Bring me a glass_of_water from the kitchen",
        "Please, could you fetch me a glass of water from the kitchen?",
        "I would like a glass of water from the kitchen.",
        "From the kitchen, get me a glass of water",
        "Robot, go and get a glass of water from the kitchen for me",
        "I'd like you to bring me a glass of watr from the kitchen",
    ],
)
def test_the_same_plan_in_other_words(command):
    assert planned(command) == FETCH


@pytest.mark.parametrize(
    "command, plan",
    [
        # a step's needs are brought about, once
        ("pick up the cola", "go_to(refrigerator); find_object(cola); pick(cola)"),
        (
            "Go to the fridge, find the cola, take it and give it to me",
            "go_to(refrigerator); find_object(cola); pick(cola); find_person(me); hand_over(cola, me)",
        ),
        # nobody can fetch what is nowhere: a thing that the world does not know is asked about, and looked for where
        # the command says it is
        ("bring me the blue mug", "clarify"),
        (
            "bring me the blue mug from the desk",
            "go_to(desk); find_object(blue_mug); pick(blue_mug); find_person(me); hand_over(blue_mug, me)",
        ),
        # two trips: the robot may be anywhere after it searched for a person
        (
            "bring me two apples",
            "; ".join(
                ["go_to(kitchen_table); find_object(apple); pick(apple); find_person(me); hand_over(apple, me)"] * 2
            ),
        ),
        # order words
        ("Before you go to the office, close the front door", "go_to(hallway); close(front_door); go_to(office)"),
        ("Go to the office after closing the front door", "go_to(hallway); close(front_door); go_to(office)"),
        # carrying along instead of putting down and picking up
        (
            "take the towel to the bedroom and put it on the nightstand",
            "go_to(washbasin); find_object(towel); pick(towel); go_to(bedroom); go_to(nightstand); place(towel, "
            "nightstand)",
        ),
        # two things of the same person, two persons
        (
            "Give Alice the cup and Bruno the plate",
            "go_to(kitchen_counter); find_object(cup); pick(cup); find_person(alice); hand_over(cup, alice); "
            "go_to(kitchen_counter); find_object(plate); pick(plate); find_person(bruno); hand_over(plate, bruno)",
        ),
        # categories stay as said
        ("I want a snack", "go_to(cupboard); find_object(snack); pick(snack); find_person(me); hand_over(snack, me)"),
        # reports go to whoever asked
        (
            "Tell me how many cups are on the kitchen table",
            "go_to(kitchen_table); count(cups); find_person(me); "
            'say("The number of cups at the kitchen table is {result}.")',
        ),
        # a place attached to a person belongs to the person
        (
            "Bring the apple to Alice in the office",
            "go_to(kitchen_table); find_object(apple); pick(apple); go_to(office); find_person(alice); "
            "hand_over(apple, alice)",
        ),
        # the context of the command narrows an ambiguous name
        ("Go to the bedroom and open the door", "go_to(bedroom); open(bedroom_door)"),
        ("wait half a minute", "wait(30)"),
        ("drive into the bedroom", "go_to(bedroom)"),
        (
            "Open the front door once you have greeted Alice",
            'find_person(alice); say("Hello, Alice!"); go_to(hallway); open(front_door)',
        ),
        (
            "open the front door, then close it again after a minute",
            "go_to(hallway); open(front_door); wait(60); close(front_door)",
        ),
        (
            "tell Emil and Alice that dinner is ready",
            'find_person(emil); say("Dinner is ready"); find_person(alice); say("Dinner is ready")',
        ),
        (
            "ask Emil and Alice what they want",
            'find_person(emil); ask(emil, "what they want"); find_person(alice); ask(alice, "what they want")',
        ),
        ("ask Emil to follow you", 'find_person(emil); ask(emil, "Please follow me")'),
        ("remind Emil of his keys", 'find_person(emil); say("Please remember your keys")'),
        ("Tell Emil that he should come to the office", 'find_person(emil); say("You should come to the office")'),
        ("Invite Emil to the office", 'find_person(emil); say("Please come to the office")'),
        ("Keep the front door closed", "go_to(hallway); close(front_door)"),
        (
            "make sure the front door is closed and the bedroom door is open",
            "go_to(hallway); close(front_door); go_to(bedroom); open(bedroom_door)",
        ),
        ("where are you?", 'say("I am here.")'),
        ("run over to the bedroom", "go_to(bedroom)"),
        ("say 'good night' to Emil", 'find_person(emil); say("good night")'),
    ],
)
def test_plans(command, plan):
    assert planned(command) == plan


@pytest.mark.parametrize(
    "command, outcome",
    [
        ("Go to the swimming pool", "refuse unknown_place"),
        ("Bring me the apple from the garage", "refuse unknown_place"),
        ("Greet Zoe", "refuse unknown_person"),
        ("bring me the moon", "refuse impossible"),
        ("bring me the dishwasher", "refuse impossible"),
        ("pick up Alice", "refuse impossible"),
        ("put the apple on the sofa", "refuse impossible"),
        ("Swim to the kitchen", "refuse impossible"),
        ("Take the cup and the plate", "refuse impossible"),
        ("wait for 5 hours", "refuse impossible"),
        ("hurt Bruno", "refuse unsafe"),
        ("run Bruno over", "refuse unsafe"),
        ("drive into Bruno", "refuse unsafe"),
        ("tell Bruno that I will kill him", "refuse unsafe"),
        ("take the apple from Bruno", "refuse impossible"),
        ("bring Bruno a bomb", "refuse unsafe"),
        ("throw the plate at Chen", "refuse unsafe"),
        ("bring me the cola without opening... without taking it", "refuse contradictory"),
        ("go to the office but do not go to the office", "refuse contradictory"),
        ("go to the kitchen and to the bedroom at the same time", "refuse contradictory"),
        ("put the apple on the table", "clarify"),
        ("bring me something", "clarify"),
        ("bring it to Alice", "clarify"),
        ("follow him", "clarify"),
        ("guide Alice", "clarify"),
        ("put the cup down", "clarify"),
        ("wait", "clarify"),
        ("open the door", "clarify"),
        ("look for Alice in every room", "clarify"),
        ("bring Alice whatever is on the sofa", "clarify"),
        ("close the front door 5", "clarify"),
        ("go there", "clarify"),
        ("do not open the front door", "clarify"),
        ("blah blah", "clarify"),
        ("Hol mir bitte \u00c4pfel", "clarify"),
        ("", "clarify"),
        ("  \n\t ", "clarify"),
        ("?!", "clarify"),
        ("\x00\x01\u202e", "clarify"),
        ("x" * 10_000, "refuse too_long"),
        ("bring me " * 1000, "refuse too_long"),
    ],
)
def test_refusals_and_questions(command, outcome):
    assert planned(command) == outcome


def test_a_question_names_the_choices():
    plan = obedient_planner().plan("put the apple on the table")
    assert plan.to_json() == {"clarify": "Which table do you mean: kitchen table or coffee table?"}


def test_forbidden_places_and_skills():
    assert planned("go to the server room", world="office") == "refuse forbidden"
    skills = parse_skills("skills: {go_to: {safety: forbidden, args: {location: {type: location}}}}")
    with pytest.raises(PlanError, match="not allowed"):
        check_step(Step("go_to", {"location": "kitchen"}), skills, parts()[1])


def test_the_operators_place_is_where_reports_go():
    assert planned("how many batteries are on the parts rack?", world="office").startswith(
        "go_to(parts_rack); count(batteries); go_to(front_counter); find_person(me); say("
    )


def test_other_skills_carry_out_the_same_command():
    assert planned("Bring the lidar to Ingrid in the boardroom", "other", "office") == (
        "navigate_to(workbench); search_item(lidar); grasp(lidar); navigate_to(meeting_room); "
        "locate_person(Ingrid); give_to(lidar, Ingrid)"
    )
    assert planned("hoover the lab", "other", "office") == "navigate_to(lab); vacuum(lab)"
    assert planned("count the badges", "other", "office") == "refuse impossible"


@pytest.mark.parametrize(
    "steps, problem",
    [
        ([("pick", "apple")], "needs found(object)"),
        (
            [("go_to", "kitchen_table"), ("find_object", "apple"), ("go_to", "office"), ("pick", "apple")],
            "step 4, pick(apple): needs found(object)",
        ),
        (
            [("go_to", "kitchen_table"), ("find_object", "apple"), ("pick", "apple"), ("hand_over", "apple", "alice")],
            "needs found(person)",
        ),
        ([("hand_over", "apple", "me")], "needs holding(object)"),
        ([("find_object", "apple")], "needs at(place(object))"),
        ([("guide", "alice", "office")], "needs found(person)"),
        ([("go_to", "moon")], "I do not know 'moon'"),
        ([("dance",)], "no skill 'dance'"),
        ([("wait", "3601")], "must be in 0 .. 3600, got 3601"),
        ([("wait", "nan")], "got nan"),
        ([("say", "")], "text is missing"),
        ([("say", "a\nb")], "printable"),
    ],
)
def test_simulation_finds_what_is_wrong(steps, problem):
    skills, world = parts()
    listed = [
        Step(name, dict(zip((arg.name for arg in skills[name].args) if name in skills else "", values, strict=False)))
        for name, *values in steps
    ]
    with pytest.raises(PlanError) as caught:
        simulate(listed, skills, world)
    assert problem in str(caught.value)


def test_every_plan_of_the_development_set_survives_simulation():
    skills, world = parts()
    planner = obedient_planner()
    for entry in development_set():
        if Path(entry["world"]).name == "world.yaml" and "steps" in entry:
            steps = planner.plan(entry["command"]).steps
            interpreted = planner._interpreter.read(entry["command"]).readings[0]
            facts = {name: place for goal in interpreted for name, place in goal.facts.items()}
            kinds = [goal for goal in interpreted if goal.role in ("find_person", "pick", "find_object")]
            if len({name for goal in kinds for name in goal.facts}) == sum(len(goal.facts) for goal in kinds):
                simulate(steps, skills, world, facts)


def test_completion_is_bounded_and_refuses_what_nothing_brings_about():
    skills = parse_skills(
        "skills:\n  a: {args: {x: {type: object, free: true}}, needs: [holding(x)], effects: [found(x)], role: none}\n"
        "  b: {args: {x: {type: object, free: true}}, needs: [found(x)], effects: [holding(x)], role: none}\n"
    )
    with pytest.raises(PlanError):
        Completer(skills, parts()[1]).complete([Goal("skill:a", {"x": "apple"})])
    with pytest.raises(PlanError, match="60 steps"):
        Completer(*parts()).complete([Goal("wait", {"seconds": 1.0})] * 61)


def test_the_judge():
    skills, world = parts()
    steps = [
        Step("go_to", {"location": "kitchen_table"}),
        Step("pick", {"object": "apple"}),
        Step("hand_over", {"object": "apple", "person": "me"}),
    ]
    assert missing(["pick(apple)@kitchen", "hand_over(apple, me)"], steps, skills, world) is None
    assert (
        missing(["pick(apple)@office", "hand_over(apple, me)"], steps, skills, world)
        == "pick(apple) comes where pick(apple)@office should"
    )
    assert missing(["pick(apple)"], steps, skills, world) == "hand_over(apple, me) is not asked for here"
    assert missing(["pick(a*|pear)", "hand_over(*, me)", "say(*)"], steps, skills, world) == "say(*) is missing"
    assert missing(["place(apple, bed)|pick(apple)", "hand_over(apple, me)"], steps, skills, world) is None
    low, high = wilson(9, 10)
    assert (round(low, 3), round(high, 3)) == (0.596, 0.982)


def test_all_doors_are_each_of_them():
    steps = planned("close all doors").split("; ")
    doors = [step for step in steps if step.startswith("close(")]
    assert doors == [f"close({door})" for door in parts()[1].doors]
    assert planned("close the doors") == planned("close every door") == planned("close all doors")
