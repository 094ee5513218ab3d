"""Tells what is said to a robot to have it do something from what is only talk.

In: words out of a conversation, an `Interpreter`. Out: whether they are a task. It is one if what the planner makes of
it takes a robot: moving, handling, looking; or if it is an order that is refused or leads to a question. What a robot
would only answer in words ("a joke", "what is a lathe?") is talk. No model is asked.
"""

from __future__ import annotations

from llm_ros.planner.clauses import Clause, Splitter
from llm_ros.planner.interpret import Interpreter
from llm_ros.planner.plan import PlanError
from llm_ros.planner.refer import Goal, Question
from llm_ros.planner.tokens import corrected, tokenize
from llm_ros.planner.world import OPERATOR

# Deeds that are no task by their verb alone: they must be about the robot's world ("clean the kitchen", not "sing").
_ABOUT_THE_WORLD = frozenset("work stop tell describe answer wish count".split())
_NAMES = frozenset("place door object category person".split())
_LOOKED_UP = ("what", "is there", "which", "how", "why")


def is_task(text: str, interpreter: Interpreter) -> bool:
    """Whether a text wants something done that takes a robot."""
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
    if not found.understood and "please" not in text.lower().split():
        return False
    goals = found.readings[0] if found.readings else []
    said = any(goal.role in ("say", "answer_question") for goal in goals)
    return bool(found.forbidden) or any(_takes_a_robot(goal, said) for goal in goals)


def _seen(clause: Clause) -> bool:
    """Whether a question is about what is to be seen in the robot's world, not about words ("what is an apple?")."""
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
    return goal.role != "answer_question"


__all__ = ["is_task"]
