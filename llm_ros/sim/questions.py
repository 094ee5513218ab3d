"""Questions about a picture and their short answers, from its facts. Nothing is asked whose answer is a matter of
taste: places that are too near each other, things that share a description, what lies between two answers.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
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
                text = asker.said(question[0])
                questions.setdefault(text, Question(kind, text, question[1]))
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
        self.all_on_ground = all(t.support == "surface" and not t.under_table for t in self.things)

    def pick(self, *texts: str) -> str:
        """One of several wordings."""
        return self.rng.choice(texts)

    def said(self, text: str) -> str:
        """A question as people put it: now and then with a word before it, or as speech recognition writes it."""
        spot = self.rng.random()
        if spot < 0.08:
            return self.pick("Please tell me: ", "Look at the picture. ", "Look at the image: ", "Tell me: ") + text
        return text.lower().rstrip("?.") if spot < 0.13 else text

    def here(self) -> str:
        """" on the table", where everything is; or nothing."""
        return self.pick(f" on the {self.ground}", "", "") if self.all_on_ground else ""

    def paired(self, shape: str, colour: str) -> bool:
        """May a question pair these two?"""
        return self.held_out or (shape, colour) not in HELD_OUT_PAIRS

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
        pool = [(c, s) for c in COLOURS for s in SHAPES if self.paired(s, c)]
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
    one, many, here = with_article(name), f"{colour} {PLURALS.get(kind, 'objects')}".strip(), a.here()
    if kind == "object" and a.rng.random() < 0.4:
        text = a.pick(f"Is there anything {colour}{here}?", f"Do you see anything {colour}{here}?")
    else:
        text = a.pick(f"Is there {one}{here}?", f"Do you see {one}{here}?", f"Can you see {one}{here}?",
                      f"Is {one} there?", f"Does the picture show {one}?", f"Is there {one} in the picture?",
                      f"Can you find {one}{here}?", f"Is {one} visible?", f"Is there {one} here?",
                      f"Are there any {many}{here}?", f"Do you see any {many}{here}?",
                      f"Is {one}{here or ' in the picture'}?")  # fmt: skip
    return text, "Yes." if there else "No."


def colour(a: Asker):
    """What colour is …?"""
    once = [t for t in a.things if a.shapes[t.shape] == 1]
    if not once:
        return None
    thing = a.rng.choice(once)
    s, word, here = thing.shape, a.pick("colour", "color"), a.here()
    other = _another(a, COLOURS, thing.colour, lambda colour: a.paired(s, colour))
    if other and a.rng.random() < 0.15:
        first, second = a.rng.sample((thing.colour, other), 2)
        return f"Is the {s}{here} {first} or {second}?", sentence(thing.colour)
    text = a.pick(f"What {word} is the {s}{here}?", f"What is the {word} of the {s}{here}?",
                  f"Which {word} does the {s} have?", f"Tell me the {word} of the {s}.",
                  f"What {word} does the {s} have?", f"Which {word} is the {s}{here}?",
                  f"The {s}: what {word} is it?", f"Tell me what {word} the {s} is.")  # fmt: skip
    return text, sentence(thing.colour)


def check(a: Asker):
    """Is the mug red? Is the red thing a mug?"""
    by_shape = a.rng.random() < 0.5
    of = (lambda t: t.shape) if by_shape else (lambda t: t.colour)
    counts = a.shapes if by_shape else a.colours
    once = [t for t in a.things if counts[of(t)] == 1 and a.paired(t.shape, t.colour)]
    if not once:
        return None
    thing = a.rng.choice(once)
    colour, shape = thing.colour, thing.shape
    right = a.rng.random() < 0.5
    if not right and by_shape:
        colour = _another(a, COLOURS, colour, lambda one: a.paired(shape, one))
    elif not right:
        shape = _another(a, SHAPES, shape, lambda one: a.paired(one, colour))
    if by_shape:
        text = a.pick(f"Is the {shape}{a.here()} {colour}?", f"Is the colour of the {shape} {colour}?")
    else:
        text = a.pick(f"Is the {colour} object {with_article(shape)}?", f"Is the {colour} thing {with_article(shape)}?")
    return text, "Yes." if right else "No."


def _another(a: Asker, names: Iterable[str], one: str, allowed: Callable[[str], bool]) -> str | None:
    """Another of the names, or None."""
    found = [name for name in names if name != one and allowed(name)]
    return a.rng.choice(found) if found else None


def shape(a: Asker):
    """What is the red thing?"""
    once = [t for t in a.things if a.colours[t.colour] == 1]
    if not once:
        return None
    thing = a.rng.choice(once)
    c, here = thing.colour, a.here()
    other = _another(a, SHAPES, thing.shape, lambda shape: a.paired(shape, c))
    answer = sentence(with_article(thing.shape))
    if other and a.rng.random() < 0.15:
        first, second = map(with_article, a.rng.sample((thing.shape, other), 2))
        return f"Is the {c} {a.pick('object', 'thing')} {first} or {second}?", answer
    text = a.pick(f"What is the {c} object{here}?", f"What is the {c} thing{here}?", f"What shape is the {c} object?",
                  f"Which kind of object is {c}?", f"What is the thing that is {c}?", f"Name the {c} object{here}.",
                  f"What kind of object is {c}?", f"Which object is {c}?", f"Which object{here} is {c}?",
                  f"What {c} object do you see{here}?")  # fmt: skip
    return text, answer


def count(a: Asker):
    """How many …?"""
    spot = a.rng.random()
    if spot < 0.35:
        name, n = a.pick("objects", "things", "items"), len(a.things)
    elif spot < 0.8:
        shapes = [t.shape for t in a.things] or list(SHAPES)
        s = a.rng.choice(shapes if a.rng.random() < 0.85 else SHAPES)
        name, n = PLURALS[s], a.shapes[s]
    else:
        colours = [t.colour for t in a.things] or list(COLOURS)
        c = a.rng.choice(colours if a.rng.random() < 0.85 else list(COLOURS))
        name, n = f"{c} {a.pick('objects', 'objects', 'things', 'items')}", a.colours[c]
        if a.rng.random() < 0.3:
            return f"How many of the {a.pick('objects', 'things')}{a.here()} are {c}?", f"{n}."
    here = a.here()
    text = a.pick(f"How many {name} are{here or ' there'}?", f"How many {name} do you see{here}?",
                  f"Count the {name}{here}.", f"What is the number of {name}{here}?",
                  f"How many {name} are in the picture?", f"How many {name} can you see{here}?",
                  f"How many {name} can you count?", f"How many {name} are there{here}?",
                  f"Tell me how many {name} there are{here}.", f"Count how many {name} there are.")  # fmt: skip
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
                  f"On which side of the {other} is the {name}?", f"Is the {name} left or right of the {other}?",
                  f"Seen from the camera, is the {name} left or right of the {other}?")  # fmt: skip
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
                  f"Is the {name} behind or in front of the {other}?",
                  f"Is the {name} behind the {other} or in front of it?",
                  f"Seen from the camera, is the {name} in front of or behind the {other}?")  # fmt: skip
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
    if answer and "middle" not in answer and a.rng.random() < 0.3:
        text = a.pick(f"Is the {name} on the left or on the right of the picture?",
                      f"Is the {name} on the left or on the right?")  # fmt: skip
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


def edge(a: Asker):
    """Which is farthest left, farthest right?"""
    if len(a.things) < 2:
        return None
    side = a.pick("left", "right")
    first, second = sorted(a.things, key=lambda t: t.x if side == "left" else -t.x)[:2]
    if abs(first.x - second.x) < ASIDE and first.name != second.name:
        return None
    text = a.pick(f"What is the {side}most object?", f"Which object is farthest to the {side}?",
                  f"Which thing is {side}most?")  # fmt: skip
    return text, sentence(f"the {first.name}")


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
    "exists": exists, "colour": colour, "check": check, "shape": shape, "count": count, "side": side, "depth": depth,
    "place": place, "nearest": nearest, "edge": edge, "support": support, "describe": describe,
}  # fmt: skip


def all_of(facts: list[Facts], seed: int, count: int, held_out: bool) -> Iterator[tuple[int, Question]]:
    """(number of the picture, question) for every picture; the same questions for the same seed."""
    for i, fact in enumerate(facts):
        for question in ask(fact, random.Random(f"ask {seed} {fact.seed}"), count, held_out=held_out):
            yield i, question
