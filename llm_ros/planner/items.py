"""Reads the items of a stretch of words: the people, things, places, times and texts it speaks of.

In: tokens, mentions and a verb lexicon (through the `Splitter` that owns them). Out: `Item`s in order, each with its
preposition,
its number, and the place that is attached to it ("the cup on the table"). Knows nothing of what is to be done with
them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from llm_ros.planner import words as w
from llm_ros.planner.numbers import duration_at, number_at, value_of
from llm_ros.planner.tokens import Mention

_RELATIVE = frozenset(
    "who that which is are was were located placed standing lying sitting there currently being been".split()
)
_PARTICLES = frozenset("down up away back over along".split())
_AUXILIARY = frozenset("be should must might probably supposed ought".split())
_EVERY = frozenset("all every each entire".split())
# What stands before something that is not meant.
_EXCLUDING = tuple(
    tuple(row.split())
    for row in "instead of|rather than|except for|except|other than|apart from|as opposed to|and not|but not|not|but|"
    "neither|nor".split("|")
)
_BEFORE_NOT = frozenset("is are was were do does did be has have will can could would should and or".split())
# What the robot has in its hand, in so many words.
_HELD = re.compile(
    r"(what|whatever|(the )?(thing|object|item|stuff)( that| which)?) you "
    r"(are( currently| now| still)? (holding|carrying)|hold|carry|have( got)?)"
    r"( (right )?now)?( in (your|the) (hand|hands|gripper|arm))?\b"
)
# What is left over, is lying around or is to be had, says nothing about the thing.
_REMAINING = frozenset("left remaining available".split())
# Said of when and how; their prepositions belong to no place.
_ADVERBIAL = tuple(
    tuple(row.split())
    for row in "by now|right now|for now|at the moment|at present|of course|by the way|for sure|as well|"
    "at once|at last|on the way|in a hurry|for a change|in the meantime|on your way".split("|")
)


@dataclass
class Item:
    """kind: place door object category person me thing_pronoun person_pronoun here text number quote excluded.

    names: candidates (several: ambiguous) or the words said. prep: how it is attached. place: where it is, if said.
    mods: describing words before it. count: how many were asked for. definite: "the", "this". every: "all", "each".
    either: an alternative to the item before ("or").
    """

    kind: str
    names: tuple[str, ...]
    prep: str
    start: int
    end: int
    mods: tuple[str, ...] = ()
    place: Item | None = None
    count: float = 1
    definite: bool = False
    many: bool = False
    described: bool = False
    joined: bool = False
    every: bool = False
    either: bool = False


class ItemReader:
    """Reads the items of one stretch of tokens, left to right."""

    def __init__(self, splitter, start: int, end: int):
        self.s, self.i, self.end = splitter, start, end
        self.prep, self.joined, self.run, self.items, self.every = "", False, [], [], False
        self.excluded = self.either = False

    def read(self) -> list[Item]:
        """All items, in order."""
        while self.i < self.end:
            mention = self.s.at.get(self.i)
            token = self.s.tokens[self.i]
            if mention:
                self._mention(mention)
            elif token.quoted:
                self._flush()
                self._add("quote", (token.text,), self.i, self.i + 1)
                self.i += 1
            elif self._relative():
                self._flush()
                self.i = self.end
            elif (after := self._excluded()) > self.i:
                self._flush()
                self.prep, self.i, self.excluded = "", after, True
            elif (held := self._held()) > self.i:
                self._flush()
                self._add("thing_pronoun", ("held",), self.i, held)
                self.i = held
            elif (length := self._duration()) is not None:
                self._flush()
                self._add("number", (f"{length[0]:g}",), self.i, length[1])
                self.i = length[1]
            elif not self._closed_class(token.low):
                self.run.append(self.i)
                self.i += 1
        self._flush()
        return self.items

    def _relative(self) -> bool:
        """ "somebody who can help me": what a person can, knows or likes is no item of the clause."""
        low = self.s.low
        return (
            low[self.i] in ("who", "that")
            and bool(self.items)
            and self.items[-1].kind == "person"
            and self.i + 1 < self.end
            and low[self.i + 1] in ("can", "could", "knows", "would", "may", "might", "will", "likes", "speaks")
        )

    def _excluded(self) -> int:
        """The end of "not", "instead of", "except for" before what is not meant."""
        for words in _EXCLUDING:
            end = self.i + len(words)
            if tuple(self.s.low[self.i : end]) != words or end >= self.end:
                continue
            noun = end in self.s.at or self.s.low[end] in w.DETERMINERS | w.PREPOSITIONS
            ended = bool(self.items) or bool(self.run) or words in (("neither",), ("nor",))
            if noun and ended and (words not in (("not",), ("but",)) or self.s.low[self.i - 1] not in _BEFORE_NOT):
                return end
        return self.i

    def _held(self) -> int:
        """The end of "what you are holding" if it begins here."""
        match = _HELD.match(" ".join(self.s.low[self.i : self.end]))
        return self.i + len(match[0].split()) if match else self.i

    def _duration(self) -> tuple[float, int] | None:
        """(seconds, end) of a duration that begins here and is no part of a noun ("a second cup")."""
        if self.run and any(self.s.tokens[k].low not in w.DETERMINERS for k in self.run):
            return None
        length = duration_at(self.s.low, self.i)
        if length is None or length[1] > self.end or self.s.low[self.i - 1] in ("the", "this", "that", "every"):
            return None
        return None if length[1] in self.s.at or self._goes_on(length[1]) else length

    def _mention(self, mention: Mention) -> None:
        owned = self.s.at.get(mention.end) if self.s.tokens[mention.end - 1].owner else None
        if owned and owned.kind in ("object", "category", "place"):
            self.i = mention.end  # "Noor's crown": which one it is, and nobody
            return
        if mention.kind in ("object", "category") and self._goes_on(mention.end):
            self.run += range(mention.start, mention.end)
            self.i = mention.end
            return
        inner = [
            k
            for k, i in enumerate(self.run)
            if self.s.low[i] in w.DETERMINERS and any(self.s.low[j] not in w.DETERMINERS for j in self.run[:k])
        ]
        if inner and not self.prep and self.s.tokens[self.run[inner[-1] - 1]].low != "of":
            # "Frank a cola": what stands before the article is something of its own.
            rest = self.run[inner[-1] :]
            self.run = self.run[: inner[-1]]
            self._flush()
            self.run = rest
        one = any(self.s.low[k] in ("a", "an") for k in self.run)  # "a snacks", of "one of the snacks"
        mods, count, definite = self._modifiers()
        definite = definite or self.s.tokens[mention.start - 1].low in ("that", "this", "said", "same")
        if mention.kind in ("place", "person") and mods and not mention.described:
            if mention.kind == "person" or not set(mods) <= w.SORTING | w.COLORS:
                self._flush()
            mods = ()
        self.run = []
        self._add(
            mention.kind,
            mention.names,
            mention.start,
            mention.end,
            mods,
            count,
            definite,
            mention.many and not one,
            mention.described,
        )
        self.i = mention.end

    def _goes_on(self, i: int) -> bool:
        """ "tin opener": a name followed by another noun is a part of a longer, unknown name."""
        if i >= self.end or i in self.s.at or self.s.tokens[i].quoted:
            return False
        low = self.s.tokens[i].low
        if low == "of":
            return i + 1 < self.end
        closed = (
            low in w.PREPOSITIONS
            or low in w.DETERMINERS
            or low in w.FILLERS
            or low in w.SELF
            or low in w.PRONOUNS_PERSON
            or low in w.HERE
            or low in _RELATIVE
            or low in _PARTICLES
            or low in ("and", "or", "not", "do", "does", "you", "i", "we", "have", "has", "instead", "too")
            or not low[0].isalnum()
        )
        return not closed and self.s.lexicon.match(self.s.tokens, i, self.s.at) is None

    def _modifiers(self) -> tuple[tuple[str, ...], int, bool]:
        words = [self.s.tokens[k].low for k in self.run]
        count, counted = _count(words)
        self.every = bool(_EVERY & set(words))
        mods = tuple(
            x
            for x in words
            if x not in w.DETERMINERS
            and x not in counted
            and x not in w.NUMBERS
            and x not in w.FILLERS
            and x not in ("of", "pair", "couple")
        )
        return mods, count, any(x in ("the", "this", "that") for x in words)

    def _closed_class(self, low: str) -> bool:
        """Handles a preposition, a pronoun or another word that ends a noun phrase; False if the word belongs to
        one."""
        for words, prep in w.LONG_PREPOSITIONS.items():
            if (
                tuple(t.low for t in self.s.tokens[self.i : self.i + len(words)]) == words
                and self.i + len(words) <= self.end
            ):
                self._flush()
                self.prep, self.i = prep, self.i + len(words)
                return True
        if low == "of" and self.run or low == "to" and self._for_use():
            return False
        if self.items and self.items[-1].kind in ("object", "category", "text") and low == "that":
            if [t.low for t in self.s.tokens[self.i + 1 : self.i + 3]] in (["you", "find"], ["you", "see"]):
                self._flush()
                self.i += 3
                return True
        for words in _ADVERBIAL:
            if tuple(t.low for t in self.s.tokens[self.i : self.i + len(words)]) == words:
                self._flush()
                self.i += len(words)
                return True
        if low == "there" and self._existential():
            self._flush()
            self.i += 1
            return True
        kind = (
            "me"
            if low in w.SELF
            else "person_pronoun"
            if low in w.PRONOUNS_PERSON
            else "here"
            if low in w.HERE
            else "thing_pronoun"
            if low in w.PRONOUNS_THING and self._alone()
            else ""
        )
        if kind:
            self._flush()
            if kind == "here" and self.prep == "over":
                self.prep = ""
            self._add(kind, (low,), self.i, self.i + 1)
        elif low in w.PREPOSITIONS or low in ("and", "or") or not low[0].isalnum() and value_of(low) is None:
            self._flush()
            if low in w.PREPOSITIONS:
                self.prep = low
            elif low in ("and", "or") and self.items:
                self.prep, self.joined, self.either = self.items[-1].prep, True, low == "or"
        elif not (
            low in _RELATIVE
            or low in _PARTICLES
            or low in ("please", "also", "too", "now", "again", "do", "not", "afterwards", "together", "immediately")
            or low in _AUXILIARY
            or self._state(low)
        ):
            return False
        else:
            self._flush()
        self.i += 1
        return True

    def _for_use(self) -> bool:
        """ "something to drink": what it is for belongs to the noun."""
        after = self.s.low[self.i + 1 : min(self.i + 2, self.end)]
        return (
            bool(self.run) and self.s.low[self.run[-1]] in w.THING_NOUNS and not set(after or ("the",)) & w.DETERMINERS
        )

    def _state(self, low: str) -> bool:
        """ "is waiting at", "that lies on", "juice left in": how a thing or a person already mentioned is there."""
        before = self.s.tokens[self.i - 1].low if self.i else ""
        after = self.s.tokens[self.i + 1].low if self.i + 1 < self.end else ""
        if self.run or not self.items or self.prep:
            return False
        return (
            low.endswith("ing")
            and before in ("is", "are", "was", "were", "be")
            or low in _REMAINING
            and before not in w.DETERMINERS
            or before in ("that", "which", "who")
            and after in w.PREPOSITIONS
        )

    def _existential(self) -> bool:
        """ "there are", "are there", "there on the table": no place of its own."""
        around = [
            token.low for token in self.s.tokens[max(0, self.i - 1) : self.i] + self.s.tokens[self.i + 1 : self.i + 2]
        ]
        return any(word in ("is", "are", "was", "were", "in", "on", "at") for word in around)

    def _alone(self) -> bool:
        """ "this"/"that"/"one" stands for a thing only when no noun follows."""
        i = self.i + 1
        return not self.run and (
            self.s.tokens[self.i].low in ("it", "those", "these")
            and not self._goes_on(i)
            and i not in self.s.at
            or i >= self.end
            or (i not in self.s.at and not self._goes_on(i) and self.s.tokens[self.i].low in ("it", "this", "one"))
        )

    def _flush(self) -> None:
        """Turns the words read so far into a text or number item."""
        run, self.run = self.run, []
        owned = next((k for k in range(1, len(run)) if self.s.low[run[k]] in ("his", "her", "their")), 0)
        if owned and self.s.low[run[0]] not in w.DETERMINERS and self.s.low[run[owned - 1]] != "of":
            self.run = run[:owned]  # "Bob his phone": somebody unknown, and a thing
            self._flush()
            run = run[owned:]
        self.every = any(self.s.low[k] in _EVERY for k in run)
        while run and self.s.low[run[0]] in w.DETERMINERS | w.FILLERS | {"whether"}:
            run = run[1:]
        while run and (
            self.s.tokens[run[-1]].low in w.FILLERS
            or self.s.tokens[run[-1]].low in ("a", "the", "an", "you", "i", "for")
        ):
            run = run[:-1]
        if not run:
            return
        words = [self.s.tokens[k].low for k in run]
        number, counted = _count(words)
        if words == ["one"]:
            self._add("thing_pronoun", ("one",), run[0], run[-1] + 1)
            return
        if counted and len(counted) == len(words):
            self._add("number", (f"{number:g}",), run[0], run[-1] + 1)
            return
        if counted and words[0] == counted[0]:
            run, words = run[len(counted) :], words[len(counted) :]
            while len(words) > 1 and words[0] in ("of", "a", "an", "the"):
                run, words = run[1:], words[1:]
        before = self.s.tokens[run[0] - 1].low if run[0] else ""
        self._add(
            "text",
            (" ".join(words),),
            run[0],
            run[-1] + 1,
            count=number,
            definite=before in ("the", "this", "that"),
            many=w.singular(words[-1]) != words[-1],
        )

    def _add(self, kind, names, start, end, mods=(), count=1, definite=False, many=False, described=False) -> None:
        self.items.append(
            Item(kind, tuple(names), self.prep, start, end, mods, None, count, definite, many, described, self.joined)
        )
        self.items[-1].every, self.items[-1].either = self.every, self.either
        if self.excluded:
            self.items[-1].kind, self.excluded = "excluded", False
        self.prep, self.joined, self.every, self.either = "", False, False, False


def _count(words: list[str]) -> tuple[float, tuple[str, ...]]:
    """(how many, the words that say so) of a noun phrase: 1 and none where it does not say."""
    for k, word in enumerate(words):
        found = number_at(words, k)
        if found:
            return found[0], tuple(words[k : found[1]])
        if word in ("couple", "few", "both"):
            return w.NUMBERS[word], (word,)
    return 1, ()
