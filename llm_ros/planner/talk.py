"""Tells what is said to a robot to have it do something from what is only talk.

In: words out of a conversation, an `Interpreter`. Out: whether they are a task. It is one if what the planner makes of
it takes a robot: moving, handling, looking; or if it is an order that is refused or leads to a question. What a robot
would only answer in words ("a joke", "what is a lathe?") is talk. No model is asked; `wished` tells where it is worth
asking one.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

from llm_ros.planner.clauses import Clause, Splitter
from llm_ros.planner.interpret import Interpreter
from llm_ros.planner.mood import only_speaks
from llm_ros.planner.plan import PlanError, Step
from llm_ros.planner.refer import Goal, Question
from llm_ros.planner.skills import Skills
from llm_ros.planner.tokens import corrected, tokenize
from llm_ros.planner.world import OPERATOR

# Deeds that are no task by their verb alone: they must be about the robot's world ("clean the kitchen", not "sing").
_ABOUT_THE_WORLD = frozenset("work stop tell describe answer wish count".split())
_NAMES = frozenset("place door object category person".split())
# How people say what they want done, whatever else they say.
_WISHES = re.compile(
    r"\b(please|should be|ought to|needs? to be|(is|are|be) needed|urgent|wondering (if|whether)|i'd be|i would be)\b"
)
# What a person asks the robot about itself ("do you like jelly?", "what would you do in the garden all day?").
_OF_ITSELF = frozenset("like love hate do make want feel enjoy prefer eat drink need live sleep dream".split())
_LOOKED_UP = ("what", "is there", "which", "how", "why")


def is_task(text: str, interpreter: Interpreter) -> bool:
    """Whether a text wants something done that takes a robot."""
    if only_speaks(tokenize(text)):
        return False
    splitter = Splitter(corrected(tokenize(text)), interpreter.names, interpreter.lexicon)
    clauses = splitter.clauses()
    if clauses and all(clause.question in _LOOKED_UP and not _seen(clause) for clause in clauses):
        return _told(text, interpreter)
    try:
        found = interpreter.read(text)
    except (PlanError, Question) as error:
        if getattr(error, "inquiry", None) and error.inquiry.choices:
            return True
        begins = {splitter.skip(start) for start, _, _ in splitter.spans()}
        return any(clause.verb is not None and clause.verb.start in begins and _ordered(clause) for clause in clauses)
    if not found.understood and all(token.low != "please" for token in splitter.tokens):
        return False
    goals = found.readings[0] if found.readings else []
    said = any(goal.role in ("say", "answer_question") for goal in goals)
    return bool(found.forbidden) or any(_takes_a_robot(goal, said) for goal in goals)


def wished(text: str) -> bool:
    """Whether a text says that something is to be done."""
    return _WISHES.search(" ".join(token.low for token in tokenize(text))) is not None


def takes_a_robot(steps: Sequence[Step], skills: Skills) -> bool:
    """Whether steps are more than to speak to the operator."""
    return any(skills[step.skill].role != "say" and OPERATOR not in step.args.values() for step in steps)


def _seen(clause: Clause) -> bool:
    """Whether a question is about what is to be seen in the robot's world, not about words ("what is an apple?")."""
    low = [token.low for token in clause.tokens[clause.start : clause.end]]
    if any(pair[0] == "you" and pair[1] in _OF_ITSELF for pair in itertools.pairwise(low)):
        return False
    named = [item for item in clause.items if item.kind in _NAMES]
    if clause.question in ("is there", "which"):
        return bool(named)
    return any(item.kind in ("place", "door") or item.definite for item in named) or any(i.place for i in clause.items)


def _told(text: str, interpreter: Interpreter) -> bool:
    """Whether the answer is one that only the robot itself can fill in, such as the time."""
    try:
        readings = interpreter.read(text).readings
    except (PlanError, Question):
        return False
    return any(goal.role == "say" and "{" in _blanks(goal) for goal in (readings or [[]])[0])


def _blanks(goal: Goal) -> str:
    return str(goal.args.get("text", "")).replace("{result}", "")


def _ordered(clause: Clause) -> bool:
    """Whether a clause that comes to no plan is an order all the same."""
    return clause.verb.frame not in _ABOUT_THE_WORLD or any(item.kind in _NAMES for item in clause.items)


def _takes_a_robot(goal: Goal, said: bool) -> bool:
    """Whether a goal is more than to speak to the operator; said: something is said."""
    if goal.role == "say":
        return "{" in _blanks(goal)
    if goal.role == "find_person" and goal.args["person"] == OPERATOR:
        return not said
    return goal.role != "answer_question" or goal.args.get("person", OPERATOR) != OPERATOR


__all__ = ["is_task", "takes_a_robot", "wished"]
