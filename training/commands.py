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
from dataclasses import dataclass, field
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
from training.worlds import COLORS, random_world  # noqa: E402

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
    "take": Task("take {T}[ from {L}]", "pick(*)@L", weight=0.6),
    "move": Task("move {T}[ from {L}] to {M}", "pick(*)@L;place(*, *)@M", weight=3.5),
    "guide me": Task("guide me to {M}", "guide(me, *)", weight=0.8),
    "guide": Task("guide {P}[ from {L}] to {M}", "guide(P, *)@L", "L", 2.5),
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
    "back": Task("find me", "find_person(me)", weight=0.1),
    "unsafe": Task("refuse unsafe", weight=2),
    "impossible": Task("refuse impossible", weight=2.2),
    "contradictory": Task("refuse contradictory", weight=0.8),
    "bring ? P": Task("bring ? to {P}[ in {M}]", weight=0.3),
    "bring ? me": Task("bring ? to me", weight=0.3),
    "bring T ?": Task("bring {T}[ from {L}] to ?", weight=0.2),
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
_SLOT = re.compile(r"\{([^{}]+)\}")


@dataclass
class Filler:
    """Fills the slots of one phrase; remembers what was said for each letter."""

    world: object
    rng: random.Random
    home: str
    given: dict[str, tuple[str, str]] = field(default_factory=dict)
    pronoun: dict[str, str] = field(default_factory=dict)
    hints: list[str] = field(default_factory=list)
    spans: list[str] = field(default_factory=list)
    told: set[str] = field(default_factory=set)
    values: dict[str, str] = field(default_factory=dict)

    def __post_init__(self):
        self.pronoun = dict(
            zip(
                ("he", "him", "his"),
                self.rng.choice((("he", "him", "his"), ("she", "her", "her"), ("they", "them", "their"))),
                strict=True,
            )
        )

    def fill(self, text: str) -> str:
        """The phrase with all its slots filled."""
        # "is the fridge open", "the smallest document"
        self.adjectives = STATES if "{D}" in text else w.ADJECTIVES
        self.explicit = {
            letter
            for slot in _SLOT.findall(text)
            for letter in "LMN"
            if slot in (letter, f"in{letter}", f"on{letter}", f"to{letter}", f"from{letter}")
        }
        text = re.sub(r"\{(q0?|Ws|Wt|Wq|topic)\}", lambda m: self._text(m[1]), text)
        text = _SLOT.sub(lambda match: self._slot(match[1]), text)
        for span in re.findall(r"<<(.*?)>>", text):
            self.values["W"] = span
        return text.replace("<<", "").replace(">>", "")

    def _text(self, slot: str) -> str:
        rows = {"q": w.LOOKS, "q0": w.LOOKS, "Ws": w.STATEMENTS, "Wt": w.ORDERS, "Wq": w.QUESTIONS}[slot]
        inner = self.rng.choice(rows)
        # What is said names people and places of its own.
        for letter in "QTM":
            if slot.startswith("W"):
                inner = (
                    inner.replace(f"{{{letter}}}", f"{{{letter}'}}")
                    .replace(f"in{letter}}}", f"in{letter}'}}")
                    .replace(f"to{letter}}}", f"to{letter}'}}")
                    .replace(f"the{letter}}}", f"the{letter}'}}")
                )
        if slot.startswith("q"):
            self.explicit.add("L")
            return inner
        return f"<<{inner}>>"

    def _slot(self, slot: str) -> str:
        rng = self.rng
        if slot in self.pronoun:
            return self.pronoun[slot]
        if slot == "guests":
            return rng.choice(("the guests", "the party", "the meeting", "later"))
        if slot == "knowP":
            return f"{self.pronoun['him']} know"
        if slot == "adj":
            return rng.choice(self.adjectives)
        if slot == "fact":
            self.values["fact"] = rng.choice(("name", "pose", "gesture"))
            return self.values["fact"]
        if slot == "Wd":
            self.values["W"] = rng.choice(w.DURATIONS)
            return self.values["W"]
        match = re.fullmatch(r"(S|in|on|to|from|the|a|n)?([TPQKXDLMNU]'?)('s)?(\+)?", slot)
        if not match:
            raise ValueError(slot)
        how, letter, owned, plus = match.groups()
        said = self._said(letter, plural=how == "n")
        kind = letter[0]
        if kind in "LMN":
            name, words = self.given[letter]
            self.told.add(letter)
            article = "" if rng.random() < 0.06 else "the "
            words = article + words
            if how in (None, "the"):
                return words
            if how == "to":
                return (
                    rng.choice(("to", "to", "to", "over to", "into" if name in self.world.rooms else "to"))
                    + f" {words}"
                )
            if how == "from":
                return rng.choice(("from", "from", "off", "out of")) + f" {words}"
            if how == "on":
                return rng.choice(("on", "on", "in", "onto", "into", "to", "inside", "at")) + f" {words}"
            return w.in_place(self.world, name, words, rng)
        text = said
        if kind in "TKXU" and how == "the":
            text = ("the " if rng.random() < 0.9 else rng.choice(("that ", "this ", ""))) + said
        elif kind in "TKXU" and how == "a":
            plural = said.endswith("s") and not said.endswith("ss") or said[0].isdigit() or said.split()[0] in NUMBERS
            text = (
                said
                if plural and said.split()[0] in NUMBERS
                else f"{'some' if plural else rng.choice(('a', 'a', 'a', 'some', 'the'))} {said}"
            )
            text = re.sub(r"\ba ([aeiou])", r"an \1", text)
        if owned:
            text += "'s"
        place = "L" if kind == "T" else self.home if kind == "P" else "N" if kind == "Q" else ""
        if plus and place and place not in self.explicit and place not in self.told:
            return self._located(text, letter, place, how)
        return text

    def _located(self, text: str, letter: str, place: str, how: str | None) -> str:
        roll, rng = self.rng.random(), self.rng
        if roll < 0.45:
            return text
        self._said(place)
        self.told.add(place)
        name, words = self.given[place]
        where = w.in_place(self.world, name, f"the {words}", rng)
        he = "it" if letter == "T" else self.pronoun["he"]
        him = "it" if letter == "T" else self.pronoun["him"]
        if roll < 0.62:
            self.hints.append(
                rng.choice(
                    (
                        f"{he} is {where}",
                        f"{he}'s {where}",
                        f"you'll find {him} {where}",
                        f"{he} should be {where}",
                        f"last I saw {him}, {he} was {where}",
                        f"look {where}",
                        f"you can find {him} {where}",
                        f"try {where}",
                        f"I think {he} is {where}",
                        f"{he} ought to be {where}",
                        f"{he} must be {where}",
                        f"{where}, I think",
                    )
                )
            )
            return text
        if letter == "T":
            return f"{text} " + rng.choice(
                (f"from the {words}",) * 4
                + (
                    where,
                    f"that is {where}",
                    f"which is {where}",
                    f"lying {where}",
                    f"off the {words}",
                    f"out of the {words}",
                    f", it's {where},",
                    f"(it's {where})",
                    f"that's sitting {where}",
                    f"I left {where}",
                )
            )
        if how == "S":
            return text + rng.choice(
                (
                    f" {where}",
                    f", who is {where},",
                    f", {where},",
                    f" ({where})",
                    f" over {where}",
                    f", {he} is {where},",
                )
            )
        return f"{text} " + rng.choice(
            (where,) * 4
            + (
                f"who is {where}",
                f"over {where}",
                f", who's {where}",
                f", {he} is {where}",
                f"({where})",
                f"that you'll find {where}",
                f"standing {where}",
                f"waiting {where}",
                f"sitting {where}",
            )
        )

    def _said(self, letter: str, plural: bool = False) -> str:
        if letter in self.given:
            name, words = self.given[letter]
            return _plural(words) if plural else words
        rng, world = self.rng, self.world
        kind = letter[0]
        if kind in "LMN":
            options = [*world.locations, *world.rooms]
            if kind == "M" and self.home != "M" or kind == "L" and rng.random() < 0.6:
                options = options if rng.random() < 0.5 else list(world.locations)
            taken = {self.given[one][0] for one in self.given if one[0] in "LMN"}
            name = rng.choice([one for one in options if one not in taken])
            self.given[letter] = name, name.replace("_", " ")
        elif kind in "PQ":
            taken = {self.given[one][0] for one in self.given if one[0] in "PQ"}
            self.given[letter] = self._person(taken)
        elif kind == "D":
            name = (
                rng.choice([*world.doors, *world.doors, *world.locations])
                if world.doors
                else rng.choice(list(world.locations))
            )
            self.given[letter] = name, f"the {name.replace('_', ' ')}"
        else:
            self.given[letter] = self._thing(kind)
        name, words = self.given[letter]
        return _plural(words) if plural else words

    def _person(self, taken) -> tuple[str, str]:
        rng, world, roll = self.rng, self.world, self.rng.random()
        if roll < 0.66:
            name = rng.choice([one for one in world.people if one != "me" and one not in taken])
            return name, name.replace("_", " ").title()
        if roll < 0.78:
            name = rng.choice((*world.descriptions["gestures"], *world.descriptions["poses"]))
            said = name.replace("_", " ")
            if said.startswith("person"):
                said = said.replace("person ", rng.choice(("person ", "person who is ", "man ", "woman ", "guest ")), 1)
            elif rng.random() < 0.4:
                said = f"{rng.choice(('person', 'man', 'woman', 'lady', 'guy', 'guest'))} who is {said.split()[0]}"
            return name, f"the {said}"
        if roll < 0.90:
            worn = f"{rng.choice(COLORS)} {rng.choice(world.descriptions['clothes']).replace('_', ' ')}"
            noun = rng.choice(
                ("person", "person", "man", "woman", "lady", "guy", "fella", "chap", "bloke", "kid", "visitor")
            )
            return "", f"the {noun} {rng.choice(('in the', 'wearing a', 'with the', 'wearing the', 'in a'))} {worn}"
        return ("", rng.choice(w.FREE_PEOPLE)) if roll < 0.96 else ("", rng.choice(w.CROWDS))

    def _thing(self, kind: str) -> tuple[str, str]:
        rng, world, roll = self.rng, self.world, self.rng.random()
        if kind == "K" and roll < 0.25:
            return "", rng.choice(
                (
                    "people",
                    "people",
                    "guests",
                    "persons",
                    "visitors",
                    "chairs",
                    "cats",
                    "plants",
                    "men",
                    "women",
                    "children",
                    "sitting people",
                )
            )
        if kind == "X" and roll < 0.1:
            return self._person(set())
        if roll < 0.75 or not world.categories:
            name = rng.choice(list(world.objects))
        elif roll < 0.88:
            category = rng.choice(list(world.categories.values()))
            name = category.singular
        else:
            return "", rng.choice(w.FREE_THINGS)
        said = name.replace("_", " ")
        if kind == "T" and rng.random() < 0.07:
            extra = rng.choice(("two", "two", "three", "biggest", "smallest", "red", "2"))
            return "", f"{extra} {_plural(said) if extra in NUMBERS else said}"
        return name, said


NUMBERS = ("two", "three", "2")
STATES = ("open", "closed", "shut", "empty", "full", "clean", "dirty", "locked", "occupied", "switched on")


def _plural(words: str) -> str:
    if words.endswith("s") or words in ("people",):
        return words
    return words + ("es" if words.endswith(("ch", "sh", "x")) else "s")


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


def make(rng: random.Random, skills, robot: Robot, count: int | None = None):
    """One pair as {"text", "plain", "tasks"}, or the reason why none came of it."""
    world, interpreter, forms = robot.world, robot.interpreter, robot.forms
    names = interpreter.names
    count = count or rng.choices((1, 2, 3), (0.72, 0.22, 0.06))[0]
    if count == 1:
        chosen = rng.choices(list(TASKS), [task.weight for task in TASKS.values()])
    else:
        chosen = rng.choices(JOINED, [TASKS[name].weight for name in JOINED], k=count)
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
    plain = "\n".join(lines)
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
        letters = _SLOT.findall(match[1])
        return match[1] if all(letter in filler.told for letter in letters) else ""

    text = re.sub(r"\[([^\]]*)\]", part, task.plain)
    for slot in _SLOT.findall(text):
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
