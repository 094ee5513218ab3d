"""Fills the slots of a training phrase with names of a world, and with what people call them.

In: a phrase such as "bring {aT} to {P+}", a world, a random generator. Out: its words, and for each letter what was
said and which name of the world it is. What each slot means: wording.py, and the phrases that use it.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field

from training import wording as w
from training.worlds import COLORS

SLOT = re.compile(r"\{([^{}]+)\}")
NUMBERS = ("two", "three", "2")
STATES = ("open", "closed", "shut", "empty", "full", "clean", "dirty", "locked", "occupied", "switched on")


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
        mine, other = self.rng.sample((("he", "him", "his"), ("she", "her", "her"), ("they", "them", "their")), 2)
        self.pronoun = dict(zip(("he", "him", "his", "he2", "him2", "his2"), (*mine, *other), strict=True))

    def fill(self, text: str) -> str:
        """The phrase with all its slots filled."""
        # "is the fridge open", "the smallest document"
        self.adjectives = STATES if "{D}" in text else w.ADJECTIVES
        self.explicit = {
            letter
            for slot in SLOT.findall(text)
            for letter in "LMN"
            if slot in (letter, f"in{letter}", f"on{letter}", f"to{letter}", f"from{letter}")
        }
        text = re.sub(r"\{(q0?|Ws|Wt|Wq|topic)\}", lambda m: self._text(m[1]), text)
        text = SLOT.sub(lambda match: self._slot(match[1]), text)
        for span in re.findall(r"<<(.*?)>>", text):
            self.values["W"] = span
        return text.replace("<<", "").replace(">>", "")

    def _text(self, slot: str) -> str:
        rows = {"q": w.LOOKS, "q0": w.LOOKS, "Ws": w.STATEMENTS, "Wt": w.ORDERS, "Wq": w.QUESTIONS}[slot]
        inner = self.rng.choice(rows)
        if slot in ("Ws", "Wq", "Wt") and self.rng.random() < 0.4:
            inner += self.rng.choice(w.TAILS)
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
        if slot == "most":
            return rng.choice(w.SUPERLATIVES)
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
        other = "2" if letter == "Q" else ""
        he = "it" if letter == "T" else self.pronoun[f"he{other}"]
        him = "it" if letter == "T" else self.pronoun[f"him{other}"]
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
            return as_plural(words) if plural else words
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
            somebody = kind == "Q" and rng.random() < 0.2
            self.given[letter] = ("", rng.choice(w.SOMEBODY)) if somebody else self._person(taken)
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
        return as_plural(words) if plural else words

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

    def _many(self) -> tuple[str, str]:
        """Several people by what is seen of them: "people raising their left arm", "sitting guests"."""
        rng, described = self.rng, self.world.descriptions
        nouns = rng.choice(w.MANY)
        if rng.random() < 0.4:
            worn = f"{rng.choice(COLORS)} {rng.choice(described['clothes']).replace('_', ' ')}"
            return "", f"{nouns} {rng.choice(('in a', 'wearing a', 'with a', 'who wear a'))} {worn}"
        said = rng.choice((*described["gestures"], *described["poses"])).replace("_", " ")
        if said.startswith("person "):
            return "", f"{nouns} {said.removeprefix('person ')}"
        return "", f"{said.split()[0]} {nouns}"

    def _thing(self, kind: str) -> tuple[str, str]:
        rng, world, roll = self.rng, self.world, self.rng.random()
        if kind == "K" and roll < 0.1:
            return self._many()
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
            return "", f"{extra} {as_plural(said) if extra in NUMBERS else said}"
        return name, said


def as_plural(words: str) -> str:
    if words.endswith(("s", "men", "women", "children", "people")) or words.split()[0] in w.MANY:
        return words
    return words + ("es" if words.endswith(("ch", "sh", "x")) else "s")
