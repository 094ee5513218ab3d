"""Simulated time: nothing waits; whoever waits for an event makes the time pass until one is due.

In: functions to run later. Out: a `Clock` for the simulator and mailboxes for the executor, in one thread.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable

from llm_ros.execution.robot import Mailbox


class Hung(RuntimeError):
    """Somebody waits for ever: nothing is due any more."""


class SimClock:
    """Seconds since its making."""

    def __init__(self):
        self.time = 0.0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def later(self, delay: float, function: Callable[[], None]) -> None:
        """Calls `function` once `delay` seconds have passed."""
        heapq.heappush(self._due, (self.time + delay, next(self._numbers), function))

    def pass_until(self, until: float | None) -> bool:
        """Runs what is due next, at most at the time `until`; False if nothing was and that time has come."""
        if self._due and (until is None or self._due[0][0] <= until):
            self.time, _, function = heapq.heappop(self._due)
            function()
            return True
        if until is None:
            raise Hung("nothing is due, and somebody waits without a limit")
        self.time = max(self.time, until)
        return False

    def mailbox(self) -> Mailbox:
        """A mailbox that lives in this time."""
        return _SimMailbox(self)


class _SimMailbox(Mailbox):
    def __init__(self, clock: SimClock):
        self._clock, self._events = clock, deque()

    def now(self) -> float:
        return self._clock.time

    def put(self, event: tuple) -> None:
        self._events.append(event)

    def get(self, until: float | None = None) -> tuple | None:
        while not self._events:
            if not self._clock.pass_until(until):
                return None
        return self._events.popleft()
