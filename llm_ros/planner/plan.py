"""Plans as values: a `Step` names a skill and its arguments; a `Plan` is steps, a typed refusal or one question.

In: names and values. Out: the JSON shape of PLANS.json and the compact line syntax that the model writes,
`skill(arg, "free text")`, one step a line, then `done`. Knows neither skills nor world: meaning is checked elsewhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from llm_ros.planner.inquiry import Inquiry

# Why a command is refused. The value is the sentence that a caller may show when there is nothing better to say.
REFUSALS = {
    "unknown_place": "I do not know that place",
    "unknown_object": "I do not know that object",
    "unknown_person": "I do not know that person",
    "impossible": "I cannot do that",
    "unsafe": "I will not do that",
    "contradictory": "the command contradicts itself",
    "forbidden": "that is not allowed here",
    "precondition": "a step of the plan could not be made possible",
    "too_long": "the command is too long",
    "not_understood": "I did not understand the command",
    "withdrawn": "all right, I leave it",
}


class PlanError(ValueError):
    """A plan that cannot be carried out; `reason` is a key of REFUSALS, the message says what and why."""

    def __init__(self, reason: str, message: str):
        if reason not in REFUSALS:
            raise KeyError(reason)
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Step:
    """One skill with its arguments by name: str, or int/float for numbers. `inserted`: added by the repair."""

    skill: str
    args: dict[str, str | int | float] = field(default_factory=dict)
    inserted: bool = field(default=False, compare=False)

    def to_json(self) -> dict:
        """{"skill": name, "args": {...}}."""
        return {"skill": self.skill, "args": dict(self.args)}

    def __str__(self) -> str:
        return f"{self.skill}({', '.join(_value(value) for value in self.args.values())})"


@dataclass(frozen=True)
class Plan:
    """What became of a command: `status` is "plan", "refuse" or "clarify" (or "cancelled").

    steps: the checked sequence (empty unless status is "plan"). reason: key of REFUSALS when refused.
    message: the refusal's text or the question. text: what the model wrote. notes: what the repair changed.
    inquiry: what the question is about, if status is "clarify"; goes with the answer into `Planner.answered`.
    """

    status: str
    steps: tuple[Step, ...] = ()
    reason: str = ""
    message: str = ""
    text: str = ""
    notes: tuple[str, ...] = ()
    inquiry: Inquiry | None = None

    def to_json(self) -> list | dict:
        """The value of PLANS.json: a list of steps, {"refuse": reason} or {"clarify": question}."""
        if self.status == "plan":
            return [step.to_json() for step in self.steps]
        if self.status == "clarify":
            return {"clarify": self.message}
        return {"refuse": f"{self.reason}: {self.message}" if self.reason else self.message or self.status}


def refuse(reason: str, message: str = "", text: str = "") -> Plan:
    """A refused command; `reason` is a key of REFUSALS."""
    return Plan("refuse", reason=reason, message=message or REFUSALS[reason], text=text)


def clarify(question: str | Inquiry, text: str = "") -> Plan:
    """A command that needs one answer first; to a mere text the answer is the command in other words."""
    inquiry = question if isinstance(question, Inquiry) else Inquiry(question)
    return Plan("clarify", message=inquiry.text, text=text, inquiry=inquiry)


def _value(value) -> str:
    if isinstance(value, (int, float)):
        return f"{value:g}"
    value = str(value)
    return value if re.fullmatch(r"[\w'.-]+", value) else '"' + value.replace('"', "'") + '"'


_LINE = re.compile(r"\s*(\w[\w.-]*)\s*\((.*)\)\s*$", re.DOTALL)
_ARGUMENT = re.compile(r'\s*(?:"([^"]*)"|([^,"()]+?))\s*(,|$)')


def parse_line(line: str) -> tuple[str, list[str]]:
    """`skill(a, "b c")` → ("skill", ["a", "b c"]). Raises ValueError on anything else."""
    match = _LINE.match(line)
    if not match:
        raise ValueError(f"not a step: {line[:80]!r}")
    name, rest, values = match[1], match[2], []
    position = 0
    while position < len(rest):
        argument = _ARGUMENT.match(rest, position)
        if not argument or argument.end() == position:
            raise ValueError(f"bad arguments: {line[:80]!r}")
        values.append((argument[1] if argument[1] is not None else argument[2]).strip())
        position = argument.end()
    return name, values


class LineReader:
    """Cuts streamed text into whole lines; the last line is whole only after `close`."""

    def __init__(self):
        self._rest = ""

    def push(self, text: str) -> list[str]:
        """The lines that became complete with `text`, without line ends and blank lines."""
        *lines, self._rest = (self._rest + text).split("\n")
        return [line.strip() for line in lines if line.strip()]

    def close(self) -> list[str]:
        """The last line, if there is one."""
        rest, self._rest = self._rest.strip(), ""
        return [rest] if rest else []
