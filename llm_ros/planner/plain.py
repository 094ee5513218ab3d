"""Plain commands: the few sentence forms into which a model puts a command of any wording.

In: a tagged command (tags.py). Out: the grammar of all plain commands about it, and, for lines of that grammar, the
words that the interpreter reads: `bring thing1 from place2 to person1`. A slot that the command leaves open is `?`,
words of the command stand in quotes. `refuse unsafe` and the like end there. Knows no model and no prompt.
"""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import dataclass, replace

from llm_ros.planner import words as w
from llm_ros.planner.names import Names
from llm_ros.planner.plan import PlanError
from llm_ros.planner.refer import Question
from llm_ros.planner.skills import Skill, Skills
from llm_ros.planner.tags import TAG, Spoken, Tagged, spoken, words_back
from llm_ros.planner.tokens import Mention, Token, tokenize
from llm_ros.planner.verbs import skill_verbs

MAX_LINES = 8
OPEN = "?"
REFUSED = {
    "unsafe": "I will not do that",
    "impossible": "I have no skill for that",
    "contradictory": "the command contradicts itself",
}
# What may stand in a slot: kinds of tags, and words of the command in quotes.
SLOTS = {
    "T": ("thing", "kind", "place", "person", "door"),
    "K": ("thing", "kind", "person"),
    "P": ("person",),
    "L": ("place", "door"),
    "M": ("place", "door"),
    "N": ("place", "door"),
    "Q": ("person",),
    "X": ("thing", "kind", "person"),
    "D": ("door", "place", "thing", "kind"),
    "W": (),
}
TOPICS = (
    "a joke",
    "the time",
    "the date",
    "what day it is",
    "what day it is tomorrow",
    "something about yourself",
    "your name",
    "a riddle",
    "a story",
)
FACTS = ("name", "pose", "gesture", "clothes")


@dataclass(frozen=True)
class Form:
    """plain: what the model writes; read: what the interpreter reads. {X}: slots, [...]: may be left out."""

    plain: str
    read: str
    question: str = "What exactly should I do?"


def _form(plain: str, read: str = "", question: str = "") -> Form:
    return Form(plain, read or plain, question or "What exactly should I do?")


FORMS = (
    _form("go to {L}", question="Where should I go?"),
    _form("find {X}[ in {L}]", question="What should I look for?"),
    _form("take {T}[ from {L}]", question="What should I take?"),
    _form("move {T}[ from {L}] to {M}", question="What should I put where?"),
    _form("bring {T}[ from {L}] to {P}[ in {M}]", question="What should I bring, and to whom?"),
    _form("guide {P}[ from {L}] to {M}", question="Whom should I guide, and where to?"),
    _form("follow {P}[ in {L}][ to {M}]", "follow {P}[ from {L}][ to {M}]", "Whom should I follow?"),
    _form("greet {P}[ in {L}]", question="Whom should I greet?"),
    _form("say goodbye to {P}[ in {L}]"),
    _form("introduce yourself to {P}[ in {L}]"),
    _form("answer {P}[ in {L}]", "answer the question of {P}[ in {L}]", "Whose question should I answer?"),
    _form("ask {P}[ in {L}] {W}", 'ask {P}[ in {L}] "{W}"', "What should I ask?"),
    _form("ask {P}[ in {L}] {W} and tell {Q}[ in {M}]", 'ask {P}[ in {L}] "{W}". tell {Q}[ in {M}]'),
    _form("tell {P}[ in {L}] {W}", 'tell {P}[ in {L}] "{W}"', "What should I say?"),
    *(_form(f"tell {{P}}[ in {{L}}] {topic}") for topic in TOPICS),
    _form("count {K}[ in {L}]", question="What should I count?"),
    _form("tell {P}[ in {M}] how many {K}[ in {L}]", "tell {P}[ in {M}] how many {K} are there[ in {L}]"),
    _form("tell {P}[ in {M}] whether {X}[ in {L}]", "tell {P}[ in {M}] whether there is {X}[ in {L}]"),
    _form("tell {P}[ in {M}] where {X}[ in {L}]", "tell {P}[ in {M}] where {X} is[ in {L}]"),
    _form("tell {P}[ in {M}] what {W}[ in {L}]", 'tell {P}[ in {M}] "what {W}"[ in {L}]'),
    *(_form(f"tell {{P}}[ in {{M}}] the {fact} of {{Q}}[ in {{L}}]") for fact in FACTS),
    _form("look at {D}", question="What should I look at?"),
    _form("open {D}[ in {L}]", question="What should I open?"),
    _form("close {D}[ in {L}]", question="What should I close?"),
    _form("wait {W}[ in {L}]", "wait {W}[ at {L}]", "How long should I wait?"),
)
_SLOT = re.compile(r"\{([A-Z])\}")
_BEGINNING = re.compile(r"(?:^|(?<=[.!?;:] ))[A-Z](?=[a-z])")
_ASKING = frozenset("what which who whose where when how why is are does do whether if".split())


class PlainForms:
    """The plain commands of one robot: the forms above and one for each skill that plays no role."""

    def __init__(self, skills: Skills, names: Names):
        self._names = names
        self.own = tuple(
            skill for skill in skills.values() if not skill.role and skill.safety != "forbidden" and skill_verbs(skill)
        )
        self.forms = (*FORMS, *(_own_form(skill) for skill in self.own))
        self._patterns = [(form, _pattern(form.plain)) for form in self.forms]

    def grammar(self, tagged: Tagged) -> str:
        """A Lark grammar of the plain commands about a tagged command: its tags, its own words, nothing else."""
        rules = [
            f'start: line ("\\n" line){{0,{MAX_LINES - 1}}}',
            "line: " + " | ".join(f"f{number}" for number in range(len(self.forms))) + " | refuse",
            "refuse: " + " | ".join(json.dumps(f"refuse {reason}") for reason in REFUSED),
            'words: "\\"" (SAID | LOWERED) "\\""',
            *(f"{name}: %regex {json.dumps({'substring_words': text})}" for name, text in _sayings(tagged)),
        ]
        rules += [f"f{number}: {_rule(form.plain)}" for number, form in enumerate(self.forms)]
        for slot, kinds in SLOTS.items():
            tags = [json.dumps(tag) for tag in tagged.of_kind(*kinds)]
            me = ['"me"'] if slot in ("P", "Q", "X") else []
            rules.append(f"s{slot.lower()}: " + " | ".join([*tags, *me, json.dumps(OPEN), "words"]))
        return "\n".join(rules) + "\n"

    def read(self, text: str, tagged: Tagged) -> Spoken:
        """The words that the interpreter reads for plain lines.

        Raises PlanError where they refuse or name what the world does not have, Question where a slot is open,
        ValueError if a line is of no form.
        """
        tokens: list[Token] = []
        mentions: list[Mention] = []
        for line in text.strip().split("\n"):
            for part in self._line(line.strip(), tagged):
                mentions += [
                    replace(one, start=one.start + len(tokens), end=one.end + len(tokens)) for one in part.mentions
                ]
                tokens += part.tokens
            tokens.append(Token(".", "."))
        return Spoken(tuple(tokens), tuple(mentions))

    def _line(self, line: str, tagged: Tagged) -> list[Spoken]:
        if line.startswith("refuse "):
            reason = line.split()[1]
            if reason not in REFUSED:
                raise ValueError(f"not a reason to refuse: {reason!r}")
            raise PlanError(reason, REFUSED[reason])
        form, values = self._matched(line.replace('"me"', "me"))
        if OPEN in values.values():
            raise Question(form.question)
        parts: list[Spoken] = []
        for piece in re.split(r'(\{[A-Z]\}|"[^"]*")', _kept(form.read, values)):
            if piece.startswith('"'):
                said = words_back(_SLOT.sub(lambda m: _plain_words(values[m[1]], tagged), piece[1:-1]), tagged)
                parts.append(Spoken((Token(said, said.lower(), True),), ()))
            elif piece.startswith("{"):
                parts.append(self._value(piece[1], values[piece[1]], tagged))
            elif piece.strip():
                parts.append(Spoken(tuple(tokenize(piece)), ()))
        return parts

    def _matched(self, line: str) -> tuple[Form, dict[str, str]]:
        for form, pattern in self._patterns:
            match = pattern.fullmatch(line)
            if match:
                return form, {slot: value for slot, value in match.groupdict().items() if value is not None}
        raise ValueError(f"not a plain command: {line[:80]!r}")

    def _value(self, slot: str, value: str, tagged: Tagged) -> Spoken:
        """A slot's words with their names; words that are no name of the world are taken as the slot needs them."""
        said = spoken(value.strip('"'), tagged, self._names)
        if not value.startswith('"') or not said.tokens:
            return said
        if said.mentions and not (_described(said) and not TAG.search(value)):
            return said
        text = " ".join(token.text for token in said.tokens)
        if slot in ("L", "M", "N"):
            raise PlanError("unknown_place", f"I do not know a place called {text!r}")
        if slot in ("P", "Q"):
            words = list(itertools.dropwhile(lambda token: token.low in ("the", "a", "an", "that"), said.tokens))
            words = words or list(said.tokens)
            if words[-1].text[:1].isupper():  # "Gustav", "my cousin Roderick"
                raise PlanError("unknown_person", f"I do not know {text}")
            name = " ".join(token.low for token in words)
            return Spoken(tuple(words), (Mention(0, len(words), "person", (name,), True),))
        return Spoken(said.tokens, ()) if slot == "T" else said


def _sayings(tagged: Tagged) -> tuple[tuple[str, str], ...]:
    """What may be quoted: the command, also with small letters where its sentences begin."""
    text = tagged.text.replace('"', "")
    return ("SAID", text), ("LOWERED", _BEGINNING.sub(lambda match: match[0].lower(), text))


def _described(said: Spoken) -> bool:
    """Whether words say more than the somebody that is found in them: "the lady with the dog", "a visitor badge"."""
    somebody = all(one.described and one.names in (("person",), ("people",)) for one in said.mentions)
    named = {k for one in said.mentions for k in range(one.start, one.end)}
    rest = {token.low for k, token in enumerate(said.tokens) if k not in named}
    return somebody and bool(rest - w.DETERMINERS - {"all"})


def _plain_words(value: str, tagged: Tagged) -> str:
    """The words of a slot that is said or asked; a question keeps no question word twice."""
    return words_back(value.strip('"'), tagged)


def _own_form(skill: Skill) -> Form:
    """A skill's own form: its name, then its arguments in order."""
    slots, used = [], set()
    for arg in skill.args:
        letters = {"location": "LMN", "object": "TD", "person": "PQ", "door": "D", "category": "KX"}.get(arg.type, "WT")
        letter = next(one for one in (*letters, *"XKQNM") if one not in used)
        used.add(letter)
        slots.append(letter)
    verb = " ".join(skill_verbs(skill)[0])
    required = [f"{{{slot}}}" for slot in slots]
    return _form(
        " ".join([skill.name.replace("_", " "), *required]),
        " ".join([verb, *required]),
        f"What should I {skill.name.replace('_', ' ')}?",
    )


def _pattern(plain: str) -> re.Pattern:
    escaped = re.escape(plain).replace(r"\{", "{").replace(r"\}", "}").replace(r"\[", "(?:").replace(r"\]", ")?")
    return re.compile(_SLOT.sub(lambda m: f'(?P<{m[1]}>"[^"]*"|[a-z]+[0-9]*|\\?)', escaped))


def _rule(plain: str) -> str:
    """The Lark rule body of a form."""
    parts = []
    for piece in re.split(r"(\{[A-Z]\}|\[|\])", plain):
        if piece == "[":
            parts.append("(")
        elif piece == "]":
            parts.append(")?")
        elif piece.startswith("{"):
            parts.append(f"s{piece[1].lower()}")
        elif piece:
            parts.append(json.dumps(piece))
    return " ".join(parts)


def _kept(template: str, values: dict[str, str]) -> str:
    """The template without the optional parts whose slots are not given."""

    def part(match: re.Match) -> str:
        return match[1] if all(slot in values for slot in _SLOT.findall(match[1])) else ""

    return re.sub(r"\[([^\]]*)\]", part, template)
