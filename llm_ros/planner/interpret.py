"""From clauses to readings: every way in which a command may be meant, as lists of goals.

In: a command, a world, skills. Out: `Readings`: one list of goals per admissible reading, the likeliest first. A
clause whose verb
is in the lexicon has one reading; one that is not understood has a few, built from the people, things and places in
it, and
the model chooses. Raises `PlanError` (refused) or `Question` (to be clarified).
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass

from llm_ros.planner import words as w
from llm_ros.planner.carry import CARRY_GOALS, bring, fetch, put, things_of
from llm_ros.planner.clauses import Clause, Splitter
from llm_ros.planner.frames import FRAME_GOALS
from llm_ros.planner.items import Item
from llm_ros.planner.lead import LEAD_GOALS
from llm_ros.planner.names import Names
from llm_ros.planner.own import own_skill
from llm_ros.planner.plan import PlanError
from llm_ros.planner.refer import PEOPLE, THINGS, Goal, Question, Referee, places_in
from llm_ros.planner.speech import SPEECH_GOALS, question
from llm_ros.planner.verbs import HARM_PHRASES, HARM_THINGS, Lexicon
from llm_ros.planner.world import OPERATOR, World

MAX_READINGS = 12
_TOGETHER = ("at the same time", "simultaneously", "at once both", "in parallel")


@dataclass(frozen=True)
class Readings:
    """readings: lists of goals. forbidden: goals that the command itself rules out ("without entering the study").

    certain: there is one reading and every clause of it was understood.
    """

    readings: list[list[Goal]]
    forbidden: list[Goal]
    certain: bool


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
            "wish": self._wish,
            "harm": _harm,
            "work": self._work,
        }

    def read(self, command: str) -> Readings:
        """All readings of a command."""
        together = any(phrase in command.lower() for phrase in _TOGETHER)
        for phrase in _TOGETHER if together else ():
            command = re.sub(phrase, " ", command, flags=re.IGNORECASE)
        splitter = Splitter(command, self.names, self.lexicon)
        text = " ".join(token.low for token in splitter.tokens)
        self._refuse_harm(text, splitter)
        clauses = splitter.clauses()
        ref = Referee(self.world, splitter.tokens)
        parts: list[list[list[Goal]]] = []
        forbidden: list[Goal] = []
        understood = True
        failure: Exception | None = None
        tasks = [clause for clause in clauses if clause.verb is not None or clause.question]
        for clause in clauses:
            if clause.negated:
                forbidden += self._negated(ref, clause)
                continue
            if clause.verb is None and not clause.question:
                told = self._statement(ref, clause, parts)
                alternatives = [] if told or tasks or parts else self._guesses(ref, clause)
                understood = understood and not alternatives
                if alternatives:
                    parts.append(alternatives)
                continue
            if self._only_told(ref, clause, tasks):
                continue
            goals = self._clause(ref, clause)
            if parts and goals and _retold(parts[-1][0], goals):
                parts[-1] = [parts[-1][0][:-2]]
            if goals:
                parts.append([goals])
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
        if failure:
            raise failure
        readings = [
            list(itertools.chain(*choice)) for choice in itertools.islice(itertools.product(*parts), MAX_READINGS)
        ]
        readings = [_tidy(reading) for reading in readings if reading]
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
        return Readings(readings, forbidden, understood and len(readings) == 1)

    def _refuse_harm(self, text: str, splitter: Splitter) -> None:
        for phrase in HARM_PHRASES:
            if f" {phrase} " in f" {text} ":
                raise PlanError("unsafe", f"I will not do that ({phrase})")
        for word in text.split():
            if word in HARM_THINGS:
                raise PlanError("unsafe", f"I do not handle such things ({word})")

    def _clause(self, ref: Referee, clause: Clause) -> list[Goal]:
        if clause.question:
            return question(ref, clause)
        frame = clause.verb.frame
        if clause.tokens[clause.verb.start].low == "gets" and any(item.kind in PEOPLE for item in clause.subject):
            frame = "wish"
        if frame.startswith("skill:"):
            return own_skill(ref, clause, self.skills[frame[6:]])
        if ref.context.deferred and frame not in ("place", "bring", "take", "go"):
            raise PlanError("impossible", "I can hold one object at a time")
        return self._frames[frame](ref, clause)

    def _negated(self, ref: Referee, clause: Clause) -> list[Goal]:
        """What must not happen. A clause that cannot be understood forbids nothing we would do."""
        if clause.verb is None:
            return []
        word = clause.verb.word
        if word in ("touch", "touching", "hold", "holding"):
            return [Goal("pick", {})]
        if (
            word.startswith(("mov", "leav", "driv"))
            and not places_in(clause)
            and not any(item.kind in THINGS for item in clause.items)
        ):
            return [Goal("go_to", {})]
        before = (ref.context.held, ref.context.here, ref.context.thing, ref.context.person, ref.context.place)
        try:
            goals = self._clause(ref, clause)
        except (PlanError, Question):
            goals = []
        ref.context.held, ref.context.here, ref.context.thing, ref.context.person, ref.context.place = before
        return goals[-1:]

    def _wish(self, ref: Referee, clause: Clause) -> list[Goal]:
        """ "Amira needs a pen": bring it to her; "the pen needs to go on the desk": put it there; "wants to go to
        X": lead there."""
        follows = [token.low for token in clause.tokens[clause.start : clause.start + 2]]
        if follows[:1] == ["to"] or clause.verb.word == "belongs":
            return self._wish_to(ref, clause, follows[-1] if follows else "")
        people = [item for item in clause.subject if item.kind in PEOPLE]
        if not people and not clause.subject:
            kind = "person_pronoun" if ref.context.person else "me"
            people = [Item(kind, ("they",), "to", clause.verb.start, clause.verb.start)]
        things = [item for item in clause.items if item.kind in THINGS]
        if not people or not things:
            raise Question("What should I bring, and to whom?")
        clause.items = [*clause.items]
        person = people[0]
        person.prep = "to"
        clause.items.append(person)
        return bring(ref, clause)

    def _only_told(self, ref: Referee, clause: Clause, tasks: list[Clause]) -> bool:
        """ "Amira asked for the can. Bring it to her.": the wish only says who and what when the next clause says
        what to do."""
        number = next(k for k, one in enumerate(tasks) if one is clause)
        following = tasks[number + 1] if number + 1 < len(tasks) else None
        if clause.verb is None or clause.verb.frame != "wish" or following is None or following.verb is None:
            return False
        if following.verb.frame not in CARRY_GOALS or not any(item.kind == "thing_pronoun" for item in following.items):
            return False
        for item in (*clause.subject, *clause.items):
            if item.kind == "person":
                ref.context.found[ref.person(item)] = ref.where(item)
            elif item.kind in ("object", "category", "text"):
                value = ref.thing(item)
                if clause.verb.word.startswith("belong"):
                    ref.context.place = ref.where(item) or ref.context.place
                else:
                    ref.context.found[value] = ref.where(item)
            elif item.kind == "place":
                ref.place(item)
        return True

    def _wish_to(self, ref: Referee, clause: Clause, deed: str) -> list[Goal]:
        """ "… needs to be on the desk", "… wants to go to the study"; any other deed of a person's own is only told."""
        places = places_in(clause)
        things = [item for item in clause.subject if item.kind in ("object", "category")]
        if things and places:
            value, source = things_of(ref, things[:1], None, "move")[0]
            return [*fetch(ref, value, source), *put(ref, value, ref.place(places[-1], placement=True))]
        for item in clause.subject:
            if item.kind in PEOPLE and item.kind != "me":
                person, where = ref.person(item), ref.where(item)
                ref.context.found[person] = where
                if places and deed in ("go", "get", "be", "visit", "see", "come", "reach"):
                    return [
                        Goal(
                            "guide",
                            {"person": person, "location": ref.place(places[-1])},
                            {person: where} if where else {},
                        )
                    ]
        if places:
            ref.place(places[-1])
        return []

    def _statement(self, ref: Referee, clause: Clause, parts: list[list[list[Goal]]]) -> bool:
        """ "Amira is in the study.": remembers who is where, also for goals before it. False if it tells nothing."""
        tokens = {token.low for token in clause.tokens[clause.start : clause.end]}
        told = False
        for item in clause.items:
            known = item.kind in ("object", "category", "person") or (
                item.kind == "thing_pronoun"
                and ref.context.thing
                or item.kind == "person_pronoun"
                and ref.context.person
            )
            if not known:
                continue
            place = ref.where(item) or next((ref.place(one) for one in places_in(clause)), None)
            value = ref.person(item) if item.kind in ("person", "person_pronoun") else ref.thing(item)
            if not tokens & {
                "is",
                "are",
                "was",
                "should",
                "left",
                "have",
                "put",
                "forgot",
                "lost",
                "has",
                "sits",
                "lies",
                "stands",
            }:
                continue
            told = True
            if place:
                ref.context.found[value] = place
                for goal in (goal for alternatives in parts for goals in alternatives for goal in goals):
                    if value in goal.args.values() and goal.role != "place":
                        goal.facts[value] = place
        return told

    def _work(self, ref: Referee, clause: Clause) -> list[Goal]:
        raise PlanError("impossible", f"I have no skill to {clause.verb.word}")

    def _guesses(self, ref: Referee, clause: Clause) -> list[list[Goal]]:
        """Readings of a clause without a known verb, from the kinds of its items; none if it names nothing of the
        world."""
        named = [item for item in clause.items if item.kind in ("place", "object", "category", "person", "door")]
        words = [t.low for t in clause.tokens[clause.start : clause.end]]
        unknown = [
            x
            for i, x in enumerate(words)
            if clause.start + i not in {k for item in named for k in range(item.start, item.end)}
            and x not in w.DETERMINERS
            and x not in w.PREPOSITIONS
            and x not in w.FILLERS
        ]
        if not named or len(unknown) > 6:
            return []
        if not unknown and "please" not in words and all(not item.prep for item in named):
            raise Question(f"What should I do about {ref.said(named[0])}?")
        things = [item for item in named if item.kind in ("object", "category")]
        places = [ref.place(item) for item in named if item.kind == "place"]
        people = [item for item in clause.items if item.kind in PEOPLE]
        found: list[list[Goal]] = []
        if things:
            value = ref.thing(things[0])
            source = ref.where(things[0]) or (places[0] if places else None) or ref.world.home_of(value)
            pick = [Goal("pick", {"object": value}, {value: source} if source else {})]
            person = ref.person(people[0]) if people else OPERATOR
            found.append([*pick, Goal("hand_over", {"object": value, "person": person})])
            if places and not people:
                home = ref.world.home_of(value)
                found.append(
                    [
                        Goal("pick", {"object": value}, {value: home} if home else {}),
                        Goal("place", {"object": value, "location": places[-1]}),
                    ]
                )
            found.append([Goal("find_object", {"object": value}, {value: source} if source else {})])
        elif people:
            person = ref.person(people[0])
            where = ref.where(people[0])
            facts = {person: where} if where else {}
            found.append([Goal("find_person", {"person": person}, facts)])
            if places:
                found.append([Goal("guide", {"person": person, "location": places[-1]}, facts)])
                found.append([Goal("follow", {"person": person, "location": places[-1]}, facts)])
            else:
                found.append([Goal("follow", {"person": person}, facts)])
        elif places:
            found.append([Goal("go_to", {"location": place}) for place in places])
        return found


def _retold(before: list[Goal], goals: list[Goal]) -> bool:
    """Whether a report to the operator is told to somebody else right after: "How many …? Tell Dana."."""
    return (
        [goal.role for goal in before[-2:]] == ["find_person", "say"]
        and before[-2].args["person"] == OPERATOR
        and goals[-1].role == "say"
        and goals[-1].args == before[-1].args
    )


def _tidy(goals: list[Goal]) -> list[Goal]:
    """Putting a thing down only to pick it up again is carrying it along: a drive."""
    result: list[Goal] = []
    for goal in goals:
        last = result[-1] if result else None
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


def _harm(ref: Referee, clause: Clause) -> list[Goal]:
    raise PlanError("unsafe", f"I will not {clause.verb.word} anybody or anything")
