"""For tests over real DDS: a domain of its own for each, nodes in this process that a thread spins, waiting with
deadlines.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import tempfile
import threading
import time

import rclpy
from rclpy.executors import MultiThreadedExecutor

from llm_core.engine import Engine
from llm_ros.spinning import SpinThread

DEADLINE_S = 20.0


DOMAINS = range(1, 101)  # the ports of higher ones lie where the system takes ports from
_claimed: dict[str, tuple[int, object]] = {}
_turn = itertools.count(os.getpid())


def domain_for(name: str) -> int:
    """A ROS_DOMAIN_ID for a test that no other test of this machine has until `release_domain` or the process' end.

    They are given out in turn: a server that an earlier test left hanging is still seen in that test's domain.
    """
    if name not in _claimed:
        first = next(_turn)
        for i in range(len(DOMAINS)):
            domain = DOMAINS[(first + i) % len(DOMAINS)]
            claim = open(f"{tempfile.gettempdir()}/llm_ros_test_domain_{domain}", "w")  # noqa: SIM115
            try:
                fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                claim.close()
                continue
            _claimed[name] = domain, claim
            break
        else:
            raise RuntimeError(f"all of the {len(DOMAINS)} ROS domains for tests are in use")
    return _claimed[name][0]


def release_domain(name: str) -> None:
    """Lets other tests have the domain."""
    _, claim = _claimed.pop(name)
    claim.close()


def wait_until(condition, what: str, timeout: float = DEADLINE_S):
    """Returns condition()'s first true value; fails after `timeout` seconds. For what offers nothing to wait on."""
    end = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < end, f"{what}: not within {timeout} s"
        threading.Event().wait(0.01)
    return value


class Ros:
    """A context in a domain of its own, and everything that a test creates in it."""

    def __init__(self, name: str):
        os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
        self.name, self.domain = name, domain_for(name)
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=self.domain)
        self._stack = contextlib.ExitStack()

    def parameters(self, values: dict) -> list[str]:
        """Command line arguments for parameter overrides."""
        from json import dumps

        args = ["--ros-args"]
        for name, value in values.items():
            args += ["-p", f"{name}:={value if isinstance(value, str) and ':' in value else dumps(value)}"]
        return args

    def add(self, make, **values):
        """A node made by make(context=, cli_args=), spun in a thread until the test ends; `values`: its parameters."""
        overrides = {name.replace("__", "."): value for name, value in values.items()}
        node = make(context=self.context, cli_args=self.parameters(overrides) if overrides else None)
        return self.spin(node)

    def spin(self, node):
        """Spins the node in a thread until the test ends."""
        executor = MultiThreadedExecutor(4, context=self.context)
        executor.add_node(node)
        spinning = SpinThread(executor)

        def end():
            if hasattr(node, "close"):
                node.close()
            assert spinning.end(), f"a callback of {node.get_name()} still runs"
            node.destroy_node()

        self._stack.callback(end)
        return node

    def client_node(self, name: str = "test_client"):
        """A plain node for clients, spun."""
        return self.spin(rclpy.create_node(name, context=self.context))

    def close(self):
        """Ends everything, newest first."""
        self._stack.close()
        rclpy.try_shutdown(context=self.context)
        release_domain(self.name)


class FakeEngines:
    """`make_engine` for LLMNode: engines over the fake runner; keeps what it made, so that a test can reach in."""

    def __init__(self, **runner_options):
        self.options = runner_options
        self.made: list[Engine] = []
        self.runners: list = []
        self.fail: Exception | None = None

    def __call__(self, *, model, context, cpu, progress):
        from fake_runner import FakeRunner, fake_parts

        progress("pretending", 0.5)
        if self.fail is not None:
            raise self.fail
        runner = FakeRunner(n_ctx=context.n_ctx, **self.options)
        self.runners.append(runner)
        engine = Engine(
            fake_parts(runner), n_ctx=context.n_ctx, max_requests=context.max_requests, max_queue=context.max_queue
        )
        self.made.append(engine)
        return engine
