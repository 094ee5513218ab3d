"""Plans carried out: step by step, checked, retried, repaired. No ROS inside; see docs/execution.md."""

from llm_ros.execution.executor import Executor, Patience
from llm_ros.execution.feed import StepFeed
from llm_ros.execution.knowledge import Knowledge
from llm_ros.execution.outcome import Execution, Outcome, PlanStatus, StepReport, StepStatus
from llm_ros.execution.recovery import Limits
from llm_ros.execution.robot import Mailbox, Result, Robot

__all__ = [
    "Execution",
    "Executor",
    "Knowledge",
    "Limits",
    "Mailbox",
    "Outcome",
    "Patience",
    "PlanStatus",
    "Result",
    "Robot",
    "StepFeed",
    "StepReport",
    "StepStatus",
]
