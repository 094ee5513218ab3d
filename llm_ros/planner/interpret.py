"""From clauses to readings: every way in which a command may be meant, as lists of goals.

In: a command, a world, skills. Out: `Readings`: one list of goals per admissible reading, the likeliest first. A
clause whose verb
is in the lexicon has one reading; one that is not understood has a few, built from the people, things and places in
it, and
the model chooses. Raises `PlanError` (refused) or `Question` (to be clarified).
"""

from __future__ import annotations

import copy
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from llm_ros.planner import words as w
from llm_ros.planner.again import BY_ITEMS, again
from llm_ros.planner.answers import Answers
from llm_ros.planner.behalf import on_behalf
from llm_ros.planner.carry import CARRY_GOALS
from llm_ros.planner.clauses import Clause, Splitter
from llm_ros.planner.coverage import unused_words
from llm_ros.planner.frames import FRAME_GOALS
from llm_ros.planner.harm import harm, refuse_harm
from llm_ros.planner.inquiry import ASKS, Inquiry, gapped
from llm_ros.planner.items import Item
from llm_ros.planner.lead import LEAD_GOALS
from llm_ros.planner.looks import one_form
from llm_ros.planner.mood import only_speaks, orders
from llm_ros.planner.names import Names
from llm_ros.planner.own import own_skill
from llm_ros.planner.phrasing import plainly
from llm_ros.planner.plan import PlanError
from llm_ros.planner.provisos import provisos
from llm_ros.planner.refer import PEOPLE, THINGS, VAGUE, Goal, Question, Referee, places_in, snake
from llm_ros.planner.speech import INFORMATION, SPEECH_GOALS, question
from llm_ros.planner.tags import Spoken
from llm_ros.planner.tokens import Token, corrected, tokenize
from llm_ros.planner.told import guesses, only_told, statement, wish
from llm_ros.planner.verbs import Lexicon
from llm_ros.planner.world import OPERATOR, World

MAX_READINGS = 12
_TOGETHER = re.compile(r"\b(at the same time|simultaneously|at once both|in parallel)\b")


@dataclass(frozen=True)
class Readings:
    """readings: lists of goals. forbidden: goals that the command itself rules out ("without entering the study").

    provisos: questions about conditions and times that the command makes, which no plan can obey.
    unused: words that carry meaning and have left no trace in the likeliest reading.
    understood: every clause has one reading.
    """

    readings: list[list[Goal]]
    forbidden: list[Goal]
    understood: bool
    provisos: tuple[Inquiry, ...] = ()
    unused: tuple[str, ...] = ()

    @property
    def certain(self) -> bool:
        """Whether there is one reading, and it does justice to every word of the command."""
        return self.understood and len(self.readings) == 1 and not self.unused and not self.provisos


class Interpreter:
    """Reads commands for one world and one set of skills."""

    def __init__(self, skills, world: World):
        self.skills, self.world = skills, world
        self.lexicon = Lexicon(skills)
        self.names = Names(world, frozenset(self.lexicon.words))
        self._frames = {
            **FRAME_GOALS,
            **LEAD_GOALS,
            **CARRY_GOALS,
            **SPEECH_GOALS,
            "wish": wish,
            "harm": harm,
            "work": self._work,
        }

    def over(self, world: World) -> Interpreter:
        """The same for a world with the same names in which things are elsewhere."""
        other = copy.copy(self)
        other.world = world
        return other

    def read(self, command: str) -> Readings:
        """All readings of a command. Raises PlanError and Question."""
        if only_speaks(tokenize(command)):
            raise Question("That does not sound like an order to me. What should I do?")
        splitter = self.splitter(command)
        found = provisos(splitter)
        if not found:
            return self._read(splitter)
        kept = [k for k in range(len(splitter.tokens)) if not any(one.start <= k < one.end for one in found)]
        questions = tuple(one.inquiry(splitter.tokens) for one in found if one.question)
        try:
            rest = self._read(Splitter([splitter.tokens[k] for k in kept], self.names, self.lexicon))
        except Question:
            if questions:
                return Readings([], [], True, questions)
            raise
        return replace(rest, provisos=questions)

    def splitter(self, command: str) -> Splitter:
        """The command in the reader's words, with the names in it, to be cut into clauses."""
        tokens = self.names.gathered(one_form(plainly(orders(corrected(tokenize(command))))))
        return Splitter(on_behalf(tokens, self.names.find(tokens)), self.names, self.lexicon)

    def whereabouts(self, command: str, thing: str) -> Inquiry:
        """The question where a thing is of which the world knows nothing; the answer goes behind its name."""
        tokens, words = self.splitter(command).tokens, thing.split("_")
        low = [token.low for token in tokens]
        ends = (k + len(words) for k in range(len(low)) if low[k : k + len(words)] == words)
        end = next(ends, len(tokens))
        before, after = gapped(tokens, (end, end))
        the = "" if words[0] in ("something", "anything") else "the "
        return Inquiry(f"Where is {the}{' '.join(words)}? I know of none.", "place", (), before, "from", after)

    def answered(self, inquiry: Inquiry, answer: str) -> str | Inquiry | None:
        """What an answer to the question that `read` raised amounts to; as in answers.py."""
        return Answers(inquiry, self.world, self.names, self.lexicon).resolve(answer)

    def read_spoken(self, spoken: Spoken) -> Readings:
        """The same of words whose names are known."""
        return self._read(Splitter(list(spoken.tokens), self.names, self.lexicon, list(spoken.mentions)))

    def _read(self, splitter: Splitter) -> Readings:
        text = " ".join(token.low for token in splitter.tokens)
        together = _TOGETHER.search(text) is not None
        if together:
            splitter = Splitter(corrected(tokenize(_TOGETHER.sub(" ", text))), self.names, self.lexicon)
        refuse_harm(splitter, self.world)
        try:
            return self._understand(splitter, together)
        except Question as question:
            raise question.about(splitter.tokens) from None

    def _understand(self, splitter: Splitter, together: bool) -> Readings:
        clauses = splitter.clauses()
        ref = Referee(self.world, splitter.tokens, splitter.at)
        ref.only, ref.only_thing = _only(clauses, splitter)
        _refuse_unfinished(splitter.tokens)
        parts: list[list[list[Goal]]] = []
        forbidden: list[Goal] = []
        known: list[Clause] = []
        understood = True
        tasks = [clause for clause in clauses if clause.verb is not None or clause.question]
        latest = None
        for number, clause in enumerate(clauses):
            repeated = again(clause, latest, clauses[:number])
            if repeated is not None:
                known.append(clause)
                clauses[number] = clause = repeated
                tasks.append(clause)
            if clause.verb is not None and (clause.verb.frame != "tell" or clause.end - clause.start > 1):
                latest = clause
            if clause.negated:
                forbidden += self._negated(ref, clause)
                known.append(clause)
                continue
            if clause.verb is None and not clause.question:
                told = statement(ref, clause, parts, clause is clauses[-1])
                known += [clause] if told else []
                if isinstance(told, list):
                    parts.append([told])
                    continue
                alternatives = [] if told or tasks or parts else guesses(ref, clause)
                understood = understood and not alternatives
                if alternatives:
                    parts.append(alternatives)
                continue
            if only_told(ref, clause, tasks) or _broken_off(clause, tasks):
                known.append(clause)
                continue
            ref.last = clause is tasks[-1]
            goals = _fresh(clause, self._clause(ref, clause), parts)
            if parts and goals and _retold(parts[-1][0], goals):
                parts[-1] = [parts[-1][0][:-2]]
            if goals:
                parts.append([goals])
            elif clause.verb.frame == "wish" and clause is not clauses[-1]:
                known.append(clause)  # "he wants to check something": why, not what
        if ref.context.deferred:
            parts.append(
                [
                    [
                        goal
                        for value, place in ref.context.deferred
                        for goal in [Goal("pick", {"object": value}, {value: place} if place else {})]
                    ]
                ]
            )
        if ref.context.fetched:
            end = len(splitter.tokens)
            whom = ref.context.fetched.replace("_", " ")
            raise Question(f"Where should I guide {whom}?", "place", (end, end), "to")
        readings = [
            list(itertools.chain(*choice)) for choice in itertools.islice(itertools.product(*parts), MAX_READINGS)
        ]
        readings = [_reported(_tidy(reading), ref.context.report) for reading in readings if reading]
        if (
            together
            and readings
            and len(
                {g.args.get("location") for g in readings[0] if "location" in g.args}
                | {p for g in readings[0] for p in g.facts.values()}
            )
            > 1
        ):
            raise PlanError("contradictory", "I cannot be in two places at the same time")
        self._refuse_leaving(forbidden, readings)
        forbidden = [goal for goal in forbidden if goal.role != "stay"]
        unused = unused_words(splitter, clauses, known, readings[0] if readings else [], self.world)
        return Readings(readings, forbidden, understood, (), unused)

    def _refuse_leaving(self, forbidden: list[Goal], readings: list[list[Goal]]) -> None:
        """Raises PlanError if the robot is to stay in a room and to act outside it."""
        rooms = {self.world.room_of(goal.args["location"]) for goal in forbidden if goal.role == "stay"}
        for goal in readings[0] if rooms and readings else ():
            places = {*goal.facts.values(), goal.args.get("location")} - {None}
            away = goal.role == "follow" and "location" not in goal.args
            if away or any(self.world.room_of(place) not in rooms for place in places):
                raise PlanError("contradictory", "I cannot do that without leaving the place where I am to stay")

    def _clause(self, ref: Referee, clause: Clause) -> list[Goal]:
        if clause.question:
            return question(ref, clause)
        frame = clause.verb.frame
        if clause.tokens[clause.verb.start].low == "gets" and any(item.kind in PEOPLE for item in clause.subject):
            frame = "wish"
        if frame in BY_ITEMS and not clause.negated:
            _refuse_choice(ref, clause)
        if frame.startswith("skill:"):
            return own_skill(ref, clause, self.skills[frame[6:]])
        if ref.context.deferred and frame not in ("place", "bring", "take", "go"):
            raise PlanError("impossible", "I can hold one object at a time")
        if frame in ("bring", "take") and _informs(clause):
            frame = "tell"
        known = ref.context.person
        goals = self._frames[frame](ref, clause)
        named = [item for item in clause.items if item.kind == "person" and len(item.names) == 1]
        if named and ref.context.person == known:
            # "open the door for Amira and guide her": she takes no part in the deed, but is spoken of.
            ref.context.person = snake(named[-1].names[0])
        return goals

    def _negated(self, ref: Referee, clause: Clause) -> list[Goal]:
        """What must not happen. A clause that cannot be understood forbids nothing we would do."""
        if clause.verb is None:
            return []
        word = clause.verb.word
        if word in ("touch", "touching", "hold", "holding"):
            return [Goal("pick", {})]
        if word.startswith(("leav", "quit", "exit")) and places_in(clause):
            return [Goal("stay", {"location": ref.place(places_in(clause)[0])})]
        if (
            word.startswith(("mov", "leav", "driv"))
            and not places_in(clause)
            and not any(item.kind in THINGS for item in clause.items)
        ):
            return [Goal("go_to", {})]
        if clause.verb.frame in ("take", "bring") and all(
            item.kind == "text" and set(item.names[0].split()) <= VAGUE for item in clause.items if item.kind in THINGS
        ):
            return [Goal("pick", {})]
        before = (ref.context.held, ref.context.here, ref.context.thing, ref.context.person, ref.context.place)
        try:
            goals = self._clause(ref, clause)
        except (PlanError, Question):
            goals = []
        ref.context.held, ref.context.here, ref.context.thing, ref.context.person, ref.context.place = before
        return goals[-1:]

    def _work(self, ref: Referee, clause: Clause) -> list[Goal]:
        raise PlanError("impossible", f"I have no skill to {clause.verb.word}")


def _retold(before: list[Goal], goals: list[Goal]) -> bool:
    """Whether a report to the operator is told to somebody else right after: "How many …? Tell Dana."."""
    return (
        [goal.role for goal in before[-2:]] == ["find_person", "say"]
        and before[-2].args["person"] == OPERATOR
        and goals[-1].role == "say"
        and goals[-1].args == before[-1].args
    )


def _only(clauses: Sequence[Clause], splitter: Splitter) -> tuple[Item | None, Item | None]:
    """The one person and the one thing of a command; whom something belongs to where nobody else is named."""
    items = [item for clause in clauses for item in (*clause.subject, *clause.items)]
    owners = [one for one in splitter.at.values() if one.kind == "person" and splitter.tokens[one.end - 1].owner]
    people = [item for item in items if item.kind == "person"]
    people = people or [Item("person", one.names, "", one.start, one.end) for one in owners]
    things = [item for item in items if item.kind == "object"]
    return people[0] if len(people) == 1 else None, things[0] if len(things) == 1 else None


def broken_off(tokens: Sequence[Token]) -> str:
    """The article or preposition with which a command breaks off; "" if it does not."""
    words = [token for token in tokens if token.quoted or token.low[0].isalnum()]
    low = [token.low for token in words[-3:]]
    open_ended = low[-1:] == ["have"] and low[:1] in (["when"], ["once"]) or low and low[-1] in _OPEN_ENDED
    off = open_ended and not words[-1].quoted and tokens[-1].low != "?"
    return words[-1].text if off else ""


def _refuse_unfinished(tokens: Sequence[Token]) -> None:
    if last := broken_off(tokens):
        end = len(tokens)
        raise Question(f"The sentence is not finished: what comes after {last!r}?", "words", (end, end))


def _refuse_choice(ref: Referee, clause: Clause) -> None:
    """Raises Question for "the atlas or the dictionary": a plan cannot choose."""
    for first, second in zip(clause.items, clause.items[1:], strict=False):
        if second.either:
            said = ref.said(first), ref.said(second)
            raise Question(
                f"Which one do you mean: {said[0]} or {said[1]}?",
                first.kind if first.kind in ASKS else "object",
                (ref.gap(first)[0], second.end),
                choices=said,
            )


_OPEN_ENDED = frozenset(
    "the a an to into onto from my your and or whether if because when once before until".split()
)


def _informs(clause: Clause) -> bool:
    """ "give me the number of …": what is wanted is no thing."""
    named = {k for item in clause.items if item.kind != "text" for k in range(item.start, item.end)}
    said = [k for k in range(clause.start, clause.end) if clause.tokens[k].low not in w.DETERMINERS and k not in named]
    return bool(said) and clause.tokens[said[0]].low in INFORMATION


def _broken_off(clause: Clause, tasks: list[Clause]) -> bool:
    """ "Kindly wish … say good morning": a verb of speech with nothing after it, before another clause."""
    return (
        clause.verb is not None
        and clause.verb.frame == "tell"
        and clause.start >= clause.end
        and (
            clause is not tasks[-1]
            and not clause.question
            and clause.verb.word not in ("report", "speak", "talk", "say")
        )
    )


def _tidy(goals: list[Goal]) -> list[Goal]:
    """Leaves out what undoes itself: putting a thing down only to pick it up again is carrying it along, a drive; a
    thing "fetched" and then brought elsewhere was not meant for the operator; the same deed twice is one."""
    result: list[Goal] = []
    for goal in goals:
        last = result[-1] if result else None
        if goal.role == "pick" and _carried_on(result, goal.args.get("object")):
            continue
        if last == goal and goal.role in ("follow", "guide", "ask", "open", "close", "say"):
            continue
        if goal.role == "say" and len(result) > 2 and result[-2] == goal and result[-3] == last:
            result.pop()  # found again to be told the same again
            continue
        if (
            last
            and goal.role == "pick"
            and last.role == "place"
            and last.args["object"] == goal.args["object"]
            and (goal.facts.get(goal.args["object"], last.args["location"]) == last.args["location"])
        ):
            result[-1] = Goal("go_to", {"location": last.args["location"]}, last.facts)
        else:
            result.append(goal)
    return result


def _reported(goals: list[Goal], report: str) -> list[Goal]:
    """With the report to the operator where a command ends with counting: a number is counted for somebody."""
    if not report or not goals or goals[-1].role != "count":
        return goals
    return [*goals, Goal("find_person", {"person": OPERATOR}), Goal("say", {"text": report})]


def _fresh(clause: Clause, goals: list[Goal], parts: list[list[list[Goal]]]) -> list[Goal]:
    """The goals of a clause without carrying "it" once more to where an earlier clause has it carried already: "the
    cola on the desk is meant for Alice. Give it to her"."""
    if not any(clause.tokens[k].low in ("it", "them", "that", "this") for k in range(clause.start, clause.end)):
        return goals
    before = [(goal.role, goal.args) for part in parts for goal in part[0]]
    result: list[Goal] = []
    for goal in goals:
        carried = result and result[-1].role == "pick" and result[-1].args["object"] == goal.args.get("object")
        if carried and goal.role in ("hand_over", "place") and (goal.role, goal.args) in before:
            result.pop()
        else:
            result.append(goal)
    return result


def _carried_on(before: list[Goal], thing: object) -> bool:
    """Takes back an implied handing over of `thing` to the operator after which the hand was not used."""
    for number in range(len(before) - 1, -1, -1):
        goal = before[number]
        if goal.role == "hand_over" and goal.implied and goal.args["object"] == thing:
            del before[number]
            return True
        if goal.role in ("pick", "place", "hand_over"):
            return False
    return False
