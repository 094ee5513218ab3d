"""`llm-ros` as a user meets it: bad input, nobody there, and the whole main job with the real default model over real
DDS.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading

import pytest
from llm_ros.msg import Plan, Response
from ros_helpers import Ros, domain_for

from llm_core.catalog import DEFAULT_MODEL
from llm_ros.client import LLMClient, PlannerClient

COMMAND = "Bring me a glass of water from the kitchen"


def environment(name):
    """The process environment of a test: a domain of its own on this machine."""
    return os.environ | {"ROS_DOMAIN_ID": str(domain_for(name)), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}


def llm_ros(*args, name, timeout=60):
    """The finished process of `llm-ros ARGS`."""
    return subprocess.run(
        [sys.executable, "-m", "llm_ros.cli.main", *args],
        env=environment(name),
        timeout=timeout,
        capture_output=True,
        text=True,
    )


@contextlib.contextmanager
def running_up(*args, name):
    """`llm-ros up ARGS` while the body runs with (a Ros in its domain, the lines it has printed); Ctrl-C ends it, with
    code 0."""
    up = subprocess.Popen(
        [sys.executable, "-m", "llm_ros.cli.main", "up", *args],
        env=environment(name),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    log = []
    reader = threading.Thread(target=lambda: log.extend(up.stdout))
    reader.start()
    ros = Ros(name)
    try:
        yield ros, log
    finally:
        ros.close()
        up.send_signal(signal.SIGINT)
        code = up.wait(30)
        reader.join(10)
    assert code == 0, "".join(log)


@pytest.mark.parametrize(
    "args, expected",
    [
        ((), "a command is missing"),
        (("dance",), "'dance' is not a command"),
        (("chat", " "), "the text is empty"),
        (("chat", "hi", "--list"), "--history, --forget and --list take no text"),
        (("ask",), "question"),
        (("ask", "x", "--temp", "hot"), "--temp"),
        (("ask", " "), "the question is empty"),
        (("plan",), "give a command"),
        (("plan", "x", "--skills", "s.yaml"), "--skills needs --offline"),
        (("plan", "x", "--execute", "--offline"), "--execute cannot be combined with --offline"),
        (("execute", "/nonexistent.json"), "/nonexistent.json: cannot be read"),
        (("evaluate-execution", "--trials", "0"), "--trials = 0: at least 1"),
        (("mock-robot", "--kinds", "explode"), "kinds: 'explode'"),
        (("up", "--config", "/nonexistent.yaml"), "/nonexistent.yaml"),
        (("up", "--lora", "polite=x.gguf:1e9"), "--lora 'polite=x.gguf:1e9': the scale is"),
        (("ask", "x", "--lora", "a", "--lora", "a"), "--lora 'a'"),
        (("demo", "--model", "/nonexistent.gguf"), "/nonexistent.gguf"),
    ],
)
def test_bad_input_is_one_line_and_code_2(args, expected):
    done = llm_ros(*args, name="bad input")
    assert done.returncode == 2 and expected in done.stderr + done.stdout
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1


@pytest.mark.parametrize("text", [b"caf\xe9", b"--ros-args"])
def test_text_on_the_command_line_is_nothing_to_rcl(text):
    done = llm_ros("plan", "--wait", "0.5", "--", text, name="bad text")
    assert done.returncode == 2 and "no planner_node found" in done.stderr


def test_a_config_for_other_nodes_is_refused(tmp_path):
    for text, expected in (
        ("llm_nod:\n  ros__parameters: {}\n", "'llm_nod' is for no node"),
        ("llm_node:\n  sampling: {}\n", "ros__parameters"),
        ("- 1\n", "a mapping"),
        ("a: [\n", "YAML"),
    ):
        (tmp_path / "bad.yaml").write_text(text)
        done = llm_ros("up", "--config", str(tmp_path / "bad.yaml"), name="config")
        assert done.returncode == 2 and expected in done.stderr and done.stderr.count("\n") == 1


def test_nobody_there_says_how_to_start(request):
    for verb in ("ask", "plan", "chat"):
        done = llm_ros(verb, "hello", "--wait", "0.5", name=request.node.name)
        assert done.returncode == 2 and "found within 0.5 s: start it with `llm-ros up`" in done.stderr
        assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1


def test_up_ends_with_the_error_of_a_node_that_cannot_start(request, tmp_path):
    for text, code, expected in (
        ("llm_node:\n  ros__parameters: {sampling: {tmep: 1.0}}\n", 2, "unknown parameter sampling.tmep"),
        ("llm_node:\n  ros__parameters: {model: {name: /no.gguf}}\n", 1, "/no.gguf"),
    ):
        (tmp_path / "bad.yaml").write_text(text)
        done = llm_ros("up", "--config", str(tmp_path / "bad.yaml"), name=request.node.name)
        assert done.returncode == code and expected in done.stderr and "llm_node ended" in done.stderr


def test_the_main_job_with_the_real_model(request, tmp_path):
    """`up`, then every client: the library, `plan`, `ask`, `chat`; then Ctrl-C."""
    name = request.node.name
    folder = tmp_path / "chat.yaml"
    folder.write_text(f"chat_node: {{ros__parameters: {{sessions_folder: {tmp_path}/chats}}}}\n")
    with running_up("--model", DEFAULT_MODEL, "--chat", "--config", str(folder), name=name) as (ros, log):
        node = ros.client_node()
        llm, planner = LLMClient(node), PlannerClient(node)
        llm.wait_ready(60.0)
        planner.wait_ready(10.0)
        calls = [llm.chat("Say hello.", temp=0.0, max_tokens=16) for _ in range(3)]
        results = [call.result(60.0) for call in calls]
        assert len({result.message.content for result in results}) == 1 and results[0].message.content
        assert results[0].response.finish_reason in (Response.FINISH_STOP, Response.FINISH_LENGTH)
        assert llm.model_info().architecture == "llama"
        schema = {
            "type": "object",
            "properties": {"n": {"type": "integer"}},
            "required": ["n"],
            "additionalProperties": False,
        }
        answer = llm.chat("Give me a number.", temp=0.0, max_tokens=64, grammar_schema=json.dumps(schema)).result(60.0)
        assert isinstance(json.loads(answer.message.content)["n"], int)
        call = planner.plan(COMMAND)
        feedback = list(call.feedback(60.0))
        plan = call.result(10.0).plan
        assert plan.status == Plan.PLANNED and feedback
        skills = [step.skill for step in plan.steps]
        assert skills.index("pick") < skills.index("hand_over") and skills[0] == "go_to"
        shown = llm_ros("plan", COMMAND, "--json", name=name)
        assert shown.returncode == 0, shown.stderr
        assert [step["skill"] for step in json.loads(shown.stdout)] == skills
        asked = llm_ros("ask", "Say hello.", "--temp", "0", "--max-tokens", "16", name=name)
        assert asked.returncode == 0 and asked.stdout.startswith(results[0].message.content[:20])
        doing = llm_ros("chat", "What are you doing?", name=name)
        assert (doing.returncode, doing.stdout) == (0, "I am not doing anything.\n"), doing.stderr
        talked = llm_ros("chat", "Hello!", name=name)
        assert talked.returncode == 0 and talked.stdout.strip(), talked.stderr
    assert any("freed the model" in line for line in log), "".join(log)


def test_demo_plans_from_nothing():
    done = llm_ros("demo", name="demo", timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    steps = [line for line in done.stdout.splitlines() if line[:1].isdigit()]
    assert steps[0].startswith("1. go_to(location=") and any("hand_over" in step for step in steps)
    assert "planned in" in done.stdout
