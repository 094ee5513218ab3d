"""Names of a world in a command: exact, inflected, run together, synonyms, typos, heads, descriptions of people."""

from functools import cache

import pytest
from planner_helpers import parts

from llm_ros.planner.names import Names
from llm_ros.planner.tokens import edit_distance, tokenize
from llm_ros.planner.verbs import Lexicon


@cache
def names_of(world):
    skills, places = parts("full", world)
    return Names(places, frozenset(Lexicon(skills).words))


def found(text, world="home"):
    names = names_of(world)
    tokens = tokenize(text)
    return [(mention.kind, *mention.names) for mention in names.find(tokens)]


@pytest.mark.parametrize(
    "text, wanted",
    [
        ("the kitchen table", ("place", "kitchen_table")),
        ("kitchen_table", ("place", "kitchen_table")),
        ("the book shelf", ("place", "bookshelf")),
        ("the fridge", ("place", "refrigerator")),
        ("the couch", ("place", "sofa")),
        ("the trash can", ("place", "trash_bin")),
        ("the lounge", ("place", "living_room")),
        ("some apples", ("object", "apple")),
        ("a glass of water", ("object", "glass_of_water")),
        ("the Rubik's cube", ("object", "rubiks_cube")),
        ("scisors", ("object", "scissors")),
        ("a bannana", ("object", "banana")),
        ("the refridgerator", ("place", "refrigerator")),
        ("the juice", ("object", "orange_juice")),
        ("a bar of soap", ("object", "soap")),
        ("two snacks", ("category", "snack")),
        ("ALICE", ("person", "alice")),
        ("Alice's", ("person", "alice")),
        ("the table", ("place", "kitchen_table", "coffee_table")),
        ("the door", ("door", "front_door", "bedroom_door", "bathroom_door")),
        ("someone waving", ("person", "waving_person")),
        ("a man who is sitting", ("person", "sitting_person")),
        ("the lady raising her left hand", ("person", "person_raising_their_left_arm")),
        ("the person pointing right", ("person", "person_pointing_to_the_right")),
        ("the guest in the red blouse", ("person", "guest wearing the red blouse")),
        ("people wearing blue t-shirts", ("person", "people wearing blue t shirts")),
    ],
)
def test_one_name(text, wanted):
    assert found(text) == [wanted]


@pytest.mark.parametrize(
    "text, low",
    [
        ("would you be able to go", "would you be able to go"),  # no table
        ("she has never been there", "she has not been there"),
        ("never go there", "do not go there"),
        ("it's been a while", "it has been a while"),
        ("it's here", "it is here"),
        ("let's go", "let us go"),
        ("Alice's cup", "alice cup"),
    ],
)
def test_words_that_names_and_contractions_leave_alone(text, low):
    assert " ".join(token.low for token in tokenize(text)) == low
    assert [one for one in found(text) if one[0] == "place"] == []


def test_longest_names_win_and_nothing_overlaps():
    assert found("the tuna tin on the pantry shelf in the pantry", "cottage") == [
        ("object", "tuna_tin"),
        ("place", "pantry_shelf"),
        ("place", "pantry"),
    ]
    assert found("the coat rack and a coat", "cottage") == [("place", "coat_rack")]
    assert found("a visitor badge on the visitor bench", "office") == [
        ("object", "visitor_badge"),
        ("place", "visitor_bench"),
    ]


@pytest.mark.parametrize("text", ["please wait", "the unicorn", "go there", "hello robot", "", "\u4f60\u597d"])
def test_no_name(text):
    assert found(text) == []


def test_everyday_words_are_no_typos_of_names():
    assert found("place it on the left and count again") == []


@pytest.mark.parametrize(
    "a, b, distance",
    [
        ("", "", 0),
        ("abc", "abc", 0),
        ("abc", "acb", 1),
        ("abc", "ab", 1),
        ("abc", "abcd", 1),
        ("abc", "xbc", 1),
        ("kitten", "sitting", 3),
    ],
)
def test_edit_distance(a, b, distance):
    assert edit_distance(a, b, 5) == distance


def test_tokens():
    assert [t.low for t in tokenize("Don't go to reading_desk, it's \"my desk\" - ok?")] == [
        "do",
        "not",
        "go",
        "to",
        "reading",
        "desk",
        ",",
        "it",
        "is",
        "my desk",
        ",",
        "ok",
        "?",
    ]
