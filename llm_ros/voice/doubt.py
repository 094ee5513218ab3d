"""Asking before obeying: a command that was heard unsurely waits for a yes.

In: commands as they are heard and how sure the recogniser is. Out: what to pass on, or what to ask first. Knows no ROS.
"""

from __future__ import annotations

from llm_ros.chat.control import NO, YES, control
from llm_ros.execution.outcome import Execution, PlanStatus

AGAIN = "Please say it again."
_ASKED = Execution(status=PlanStatus.CONFIRM)


class Doubt:
    """`least`: a command heard less surely is asked about; 0: none is."""

    def __init__(self, least: float):
        self._least = least
        self._waiting = ""  # the command that has been asked about

    def judge(self, command: str, confidence: float) -> tuple[str, str]:
        """(command to pass on or "", question to ask or ""). A yes or no is never asked about; without an open question
        it is passed on."""
        waiting, self._waiting = self._waiting, ""
        answer = control(command, _ASKED)
        if answer in (YES, NO):
            if not waiting:
                return command, ""
            return (waiting, "") if answer == YES else ("", AGAIN)
        if confidence >= self._least:
            return command, ""
        self._waiting = command
        return "", f"Did you say: {command.rstrip(' .?!')}?"

    def forget(self) -> None:
        """The question is no longer open."""
        self._waiting = ""
