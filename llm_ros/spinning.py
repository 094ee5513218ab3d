"""Spins an executor in a thread of its own, and ends it so that nothing is waited for in vain."""

from __future__ import annotations

import threading

from rclpy.executors import ExternalShutdownException, ShutdownException
from rclpy.task import Future


class SpinThread:
    """Spins `executor` until `end()`, or until its context is shut down.

    A callback that raises is logged and harms nobody else. `Executor.shutdown` alone cannot end a spinning thread
    safely: it destroys the guard condition that wakes the thread, and a thread that was between looking whether it goes
    on and waiting then waits for ever, on entities that are destroyed beneath it. Here the thread is woken by a future
    while all of them still exist, and shuts the executor down itself.
    """

    def __init__(self, executor, name: str = "llm_ros.spin"):
        self._executor = executor
        self._ended = Future()
        self._thread = threading.Thread(target=self._spin, name=name, daemon=True)
        self._thread.start()

    def _spin(self) -> None:
        while not self._ended.done():
            try:
                self._executor.spin_until_future_complete(self._ended)
                break
            except (ExternalShutdownException, ShutdownException):
                break
            except Exception as error:
                for node in self._executor.get_nodes():
                    node.get_logger().error(f"a callback failed: {type(error).__name__}: {error}")
        self._executor.shutdown()  # waits for the callbacks in its other threads

    def end(self, timeout: float = 5.0) -> bool:
        """Stops spinning and shuts the executor down; False if a callback still runs after `timeout` seconds.

        Neither the node nor its context may be destroyed then.
        """
        if not self._ended.done():
            self._ended.set_result(None)
        self._thread.join(timeout)
        return not self._thread.is_alive()


__all__ = ["SpinThread"]
