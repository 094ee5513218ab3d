"""Changes of a world: made in the tree of its file, checked like a file, written back without losing its comments."""

from __future__ import annotations

import os
import stat

import pytest
import yaml
from execution_helpers import OK, WORLD, Bench, missing
from planner_helpers import CONFIG, obedient, obedient_planner

from llm_ros.execution import Knowledge
from llm_ros.planner import ConfigError, Planner
from llm_ros.planner.world import parse_world
from llm_ros.planner.world_edit import CHANGES, Change, ChangeError
from llm_ros.planner.world_file import WorldFile, merged

FILE = """# our house
rooms: [kitchen, den]   # two
locations:
  # by the window
  table: {room: kitchen}
  shelf:
    room: den   # dusty
    holds: [books]
# what there is
object_categories:
  fruits: {singular: fruit, objects: [apple]}
  books:
  - no mapping
"""


@pytest.fixture
def house(tmp_path):
    path = tmp_path / "world.yaml"
    path.write_text(FILE.replace("  books:\n  - no mapping\n", "  books: {objects: [atlas]}\n"))
    return WorldFile.load(path)


def test_an_error_of_a_file_names_file_line_and_key(tmp_path):
    (tmp_path / "world.yaml").write_text(FILE)
    with pytest.raises(ConfigError, match=r"world\.yaml:1[23]: object_categories\.books: expected a mapping"):
        WorldFile.load(tmp_path / "world.yaml")


def test_every_kind_of_change(house):
    changed = house.changed(
        [
            Change("add", "pear", category="fruit"),
            Change("add", "saw", category="tools", location="shelf"),
            Change("add", "ada", "person"),
            Change("add", "attic", "room"),
            Change("add", "chest", "location", location="attic", pose=(1, 2)),
            Change("add", "gate", "door", location="den"),
            Change("add_synonym", "table", synonym="board"),
            Change("forbid", "attic"),
            Change("set_pose", "table", pose=(1.5, -2, 0.5), frame="odom"),
        ]
    )
    world = changed.world
    assert world.categories["fruits"].objects == ("apple", "pear") and world.home_of("saw") == "shelf"
    assert "ada" in world.people and world.room_of("chest") == "attic" and world.doors == {"gate": ("den",)}
    assert world.synonyms == {"table": ("board",)} and world.forbidden == ("attic",)
    pose = world.locations["table"].pose
    assert (pose.x, pose.y, pose.yaw, pose.frame) == (1.5, -2, 0.5, "odom")
    undone = changed.changed(
        [
            Change("remove", "chest"),
            Change("allow", "attic"),
            Change("remove", "attic"),
            Change("remove_synonym", "table", synonym="board"),
            *(Change("remove", name) for name in ("pear", "saw", "ada", "gate")),
        ]
    )
    assert undone.world.rooms == house.world.rooms and undone.world.objects == house.world.objects
    assert house.world.people == ("me",)  # the old one is as it was


def test_what_was_not_changed_keeps_its_lines_and_comments(house):
    changed = house.changed([Change("add", "pear", category="fruits"), Change("set_pose", "shelf", pose=(1, 2))])
    changed = changed.changed([Change("add", "stool", "location", location="den"), Change("forbid", "stool")])
    old, new = house.text.splitlines(), changed.yaml().splitlines()
    assert [line for line in old if line not in new] == ["  fruits: {singular: fruit, objects: [apple]}"]
    assert [line for line in new if line not in old] == [
        "    pose: [1, 2]",
        "  stool: {room: den}",
        "  fruits: {singular: fruit, objects: [apple, pear]}",
        "forbidden: [stool]",
    ]
    assert house.yaml() == house.text


@pytest.mark.parametrize(
    "name", ["world.yaml", "../test/data/planner_blind_world.yaml", "../test/data/planner_office.yaml"]
)
def test_real_files_can_be_changed_in_place(name):
    file = WorldFile.load(CONFIG / name)
    thing = next(iter(file.world.objects))
    changed = file.changed(
        [Change("remove", thing), Change("add", "grail"), Change("add_synonym", "grail", synonym="it")]
    )
    text = changed.yaml()
    assert parse_world(text) == changed.world and yaml.safe_load(text) == changed.tree
    assert text.count("#") == file.text.count("#")


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("{a: [1, 2], b: {c: 1}}", {"a": [1], "b": {"c": 2}, "d": 3}),
        ("a:\n- 1\n- 2\nb: 1", {"a": [2], "b": 1, "c": [3]}),
        ("a: 1\nb:\n  c: |\n    text\n  d: 2\n# end\n", {"b": {"c": "x: [", "d": 3, "e: ": "#"}}),
        ("a:\n  b:\n    c: 1\n", {"a": {"b": {}}}),
        ("a:\nb: 'x' # y\n", {"a": {"q": [1]}, "b": "it's"}),
        ('"a b": "\\u00e9" # y\n', {"a b": "z", "é": None}),
    ],
)
def test_a_merged_text_says_what_the_tree_says(text, tree):
    assert yaml.safe_load(merged(text, tree)) == tree


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (Change("remove", "nothing"), r"changes\[1\]: remove 'nothing': there is no such"),
        (Change("remove", "me"), "cannot be removed"),
        (Change("remove", "den"), "locations.shelf: room: 'den' is not one of the rooms"),
        (Change("add", "apple"), "already a object"),
        (Change("add", "x", "planet"), "kind = 'planet'"),
        (Change("add", "x: [", "room"), "is no name"),
        (Change("add", "a\nrooms", "person"), "is no name"),
        (Change("add", "x" * 200), "is no name"),
        (Change("add", "x", location="moon"), "'moon' is no room or location"),
        (Change("add", "x", "location"), "not one of the rooms|is no name"),
        (Change("add_synonym", "moon", synonym="luna"), "no such name"),
        (Change("add_synonym", "table", synonym=""), "is no name"),
        (Change("remove_synonym", "table", synonym="board"), "no synonym"),
        (Change("forbid", "apple"), "no room or location"),
        (Change("allow", "den"), "not forbidden"),
        (Change("set_pose", "table", pose=(1.0, float("nan"))), "expected numbers"),
        (Change("set_pose", "table", pose=(1.0,)), "got 1 numbers"),
        (Change("set_pose", "den", pose=(1.0, 2.0)), "no such location"),
    ],
)
def test_a_change_that_cannot_be_made_says_which_and_why(house, change, words):
    with pytest.raises(ChangeError, match=words):
        house.changed([Change("add", "fine"), change])


def test_saving_is_whole_keeps_permissions_and_overwrites_nobody(house, tmp_path):
    path = tmp_path / "world.yaml"
    os.chmod(path, 0o640)
    changed = house.changed([Change("add", "pear", category="fruits")])
    saved = changed.save()
    assert WorldFile.load(path).world == saved.world and stat.S_IMODE(path.stat().st_mode) == 0o640
    assert saved.changed([Change("add", "fig")]).save().text == path.read_text()
    with pytest.raises(ConfigError, match="changed by somebody else"):
        changed.save()
    (tmp_path / "notes.yaml").write_text("shopping: [milk]\n")
    for name, words in (("notes.yaml", "rooms"), ("x.txt", "ends with .yaml")):
        with pytest.raises(ConfigError, match=words):
            changed.save(tmp_path / name)
    assert (tmp_path / "notes.yaml").read_text() == "shopping: [milk]\n"
    changed.save(tmp_path / "copy.yaml")
    assert WorldFile.load(tmp_path / "copy.yaml").world == changed.world
    assert not list(tmp_path.glob("*.part"))


# What is learned


def known(tmp_path, **script):
    """A bench whose executor and planner share what they know."""
    (tmp_path / "world.yaml").write_text(WORLD)
    bench = Bench(**script)
    knowledge = Knowledge(
        lambda skills, world: Planner(obedient(), skills, world), CONFIG / "skills.yaml", tmp_path / "world.yaml"
    )
    knowledge.share(bench.executor)
    return bench, knowledge


def planned(knowledge, command):
    return "; ".join(map(str, knowledge.planner().plan(command).steps))


def test_the_planner_plans_from_what_execution_has_learnt(tmp_path):
    bench, knowledge = known(tmp_path)
    assert planned(knowledge, "Pick up the apple").startswith("go_to(table); find_object(apple)")
    assert bench.carry_out("pick apple; place apple shelf").succeeded
    assert planned(knowledge, "Pick up the apple").startswith("go_to(shelf); find_object(apple)")
    assert knowledge.world.home_of("apple") == "table"  # the file is as it was


def test_a_thing_that_was_not_found_is_not_expected_there(tmp_path):
    bench, knowledge = known(tmp_path, find_object=[missing("apple")] * 20)
    assert not bench.carry_out("pick apple").succeeded
    assert planned(knowledge, "Pick up the apple").startswith("find_object(apple)")


def test_what_is_told_and_seen_is_planned_with(tmp_path):
    bench, knowledge = known(tmp_path)
    knowledge.update([Change("move", "ada", location="den"), Change("close", "shelf")])
    assert planned(knowledge, "Tell Ada that dinner is ready").startswith("go_to(den); find_person(ada)")
    assert knowledge.belief.state.closed == {"shelf": True}
    knowledge.see("apple", "counter", stamp=5.0)
    knowledge.see("apple", "shelf", stamp=4.0)  # came late
    assert planned(knowledge, "Pick up the apple").startswith("go_to(counter)")
    knowledge.see("apple", "kitchen", stamp=6.0)  # says no more than is known
    assert knowledge.belief.moved()["apple"] == "counter"
    knowledge.see("apple", "kitchen", missing=True, stamp=7.0)
    assert knowledge.belief.moved()["apple"] is None
    knowledge.see("lemon", "counter", "fruits", stamp=7.0)
    assert knowledge.world.categories["fruits"].objects[-1] == "lemon"
    assert planned(knowledge, "Pick up the lemon").startswith("go_to(counter)")
    assert bench.carry_out("pick lemon").succeeded  # the executor knows it as well
    knowledge.update([Change("remove", "lemon")])
    assert knowledge.belief.state.holding is None and "lemon" not in knowledge.belief.state.places


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (Change("move", "unicorn", location="den"), "no such object or person"),
        (Change("move", "den", location="table"), "no such object or person"),
        (Change("move", "apple", location="moon"), "location = 'moon'"),
        (Change("open", "apple"), "no such door or location"),
    ],
)
def test_changes_hold_all_or_none(tmp_path, change, words):
    _, knowledge = known(tmp_path)
    before = knowledge.file, knowledge.belief.state
    with pytest.raises(ChangeError, match=words):
        knowledge.update([Change("add", "fig"), Change("move", "pear", location="den"), change])
    with pytest.raises(ConfigError):
        knowledge.update([Change("add", "fig")], save_as=str(tmp_path / "x.txt"))
    assert (knowledge.file, knowledge.belief.state) == before


def test_a_plan_that_runs_is_told_of_the_world_at_its_next_step(tmp_path):
    bench, knowledge = known(tmp_path)
    bench.robot.at[1] = lambda: knowledge.update([Change("forbid", "shelf")])
    end = bench.carry_out("go_to table; go_to shelf")
    assert end.outcome.name == "INVALID" and "shelf is a forbidden zone" in end.message
    assert bench.done()[:1] == ["go_to(table)"]
    assert OK.outcome.name == "SUCCEEDED"


def test_a_broken_file_leaves_the_old_ones_in_force(tmp_path):
    _, knowledge = known(tmp_path)
    (tmp_path / "bad.yaml").write_text("skills:\n  fly: {needs: [wings]}\n")
    with pytest.raises(ConfigError, match=r"bad\.yaml:2: skills\.fly\.needs: 'wings' is no condition"):
        knowledge.reload(tmp_path / "bad.yaml", tmp_path / "world.yaml")
    assert "go_to" in knowledge.skills and planned(knowledge, "Go to the den") == "go_to(den)"


def test_every_change_of_the_message_is_known():
    assert set(CHANGES) == {
        "add",
        "move",
        "remove",
        "open",
        "close",
        "add_synonym",
        "remove_synonym",
        "forbid",
        "allow",
        "set_pose",
    }
    assert obedient_planner().world.learned == {}
