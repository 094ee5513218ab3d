"""Makes training pairs: a command in any wording, and the plain commands it amounts to, both with tags for names.

    python training/commands.py --count 40000 --seed 1 --out pairs.jsonl [--workers 2]

Each pair comes from a random world and a few tasks. Its plain commands are read, completed and checked by the planner
itself, and the plan must hold the steps that the task asks for; pairs that fail are left out and counted. The same
seed gives the same pairs.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from llm_ros.planner.complete import Completer  # noqa: E402
from llm_ros.planner.interpret import Interpreter  # noqa: E402
from llm_ros.planner.judge import missing  # noqa: E402
from llm_ros.planner.looks import one_form  # noqa: E402
from llm_ros.planner.plain import OPEN, PlainForms  # noqa: E402
from llm_ros.planner.plan import PlanError  # noqa: E402
from llm_ros.planner.refer import Question  # noqa: E402
from llm_ros.planner.skills import load_skills  # noqa: E402
from llm_ros.planner.tags import Tagged, tag  # noqa: E402
from llm_ros.planner.tokens import tokenize  # noqa: E402
from training import wording as w  # noqa: E402
from training.filler import SLOT, Filler, as_plural  # noqa: E402
from training.tasks import CHAINS, JOINED, REFUSED, TASKS, Task  # noqa: E402
from training.worlds import random_world  # noqa: E402

PHRASES = w.load_phrases()
PAIRS_PER_WORLD = 10


def _as_name(phrase: str):
    """The tokens of a phrase after an article: "book" and "microwave" alone would be verbs."""
    return one_form(tokenize(f"the {phrase}"))


def quote(phrase: str, tagged: Tagged, names) -> str | None:
    """The words of a phrase as the tagged command has them, in quotes; None if it does not."""
    tokens = _as_name(phrase)
    keys = {one.mentions[0].names: name for name, one in tagged.names.items()}
    mentions = {mention.start: mention for mention in names.find(tokens)}
    words, k = [], 1
    while k < len(tokens):
        mention = mentions.get(k)
        if mention and mention.names in keys:
            words.append(keys[mention.names])
            k = mention.end
        else:
            words.append(re.escape(tokens[k].text))
            k += 1
    found = re.search(r"(?<!\w)" + r"[ ]?".join(words).replace(r"\ ", " ") + r"(?!\w)", tagged.text, re.IGNORECASE)
    return f'"{found[0]}"' if found else None


def reference(said: str, tagged: Tagged, names) -> str | None:
    """The tag of a name as it was said, else its words in quotes."""
    bare = re.sub(r"^(the|a|an|some) ", "", said)
    tokens = _as_name(bare)
    found = names.find(tokens)
    if len(found) == 1 and found[0].start == 1 and found[0].end == len(tokens):
        for name, one in tagged.names.items():
            if one.mentions[0].names == found[0].names and one.mentions[0].kind == found[0].kind:
                return name
    return quote(bare, tagged, names) or quote(as_plural(bare), tagged, names)


class Robot:
    """A random world with what reads commands in it."""

    def __init__(self, skills, seed: str):
        self.world = random_world(random.Random(seed))
        self.interpreter = Interpreter(skills, self.world)
        self.forms = PlainForms(skills, self.interpreter.names)


def make(rng: random.Random, skills, robot: Robot, count: int | None = None, task: str | None = None):
    """One pair as {"text", "plain", "tasks"}, of `count` tasks or of the one that is named, or the reason why none
    came of it."""
    names = robot.interpreter.names
    chosen = [task] if task else _choose(rng, count)
    parts: list[Part] = []
    for name in chosen:
        parts.append(_part(name, parts[-1] if parts else None, robot.world, rng))
    if len(chosen) == 1:
        command = w.ask_for(parts[0].text, parts[0].order, rng)
    else:
        command, parts = _joined(parts, rng)
    tagged = tag(command, names)
    lines, steps = [], []
    for part in parts:
        line = _plain(part.task, part.filler, tagged, names)
        if line is None:
            return "reference"
        lines.append(line)
        steps += [_step(step, part.filler) for step in part.task.steps.split(";")] if part.task.steps else []
    refused = next((line for line in lines if line.startswith("refuse")), None)
    plain, steps = (refused, []) if refused else ("\n".join(lines), steps)
    failure = check(plain, tagged, robot.forms, robot.interpreter, skills, robot.world, steps)
    return failure or {"text": tagged.text, "plain": plain, "tasks": chosen}


def _choose(rng: random.Random, count: int | None) -> list[str]:
    """Names of the tasks of one command."""
    count = count or rng.choices((1, 2, 3), (0.62, 0.28, 0.1))[0]
    if count == 1:
        return rng.choices(list(TASKS), [task.weight for task in TASKS.values()])
    chosen = rng.choices(JOINED, [TASKS[name].weight for name in JOINED], k=count)
    roll = rng.random()
    if roll < 0.08:  # one part that must not or cannot be done: then nothing is
        chosen[rng.randrange(count)] = rng.choice(REFUSED)
    elif roll < 0.14:
        chosen[-1] = "back"
    elif roll < 0.20:
        chosen = rng.choice(CHAINS).split(", ")
    return chosen


@dataclass(frozen=True)
class Part:
    """What one task puts into a command: its words, and whether they are an order."""

    task: Task
    text: str
    order: bool
    filler: Filler


def _part(name: str, before: Part | None, world, rng: random.Random) -> Part:
    """The words of a task; after another one, often about the same person, door or place."""
    phrase = rng.choice(PHRASES[name])
    if before and not phrase.startswith("!") and rng.random() < 0.6:
        phrase = rng.choice([one for one in PHRASES[name] if one.startswith("!")] or [phrase])
    filler = Filler(world, rng, TASKS[name].home)
    again = []
    if before:
        given = before.filler.given
        for letter, chance in (("P", 0.6), ("D", 0.85)):
            if letter in given and rng.random() < chance:
                again.append(letter)
                filler.given[letter] = given[letter]
        filler.pronoun = before.filler.pronoun if "P" in again else filler.pronoun
        if "D" in given and "T" in TASKS[name].plain and given["D"][0] in world.locations and rng.random() < 0.6:
            filler.given["L"] = given["D"][0], given["D"][1].removeprefix("the ")
    text = filler.fill(w.choose(phrase.lstrip("!"), rng))
    if "P" in again and not before.filler.hints and rng.random() < 0.75:
        whole = filler.given["P"][1]
        text = text.replace(f"{whole}'s", filler.pronoun["his"]).replace(whole, filler.pronoun["him"])
    if "D" in again and rng.random() < 0.6:
        text = text.replace(filler.given["D"][1], "it")
    if rng.random() < 0.75:
        text = ". ".join((text, *filler.hints))
    else:
        text = ". ".join((*[f"{_cap(hint, filler, text)}" for hint in filler.hints], text))
    return Part(TASKS[name], text, phrase.startswith("!"), filler)


def _joined(parts: list[Part], rng: random.Random) -> tuple[str, list[Part]]:
    """(a command of several tasks, its parts in the order of doing)."""
    if len(parts) == 2 and rng.random() < 0.12:  # the second is said last and done first
        command = w.ask_for(parts[0].text + rng.choice(w.FIRST) + parts[1].text, parts[0].order, rng)
        return command, parts[::-1]
    command, ordered = parts[0].text, parts[0].order
    if parts[0].order and rng.random() < 0.12:
        command = rng.choice(w.BEGIN) + command
    elif rng.random() < 0.06:
        command, ordered = rng.choice(w.SEVERAL[len(parts)]) + command, False
    for part in parts[1:]:
        then = w.THEN if part.order and not part.filler.hints else w.ALSO
        command += rng.choice(then) + part.text
    return w.ask_for(command, ordered, rng), parts


def _cap(hint: str, filler: Filler, text: str) -> str:
    """A hint that comes first names whom it is about."""
    for letter in "PT":
        if letter in filler.given and hint.startswith(("he ", "she ", "they ", "it ", "he'", "she'", "they'", "it'")):
            mine = hint.startswith("it") == (letter == "T")
            if mine:
                whole = filler.given[letter][1]
                return re.sub(r"^\w+", whole if letter == "P" else f"the {whole}", hint, count=1)
    return hint


def _plain(task: Task, filler: Filler, tagged: Tagged, names) -> str | None:
    def part(match):
        letters = SLOT.findall(match[1])
        return match[1] if all(letter in filler.told for letter in letters) else ""

    text = re.sub(r"\[([^\]]*)\]", part, task.plain)
    for slot in SLOT.findall(text):
        if slot == "fact":
            value = filler.values["fact"]
        elif slot == "W":
            value = quote(filler.values["W"], tagged, names) if "W" in filler.values else None
        elif slot in filler.given:
            value = reference(filler.given[slot][1], tagged, names)
        else:
            value = None
        if value is None:
            return None
        text = text.replace(f"{{{slot}}}", value)
    return text


def _step(step: str, filler: Filler) -> str:
    """A required step with the names of this command; places that the command does not say are left open."""
    parts = []
    for one in step.split("|"):
        body, _, place = one.partition("@")
        person = filler.given.get("P", ("", ""))[0]
        body = re.sub(r"\bP\b", person or "*", body)
        body = re.sub(r"\bL\b", filler.given.get("L", ("*", ""))[0], body)
        parts.append(body + (f"@{filler.given[place][0]}" if place in filler.told else ""))
    return "|".join(parts)


def check(plain, tagged, forms, interpreter, skills, world, steps) -> str | None:
    """None if the planner makes of the plain commands what the task asks for, else why not."""
    try:
        readings = interpreter.read_spoken(forms.read(plain, tagged))
        if not readings.certain:
            return "uncertain"
        plan = Completer(skills, world).complete(readings.readings[0])
    except PlanError as error:
        return (
            None
            if plain.startswith("refuse")
            or error.reason == "impossible"
            and "placement" not in str(error)
            and _furniture(plain, error)
            else f"refused {error.reason}"
        )
    except Question:
        return None if f" {OPEN}" in f" {plain}" else "asked"
    except ValueError:
        return "form"
    if not steps:
        return "planned"
    return "steps" if missing(steps, plan, skills, world) else None


def _furniture(plain: str, error) -> bool:
    """A place that takes nothing is refused by the planner, rightly: the pair stays."""
    return str(error).startswith("nothing can be put")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", required=True)
    parser.add_argument("--from-phrases", metavar="FILE", help="only the tasks of this file of phrases/, each alone")
    args = parser.parse_args()
    alone = w.load_phrases(args.from_phrases) if args.from_phrases else {}
    skills = load_skills(ROOT / "config" / "skills.yaml")
    failures, made, tried = Counter(), 0, 0
    with open(args.out, "w", encoding="utf-8") as out:
        while made < args.count:
            if tried % PAIRS_PER_WORLD == 0:
                robot = Robot(skills, f"{args.seed}-world-{tried}")
            tried += 1
            rng = random.Random(f"{args.seed}-{tried}")
            only = rng.choices(list(alone), [TASKS[name].weight for name in alone])[0] if alone else None
            pair = make(rng, skills, robot, task=only)
            if isinstance(pair, str):
                failures[pair] += 1
                continue
            out.write(json.dumps(pair, ensure_ascii=False) + "\n")
            made += 1
    print(f"{made} pairs of {tried} tried; left out: {dict(failures)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
