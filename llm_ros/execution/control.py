"""What other threads may say to a plan that is being carried out: stop, pause, go on, yes or no.

Each call leaves its word and wakes the thread of the run, which looks at the words between and during steps.
"""

from __future__ import annotations

import threading

from llm_ros.execution.outcome import Outcome


class Control:
    """Base of a run. `mailbox`: where its thread waits."""

    def __init__(self, mailbox):
        self._mailbox = mailbox
        self._lock = threading.Lock()
        self._stop: tuple[Outcome, str] | None = None
        self._paused = False
        self._question, self._confirm_id = "", 0
        self._answer: bool | None = None

    def cancel(self, why: str = "cancelled", outcome: Outcome = Outcome.CANCELED) -> None:
        """Stops the robot and ends the plan; returns at once. The first reason counts."""
        with self._lock:
            self._stop = self._stop or (outcome, why)
        self._wake()

    def pause(self) -> bool:
        """Stops the robot until `resume`; False if it is paused already."""
        return self._set_paused(True)

    def resume(self) -> bool:
        """Lets the robot go on; False if it is not paused."""
        return self._set_paused(False)

    def _set_paused(self, paused: bool) -> bool:
        with self._lock:
            changed, self._paused = self._paused != paused, paused
        self._wake()
        return changed

    def confirm(self, confirm_id: int, accept: bool) -> bool:
        """Answers the open question; False if `confirm_id` is not the open one."""
        with self._lock:
            if not self._question or confirm_id != self._confirm_id or self._answer is not None:
                return False
            self._answer = accept
        self._wake()
        return True

    def _ask(self, question: str) -> None:
        """Opens a question, under a new id."""
        with self._lock:
            self._confirm_id, self._answer = self._confirm_id + 1, None
            self._question = question

    def _heard(self) -> bool | None:
        """Closes the question: its answer, or None."""
        with self._lock:
            self._question = ""
            return self._answer

    def _wake(self) -> None:
        self._mailbox.put(("wake",))
