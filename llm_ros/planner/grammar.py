"""Lark grammars for plans: a tight one that admits the readings of one command, and an open one over all skills and
names.

In: readings as steps, or skills and world. Out: grammar text for llguidance. The model writes one step a line and
`done`:

    go_to(kitchen)
    find_object(glass_of_water)
    done

In the open grammar it may instead write `refuse(reason)` or `clarify("question")`.
"""

from __future__ import annotations

import json

from llm_ros.planner.plan import REFUSALS, Step
from llm_ros.planner.refer import FreeText
from llm_ros.planner.skills import Argument, Skill, Skills
from llm_ros.planner.world import World

# A sentence or two without quotes, braces or line ends: it stays one argument on one line.
SENTENCE = r"/[A-Z][A-Za-z0-9 ,'’-]{8,90}[.!?]/"
_WORDS = r'/"[A-Za-z0-9][A-Za-z0-9 ,.?!\x27_-]{0,60}"/'
_REFUSABLE = ("unknown_place", "unknown_object", "unknown_person", "impossible", "unsafe", "contradictory")
MAX_STEPS = 24


def _quote(text: str) -> str:
    """A literal of Lark."""
    return json.dumps(text, ensure_ascii=False)


def tight_grammar(readings: list[list[Step]]) -> str:
    """A grammar whose language is exactly the given plans; texts that the model is to write are sentences."""
    bodies = []
    for steps in readings:
        parts: list[str] = []
        for step in steps:
            for piece in step_pieces(step):
                literal = not isinstance(piece, FreeText)
                if literal and parts and parts[-1].startswith('"'):
                    parts[-1] = _quote(json.loads(parts[-1]) + piece)
                else:
                    parts.append(_quote(piece) if literal else "SENTENCE")
        if parts and parts[-1].startswith('"'):
            parts[-1] = _quote(json.loads(parts[-1]) + "done")
        bodies.append(" ".join(parts))
    text = "start: " + "\n     | ".join(dict.fromkeys(bodies)) + "\n"
    return text + (f"SENTENCE: {SENTENCE}\n" if "SENTENCE" in text else "")


def step_pieces(step: Step) -> list[str | FreeText]:
    """A step's line as literal texts and the texts that the model writes."""
    pieces: list[str | FreeText] = [f"{step.skill}("]
    for number, value in enumerate(step.args.values()):
        separator = ", " if number else ""
        if isinstance(value, FreeText):
            pieces += [f'{separator}"{value.prefix}', value, '"']
        else:
            line = str(Step("x", {"value": value}))
            pieces.append(separator + line[2:-1])
    pieces.append(")\n")
    return pieces


def open_grammar(
    skills: Skills,
    world: World,
    places: tuple[str, ...] = (),
    things: tuple[str, ...] = (),
    people: tuple[str, ...] = (),
) -> str:
    """A grammar of all plans over the skills; names are those given, or all of the world's where none are given."""
    names = {
        "location": places or world.places,
        "object": things or (*world.objects, *(category.singular for category in world.categories.values())),
        "person": people
        or (*world.people, *world.descriptions.get("gestures", ()), *world.descriptions.get("poses", ())),
        "door": (*world.doors, *places),
        "category": things or tuple(category.singular for category in world.categories.values()),
    }
    rules = [
        f'start: (step){{1,{MAX_STEPS}}} "done" | refuse | clarify',
        "refuse: " + " | ".join(_quote(f"refuse({reason})") for reason in _REFUSABLE if reason in REFUSALS),
        'clarify: "clarify(" WORDS ")"',
    ]
    usable = [skill for skill in skills.values() if skill.safety != "forbidden"]
    rules.append("step: " + " | ".join(f"s_{skill.name.lower()}" for skill in usable))
    used: dict[str, str] = {}
    for skill in usable:
        rules.append(f"s_{skill.name.lower()}: {_skill_rule(skill, names, used)}")
    rules += [f"{name}: {body}" for name, body in used.items()]
    rules.append(f"WORDS: {_WORDS}")
    rules.append(r"NUMBER: /[0-9]{1,5}(\.[0-9]{1,2})?/")
    return "\n".join(rules) + "\n"


def _skill_rule(skill: Skill, names: dict[str, tuple[str, ...]], used: dict[str, str]) -> str:
    parts, opened = [_quote(f"{skill.name}(")], 0
    for number, arg in enumerate(skill.args):
        if arg.optional:
            parts.append("(")
            opened += 1
        if number:
            parts.append(_quote(", "))
        parts.append(_argument_rule(arg, names, used))
    return " ".join(parts) + " )?" * opened + ' ")\\n"'


def _argument_rule(arg: Argument, names: dict[str, tuple[str, ...]], used: dict[str, str]) -> str:
    if arg.type == "text":
        return "WORDS"
    if arg.type == "number":
        return "NUMBER"
    known = [_quote(str(Step("x", {"v": name}))[2:-1]) for name in names[arg.type]]
    key = f"a_{arg.type}{'_free' if arg.free or not known else ''}"
    used[key] = " | ".join([*dict.fromkeys(known), *(["WORDS"] if key.endswith("free") else [])])
    return key
