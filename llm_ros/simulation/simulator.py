"""A simulated robot: steps take time, change the house, and go wrong now and then.

In: a `House`, `Faults`, a `Clock`. Out: for each step the course of an attempt, told to `Replies`: accepted or
rejected, progress, one result, or the server's death. `SimRobot` is the executor's `Robot` over it; the mock_robot
node serves the same over ROS.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Protocol

from llm_ros.execution.outcome import Outcome
from llm_ros.execution.robot import Listener, Result
from llm_ros.planner.conditions import State
from llm_ros.planner.plan import Step
from llm_ros.planner.skills import Skill
from llm_ros.simulation.faults import Faults
from llm_ros.simulation.house import House

TICKS = 4
DOWN_S = 1.0


class Clock(Protocol):
    """Runs functions later."""

    def later(self, delay: float, function: Callable[[], None]) -> None:
        """Calls `function` after `delay` simulated seconds."""


class Replies(Protocol):
    """Who is told how an attempt goes."""

    def rejected(self) -> None:
        """The goal is not taken."""

    def progress(self, fraction: float, status: str) -> None:
        """0 .. 1, and words."""

    def ended(self, result: Result) -> None:
        """The result."""

    def died(self) -> None:
        """The server went away without a result."""


class Course:
    """One attempt under way."""

    def __init__(self, simulator: Simulator, step: Step, skill: Skill, replies: Replies, fault: str):
        self._simulator, self._step, self._skill, self._replies = simulator, step, skill, replies
        self._fault, self._over = fault, False

    def begin(self, delay: float, seconds: float) -> None:
        """Begins after `delay` seconds, for `seconds` seconds if all goes well."""
        clock, fault = self._simulator.clock, self._fault
        seconds *= 3.0 if fault == "late" else 0.5 if fault in ("fail", "crash") else 1.0
        for tick in range(1, TICKS):
            clock.later(delay + seconds * tick / TICKS, lambda tick=tick: self._tick(tick / TICKS))
        clock.later(delay + seconds, self._end)

    def _tick(self, fraction: float) -> None:
        with self._simulator.lock:
            if not self._over and self._fault != "hang":
                self._replies.progress(fraction, self._skill.name.replace("_", " "))

    def _end(self) -> None:
        with self._simulator.lock:
            if not self._over:
                _ENDS[self._fault](self)

    def cancel(self) -> None:
        """Stops; what the robot was doing is left half done."""
        with self._simulator.lock:
            if not self._over:
                self._simulator.house.stray(self._skill)
                self._finish(Result(Outcome.CANCELED, "stopped"))

    def _finish(self, result: Result) -> None:
        self._over = True
        self._replies.ended(result)

    def _done(self) -> Result:
        return self._simulator.house.do(self._step, self._skill)

    def _die(self) -> None:
        self._over = True
        self._simulator.down(self._skill.name)
        self._replies.died()

    def _fail(self) -> None:
        self._simulator.house.stray(self._skill)
        self._finish(Result(Outcome.EXECUTION, f"{self._skill.name.replace('_', ' ')} failed"))

    def _crash(self) -> None:
        self._simulator.house.stray(self._skill)
        self._die()

    def _lose(self) -> None:
        self._done()
        self._die()

    def _mute(self) -> None:
        self._done()  # and no word of it
        self._fault = "hang"


_ENDS = {
    "": lambda course: course._finish(course._done()),
    "late": lambda course: course._finish(course._done()),
    "fail": Course._fail,
    "slip": lambda course: course._finish(course._simulator.house.fumble(course._step, course._skill)),
    "crash": Course._crash,
    "lost": Course._lose,
    "mute": Course._mute,
    "hang": lambda course: None,
}


class Simulator:
    """See the module. Thread-safe."""

    def __init__(self, house: House, faults: Faults, clock: Clock, seed: int = 0):
        self.house, self.faults, self.clock = house, faults, clock
        self.lock = threading.RLock()
        self._rng = random.Random(seed)
        self._down: set[str] = set()

    def start(self, step: Step, skill: Skill, replies: Replies, fault: str | None = None) -> Course | None:
        """Begins an attempt, once its server is up again; None if it was rejected. `fault`: drawn here if None."""
        with self.lock:
            fault = self.faults.draw(skill.name) if fault is None else fault
            if fault == "reject":
                replies.rejected()
                return None
            course = Course(self, step, skill, replies, fault)
            delay = DOWN_S if skill.name in self._down else 0.0
            course.begin(delay, skill.seconds(step.args) * self._rng.uniform(0.7, 1.3))
            return course

    def down(self, skill: str) -> None:
        """The server of a skill is gone, for DOWN_S simulated seconds."""
        self._down.add(skill)
        self.clock.later(DOWN_S, lambda: self._down.discard(skill))


class SimRobot:
    """The executor's Robot over a simulator in the same process."""

    def __init__(self, simulator: Simulator):
        self._simulator = simulator
        self.attempts = 0

    def start(self, step: Step, skill: Skill, state: State, listener: Listener):
        """See Robot."""
        self.attempts += 1
        course = self._simulator.start(step, skill, _ToListener(listener))
        return course or _Nothing()


class _Nothing:
    def cancel(self) -> None:
        """There is nothing to stop."""


class _ToListener:
    def __init__(self, listener: Listener):
        self.progress, self.ended = listener.progress, listener.ended

    def rejected(self) -> None:
        self.ended(Result(Outcome.EXECUTION, "the goal was rejected"))

    def died(self) -> None:
        self.ended(Result(Outcome.EXECUTION, "the server went away", unsure=True))
