"""What the executor knows of a robot: something that begins a step, tells how it goes, and can be told to stop.

In: a step with its skill. Out: progress and exactly one `Result`, told to a `Listener` from any thread. The ROS robot
is nodes/ros_robot.py, the simulated one simulation/simulator.py.
"""

from __future__ import annotations

import queue
import time
from dataclasses import dataclass
from typing import Protocol

from llm_ros.execution.outcome import Outcome
from llm_ros.planner.conditions import State
from llm_ros.planner.plan import Step
from llm_ros.planner.skills import Skill


@dataclass(frozen=True)
class Result:
    """How an attempt ended. text: what was found out. facts: what is known now, as conditions over names.

    final: trying the same again is pointless (a missing type, a goal that cannot be filled in). unsure: nobody knows
    whether it was done, as the server went away or did not answer.
    """

    outcome: Outcome
    message: str = ""
    text: str = ""
    facts: tuple[str, ...] = ()
    final: bool = False
    unsure: bool = False


class Listener(Protocol):
    """Who wants to know how an attempt goes; callable from any thread."""

    def progress(self, fraction: float, status: str = "") -> None:
        """`fraction`: 0 .. 1, or -1 where it is not known."""

    def ended(self, result: Result) -> None:
        """The end; whatever comes after it is ignored."""


class Attempt(Protocol):
    """A step that the robot is at."""

    def cancel(self) -> None:
        """Asks the robot to stop now; returns at once. `Listener.ended` follows if the robot still answers."""


class Robot(Protocol):
    """Begins steps, one at a time."""

    def start(self, step: Step, skill: Skill, state: State, listener: Listener) -> Attempt:
        """Begins; returns at once. `state`: what is known of the world now (where things are)."""


class Mailbox:
    """What the executor waits at, and its clock: events of any threads in real time."""

    def __init__(self):
        self._events: queue.SimpleQueue = queue.SimpleQueue()

    def now(self) -> float:
        """Seconds; only differences mean something."""
        return time.monotonic()

    def put(self, event: tuple) -> None:
        """Adds an event."""
        self._events.put(event)

    def get(self, until: float | None = None) -> tuple | None:
        """The next event, or None once the time `until` is reached."""
        try:
            if until is None:
                return self._events.get()
            return self._events.get(timeout=max(0.0, until - self.now()))
        except queue.Empty:
            return None
