"""An action server whose goals finish when somebody says so, instead of occupying an executor thread until they do.

In: an action type, `start(goal_handle)` called once per accepted goal, and `cancel(goal_handle)`. Out:
`finish(goal_handle, state, result)`, from any thread. rclpy's own way, an execute callback that awaits a future, makes
its executor poll the pending coroutine in a busy loop (rclpy 9.1: `Future.__await__` only yields), which would take a
core from the engine.
"""

from __future__ import annotations

from rclpy.action import ActionServer, CancelResponse
from rclpy.impl.implementation_singleton import rclpy_implementation

from llm_ros import qos

SUCCEED, ABORT, CANCELED = "succeed", "abort", "canceled"  # names of ServerGoalHandle methods


class DeferredActionServer(ActionServer):
    """Accepts every goal and hands it to `start`; who cannot serve it finishes it as aborted, with a reason in the
    result.
    """

    def __init__(self, node, action_type, name, start, cancel, **kwargs):
        """`start(goal_handle)` and `cancel(goal_handle)` must return soon; `cancel` only notes the wish."""
        self._start = start
        self._cancel = cancel
        super().__init__(
            node,
            action_type,
            name,
            self._unused_execute,
            cancel_callback=self._on_cancel,
            feedback_pub_qos_profile=qos.FEEDBACK,
            **qos.ACTION_SERVICES,
            **kwargs,
        )

    def _unused_execute(self, goal_handle):
        raise AssertionError("goals of this server are finished by finish()")

    def _on_cancel(self, goal_handle):
        self._cancel(goal_handle)
        return CancelResponse.ACCEPT

    def notify_execute(self, goal_handle, execute_callback):
        """Called by rclpy once a goal is marked as executing (with no callback), and by `finish` (with one)."""
        if execute_callback is None:
            self._start(goal_handle)
        else:
            super().notify_execute(goal_handle, execute_callback)

    def finish(self, goal_handle, state: str, result) -> None:
        """Ends the goal as `state` (SUCCEED, ABORT or CANCELED) with `result`. CANCELED needs a client's wish to
        cancel.
        """

        def close(handle):
            try:
                getattr(handle, state)()
            except rclpy_implementation.RCLError:
                # The client asked to cancel in the very moment the goal ended: canceling allows the other two ends, so
                # only CANCELED without the wish gets here.
                handle.abort()
            return result

        self.notify_execute(goal_handle, close)
