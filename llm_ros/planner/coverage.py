"""Which words of a command a reading does justice to: what carries meaning and has left no trace is reported.

In: a command's tokens, mentions and clauses, the clauses that were understood as told, and the goals that came of
it. Out:
the words that are in no way accounted for. A plan with such words does something else than was said, or less; what to
do about it (ask, let a model decide) is not decided here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from llm_ros.planner import words as w
from llm_ros.planner.bounds import Bounds
from llm_ros.planner.clauses import Clause
from llm_ros.planner.numbers import number_at
from llm_ros.planner.openings import opening_at
from llm_ros.planner.refer import Goal
from llm_ros.planner.roles import ROLES
from llm_ros.planner.tokens import INTERJECTIONS, words_of
from llm_ros.planner.world import World

# Words that bind, point or colour, and so leave no trace of their own.
_EMPTY = frozenset(
    "i you we not no yes or nor if when while once as than so such both either neither each other others another "
    "who whom whose "
    "which what where why how that there here am is are was were be been being isn has have had having do does did "
    "done "
    "get gets got let going want wants wish would like need needs must can please too very much more most many few "
    "lot lots "
    "still already yet soon ever even only else own same well kind sort bit little one ones some any all every "
    "out off in on up down away back along around over together apart through across "
    "thing things something anything stuff item items object objects place places spot area way time times moment "
    "while "
    "minute second seconds hour job task favor favour course chance turn help hand hands sure able "
    "whether current "
    "currently presently located placed standing sitting lying kept stored found left remaining available "
    "everything everyone everybody someone somebody anyone anybody person people guy man woman "
    "first second third last next final whole main nearby close far near right somewhere wherever anywhere everywhere "
    "go goes going come comes coming reach know knows hear see sees seen find says said lies lie lying stands "
    "waits waiting "
    "instead rather except wearing wears wear dressed clad hanging rang arrived holding carrying".split()
)
# What a goal says in other words than the command.
_BLANKS = {
    "time": "clock hour",
    "weekday": "day week",
    "date": "day date month",
    "tomorrow": "day date",
    "month": "month",
    "year": "year",
}
# What a deed is also said to be about.
_ALSO = {"answer_question": ("quiz", "riddle", "query")}
# Deeds that may be done for somebody without having to do with them.
_UNSERVED = frozenset("open close go wait count find".split())
_CARRYING = frozenset("bring take place discard throw".split())
_REASONS = frozenset("because since as so for".split())
_BEING = frozenset("is are was were am".split())
_SENTENCE_ENDS = frozenset(".!?;")
_TELLING = frozenset("is are was were has have had will seems seem needs need".split())
_ORDERING = frozenset("you your please should must want wants would could can if unless until robot let".split())
_BESIDE = frozenset("to by near beside behind under opposite".split())
_KEPT_NUMBERS = ("wait", "stop", "tell", "ask", "count", "describe", "answer", "wish")


def unused_words(
    s: Bounds, clauses: Sequence[Clause], told: Sequence[Clause], goals: Iterable[Goal], world: World
) -> tuple[str, ...]:
    """The content words, in order, of which nothing is left in `goals`. told: clauses that were taken as
    information."""
    return _Coverage(s, clauses, told, list(goals), world).words()


def strange_words(s: Bounds, clauses: Sequence[Clause], world: World) -> tuple[str, ...]:
    """The content words, in order, that are neither names, nor numbers, nor words with a meaning for the robot."""
    coverage = _Coverage(s, clauses, (), [], world)
    left = coverage.words()
    numbers = {s.low[j] for k in range(len(s.tokens)) if (number := number_at(s.low, k)) for j in range(k, number[1])}
    named = {s.low[k] for k in s.at}
    return tuple(word for word in left if word not in numbers | named)


class _Coverage:
    """Marks the tokens of one command that are accounted for."""

    def __init__(self, s: Bounds, clauses, told, goals: list[Goal], world: World):
        self.s, self.clauses, self.told, self.world = s, clauses, told, world
        self.roles = {goal.role for goal in goals}
        self.values = _values(goals, world)
        self.led = {goal.args.get("location") for goal in goals if goal.role in ("guide", "go_to")} - {None}
        texts = [*self.values, *_own_words(goals)]
        self.stems = {stem for value in texts for word in words_of(value) for stem in _stems(word)}
        self.done = [False] * len(s.tokens)

    def words(self) -> tuple[str, ...]:
        """The words of unmarked tokens."""
        marks = (self._closed, self._openings, self._verbs, self._told, self._mentions, self._by_word, self._reasons)
        for mark in marks:
            mark()
        return tuple(token.low for token, done in zip(self.s.tokens, self.done, strict=True) if not done)

    def _mark(self, start: int, end: int) -> None:
        self.done[start:end] = [True] * (end - start)

    def _reasons(self) -> None:
        """Sentences before the last that only tell something, and name nothing that the plan leaves out: "We are
        rolling barrels through soon. Could you open the door?" """
        ends = [k for k, low in enumerate(self.s.low) if low in _SENTENCE_ENDS]
        begin = 0
        for end in ends:
            last = end >= len(self.s.low) - 2
            said = self.s.low[begin:end]
            if not last and self._tells(begin, said):
                left = [k for k in range(begin, end) if not self.done[k]]
                if not any(k in self.s.at for k in left):
                    self._mark(begin, end)
            begin = end + 1

    def _tells(self, begin: int, said: Sequence[str]) -> bool:
        """Whether a sentence is a statement, no order, wish or question."""
        first = self.s.skip(begin)
        return (
            bool(_TELLING & set(said))
            and not _ORDERING & set(said)
            and said[:1] not in (["if"], ["when"], ["unless"], ["there"])
            and self.s.lexicon.match(self.s.tokens, first, self.s.at) is None
        )

    def _closed(self) -> None:
        for k, token in enumerate(self.s.tokens):
            low = token.low
            self.done[k] = not token.quoted and (
                not low[:1].isalnum()
                and not low[1:2].isdecimal()
                or _is_empty(low)
                or token.owner
                or k not in self.s.at
                and low.endswith("ly")
            )

    def _openings(self) -> None:
        for k in range(len(self.s.tokens)):
            self._mark(k, opening_at(self.s.low, k))

    def _verbs(self) -> None:
        answered = "answer_question" in self.roles
        for clause in self.clauses:
            verb = clause.verb
            if clause.question and answered:
                self._mark(clause.start, clause.end)
            if verb is None:
                continue
            self._mark(verb.start, verb.end)
            before = self.s.lexicon.match(self.s.tokens, verb.start - 1, self.s.at) if verb.start else None
            two = self.s.lexicon.match(self.s.tokens, verb.start - 2, self.s.at) if verb.start > 1 else None
            for other in (before, two):
                if other and other.frame == "go" and other.end <= verb.start:
                    self._mark(other.start, other.end)
            for k in range(clause.start, clause.end) if verb.frame in _CARRYING else ():
                other = self.s.lexicon.match(self.s.tokens, k, self.s.at)
                if other and other.frame in _CARRYING:
                    self._mark(other.start, other.end)
            for item in clause.items:
                if item.kind == "excluded" or item.kind == "person" and item.prep == "for" and verb.frame in _UNSERVED:
                    self._mark(item.start, item.end)
            if verb.frame in _KEPT_NUMBERS or verb.frame.startswith("skill:"):
                for item in clause.items:
                    if item.kind == "number":
                        self._mark(item.start, item.end)

    def _told(self) -> None:
        """What is told, and remarks ("I am thirsty", "because …"), mean nothing to be done; but a thing that is told
        about
        and then not used is a sign of something missed."""
        for clause in self.clauses:
            remark = (
                clause.verb is None
                and not clause.question
                and (self.s.low[clause.start] in _REASONS or bool(_BEING & set(self.s.low[clause.start : clause.end])))
            )
            placed = clause in self.told and any(item.place or item.kind == "place" for item in clause.items)
            if remark or clause in self.told:
                for k in range(clause.start, clause.end):
                    mention = self.s.at.get(k)
                    kept = mention is not None and mention.kind in ("object", "category") and placed
                    self.done[k] |= not kept or clause.negated

    def _mentions(self) -> None:
        """Names that occur in the goals, with the adjectives and numbers in front of them."""
        for mention in self.s.mentions:
            names = {name.replace(" ", "_") for name in mention.names}
            led = {self.world.home_of(name) for name in names} & self.led
            if names & self.values or led or self._near(mention, names) or mention.described and self._somebody():
                self._mark(mention.start, mention.end)
                k = mention.start - 1
                while k >= 0 and not self._ends_phrase(k):
                    k -= 1
                thing = next((j for j in range(max(0, k - 4), k + 1) if self.s.low[j] in w.THING_NOUNS), None)
                self._mark(k + 1 if thing is None else thing, mention.start)

    def _near(self, mention, names: set[str]) -> bool:
        """A room or a door of which a place in the goals is, or something beside such a place."""
        rooms = {self.world.room_of(value) for value in self.values} - {None}
        if mention.kind == "place":
            beside = mention.start > 1 and bool(_BESIDE & set(self.s.low[mention.start - 3 : mention.start]))
            return any(name in rooms or beside and self.world.room_of(name) in rooms for name in names)
        return mention.kind == "door" and any(rooms & set(self.world.doors[name]) for name in names)

    def _somebody(self) -> bool:
        return any("person" in value or "people" in value for value in self.values)

    def _ends_phrase(self, k: int) -> bool:
        low = self.s.low[k]
        return (
            k in self.s.at
            or self.s.tokens[k].quoted
            or not low[0].isalnum()
            or low in w.DETERMINERS
            or low in w.PREPOSITIONS
            or low in w.PRONOUNS_PERSON
            or low in w.SELF
            or low in ("and", "or")
        )

    def _by_word(self) -> None:
        """Words that a goal repeats, whatever their ending; a number in front of one counts its things."""
        for k in range(len(self.s.tokens) - 1, -1, -1):
            if self.done[k]:
                continue
            if self.s.tokens[k].quoted:
                words = words_of(self.s.tokens[k].text)
                self.done[k] = all(_stems(word) & self.stems or _is_empty(word.lower()) for word in words)
            elif _stems(self.s.low[k]) & self.stems or k and self.s.low[k - 1] in w.THING_NOUNS:
                self.done[k] = True
            else:
                number = number_at(self.s.low, k)
                self.done[k] = bool(number) and number[1] < len(self.done) and self.done[number[1]]


def _is_empty(low: str) -> bool:
    return any(
        low in words
        for words in (
            _EMPTY,
            w.FILLERS,
            INTERJECTIONS,
            w.DETERMINERS,
            w.PREPOSITIONS,
            w.PRONOUNS_PERSON,
            w.PRONOUNS_THING,
            w.SELF,
            w.HERE,
        )
    )


def _own_words(goals: list[Goal]) -> list[str]:
    """The words of the deeds themselves ("question" of answer_question), and those that blanks stand for."""
    found = [
        blank
        for goal in goals
        for text in goal.args.values()
        for name, blank in _BLANKS.items()
        if f"{{{name}}}" in str(text)
    ]
    for goal in goals:
        role = ROLES.get(goal.role)
        found += [goal.role.removeprefix("skill:"), *(role.nouns if role else ()), *_ALSO.get(goal.role, ())]
    return found


def _values(goals: list[Goal], world: World) -> set[str]:
    found = {
        str(value) for goal in goals for value in (*goal.args.values(), *goal.facts, *goal.facts.values()) if value
    }
    categories = [one for one in world.categories.values() if {one.name, one.singular, *one.objects} & found]
    found |= {name for category in categories for name in (category.name, category.singular)}
    return found | {f"{value:g}" for goal in goals for value in goal.args.values() if isinstance(value, float)}


def _stems(word: str) -> set[str]:
    """A word and what it may be an inflection of."""
    word = word.lower()
    found = {word, w.singular(word)}
    for ending in ("ing", "ed", "es", "er", "s", "d"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            found.add(word[: -len(ending)])
    return found


__all__ = ["strange_words", "unused_words"]
