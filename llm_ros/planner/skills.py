"""The skills a robot offers: names, typed arguments, descriptions, what they need and what they change.

In: a skills YAML (docs/planning.md lists the keys). Out: an immutable `Skills`. Errors name file, line and key. A
skill that
does not say what it needs gets the needs of the role it plays (roles.py), found by name and description; a skill
that plays
no known role needs nothing and is asked for by its own verbs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from llm_ros.planner.carrier import Carrier, read_carrier
from llm_ros.planner.conditions import Condition, parse_condition
from llm_ros.planner.roles import ROLES, assign_roles
from llm_ros.planner.strictyaml import ConfigError, Section, load_yaml, parse_yaml

TYPES = ("location", "object", "person", "door", "category", "text", "number")
SAFETY = ("free", "confirm", "forbidden")
MAX_SKILLS = 200
MAX_SECONDS = 86_400.0
MAX_RETRIES = 20


@dataclass(frozen=True)
class Argument:
    """An argument of a skill. free: also a short free text. optional: may be left out. min, max: bounds of a number."""

    name: str
    type: str
    free: bool = False
    optional: bool = False
    min: float | None = None
    max: float | None = None


@dataclass(frozen=True)
class Skill:
    """One skill; `role` names the entry of ROLES it plays ("" for none) and `slots` maps that role's slots to
    arguments.

    duration: expected seconds, or the name of the number argument that says so. timeout: seconds after which an attempt
    is given up; None: by the duration. retries: attempts after the first. carrier: what carries it out.
    """

    name: str
    description: str
    args: tuple[Argument, ...] = ()
    verbs: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    needs: tuple[Condition, ...] = ()
    effects: tuple[Condition, ...] = ()
    safety: str = "free"
    role: str = ""
    slots: Mapping[str, str] = field(default_factory=dict)
    duration: float | str = 5.0
    timeout: float | None = None
    retries: int = 2
    carrier: Carrier = Carrier("action", "")

    def seconds(self, args: Mapping) -> float:
        """How long it is expected to take with these arguments."""
        value = self.duration if not isinstance(self.duration, str) else args.get(self.duration, 0.0)
        return float(value)

    def patience(self, args: Mapping) -> float:
        """Seconds after which an attempt is given up: the file's, else a minute more than three times as expected."""
        return self.timeout if self.timeout is not None else 60.0 + 3.0 * self.seconds(args)

    def argument(self, name: str) -> Argument | None:
        """The argument of that name, or None."""
        return next((arg for arg in self.args if arg.name == name), None)


class Skills(Mapping[str, Skill]):
    """Skills by name, in file order."""

    def __init__(self, skills: list[Skill]):
        self._skills = {skill.name: skill for skill in skills}
        self._roles = {skill.role: skill for skill in reversed(skills) if skill.role}

    def __getitem__(self, name: str) -> Skill:
        return self._skills[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._skills)

    def __len__(self) -> int:
        return len(self._skills)

    def playing(self, role: str) -> Skill | None:
        """The skill that plays a role, or None if the robot cannot do that."""
        return self._roles.get(role)


def load_skills(path: str | Path) -> Skills:
    """Reads a skills file. Raises `ConfigError` naming file, line and key."""
    return read_skills(load_yaml(path))


def parse_skills(text: str, file: str = "<text>") -> Skills:
    """The same from a text."""
    return read_skills(parse_yaml(text, file))


def read_skills(top: Section) -> Skills:
    """Takes the skills out of a parsed YAML mapping."""
    section = top.section("skills", required=True)
    top.done("skills")
    names = section.keys()
    if not names or len(names) > MAX_SKILLS:
        raise section.error(f"expected 1 to {MAX_SKILLS} skills, got {len(names)}")
    skills, given = [], []
    for name in names:
        if not name.isidentifier() or not name.isascii():
            raise section.error(f"{name!r} is no skill name: letters, digits and _ only", name)
        skill, conditions = _skill(name, section.section(name))
        skills.append(skill)
        given.append(conditions)
    roles = assign_roles(skills)
    return Skills(
        [_complete(skill, *roles[skill.name], *conditions) for skill, conditions in zip(skills, given, strict=False)]
    )


def _skill(name: str, entry: Section) -> tuple[Skill, tuple]:
    args = []
    section = entry.section("args")
    for key in section.keys() if section else ():
        if not key.isidentifier() or not key.isascii():
            raise section.error(f"{key!r} is no argument name: letters, digits and _ only", key)
        args.append(_argument(key, section.section(key)))
    arguments = tuple(arg.name for arg in args)
    skill = Skill(
        name,
        entry.text("description", ""),
        tuple(args),
        entry.texts("verbs"),
        entry.texts("examples"),
        safety=entry.choice("safety", SAFETY, "free"),
        role=entry.choice("role", (*ROLES, "none"), "") or "",
        **_timing(tuple(args), entry),
        carrier=read_carrier(name, arguments, entry),
    )
    conditions = tuple(_conditions(entry, key, arguments) if key in entry else None for key in ("needs", "effects"))
    entry.done(*_KEYS)
    return skill, conditions


_KEYS = ("description", "args", "verbs", "examples", "needs", "effects", "safety", "role")
_KEYS += ("duration", "timeout", "retries", "action", "service", "goal", "result")


def _timing(args: tuple[Argument, ...], entry: Section) -> dict:
    """duration, timeout and retries, where they are given."""
    found = {}
    if "duration" in entry:
        duration = entry.scalar("duration")
        numbers = [f"${arg.name}" for arg in args if arg.type == "number"]
        if isinstance(duration, str) and duration not in numbers:
            raise entry.error(f"expected seconds or one of {numbers}, got {duration!r}", "duration")
        found["duration"] = duration[1:] if isinstance(duration, str) else _seconds(entry, "duration", duration, 0.0)
    if "timeout" in entry:
        found["timeout"] = _seconds(entry, "timeout", entry.scalar("timeout"), 1e-3)
        if isinstance(found.get("duration"), float) and found["timeout"] < found["duration"]:
            raise entry.error(f"{found['timeout']:g} s is less than the duration, {found['duration']:g} s", "timeout")
    if "retries" in entry:
        retries = entry.scalar("retries")
        if isinstance(retries, bool) or not isinstance(retries, int) or not 0 <= retries <= MAX_RETRIES:
            raise entry.error(f"expected a whole number from 0 to {MAX_RETRIES}, got {retries!r}", "retries")
        found["retries"] = retries
    return found


def _seconds(entry: Section, key: str, value, low: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= MAX_SECONDS:
        raise entry.error(f"expected seconds from {low:g} to {MAX_SECONDS:g}, got {value!r}", key)
    return float(value)


def _argument(name: str, entry: Section) -> Argument:
    kind = entry.choice("type", TYPES)
    low, high = entry.number("min", None), entry.number("max", None)
    if kind != "number" and (low is not None or high is not None):
        raise entry.error(f"min and max belong to numbers, not to {kind}")
    if low is not None and high is not None and low > high:
        raise entry.error(f"min {low:g} is above max {high:g}")
    argument = Argument(name, kind, entry.flag("free", False), entry.flag("optional", False), low, high)
    entry.done("type", "free", "optional", "min", "max")
    return argument


def _conditions(entry: Section, key: str, arguments: tuple[str, ...]) -> tuple[Condition, ...]:
    found = []
    for text in entry.texts(key):
        try:
            found.append(parse_condition(text, arguments, key == "effects"))
        except ValueError as error:
            raise entry.error(str(error), key) from error
    return tuple(found)


def _complete(skill: Skill, role: str, slots: dict[str, str], needs, effects) -> Skill:
    """Fills in the role's own needs and effects where the file says none."""
    known = ROLES.get(role)
    if known is None and needs is None:
        # What is done to a place is done there.
        needs = tuple(Condition("at", ((arg.name, False),)) for arg in skill.args if arg.type == "location")
    return replace(
        skill,
        role=role,
        slots=MappingProxyType(slots),
        needs=needs if needs is not None else known.conditions("needs", slots) if known else (),
        effects=effects if effects is not None else known.conditions("effects", slots) if known else (),
    )


__all__ = ["Argument", "ConfigError", "Skill", "Skills", "load_skills", "parse_skills", "read_skills"]
