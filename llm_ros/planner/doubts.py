"""What speaks against a plan: signs that a command was taken apart wrongly.

In: the steps of a plan. Out: whether they are implausible in themselves, handle what the world does not know, or say
less than other steps for the same command do. Knows no words of the command.
"""

from __future__ import annotations

import re
from collections.abc import Sequence, Set

from llm_ros.planner.plan import Step
from llm_ros.planner.report import RESULT, UNTOLD
from llm_ros.planner.skills import Skill, Skills
from llm_ros.planner.words import COLORS, singular
from llm_ros.planner.world import World

_FINDING = ("count", "detect", "ask")
_ONCE = ("ask", "answer_question", "guide")
_HANDLING = ("find_object", "pick", "place", "hand_over")
_HARMLESS = ("go_to", "find_object", "find_person", "detect")
_NAMED, _WORDED = ("object", "kind"), ("what", "question", "text")
_NOTHING = frozenset("it he she they them him there here how many much left again wide".split())
# Which frames of verbs (verbs.py) ask for a kind of deed; a deed that is not here counts whatever the verbs are.
_ASKED_BY = {
    deed: frozenset(frames.split())
    for deed, frames in {
        "open": "open",
        "close": "close",
        "wait": "wait",
        "follow": "follow",
        "answer_question": "answer",
        "ask": "ask",
        "guide": "guide take bring",
        "hand_over": "bring take",
        "place": "place take bring",
        "pick": "take bring place",
        "count": "count tell",
        "greeting": "greet meet",
        "words": "tell greet",
        "result": "tell describe count find ask",
        "find_person": "go find guide",
    }.items()
}
_TELLING = COLORS | {"wearing"}  # by which somebody is known
_UNASKED = re.compile(r"(?:when|where|who|how|whether|which|why) [^?]*$", re.IGNORECASE)  # told as if it were known
_GREETING = re.compile(r"(hello|goodbye)\b", re.IGNORECASE)


def implausible(steps: Sequence[Step], skills: Skills) -> bool:
    """Whether a plan tells a result of nothing, or a question as an answer, does the same deed twice to somebody, leads
    somebody to where they are, or has words that name nothing where a name or a text belongs: what comes of a sentence
    that was taken apart wrongly."""
    found, done, here = False, [], None
    for step in steps:
        role = skills[step.skill].role
        if any(_hollow(step, skills[step.skill], slot) for slot in (*_NAMED, *_WORDED)):
            return True
        place = step.args.get(skills[step.skill].slots.get("location", ""))
        if role == "guide" and place == here:
            return True
        here = place if role == "go_to" else here
        found = found or role in _FINDING
        said = str(step.args.get(skills[step.skill].slots.get("text", ""), ""))
        if role == "say" and (not found and said == UNTOLD or _UNASKED.match(said)):
            return True
        done += [step] if role in _ONCE or role == "say" and RESULT in str(step.args) else []
    return any(step in done[:number] for number, step in enumerate(done))


def _hollow(step: Step, skill: Skill, slot: str) -> bool:
    """Whether a slot holds words for nothing: a name that begins with one ("left"), a text of no others ("there")."""
    words = re.findall(r"[a-z']+", str(step.args.get(skill.slots.get(slot, ""), "")).lower())
    return bool(words) and _NOTHING.issuperset(words[:1] if slot in _NAMED else words)


def unknown_things(steps: Sequence[Step], skills: Skills, world: World) -> set[str]:
    """What a plan handles that is no thing or kind of the world."""
    kinds = world.categories.values()
    known = {*world.objects, *(name for kind in kinds for name in (kind.name, kind.singular, *kind.objects))}
    nouns = {singular(name.split("_")[-1]) for name in known}
    found = set()
    for step in steps:
        skill = skills[step.skill]
        thing = step.args.get(skill.slots.get("object", "")) if skill.role in _HANDLING else None
        if thing and thing not in known and singular(str(thing).split("_")[-1]) not in nouns:
            found.add(str(thing))
    return found


def out_of_sight(steps: Sequence[Step], skills: Skills, world: World) -> str | None:
    """A thing that the world does not know and that is taken before the robot has gone anywhere: nobody has said where
    it is."""
    for step in steps:
        skill = skills[step.skill]
        if skill.role in ("go_to", "guide", "follow"):
            return None
        if skill.role == "pick" and unknown_things([step], skills, world):
            return str(step.args[skill.slots["object"]])
    return None


def says_less(steps: Sequence[Step], others: Sequence[Step], skills: Skills, frames: Set[str]) -> bool:
    """Whether `steps` lack a kind of deed that `others` have and that one of the verb frames asks for (what else they
    have came of no order), or describe the same with fewer words ("people" for "people wearing a pink raincoat")."""
    missing = _deeds(others, skills) - _deeds(steps, skills)
    if any(_ASKED_BY.get(deed, frames) & frames for deed in missing):
        return True
    words = [value.lower().split() for step in steps for value in _descriptions(step, skills)]
    return not missing and any(
        mine and _TELLING & set(theirs) - set(mine) and " ".join(mine) in " ".join(theirs) and theirs not in words
        for step in others
        for theirs in (value.lower().split() for value in _descriptions(step, skills))
        for mine in words
    )


def _deeds(steps: Sequence[Step], skills: Skills) -> set[str]:
    """The kinds of deeds: roles, but for saying a result, a greeting, or words, and for going back to somebody."""
    found = set()
    for number, step in enumerate(steps):
        role, said = skills[step.skill].role, str(step.args.get(skills[step.skill].slots.get("text", ""), ""))
        if said:
            found.add("result" if RESULT in said else "greeting" if _GREETING.match(said) else "words")
        elif role not in _HARMLESS or number == len(steps) - 1 and role == "find_person":
            found.add(role or step.skill)
    return found


def _descriptions(step: Step, skills: Skills) -> list[str]:
    """Who or what kind is meant, in words with spaces."""
    slots = skills[step.skill].slots
    return [
        str(step.args[slots[slot]]).replace("_", " ") for slot in ("kind", "person") if slots.get(slot) in step.args
    ]
