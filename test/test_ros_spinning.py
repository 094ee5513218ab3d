"""The thread that spins: it ends wherever it is, and no callback ends it."""

import threading

import pytest
import rclpy
from rclpy.executors import MultiThreadedExecutor, SingleThreadedExecutor
from ros_helpers import DEADLINE_S, domain_for, release_domain
from std_msgs.msg import Empty

from llm_ros.client import connect
from llm_ros.spinning import SpinThread


@pytest.fixture
def node(request):
    context = rclpy.Context()
    rclpy.init(args=[], context=context, domain_id=domain_for(request.node.name))
    node = rclpy.create_node("spun", context=context)
    yield node
    node.destroy_node()
    rclpy.try_shutdown(context=context)
    release_domain(request.node.name)


@pytest.mark.parametrize("base", [SingleThreadedExecutor, MultiThreadedExecutor])
def test_it_ends_although_it_was_about_to_wait(node, base):
    about_to_wait, woken = threading.Event(), threading.Event()

    class Held(base):
        def get_nodes(self):  # what an executor asks between looking whether it goes on and waiting
            about_to_wait.set()
            woken.wait(DEADLINE_S)
            return super().get_nodes()

        def wake(self):
            super().wake()
            woken.set()

    executor = Held(context=node.context)
    executor.add_node(node)
    spinning = SpinThread(executor)
    assert about_to_wait.wait(DEADLINE_S)
    assert spinning.end(timeout=DEADLINE_S / 2)
    assert spinning.end()  # once more does no harm


@pytest.mark.parametrize("make", [SingleThreadedExecutor, MultiThreadedExecutor])
def test_it_goes_on_after_a_callback_that_fails(node, make):
    heard = threading.Semaphore(0)

    def fail(_):
        heard.release()
        raise ValueError("not today")

    node.create_subscription(Empty, "said", fail, 10)
    publisher = node.create_publisher(Empty, "said", 10)
    executor = make(context=node.context)
    executor.add_node(node)
    spinning = SpinThread(executor)
    for _ in range(3):
        publisher.publish(Empty())
        assert heard.acquire(timeout=DEADLINE_S)
    assert spinning.end()


@pytest.mark.parametrize("make", [SingleThreadedExecutor, MultiThreadedExecutor])
def test_a_callback_that_runs_on_is_told_and_waited_for(node, make):
    entered, leave = threading.Event(), threading.Event()

    def stay(_):
        entered.set()
        leave.wait(DEADLINE_S)

    node.create_subscription(Empty, "said", stay, 10)
    executor = make(context=node.context)
    executor.add_node(node)
    spinning = SpinThread(executor)
    node.create_publisher(Empty, "said", 10).publish(Empty())
    assert entered.wait(DEADLINE_S)
    assert not spinning.end(timeout=0.05)
    leave.set()
    assert spinning.end(timeout=DEADLINE_S)


def test_connections_come_and_go(request):
    for _ in range(10):
        with connect(domain_id=domain_for(request.node.name)) as node:
            assert node.context.ok()
        assert not node.context.ok()
    release_domain(request.node.name)
