"""The executor's robot over ROS: each step becomes a goal of the action, or a call of the service, its skill names.

In: a step, its skill's carrier, the world for lookups. Out: progress and one result. A server that is missing, that
goes away, that rejects or never accepts a goal: each becomes a result. Every attempt has a thread of its own, so that
`start` and `cancel` return at once.
"""

from __future__ import annotations

import threading
import time

from action_msgs.msg import GoalStatus
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.exceptions import InvalidHandle

from llm_core.errors import RequestError
from llm_ros import qos
from llm_ros.execution.outcome import Outcome
from llm_ros.execution.robot import Result
from llm_ros.execution_conversions import fill_message, interface, skill_result_from_ros
from llm_ros.goals import SentGoal, action_client
from llm_ros.plan_conversions import step_to_ros
from llm_ros.planner.carrier import EXECUTE_SKILL, field_of, fill_goal

LOOK_EVERY_S = 0.2


class RosRobot:
    """See the module. `world()`: the world file's content now."""

    def __init__(self, node, world, server_wait: float):
        self._node, self._world, self._server_wait = node, world, server_wait
        self._group = ReentrantCallbackGroup()
        self._clients: dict[tuple[str, str], object] = {}

    def start(self, step, skill, state, listener):
        """See Robot."""
        carrier = skill.carrier
        try:
            kind = interface(carrier.type)
            goal = self._goal(kind, step, carrier, state)
        except (RequestError, ValueError) as error:
            listener.ended(Result(Outcome.INVALID, f"skill {skill.name}: {error}", final=True))
            return _Nothing()
        attempt = {"action": _ActionAttempt, "service": _ServiceCall}[carrier.kind]
        client = self._client(carrier, kind)
        return attempt(client, goal, carrier, listener, self._server_wait)

    def _goal(self, kind, step, carrier, state):
        if carrier.type == EXECUTE_SKILL:
            message = step_to_ros(step)
            return kind.Goal(skill=message.skill, args=message.args)
        make = kind.Goal if carrier.kind == "action" else kind.Request
        return fill_message(make(), fill_goal(carrier.goal, step.args, self._world(), state.places))

    def _client(self, carrier, kind):
        key = (carrier.name, carrier.type)
        if key not in self._clients:
            if carrier.kind == "action":
                self._clients[key] = action_client(self._node, kind, carrier.name, self._group)
            else:
                self._clients[key] = self._node.create_client(
                    kind, carrier.name, qos_profile=qos.SERVICES, callback_group=self._group
                )
        return self._clients[key]

    def destroy(self) -> None:
        """Frees the ROS entities."""
        for (_, type_name), client in self._clients.items():
            if "/action/" in type_name:
                client.destroy()
            else:
                self._node.destroy_client(client)


class _Nothing:
    def cancel(self) -> None:
        """There is nothing to stop."""


class _Attempt:
    """A step that is sent to a server and watched until it ends."""

    def __init__(self, client, goal, carrier, listener, server_wait: float):
        self._client, self._goal, self._carrier, self._listener = client, goal, carrier, listener
        self._server_wait = server_wait
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._wanted = threading.Event()  # somebody wants it cancelled
        self._sent: SentGoal | None = None
        threading.Thread(target=self._work, name="llm_ros.attempt", daemon=True).start()

    def _work(self) -> None:
        end = time.monotonic() + self._server_wait
        while not self._ready():
            if self._wanted.wait(0.02):
                self._end(Result(Outcome.CANCELED, "cancelled before it began"))
                return
            if time.monotonic() >= end:
                waited = f"within {self._server_wait:g} s"
                self._end(Result(Outcome.EXECUTION, f"no server {self._carrier.name} found {waited}", final=True))
                return
        self._send()
        while not self._ended.wait(LOOK_EVERY_S):
            if not self._ready():
                self._end(Result(Outcome.EXECUTION, f"the server {self._carrier.name} went away", unsure=True))
            else:
                self._look()

    def _look(self) -> None:
        """Called now and then while the server is there and the step has not ended."""

    def _ready(self) -> bool:
        try:
            return self._server_is_there()
        except InvalidHandle:  # the node was destroyed under a step that never ended
            return False

    def _end(self, result: Result) -> None:
        with self._lock:
            if self._ended.is_set():
                return
            self._ended.set()
        self._listener.ended(result)

    def _judge(self, message, succeeded: bool, otherwise: Outcome) -> Result:
        """What a result message means, by the carrier's mapping."""
        carrier = self._carrier
        try:
            text = str(field_of(message, carrier.text)) if carrier.text else ""
            why = str(field_of(message, carrier.message)) if carrier.message else ""
            holds = carrier.success is None or carrier.success.holds(message)
        except AttributeError as error:
            return Result(Outcome.INVALID, f"result of {carrier.name}: {error}", final=True)
        if not succeeded:
            return Result(otherwise, why or f"{carrier.name}: {otherwise.name.lower()}", text)
        if not holds:
            return Result(Outcome.POSTCONDITION, why or f"{carrier.success} does not hold", text)
        return Result(Outcome.SUCCEEDED, why, text)


class _ActionAttempt(_Attempt):
    def _server_is_there(self) -> bool:
        return self._client.server_is_ready()

    def _send(self) -> None:
        goal = SentGoal(
            self._client, self._goal, on_feedback=self._feedback, on_rejected=self._rejected, on_result=self._result
        )
        with self._lock:
            self._sent = goal
        if self._wanted.is_set():
            goal.cancel()

    def _look(self) -> None:
        self._sent.look()

    def _feedback(self, feedback) -> None:
        if not self._ended.is_set():
            self._listener.progress(getattr(feedback, "progress", -1.0), str(getattr(feedback, "status", "")))

    def _rejected(self) -> None:
        self._end(Result(Outcome.EXECUTION, f"{self._carrier.name} rejected the goal"))

    def _result(self, response, known: bool) -> None:
        if response.status == GoalStatus.STATUS_UNKNOWN:
            why = "no longer knows the goal" if known else "never got the goal"
            self._end(Result(Outcome.EXECUTION, f"{self._carrier.name} {why}", unsure=True))
            return
        if self._carrier.type == EXECUTE_SKILL:
            self._end(skill_result_from_ros(response.result))
            return
        otherwise = Outcome.CANCELED if response.status == GoalStatus.STATUS_CANCELED else Outcome.EXECUTION
        self._end(self._judge(response.result, response.status == GoalStatus.STATUS_SUCCEEDED, otherwise))

    def cancel(self) -> None:
        with self._lock:
            self._wanted.set()
            goal = self._sent
        if goal is not None and not self._ended.is_set():
            goal.cancel()


class _ServiceCall(_Attempt):
    def _server_is_there(self) -> bool:
        return self._client.service_is_ready()

    def _send(self) -> None:
        self._client.call_async(self._goal).add_done_callback(
            lambda future: self._end(self._judge(future.result(), True, Outcome.EXECUTION))
        )

    def cancel(self) -> None:
        """A service cannot be stopped: its answer is not waited for."""
        self._wanted.set()
        self._end(Result(Outcome.CANCELED, "the call was given up", unsure=True))
