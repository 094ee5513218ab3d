"""How a command is put: plainly or with reasons and wishes, with conditions, in words that are all known.

In: a command and an `Interpreter`. Out: what decides whether a model may have a say in it (planner.py). Knows nothing
of plans.
"""

from __future__ import annotations

from functools import cached_property

from llm_ros.planner.again import repeats
from llm_ros.planner.clauses import Splitter
from llm_ros.planner.coverage import strange_words
from llm_ros.planner.interpret import Interpreter, Question, broken_off
from llm_ros.planner.mood import no_order
from llm_ros.planner.plan import PlanError
from llm_ros.planner.provisos import Proviso, provisos
from llm_ros.planner.verbs import Verb

_STOPS = frozenset(".!?;")


class Manner:
    """How one command is put."""

    def __init__(self, command: str, interpreter: Interpreter):
        self._command, self._interpreter = command, interpreter
        self._splitter = interpreter.splitter(command)

    @cached_property
    def restricted(self) -> bool:
        """Whether it depends on what a plan cannot see to, forbids something, breaks off, or is no order: nobody may
        then guess what is meant."""
        unfinished = bool(broken_off(self._splitter.tokens))
        return unfinished or no_order(self._command) or any(map(self._binds, self._provisos))

    @cached_property
    def hedged(self) -> bool:
        """Whether it speaks of times and events, but not where it orders something."""
        return bool(self._provisos) and not any(map(self._binds, self._provisos))

    @cached_property
    def _provisos(self) -> list[Proviso]:
        return [one for one in provisos(self._splitter) if one.question]

    def _binds(self, proviso: Proviso) -> bool:
        """Whether a proviso is a condition, or one of the orders of its own sentence is subject to it: "bring me a tea
        at noon"; but "for tonight I have to know how many there are" only says why."""
        s = self._splitter
        begin = next((k + 1 for k in range(proviso.start - 1, -1, -1) if s.low[k] in _STOPS), 0)
        end = next((k for k in range(proviso.end, len(s.low)) if s.low[k] in _STOPS), len(s.low))
        rest = [s.tokens[k] for k in range(begin, end) if not proviso.start <= k < proviso.end]
        clauses = Splitter(rest, self._interpreter.names, self._interpreter.lexicon).clauses() if rest else []
        return proviso.condition or any(
            one.verb and one.verb.frame != "wish" and not one.subject for one in clauses
        )

    @cached_property
    def plain(self) -> bool:
        """Whether it is one sentence of orders or questions and nothing else: no reasons, no wishes, nothing told."""
        if any(token.low in _STOPS and not token.quoted for token in self._splitter.tokens[:-1]):
            return False
        clauses = self._splitter.clauses()
        return bool(clauses) and all(
            one.question or repeats(one) or one.verb and one.verb.frame != "wish" and not one.subject for one in clauses
        )

    @cached_property
    def settled(self) -> bool:
        """Whether, where no plan was made of it, it leaves little to guess: it is an order of words that are all known.
        What is asked or refused then is, most likely, what the command itself calls for."""
        verb = self._first_verb()
        if verb is None or verb.frame == "wish" or verb.word == "i":
            return False
        if strange_words(self._splitter, self._splitter.clauses(), self._interpreter.world):
            return False
        try:
            return self._interpreter.read(self._command).certain
        except (PlanError, Question):
            return True

    @cached_property
    def frames(self) -> frozenset[str]:
        """The frames of the verbs that order something."""
        return frozenset(one.verb.frame for one in self._splitter.clauses() if one.verb and not one.negated)

    def _first_verb(self) -> Verb | None:
        """The verb that it begins with, after courtesies."""
        s = self._splitter
        begins = [(s.skip(start), end) for start, end, _ in s.spans()]
        first = next((start for start, end in begins if start < end), 0)
        return s.lexicon.match(s.tokens, first, s.at)
