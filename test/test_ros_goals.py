"""Goals whose answers get lost, over real DDS: servers that drop what they should take or send."""

from __future__ import annotations

import threading

import pytest
from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
from llm_ros.action import ExecuteSkill, GenerateChatCompletions, GenerateResponse
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from ros_helpers import DEADLINE_S, Ros, wait_until
from test_ros_execution import Robot, Stubborn, step

from llm_ros import calls, goals
from llm_ros.calls import Call, CallError
from llm_ros.client import LLMClient
from llm_ros.nodes.action_server import ABORT, CANCELED, SUCCEED, DeferredActionServer


@pytest.fixture
def ros(request, monkeypatch):
    monkeypatch.setattr(goals, "ANSWER_WAIT_S", 0.1)
    monkeypatch.setattr(calls, "LOOK_EVERY_S", 0.05)
    ros = Ros(request.node.name)
    yield ros
    ros.close()


class Dropping:
    """rcl's action server, but for what `drop` names."""

    def __init__(self, handle, drop):
        self._handle, self._drop = handle, drop

    def __getattr__(self, name):
        real = getattr(self._handle, name)
        if name != self._drop:
            return real
        if name == "send_goal_response":
            return lambda *_: None

        def take(*args):
            real(*args)
            return None, None

        return take


class Server:
    """An action server that drops `drop`; what it gets ends when `finish` is called."""

    def __init__(self, ros, drop):
        self.begun, self.cancelled = threading.Event(), threading.Event()
        node = ros.client_node("dropping")
        self._server = DeferredActionServer(node, GenerateResponse, "do", self._start, lambda _: self.cancelled.set())
        self._server._handle = Dropping(self._server._handle, drop)
        client = ros.client_node()
        self._client = goals.action_client(client, GenerateResponse, "do", MutuallyExclusiveCallbackGroup())
        assert self._client.wait_for_server(DEADLINE_S)

    def _start(self, handle):
        self._goal = handle
        self.begun.set()

    def call(self):
        return Call(self._client, GenerateResponse.Goal(), server="do")

    def finish(self, how, error=""):
        self._server.finish(self._goal, how, GenerateResponse.Result(error=error))


@pytest.mark.parametrize("how, status", [(SUCCEED, "succeeded"), (ABORT, "aborted")])
def test_a_lost_answer_costs_a_moment_not_the_result(ros, how, status):
    server = Server(ros, "send_goal_response")
    call = server.call()
    ended = threading.Thread(target=lambda: list(call))
    ended.start()
    assert server.begun.wait(DEADLINE_S)
    wait_until(lambda: call._goal._handle is not None, "the result is asked for")
    server.finish(how, "why")
    ended.join(DEADLINE_S)
    assert call.status == status and call.error == "why"


def test_a_goal_whose_answer_is_lost_can_be_cancelled(ros):
    server = Server(ros, "send_goal_response")
    call = server.call()
    call.cancel()
    ended = threading.Thread(target=lambda: list(call))
    ended.start()
    assert server.cancelled.wait(DEADLINE_S)
    server.finish(CANCELED)
    ended.join(DEADLINE_S)
    assert call.status == "cancelled"


def test_a_goal_that_never_arrives_is_lost(ros):
    call = Server(ros, "take_goal_request").call()
    with pytest.raises(CallError, match="do never got the goal") as caught:
        call.result(DEADLINE_S)
    assert caught.value.status == "lost"


def test_an_answer_that_comes_after_all_cancels_the_goal_nobody_waits_for(ros):
    server = Server(ros, "take_goal_request")
    call = server.call()
    with pytest.raises(CallError, match="never got the goal"):
        call.result(DEADLINE_S)
    server._server._handle._drop = None
    asked = threading.Event()
    late = type("Late", (), {"accepted": True, "cancel_goal_async": lambda _: asked.set()})()
    call._goal._answered(type("Future", (), {"result": lambda _: late})())
    assert asked.is_set() and call.status == "lost"


def test_a_step_goes_on_after_a_lost_answer(ros, tmp_path):
    server = Stubborn(ros)
    server._server._handle = Dropping(server._server._handle, "send_goal_response")
    call = Robot(ros, tmp_path).client.execute([step("go_to", location="den")])
    assert server.begun.wait(DEADLINE_S)
    server._server.finish(server.handle, SUCCEED, ExecuteSkill.Result(success=True))
    report = call.result(DEADLINE_S).steps[0]
    assert report.attempts == 1 and call.status == "succeeded"


def test_a_node_is_ready_when_its_actions_are_found_too(ros):
    node = ros.client_node("half_there")
    active = State(id=State.PRIMARY_STATE_ACTIVE, label="active")
    node.create_service(GetState, "half_there/get_state", lambda _, answer: GetState.Response(current_state=active))
    client = LLMClient(ros.client_node(), "half_there")
    with pytest.raises(CallError, match="no half_there found within"):
        client.wait_ready(0.3)
    servers = [
        DeferredActionServer(node, kind, f"half_there/{name}", lambda _: None, lambda _: None)
        for kind, name in (
            (GenerateResponse, "generate_response"),
            (GenerateChatCompletions, "generate_chat_completions"),
        )
    ]
    client.wait_ready(DEADLINE_S)
    assert len(servers) == 2
