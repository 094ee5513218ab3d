"""`llm-ros plan --offline`: one command and batches, with a stand-in engine and with the real default model."""

import json
from argparse import ArgumentParser
from types import SimpleNamespace

import pytest
from planner_helpers import DATA, SKILLS, WORLDS, obedient, parts

from llm_ros.planner import Planner, offline
from llm_ros.planner.generator import engine_generate
from llm_ros.planner.judge import judge

COTTAGE = ["--offline", "--skills", str(SKILLS["minimal"]), "--world", str(WORLDS["cottage"])]


class FakeEngine:
    """What `engine_generate` uses of an engine: one handle of events, written by a generator that obeys the grammar."""

    adapters = ()

    def __init__(self):
        self.cancelled = 0

    def submit(self, messages, params):
        assert params.temperature == 0 and params.grammar.kind == "lark"
        pieces = []
        obedient()(messages, params.grammar.text, params.max_tokens, pieces.append, lambda: False)
        events = [SimpleNamespace(text=piece) for piece in pieces]
        return Handle(events, self._cancel)

    def _cancel(self):
        self.cancelled += 1


class Handle(list):
    def __init__(self, events, cancel):
        super().__init__(events)
        self.cancel = cancel


def run(*words, engine=None):
    parser = ArgumentParser()
    parser.add_argument("command", nargs="?")
    offline.add_offline_arguments(parser)
    return offline.run(parser.parse_args(words), engine=engine or FakeEngine())


def test_one_command_streams_its_steps(capsys):
    assert run(*COTTAGE, "Open the front door") == 0
    assert capsys.readouterr().out == "1. go_to(entry)\n2. open(front_door)\n"
    assert run(*COTTAGE, "Go to the moon") == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["refuse"].startswith("unknown_place: ")


def test_a_batch_becomes_plans(tmp_path, capsys):
    commands = [
        {"id": "a", "command": "Open the front door"},
        {"id": 2, "command": "Kill Yuki"},
        {"id": "c", "command": ""},
        {"id": "d", "command": "\u4f60\u597d" * 5000},
    ]
    (tmp_path / "commands.json").write_text(json.dumps(commands))
    out = tmp_path / "plans.json"
    assert run(*COTTAGE, "--batch", str(tmp_path / "commands.json"), "--out", str(out)) == 0
    plans = json.loads(out.read_text())
    assert plans["a"] == [
        {"skill": "go_to", "args": {"location": "entry"}},
        {"skill": "open", "args": {"object": "front_door"}},
    ]
    assert (
        plans["2"]["refuse"].startswith("unsafe: ")
        and "clarify" in plans["c"]
        and plans["d"]["refuse"].startswith("too_long")
    )
    assert list(plans) == ["a", "2", "c", "d"]
    assert "4 commands: 1 planned, 2 refused, 1 to clarify" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".part"] == []


@pytest.mark.parametrize(
    "content, words",
    [
        ("{}", "expected a list"),
        ("[1]", "entry 0: expected"),
        ('[{"id": "a"}]', "entry 0: expected"),
        ('[{"id": true, "command": "x"}]', "entry 0: expected"),
        ('[{"id": 1, "command": "x"}, {"id": "1", "command": "y"}]', "entry 1: id '1' is given twice"),
        ("[", "cannot be read as JSON"),
        ("[" * 100_000, "cannot be read as JSON"),
    ],
)
def test_a_bad_batch_is_one_error_line(tmp_path, capsys, content, words):
    (tmp_path / "commands.json").write_text(content)
    assert run("--offline", "--batch", str(tmp_path / "commands.json")) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and words in error and error.count("\n") == 1


def test_bad_arguments_are_one_error_line(tmp_path, capsys):
    for words in (
        ["--offline"],
        ["--offline", "x", "--batch", "y"],
        ["--offline", "x", "--out", "y"],
        ["--offline", "x", "--skills", "none.yaml"],
        ["--offline", "x", "--world", str(DATA / "planner_dev.json")],
    ):
        assert run(*words) == 2
        assert capsys.readouterr().err.startswith("error: ")


def test_a_cancelled_plan_cancels_the_request():
    engine = FakeEngine()
    asked = []

    def cancelled():
        asked.append(1)
        return len(asked) > 1

    plan = Planner(engine_generate(engine), *parts()).plan("go to the office", cancelled=cancelled)
    assert plan.status == "cancelled" and engine.cancelled == 1


REAL = [
    {
        "world": "home",
        "command": "Bring me a glass of water from the kitchen",
        "steps": ["pick(glass_of_water)@kitchen", "hand_over(glass_of_water, me)"],
    },
    {
        "world": "home",
        "command": "Tell Chen in the office a joke, then open the front door",
        "steps": ["find_person(chen)@office", "say(Here is a joke: *)", "open(front_door)@hallway"],
    },
    {
        "world": "home",
        "command": "the apple for the person at the sofa",
        "steps": ["pick(apple)", "hand_over(apple, person)"],
    },
]


@pytest.mark.parametrize("entry", REAL, ids=lambda entry: entry["command"])
def test_the_real_default_model_plans(default_engine, entry):
    planner = Planner(engine_generate(default_engine), *parts("full", entry["world"]))
    seen = []
    plan = planner.plan(entry["command"], on_step=seen.append)
    assert judge(entry, plan, planner.skills, planner.world) is None
    assert tuple(seen) == plan.steps
    assert plan.text.endswith("done")
    assert planner.plan(entry["command"]) == plan


def test_the_real_default_model_under_the_open_grammar(default_engine):
    planner = Planner(engine_generate(default_engine), *parts(), space="open", examples=1)
    assert planner.plan("Go to the office").status in ("plan", "refuse", "clarify")


def test_a_plan_is_exported(tmp_path, capsys):
    command = [*COTTAGE, "Open the front door"]
    assert run(*command, "--export", "bt", str(tmp_path / "plan.xml")) == 0
    assert '<Action ID="open"' in (tmp_path / "plan.xml").read_text()
    assert run(*command, "--export", "pddl", str(tmp_path / "plan.pddl")) == 0
    assert "(did-open front_door)" in (tmp_path / "plan.pddl").read_text()
    assert "(:action open" in (tmp_path / "plan-domain.pddl").read_text()
    capsys.readouterr()
    for words, error in (
        ([*COTTAGE, "Go to the moon", "--export", "bt", str(tmp_path / "x")], "there is no plan to export"),
        ([*command, "--export", "dot", str(tmp_path / "x")], "--export dot: expected one of bt, pddl"),
        ([*command, "--export", "bt", str(tmp_path / "no" / "x")], "No such file"),
    ):
        assert run(*words) == 2 and error in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
