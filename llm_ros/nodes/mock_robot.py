"""mock_robot: action servers for all skills over a simulated house, with seeded failures: what is tried needs no robot.

Serves ExecuteSkill as `skills/<name>` for every skill that is carried out so; a skill with an action or service of its
own is left to that. A "crash" takes the skill's server away and brings it back. The simulation is llm_ros.simulation.
"""

from __future__ import annotations

import random
import threading
from collections import deque
from functools import partial

from llm_ros.action import ExecuteSkill
from llm_ros.msg import PlanStep
from rclpy.action import GoalResponse
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node

from llm_ros.conversions import safe_text
from llm_ros.execution.outcome import Outcome
from llm_ros.execution.robot import Result
from llm_ros.execution_conversions import skill_result_to_ros, step_from_ros
from llm_ros.nodes.action_server import ABORT, CANCELED, SUCCEED, DeferredActionServer
from llm_ros.nodes.run import run_node
from llm_ros.params import MockParams, ParameterError, declare, read
from llm_ros.planner import ConfigError, load_skills, load_world
from llm_ros.planner.carrier import EXECUTE_SKILL
from llm_ros.share import config_file
from llm_ros.simulation import Faults, House, Simulator
from llm_ros.simulation.simulator import DOWN_S


class _Clock:
    """Real time, `speed` times as fast."""

    def __init__(self, speed: float):
        self._speed = speed

    def later(self, delay: float, function) -> None:
        timer = threading.Timer(delay / self._speed, function)
        timer.daemon = True
        timer.start()


class MockRobot(Node):
    """See the module. Raises ParameterError for parameters or files that cannot be used."""

    def __init__(self, name: str = "mock_robot", **node_options):
        super().__init__(name, **node_options)
        declare(self, MockParams)
        params = read(self, MockParams)
        try:
            self._skills = load_skills(params.skills_file or config_file("skills.yaml"))
            world = load_world(params.world_file or config_file("world.yaml"))
            kinds = tuple(kind.strip() for kind in params.kinds.split(","))
            faults = Faults(params.failures, _probabilities(params.failing), kinds, params.seed)
        except (ConfigError, OSError, ValueError) as error:
            raise ParameterError(str(error)) from error
        self.house = House(world, random.Random(params.seed), params.displaced, params.absent)
        self._time = _Clock(params.speed)
        self._simulator = Simulator(self.house, faults, self._time, params.seed)
        self._lock = threading.Lock()
        self._closed = False
        self._servers: dict[str, _SkillServer] = {}
        for skill in self._skills.values():
            if skill.carrier.type == EXECUTE_SKILL:
                self._serve(skill)
        self.get_logger().info(f"a simulated robot serves {len(self._servers)} skills")

    def _serve(self, skill) -> None:
        with self._lock:
            if not self._closed:
                self._servers[skill.name] = _SkillServer(self, self._simulator, skill, partial(self._died, skill))

    def _died(self, skill) -> None:
        """The skill's server goes away, and comes back after DOWN_S real seconds: clients need time to notice."""

        def vanish():
            with self._lock:
                server = self._servers.pop(skill.name, None)
            if server is not None:
                server.destroy()
            timer = threading.Timer(DOWN_S, self._serve, (skill,))
            timer.daemon = True
            timer.start()

        threading.Thread(target=vanish, daemon=True).start()

    def close(self) -> None:
        """No server comes back any more."""
        with self._lock:
            self._closed = True


def _probabilities(text: str) -> dict[str, float]:
    found = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = part.partition("=")
        try:
            found[name.strip()] = float(value)
        except ValueError:
            raise ValueError(f"failing = {text!r}: expected skill=probability, got {part!r}") from None
    return found


class _SkillServer(DeferredActionServer):
    """The server of one skill."""

    def __init__(self, node: MockRobot, simulator: Simulator, skill, died):
        self._simulator, self._skill, self._died, self._skills = simulator, skill, died, node._skills
        self._faults: deque[str] = deque()
        self._courses: dict[bytes, object] = {}
        super().__init__(
            node,
            ExecuteSkill,
            skill.carrier.name,
            self._begin,
            self._stop,
            goal_callback=self._decide,
            callback_group=MutuallyExclusiveCallbackGroup(),
        )

    def _decide(self, _goal):
        fault = self._simulator.faults.draw(self._skill.name)
        if fault == "reject":
            return GoalResponse.REJECT
        self._faults.append(fault)
        return GoalResponse.ACCEPT

    def _begin(self, handle):
        step = step_from_ros(PlanStep(skill=self._skill.name, args=handle.request.args), self._skills)
        replies = _Replies(self, handle, self._died)
        course = self._simulator.start(step, self._skill, replies, self._faults.popleft())
        self._courses[bytes(handle.goal_id.uuid)] = course

    def _stop(self, handle):
        course = self._courses.get(bytes(handle.goal_id.uuid))
        if course is not None:
            course.cancel()


class _Replies:
    """Tells a goal's client how the simulated attempt goes."""

    def __init__(self, server: _SkillServer, handle, died):
        self._server, self._handle, self.died = server, handle, died

    def rejected(self) -> None:
        raise AssertionError("a goal is rejected before it begins")

    def progress(self, fraction: float, status: str) -> None:
        self._handle.publish_feedback(ExecuteSkill.Feedback(progress=fraction, status=safe_text(status)))

    def ended(self, result: Result) -> None:
        states = {Outcome.SUCCEEDED: SUCCEED, Outcome.CANCELED: CANCELED}
        self._server.finish(
            self._handle, states.get(result.outcome, ABORT), skill_result_to_ros(result, ExecuteSkill.Result)
        )


def main(args=None) -> int:
    """Entry point of the executable `mock_robot`."""
    return run_node(MockRobot, args)


if __name__ == "__main__":
    raise SystemExit(main())
