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
from llm_ros.planner.plain import OPEN, PlainForms  # noqa: E402
from llm_ros.planner.plan import PlanError  # noqa: E402
from llm_ros.planner.refer import Question  # noqa: E402
from llm_ros.planner.skills import load_skills  # noqa: E402
from llm_ros.planner.tags import Tagged, tag  # noqa: E402
from llm_ros.planner.tokens import tokenize  # noqa: E402
from training import wording as w  # noqa: E402
from training.filler import SLOT, Filler  # noqa: E402
from training.worlds import random_world  # noqa: E402

PHRASES = w.load_phrases()
PAIRS_PER_WORLD = 10


@dataclass(frozen=True)
class Task:
    """plain: target with slots. steps: what its plan must hold. home: the place letter that {P+} attaches; weight."""

    plain: str
    steps: str = ""
    home: str = "M"
    weight: float = 1.0


TASKS = {
    "bring me": Task("bring {T}[ from {L}] to me", "pick(*)@L;hand_over(*, me)", weight=3),
    "bring": Task("bring {T}[ from {L}] to {P}[ in {M}]", "pick(*)@L;hand_over(*, P)@M", weight=4.5),
    "bring two me": Task(
        "bring {T}[ from {L}] to me\nbring {T'}[ from {L}] to me",
        "pick(*)@L;hand_over(*, me);pick(*)@L;hand_over(*, me)",
        weight=0.5,
    ),
    "bring two": Task(
        "bring {T} to {P}[ in {M}]\nbring {T'} to {P}[ in {M}]",
        "pick(*);hand_over(*, P)@M;pick(*);hand_over(*, P)@M",
        weight=0.5,
    ),
    "move two": Task(
        "move {T}[ from {L}] to {M}\nmove {T'}[ from {L}] to {M}",
        "pick(*)@L;place(*, *)@M;pick(*)@L;place(*, *)@M",
        weight=0.5,
    ),
    "take": Task("take {T}[ from {L}]", "pick(*)@L", weight=0.6),
    "move": Task("move {T}[ from {L}] to {M}", "pick(*)@L;place(*, *)@M", weight=3.5),
    "guide me": Task("guide me to {M}", "guide(me, *)", weight=0.8),
    "guide": Task("guide {P}[ from {L}] to {M}", "guide(P, *)@L", "L", 2.5),
    "guide two": Task("guide {P} to {M}\nguide {Q} to {M}", "guide(P, *);guide(*, *)", weight=0.3),
    "follow": Task("follow {P}[ in {L}][ to {M}]", "follow(P)@L|follow(P, *)@L", "L", 2),
    "follow me": Task("follow me[ to {M}]", "follow(me)|follow(me, *)", weight=0.3),
    "find P": Task("find {P}[ in {L}]", "find_person(P)@L", "L", 1.2),
    "find T": Task("find {T}[ in {L}]", "find_object(*)@L", weight=1.2),
    "greet": Task("greet {P}[ in {M}]", "say(*)@M", weight=1.2),
    "introduce": Task("introduce yourself to {P}[ in {M}]", "say(*)@M", weight=0.5),
    "goodbye": Task("say goodbye to {P}[ in {M}]", "say(*)@M", weight=0.25),
    "answer": Task("answer {P}[ in {M}]", "answer_question(P)@M", weight=1.5),
    "answer me": Task("answer me", "answer_question(me)", weight=0.15),
    "ask": Task("ask {P}[ in {M}] {W}", "ask(P, *)@M", weight=1.2),
    "ask report": Task("ask {P}[ in {M}] {W} and tell me", "ask(P, *)@M;say(*)", weight=0.8),
    "ask tell": Task("ask {P}[ in {M}] {W} and tell {Q}", "ask(P, *)@M;say(*)", weight=0.3),
    "tell": Task("tell {P}[ in {M}] {W}", "say(*)@M", weight=3),
    "tell to": Task("tell {P}[ in {M}] {W}", "say(*)@M", weight=0.8),
    "joke me": Task("tell me a joke", "say(*)", weight=0.4),
    "joke": Task("tell {P}[ in {M}] a joke", "say(*)@M", weight=0.5),
    "time me": Task("tell me the time", "say(*)", weight=0.5),
    "time": Task("tell {P}[ in {M}] the time", "say(*)@M", weight=0.4),
    "day me": Task("tell me what day it is", "say(*)", weight=0.2),
    "date me": Task("tell me the date", "say(*)", weight=0.2),
    "tomorrow me": Task("tell me what day it is tomorrow", "say(*)", weight=0.1),
    "day": Task("tell {P}[ in {M}] what day it is", "say(*)@M", weight=0.2),
    "self me": Task("tell me something about yourself", "say(*)", weight=0.2),
    "self": Task("tell {P}[ in {M}] something about yourself", "say(*)@M", weight=0.2),
    "name me": Task("tell me your name", "say(*)", weight=0.1),
    "name": Task("tell {P}[ in {M}] your name", "say(*)@M", weight=0.1),
    "count me": Task("tell me how many {K} in {L}", "count(*)@L;say(*)", weight=2.2),
    "count": Task("count {K} in {L}", "count(*)@L", weight=0.5),
    "count P": Task("tell {P}[ in {M}] how many {K} in {L}", "count(*)@L;say(*)@M", weight=0.8),
    "whether me": Task("tell me whether {X} in {L}", "find_object(*)@L|find_person(*)@L;say(*)", weight=1.5),
    "whether P": Task("tell {P}[ in {M}] whether {X} in {L}", "find_object(*)@L|find_person(*)@L;say(*)@M", weight=0.5),
    "where me": Task("tell me where {X}", "find_object(*)|find_person(*);say(*)", weight=0.3),
    "what me": Task("tell me what {W} in {L}", "detect(*)@L;say(*)", weight=1.8),
    "state me": Task("tell me what {W} in {D}", "detect(*);say(*)", weight=0.5),
    "what P": Task("tell {P}[ in {M}] what {W} in {L}", "detect(*)@L;say(*)@M", weight=0.5),
    "fact me": Task("tell me the {fact} of {Q}[ in {N}]", "detect(*)|ask(*, *);say(*)", weight=0.4),
    "name of me": Task("tell me the name of {Q}[ in {N}]", "ask(*, *);say(*)", weight=0.3),
    "clothes of me": Task("tell me the clothes of {Q}[ in {L}]", "detect(*);say(*)", weight=0.3),
    "open": Task("open {D}", "open(*)", weight=0.9),
    "close": Task("close {D}", "close(*)", weight=1),
    "wait": Task("wait {W}", "wait(*)", weight=0.6),
    "wait L": Task("wait {W} in {L}", "wait(*)@L", weight=0.5),
    "go": Task("go to {L}", "go_to(L)", weight=1.5),
    "go two": Task("go to {L}\ngo to {M}", "go_to(L);go_to(*)", weight=0.2),
    "back": Task("find me", "find_person(me)", weight=0.1),
    "unsafe": Task("refuse unsafe", weight=3),
    "impossible": Task("refuse impossible", weight=4.5),
    "contradictory": Task("refuse contradictory", weight=1.2),
    "bring ? P": Task("bring ? to {P}[ in {M}]", weight=0.3),
    "bring ? me": Task("bring ? to me", weight=0.3),
    "bring T ?": Task("bring {T}[ from {L}] to ?", weight=0.3),
    "move T ?": Task("move {T}[ from {L}] to ?", weight=0.2),
    "move ? L": Task("move ? to {M}", weight=0.2),
    "move ? ?": Task("move ? to ?", weight=0.2),
    "take ?": Task("take ?", weight=0.15),
    "guide P ?": Task("guide {P}[ from {L}] to ?", "", "L", weight=0.2),
    "guide ? L": Task("guide ? to {M}", weight=0.15),
    "guide ? ?": Task("guide ? to ?", weight=0.15),
    "follow ?": Task("follow ?", weight=0.2),
    "go ?": Task("go to ?", weight=0.15),
    "find ?": Task("find ?", weight=0.15),
    "find ? L": Task("find ? in {L}", weight=0.1),
    "greet ?": Task("greet ?", weight=0.1),
    "answer ?": Task("answer ?", weight=0.1),
    "tell P ?": Task("tell {P}[ in {M}] ?", weight=0.2),
    "tell ? W": Task("tell ? {W}", weight=0.15),
    "count ?": Task("count ?", weight=0.1),
    "open ?": Task("open ?", weight=0.1),
    "close ?": Task("close ?", weight=0.1),
    "wait ?": Task("wait ?", weight=0.1),
    "look ?": Task("look at ?", weight=0.1),
}
JOINED = [name for name, task in TASKS.items() if task.steps and "me" not in name.split() and name != "back"]
JOINED += ["bring me", "count me", "whether me", "what me"]
REFUSED = ("unsafe", "impossible", "contradictory")


def quote(phrase: str, tagged: Tagged, names) -> str | None:
    """The words of a phrase as the tagged command has them, in quotes; None if it does not."""
    tokens = tokenize(phrase)
    keys = {one.mentions[0].names: name for name, one in tagged.names.items()}
    mentions = {mention.start: mention for mention in names.find(tokens)}
    words, k = [], 0
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
    tokens = tokenize(bare)
    found = names.find(tokens)
    if len(found) == 1 and found[0].start == 0 and found[0].end == len(tokens):
        for name, one in tagged.names.items():
            if one.mentions[0].names == found[0].names and one.mentions[0].kind == found[0].kind:
                return name
    return quote(bare, tagged, names)


class Robot:
    """A random world with what reads commands in it."""

    def __init__(self, skills, seed: str):
        self.world = random_world(random.Random(seed))
        self.interpreter = Interpreter(skills, self.world)
        self.forms = PlainForms(skills, self.interpreter.names)


def make(rng: random.Random, skills, robot: Robot, count: int | None = None, task: str | None = None):
    """One pair as {"text", "plain", "tasks"}, of `count` tasks or of the one that is named, or the reason why none
    came of it."""
    world, interpreter, forms = robot.world, robot.interpreter, robot.forms
    names = interpreter.names
    count = 1 if task else count or rng.choices((1, 2, 3), (0.72, 0.22, 0.06))[0]
    if task:
        chosen = [task]
    elif count == 1:
        chosen = rng.choices(list(TASKS), [task.weight for task in TASKS.values()])
    else:
        chosen = rng.choices(JOINED, [TASKS[name].weight for name in JOINED], k=count)
        if rng.random() < 0.08:  # one part that must not or cannot be done: then nothing is
            chosen[rng.randrange(count)] = rng.choice(REFUSED)
    said, fillers, orders = [], [], []
    for number, name in enumerate(chosen):
        phrase = rng.choice(PHRASES[name])
        if number and not phrase.startswith("!") and rng.random() < 0.6:
            phrase = rng.choice([one for one in PHRASES[name] if one.startswith("!")] or [phrase])
        filler = Filler(world, rng, TASKS[name].home)
        before = fillers[-1] if fillers else None
        again = before and "P" in before.given and rng.random() < 0.6
        if again:
            filler.given["P"] = before.given["P"]
            filler.pronoun = before.pronoun
        text = filler.fill(w.choose(phrase.lstrip("!"), rng))
        if again and not before.hints and rng.random() < 0.75:
            whole = before.given["P"][1]
            text = text.replace(f"{whole}'s", filler.pronoun["his"]).replace(whole, filler.pronoun["him"])
        text = (
            ". ".join((text, *filler.hints))
            if rng.random() < 0.75
            else ". ".join((*[f"{_cap(h, filler, text)}" for h in filler.hints], text))
        )
        said.append(text)
        fillers.append(filler)
        orders.append(phrase.startswith("!"))
    if count == 1:
        command = w.ask_for(said[0], orders[0], rng)
    else:
        command = said[0]
        for text, order, filler in zip(said[1:], orders[1:], fillers, strict=False):
            joiner = (
                rng.choice(
                    (
                        " and ",
                        " and then ",
                        ", then ",
                        ", and ",
                        ". Then ",
                        ". After that ",
                        ", after that ",
                        "; then ",
                        ", and after that ",
                        ". Next, ",
                        " before you ",
                        ". Once you've done that, ",
                    )
                )
                if order and not filler.hints
                else rng.choice((". ", ". ", "; ", ". Also, ", ". And ", ". Oh and "))
            )
            command += joiner + text
        command = w.ask_for(command, orders[0], rng)
    tagged = tag(command, names)
    lines, steps = [], []
    for name, filler in zip(chosen, fillers, strict=True):
        line = _plain(TASKS[name], filler, tagged, names)
        if line is None:
            return "reference"
        lines.append(line)
        steps += [] if not TASKS[name].steps else [_step(step, filler) for step in TASKS[name].steps.split(";")]
    refused = next((line for line in lines if line.startswith("refuse")), None)
    plain, steps = (refused, []) if refused else ("\n".join(lines), steps)
    failure = check(plain, tagged, forms, interpreter, skills, world, steps)
    return failure or {"text": tagged.text, "plain": plain, "tasks": chosen}


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
    args = parser.parse_args()
    skills = load_skills(ROOT / "config" / "skills.yaml")
    failures, made, tried = Counter(), 0, 0
    with open(args.out, "w", encoding="utf-8") as out:
        while made < args.count:
            if tried % PAIRS_PER_WORLD == 0:
                robot = Robot(skills, f"{args.seed}-world-{tried}")
            tried += 1
            pair = make(random.Random(f"{args.seed}-{tried}"), skills, robot)
            if isinstance(pair, str):
                failures[pair] += 1
                continue
            out.write(json.dumps(pair, ensure_ascii=False) + "\n")
            made += 1
    print(f"{made} pairs of {tried} tried; left out: {dict(failures)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
