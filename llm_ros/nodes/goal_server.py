"""An action server whose goals are served elsewhere: each begins a job, whose feedback and end come from any thread.

In: an action and the node's `begin(request, on_feedback, on_done)`, which returns a job with `stop(how, why)` (how:
"cancelled" or "aborted"), or None if it has ended. Out: `drop_orphans`: ROS tells no server that a client is gone, so
it notes which clients were listening when a goal came, and a goal none of whose listeners is left is stopped.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup

from llm_ros.nodes.action_server import DeferredActionServer


@dataclass
class _Goal:
    job: object = None  # None until begun
    listeners: frozenset = field(default_factory=frozenset)


class GoalServer:
    """Serves the action `name` (relative to the node's namespace). `on_feedback` takes a feedback message, `on_done`
    the end's state (action_server.SUCCEED, …), the result and why it is none (for the log)."""

    def __init__(self, node, action_type, name: str, begin: Callable):
        self._node, self._name, self._begin = node, name, begin
        self._lock = threading.Lock()
        self._goals: dict[bytes, _Goal] = {}
        self._feedback_topic = node.resolve_topic_name(f"{name}/_action/feedback")
        # Goals and cancels one after the other: a cancel cannot meet a goal that is half begun.
        self._server = DeferredActionServer(
            node, action_type, name, self._start, self._cancel, callback_group=MutuallyExclusiveCallbackGroup()
        )

    def _start(self, handle):
        key = bytes(handle.goal_id.uuid)
        goal = _Goal(listeners=self._listeners())
        with self._lock:
            self._goals[key] = goal

        def on_done(state, result, error):
            with self._lock:
                del self._goals[key]
            if error:
                self._node.get_logger().warning(f"{self._name}: {error}")
            self._server.finish(handle, state, result)

        goal.job = self._begin(handle.request, handle.publish_feedback, on_done)

    def _cancel(self, handle):
        with self._lock:
            goal = self._goals.get(bytes(handle.goal_id.uuid))
        if goal is not None and goal.job is not None:
            goal.job.stop("cancelled", "cancelled by the client")

    def _listeners(self) -> frozenset:
        """Who is subscribed to the feedback: every action client is, whether it asked for feedback or not."""
        found = self._node.get_subscriptions_info_by_topic(self._feedback_topic)
        return frozenset(bytes(info.endpoint_gid) for info in found)

    def drop_orphans(self) -> None:
        """Aborts the goals whose listeners have all gone. A goal that nobody was seen to listen to waits to see one."""
        with self._lock:
            goals = list(self._goals.values())
        if not goals:
            return
        here = self._listeners()
        for goal in goals:
            goal.listeners = goal.listeners or here
            if goal.listeners and not goal.listeners & here and goal.job is not None:
                goal.job.stop("aborted", "the client that asked is gone")
