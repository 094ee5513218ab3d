"""How things end, and how they stand: the words that executor, robots, messages and tests share.

The numbers are those of Outcome.msg, StepReport.msg and Execution.msg.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from llm_ros.planner.plan import Step


class Outcome(IntEnum):
    """How something ended."""

    UNKNOWN = 0
    SUCCEEDED = 1
    PRECONDITION = 2
    PLANNING = 3
    EXECUTION = 4
    POSTCONDITION = 5
    INVALID = 6
    CANCELED = 7
    TIMEOUT = 8


class StepStatus(IntEnum):
    """How a step stands."""

    PENDING = 0
    RUNNING = 1
    PAUSED = 2
    CONFIRM = 3
    DONE = 4
    FAILED = 5
    SKIPPED = 6


class PlanStatus(IntEnum):
    """How the execution of a plan stands."""

    IDLE = 0
    RUNNING = 1
    PAUSED = 2
    CONFIRM = 3


@dataclass(frozen=True)
class StepReport:
    """One step and how it goes. progress: 0 .. 1, -1: not known. time_left: expected seconds, -1: not known."""

    step: Step
    status: StepStatus = StepStatus.PENDING
    progress: float = -1.0
    time_left: float = -1.0
    attempts: int = 0
    outcome: Outcome = Outcome.UNKNOWN
    message: str = ""
    text: str = ""

    def to_json(self) -> dict:
        """The report as plain values, the step in the shape of PLANS.json."""
        return {
            **self.step.to_json(),
            "status": self.status.name.lower(),
            "outcome": self.outcome.name.lower(),
            "attempts": self.attempts,
            **({"message": self.message} if self.message else {}),
            **({"text": self.text} if self.text else {}),
        }


@dataclass(frozen=True)
class Execution:
    """Everything about a plan that is being carried out, or was: `outcome` is UNKNOWN until it ended.

    changed: indices of the reports that differ from those of the Execution before. current: index of the step that the
    robot is at, or -1. question, confirm_id: what a person is asked while `status` is CONFIRM.
    """

    status: PlanStatus = PlanStatus.IDLE
    reports: tuple[StepReport, ...] = ()
    changed: tuple[int, ...] = ()
    current: int = -1
    time_left: float = -1.0
    outcome: Outcome = Outcome.UNKNOWN
    message: str = ""
    command: str = ""
    question: str = ""
    confirm_id: int = 0

    @property
    def succeeded(self) -> bool:
        """Whether everything was done."""
        return self.outcome is Outcome.SUCCEEDED
