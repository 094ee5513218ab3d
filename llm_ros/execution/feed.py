"""Steps that arrive one by one while the first are already carried out: between a planner and the executor.

In: `put(step)`, then `close()`, or `fail(why)` where the plan came to nothing after all. Out: `take()`. Thread-safe.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable

from llm_ros.planner.plan import Step


class StepFeed:
    """A plan that may still be growing."""

    def __init__(self, steps: Iterable[Step] = ()):
        self._steps = deque(steps)
        self._lock = threading.Lock()
        self._wake: Callable[[], None] = lambda: None
        self.closed = False
        self.error = ""

    @classmethod
    def of(cls, steps: Iterable[Step]) -> StepFeed:
        """A plan that is complete."""
        feed = cls(steps)
        feed.close()
        return feed

    def attach(self, wake: Callable[[], None]) -> None:
        """`wake()` is called after every change from now on."""
        self._wake = wake

    def put(self, step: Step) -> None:
        """Adds the next step."""
        with self._lock:
            self._steps.append(step)
        self._wake()

    def close(self) -> None:
        """The plan is complete."""
        self.closed = True
        self._wake()

    def fail(self, why: str) -> None:
        """The plan has no end: what was begun must stop."""
        self.error = why or "the plan was not finished"
        self.close()

    def take(self) -> list[Step]:
        """The steps that came since the last call."""
        with self._lock:
            steps = list(self._steps)
            self._steps.clear()
        return steps
