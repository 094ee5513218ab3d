"""Skill and world files: what they mean, and that every mistake is one error with file, line and key."""

import re
from types import SimpleNamespace

import pytest
from planner_helpers import CONFIG, DATA, parts

from llm_ros.planner import ConfigError, load_skills, load_world
from llm_ros.planner.carrier import fill_goal
from llm_ros.planner.skills import parse_skills
from llm_ros.planner.world import parse_world

WORLD = "rooms: [hall, den]\nlocations:\n  shelf: {room: den, holds: pens}\n  sofa: {room: hall, placement: false}\n"
SKILLS = "skills:\n  go_to: {description: Drive, args: {location: {type: location}}}\n"
CALLED = """skills:
  go_to:
    args: {location: {type: location}, speed: {type: number, optional: true}}
    action: {name: /nav, type: nav2_msgs/action/NavigateToPose}
"""


def test_the_example_files_load_and_every_skill_plays_its_role():
    skills = load_skills(DATA / "planner_skills_minimal.yaml")
    assert len(skills) == 16
    assert all(skill.role == name for name, skill in skills.items())
    assert load_world(DATA / "planner_cottage.yaml").home_of("tuna_tin") == "pantry_shelf"


def test_declared_conditions_and_inferred_ones_are_the_same():
    declared, inferred = parts("full")[0], parts("minimal")[0]
    for name in declared:
        assert [str(c) for c in declared[name].needs] == [str(c) for c in inferred[name].needs], name
        assert [str(c) for c in declared[name].effects] == [str(c) for c in inferred[name].effects], name


def test_roles_are_found_by_name_and_description_and_arguments_by_type():
    skills = parts("other")[0]
    roles = {name: skill.role for name, skill in skills.items()}
    assert roles == {
        "navigate_to": "go_to",
        "search_item": "find_object",
        "locate_person": "find_person",
        "grasp": "pick",
        "put_down": "place",
        "give_to": "hand_over",
        "escort": "guide",
        "speak": "say",
        "vacuum": "",
        "take_photo": "",
        "turn_on": "",
    }
    assert skills["put_down"].slots == {"object": "item", "location": "where"}


def test_a_world_needs_only_rooms_and_locations():
    world = parse_world("rooms: [hall]\nlocations: {}\n")
    assert world.people == ("me",)
    assert parse_world(WORLD).room_of("shelf") == "den"
    assert parse_world(WORLD).home_of("pens") == "shelf"


@pytest.mark.parametrize(
    "text, words",
    [
        ("rooms: [hall]\n", "missing key 'locations'"),
        ("rooms: [hall, hall]\nlocations: {}\n", "w.yaml:1: rooms: 'hall' is listed twice"),
        (WORLD + "  shelf: {room: hall}\n", "w.yaml:5: locations.shelf: given twice"),
        (
            WORLD.replace("room: den", "room: cellar"),
            "w.yaml:3: locations.shelf: room: 'cellar' is not one of the rooms",
        ),
        (
            WORLD.replace("placement: false", "placement: maybe"),
            "w.yaml:4: locations.sofa.placement: expected true or false, got 'maybe'",
        ),
        (WORLD + "colour: blue\n", "w.yaml:5: colour: unknown key; known: rooms, locations"),
        (WORLD.replace("placement:", "placment:"), "w.yaml:4: locations.sofa.placment: unknown key"),
        (WORLD + "people: [me, no]\n", "w.yaml:5: people: expected a name, got False (quote it)"),
        (WORLD + "people: {a: b}\n", "w.yaml:5: people: expected a list, got a mapping"),
        (WORLD + "people: [[a]]\n", "w.yaml:5: people: expected a list of single values"),
        (WORLD + "operator: moon\n", "operator: 'moon' is no room or location"),
        (WORLD + "synonyms: {chair: [seat]}\n", "w.yaml:5: synonyms.chair: no such name in this world"),
        (WORLD + "people: ['a\"b']\n", "is no name"),
        (WORLD + "doors: {gate: {}}\n", "w.yaml:5: doors.gate: missing key 'room'"),
        ("rooms: hall\nlocations: {hall: {room: hall}}\n", "a room and a location share this name"),
        ("- a\n", "expected a mapping, got a list"),
        ("", "the file is empty"),
        ("rooms: [a\n", "w.yaml:2: not valid YAML"),
        ("rooms: &a [x, *a]\n", "w.yaml:1: anchors and aliases are not allowed"),
        ("rooms: !!python/object/apply:os.system [ls]\n", "tags are not allowed"),
        ("rooms: " + "[" * 2000 + "]" * 2000, "nested deeper"),
        ("a: [" + "x," * 12000 + "x]", "more than 10000 values"),
        ("rooms: [a]\n---\nrooms: [b]\n", "more than one YAML document"),
        ("rooms: [\x00]\n", "not valid YAML"),
        ("1: 2\n", "a key must be a string, got 1 (quote it)"),
    ],
)
def test_a_wrong_world_is_one_error(text, words):
    with pytest.raises(ConfigError) as caught:
        parse_world(text, "w.yaml")
    assert words in str(caught.value)
    assert str(caught.value).startswith("w.yaml")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text, words",
    [
        ("skills: {}\n", "s.yaml:1: skills: expected 1 to 200 skills, got 0"),
        (SKILLS + "verbs: [a]\n", "s.yaml:3: verbs: unknown key; known: skills"),
        (
            SKILLS.replace("type: location", "type: planet"),
            "s.yaml:2: skills.go_to.args.location.type: expected one of location",
        ),
        (SKILLS.replace("{type: location}", "{}"), "missing key 'type'"),
        (SKILLS.replace("type: location", "type: location, min: 1"), "min and max belong to numbers"),
        (
            "skills:\n  w: {args: {s: {type: number, min: 5, max: 1}}}\n",
            "s.yaml:2: skills.w.args.s: min 5 is above max 1",
        ),
        ("skills:\n  'w w': {}\n", "is no skill name"),
        (
            SKILLS.replace("args:", "needs: ['at(place)'], args:"),
            "s.yaml:2: skills.go_to.needs: 'place' in 'at(place)' is no argument",
        ),
        (SKILLS.replace("args:", "needs: ['flying(location)'], args:"), "is no condition; predicates: at, found"),
        (SKILLS.replace("args:", "effects: ['graspable(location)'], args:"), "cannot be an effect"),
        (SKILLS.replace("args:", "needs: ['not found(*)'], args:"), "only an effect"),
        (SKILLS.replace("args:", "effects: ['located(location)'], args:"), "located takes 2 term(s), got 1"),
        (SKILLS.replace("args:", "safety: risky, args:"), "expected one of free, confirm, forbidden, got 'risky'"),
        (SKILLS.replace("args:", "role: butler, args:"), "expected one of go_to"),
        (SKILLS.replace("description: Drive", "description: [a]"), "expected a single value, got a list"),
        (SKILLS.replace("args:", "duration: -1, args:"), "s.yaml:2: skills.go_to.duration: expected seconds from 0"),
        (SKILLS.replace("args:", "duration: $location, args:"), "expected seconds or one of [], got '$location'"),
        (SKILLS.replace("args:", "duration: 9, timeout: 5, args:"), "5 s is less than the duration, 9 s"),
        (SKILLS.replace("args:", "retries: 1.5, args:"), "retries: expected a whole number from 0 to 20, got 1.5"),
        (
            SKILLS.replace("args:", "action: {type: nav}, args:"),
            "action: type: expected package/action/Name, got 'nav'",
        ),
        (SKILLS.replace("args:", "action: {nam: x}, args:"), "skills.go_to.action.nam: unknown key; known: name, type"),
        (SKILLS.replace("args:", "service: {name: x}, args:"), "skills.go_to.service: missing key 'type'"),
        (SKILLS.replace("args:", "service: {type: a/srv/B, name: 'a b'}, args:"), "'a b' is no ROS name"),
        (SKILLS.replace("args:", "action: {}, service: {}, args:"), "by an action or by a service, not by both"),
        (SKILLS.replace("args:", "goal: {x: 1}, args:"), "belong to an action or service of another type than llm_ros"),
        (CALLED + "    goal:\n      a:\n        b: $place.pose\n", "s.yaml:7: skills.go_to.goal.a.b: '$place.pose'"),
        (CALLED + "    goal: {a: $location.colour}\n", "expected one of label, place, room, pose, frame, x, y, yaw"),
        (CALLED + "    goal: {a: 1, a: 2}\n", "skills.go_to.goal.a: given twice"),
        (CALLED + "    result: {success: a = 1}\n", "success: expected a field, or 'field == value', got 'a = 1'"),
        (CALLED + "    result: {text: A B}\n", "text: expected the name of a field, got 'A B'"),
    ],
)
def test_a_wrong_skill_file_is_one_error(text, words):
    with pytest.raises(ConfigError) as caught:
        parse_skills(text, "s.yaml")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_pose_is_two_or_three_numbers():
    world = parse_world(WORLD.replace("holds: pens", "pose: [1, 2.5], frame: odom"))
    pose = world.locations["shelf"].pose
    assert (pose.x, pose.y, pose.yaw, pose.frame) == (1.0, 2.5, 0.0, "odom")
    for bad, words in (("[1]", "expected [x, y] or [x, y, yaw], got 1 numbers"), ("[1, no]", "expected numbers")):
        with pytest.raises(ConfigError, match=re.escape(words)):
            parse_world(WORLD.replace("holds: pens", f"pose: {bad}"))


def test_a_goal_is_filled_from_arguments_world_and_constants():
    text = (
        CALLED
        + """    goal:
      pose.header.frame_id: $location.frame
      pose.pose: $location.pose
      behavior_tree: ''
      names: [$location, "to $location.label in $location.room", $speed]
      speed: {limit: $speed}
    result: {success: error.code == 0, message: error.text}
"""
    )
    carrier = parse_skills(text)["go_to"].carrier
    world = parse_world(WORLD.replace("holds: pens", "pose: [1, 2, 3.14159265358979]"))
    goal = fill_goal(carrier.goal, {"location": "shelf"}, world, {})
    assert goal["pose"]["header"] == {"frame_id": "map"}
    assert goal["pose"]["pose"]["position"] == {"x": 1.0, "y": 2.0, "z": 0.0}
    assert goal["pose"]["pose"]["orientation"]["z"] == pytest.approx(1.0)
    assert goal["names"] == ["shelf", "to shelf in den"] and goal["speed"] == {} and goal["behavior_tree"] == ""
    assert fill_goal(carrier.goal, {"location": "shelf", "speed": 2}, world, {})["speed"] == {"limit": 2}
    with pytest.raises(ValueError, match="sofa has no pose"):
        fill_goal(carrier.goal, {"location": "sofa"}, world, {})
    result = SimpleNamespace(error=SimpleNamespace(code=0, text="fine"))
    assert carrier.success.holds(result)
    result.error.code = 3
    assert not carrier.success.holds(result)


def test_files_that_are_no_files(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        load_world(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="not a regular file"):
        load_world(tmp_path)
    (tmp_path / "binary.yaml").write_bytes(b"rooms: [\xff]")
    with pytest.raises(ConfigError, match="not UTF-8 at byte 8"):
        load_world(tmp_path / "binary.yaml")
    (tmp_path / "big.yaml").write_bytes(b"#" * (1 << 21))
    with pytest.raises(ConfigError, match="larger than"):
        load_world(tmp_path / "big.yaml")


def test_our_own_configuration_is_valid():
    assert set(load_skills(DATA / "planner_skills_minimal.yaml")) <= set(load_skills(CONFIG / "skills.yaml"))
    assert "kitchen" in load_world(CONFIG / "world.yaml").rooms
