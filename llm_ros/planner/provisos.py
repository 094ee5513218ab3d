"""Conditions and times that a command attaches to a deed: "unless it rains", "only when Ada is there", "at noon".

In: the tokens of a command with their mentions and clause bounds. Out: `Proviso`s, each with its tokens and the
question
that has to be asked, because a plan is a straight line that starts at once: it can neither branch nor wait for an
event.
What only looks like one is left alone: courtesy ("if you please"), a question to be asked or looked into ("tell me
if …"),
the robot's own progress ("when you are done"), and what the plan makes sure of by itself ("if there is any milk,
bring it",
"open it if it is closed"). What changes nothing ("even if it rains") is a proviso without a question.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from llm_ros.planner import words as w
from llm_ros.planner.bounds import MAIN_DEEDS, Bounds, bare
from llm_ros.planner.inquiry import Inquiry, gapped
from llm_ros.planner.numbers import number_at
from llm_ros.planner.openings import opening_at
from llm_ros.planner.progress import ARRIVED, SUBJECTS, Progress
from llm_ros.planner.times import time_end
from llm_ros.planner.tokens import Token

_CHECK = "I cannot check whether {}. Should I do it anyway?"
_INVERTED = "I cannot check that ({}). Should I do it anyway?"
_EVENT = "I cannot tell when {}. Should I do it now?"
_END = "I cannot tell when {}. How long should I go on?"
_WATCH = "I cannot keep watching whether {}. Should I do it once, now?"
_BRANCH = "I carry out one course and cannot choose between two by myself ({}). Which one should I take?"
_ONCE = "I do things once ({}). Should I do it once?"
_TIME = "I act at once and do nothing by the clock ({}). Should I do it now?"

# marker → the question it leads to; "" where what follows changes nothing. Longer markers go first.
_ROWS = {
    _CHECK: "if|only if|unless|except if|except when|only when|only while|as long as|so long as|only as long as|"
    "provided that|"
    "provided|providing that|providing|on condition that|on the condition that|in case of|in case|in the event that|"
    "in the event of|assuming that|assuming|supposing that|supposing|given that|depending on whether|depending on|"
    "under the condition that|what if|lest",
    _EVENT: "when|once|after|as soon as|the moment|the minute|the second|the instant|while",
    _END: "until|till",
    _WATCH: "whenever|every time|each time|any time|anytime",
    _BRANCH: "otherwise|or else|else|if so|if not|in that case",
    "": "even if|even when|whether or not|no matter if|no matter whether|regardless of whether",
}
_MARKERS = sorted(
    ((tuple(marker.split()), question) for question, row in _ROWS.items() for marker in row.split("|")),
    key=lambda entry: -len(entry[0]),
)
_OFTEN = frozenset("twice thrice repeatedly continuously constantly forever endlessly".split())
_BE = frozenset("is are was were be been has have had does do did can could will would may might should am".split())
_WILL = frozenset("please like want wish mind could can would will may prefer fancy insist agree".split())
_PONDERS = frozenset(
    "wonder wonders wondering wondered unsure knows knew forgotten forgot forgets remember clue idea".split()
)
_LEARNS = frozenset("know told say hear learn tell".split())  # "needs to know when …"
_ANY = frozenset("anything something nothing somebody someone anybody anyone nobody what who everything".split())
_LEISURE = frozenset("able free ready available kind good nice willing sure near nearby around".split())
_GOTTEN = frozenset("got gets received receives".split())
_ENDS = frozenset("ends gets comes reaches bring get give".split())
_WITH_ME = frozenset("here hand hands".split())
_COMING = frozenset("get come arrive return".split())
_EASE = frozenset("possible convenient ok okay alright fine any at all i".split())
_SENTENCE = frozenset(".!?;:")
_TELLING = frozenset("is are was were has have had".split())
_SWAPPED = {"i": "you", "me": "you", "my": "your", "am": "are", "you": "I", "your": "my", "mine": "yours", "we": "you"}


@dataclass(frozen=True)
class Proviso:
    """Tokens start..end-1 say on what the deed depends. question: what to ask; "" if it changes nothing.

    asks: key of inquiry.ASKS; after a yes the deed is done without them, a number takes their place. condition: it is
    one, not a time or an event.
    """

    start: int
    end: int
    question: str
    asks: str = "confirm"
    condition: bool = False

    def inquiry(self, tokens: Sequence[Token]) -> Inquiry:
        """The question about the command that consists of these tokens."""
        if self.asks == "command":
            return Inquiry(self.question)
        before, after = gapped(tokens, (self.start, self.end))
        if self.asks == "number":
            return Inquiry(self.question, self.asks, (), before, "for", after)
        return Inquiry(self.question, self.asks, (), f"{before} {after}".strip(" ,"))


def provisos(s: Bounds) -> list[Proviso]:
    """All provisos of a command, in order and without overlaps."""
    return _Finder(s).find()


class _Finder(Progress):
    """Looks through the tokens of one command."""

    def __init__(self, s: Bounds):
        super().__init__(s)
        self._spans = [(start, end) for start, end, _ in s.spans()]
        self._opening = {k for i in range(len(self.low)) for k in range(i, opening_at(self.low, i))}

    def find(self) -> list[Proviso]:
        found, i = [], 0
        while i < len(self.low):
            proviso = None if i in self.s.at or self.s.tokens[i].quoted else self._at(i)
            if proviso:
                found.append(proviso)
            i = proviso.end if proviso else i + 1
        return found

    def _at(self, i: int) -> Proviso | None:
        return self._conditional(i) or self._inverted(i) or self._repeated(i) or self._timed(i)

    # -- clauses

    def _marker(self, i: int) -> tuple[int, str] | None:
        for words, question in _MARKERS:
            if tuple(self.low[i : i + len(words)]) == words:
                return i + len(words), question
        return None

    def _conditional(self, i: int) -> Proviso | None:
        marker = self._marker(i)
        if marker is None or i in self._opening:
            return None
        begin, question = marker
        end = self._end(i, begin)
        body = self.low[begin:end]
        if question == _BRANCH and self.low[i] == "else" and i and self.low[i - 1] in _ANY:
            return None
        if question == _BRANCH:
            alone = (
                self.low[i] != "if"
                or self.low[begin - 1] == "so"
                or not body
                or body[0] == ","
                or self._bare_verb(begin)
            )
            return Proviso(i, begin, question.format(" ".join(self.low[i:begin])), "command", True) if alone else None
        if not body or self._governed(i, begin, question):
            return None
        if question == "":
            return Proviso(i, end, "")
        plain = self.low[i] == "if" or begin - i > 1 and self.low[i + 1] == "if"
        if question == _CHECK:
            if (
                not self._clause_follows(i, begin, end)
                or self._courtesy(body)
                or self.makes_sure(i, begin, end, plain)
            ):
                return None
        elif self._question_word(i, begin) or question == _EVENT and self.tells_of(i, begin, end):
            return None
        elif question == _EVENT and self.low[begin] == "i" and set(body[1:3]) & _COMING:
            return Proviso(i, end, "")  # "on the desk when I get there": by then
        elif self.own_progress(i, begin, end):
            idle = self.low[begin] == "you" and not self._front(i) and end - begin <= 3
            idle = idle and not any(k in self.s.at for k in range(i, end))
            over = bool((ARRIVED | _GOTTEN) & set(self.low[begin:end]))
            return Proviso(i, end, "") if idle or over else None
        said = self._said(begin, end)
        if self.low[begin - 1] == "of":
            said = f"there is {said}"
        asks = "number" if question == _END else "confirm"
        return Proviso(i, end, question.format(said), asks, question == _CHECK)

    def _inverted(self, i: int) -> Proviso | None:
        """ "should it rain, …": a condition by word order."""
        if self.low[i] not in ("should", "were", "had") or not self._front(i) or i + 2 >= len(self.low):
            return None
        if (
            self.low[i + 1] not in SUBJECTS - {"i", "we"}
            and self.low[i + 1] not in w.DETERMINERS
            and i + 1 not in self.s.at
        ):
            return None
        end = self._end(i, i + 1)
        if "?" in self.low[end : end + 1] or end >= len(self.low):
            return None
        return Proviso(i, end, _INVERTED.format(self._said(i, end)), condition=True)

    def _end(self, i: int, begin: int) -> int:
        """Where the clause that a marker at `i` opens is over."""
        front = self._front(i)
        for j in range(begin, len(self.low)):
            low = self.low[j]
            if j in self.s.at or self.s.tokens[j].quoted:
                continue
            if (
                low in (".", ";", "!", "?")
                or j > begin
                and (low == "then" or self._marker(j) and low not in w.PREPOSITIONS)
            ):
                return j
            if low in (",", ":") and (front or self.s._opens(j + 1, i)):
                return j
            if low in ("and", "but", "or") and j > begin and self.s._opens(j + 1, i):
                return j
            if front and j > begin + 1 and self._bare_verb(j):
                return j
        return len(self.low)

    def _bare_verb(self, j: int) -> bool:
        """ "if it rains bring me the umbrella": an order begins without a comma."""
        verb = self.s.lexicon.match(self.s.tokens, j, self.s.at)
        before = self.low[j - 1]
        return bool(
            verb
            and verb.frame in MAIN_DEEDS
            and bare(self.low[j])
            and before
            not in w.DETERMINERS | w.PREPOSITIONS | _BE | w.PRONOUNS_PERSON | {"and", "you", "or", "not", "i", "we"}
            and self.s._is_verb_here(verb)
        )

    def _front(self, i: int) -> bool:
        """Whether nothing but fillers stands between the beginning of a clause and `i`."""
        k = i - 1
        while k >= 0 and k not in self.s.at and self.low[k] in w.FILLERS | {"only", "except", "but"}:
            k -= 1
        return k < 0 or self.low[k] in (",", ".", ";", ":", "!", "?")

    def _governed(self, i: int, begin: int, question: str) -> bool:
        """Whether the clause is what somebody is told, asked, or what is looked into, or part of what is said."""
        if i and self.low[i - 1] in _PONDERS or self._learned(i):
            return True
        start = next((a for a, b in reversed(self._spans) if a <= i < b), 0)
        if start == i:
            return False
        verb, _ = self.s._find_verb(self.s.skip(start), len(self.low))
        if verb is None or verb.start >= i:
            return False
        if verb.end > i:
            return True
        between = range(verb.end, i)
        if verb.frame in ("tell", "ask", "wish", "answer"):
            heads = [self.low[k] for k in between if k not in self.s.at and self.low[k] not in w.FILLERS]
            if "that" in heads or any(self.low[k] == "to" and k + 1 not in self.s.at for k in between[1:]):
                return True
            alert = question in (_EVENT, _WATCH) and verb.frame == "tell" and any(x in w.SELF for x in heads)
            alert = alert and "will" not in self.low[begin : begin + 5]  # a time that somebody knows
            return not alert and question in (_CHECK, _EVENT, _END) and self._only(between, ("person", "place"))
        return verb.frame in ("describe", "find") and question == _CHECK and self._only(between, ("place",))

    def _learned(self, i: int) -> bool:
        """ "I need to know when lunch is", "she has to be told when …": what somebody is to learn; but "let me know
        when the tea is ready" waits for it."""
        k = i - 1
        if k < 1 or self.low[k] not in _LEARNS:
            return False
        before = self.low[max(0, k - 2) : k]
        able = self.low[k] == "say" and before[-1] in ("can", "could")
        return before[-1:] == ["to"] or before == ["to", "be"] or able

    def _only(self, between: range, kinds: tuple[str, ...]) -> bool:
        """Whether some tokens name nothing but people or places."""
        return all(
            self.s.at[k].kind in kinds
            if k in self.s.at
            else self.low[k]
            in w.PREPOSITIONS | w.DETERMINERS | w.PRONOUNS_PERSON | w.SELF | w.FILLERS | w.HERE | {"know", "out"}
            for k in between
        )

    def _clause_follows(self, i: int, begin: int, end: int) -> bool:
        """ "provided" and "given" are also participles ("the cup provided by Ada")."""
        if self.low[i] not in ("provided", "providing", "assuming", "supposing") or begin - i > 1:
            return True
        first = self.low[begin]
        return first in SUBJECTS | w.DETERMINERS | {"you"} or begin in self.s.at

    def _courtesy(self, body: list[str]) -> bool:
        """ "if you please", "if that is possible", "if it is not too much trouble", "as long as it ends up with me"."""
        said = set(body)
        if body[:1] in (["you"], ["it"]) and body[1:2] and body[1] in _ENDS and said & (w.SELF | _WITH_ME):
            return True
        if body[0] == "you" and "not" not in body[1:3]:
            if body[1:2] and body[1] in _WILL and len(body) <= 5:
                return True
            if said & {"time", "moment", "minute", "second", "chance"} and "have" in said:
                return True
            return body[1:2] == ["are"] and bool(said & _LEISURE) and len(body) <= 5
        if said & {"trouble", "bother", "inconvenience"} or body[:4] == ["you", "do", "not", "mind"]:
            return True
        return all(word in _EASE or word in ("it", "that", "is", "be", "this", "with", "by", "you") for word in body)

    def _question_word(self, i: int, begin: int) -> bool:
        """ "When is lunch?" asks; "when the robot"… does not."""
        return self.low[i] == "when" and self._front(i) and self.low[begin] in _BE

    # -- times

    def _repeated(self, i: int) -> Proviso | None:
        """ "twice", "three times", "all day long"."""
        if self.low[i] in _OFTEN:
            return self._by_clock(i, i + 1, _ONCE)
        number = number_at(self.low, i)
        if number and number[0] != 1 and self.low[number[1] : number[1] + 1] == ["times"]:
            return self._by_clock(i, number[1] + 1, _ONCE)
        if self.low[i : i + 2] in (["all", "day"], ["all", "night"], ["all", "week"]):
            return self._by_clock(i, i + 2, _ONCE)
        return None

    def _timed(self, i: int) -> Proviso | None:
        """ "at noon", "in ten minutes", "every hour", "tomorrow": but not inside what is said or asked."""
        end = time_end(self.low, i, self.s.at)
        owner = self.s.tokens[i].owner  # "tonight's session"
        return None if end == i or owner else self._by_clock(i, end, _TIME)

    def _by_clock(self, i: int, end: int, question: str) -> Proviso | None:
        """A proviso, unless it belongs to what is said or asked."""
        if self._only_told(i):
            return None
        start = next((a for a, b in reversed(self._spans) if a <= i < b), 0)
        verb, _ = self.s._find_verb(self.s.skip(start), len(self.low))
        asked = self.s._question(self.s.skip(start), len(self.low))[0] if self.s.skip(start) < len(self.low) else ""
        if (
            asked
            or verb is None
            or verb.frame in ("tell", "ask", "answer", "greet", "wish")
            and self._front(i) is False
        ):
            return None
        return Proviso(i, end, question.format(" ".join(token.text for token in self.s.tokens[i:end])))

    def _only_told(self, i: int) -> bool:
        """Whether the sentence around `i` tells something ("Kofi has been working all day") and more follows it."""
        begin = next((k + 1 for k in range(i - 1, -1, -1) if self.low[k] in _SENTENCE), 0)
        end = next((k for k in range(i, len(self.low)) if self.low[k] in _SENTENCE), len(self.low))
        before = set(self.low[begin:i])
        ours = "will" in before and self.low[begin] in ("i", "we")
        if not (ours or before & _TELLING) or before & {"sure", "ensure", "please", "should", "must", "want", "need"}:
            return False
        ordered = self.s.lexicon.match(self.s.tokens, self.s.skip(begin), self.s.at) is not None
        return end < len(self.low) - 1 and (ours or not ordered)

    def _said(self, begin: int, end: int) -> str:
        """What the condition says, as the robot repeats it: I and you change places."""
        while end > begin and not self.low[end - 1][0].isalnum():
            end -= 1
        words = [_SWAPPED.get(token.low, token.text) for token in self.s.tokens[begin:end]]
        return re.sub(r"\bI are\b", "I am", re.sub(r"\s+([,.;:])", r"\1", " ".join(words)))


__all__ = ["Proviso", "provisos"]
