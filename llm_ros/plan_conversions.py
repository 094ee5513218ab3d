"""Messages of plans <-> the planner's values, JSON and lines for people. Knows no node and no planner."""

from __future__ import annotations

from llm_ros.conversions import safe_text
from llm_ros.msg import Plan, PlanArg, PlanStep


def step_to_ros(step) -> PlanStep:
    """A planner's Step."""
    return PlanStep(
        skill=step.skill,
        inserted=step.inserted,
        args=[
            PlanArg(name=name, value=safe_text(value if isinstance(value, str) else f"{value:g}"))
            for name, value in step.args.items()
        ],
    )


# A planner's status -> constant of Plan.
PLAN_STATUS = {"plan": Plan.PLANNED, "refuse": Plan.REFUSED, "clarify": Plan.CLARIFY}
# What a question asks for (keys of planner.inquiry.ASKS) -> constant of Plan.
ASKS = {
    name: getattr(Plan, f"ASKS_{name.upper()}")
    for name in ("command", "place", "object", "person", "door", "text", "number", "words", "confirm")
}


def plan_to_ros(plan, command: str) -> Plan:
    """A planner's finished Plan; `stamp`, `duration` and `dialogue_id` are the caller's to fill."""
    refused = plan.status == "refuse"
    return Plan(
        command=command,
        status=PLAN_STATUS[plan.status],
        steps=[step_to_ros(step) for step in plan.steps],
        reason_code=plan.reason if refused else "",
        reason=safe_text(plan.message) if refused else "",
        question=safe_text(plan.message) if plan.status == "clarify" else "",
        asks=ASKS[plan.inquiry.asks] if plan.inquiry else Plan.ASKS_COMMAND,
        choices=[safe_text(choice) for choice in plan.inquiry.choices] if plan.inquiry else [],
        notes=[safe_text(note) for note in plan.notes],
        text=safe_text(plan.text),
    )


def plan_lines(plan: Plan) -> list[str]:
    """A Plan message as lines for people."""
    if plan.status == Plan.PLANNED:
        return [f"{index}. {step_text(step)}" for index, step in enumerate(plan.steps, 1)]
    if plan.status == Plan.REFUSED:
        return [f"refused ({plan.reason_code}): {plan.reason}" if plan.reason_code else f"refused: {plan.reason}"]
    if plan.status == Plan.CLARIFY:
        return [f"question: {plan.question}"]
    if plan.status == Plan.TALK:
        return ["nothing to do"]
    return ["no plan"]


def step_text(step: PlanStep) -> str:
    """A PlanStep as `skill(name=value, ...)`."""
    return f"{step.skill}({', '.join(f'{arg.name}={arg.value}' for arg in step.args)})"


def plan_from_ros(plan: Plan) -> list | dict:
    """A Plan message in the JSON shape of PLANS.json (docs/planning.md); numbers stay text."""
    if plan.status == Plan.PLANNED:
        return [{"skill": step.skill, "args": {arg.name: arg.value for arg in step.args}} for step in plan.steps]
    if plan.status == Plan.CLARIFY:
        return {"clarify": plan.question}
    return {"refuse": f"{plan.reason_code}: {plan.reason}" if plan.reason_code else plan.reason}
