"""The vision model that comes with the package, on a picture that it has not learned from: its answers as recorded
(test/golden/tabletop.py), as far as they were not near to another one.
"""

import json
from pathlib import Path

from tiny_models import write_tiny

from llm_core import Engine, SamplingParams
from llm_core.catalog import DEFAULT_MODEL
from llm_core.cli.main import main

DATA = Path(__file__).parent / "data"
CASES = json.loads((DATA / "tabletop.json").read_text())


def test_the_shipped_model_answers_about_a_picture():
    cases = [case for case in CASES if case["sure"] > 0.7]
    assert sum(case["said"] == case["true"] for case in cases) >= 4
    with Engine(DEFAULT_MODEL, mmproj="auto", n_ctx=512, n_threads=2) as engine:
        assert engine.info.vision == "conv_mlp"
        for case in cases:
            content = [
                {"type": "image", "image": str(DATA / "tabletop.png")},
                {"type": "text", "text": case["question"]},
            ]
            said = engine.chat([{"role": "user", "content": content}], SamplingParams(temperature=0, max_tokens=48))
            assert said.text.strip() == case["said"], case["question"]
        assert engine.stats().tiles_encoded == 1  # of a picture that is known the tower does not run again


def test_a_model_that_it_was_not_trained_for_stays_blind(tmp_path):
    with Engine(write_tiny(tmp_path / "tiny.gguf"), mmproj="auto", n_threads=1) as engine:
        assert engine.info.vision == ""


def test_a_picture_on_the_command_line_needs_no_more_than_a_question(capsys):
    asked = ["--image", str(DATA / "tabletop.png"), "--chat", "--prompt", "Is there a red ball?", "--temp", "0"]
    assert main(["generate", "--model", DEFAULT_MODEL, "--max-tokens", "8", *asked]) == 0
    assert capsys.readouterr().out.strip() == "No."
