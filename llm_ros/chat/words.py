"""What the robot says about what it does: plans, how they stand, how they ended, as sentences for people.

In: plans and executions. Out: text. Knows neither conversations nor ROS.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from llm_ros.execution.outcome import Execution, Outcome, PlanStatus
from llm_ros.planner.plan import Step
from llm_ros.planner.world import OPERATOR

_MAX_STEPS = 12
_OPEN = re.compile(r"\{\w+\}")


def tell_plan(steps: Sequence[Step], after: str = "", begin: str = "All right") -> str:
    """What the robot is going to do; after: the command that it does first, else the sentence begins with `begin`."""
    said = [phrase(step) for step in steps[:_MAX_STEPS]]
    said += [f"and {len(steps) - _MAX_STEPS} more steps"] if len(steps) > _MAX_STEPS else []
    begin = f"I will do that after {_quoted(after)}" if after else begin
    return f"{begin}: {', '.join(said)}."


def tell_state(view: Execution, queued: Sequence[str] = ()) -> str:
    """What the robot is doing; queued: commands that it does after that."""
    if view.status is PlanStatus.IDLE:
        text = "I am not doing anything."
        if view.outcome is not Outcome.UNKNOWN and view.command:
            text += f" The latest was {_quoted(view.command)}: {_ended(view)}."
    elif view.status is PlanStatus.CONFIRM:
        text = f"I am waiting for a yes or no: {view.question}"
    else:
        doing = "I have paused" if view.status is PlanStatus.PAUSED else "I am working on"
        text = f"{doing} {_quoted(view.command)}{_where(view)}."
        if view.time_left >= 1 and view.status is PlanStatus.RUNNING:
            text += f" About {view.time_left:.0f} s to go."
    if queued:
        text += f" Next: {', '.join(map(_quoted, queued))}."
    return text


def tell_end(view: Execution) -> str:
    """How a plan ended."""
    what = f" {_quoted(view.command)}" if view.command else ""
    if view.outcome is Outcome.SUCCEEDED:
        return f"Done:{what}."
    if view.outcome is Outcome.CANCELED:
        return f"I have stopped{what}."
    return f"I could not do{what}: {_ended(view)}."


def _ended(view: Execution) -> str:
    if view.outcome is Outcome.SUCCEEDED:
        return "done"
    return (view.message or view.outcome.name.lower()).rstrip(".")


def _where(view: Execution) -> str:
    if not 0 <= view.current < len(view.reports):
        return ""
    return f", step {view.current + 1} of {len(view.reports)}: {phrase(view.reports[view.current].step)}"


def phrase(step: Step) -> str:
    """A step as the robot says it to the operator: "place apple (desk)"; what it will find out is left open."""
    values = ["you" if value == OPERATOR else _plain(str(value)) for value in step.args.values()]
    more = f" ({', '.join(values[1:])})" if values[1:] else ""
    return " ".join([_plain(step.skill), *values[:1]]) + more


def _plain(text: str) -> str:
    return _OPEN.sub("…", text.replace("_", " ")).rstrip(".")


def _quoted(command: str) -> str:
    return f'"{command.strip()}"' if command.strip() else "a plan"


__all__ = ["tell_end", "tell_plan", "tell_state"]
