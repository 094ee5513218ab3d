"""How a skill is carried out: which action or service, how arguments become its goal, what its result means.

In: the keys `action`, `service`, `goal`, `result` of a skill; later arguments, the world and where things are. Out: a
`Carrier`; goals as plain nested values; a judgement of a result. A value of `goal` is a constant or holds `$argument`
or `$argument.attribute` (ATTRIBUTES): alone it keeps its type, inside a longer text it is put in. Knows no ROS: types
are names here, resolved when the skill is first called.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import yaml

from llm_ros.planner.strictyaml import Section
from llm_ros.planner.world import Pose, World

EXECUTE_SKILL = "llm_ros/action/ExecuteSkill"
# What `$argument.attribute` may ask of a place, or of the place where a thing or person is known to be.
ATTRIBUTES = ("label", "place", "room", "pose", "frame", "x", "y", "yaw")
_TYPE = re.compile(r"[a-z]\w*/(action|srv)/[A-Z]\w*")
_ROS_NAME = re.compile(r"[~/]?[A-Za-z_][\w/]*")
_REFERENCE = re.compile(r"\$(\w+)(?:\.(\w+))?")
_PATH = r"[a-z]\w*(?:\.[a-z]\w*)*"
_CHECK = re.compile(rf"(not\s+)?({_PATH})(?:\s*(==|!=|<=|>=|<|>)\s*(.+))?")
_COMPARE = {
    "==": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}


@dataclass(frozen=True)
class Check:
    """A condition on a result: `field`, `not field` or `field == value` (also != < <= > >=)."""

    path: str
    compare: str = ""
    value: object = None
    negated: bool = False

    def holds(self, result) -> bool:
        """Whether a result message (anything with attributes) fulfils it. Raises AttributeError for a missing field."""
        value = field_of(result, self.path)
        if not self.compare:
            return bool(value) != self.negated
        try:
            return _COMPARE[self.compare](value, self.value) != self.negated
        except TypeError:
            return False

    def __str__(self) -> str:
        return f"{'not ' if self.negated else ''}{self.path}{f' {self.compare} {self.value}' if self.compare else ''}"


@dataclass(frozen=True)
class Carrier:
    """kind: "action" or "service"; name and type in ROS's spelling. goal: template. success, text, message: the result.

    text: the field that holds what was found out; message: the field that says why it failed; "": none.
    """

    kind: str
    name: str
    type: str = EXECUTE_SKILL
    goal: Mapping = field(default_factory=dict)
    success: Check | None = None
    text: str = ""
    message: str = ""


def read_carrier(skill: str, arguments: tuple[str, ...], entry: Section) -> Carrier:
    """Takes the keys of a skill's section. Raises ConfigError naming file, line and key."""
    found = {kind: entry.section(kind) for kind in ("action", "service")}
    given = [kind for kind, section in found.items() if section is not None]
    if len(given) == 2:
        raise entry.error("a skill is carried out by an action or by a service, not by both", "service")
    kind, name, type_name = "action", f"skills/{skill}", EXECUTE_SKILL
    if given:
        kind, section = given[0], found[given[0]]
        name, type_name = _server(kind, name, section)
    mapped = "goal" in entry
    goal = entry.tree("goal", lambda value: _check_value(value, arguments))
    success, text, message = _result(entry.section("result"))
    if type_name == EXECUTE_SKILL and (mapped or success or text or message):
        raise entry.error(f"goal and result belong to an action or service of another type than {EXECUTE_SKILL}")
    return Carrier(kind, name, type_name, goal, success, text, message)


def _server(kind: str, name: str, section: Section) -> tuple[str, str]:
    name = section.text("name", name)
    type_name = section.text("type", *([EXECUTE_SKILL] if kind == "action" else []))
    wanted = {"action": "action", "service": "srv"}[kind]
    match = _TYPE.fullmatch(type_name)
    if not match or match[1] != wanted:
        raise section.error(f"type: expected package/{wanted}/Name, got {type_name!r}")
    if not _ROS_NAME.fullmatch(name) or "//" in name or name.endswith("/"):
        raise section.error(f"name: {name!r} is no ROS name")
    section.done("name", "type")
    return name, type_name


def _result(section: Section | None) -> tuple[Check | None, str, str]:
    if section is None:
        return None, "", ""
    success = section.text("success", None)
    check = None
    if success is not None:
        match = _CHECK.fullmatch(success.strip())
        if not match:
            raise section.error(f"success: expected a field, or 'field == value', got {success!r}")
        check = Check(match[2], match[3] or "", yaml.safe_load(match[4]) if match[4] else None, bool(match[1]))
    paths = []
    for key in ("text", "message"):
        path = section.text(key, "")
        if path and not re.fullmatch(_PATH, path):
            raise section.error(f"{key}: expected the name of a field, got {path!r}")
        paths.append(path)
    section.done("success", "text", "message")
    return check, *paths


def _check_value(value, arguments: tuple[str, ...]) -> None:
    if not isinstance(value, str):
        return
    for match in _REFERENCE.finditer(value):
        if match[1] not in arguments:
            raise ValueError(f"{match[0]!r}: the skill has no argument {match[1]!r}")
        if match[2] and match[2] not in ATTRIBUTES:
            raise ValueError(f"{match[0]!r}: expected one of {', '.join(ATTRIBUTES)} after the dot")


_LEFT_OUT = object()


def fill_goal(template: Mapping, args: Mapping, world: World, places: Mapping[str, str | None]) -> dict:
    """The template with its references replaced; fields of missing optional arguments are left out.

    Keys with dots become nested mappings. Raises ValueError for an attribute that is not known, such as the pose of a
    place that has none.
    """
    goal: dict = {}
    for path, value in template.items():
        value = _fill(value, args, world, places)
        if value is _LEFT_OUT:
            continue
        *parents, last = path.split(".")
        target = goal
        for parent in parents:
            target = target.setdefault(parent, {})
        target[last] = value
    return goal


def _fill(value, args, world, places):
    if isinstance(value, Mapping):
        return fill_goal(value, args, world, places)
    if isinstance(value, list):
        return [item for item in (_fill(item, args, world, places) for item in value) if item is not _LEFT_OUT]
    if not isinstance(value, str):
        return value
    whole = _REFERENCE.fullmatch(value)
    if whole:
        return _refer(whole, args, world, places) if whole[1] in args else _LEFT_OUT
    return _REFERENCE.sub(lambda match: str(_refer(match, args, world, places)) if match[1] in args else "", value)


def _refer(match: re.Match, args, world: World, places):
    value, attribute = args[match[1]], match[2]
    if not attribute:
        return value
    if attribute == "label":
        return str(value).replace("_", " ")
    place = value if value in world.places else places.get(value)
    if place is None:
        raise ValueError(f"{match[0]}: nobody knows where {str(value).replace('_', ' ')} is")
    if attribute == "place":
        return place
    if attribute == "room":
        return world.room_of(place) or ""
    pose = pose_of(world, place)
    if pose is None:
        raise ValueError(f"{match[0]}: {place} has no pose in the world file")
    return pose_fields(pose) if attribute == "pose" else getattr(pose, attribute)


def pose_of(world: World, place: str) -> Pose | None:
    """The pose of a location; that of a room is the first one of its locations that has one."""
    if place in world.locations:
        return world.locations[place].pose
    return next((one.pose for one in world.locations.values() if one.room == place and one.pose), None)


def pose_fields(pose: Pose) -> dict:
    """The fields of a geometry_msgs/Pose."""
    return {
        "position": {"x": pose.x, "y": pose.y, "z": 0.0},
        "orientation": {"x": 0.0, "y": 0.0, "z": math.sin(pose.yaw / 2), "w": math.cos(pose.yaw / 2)},
    }


def field_of(message, path: str):
    """The value of a field such as "answer.text". Raises AttributeError."""
    for name in path.split("."):
        message = getattr(message, name)
    return message
