"""Questions about a picture and their short answers, from its facts. Nothing is asked whose answer is a matter of
taste: places that are too near each other, things that share a description, what lies between two answers.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from llm_ros.sim.draw import HELD_OUT_PAIRS
from llm_ros.sim.facts import Fact, Facts
from llm_ros.sim.scene import COLOURS, SHAPES

PLURALS = {shape: shape + ("es" if shape == "box" else "s") for shape in SHAPES}
ASIDE, AHEAD, NEARER = 0.07, 0.07, 0.06  # least differences that are asked about
SIDES = {"left": ("to the left of", "left of"), "right": ("to the right of", "right of")}


@dataclass(frozen=True)
class Question:
    """`kind` is the class that accuracy is counted by."""

    kind: str
    text: str
    answer: str


def ask(facts: Facts, rng: random.Random, count: int, *, held_out: bool = False) -> list[Question]:
    """`count` questions (or fewer) of many kinds. held_out: may a pair be named that training leaves out?"""
    asker = Asker(facts, rng, held_out)
    kinds = list(KINDS)
    rng.shuffle(kinds)
    questions: dict[str, Question] = {}
    for _ in range(4):
        for kind in kinds:
            question = KINDS[kind](asker)
            if question is not None and len(questions) < count:
                questions.setdefault(question[0], Question(kind, *question))
    return list(questions.values())


def with_article(name: str) -> str:
    """a or an before a name."""
    return ("an " if name[0] in "aeiou" else "a ") + name


def joined(names: list[str]) -> str:
    """Names with commas and "and"."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def sentence(text: str) -> str:
    """A capital and a full stop."""
    return text[0].upper() + text[1:] + "."


class Asker:
    """A picture's facts, and a random source."""

    def __init__(self, facts: Facts, rng: random.Random, held_out: bool):
        self.facts, self.rng, self.held_out = facts, rng, held_out
        self.things = facts.things
        self.pairs = Counter(t.name for t in self.things)
        self.shapes = Counter(t.shape for t in self.things)
        self.colours = Counter(t.colour for t in self.things)
        self.ground = "table" if facts.kind == "table" else "floor"

    def pick(self, *texts: str) -> str:
        """One of several wordings."""
        return self.rng.choice(texts)

    def known_by(self, thing: Fact) -> str | None:
        """A description that fits this thing alone, or None."""
        names = []
        if self.shapes[thing.shape] == 1:
            names += [thing.shape] * 2
        if self.colours[thing.colour] == 1:
            names.append(self.pick(f"{thing.colour} object", f"{thing.colour} thing"))
        if self.pairs[thing.name] == 1:
            names += [thing.name] * 2
        return self.rng.choice(names) if names else None

    def thing(self) -> tuple[Fact, str] | None:
        """A thing and how to call it."""
        named = [(t, name) for t in self.things if (name := self.known_by(t))]
        return self.rng.choice(named) if named else None

    def two(self) -> tuple[Fact, str, Fact, str] | None:
        """Two things of which none stands on the other."""
        named = [(t, name) for t in self.things if (name := self.known_by(t))]
        if len(named) < 2:
            return None
        (a, a_name), (b, b_name) = self.rng.sample(named, 2)
        stacked = (a.base >= 0 and self.things[a.base] is b) or (b.base >= 0 and self.things[b.base] is a)
        return None if stacked else (a, a_name, b, b_name)

    def absent(self) -> str:
        """A colour and shape that may not be there, near to what is."""
        pool = [(c, s) for c in COLOURS for s in SHAPES if self.held_out or (s, c) not in HELD_OUT_PAIRS]
        near = [(c, s) for c, s in pool if self.shapes[s] or self.colours[c]]
        colour, shape = self.rng.choice(near if near and self.rng.random() < 0.7 else pool)
        return f"{colour} {shape}"


def exists(a: Asker):
    """Is there …?"""
    if a.things and a.rng.random() < 0.5:
        thing = a.rng.choice(a.things)
        name = a.pick(thing.name, thing.name, thing.shape, f"{thing.colour} object")
    else:
        name = a.pick(a.absent(), a.absent(), a.rng.choice(SHAPES), f"{a.rng.choice(list(COLOURS))} object")
    colour, _, kind = name.rpartition(" ")
    there = any(t.shape in (kind, t.shape if kind == "object" else kind) and colour in ("", t.colour) for t in a.things)
    one = with_article(name)
    text = a.pick(f"Is there {one}?", f"Do you see {one}?", f"Can you see {one} in the picture?", f"Is {one} there?",
                  f"Does the picture show {one}?", f"Is there {one} in the picture?", f"Can you find {one}?",
                  f"Is {one} visible?", f"Is there {one} here?")  # fmt: skip
    return text, "Yes." if there else "No."


def colour(a: Asker):
    """What colour is …?"""
    once = [t for t in a.things if a.shapes[t.shape] == 1]
    if not once:
        return None
    thing = a.rng.choice(once)
    s, word = thing.shape, a.pick("colour", "color")
    text = a.pick(f"What {word} is the {s}?", f"What is the {word} of the {s}?", f"Which {word} does the {s} have?",
                  f"Tell me the {word} of the {s}.", f"What {word} does the {s} have?",
                  f"Which {word} is the {s}?")  # fmt: skip
    return text, sentence(thing.colour)


def shape(a: Asker):
    """What is the red thing?"""
    once = [t for t in a.things if a.colours[t.colour] == 1]
    if not once:
        return None
    thing = a.rng.choice(once)
    c = thing.colour
    text = a.pick(f"What is the {c} object?", f"What is the {c} thing?", f"What shape is the {c} object?",
                  f"Which kind of object is {c}?", f"What is the thing that is {c}?",
                  f"Name the {c} object.")  # fmt: skip
    return text, sentence(with_article(thing.shape))


def count(a: Asker):
    """How many …?"""
    spot = a.rng.random()
    if spot < 0.35:
        name, n = a.pick("objects", "things"), len(a.things)
    elif spot < 0.8:
        shapes = [t.shape for t in a.things] or list(SHAPES)
        s = a.rng.choice(shapes if a.rng.random() < 0.85 else SHAPES)
        name, n = PLURALS[s], a.shapes[s]
    else:
        colours = [t.colour for t in a.things] or list(COLOURS)
        c = a.rng.choice(colours if a.rng.random() < 0.85 else list(COLOURS))
        name, n = f"{c} objects", a.colours[c]
    text = a.pick(f"How many {name} are there?", f"How many {name} do you see?", f"Count the {name}.",
                  f"What is the number of {name}?", f"How many {name} are in the picture?",
                  f"How many {name} can you see?", f"How many {name} can you count?")  # fmt: skip
    return text, f"{n}."


def side(a: Asker):
    """Left or right of another thing."""
    found = a.two()
    if found is None or abs(found[0].x - found[2].x) < ASIDE:
        return None
    one, name, _, other = found
    where = "left" if one.x < found[2].x else "right"
    if a.rng.random() < 0.5:
        asked = a.rng.choice(("left", "right"))
        text = a.pick(*(f"Is the {name} {words} the {other}?" for words in SIDES[asked]))
        return text, "Yes." if asked == where else "No."
    text = a.pick(f"Is the {name} to the left or to the right of the {other}?",
                  f"On which side of the {other} is the {name}?")  # fmt: skip
    return text, sentence(where)


def depth(a: Asker):
    """In front of or behind another thing."""
    found = a.two()
    if found is None or abs(found[0].ahead - found[2].ahead) < AHEAD:
        return None
    one, name, _, other = found
    where = "in front" if one.ahead < found[2].ahead else "behind"
    if a.rng.random() < 0.5:
        asked = a.rng.choice(("in front", "behind"))
        text = f"Is the {name} {'in front of' if asked == 'in front' else asked} the {other}?"
        return text, "Yes." if asked == where else "No."
    text = a.pick(f"Is the {name} in front of or behind the {other}?",
                  f"Is the {name} behind or in front of the {other}?")  # fmt: skip
    return text, sentence(where)


def place(a: Asker):
    """Left, right or middle of the picture."""
    found = a.thing()
    if found is None:
        return None
    thing, name = found
    edges = ((0.0, 0.3, "On the left."), (0.4, 0.6, "In the middle."), (0.7, 1.0, "On the right."))
    answer = next((words for low, high, words in edges if low <= thing.x <= high), None)
    text = a.pick(f"Where in the picture is the {name}?", f"Is the {name} on the left, in the middle or on the right?",
                  f"In which part of the picture is the {name}?")  # fmt: skip
    return None if answer is None else (text, answer)


def nearest(a: Asker):
    """Which is nearest, farthest?"""
    if len(a.things) < 2:
        return None
    order = sorted(a.things, key=lambda t: t.distance)
    if a.rng.random() < 0.5:
        best, second = order[0], order[1]
        text = a.pick("Which object is nearest?", "What is closest to the camera?", "Which object is closest?",
                      "What is the nearest object?", "Which thing is nearest to the camera?")  # fmt: skip
    else:
        best, second = order[-1], order[-2]
        text = a.pick("Which object is farthest away?", "What is farthest from the camera?",
                      "Which thing is farthest from the camera?")  # fmt: skip
    if abs(best.distance - second.distance) < NEARER and best.name != second.name:
        return None
    return text, sentence(f"the {best.name}")


def support(a: Asker):
    """On or under what?"""
    found = a.thing()
    if found is None or a.rng.random() < 0.3:
        return _about_table(a)
    thing, name = found
    under = thing.under_table
    where = "under the table" if under else f"on the {_base(a, thing)}"
    if a.rng.random() < 0.4:
        return a.pick(f"What is the {name} on?", f"What is the {name} standing on?"), sentence(
            f"the {a.ground if under else _base(a, thing)}"
        )
    return a.pick(f"Where is the {name}?", f"Where is the {name} standing?"), sentence(where)


def _base(a: Asker, thing: Fact) -> str:
    if thing.support == "thing":
        return a.things[thing.base].name
    return "table" if thing.support == "table" else a.ground


def _about_table(a: Asker):
    """Is anything under the table, on the red box?"""
    if a.facts.has_table and a.rng.random() < 0.6:
        under = any(t.under_table for t in a.things)
        return a.pick("Is there anything under the table?", "Is something under the table?"), "Yes." if under else "No."
    bases = [t for t in a.things if a.pairs[t.name] == 1 and t.shape in ("box", "cylinder")]
    if not bases:
        return None
    base = a.rng.choice(bases)
    above = [t for t in a.things if t.base >= 0 and a.things[t.base] is base]
    answer = sentence(with_article(above[0].name)) if above else "Nothing."
    return f"What is on the {base.name}?", answer


def describe(a: Asker):
    """What is there, from left to right."""
    text = a.pick("What do you see?", "Describe the picture.", "What is in the picture?", f"What is on the {a.ground}?",
                  "List the objects.", "What is there?", "Which objects do you see?",
                  "What can you see in the picture?")  # fmt: skip
    if "on the" in text and any(t.support != "surface" for t in a.things):
        return None
    if not a.things:
        return text, a.pick("Nothing.")
    names = [with_article(t.name) for t in sorted(a.things, key=lambda t: t.x)]
    return text, sentence(joined(names))


KINDS: dict[str, Callable] = {
    "exists": exists, "colour": colour, "shape": shape, "count": count, "side": side, "depth": depth, "place": place,
    "nearest": nearest, "support": support, "describe": describe,
}  # fmt: skip


def all_of(facts: list[Facts], seed: int, count: int, held_out: bool) -> Iterator[tuple[int, Question]]:
    """(number of the picture, question) for every picture; the same questions for the same seed."""
    for i, fact in enumerate(facts):
        for question in ask(fact, random.Random(f"ask {seed} {fact.seed}"), count, held_out=held_out):
            yield i, question
