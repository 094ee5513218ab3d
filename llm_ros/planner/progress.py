"""What a plan brings about by itself, or finds out by failing: no condition, though it is put like one.

In: the tokens of a command with the clause that a "when", "once" or "if" opens. Out: whether what it says follows from
the deeds ("once it is in the sink", "when she has it", "if you find it"), or only tells of something past. For
provisos.py.
"""

from __future__ import annotations

from llm_ros.planner import words as w
from llm_ros.planner.bounds import Bounds

ARRIVED = frozenset("arrives arrive arrived reaches reached".split())
_FIND = frozenset("find see spot meet locate have get reach know encounter found seen met notice".split())
_LEAVES = frozenset("sets leaves goes walks heads moves starts set leave go walk head move start".split())
_OPPOSITE = {"open": {"closed", "shut"}, "close": {"open", "opened", "ajar"}}
SUBJECTS = frozenset(
    "he she it they we i there somebody someone nobody anybody everybody everyone nothing anything".split()
)
_THERE = frozenset("there here arrived done finished ready back".split())


class Progress:
    """The course of one command's deeds."""

    def __init__(self, s: Bounds):
        self.s, self.low = s, s.low

    def makes_sure(self, i: int, begin: int, end: int, plain: bool) -> bool:
        """What the plan itself makes sure of, or finds out by failing."""
        body = self.low[begin:end]
        negative = "not" in body or "no" in body or not plain or self.low[i] in ("unless", "except")
        rest = self.low[:i] + self.low[end:]
        if "not" in body and {"already", "yet"} & set(body) and plain:
            return True
        deeds = {
            verb.frame for k in self._outside(i, end) if (verb := self.s.lexicon.match(self.s.tokens, k, self.s.at))
        }
        for frame, states in _OPPOSITE.items():
            if frame in deeds and plain and not negative and states & set(body[-2:]):
                return True
        if negative:
            return False
        if body[0] == "you" and len(body) > 1 and body[1] in _FIND:
            return True
        if body[0] == "there" or body[:2] == ["we", "have"] or "available" in body:
            things = [
                self.s.at[k]
                for k in range(begin, end)
                if k in self.s.at and self.s.at[k].kind in ("object", "category")
            ]
            again = {name for k in self._outside(i, end, True) if k in self.s.at for name in self.s.at[k].names}
            some = any(word in ("it", "them", "one", "some") for word in rest)
            return some or any(name in again for thing in things for name in thing.names)
        return False

    def _outside(self, i: int, end: int, mentions: bool = False) -> list[int]:
        return [k for k in range(len(self.low)) if not i <= k < end and (mentions or k not in self.s.at)]

    def tells_of(self, i: int, begin: int, end: int) -> bool:
        """ "slipped out while I was on the sofa", "when I am on holiday I always forget": it tells of something."""
        if "was" in self.low[begin + 1 : begin + 4] or "were" in self.low[begin + 1 : begin + 4]:
            return self.low[i] in ("while", "when", "after")
        return "always" in self.low[begin : end + 4] or "never" in self.low[end : end + 4]

    def own_progress(self, i: int, begin: int, end: int) -> bool:
        """Whether an event is a deed of the robot or its result, or no clause at all ("after lunch", "until the
        bar")."""
        k = begin
        while k < end and k not in self.s.at and self.low[k] in w.FILLERS | {"again", "all"}:
            k += 1
        if k >= end:
            return True
        said = self.low[k:end]
        if self.low[i] == "after" and said[0] in ("it", "that", "this") and said[1:2] and said[1] in SUBJECTS:
            return True  # "after it she has a question"
        if said[:2] == ["i", "do"] or said[1:] in (["is", "over"], ["are", "over"], ["is", "up"], ["are", "up"]) and i:
            return True
        if said[:2] in (["we", "have"], ["we", "are"], ["both", "of"]) and set(said) & _THERE:
            return True
        if said[0] in ("you", "having", "done", "finished", "ready", "that", "this", "everything", "there", "here"):
            return True
        mention = self.s.at.get(k)
        if mention is None and self.s.lexicon.match(self.s.tokens, k, self.s.at) and said[0] not in w.DETERMINERS:
            return True
        after = k + 1
        if said[0] in w.DETERMINERS:
            after = next((self.s.at[j].end for j in range(k, min(end, k + 3)) if j in self.s.at), k + 2)
            mention = next((self.s.at[j] for j in range(k, min(end, k + 3)) if j in self.s.at), None)
        elif mention is not None:
            after = mention.end
        elif said[0] not in SUBJECTS:
            return True
        rest = self.low[after:end]
        if not rest or rest[0] in w.PREPOSITIONS | {","}:
            return True
        return self._result(i, said[0], mention, rest)

    def _result(self, i: int, first: str, mention, rest: list[str]) -> bool:
        """ "once it is in the sink", "when she has it": what came before brings it about."""
        earlier = {name for one in self.s.mentions if one.end <= i for name in one.names}
        before = {verb.frame for k in range(i) if (verb := self.s.lexicon.match(self.s.tokens, k, self.s.at))}
        person = first in w.PRONOUNS_PERSON or mention is not None and mention.kind == "person"
        known = first in w.PRONOUNS_PERSON or mention is not None and bool(set(mention.names) & earlier)
        state = rest[0] in ("is", "are", "has", "have") and bool(
            set(rest[1:3])
            & (w.PREPOSITIONS | w.HERE | {"open", "closed", "shut", "been", "done", "it", "them", "inside"})
        )
        if person:
            answered = "ask" in before and bool(set(rest[:2]) & {"answered", "answers", "replied", "replies"})
            arrived = bool(set(rest[:2]) & ARRIVED) and bool(before & {"guide", "follow"})
            given = state and bool("there" in rest[:2] or before & {"bring", "guide", "take", "follow", "wish"})
            follows = rest[0] in _LEAVES and "follow" in {
                verb.frame
                for k in range(i, len(self.low))
                if (verb := self.s.lexicon.match(self.s.tokens, k, self.s.at))
            }
            return follows or known and (given or answered or arrived)
        return state and (known or i > 0 and (first == "it" or first == "they" and bool(set(rest[1:3]) & _THERE)))
