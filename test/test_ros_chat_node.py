"""chat_node over real DDS, with llm_node on the fake model, planner_node and the simulated robot."""

from __future__ import annotations

import threading
import time
from functools import partial

import pytest
from llm_ros.msg import ChatTurn, Execution, Outcome, Plan
from ros_helpers import DEADLINE_S, FakeEngines, Ros, wait_until
from test_ros_execution import Stubborn

from llm_ros.cli.main import main
from llm_ros.client import CallError, ChatClient
from llm_ros.nodes.chat_node import ChatNode
from llm_ros.nodes.llm_node import LLMNode
from llm_ros.nodes.mock_robot import MockRobot
from llm_ros.nodes.planner_node import PlannerNode
from llm_ros.qos import LATCHED

WORLD = """
rooms: [kitchen, den]
locations: {low_table: {room: kitchen, holds: fruits}, high_table: {room: den}}
object_categories: {fruits: {singular: fruit, objects: [apple, pear]}}
"""
SKILLS = """
skills:
  go_to: {args: {location: {type: location}}, duration: 4, timeout: 20}
  find_object: {args: {object: {type: object, free: true}}, duration: 4, timeout: 20}
  pick: {args: {object: {type: object, free: true}}, duration: 4, timeout: 20}
  place: {args: {object: {type: object, free: true}, location: {type: location}}, duration: 4, timeout: 20}
  find_person: {args: {person: {type: person, free: true}}}
  count: {args: {kind: {type: text}}}
  say: {args: {text: {type: text}}, retries: 0}
  open: {args: {object: {type: door, free: true}}, needs: [], safety: confirm}
"""
REPLIES = {"Who am I?": "You are Ada.", "How are you?": "I am fine."}


@pytest.fixture
def ros(request):
    ros = Ros(request.node.name)
    yield ros
    ros.close()


class House:
    """All nodes and a client; `turns` collects topic `chat`, `shown` topic `execution`."""

    def __init__(self, ros, tmp_path, mock=True, planner=True, replies=REPLIES, **values):
        (tmp_path / "world.yaml").write_text(WORLD)
        (tmp_path / "skills.yaml").write_text(SKILLS)
        files = dict(skills_file=str(tmp_path / "skills.yaml"), world_file=str(tmp_path / "world.yaml"))
        self.engines = FakeEngines(replies=replies)
        assert ros.add(partial(LLMNode, make_engine=self.engines)).start()
        self.mock = ros.add(MockRobot, **files, speed=100.0) if mock else None
        self.planner = ros.add(PlannerNode, **files, execution__server_wait=DEADLINE_S) if planner else None
        node = ros.client_node()
        self.shown, self.turns = [], []
        node.create_subscription(Execution, "execution", self.shown.append, LATCHED)
        self.client = ChatClient(node)
        self.client.listen(self.turns.append)
        values = {"sessions_folder": str(tmp_path / "chats"), "planner_timeout": DEADLINE_S, **values}
        self.node = ros.add(ChatNode, **values)
        assert self.node.start()
        self.client.wait_ready(DEADLINE_S)

    def say(self, text, session=""):
        """The result of a turn."""
        return self.client.chat(text, session_id=session).result(DEADLINE_S)

    def news(self, text):
        """Waits until the robot says by itself something that begins so."""
        return wait_until(
            lambda: next((t for t in self.turns if t.kind == ChatTurn.NEWS and t.text.startswith(text)), None), text
        )


def test_a_command_with_a_question_is_done_and_told(ros, tmp_path):
    house = House(ros, tmp_path)
    asked = house.say("Put the apple on the table")
    assert asked.turn.text == "Which table do you mean: low table or high table?" and asked.turn.asks
    assert list(asked.turn.choices) == ["low_table", "high_table"] and asked.plan.status == Plan.CLARIFY
    done = house.say("the one in the den")
    assert done.turn.kind == ChatTurn.TASK and done.turn.text.startswith(
        "All right: go to low table, find object apple"
    )
    assert done.plan.command == "Put the apple on the high table"
    house.news('Done: "Put the apple on the high table".')
    assert house.mock.house.places["apple"] == "high_table"
    told = house.say("How many fruits are on the high table?")  # what the robot says is told here, too
    assert told.plan.status == Plan.PLANNED
    assert "1" in house.news("The number of fruits").text
    house.news('Done: "How many')
    doing = house.say("What are you doing?").turn
    assert doing.text.startswith("I am not doing anything. The latest was") and doing.kind == ChatTurn.CONTROL
    roles = [turn.role for turn in house.turns]
    assert roles[:4] == ["user", "assistant", "user", "assistant"]


def test_talk_is_streamed_kept_and_forgotten(ros, tmp_path):
    house = House(ros, tmp_path)
    call = house.client.chat("How are you?", session_id="ada")
    assert "".join(call.text(DEADLINE_S)) == "I am fine."
    assert call.result(DEADLINE_S).turn.kind == ChatTurn.TALK
    assert house.node.trigger_deactivate() and house.node.trigger_cleanup() and house.node.start()  # from the files
    assert house.say("Who am I?", "ada").turn.text == "You are Ada."
    session = house.client.session("ada")
    assert [turn.text for turn in session.turns] == ["How are you?", "I am fine.", "Who am I?", "You are Ada."]
    assert list(session.sessions) == ["ada"] and all(turn.stamp.sec > 0 for turn in session.turns)
    assert list(house.client.session("ada", forget=True).sessions) == []
    with pytest.raises(CallError, match="'ada': there is no such conversation"):
        house.client.session("ada")


def test_a_conversation_on_the_command_line(ros, tmp_path, monkeypatch, capsys):
    house = House(ros, tmp_path)
    monkeypatch.setenv("ROS_DOMAIN_ID", str(ros.domain))

    def lines():
        yield "How are you?\n"
        yield "Go to the table\n"
        yield "the second\n"
        house.news("Done")
        wait_until(lambda: "* Done" in shown(), "it is told")

    printed = []

    def shown():
        printed.append(capsys.readouterr().out)
        return "".join(printed)

    monkeypatch.setattr("sys.stdin", Lines(lines()))
    assert main(["chat"]) == 0
    assert shown().splitlines() == [
        "> How are you?",
        "I am fine.",
        "> Go to the table",
        "Which table do you mean: low table or high table?",
        "> the second",
        "All right: go to high table.",
        '* Done: "Go to the high table".',
    ]
    said = [line.removeprefix("* ") for line in shown().splitlines()]
    assert main(["chat", "--history"]) == 0 and shown().splitlines()[7:] == said
    assert main(["chat", "--forget"]) == 0 and list(house.client.session().sessions) == []


class Lines:
    """A standard input that is no terminal."""

    def __init__(self, lines):
        self._lines = lines

    def isatty(self):
        return False

    def readline(self):
        return next(self._lines, "")


def test_stop_reaches_the_robot_within_a_tenth_of_a_second_while_the_model_is_at_it(ros, tmp_path):
    server = Stubborn(ros)
    house = House(ros, tmp_path, mock=False)
    house.say("Go to the kitchen")
    assert server.begun.wait(DEADLINE_S)
    second = house.say("Then also go to the den").turn.text
    assert second == 'I will do that after "Go to the kitchen": go to den.'
    wait_until(lambda: house.node._robot.view().status == Execution.RUNNING, "it is shown")
    doing = house.say("what are you doing?").turn.text
    assert doing.startswith('I am working on "Go to the kitchen", step 1 of 1: go to kitchen.')
    assert doing.endswith('Next: "Then also go to the den".')
    runner = house.engines.runners[0]
    runner.gate = threading.Event()
    talk = house.client.chat("How are you?")
    assert runner.held.wait(DEADLINE_S)  # the model is at work, and will not end before the gate opens
    wait_until(lambda: house.node._conversation._talking, "the model is asked")
    try:
        server.cancelled, asked = None, time.monotonic()
        stopped = house.client.chat("Stop!")
        wait_until(lambda: server.cancelled, "the robot is stopped")
        assert server.cancelled - asked < 0.1
        assert stopped.result(DEADLINE_S).turn.text == "Stopping."
    finally:
        runner.gate.set()
    with pytest.raises(CallError, match="interrupted by what was said next"):
        talk.result(DEADLINE_S)
    house.news('I have stopped "Go to the kitchen".')
    house.news('I have stopped "Then also go to the den".')
    assert wait_until(lambda: house.shown[-1].outcome.code, "the end is shown") == Outcome.CANCELED


def test_pause_go_on_and_a_yes(ros, tmp_path):
    server = Stubborn(ros)
    house = House(ros, tmp_path, mock=False)
    ros.add(MockRobot, skills_file=_without(tmp_path, "go_to"), world_file=str(tmp_path / "world.yaml"), speed=100.0)
    house.say("Go to the kitchen")
    assert server.begun.wait(DEADLINE_S)
    wait_until(lambda: house.node._robot.view().status == Execution.RUNNING, "it runs")
    server.begun.clear()
    assert house.say("Wait a moment").turn.text == "I wait."
    wait_until(lambda: house.node._robot.view().status == Execution.PAUSED, "it is paused")
    assert house.say("go on").turn.text == "I go on." and server.begun.wait(DEADLINE_S)
    house.say("stop")
    house.news("I have stopped")
    house.say("Open the box", "ada")
    question = house.news("May I open box?")
    assert question.asks and question.session_id == "ada"
    assert house.say("yes", "ada").turn.text == "All right."
    house.news('Done: "Open the box".')


def _without(tmp_path, skill):
    path = tmp_path / "fewer.yaml"
    lines = SKILLS.splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.startswith(f"  {skill}:")))
    return str(path)


def test_what_cannot_be_served_says_why(ros, tmp_path):
    house = House(ros, tmp_path, planner=False, mock=False, planner_timeout=0.2, max_chats=1)
    for text, session, words in (
        (" ", "", "text is empty"),
        ("hi", "../x", "session_id = '../x'"),
        ("hi", "", "no planner_node found within 0.2 s"),
    ):
        with pytest.raises(CallError, match=words) as caught:
            house.say(text, session)
        assert caught.value.status == "aborted"
    assert house.say("what are you doing?").turn.text == "I am not doing anything."
    assert house.node.trigger_deactivate()
    with pytest.raises(CallError, match="chat_node is inactive, not active"):
        house.say("hi")


def test_only_talk_without_a_planner_and_one_turn_at_a_time(ros, tmp_path):
    house = House(ros, tmp_path, planner=False, mock=False, planner_node="", max_chats=1)
    runner = house.engines.runners[0]
    runner.gate = threading.Event()
    talk = house.client.chat("How are you?")
    assert runner.held.wait(DEADLINE_S)
    with pytest.raises(CallError, match="1 turns are being answered, no more are taken"):
        house.say("hi", "other")
    talk.cancel()
    wait_until(lambda: all(job.stopped() for job in house.node._jobs._running), "the cancel has come")
    runner.gate.set()
    with pytest.raises(CallError) as caught:
        talk.result(DEADLINE_S)
    assert caught.value.status == "cancelled"
    assert house.say("How are you?").turn.text == "I am fine."
