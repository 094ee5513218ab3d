"""Messages of executions <-> the values of llm_ros.execution, in pairs; and any message from plain nested values.

What cannot be meant is a RequestError naming field and value. Knows no node.
"""

from __future__ import annotations

import array
import importlib
from collections.abc import Mapping

from llm_core.errors import RequestError
from llm_ros.conversions import safe_text
from llm_ros.execution import outcome as values
from llm_ros.execution.robot import Result
from llm_ros.msg import Execution, Outcome, Plan, StepReport
from llm_ros.plan_conversions import ASKS, PLAN_STATUS, step_text, step_to_ros
from llm_ros.planner import Plan as PlanValue
from llm_ros.planner import Skills, Step
from llm_ros.planner.inquiry import Inquiry

MAX_STEPS = 200


def interface(name: str):
    """The class of "package/action/Name" or "package/srv/Name". Raises RequestError if it is not installed."""
    package, kind, type_name = name.split("/")
    try:
        return getattr(importlib.import_module(f"{package}.{kind}"), type_name)
    except (ImportError, AttributeError) as error:
        raise RequestError(f"{name} is not installed ({error})") from error


def fill_message(message, fields: Mapping, where: str = "goal"):
    """Sets the fields of a message from plain nested values. Raises RequestError naming field and value."""
    types = message.get_fields_and_field_types()
    for name, value in fields.items():
        if name not in types:
            known = ", ".join(types) or "none"
            raise RequestError(f"{where}.{name}: {type(message).__name__} has no such field; fields: {known}")
        try:
            setattr(message, name, _value(getattr(message, name), types[name], value, f"{where}.{name}"))
        except (AssertionError, TypeError, ValueError, OverflowError) as error:
            raise RequestError(f"{where}.{name} = {str(value)[:60]!r}: needs {types[name]} ({error})") from error
    return message


def _value(old, type_name: str, value, where: str):
    if hasattr(old, "get_fields_and_field_types"):
        if not isinstance(value, Mapping):
            raise TypeError("a mapping of its fields is wanted")
        return fill_message(old, value, where)
    if type_name.startswith("sequence<") and "/" in type_name:
        package, item = type_name[9:].split(",")[0].rstrip(">").split("/")
        make = getattr(importlib.import_module(f"{package}.msg"), item)
        return [fill_message(make(), one, f"{where}[{number}]") for number, one in enumerate(value)]
    if isinstance(old, bool):
        if not isinstance(value, bool):
            raise TypeError("true or false is wanted")
        return value
    if isinstance(old, float):
        return float(value)
    if isinstance(old, (str, int)):
        return type(old)(value)
    return array.array(old.typecode, value) if isinstance(old, array.array) else list(value)


def steps_from_ros(messages, skills: Skills) -> list[Step]:
    """PlanSteps as steps; numbers where the skill wants one. Raises RequestError for none, or too many."""
    if not 1 <= len(messages) <= MAX_STEPS:
        raise RequestError(f"steps: 1 to {MAX_STEPS} are wanted, got {len(messages)}")
    return [step_from_ros(message, skills) for message in messages]


def step_from_ros(message, skills: Skills) -> Step:
    """A PlanStep; what is wrong with it is the executor's to find."""
    skill, args = skills.get(message.skill), {}
    for arg in message.args:
        known = skill.argument(arg.name) if skill else None
        args[arg.name] = arg.value
        if known is not None and known.type == "number":
            try:
                args[arg.name] = float(arg.value)
            except ValueError:
                continue
    return Step(message.skill, args, message.inserted)


def outcome_to_ros(code: int, message: str = "") -> Outcome:
    """An outcome with its words."""
    return Outcome(code=int(code), message=safe_text(message))


def report_to_ros(report: values.StepReport, index: int) -> StepReport:
    """A step's report, as the `index`-th of its plan."""
    return StepReport(
        index=index,
        step=step_to_ros(report.step),
        status=int(report.status),
        progress=float(report.progress),
        time_left=float(report.time_left),
        attempts=report.attempts,
        outcome=outcome_to_ros(report.outcome, report.message),
        text=safe_text(report.text),
    )


def reports_to_ros(view: values.Execution) -> list[StepReport]:
    """All reports of an execution."""
    return [report_to_ros(report, index) for index, report in enumerate(view.reports)]


def execution_to_ros(view: values.Execution) -> Execution:
    """An execution; `stamp` is the caller's to fill."""
    return Execution(
        status=int(view.status),
        command=safe_text(view.command),
        steps=reports_to_ros(view),
        current=view.current,
        time_left=float(view.time_left),
        outcome=outcome_to_ros(view.outcome, view.message),
        question=safe_text(view.question),
        confirm_id=view.confirm_id,
    )


def execution_from_ros(message: Execution) -> values.Execution:
    """An Execution message; what it does not tell (`changed`) is empty, arguments stay text."""
    return values.Execution(
        status=values.PlanStatus(message.status),
        reports=tuple(_report_from_ros(report) for report in message.steps),
        current=message.current,
        time_left=message.time_left,
        outcome=values.Outcome(message.outcome.code),
        message=message.outcome.message,
        command=message.command,
        question=message.question,
        confirm_id=message.confirm_id,
    )


def _report_from_ros(report: StepReport) -> values.StepReport:
    return values.StepReport(
        plain_step_from_ros(report.step),
        values.StepStatus(report.status),
        report.progress,
        report.time_left,
        report.attempts,
        values.Outcome(report.outcome.code),
        report.outcome.message,
        report.text,
    )


def plain_step_from_ros(message) -> Step:
    """A PlanStep where no skills are known: arguments stay text."""
    return Step(message.skill, {arg.name: arg.value for arg in message.args}, message.inserted)


def planned_from_ros(message) -> PlanValue:
    """A Plan message as the planner's value; `status` may be "talk" or "unknown" too."""
    status = {code: name for name, code in PLAN_STATUS.items()} | {Plan.TALK: "talk"}
    kinds = {code: name for name, code in ASKS.items()}
    asked = message.status == Plan.CLARIFY
    return PlanValue(
        status.get(message.status, "unknown"),
        tuple(plain_step_from_ros(step) for step in message.steps),
        message.reason_code,
        message.question if asked else message.reason,
        message.text,
        tuple(message.notes),
        Inquiry(message.question, kinds.get(message.asks, "command"), tuple(message.choices)) if asked else None,
    )


def skill_result_from_ros(result) -> Result:
    """What an ExecuteSkill server's result means."""
    code = values.Outcome(result.outcome.code) if result.outcome.code in set(values.Outcome) else values.Outcome.UNKNOWN
    if result.success:
        code = values.Outcome.SUCCEEDED
    elif code in (values.Outcome.UNKNOWN, values.Outcome.SUCCEEDED):
        code = values.Outcome.EXECUTION
    return Result(code, result.outcome.message, result.text, tuple(result.facts))


def skill_result_to_ros(result: Result, make):
    """A Result as an ExecuteSkill.Result (`make`)."""
    return make(
        success=result.outcome is values.Outcome.SUCCEEDED,
        outcome=outcome_to_ros(result.outcome, result.message),
        text=safe_text(result.text),
        facts=list(result.facts),
    )


def report_line(report: StepReport) -> str:
    """A StepReport for people: what happened to it, in a few words."""
    words = {
        StepReport.PENDING: "to do",
        StepReport.RUNNING: "running",
        StepReport.PAUSED: "paused",
        StepReport.CONFIRM: "waits for a yes",
        StepReport.DONE: "done",
        StepReport.FAILED: "failed",
        StepReport.SKIPPED: "not needed",
    }[report.status]
    more = report.text if report.status == StepReport.DONE else report.outcome.message
    return f"{report.index + 1}. {step_text(report.step)}: {words}{f' ({more})' if more else ''}"
