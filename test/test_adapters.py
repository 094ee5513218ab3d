"""The adapters that come with llm_ros: which model they are for, what the planner makes of clear, loose and impossible
commands with the real one."""

import numpy as np
import pytest
from planner_helpers import parts
from tiny_models import write_tiny

from llm_core.engine import Engine
from llm_core.gguf import GGMLType, GGUFWriter, open_gguf
from llm_core.gguf.fingerprint import BASE, fingerprint
from llm_ros.adapters import PLAIN, load_shipped, shipped
from llm_ros.planner import Planner
from llm_ros.planner.generator import engine_generate, rewriting

LOOSE = {
    "Alice is starving, she's in the bedroom and a pear would help": "hand_over(pear, alice)",
    "Bruno's in the kitchen, he fancies a look at the office, walk him over": "guide(bruno, office)",
    "Cups on the kitchen table: how many are there?": "count(cups)",
    "Nobody has answered Chen yet, he's standing in the office with his question": "answer_question(chen)",
    "The taxi is outside, and Alice in the office should be told so": 'say("The taxi is outside")',
}
REFUSED = (
    "Fly to the kitchen",
    "Bring me the sofa",
    "Wait minus ten seconds",
    "If it rains, close the front door",
    "My cousin Roderick wants an apple",
    "Repair the sink, and be quick about it",
)


@pytest.fixture(scope="module")
def rewording(default_engine):
    """The planner with our adapter on the default model, and what the adapter wrote."""
    load_shipped(default_engine)
    rewrite, trained = rewriting(default_engine, "auto")
    written = []

    def noted(*request):
        written.append(rewrite(*request))
        return written[-1]

    return Planner(engine_generate(default_engine), *parts(), rewrite=noted, trained=trained), written


def test_a_fingerprint_is_the_models_whatever_the_format(tmp_path):
    prints = set()
    for name, types in (("a", None), ("b", GGMLType.F16)):
        with GGUFWriter(tmp_path / f"{name}.gguf") as out:
            out.add("general.architecture", "llama").add_tensor("output_norm.weight", np.arange(64, dtype=np.float32))
            out.add_tensor("token_embd.weight", np.ones((2, 64), dtype=np.float32), type=types)
        prints.add(fingerprint(open_gguf(tmp_path / f"{name}.gguf")))
    assert len(prints) == 1 and len(prints.pop()) == 64


def test_our_adapter_is_for_the_default_model_and_no_other(default_engine, tmp_path):
    (path,) = shipped(default_engine.info.fingerprint).values()
    assert path.stat().st_size <= 10_000_000
    assert open_gguf(path).metadata.str(BASE) == default_engine.info.fingerprint
    assert shipped("") == {} and shipped("0" * 64) == {}
    with Engine(write_tiny(tmp_path / "other.gguf"), n_ctx=64, n_threads=1) as other:
        load_shipped(other)
        assert other.info.fingerprint and other.adapters == ()
        assert rewriting(other, "auto") == (None, False)
        assert rewriting(other, "off") == (None, False) and rewriting(other, "model")[0] is not None


@pytest.mark.parametrize("command", LOOSE)
def test_loose_commands_are_planned_with_our_adapter(rewording, command):
    planner, written = rewording
    written.clear()
    plan = planner.plan(command)
    assert plan.status == "plan" and LOOSE[command] in [str(step) for step in plan.steps]
    assert len(written) == 1 and planner.plan(command) == plan


@pytest.mark.parametrize("command", REFUSED)
def test_what_cannot_be_done_stays_refused_with_our_adapter(rewording, command):
    assert rewording[0].plan(command).status in ("refuse", "clarify")


def test_clear_commands_never_reach_our_adapter(rewording):
    planner, written = rewording
    written.clear()
    for command in ("Bring me the apple", "Go to the kitchen and tell Alice that dinner is ready", "Hit Alice"):
        planner.plan(command)
    assert not written and PLAIN == "plain-commands"
