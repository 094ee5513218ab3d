"""Roles: the deeds that a service robot's skills amount to, whatever a skill file calls them.

In: skills by name, description and argument types. Out: which role each plays and which argument fills which slot. A
role
carries the needs and effects that a skill has unless its file says otherwise. Knows no world.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from llm_ros.planner.conditions import Condition, parse_condition
from llm_ros.planner.words import verb_forms


@dataclass(frozen=True)
class Role:
    """slots: name → argument types that may fill it ("?" first: may be missing). words: verbs of a name or description.

    nouns: further words that a skill's name may contain and still play the role.
    """

    slots: dict[str, tuple[str, ...]]
    words: tuple[str, ...]
    nouns: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    effects: tuple[str, ...] = ()

    @cached_property
    def forms(self) -> frozenset[str]:
        """All inflected forms of `words`."""
        return frozenset(form for word in self.words for form in verb_forms(word))

    def conditions(self, which: str, slots: dict[str, str]) -> tuple[Condition, ...]:
        """The role's `needs` or `effects`, in the skill's own argument names; those of missing slots are left out."""
        parsed = (parse_condition(text, tuple(self.slots), which == "effects") for text in getattr(self, which))
        return tuple(
            condition.renamed(slots)
            for condition in parsed
            if all(name == "*" or name in slots for name, _ in condition.terms)
        )


_THING = ("object", "category", "text")
_PERSON = ("person", "text")
_PLACE = ("location",)
_MOVED = ("at(location)", "not found(*)")

ROLES: dict[str, Role] = {
    "go_to": Role(
        {"location": _PLACE},
        ("go", "drive", "navigate", "move", "travel", "walk", "head", "approach"),
        ("to", "base", "robot", "location", "place", "room", "goal", "point"),
        (),
        _MOVED,
    ),
    "find_object": Role(
        {"object": _THING},
        ("find", "search", "look", "locate", "seek"),
        ("object", "item", "thing", "for"),
        ("at(place(object))",),
        ("found(object)",),
    ),
    "find_person": Role(
        {"person": _PERSON},
        ("find", "search", "look", "locate", "seek", "meet"),
        ("person", "people", "human", "user", "for", "someone"),
        ("at(place(person))",),
        ("found(person)",),
    ),
    "pick": Role(
        {"object": _THING},
        ("pick", "grasp", "take", "grab", "get", "lift", "fetch"),
        ("object", "item", "thing", "up"),
        ("graspable(object)", "hand_empty", "found(object)"),
        ("holding(object)", "not found(object)"),
    ),
    "place": Role(
        {"object": ("?", *_THING), "location": _PLACE},
        ("place", "put", "set", "drop", "deposit"),
        ("object", "item", "thing", "down", "on", "at", "in"),
        ("placement(location)", "holding(object)", "at(location)"),
        ("not holding(object)", "hand_empty", "located(object, location)", "found(object)"),
    ),
    "hand_over": Role(
        {"object": ("?", *_THING), "person": _PERSON},
        ("hand", "give", "deliver", "pass", "handover", "offer"),
        ("over", "object", "item", "to", "person"),
        ("holding(object)", "found(person)"),
        ("not holding(object)", "hand_empty"),
    ),
    "guide": Role(
        {"person": _PERSON, "location": _PLACE},
        ("guide", "lead", "escort", "accompany", "conduct", "usher"),
        ("person", "to", "human", "user"),
        ("found(person)",),
        (*_MOVED, "located(person, location)", "found(person)"),
    ),
    "follow": Role(
        {"person": _PERSON, "location": ("?", *_PLACE)},
        ("follow", "trail", "pursue", "accompany"),
        ("person", "human", "user", "to"),
        ("found(person)",),
        ("not found(*)", "not at(*)", "at(location)", "located(person, location)", "found(person)"),
    ),
    "say": Role(
        {"text": ("text",)},
        ("say", "speak", "tell", "announce", "report", "talk", "utter"),
        ("text", "sentence", "message"),
    ),
    "answer_question": Role(
        {"person": ("?", *_PERSON)}, ("answer", "respond", "reply"), ("question", "questions", "to"), ("found(person)",)
    ),
    "count": Role(
        {"kind": _THING},
        ("count", "enumerate"),
        ("objects", "object", "items", "people", "things"),
        ("at(place(kind))",),
    ),
    "open": Role(
        {"object": ("door", *_THING, "location")},
        ("open", "unlatch"),
        ("door", "object", "furniture"),
        ("at(place(object))",),
        ("not closed(object)",),
    ),
    "close": Role(
        {"object": ("door", *_THING, "location")},
        ("close", "shut"),
        ("door", "object", "furniture"),
        ("at(place(object))",),
        ("closed(object)",),
    ),
    "ask": Role(
        {"person": ("?", *_PERSON), "question": ("text",)},
        ("ask", "query", "question", "interview"),
        ("question", "person"),
        ("found(person)",),
    ),
    "wait": Role({"seconds": ("number",)}, ("wait", "pause", "sleep", "idle"), ("seconds", "for", "time")),
    "detect": Role(
        {"what": _THING},
        ("detect", "describe", "identify", "recognize", "inspect", "observe", "perceive", "look"),
        ("object", "objects", "scene", "at"),
        ("at(place(what))",),
    ),
}


def assign_roles(skills) -> dict[str, tuple[str, dict[str, str]]]:
    """For each skill the role it plays and the slots' arguments: ("", {}) where none fits.

    A role is played once. Skills that say their role come first, then those named like a role, then those whose name's
    verb or description's first verb is the role's, with argument types that fit.
    """
    found: dict[str, tuple[str, dict[str, str]]] = {skill.name: ("", {}) for skill in skills}
    open_roles = set(ROLES)
    for score in (_declared, _same_name, _by_name, _by_description):
        for skill in skills:
            if found[skill.name][0] or skill.role == "none":
                continue
            for role in sorted(open_roles, key=list(ROLES).index):
                slots = fill_slots(ROLES[role], skill.args)
                if slots is not None and score(skill, role):
                    found[skill.name] = (role, slots)
                    open_roles.discard(role)
                    break
    return found


def fill_slots(role: Role, args) -> dict[str, str] | None:
    """Which argument fills which slot, by name first and then by type; None if a slot or an argument is left over."""
    free, slots = list(args), {}
    for by_name in (True, False):
        for slot, types in role.slots.items():
            if slot not in slots:
                arg = next((a for a in free if a.type in types and (not by_name or a.name == slot)), None)
                if arg:
                    slots[slot] = arg.name
                    free.remove(arg)
    missing = [slot for slot, types in role.slots.items() if slot not in slots and types[0] != "?"]
    return None if missing or any(not arg.optional for arg in free) else slots


def _declared(skill, role: str) -> bool:
    return skill.role == role


def _same_name(skill, role: str) -> bool:
    return skill.name.lower() == role


def _by_name(skill, role: str) -> bool:
    words, known = skill.name.lower().split("_"), ROLES[role]
    return words[0] in known.forms and all(word in known.forms or word in known.nouns for word in words[1:])


def _by_description(skill, role: str) -> bool:
    """The name says nothing known (a code name), and the description opens with the role's verb."""
    named = any(word in other.forms for other in ROLES.values() for word in skill.name.lower().split("_"))
    first = skill.description.lower().split()[:1]
    return not named and not skill.verbs and bool(first) and first[0].strip(".,;:") in ROLES[role].forms
