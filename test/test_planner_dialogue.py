"""Questions that continue: what is asked and of which choices, what answers make of it; open dialogues; task or talk.

Commands after an answer are compared with the plan of a command that somebody would have said at once.
"""

import builtins
import sys

import pytest
from planner_helpers import obedient_planner, planned
from test_planner_offline import COTTAGE, FakeEngine, run

from llm_ros.planner.dialogues import Dialogues
from llm_ros.planner.inquiry import Inquiry

TABLES = ("kitchen_table", "coffee_table")
CAMERAS = ("thermal_camera", "depth_camera")
DOORS = ("front_door", "bedroom_door", "bathroom_door")


def asked(command, world="home", skills="full"):
    plan = obedient_planner(skills, world).plan(command)
    assert plan.status == "clarify" and plan.inquiry.text == plan.message, plan
    return plan.inquiry


def answered(command, *answers, world="home", skills="full"):
    """What comes of a command and the answers to its questions: a command in words, or the last Plan."""
    planner, outcome = obedient_planner(skills, world), command
    for answer in answers:
        plan = planner.plan(outcome) if isinstance(outcome, str) else outcome
        outcome = planner.answered(plan.inquiry, answer)
    return outcome


@pytest.mark.parametrize(
    "command, world, asks, choices",
    [
        ("Put the apple on the table", "home", "place", TABLES),
        ("Bring me the camera", "office", "object", CAMERAS),
        ("Open the door", "home", "door", DOORS),
        ("Bring me the apple or the pear", "home", "object", ("apple", "pear")),
        ("Put the apple", "home", "place", ()),
        ("Bring me something", "home", "object", ()),
        ("Bring me the blue mug", "home", "place", ()),
        ("Put the violin on the desk", "home", "place", ()),
        ("Follow him", "home", "person", ()),
        ("Tell Alice", "home", "text", ()),
        ("Wait", "home", "number", ()),
        ("Bring me the", "home", "words", ()),
        ("Bring me the apple if it rains", "home", "confirm", ()),
        ("Mach bitte die Tür auf", "home", "command", ()),
        ("...", "home", "command", ()),
    ],
)
def test_a_question_says_what_it_asks_for(command, world, asks, choices):
    inquiry = asked(command, world)
    assert (inquiry.asks, inquiry.choices) == (asks, choices) and inquiry.text.endswith(("?", ".")), inquiry


@pytest.mark.parametrize(
    "command, answer, world, at_once",
    [
        ("Put the apple on the table", "kitchen table", "home", "Put the apple on the kitchen table"),
        ("Put the apple on the table", "the second", "home", "Put the apple on the coffee table"),
        ("Put the apple on the table", "the last one, please", "home", "Put the apple on the coffee table"),
        ("Put the apple on the table", "2", "home", "Put the apple on the coffee table"),
        ("Put the apple on the table", "number one", "home", "Put the apple on the kitchen table"),
        ("Put the apple on the table", "the one in the kitchen", "home", "Put the apple on the kitchen table"),
        ("Put the apple on the table", "I mean the cofee one", "home", "Put the apple on the coffee table"),
        ("Put the apple on the table", "it doesn't matter", "home", "Put the apple on the kitchen table"),
        ("Put the apple on the table", "not the kitchen one", "home", "Put the apple on the coffee table"),
        (
            "Put the apple on the table",
            "the coffee table, not that in the kitchen",
            "home",
            "Put the apple on the coffee table",
        ),
        (
            "Put the apple on the table",
            "not the coffee table but the kitchen table",
            "home",
            "Put the apple on the kitchen table",
        ),
        ("Bring me the camera", "the thermal one", "office", "Bring me the thermal camera"),
        ("Bring me the apple or the pear", "both", "home", "Bring me the apple and the pear"),
        (
            "Open the door and go to the sink",
            "the one of the bathroom",
            "home",
            "Open the bathroom door, go to the sink",
        ),
        ("Put the apple", "on the desk", "home", "Put the apple on the desk"),
        ("Put the apple please.", "the desk", "home", "Put the apple on the desk"),
        ("Bring me something from the kitchen", "an apple", "home", "Bring me an apple from the kitchen"),
        ("Bring it to Alice", "the cola", "home", "Bring the cola to Alice"),
        ("Go there and bring me the apple", "kitchen", "home", "Go to the kitchen and bring me the apple"),
        ("Follow him", "Chen", "home", "Follow Chen"),
        ("Guide Chen", "to the office", "home", "Guide Chen to the office"),
        ("Tell Alice", "dinner is ready", "home", "Tell Alice dinner is ready"),
        ("Wait", "10", "home", "Wait 10 seconds"),
        ("Wait and then go to the sink", "half a minute", "home", "Wait half a minute and then go to the sink"),
        ("Bring me the", "apple", "home", "Bring me the apple"),
        ("deliver the apple", "Dana", "home", "deliver the apple to Dana"),
        ("Bring me the apple if it rains", "yes please", "home", "Bring me the apple"),
        ("Apple", "put it on the desk", "home", "Put the apple on the desk"),
        ("Put the apple on the table", "no, bring me the pear", "home", "Bring me the pear"),
        ("Put the apple on the table", "go to the kitchen", "home", "Go to the kitchen"),
        ("Open the door", "where is the apple?", "home", "Where is the apple?"),
        ("Mach bitte die Tür auf", "open the front door", "home", "Open the front door"),
        ("Bring me the blue mug", "it's on the sofa", "home", "Bring me the blue mug on the sofa"),
        ("Put the blue mug on the desk", "the kitchen", "home", "Put the blue mug from the kitchen on the desk"),
        ("Give Alice the umbrella please", "in the office", "home", "Give Alice the umbrella in the office"),
    ],
)
def test_an_answer_completes_the_command(command, answer, world, at_once):
    said = answered(command, answer, world=world)
    assert isinstance(said, str), said
    assert (
        planned(said, world=world) == planned(at_once, world=world)
        and not planned(at_once, world=world)[:6] == "clarify"
    )


def test_one_answer_may_lead_to_the_next_question():
    assert planned(answered("Guide the person there", "to the kitchen")) == planned("Guide the person to the kitchen")
    said = answered("Bring me the apple at noon and put the pear on the table", "yes", "the second")
    assert planned(said) == planned("Bring me the apple and put the pear on the coffee table")
    narrowed = answered("Open the door", "one of those in the hallway")
    assert narrowed.status == "clarify" and narrowed.inquiry.choices == DOORS


@pytest.mark.parametrize("answer", ["I don't know", "that one", "the other one", "not that one", "yes", "what?", "hm"])
def test_answers_that_choose_nothing_are_asked_again(answer):
    for command in ("Put the apple on the table", "Put the apple", "Bring me something", "Follow him", "Wait"):
        outcome = answered(command, answer)
        if isinstance(outcome, str):
            outcome = obedient_planner().plan(outcome)
        assert outcome.status == "clarify", outcome


def test_answers_that_do_not_help_are_asked_again():
    first = answered("Put the apple on the table", "the purple one")
    assert first.message.startswith("That is none of them.") and first.inquiry.choices == TABLES
    twice = answered("Put the apple on the table", "the purple one", "the green one")
    assert twice.message == first.message
    assert planned(answered("Put the apple on the table", "the purple one", "coffee")) == planned(
        "Put the apple on the coffee table"
    )
    assert answered("Bring me the apple if it rains", "purple").message.startswith("Yes or no?")
    assert answered("Put the apple on the table", "...").inquiry.choices == TABLES
    assert answered("Put the apple on the table", "x" * 3000).reason == "too_long"


@pytest.mark.parametrize(
    "answer", ["never mind", "Forget it.", "no", "None of them!", "cancel that, please", "nothing"]
)
def test_a_command_can_be_taken_back(answer):
    for command in ("Put the apple on the table", "Put the apple", "Bring me the apple if it rains"):
        plan = answered(command, answer)
        assert (plan.status, plan.reason) == ("refuse", "withdrawn")


def test_what_to_say_is_taken_as_it_is():
    assert planned(answered("Tell Alice", "nobody came")) == planned("Tell Alice nobody came")
    assert planned(answered("Tell Alice", "bring me the pear")) == planned("Tell Alice bring me the pear")


def test_answers_are_resolved_in_the_world_as_it_is_believed_to_be():
    planner = obedient_planner("full", "office")
    inquiry = planner.plan("Bring me the camera").inquiry
    moved = planner.knowing({"thermal_camera": "round_table"})
    assert moved.answered(inquiry, "the one on the round table") == "Bring me the thermal camera"
    assert planner.answered(inquiry, "the one on the round table").inquiry.choices == CAMERAS


def test_dialogues_are_bounded_in_number_and_age():
    now = [0.0]
    dialogues = Dialogues(2, 60.0, lambda: now[0])
    first, second = Inquiry("first?"), Inquiry("second?")
    a, b = dialogues.ask(first), dialogues.ask(second)
    assert a != b and dialogues.get(a) is first and dialogues.get("") is None
    assert dialogues.ask(second, a) == a and dialogues.get(a) is second  # asked again: the same dialogue
    c = dialogues.ask(first)
    assert dialogues.get(b) is None and dialogues.get(a) is second  # the oldest made room
    now[0] = 61.0
    assert dialogues.get(a) is None and dialogues.get(c) is None
    d = dialogues.ask(first)
    dialogues.close(d)
    assert dialogues.get(d) is None


def test_at_a_terminal_the_question_is_put(monkeypatch, capsys):
    answers = iter(["the purple one", "the third"])
    monkeypatch.setattr(builtins, "input", lambda prompt: next(answers))
    for stream in (sys.stdin, sys.stdout):
        monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
    assert run("--offline", "Open the door", engine=FakeEngine()) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "Which door" in lines[0] and "none of them" in lines[1]
    assert lines[2:] == ["1. go_to(bathroom)", "2. open(bathroom_door)"]


def test_without_a_terminal_the_question_is_the_answer(monkeypatch, capsys):
    monkeypatch.setattr(builtins, "input", lambda prompt: pytest.fail("nobody is there to ask"))
    assert run(*COTTAGE, "Bring me something", engine=FakeEngine()) == 0
    assert capsys.readouterr().out == '{"clarify": "What should I bring?"}\n'


TASKS = """bring me an apple; then also bring a spoon; could you please open the front door; come here; follow him; wait
where is the apple?; how many apples are on the kitchen table?; a cola please; tell Alice that dinner is ready; kill Bob
what time is it?; bring me the thing; put the apple on the table; what do you see on the desk?; clean the kitchen
is Emil in the office?; I need the scissors from the desk; drive to the moon; don't go into the bathroom
two colas for Alice, please; Bruno has a question, go and answer it; answer Alice's question, she is in the kitchen"""
TALK = """hello; how are you?; what is the capital of France?; tell me a joke; thank you; my name is Alice; count to ten
do you like music?; what is an apple?; I love apples; write a poem about the sea; sing a song; what can you do?; ...
can you help me?; give me an example; nice to meet you; are you happy?; say that again; is it going to rain?; hi
what would you do in the kitchen all day?; how do you make coffee in the kitchen?"""


def test_tasks_are_told_from_talk():
    planner = obedient_planner()
    wrong = [
        text.strip()
        for rows, task in ((TASKS, True), (TALK, False))
        for text in rows.replace("\n", ";").split(";")
        if planner.is_task(text.strip()) is not task
    ]
    assert not wrong
