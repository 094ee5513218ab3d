"""What people are likely to say to this robot: sentences over its skills and world, for a language model of speech.

In: skills and world. Out: sentences of lower-case words (letters and apostrophes), drawn with a seed from a weighted
context-free grammar whose slots are the names, synonyms, categories and descriptions of the world, and the skills' own
verbs. Nothing is matched against them, so they need not cover everything: they say which words follow which.
"""

from __future__ import annotations

import random
import re
from functools import cache

from llm_ros.planner import words as w
from llm_ros.planner.skills import Skills
from llm_ros.planner.tokens import words_of
from llm_ros.planner.verbs import FRAMES, HARM, WORK
from llm_ros.planner.world import OPERATOR, World

# One alternative a line; a number before a colon is its weight (1 where there is none), <slot> is expanded. "Stop"
# weighs far more than it is said: it must not be missed.
RULES = {
    "utterance": """
        12: <command>
        2: <polite> <command>
        1: <command> please
        6: <control>""",
    "polite": "4: please\n can you\n could you\n could you please\n would you\n robot\n i want you to\n kindly",
    "command": """
        10: <clause>
        5: <clause> and <clause>
        3: <clause> then <clause>
        2: <clause> and then <clause>
        1: <clause> <clause> and <clause>""",
    "clause": """
        6: <go> <dest>
        5: <bring> me <thing>
        6: <bring> me <thing> from <place>
        5: <bring> <thing> to <whom>
        2: <bring> <thing> to <whom> in <room>
        3: <bring> <whom> <thing>
        2: <bring> <thing> from <place> to <whom>
        6: <take> <thing> from <place>
        3: <take> <thing>
        1: pick <thing> up
        6: <put> <thing> <into> <place>
        3: <put> it <into> <place>
        2: <put> <thing> from <place> <into> <place>
        1: throw <thing> away
        1: throw it in <place>
        4: give it to <whom>
        3: hand <thing> to <whom>
        3: bring it to <whom>
        1: bring it to me
        4: <find> <thing>
        4: <find> <thing> in <place>
        2: <find> <thing> on <place>
        4: <find> <person> in <place>
        3: <meet> <person> <at> <place>
        2: <meet> <person>
        6: <guide> <person> to <place>
        2: <guide> <them> to <place>
        3: <guide> <person> from <place> to <place>
        4: <follow> <person>
        3: <follow> <person> to <place>
        2: <follow> <person> from <place> to <place>
        3: follow <them>
        4: <greet> <person> in <room>
        2: <greet> <person>
        2: <greet> <them>
        1: introduce yourself to <person> in <room>
        6: tell me how many <things> are <at> <place>
        3: tell me how many people are in <place>
        2: how many <things> are there <at> <place>
        2: how many <people> are <at> <place>
        2: count <thesethings> <at> <place>
        1: count the people in <room>
        1: tell me the number of <things> <at> <place>
        2: tell me <about>
        2: tell <about> to <person> in <room>
        2: tell <person> <about>
        2: say <saying> to <person>
        2: say <saying>
        3: answer the question of <person> in <room>
        2: answer <persons> question
        1: answer <possessive> question
        2: ask <person> <asked>
        1: ask <person> in <room> <asked>
        4: <open> <door>
        2: wait <duration>
        1: wait here
        2: look at <thing>
        2: look around in <room>
        1: tell me what is on <place>
        1: what is on <place>
        1: is there <thing> <at> <place>
        1: <own> <name>
        1: <own>""",
    "control": """
        24: stop
        8: stop <urgent>
        4: halt
        4: abort
        4: cancel
        1: cancel that
        2: what are you doing
        1: what is next
        1: where are you
        2: yes
        1: yes please
        2: no
        1: no thanks
        1: never mind
        1: pause
        1: continue
        1: go on
        1: then also <clause>
        1: and also <clause>
        1: hello
        1: hello robot
        1: thank you
        1: <answer>""",
    "urgent": "now\nplease\nit\nthat\nright now\neverything",
    "answer": "<thing>\n<place>\nto <place>\nfrom <place>\n<into> <place>\n<person>\nto <person>\nme\n<duration>",
    "go": """
        5: go to
        3: go
        2: drive to
        2: navigate to
        1: move to
        1: walk to
        1: head to
        1: drive over to
        1: come to""",
    "dest": "8: <place>\n1: <person>\nthe <roomword> where <person> is",
    "bring": "6: bring\n3: get\n2: fetch\n2: give\n2: take\n1: deliver\n1: hand\n1: carry\n1: pass",
    "take": "4: take\n3: get\n4: pick up\n3: grasp\n2: grab\n1: fetch\n1: collect\n1: retrieve",
    "put": "5: put\n4: place\n1: set\n1: store\n1: leave\n1: put down\n1: drop\n1: move",
    "into": "3: on\n2: in\n1: into\n1: onto\n1: at",
    "at": "3: in\n3: on\n2: at\n1: by\n1: near\n1: next to",
    "find": "4: find\n2: look for\n2: locate\n2: search for\n1: see if you can find\n1: check for",
    "meet": "4: meet\n1: find\n1: look for",
    "guide": "4: guide\n3: lead\n3: escort\n3: take\n2: accompany\n1: bring\n1: walk\n1: show",
    "follow": "6: follow\n1: go after\n1: go with",
    "greet": "4: greet\n3: say hello to\n1: say hi to\n1: welcome\n1: introduce yourself to\n1: say goodbye to",
    "open": "4: open\n4: close\n2: shut",
    "them": "3: them\n2: him\n2: her",
    "possessive": "their\nhis\nher",
    "things": "4: <plural>\n1: <people>",
    "thesethings": "3: the <plural>\n1: <plural>",
    "people": "3: people\n1: persons\n1: people wearing <color> <clothesplural>\n1: <gesture> people",
    "thing": "12: <det> <object>\n3: <det> <category>\n1: it\n1: <det> <color> <object>\n1: something\n1: <bareobject>",
    "det": "5: the\n4: a\n1: an\n1: some\n1: my",
    "whom": "2: me\n5: <person>\n1: <them>",
    "person": """
        8: <name>
        2: the <gesture> person
        3: the person <raising>
        2: the person wearing <a> <color> <clothing>
        1: a person
        1: the person <at> <place>
        1: someone""",
    "persons": "3: <nameposs>\n1: the person's",
    "place": "8: the <location>\n4: the <roomword>",
    "room": "the <roomword>",
    "door": "3: the <doorname>\n2: the <location>\n1: the door",
    "about": """
        2: a joke
        1: something about yourself
        1: the time
        1: what time it is
        1: the day of the week
        1: what day it is today
        1: what day is tomorrow
        1: your name
        1: the name of the person <at> <place>
        1: the pose of the person in <room>
        1: the color of <thing>
        1: what you see
        1: where <person> is
        1: that dinner is ready
        1: the news""",
    "asked": "what time it is\nhow they are\nif they need anything\nwhat they want\nwhat their name is\nfor <thing>",
    "saying": "4: hello\n2: good morning\n1: good evening\n1: goodbye\n1: thank you\n1: something about yourself",
    "duration": "3: <number> seconds\n1: <number> minutes\n1: a minute\n1: a moment\n1: one minute",
    "number": "two\nthree\nfive\nten\nfifteen\ntwenty\nthirty\nforty five\nsixty",
    "a": "8: a\n1: an",
}
_WORD = re.compile(r"[a-z]+(?:'[a-z]+)*")
_UP_TO_19 = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()


def spoken(text: str) -> list[str]:
    """The words of a text or name as they are spoken: lower case, "glass_of_water" as three, small numbers in words."""
    found = []
    for word in " ".join(text.lower().replace("’", "'").replace("_", " ").replace("-", " ").split()).split():
        if word.strip(".,;:!?\"'").isdigit():
            found += number_words(int(word.strip(".,;:!?\"'")))
        else:
            found += _WORD.findall(word)
    return found


def number_words(number: int) -> list[str]:
    """A whole number below a million in words; larger ones digit by digit."""
    if number < 20:
        return [_UP_TO_19[number]]
    if number < 100:
        return [_TENS[number // 10 - 2], *(number_words(number % 10) if number % 10 else [])]
    for size, name in ((1000, "thousand"), (100, "hundred")):
        if size <= number < size * 1000:
            rest = number % size
            return [*number_words(number // size), name, *(number_words(rest) if rest else [])]
    return [_UP_TO_19[int(digit)] for digit in str(number)]


class Phrases:
    """The grammar of one robot: RULES with the slots of its world and skills."""

    def __init__(self, skills: Skills, world: World):
        self._rules = {name: _alternatives(text) for name, text in RULES.items()}
        for name, entries in _slots(skills, world).items():
            self._rules[name] = [(1.0, entry) for entry in entries] or [(1.0, ())]

    def sentences(self, count: int, seed: int = 0) -> list[list[str]]:
        """`count` sentences, each a list of words; the same seed gives the same ones."""
        draw = random.Random(seed)
        return [self._expand("utterance", draw, 0) for _ in range(count)]

    def words(self) -> set[str]:
        """Every word that may be said: those of the sentences, and the English that the planner has in its tables."""
        found = {part for lines in self._rules.values() for _, line in lines for part in line if part[0] != "<"}
        for phrases in FRAMES.values():
            found.update(phrases.replace("|", " ").split())
        tables = (w.DETERMINERS, w.PREPOSITIONS, w.PERSON_NOUNS, w.PEOPLE_NOUNS, w.FILLERS, w.SORTING, w.COLORS)
        for table in (*tables, _UP_TO_19, _TENS, w.HERE, w.SELF, w.THING_NOUNS, HARM, WORK):
            found.update(table)
        return {word for word in found if _WORD.fullmatch(word) and (len(word) > 1 or word in "ai")}

    def _expand(self, name: str, draw: random.Random, depth: int) -> list[str]:
        rule = self._rules[name]
        line = draw.choices([line for _, line in rule], [weight for weight, _ in rule])[0]
        found: list[str] = []
        for part in line:
            if part[0] != "<":
                found.append(part)
            elif depth < 8:
                found += self._expand(part[1:-1], draw, depth + 1)
        return found


@cache
def _alternatives(text: str) -> list[tuple[float, tuple[str, ...]]]:
    found = []
    for line in filter(None, map(str.strip, text.split("\n"))):
        weight, colon, rest = line.partition(":")
        found.append((float(weight), tuple(rest.split())) if colon else (1.0, tuple(line.split())))
    return found


def _forms(world: World, name: str) -> list[tuple[str, ...]]:
    """How a name is said: itself three times as often as each synonym."""
    own = tuple(spoken(" ".join(words_of(name))))
    others = {tuple(spoken(one)) for one in world.synonyms.get(name, ())}
    for row in w.SYNONYMS:
        if " ".join(own) in row:
            others |= {tuple(spoken(one)) for one in row[:6]}
    return [own, own, own, *sorted(others - {own, ()})]


def _slots(skills: Skills, world: World) -> dict[str, list[tuple[str, ...]]]:
    said = world.descriptions
    names = [name for name in world.people if name != OPERATOR]
    objects = [form for name in world.objects for form in _forms(world, name)]
    people = [form for name in names for form in _forms(world, name)]
    raising, gestures = [], []
    for name in (*said.get("gestures", ()), *said.get("poses", ())):
        words = tuple(spoken(name))
        if words[:1] == ("person",):
            raising.append(words[1:])
        else:
            gestures.append(words[:-1] if words[-1:] == ("person",) else words)
    clothes = [tuple(spoken(one)) for one in said.get("clothes", ())]
    categories = [tuple(spoken(one.singular)) for one in world.categories.values()]
    own = {
        tuple(spoken(verb))
        for skill in skills.values()
        for verb in (*skill.verbs, skill.name, " ".join(skill.description.split()[:1]))
    }
    return {
        "object": objects,
        "bareobject": objects,
        "category": categories,
        "plural": [_plural(words) for words in (*objects, *categories)],
        "name": people,
        "nameposs": [(*words[:-1], words[-1] + "'s") for words in people],
        "location": [form for name in world.locations for form in _forms(world, name)],
        "roomword": [form for name in world.rooms for form in _forms(world, name)],
        "doorname": [form for name in world.doors for form in _forms(world, name)],
        "gesture": gestures,
        "raising": [*raising, *((*words, "in", "the", "<roomword>") for words in raising[:1])],
        "clothing": clothes,
        "clothesplural": [_plural(words) for words in clothes],
        "color": [tuple(spoken(one)) for one in said.get("colors", ())] or [("red",), ("blue",)],
        "own": sorted(own - {()}),
    }


def _plural(words: tuple[str, ...]) -> tuple[str, ...]:
    return (*words[:-1], w.plural(words[-1])) if words and w.singular(words[-1]) == words[-1] else words
