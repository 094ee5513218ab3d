"""One goal of an action, as its client sees it, over answers that get lost.

In: an action client and a goal. Out: `on_feedback(feedback)`, and either `on_rejected()` or `on_result(response,
known)` once, in the node's executor. DDS drops a service's answer if the server has not found the client yet, which
takes a while on a busy computer: a client that only waits then waits for ever. Whether the server has the goal is told
by its result service, so `look`, called now and then, asks there.
"""

from __future__ import annotations

import threading
import time
import uuid

from action_msgs.msg import GoalInfo, GoalStatus
from rclpy.action import ActionClient
from rclpy.action.client import ClientGoalHandle

from llm_ros import qos

# The answer to a goal takes a millisecond or so; after this long it is taken for lost.
ANSWER_WAIT_S = 3.0


class _ActionClient(ActionClient):
    """rclpy 9.1's, usable on a node that is being spun: its constructor shows itself to the executor, then makes its
    lock.
    """

    _lock = threading.Lock()


def action_client(node, action_type, name: str, group) -> ActionClient:
    """A client of an action, with queues as deep as our servers'."""
    return _ActionClient(
        node,
        action_type,
        name,
        callback_group=group,
        feedback_sub_qos_profile=qos.FEEDBACK,
        **qos.ACTION_SERVICES,
    )


class SentGoal:
    """See the module; thread-safe. `on_result`'s `response` has `status` and `result`; not `known`: the server never
    got the goal.
    """

    def __init__(self, client: ActionClient, goal, *, on_feedback, on_rejected, on_result):
        """Sends `goal`."""
        self._client = client
        self._on_rejected, self._on_result = on_rejected, on_result
        self._lock = threading.Lock()
        self._handle: ClientGoalHandle | None = None
        self._accepted = self._cancel_wanted = self._ended = False
        self._id = GoalInfo().goal_id
        self._id.uuid = list(uuid.uuid4().bytes)
        self._answer_by = time.monotonic() + ANSWER_WAIT_S
        sent = client.send_goal_async(
            goal, feedback_callback=lambda message: on_feedback(message.feedback), goal_uuid=self._id
        )
        sent.add_done_callback(self._answered)

    def _answered(self, future) -> None:
        handle = future.result()
        self._accepted = handle.accepted
        if not handle.accepted:
            self._on_rejected()
        elif self._ended:
            handle.cancel_goal_async()  # it was taken for lost, and nobody waits for it now
        else:
            self._follow(handle)

    def _follow(self, handle: ClientGoalHandle) -> None:
        with self._lock:
            if self._handle is not None:
                return
            self._handle = handle
            cancel = self._cancel_wanted
        handle.get_result_async().add_done_callback(self._got_result)
        if cancel:
            handle.cancel_goal_async()

    def _got_result(self, future) -> None:
        self._ended = True
        response = future.result()
        self._on_result(response, self._accepted or response.status != GoalStatus.STATUS_UNKNOWN)

    def look(self) -> None:
        """Asks the server for the goal's result if its answer is overdue."""
        if self._handle is None and time.monotonic() >= self._answer_by:
            self._follow(ClientGoalHandle(self._client, self._id, None))

    def cancel(self) -> None:
        """Asks the server to cancel, as soon as it has the goal; returns at once."""
        with self._lock:
            self._cancel_wanted = True
            handle = self._handle
        if handle is not None and not self._ended:
            handle.cancel_goal_async()
