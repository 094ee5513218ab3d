"""What clients of nodes are made of: one goal of an action from sending to result (`Call`), one node that is called
(`Remote`).

Nothing here spins, so it can be used in any node; what blocks must not be called inside a callback (there:
`on_feedback`, `on_done`).
"""

from __future__ import annotations

import queue
import threading
import time

from action_msgs.msg import GoalStatus
from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
from rclpy.action import ActionClient
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup

from llm_core.errors import LLMCoreError
from llm_ros import qos
from llm_ros.goals import SentGoal, action_client

STATES = {
    GoalStatus.STATUS_SUCCEEDED: "succeeded",
    GoalStatus.STATUS_CANCELED: "cancelled",
    GoalStatus.STATUS_ABORTED: "aborted",
}


# How often a call that hears nothing looks whether its server is still there.
LOOK_EVERY_S = 1.0


class CallError(LLMCoreError):
    """A call that did not succeed.

    `status`: "rejected", "aborted", "cancelled", "timeout", "lost" (the server went away) or "unavailable" (there is
    none); `result`: the result message, where one came.
    """

    def __init__(self, message: str, status: str, result=None):
        super().__init__(message)
        self.status = status
        self.result = result


class Call:
    """One goal of an action, from sending to result. Iterate it for its feedback messages; thread-safe."""

    def __init__(self, client: ActionClient, goal, *, server: str, on_feedback=None, on_done=None):
        """Sends `goal`. `on_feedback(feedback)` and `on_done(call)` run in the node's executor, if given."""
        self._client, self._server = client, server
        self._feedback = queue.SimpleQueue()
        self._on_feedback, self._on_done = on_feedback, on_done
        self._done = threading.Event()
        self._lock = threading.Lock()
        self.status = "sent"
        self.error = ""
        self._result = None
        self._goal = SentGoal(
            client, goal, on_feedback=self._got_feedback, on_rejected=self._rejected, on_result=self._got_result
        )

    def _got_feedback(self, feedback):
        self._feedback.put(feedback)
        if self._on_feedback:
            self._on_feedback(feedback)

    def _rejected(self):
        self._finish("rejected", f"{self._server} rejected the goal", None)

    def _got_result(self, response, known):
        status = STATES.get(response.status)
        error = getattr(response.result, "error", "")
        if status is None:
            why = "no longer knows the goal" if known else "never got the goal"
            status, error = "aborted" if known else "lost", f"{self._server} {why}"
        self._finish(status, error, response.result)

    def _finish(self, status, error, result):
        with self._lock:
            if self._done.is_set():
                return
            self.status, self.error, self._result = status, error, result
            self._done.set()
        self._feedback.put(None)
        if self._on_done:
            self._on_done(self)

    def __iter__(self):
        """Feedback messages until the goal ends."""
        return self.feedback()

    def feedback(self, timeout: float | None = None):
        """Like iterating, with a limit in seconds on the whole. Raises CallError (status "timeout") and cancels the
        goal.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            try:
                feedback = self._feedback.get(timeout=self._patience(end))
            except queue.Empty:
                self._look_around(end, timeout)
                continue
            if feedback is None:
                self._feedback.put(None)  # so that a second iteration ends too
                return
            yield feedback

    def done(self) -> bool:
        """Whether the goal has ended."""
        return self._done.is_set()

    def result(self, timeout: float | None = None):
        """The result message. Raises CallError if the goal was rejected, aborted, cancelled, lost or takes longer than
        `timeout` s.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while not self._done.wait(self._patience(end)):
            self._look_around(end, timeout)
        if self.status != "succeeded":
            raise CallError(self.error or f"{self._server}: the goal was {self.status}", self.status, self._result)
        return self._result

    @staticmethod
    def _patience(end):
        return LOOK_EVERY_S if end is None else min(LOOK_EVERY_S, max(0.0, end - time.monotonic()))

    def _look_around(self, end, timeout):
        """After a while without news: is the time up, is the server still there? ROS does not tell."""
        if end is not None and time.monotonic() >= end and not self._done.is_set():
            self.cancel()
            raise CallError(f"{self._server} gave no result within {timeout:g} s", "timeout", self._result)
        self.look()

    def look(self) -> None:
        """For who neither iterates nor waits for the result: ends the call if its server has gone away."""
        if not self._client.server_is_ready():
            self._finish("lost", f"{self._server} went away", None)
        self._goal.look()

    @property
    def ending(self):
        """The result message, however the goal ended; None before, and if none came."""
        return self._result

    def cancel(self) -> None:
        """Asks the server to cancel; returns at once. The goal then ends with status "cancelled"."""
        if not self._done.is_set():
            self._goal.cancel()

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until the goal has ended; False if it has not within `timeout` seconds."""
        return self._done.wait(timeout)


class Generation(Call):
    """A Call that generates text. `piece`: the new text of a feedback message; `whole`: the text of the result."""

    @staticmethod
    def piece(feedback) -> str:
        return feedback.partial_response.text

    @staticmethod
    def whole(result) -> str:
        return result.response.text

    def text(self, timeout: float | None = None):
        """The text in pieces as it comes; joined they are the result's text. Raises CallError as `result` does."""
        seen = ""
        for feedback in self if timeout is None else self.feedback(timeout):
            seen += self.piece(feedback)
            if self.piece(feedback):
                yield self.piece(feedback)
        whole = self.whole(self._result) if self._result is not None else seen
        # Feedback and result travel separately: the result may overtake the last pieces.
        if whole.startswith(seen) and len(whole) > len(seen):
            yield whole[len(seen) :]
        self.result(timeout=0)


class Remote:
    """A node that is called: waiting for it, calling its services, its actions."""

    def __init__(self, node, server: str):
        self._node = node
        self.server = server
        self._group = MutuallyExclusiveCallbackGroup()
        self._lock = threading.Lock()
        self._service_clients = {}
        self._action_clients = []

    def _action(self, action_type, name):
        client = action_client(self._node, action_type, f"{self.server}/{name}", MutuallyExclusiveCallbackGroup())
        self._action_clients.append(client)
        return client

    def call_service(self, service_type, name: str, request, timeout: float):
        """The response of service `<server>/<name>`. Raises CallError ("unavailable" or "timeout")."""
        key = (service_type, name)
        with self._lock:
            if key not in self._service_clients:
                self._service_clients[key] = self._node.create_client(
                    service_type, f"{self.server}/{name}", qos_profile=qos.SERVICES, callback_group=self._group
                )
            client = self._service_clients[key]
        end = time.monotonic() + timeout
        if not client.wait_for_service(timeout):
            raise CallError(f"no {self.server} found within {timeout:g} s", "unavailable")
        done = threading.Event()
        future = client.call_async(request)
        future.add_done_callback(lambda _: done.set())
        if not done.wait(max(0.0, end - time.monotonic())):
            client.remove_pending_request(future)
            raise CallError(f"{self.server}/{name} did not answer within {timeout:g} s", "timeout")
        return future.result()

    @staticmethod
    def _checked(answer):
        if not answer.success:
            raise CallError(answer.error, "aborted", answer)
        return answer

    def _wait_for_action(self, client: ActionClient, timeout: float):
        if not client.wait_for_server(timeout):
            raise CallError(f"no {self.server} found within {timeout:g} s", "unavailable")

    def destroy(self) -> None:
        """Frees the ROS entities."""
        for client in self._service_clients.values():
            self._node.destroy_client(client)
        for client in self._action_clients:
            client.destroy()


class LifecycleRemote(Remote):
    """A lifecycle node that is called."""

    def wait_ready(self, timeout: float, on_state=None, cancelled=lambda: False) -> None:
        """Waits until the node is active and its actions are found. `on_state(label)` hears of every change. Raises
        CallError ("unavailable").

        `cancelled()`: asked a few times a second; when true, waiting ends with CallError ("cancelled").
        """
        end, label = time.monotonic() + timeout, None
        while label != "active":
            left = end - time.monotonic()
            if cancelled():
                raise CallError(f"cancelled while waiting for {self.server}", "cancelled")
            if left <= 0:
                state = f"{self.server} is {label}, not active" if label else f"no {self.server} found"
                raise CallError(f"{state} within {timeout:g} s", "unavailable")
            try:
                now = self.call_service(GetState, "get_state", GetState.Request(), min(left, 0.5)).current_state
            except CallError:
                continue
            if now.label != label:
                label = now.label
                if on_state:
                    on_state(label)
            if now.id == State.PRIMARY_STATE_FINALIZED:
                raise CallError(f"{self.server} has shut down", "unavailable")
            if label != "active":
                time.sleep(min(0.1, max(0.0, end - time.monotonic())))
        for client in self._action_clients:
            self._wait_for_action(client, max(0.0, end - time.monotonic()))
