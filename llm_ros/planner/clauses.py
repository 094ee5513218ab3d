"""Cuts a command into clauses, each with its verb and its items: the people, things, places and texts it speaks of.

In: a command, `Names` and a `Lexicon`. Out: `Clause`s in the order in which they are to happen ("before X, do Y" is
turned
round). An item knows its preposition and the place attached to it ("the cup on the table"). Decides nothing about
skills.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from llm_ros.planner import words as w
from llm_ros.planner.attach import attach
from llm_ros.planner.bounds import CONDITION, NOUNS_TOO, QUESTION, Bounds
from llm_ros.planner.items import Item, ItemReader
from llm_ros.planner.tokens import Token
from llm_ros.planner.verbs import Verb


@dataclass
class Clause:
    """One thing to do. text: the words after the verb. negated: it is forbidden ("do not", "without")."""

    verb: Verb | None
    items: list[Item]
    tokens: list[Token]
    start: int
    end: int
    negated: bool = False
    question: str = ""
    subject: list[Item] = field(default_factory=list)


# What people have done with things; robots are told to leave, put, drop.
_PAST = frozenset("left put forgot dropped placed lost took brought set laid stored".split())


class Splitter(Bounds):
    """Makes clauses out of one command."""

    def clauses(self) -> list[Clause]:
        """All clauses, in the order of doing."""
        result: list[Clause] = []
        for start, end, order in self.spans():
            clause = self._clause(start, end)
            if clause is None:
                continue
            if order == "before" and result:
                result.insert(len(result) - 1, clause)
            else:
                result.append(clause)
        return self._merged(result)

    def _merged(self, clauses: list[Clause]) -> list[Clause]:
        """A clause without a verb that only says where belongs to the next one: "in the study, count the pens"."""
        result: list[Clause] = []
        pending: list[Item] = []
        for clause in clauses:
            only_where = (
                clause.verb is None
                and not clause.question
                and clause.items
                and all(
                    item.kind == "place" or item.kind in ("person", "me") and item.prep in ("to", "for")
                    for item in clause.items
                )
                and not clause.subject
            )
            if only_where and clause is not clauses[-1]:
                pending += clause.items
                continue
            clause.items = pending + clause.items
            pending = []
            result.append(clause)
        return result

    # -- what a clause says

    def _clause(self, start: int, end: int) -> Clause | None:
        begin, negated = self.skip(start), False
        tokens = self.tokens
        if (
            begin < end
            and tokens[begin].low in ("without", "not")
            or [t.low for t in tokens[begin : begin + 2]] == ["do", "not"]
        ):
            negated = True
            begin = self.skip(begin + (2 if tokens[begin].low == "do" else 1))
        if begin < end and tokens[begin].low in CONDITION and begin not in self.at:
            return Clause(None, self.items(begin + 1, end), tokens, begin, end, False)
        while (
            begin < end
            and begin not in self.at
            and tokens[begin].low
            in ("when", "once", "after", "while", "by", "having", "as", "soon", "whenever", "until")
        ):
            begin = self.skip(begin + 1)
            while begin < end and tokens[begin].low in ("you", "have", "are", "had") and begin not in self.at:
                begin += 1
        if begin >= end:
            return None
        if self._hearsay(begin, end):
            return Clause(None, self.items(self.whereabouts_end(begin), end), tokens, begin, end, negated)
        question, at_question = self._question(begin, end)
        if question:
            return Clause(None, self.items(at_question, end), tokens, at_question, end, negated, question)
        verb, subject = self._find_verb(begin, end)
        if verb is None:
            toward = begin - 1 if begin > start and self.low[begin - 1] == "to" else begin
            return Clause(None, self.items(toward, end), tokens, begin, end, negated)
        return Clause(
            verb,
            self.items(verb.end, end),
            tokens,
            verb.end,
            end,
            negated,
            subject=self.items(subject, verb.start) if subject < verb.start else [],
        )

    def _question(self, begin: int, end: int) -> tuple[str, int]:
        low = [token.low for token in self.tokens[begin:end]]
        if low[:2] == ["how", "many"]:
            return "how many", begin + 2
        if low[:1] and low[0] in QUESTION and begin not in self.at:
            return low[0], begin + 1
        if (
            low[:1]
            and (low[0] in ("is", "are", "was") or low[:2] in (["do", "we"], ["do", "i"], ["do", "you"]))
            and len(low) > 2
            and (begin + 1 in self.at or low[1] in ("there", "the", "any", "we", "a", "you", "i"))
        ):
            return "is there", begin + (2 if low[1] in ("there", "we", "you", "i") else 1)
        return "", begin

    def _hearsay(self, begin: int, end: int) -> bool:
        """Whether the clause says where somebody will be found, perhaps with the place first."""
        k = begin
        while k < end and (k in self.at or self.low[k] in w.PREPOSITIONS | w.DETERMINERS | {","}):
            k += 1
        return k < end and self.whereabouts(k)

    def _find_verb(self, begin: int, end: int) -> tuple[Verb | None, int]:
        """The clause's verb and where its subject or leading words begin."""
        tokens = self.tokens
        said = self.at.get(begin)
        if (
            said
            and said.kind == "person"
            and begin
            and tokens[begin - 1].low in ("could", "can", "may", "might", "should", "must", "let", "will")
            and (said.end < end and tokens[said.end].low in ("have", "get", "receive"))
        ):
            return Verb(said.end, said.end + 1, "wish", "have"), begin
        verb = self.lexicon.match(tokens, begin, self.at) or self.lexicon.misspelt(tokens, begin, self.at)
        if tokens[begin].low in ("i", "we") and (verb is None or verb.frame == "wish"):
            return None, begin
        if verb and verb.end <= end and tokens[begin].low != "i":
            return self._chained(verb, end), begin
        if verb and verb.end <= end and tokens[begin].low == "i":
            return verb, begin
        statement = any(
            t.low in ("is", "are", "was", "were", "has", "am", "will")
            and begin + k not in self.at
            and (k == 1 or begin + k - 1 in self.at or k == 2 and tokens[begin].low in w.DETERMINERS)
            for k, t in enumerate(tokens[begin:end])
        )
        for position in range(begin + 1, end):
            verb = self.lexicon.match(tokens, position, self.at)
            if not verb or verb.end > end:
                continue
            if verb.frame == "wish":
                return verb, begin
            if self.low[position] in _PAST and any(
                item.kind == "person" for item in self.mentions if begin <= item.start < position
            ):
                return None, begin
            if (
                tokens[position].low == "can"
                or statement
                or tokens[position].low in NOUNS_TOO
                and tokens[position - 1].low in w.DETERMINERS
            ):
                continue
            return self._chained(verb, end), begin
        return None, begin

    def _chained(self, verb: Verb, end: int) -> Verb:
        """ "go and find", "go get", "come help": the second verb is the task."""
        if verb.frame not in ("go",) or verb.end >= end or verb.end in self.at:
            return verb
        following = self.lexicon.match(self.tokens, self.skip(verb.end), self.at)
        if (
            following
            and following.end <= end
            and following.frame not in ("work",)
            and self.low[following.start] != "left"
            and self.skip(verb.end) <= verb.end + 1
        ):
            return following
        return verb

    def items(self, start: int, end: int) -> list[Item]:
        """People, things, places and texts between two tokens, each with its preposition; places attach to what they
        follow."""
        return attach(ItemReader(self, start, end).read(), self.rooms)
