"""A command with its names put aside: "Zola needs the leash" → "person1 needs the thing1".

In: a command and `Names`. Out: `Tagged`: the command's words with each name of the world replaced by its kind and a
number, and what each tag stood for. A model that reads this never sees a name, so that one world is as good as
another. Generic people ("someone", "everybody") and pronouns stay words. Decides nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from llm_ros.planner.looks import one_form
from llm_ros.planner.names import Names
from llm_ros.planner.tokens import Mention, Token, tokenize

TAGS = {"place": "place", "door": "door", "object": "thing", "category": "kind", "person": "person"}
TAG = re.compile(r"(?:place|door|thing|kind|person)[1-9]\d?")
_GENERIC = frozenset("person people everyone everybody persons".split())
_CLOSING = frozenset(".,;:!?")


@dataclass(frozen=True)
class Spoken:
    """Words and the names among them: what is otherwise found by `tokenize` and `Names.find`."""

    tokens: tuple[Token, ...]
    mentions: tuple[Mention, ...]


@dataclass(frozen=True)
class Tagged:
    """text: the command with tags. names: what each tag stands for, as the words and the mention of its first use."""

    text: str
    names: dict[str, Spoken]

    def of_kind(self, *kinds: str) -> tuple[str, ...]:
        """The tags of some kinds, in order of appearance."""
        return tuple(tag for tag in self.names if tag.rstrip("0123456789") in kinds)


def tag(command: str, names: Names) -> Tagged:
    """The command with its names put aside; people are described in one form and in one place (looks.py)."""
    tokens = names.gathered(one_form(tokenize(command)))
    found: dict[str, Spoken] = {}
    by_names: dict[tuple[str, tuple[str, ...]], str] = {}
    words: list[str] = []
    position = 0
    mentions = {mention.start: mention for mention in names.find(tokens)}
    while position < len(tokens):
        mention = mentions.get(position)
        if mention is None or mention.described and set(mention.names) <= _GENERIC:
            token = tokens[position]
            words.append(f"'{token.text}'" if token.quoted else token.text)
            position += 1
            continue
        key = (TAGS[mention.kind], mention.names)
        if key not in by_names:
            by_names[key] = f"{key[0]}{1 + sum(kind == key[0] for kind, _ in by_names)}"
            said = tuple(tokens[mention.start : mention.end])
            found[by_names[key]] = Spoken(said, (replace(mention, start=0, end=len(said)),))
        words.append(by_names[key])
        position = mention.end
    return Tagged(_joined(words), found)


def spoken(text: str, tagged: Tagged, names: Names) -> Spoken:
    """Words of a tagged command with the names put back."""
    tokens: list[Token] = []
    mentions: list[Mention] = []
    for word in tokenize(text):
        put_aside = tagged.names.get(word.text)
        if put_aside is None:
            tokens.append(word)
            continue
        mentions += [
            replace(one, start=len(tokens), end=len(tokens) + one.end - one.start) for one in put_aside.mentions
        ]
        tokens += put_aside.tokens
    taken = {k for mention in mentions for k in range(mention.start, mention.end)}
    mentions += [
        mention
        for mention in names.find(tokens)
        if mention.kind == "person" and mention.described and not taken & set(range(mention.start, mention.end))
    ]
    return Spoken(tuple(tokens), tuple(sorted(mentions, key=lambda mention: mention.start)))


def words_back(text: str, tagged: Tagged) -> str:
    """A text to be said, with the names put back as they were said."""
    return TAG.sub(
        lambda match: (
            " ".join(token.text for token in tagged.names[match[0]].tokens) if match[0] in tagged.names else match[0]
        ),
        text,
    )


def _joined(words: list[str]) -> str:
    """Words with blanks between them, none before punctuation."""
    text = ""
    for word in words:
        text += word if not text or word in _CLOSING else f" {word}"
    return text
