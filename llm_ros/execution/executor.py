"""The executor: one robot, what it can do, what it believes, and the plans that are carried out with it, one at a time.

In: skills, world, a `Robot`. Out: `begin(steps)` gives a `PlanRun`. Knows no ROS; time comes from the mailboxes, so a
simulator can run it without waiting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from llm_ros.execution.belief import Belief
from llm_ros.execution.feed import StepFeed
from llm_ros.execution.outcome import Execution
from llm_ros.execution.recovery import Limits
from llm_ros.execution.robot import Mailbox, Robot
from llm_ros.execution.run import PlanRun
from llm_ros.planner.complete import Completer
from llm_ros.planner.plan import Step
from llm_ros.planner.skills import Skills
from llm_ros.planner.world import World


@dataclass(frozen=True)
class Patience:
    """Seconds. confirm: for a person's answer. cancel: for a robot to say that it stopped, before nobody listens."""

    confirm: float = 60.0
    cancel: float = 2.0


class Executor:
    """See the module."""

    def __init__(
        self,
        skills: Skills,
        world: World,
        robot: Robot,
        limits: Limits | None = None,
        patience: Patience | None = None,
        make_mailbox: Callable[[], Mailbox] = Mailbox,
    ):
        self.robot, self.make_mailbox = robot, make_mailbox
        self.limits, self.patience = limits or Limits(), patience or Patience()
        self.skills, self.world = skills, world
        self.belief = Belief(world)
        self.completer = Completer(skills, world)

    def use(self, skills: Skills, world: World) -> None:
        """Another world or other skills. A plan that runs keeps its skills and is told of the world at its next step;
        what was learned of the world stays.
        """
        self.skills, self.world = skills, world
        self.completer = Completer(skills, world)
        self.belief.use(world)

    def begin(
        self,
        steps: Iterable[Step] | StepFeed,
        command: str = "",
        deadline: float | None = None,
        on_change: Callable[[Execution], None] = lambda view: None,
    ) -> PlanRun:
        """A plan to be carried out by `PlanRun.run()`; one at a time, as there is one robot.

        deadline: seconds from the beginning of `run`. on_change(view): called in the running thread at every change.
        """
        feed = steps if isinstance(steps, StepFeed) else StepFeed.of(steps)
        return PlanRun(self, feed, command, deadline, on_change)
