"""An action server for generation: goals become requests, pieces of text feedback, outcomes results.

In: a `Kind` (which action) and the node's `begin`. It notes which clients were listening when a
goal came: ROS tells no server that a client is gone, so a goal none of whose listeners is left is aborted by
`drop_orphans`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from llm_ros.action import GenerateChatCompletions, GenerateResponse
from llm_ros.msg import ChatMessage
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup

from llm_ros.nodes.action_server import DeferredActionServer


@dataclass(frozen=True)
class Kind:
    """One action: its name, how a Response becomes a result."""

    name: str
    action_type: type
    result: Callable


def _chat_result(response, error):
    message = ChatMessage(role=ChatMessage.ASSISTANT, content=response.text)
    return GenerateChatCompletions.Result(message=message, response=response, error=error)


KINDS = (
    Kind(
        "generate_response",
        GenerateResponse,
        lambda response, error: GenerateResponse.Result(response=response, error=error),
    ),
    Kind(
        "generate_chat_completions",
        GenerateChatCompletions,
        _chat_result,
    ),
)


@dataclass
class _Goal:
    request: object = None  # None until begun
    listeners: frozenset = field(default_factory=frozenset)


class GenerateServer:
    """Serves one Kind. `begin(message, on_partial, on_done)` starts a request and returns it, or None if it has
    ended.
    """

    def __init__(self, node, kind: Kind, begin: Callable):
        self._node, self._kind, self._begin = node, kind, begin
        self._lock = threading.Lock()
        self._goals: dict[bytes, _Goal] = {}
        name = f"{node.get_name()}/{kind.name}"
        self._feedback_topic = node.resolve_topic_name(f"{name}/_action/feedback")
        # Goals and cancels one after the other: a cancel cannot meet a goal that is half begun.
        self._server = DeferredActionServer(
            node, kind.action_type, name, self._start, self._cancel, callback_group=MutuallyExclusiveCallbackGroup()
        )

    def _start(self, handle):
        key = bytes(handle.goal_id.uuid)
        goal = _Goal(listeners=self._listeners())
        with self._lock:
            self._goals[key] = goal

        def on_partial(partial):
            handle.publish_feedback(self._kind.action_type.Feedback(partial_response=partial))

        def on_done(state, response, error):
            with self._lock:
                del self._goals[key]
            if error:
                self._node.get_logger().warning(f"{self._kind.name}: {error}")
            self._server.finish(handle, state, self._kind.result(response, error))

        goal.request = self._begin(handle.request, on_partial, on_done)

    def _cancel(self, handle):
        with self._lock:
            goal = self._goals.get(bytes(handle.goal_id.uuid))
        if goal is not None and goal.request is not None:
            goal.request.stop("cancelled", "cancelled by the client")

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
            if goal.listeners and not goal.listeners & here and goal.request is not None:
                goal.request.stop("aborted", "the client that asked is gone")
