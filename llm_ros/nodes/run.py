"""Runs a node as a process: parameters from the command line, an executor that outlives a failing callback, a clean
end.

Exit codes: 0 after Ctrl-C or SIGTERM, 2 for parameters that cannot be used (one `error:` line), 1 if an autostart
failed.
"""

from __future__ import annotations

import signal
import sys
import threading

import rclpy
from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor, ShutdownException
from rclpy.signals import SignalHandlerOptions

from llm_core.errors import LLMCoreError

# Callbacks are short and their work is elsewhere; the threads are for transitions that take long, and what goes on
# meanwhile.
EXECUTOR_THREADS = 4


def spin(executor) -> None:
    """Spins until the executor or its context is shut down. A callback that raises is logged and harms nobody else."""
    while True:
        try:
            executor.spin()
            return
        except (ExternalShutdownException, ShutdownException):
            return
        except Exception as error:
            for node in executor.get_nodes():
                node.get_logger().error(f"a callback failed: {type(error).__name__}: {error}")


def run_node(make_node, args=None) -> int:
    """Creates the node, spins it, closes it; `node.start()` first if its parameter `autostart` says so. Returns the
    exit code.
    """
    # The main thread only waits for signals, so that a Ctrl-C finds a context that can still tell the clients.
    stop = threading.Event()
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        node = make_node()
    except LLMCoreError as error:
        print(f"error: {error}", file=sys.stderr)
        rclpy.try_shutdown()
        return 2
    failed = threading.Event()

    def start():
        if not node.start():
            failed.set()
            stop.set()

    executor = MultiThreadedExecutor(EXECUTOR_THREADS)
    executor.add_node(node)
    spinning = threading.Thread(target=spin, args=(executor,), name="llm_ros.spin", daemon=True)
    spinning.start()
    if node.has_parameter("autostart") and node.get_parameter("autostart").value:
        threading.Thread(target=start, name="llm_ros.autostart", daemon=True).start()
    stop.wait()
    node.get_logger().info("stopping")
    node.close()
    executor.shutdown(timeout_sec=5.0)
    rclpy.try_shutdown()
    spinning.join(timeout=5.0)
    return 1 if failed.is_set() else 0
