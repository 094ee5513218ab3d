"""Plans carried out over real DDS: planner_node, the mock robot and servers that misbehave."""

from __future__ import annotations

import threading
import time
from functools import partial

import pytest
from llm_ros.action import ExecuteSkill
from llm_ros.msg import Execution, Outcome, PlanArg, PlanStep, StepReport
from ros_helpers import DEADLINE_S, FakeEngines, Ros, wait_until

from llm_ros.client import CallError, PlannerClient
from llm_ros.nodes.action_server import CANCELED, DeferredActionServer
from llm_ros.nodes.llm_node import LLMNode
from llm_ros.nodes.mock_robot import MockRobot
from llm_ros.nodes.planner_node import PlannerNode
from llm_ros.params import ParameterError
from llm_ros.qos import LATCHED

WORLD = """
rooms: [kitchen, den]
locations: {table: {room: kitchen, holds: fruits}, shelf: {room: den}}
object_categories: {fruits: {singular: fruit, objects: [apple, pear]}}
"""
SKILLS = """
skills:
  go_to: {args: {location: {type: location}}, duration: 4, timeout: 5, retries: 1}
  find_object: {args: {object: {type: object, free: true}}, duration: 4, timeout: 5, retries: 1}
  pick: {args: {object: {type: object, free: true}}, duration: 4, timeout: 5, retries: 1}
  place: {args: {object: {type: object, free: true}, location: {type: location}}, duration: 4, timeout: 5, retries: 1}
  say: {args: {text: {type: text}}, retries: 0}
  open: {args: {object: {type: door, free: true}}, needs: [], safety: confirm}
"""


@pytest.fixture
def ros(request):
    ros = Ros(request.node.name)
    yield ros
    ros.close()


class Robot:
    """planner_node, a client, and on request a mock robot; `shown` collects topic `execution`."""

    def __init__(self, ros, tmp_path, skills=SKILLS, mock=None, **values):
        (tmp_path / "world.yaml").write_text(WORLD)
        (tmp_path / "skills.yaml").write_text(skills)
        files = dict(skills_file=str(tmp_path / "skills.yaml"), world_file=str(tmp_path / "world.yaml"))
        self.mock = ros.add(MockRobot, **files, **{"speed": 100.0, **mock}) if mock is not None else None
        self.node = ros.add(PlannerNode, **files, **{"execution__server_wait": DEADLINE_S, **values})
        client = ros.client_node()
        self.client, self.shown = PlannerClient(client), []
        client.create_subscription(Execution, "execution", self.shown.append, LATCHED)
        self.client.wait_ready(DEADLINE_S)


def step(skill, **args):
    return PlanStep(skill=skill, args=[PlanArg(name=name, value=value) for name, value in args.items()])


def fetch():
    return [step("pick", object="apple"), step("place", object="apple", location="shelf")]


def failed(call):
    """The result of a goal that must not succeed."""
    with pytest.raises(CallError) as caught:
        call.result(DEADLINE_S)
    assert caught.value.result is not None and caught.value.result.error == str(caught.value)
    return caught.value.result


def test_a_plan_is_repaired_carried_out_and_shown(ros, tmp_path):
    robot = Robot(ros, tmp_path, mock={})
    call = robot.client.execute(fetch(), command="Put the apple on the shelf")
    feedback = list(call)
    result = call.result(DEADLINE_S)
    assert result.outcome.code == Outcome.SUCCEEDED and robot.mock.house.places["apple"] == "shelf"
    assert [report.step.skill for report in result.steps] == ["go_to", "find_object", "pick", "go_to", "place"]
    assert all(report.status == StepReport.DONE and report.attempts == 1 for report in result.steps)
    assert any(message.step.status == StepReport.RUNNING and message.time_left > 0 for message in feedback)
    wait_until(lambda: robot.shown and robot.shown[-1].outcome.code == Outcome.SUCCEEDED, "the end is shown")
    assert robot.shown[-1].status == Execution.IDLE and robot.shown[-1].command == "Put the apple on the shelf"


def test_a_command_is_planned_and_carried_out(ros, tmp_path):
    robot = Robot(ros, tmp_path, mock={})
    assert ros.add(partial(LLMNode, make_engine=FakeEngines())).start()
    result = robot.client.plan("Go to the den", execute=True).result(DEADLINE_S)
    assert result.outcome.code == Outcome.SUCCEEDED and robot.mock.house.at == "den"
    assert [report.step for report in result.reports] == list(result.plan.steps)
    refused = robot.client.plan("Go to the moon", execute=True).result(DEADLINE_S)
    assert refused.outcome.code == Outcome.UNKNOWN and not refused.reports


@pytest.mark.parametrize("kind", ["fail", "slip", "reject", "crash", "lost", "late"])
def test_faults_are_overcome(ros, tmp_path, kind):
    robot = Robot(ros, tmp_path, mock=dict(failing="go_to=0.5,pick=0.5", kinds=kind, seed=2))
    result = robot.client.execute(fetch()).result(DEADLINE_S)
    assert robot.mock.house.places["apple"] == "shelf"
    assert kind == "late" or sum(report.attempts for report in result.steps) > 5


def test_a_result_that_never_comes_is_a_timeout(ros, tmp_path):
    skills = SKILLS.replace("duration: 4, timeout: 5, retries: 1", "duration: 0.1, timeout: 0.2, retries: 0")
    robot = Robot(ros, tmp_path, skills, mock=dict(failing="go_to=1.0", kinds="hang"))
    result = failed(robot.client.execute([step("go_to", location="den")]))
    assert result.outcome.code == Outcome.TIMEOUT and "go to den: no result within 0.2 s" in result.error
    assert result.steps[-1].step.skill == "say"  # the person is told


def test_a_missing_server_and_a_missing_type_name_themselves(ros, tmp_path):
    skills = SKILLS + "  fly: {action: {name: /fly, type: nasa_msgs/action/Fly}}\n"
    robot = Robot(ros, tmp_path, skills, execution__server_wait=0.1)
    result = failed(robot.client.execute([step("go_to", location="den")]))
    assert result.outcome.code == Outcome.EXECUTION and "no server skills/go_to found within 0.1 s" in result.error
    result = failed(robot.client.execute([step("fly")]))
    assert result.outcome.code == Outcome.INVALID
    assert "skill fly: nasa_msgs/action/Fly is not installed" in result.error
    result = failed(robot.client.execute([]))
    assert result.outcome.code == Outcome.INVALID and "steps: 1 to 200 are wanted, got 0" in result.error


class Stubborn:
    """A server of go_to that does nothing until it is cancelled; notes when."""

    def __init__(self, ros):
        self.begun, self.cancelled = threading.Event(), None
        node = ros.client_node("stubborn")
        self._server = DeferredActionServer(node, ExecuteSkill, "skills/go_to", self._start, self._cancel)

    def _start(self, handle):
        self.handle = handle
        self.begun.set()

    def _cancel(self, handle):
        self.cancelled = time.monotonic()
        self._server.finish(handle, CANCELED, ExecuteSkill.Result())


def test_cancel_and_pause_reach_the_robot_within_a_tenth_of_a_second(ros, tmp_path):
    server = Stubborn(ros)
    robot = Robot(ros, tmp_path)
    call = robot.client.execute([step("go_to", location="den")])
    assert server.begun.wait(DEADLINE_S)
    wait_until(lambda: robot.node._execution._current.run is not None, "it runs")
    server.begun.clear()
    asked = time.monotonic()
    assert robot.client.pause().success
    wait_until(lambda: server.cancelled, "the robot is stopped")
    assert server.cancelled - asked < 0.1
    wait_until(lambda: robot.shown[-1].status == Execution.PAUSED, "it is shown")
    again = robot.client.pause()
    assert not again.success and again.error == "it is paused already"
    assert robot.client.pause(False).success and server.begun.wait(DEADLINE_S)
    server.cancelled, asked = None, time.monotonic()
    call.cancel()
    wait_until(lambda: server.cancelled, "the robot is stopped")
    assert server.cancelled - asked < 0.1
    assert failed(call).outcome.code == Outcome.CANCELED and call.status == "cancelled"
    assert robot.client.pause().error == "nothing is being carried out"


@pytest.mark.parametrize("accept", [True, False])
def test_a_person_is_asked(ros, tmp_path, accept):
    robot = Robot(ros, tmp_path, mock={})
    call = robot.client.execute([step("open", object="box")])
    wait_until(lambda: robot.shown and robot.shown[-1].question, "the question is shown")
    shown = robot.shown[-1]
    assert shown.status == Execution.CONFIRM and shown.question == "May I open box?"
    assert not robot.client.confirm(shown.confirm_id + 1, True).success
    assert robot.client.confirm(shown.confirm_id, accept).success
    if accept:
        assert call.result(DEADLINE_S).outcome.code == Outcome.SUCCEEDED and robot.mock.house.open == {"box": True}
    else:
        assert failed(call).outcome.code == Outcome.CANCELED and not robot.mock.house.open


def test_any_action_and_any_service_by_name(ros, tmp_path):
    skills = SKILLS + (
        "  think:\n    args: {about: {type: text}}\n"
        "    action: {name: llm_node/generate_response, type: llm_ros/action/GenerateResponse}\n"
        "    goal: {prompt: About $about, sampling_config: {max_tokens: 3, seed: 1}}\n"
        "    result: {success: response.usage.completion_tokens == 3, text: response.usage.completion_tokens}\n"
        "  spell:\n    args: {what: {type: text}}\n"
        "    service: {name: llm_node/tokenize, type: llm_ros/srv/Tokenize}\n"
        "    goal: {text: $what, add_special: false}\n"
        "    result: {success: success, message: error, text: success}\n"
        "  wrong:\n    service: {name: llm_node/tokenize, type: llm_ros/srv/Tokenize}\n    goal: {txt: 1}\n"
    )
    robot = Robot(ros, tmp_path, skills, mock={})
    assert ros.add(partial(LLMNode, make_engine=FakeEngines())).start()
    steps = [step("think", about="tea"), step("spell", what="abc"), step("say", text="{result}")]
    result = robot.client.execute(steps).result(DEADLINE_S)
    assert [report.text for report in result.steps[:2]] == ["3", "True"] and robot.mock.house.said == ["True"]
    result = failed(robot.client.execute([step("wrong")]))
    assert result.outcome.code == Outcome.INVALID and "goal.txt: Tokenize_Request has no such field" in result.error


def test_wrong_parameters_of_the_mock_robot_name_themselves(ros):
    for values, words in ((dict(kinds="explode"), "explode"), (dict(failing="pick"), "failing = 'pick'")):
        with pytest.raises(ParameterError, match=words):
            MockRobot(context=ros.context, cli_args=ros.parameters(values))
