"""Plain commands: tags instead of names, the forms, the model's part in unclear commands, and the pairs to train on."""

import json
import random

import pytest
from planner_helpers import SKILLS, WORLDS, accepts

from llm_ros.planner import Planner, load_skills, load_world
from llm_ros.planner.doubts import implausible
from llm_ros.planner.looks import one_form
from llm_ros.planner.plain import PlainForms
from llm_ros.planner.plan import PlanError, Step
from llm_ros.planner.refer import Question
from llm_ros.planner.report import UNTOLD
from llm_ros.planner.rewrite import SURE, SURE_OF_OTHER, Written, faithful
from llm_ros.planner.tags import tag
from llm_ros.planner.tokens import tokenize
from training.commands import TASKS, Robot, make

SKILL_FILE, WORLD = load_skills(SKILLS["full"]), load_world(WORLDS["clinic"])


def planner(written: str, asked: list | None = None, trained: bool = False) -> Planner:
    def rewrite(messages, grammar, max_tokens, on_text, cancelled, seed):
        if asked is not None:
            asked.append((messages, grammar))
        return written

    def forced(messages, grammar, max_tokens, on_text, cancelled):
        text = json.loads(grammar.split("start: ", 1)[1].split("\n")[0])
        on_text(text)
        return text

    return Planner(forced, SKILL_FILE, WORLD, rewrite=rewrite, trained=trained)


def test_names_become_tags_and_come_back():
    names = planner("")._interpreter.names
    tagged = tag("Zola's lost, she was meant to be in the exam room - she's still on the bench, Zola is", names)
    assert tagged.text.count("person1") == 2 and "place1" in tagged.text and "place2" in tagged.text
    assert tagged.names["person1"].mentions[0].names == ("zola",)


@pytest.mark.parametrize(
    ("said", "tagged"),
    [
        ("Somebody in the exam room has her left arm up, help her", "person1 is in the place1, help her"),
        ("A visitor is lost in the exam room. He's wearing a red hat.", "A person1 is lost in the place1."),
        ("Help the one who's pointing left on the bench", "Help the person1 on the place1"),
        ("Zola is on the bench. She is wearing a red hat.", "person1 is on the place1. She is wearing a red hat."),
    ],
)
def test_a_description_is_one_tag_however_it_is_spread(said, tagged):
    assert tag(said, planner("")._interpreter.names).text == tagged


def test_an_unclear_command_is_planned_by_its_plain_form():
    asked = []
    plan = planner("guide person1 from place2 to place1", asked).plan(
        "Zola's lost, she was meant to be in the exam room ages ago - she's still on the bench, sort that out would you"
    )
    assert [str(step) for step in plan.steps] == ["go_to(bench)", "find_person(zola)", "guide(zola, exam_room)"]
    assert "Zola" not in asked[0][0][-1]["content"]


@pytest.mark.parametrize(
    "text, written, task",
    [
        ("Marek, who's in the staff room, should be told that it rains", 'tell person1 in place1 "it rains"', True),
        ("The bench, I think, should be painted", "refuse impossible", False),
        ("I'd be lost without lemon tea", 'bring "comfort" to me', False),
        ("Lemon tea helps against a sore throat", "bring thing1 to me", False),
    ],
)
def test_in_a_conversation_a_wish_that_is_not_understood_is_put_into_plain_words(text, written, task):
    asked = []
    assert planner("", []).is_task("Bring me a lemon tea")
    assert planner(written, asked).is_task(text) is task
    assert bool(asked) is not text.startswith("Lemon")  # who wishes for nothing is not heard out


def test_plain_words_are_planned_over_what_is_known_now():
    moved = planner("bring thing1 to me").knowing({"lemon_tea": "front_desk"})
    plan = moved.plan("Life without that lemon tea is hardly worth the bother, I'd say")
    assert [str(step) for step in plan.steps][:2] == ["go_to(front_desk)", "find_object(lemon_tea)"]


@pytest.mark.parametrize(
    "command, written",
    [("Knit me a sweater.", "refuse impossible"), ("Take it somewhere nice, whatever", "bring ? to me")],
)
def test_what_the_model_refuses_stays_refused(command, written):
    assert planner(written).plan(command).status in ("refuse", "clarify")


def test_plain_words_that_leave_out_a_name_are_not_trusted():
    command = "Zola's lost, she was meant to be in the exam room ages ago - she's still on the bench"
    assert planner("find person1 in place2").plan(command).status == "clarify"
    assert planner("guide person1 from place2 to place1").plan(command).status == "plan"


def test_plain_words_that_lose_an_unknown_name_or_swallow_a_place_are_not_trusted():
    def asked(command, written):
        return planner(written).plan(command).status

    assert asked("My cousin Roderick has not had a lemon tea in ages, poor man", "bring thing1 to me") == "clarify"
    described = 'bring thing1 to "one by the place1"'
    assert asked("A lemon tea might do the drenched one by the scales some good", described) != "plan"


def test_a_text_that_a_trained_model_is_not_sure_of_is_not_used():
    command = "Zola's lost, she was meant to be in the exam room ages ago - she's still on the bench"
    for logprob, status in ((SURE - 0.1, "clarify"), (SURE + 0.1, "plan")):
        written = Written("guide person1 from place2 to place1", logprob)
        assert planner(written, trained=True).plan(command).status == status
        assert planner(written).plan(command).status == "plan"


@pytest.mark.parametrize(
    ("drawn", "steps"),
    [
        ([("guide person1 to place1", -0.9), ("guide person1 from place2 to place1", -2.0)], "guide(zola, exam_room)"),
        ([("guide person1 from place2 to place1", -2.0), ("find person1 in place2", -1.5)], "guide(zola, exam_room)"),
        ([("guide person1 from place2 to place1", SURE_OF_OTHER - 0.1)], ""),
        ([("guide person1 from place2 to place1", -2.0), ("refuse impossible", -1.5)], ""),
        ([("guide person1 to place1", -0.9)], ""),
    ],
)
def test_where_a_text_leaves_something_out_the_likeliest_other_counts(drawn, steps):
    def rewrite(messages, grammar, max_tokens, on_text, cancelled, seed):
        return Written("find person1", -0.1) if seed is None else Written(*drawn[seed % len(drawn)])

    planning = Planner(None, SKILL_FILE, WORLD, rewrite=rewrite, trained=True)
    command = "Zola's lost, she was meant to be in the exam room ages ago - she's still on the bench"
    found = planning._rewriter.reworded(command, lambda: False)
    assert (str(found.steps[-1]) if found and found.sure else "") == steps


def test_the_person_is_asked_about_a_text_that_the_model_is_not_sure_of():
    command = "Zola's lost, she was meant to be in the exam room ages ago - she's still on the bench"
    planning = planner(Written("guide person1 from place2 to place1\nsay goodbye to person1", SURE - 0.1), trained=True)
    plan = planning.plan(command)
    assert plan.message == "Do you mean: guide Zola from bench to exam room, then say goodbye to Zola?"
    again = planning.answered(plan.inquiry, "yes please")
    assert [step.skill for step in planning.plan(again).steps] == ["go_to", "find_person", "guide", "say"]
    assert planning.answered(plan.inquiry, "no").reason == "withdrawn"
    plan = planner(Written("bring ? to person1", SURE + 0.1), trained=True).plan("Zola's stomach is growling")
    assert plan.message == "What should I bring, and to whom?"
    for text, logprob in (("guide person1 to ?", SURE - 0.1), ("guide person1 from place2 to place1", -9.0)):
        plan = planner(Written(text, logprob), trained=True).plan(command)
        assert plan.status == "clarify" and not plan.message.startswith("Do you mean")


def test_a_room_need_not_be_named_where_a_place_in_it_is():
    rewriter = planner("")._rewriter
    tagged = tag("Close the scales in the exam room by the bench", rewriter._interpreter.names)
    assert tagged.text == "Close the place1 in the place2 by the place3"
    rooms = rewriter._rooms(tagged)
    assert rooms == {"place2": {"place1"}}
    assert faithful("close place1\ngo to place3", tagged, rooms) and not faithful("close place1", tagged, rooms)


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("Somebody in the hall is crossing her arms", "person_crossing_their_arms"),
        ("There's someone in the hall who crosses his arms", "person_crossing_their_arms"),
        ("Someone in the hall claps", "clapping_person"),
        ("the people in the hall who are giving a thumbs up", "person_giving_a_thumbs_up"),
    ],
)
def test_what_the_world_file_says_people_do_is_known_in_any_form(tmp_path, said, found):
    gestures = "[person_crossing_their_arms, clapping_person, person_giving_a_thumbs_up]"
    (tmp_path / "world.yaml").write_text(
        "rooms: [hall]\nlocations: {desk: {room: hall}}\npeople: [me]\n"
        f"person_descriptions: {{gestures: {gestures}, poses: [sitting_person], clothes: [coat], colors: [red]}}\n"
    )
    names = Planner(None, SKILL_FILE, load_world(tmp_path / "world.yaml"))._interpreter.names
    (person,) = [one.names for name, one in _mentions(names, said) if name == "person"]
    assert person == (found,)


def _mentions(names, said):
    tokens = names.gathered(one_form(tokenize(said)))
    return [(one.kind, one) for one in names.find(tokens)]


def test_words_may_be_quoted_with_a_small_letter_where_a_sentence_begins():
    forms = planner("")._rewriter._forms
    tagged = tag("The race is off. Nobody told Zola, she is on the bench. Ask Roderick why.", forms._names)
    for said, fits in (("the race is off", True), ("The race is off", True), ("nobody", True), ("roderick", False)):
        assert accepts(forms.grammar(tagged), f'tell person1 "{said}"') is fits, said


def test_a_plan_over_unknown_things_is_given_up_for_what_is_unsafe():
    command = "Give Zola a paper crown."
    for written, reason in (("refuse unsafe", "unsafe"), ("refuse contradictory", "contradictory")):
        sure, unsure = Written(written, SURE + 0.1), Written(written, SURE - 0.1)
        assert planner(sure, trained=True).plan(command).reason == reason
        assert "Where is the paper crown?" in planner(unsure, trained=True).plan(command).message
    told = planner("refuse unsafe").plan(command).message
    assert "Where is the paper crown?" in told, "only what was trained for it is believed"


def test_a_word_mistaken_for_a_thing_is_none_in_plain_words():
    command = "Give Zola a paper crown."
    assert planner("greet person1").plan(command).steps[-1].skill == "say"
    for written in ('bring "crown" to person1', "refuse impossible", "bring ? to person1"):
        assert "Where is the paper crown?" in planner(written).plan(command).message


@pytest.mark.parametrize(
    "command", ["Bring me the leash.", "Hit Zola.", "If it rains, whisk the leash to Ravi.", "Open the door."]
)
def test_the_model_is_not_asked_where_the_reading_is_sure_unsafe_conditional_or_to_be_chosen(command):
    asked = []
    planner("go to ?", asked).plan(command)
    assert not asked


@pytest.mark.parametrize(
    ("lines", "odd"),
    [
        ([("go_to", "bench"), ("find_person", "zola"), ("guide", "zola", "bench")], True),
        ([("go_to", "bench"), ("find_person", "zola"), ("guide", "zola", "surgery")], False),
        ([("go_to", "bench"), ("ask", "zola", "there")], True),
        ([("go_to", "bench"), ("ask", "zola", "Who is there?")], False),
        ([("count", "many it time"), ("say", "{result}")], True),
        ([("find_object", "wide")], True),
        ([("go_to", "bench"), ("say", UNTOLD)], True),
        ([("ask", "zola", "Are you hungry?"), ("say", UNTOLD)], False),
        ([("ask", "zola", "Are you hungry?"), ("ask", "zola", "Are you hungry?")], True),
        ([("ask", "zola", "Are you hungry?"), ("ask", "ravi", "Are you hungry?")], False),
    ],
)
def test_plans_that_come_of_a_sentence_taken_apart_wrongly(lines, odd):
    steps = [
        Step(name, dict(zip((arg.name for arg in SKILL_FILE[name].args), values, strict=False)))
        for name, *values in lines
    ]
    assert implausible(steps, SKILL_FILE) == odd


def test_the_grammar_admits_tags_and_words_of_the_command_only():
    forms = PlainForms(SKILL_FILE, planner("")._interpreter.names)
    tagged = tag("the fella with the beard by the scales could do with two lemon teas", planner("")._interpreter.names)
    grammar = forms.grammar(tagged)
    assert accepts(grammar, 'bring "two thing1" to "fella with the beard" in place1')
    assert accepts(grammar, "refuse unsafe") and accepts(grammar, "bring ? to me\ngo to place1")
    assert not accepts(grammar, "bring thing2 to me") and not accepts(grammar, 'bring "two beers" to me')


@pytest.mark.parametrize(
    ("said", "plain", "names"),
    [
        ("a lady by the window waits", 'greet "lady by the window"', ("lady by the window",)),
        ("take all the people along", 'greet "all the people"', ("people",)),
    ],
)
def test_people_in_quotes_are_who_the_words_say(said, plain, names):
    known = planner("")._interpreter.names
    found = PlainForms(SKILL_FILE, known).read(plain, tag(said, known))
    assert [one.names for one in found.mentions] == [names]


def test_a_thing_in_quotes_is_no_person():
    names = planner("")._interpreter.names
    found = PlainForms(SKILL_FILE, names).read('take "visitor badge"', tag("get the visitor badge", names))
    assert not found.mentions and [token.low for token in found.tokens] == ["take", "visitor", "badge", "."]


def test_open_slots_unknown_places_and_people_are_told():
    forms = PlainForms(SKILL_FILE, planner("")._interpreter.names)
    tagged = tag("hand the leash to Gustav on the roof", planner("")._interpreter.names)
    with pytest.raises(Question):
        forms.read("bring thing1 to ?", tagged)
    for line, reason in (('bring thing1 to "Gustav"', "unknown_person"), ('go to "roof"', "unknown_place")):
        with pytest.raises(PlanError) as error:
            forms.read(line, tagged)
        assert error.value.reason == reason
    with pytest.raises(ValueError):
        forms.read("dance", tagged)


def test_pairs_are_the_same_for_the_same_seed_and_pass_the_planner():
    robot = Robot(SKILL_FILE, "pairs")

    def pairs():
        return [make(random.Random(f"pairs-{number}"), SKILL_FILE, robot) for number in range(40)]

    first = pairs()
    assert first == pairs()
    made = [pair for pair in first if isinstance(pair, dict)]
    assert len(made) > 25 and all(set(pair["tasks"]) <= set(TASKS) for pair in made)


def test_the_planner_makes_of_plain_words_what_each_kind_of_task_asks_for():
    robot = Robot(SKILL_FILE, "pairs")
    made = {
        task: [make(random.Random(f"{task} {number}"), SKILL_FILE, robot, task=task) for number in range(8)]
        for task in TASKS
    }
    few = {task: pairs for task, pairs in made.items() if sum(isinstance(pair, dict) for pair in pairs) < 3}
    assert not few
