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
from rclpy.executors import MultiThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from llm_core.errors import LLMCoreError
from llm_ros.spinning import SpinThread

# Callbacks are short and their work is elsewhere; the threads are for transitions that take long, and what goes on
# meanwhile.
EXECUTOR_THREADS = 4


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
    spinning = SpinThread(executor)
    if node.has_parameter("autostart") and node.get_parameter("autostart").value:
        threading.Thread(target=start, name="llm_ros.autostart", daemon=True).start()
    stop.wait()
    node.get_logger().info("stopping")
    node.close()
    if spinning.end():
        rclpy.try_shutdown()
    return 1 if failed.is_set() else 0
