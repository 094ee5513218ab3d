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

from llm_ros.planner.conditions import Condition, parse_condition
from llm_ros.planner.roles import ROLES, assign_roles
from llm_ros.planner.strictyaml import ConfigError, Section, load_yaml, parse_yaml

TYPES = ("location", "object", "person", "door", "category", "text", "number")
SAFETY = ("free", "forbidden")
MAX_SKILLS = 200


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
    arguments."""

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
    )
    conditions = tuple(_conditions(entry, key, arguments) if key in entry else None for key in ("needs", "effects"))
    entry.done("description", "args", "verbs", "examples", "needs", "effects", "safety", "role")
    return skill, conditions


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
