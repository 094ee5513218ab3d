"""planner_node over real DDS, its llm_node on the fake model: plans, refusals, queueing, cancelling, reloading."""

from __future__ import annotations

import threading
from functools import partial
from types import SimpleNamespace

import pytest
from llm_ros.msg import Plan
from llm_ros.srv import Reload
from ros_helpers import DEADLINE_S, FakeEngines, Ros, wait_until

from llm_ros.adapters import PLAIN
from llm_ros.cli.main import main
from llm_ros.client import CallError, LLMClient, PlannerClient
from llm_ros.nodes.llm_node import LLMNode
from llm_ros.nodes.planner_node import PlannerNode
from llm_ros.params import ParameterError
from llm_ros.plan_conversions import plan_from_ros
from llm_ros.planner.rewrite import OTHERS
from llm_ros.qos import LATCHED
from llm_ros.share import config_file

COMMAND = "Go to the kitchen"
WORLD = "rooms: [kitchen, hall]\nlocations:\n  sink: {room: kitchen, placement: true}\n"


class Planning:
    """Both nodes, a client of the planner, and skill and world files of the test's own."""

    def __init__(self, ros, tmp_path, start_llm=True, **values):
        self.world = tmp_path / "world.yaml"
        self.world.write_text(WORLD)
        self.skills = tmp_path / "skills.yaml"
        self.skills.write_text(config_file("skills.yaml").read_text())
        self.engines = FakeEngines()
        self.llm = ros.add(partial(LLMNode, make_engine=self.engines))
        if start_llm:
            assert self.llm.start()
        self.node = ros.add(PlannerNode, skills_file=str(self.skills), world_file=str(self.world), **values)
        self.client_node = ros.client_node()
        self.client = PlannerClient(self.client_node)
        self.client.wait_ready(DEADLINE_S)


@pytest.fixture
def ros(request):
    ros = Ros(request.node.name)
    yield ros
    ros.close()


def test_a_plan_is_streamed_then_published_then_returned(ros, tmp_path):
    planning = Planning(ros, tmp_path)
    published, news = [], threading.Event()
    planning.client_node.create_subscription(Plan, "plan", lambda plan: (published.append(plan), news.set()), LATCHED)
    call = planning.client.plan(COMMAND)
    feedback = list(call)
    plan = call.result(DEADLINE_S).plan
    assert plan.status == Plan.PLANNED and plan.command == COMMAND and plan.duration > 0 and plan.stamp.sec > 0
    assert plan_from_ros(plan) == [{"skill": "go_to", "args": {"location": "kitchen"}}]
    steps = [step for message in feedback for step in message.steps]
    assert steps == list(plan.steps)[: len(steps)]
    assert news.wait(DEADLINE_S) and published == [plan]
    late, came = [], threading.Event()  # latched: who comes late hears it too
    ros.client_node("late").create_subscription(Plan, "plan", lambda plan: (late.append(plan), came.set()), LATCHED)
    assert came.wait(DEADLINE_S) and late == [plan]


def test_a_refusal_and_a_question_are_successes(ros, tmp_path):
    planning = Planning(ros, tmp_path)
    refused = planning.client.plan("Go to the moon").result(DEADLINE_S).plan
    assert (
        refused.status in (Plan.REFUSED, Plan.CLARIFY)
        and (refused.reason_code or refused.question)
        and not refused.steps
    )
    asked = planning.client.plan("...").result(DEADLINE_S).plan
    assert asked.status == Plan.CLARIFY and asked.question and plan_from_ros(asked) == {"clarify": asked.question}


def test_an_answer_continues_the_dialogue(ros, tmp_path):
    planning = Planning(ros, tmp_path, max_dialogues=2)
    planning.world.write_text(WORLD + "  low_table: {room: hall}\n  high_table: {room: kitchen}\n")
    planning.client.reload()

    def plan(*args, **options):
        return planning.client.plan(*args, **options).result(DEADLINE_S).plan

    asked = plan("Go to the table")
    assert (asked.status, asked.asks, asked.dialogue_id != "") == (Plan.CLARIFY, Plan.ASKS_PLACE, True)
    assert asked.choices == ["low_table", "high_table"] and not asked.steps
    again = plan("the purple one", dialogue_id=asked.dialogue_id)
    assert again.status == Plan.CLARIFY and again.dialogue_id == asked.dialogue_id and again.question != asked.question
    done = plan("the one in the kitchen", dialogue_id=asked.dialogue_id)
    assert (done.status, done.command, done.dialogue_id) == (Plan.PLANNED, "Go to the high table", "")
    assert plan_from_ros(done) == [{"skill": "go_to", "args": {"location": "high_table"}}]
    with pytest.raises(CallError, match=f"dialogue_id = '{asked.dialogue_id}': no such question is open"):
        plan("the first", dialogue_id=asked.dialogue_id)

    asked = plan("Go to the table")
    assert plan("never mind", dialogue_id=asked.dialogue_id).reason_code == "withdrawn"
    first, *_ = [plan("Go to the table").dialogue_id for _ in range(3)]
    with pytest.raises(CallError, match="no such question is open"):  # the oldest of three made room
        plan("the first", dialogue_id=first)


def test_at_a_terminal_plan_puts_the_question(ros, tmp_path, monkeypatch, capsys):
    planning = Planning(ros, tmp_path)
    planning.world.write_text(WORLD + "  low_table: {room: hall}\n  high_table: {room: kitchen}\n")
    planning.client.reload()
    monkeypatch.setenv("ROS_DOMAIN_ID", str(ros.domain))
    answers = iter(["the purple one", "in the kitchen"])
    monkeypatch.setattr("llm_ros.cli.plan.ask_person", lambda: next(answers))
    assert main(["plan", "Go to the table"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "question: Which table do you mean: low table or high table?",
        "question: That is none of them. Which table do you mean: low table or high table?",
        "1. go_to(location=high_table)",
    ]


def test_talk_is_told_from_tasks_if_the_goal_asks_for_it(ros, tmp_path):
    planning = Planning(ros, tmp_path)
    talk = planning.client.plan("How are you?", conversation=True).result(DEADLINE_S).plan
    assert talk.status == Plan.TALK and not talk.steps and not talk.question
    assert planning.client.plan(COMMAND, conversation=True).result(DEADLINE_S).plan.status == Plan.PLANNED


def test_bad_goals_are_aborted_with_the_reason(ros, tmp_path):
    planning = Planning(ros, tmp_path)
    for ask, expected in ((dict(command=" "), "command is empty"), (dict(command="x", deadline=-1.0), "deadline = -1")):
        with pytest.raises(CallError, match=expected):
            planning.client.plan(**ask).result(DEADLINE_S)
    long = planning.client.plan("go " * 2000).result(DEADLINE_S).plan
    assert long.status == Plan.REFUSED and long.reason_code == "too_long"


def test_goals_wait_in_order_and_can_be_cancelled_while_they_do(ros, tmp_path):
    planning = Planning(ros, tmp_path, start_llm=False, max_queue=2)  # planning waits for the llm_node
    first = planning.client.plan(COMMAND)
    wait_until(lambda: planning.node._current, "the first is being planned")
    second, third = planning.client.plan(COMMAND), planning.client.plan(COMMAND)
    wait_until(lambda: len(planning.node._waiting) == 2, "two are waiting")
    with pytest.raises(CallError, match="waiting, no more"):
        planning.client.plan(COMMAND).result(DEADLINE_S)
    second.cancel()
    assert second.wait(DEADLINE_S) and second.status == "cancelled" and not first.done()
    first.cancel()
    assert first.wait(DEADLINE_S) and first.status == "cancelled" and not third.done()
    assert planning.llm.start()
    assert third.result(DEADLINE_S).plan.status == Plan.PLANNED


def test_without_a_serving_llm_node_the_goal_is_aborted(ros, tmp_path):
    planning = Planning(ros, tmp_path, start_llm=False, llm_timeout=0.5)
    with pytest.raises(CallError, match="llm_node is unconfigured"):
        planning.client.plan(COMMAND).result(DEADLINE_S)


def test_a_deadline_ends_planning(ros, tmp_path):
    planning = Planning(ros, tmp_path, start_llm=False)
    with pytest.raises(CallError, match="deadline of 0.2 s"):
        planning.client.plan(COMMAND, deadline=0.2).result(DEADLINE_S)


def test_reload_takes_new_files_and_keeps_the_old_ones_if_they_are_broken(ros, tmp_path):
    planning = Planning(ros, tmp_path)

    def reload():
        return planning.client.call_service(Reload, "reload", Reload.Request(), DEADLINE_S)

    planning.world.write_text(WORLD.replace("hall", "library"))
    assert reload().success
    plan = planning.client.plan("Go to the library").result(DEADLINE_S).plan
    assert plan_from_ros(plan) == [{"skill": "go_to", "args": {"location": "library"}}]
    planning.world.write_text("rooms: 7\n")
    answer = reload()
    assert not answer.success and "world.yaml" in answer.error
    assert planning.client.plan("Go to the library").result(DEADLINE_S).plan.status == Plan.PLANNED


def test_files_are_checked_at_start(ros, tmp_path):
    with pytest.raises(ParameterError, match="nowhere.yaml"):
        PlannerNode(context=ros.context, cli_args=ros.parameters({"world_file": str(tmp_path / "nowhere.yaml")}))
    with pytest.raises(ParameterError, match="unknown parameter skills"):
        PlannerNode(context=ros.context, cli_args=ros.parameters({"skills": "x"}))


def test_a_planner_calls_the_llm_node_that_its_parameter_names(ros, tmp_path):
    planning = Planning(ros, tmp_path, llm_node="other_llm", llm_timeout=0.3)
    with pytest.raises(CallError, match="no other_llm found"):
        planning.client.plan(COMMAND).result(DEADLINE_S)
    assert LLMClient(planning.client_node).generate("x", max_tokens=2).result(DEADLINE_S)


LOOSE = "Alice is starving, she's in the bedroom and a pear would help"


def _info(name):
    return SimpleNamespace(name=name, scale=1.0, default=False)


class Remembering:
    """An engine on the fake model that says it has our adapter, and notes which requests name it."""

    def __init__(self, engine, adapters):
        self.engine, self.adapters, self.asked = engine, tuple(_info(name) for name in adapters), []
        self.drawn = []

    def submit(self, prompt, params, *, adapters, **rest):
        self.asked.append(tuple(adapters or ()))
        self.drawn.append((params.temperature > 0, params.seed))
        return self.engine.submit(prompt, params, **rest)

    def __getattr__(self, name):
        return getattr(self.engine, name)


@pytest.mark.parametrize(
    "rewrite, there, named",
    [
        ("auto", (PLAIN,), [(PLAIN,)] * (1 + OTHERS)),  # the fake model names nothing, so that others are drawn
        ("auto", ("another",), []),
        ("another", ("another",), [("another",)] * (1 + OTHERS)),
        ("model", (), [()]),
        ("off", (PLAIN,), []),
    ],
)
def test_an_unclear_command_goes_to_the_adapter_that_is_chosen(ros, tmp_path, rewrite, there, named):
    planning, made = Planning(ros, tmp_path, start_llm=False, rewrite=rewrite), []

    def make_engine(**config):
        made.append(Remembering(planning.engines(**config), there))
        return made[-1]

    planning.llm._make_engine = make_engine
    assert planning.llm.start()
    plan = planning.client.plan("Blorf the sink, it has been far too long").result(DEADLINE_S).plan
    assert plan.status != Plan.PLANNED
    assert made[0].asked == named
    assert [seed for hot, seed in made[0].drawn if hot] == list(range(OTHERS))[: max(0, len(named) - 1)]
    assert [one.name for one in LLMClient(planning.client_node).model_info(DEADLINE_S).lora] == list(there)


def test_loose_commands_are_planned_by_the_default_model_with_our_adapter(ros, default_model_path):
    llm = ros.add(LLMNode, model__name=str(default_model_path), context__n_ctx=2048)
    assert llm.start()
    ros.add(PlannerNode)
    node = ros.client_node()
    client = PlannerClient(node)
    client.wait_ready(DEADLINE_S)
    assert [one.name for one in LLMClient(node).model_info(DEADLINE_S).lora] == [PLAIN]
    plan = client.plan(LOOSE).result(60.0).plan
    assert plan.status == Plan.PLANNED
    assert plan_from_ros(plan)[-1] == {"skill": "hand_over", "args": {"object": "pear", "person": "alice"}}
    assert client.plan("Bring me the sofa").result(DEADLINE_S).plan.status == Plan.REFUSED
    assert client.plan("If it rains, close the front door").result(DEADLINE_S).plan.status == Plan.CLARIFY


def test_an_empty_rewrite_is_an_error(ros, tmp_path):
    with pytest.raises(ParameterError, match="rewrite = ''"):
        ros.add(PlannerNode, rewrite="")
