"""The vision model that comes with the package, on a picture that it has not learned from: its answers as recorded
(test/golden/tabletop.py), as far as they were not near to another one.
"""

import json
from pathlib import Path

from llm_core import Engine, SamplingParams
from llm_core.catalog import DEFAULT_MODEL

DATA = Path(__file__).parent / "data"
CASES = json.loads((DATA / "tabletop.json").read_text())


def test_the_shipped_model_answers_about_a_picture():
    cases = [case for case in CASES if case["sure"] > 0.7]
    assert sum(case["said"] == case["true"] for case in cases) >= 4
    with Engine(DEFAULT_MODEL, mmproj="tabletop", n_ctx=512, n_threads=2) as engine:
        for case in cases:
            content = [
                {"type": "image", "image": str(DATA / "tabletop.png")},
                {"type": "text", "text": case["question"]},
            ]
            said = engine.chat([{"role": "user", "content": content}], SamplingParams(temperature=0, max_tokens=48))
            assert said.text.strip() == case["said"], case["question"]
        assert engine.stats().tiles_encoded == 1  # of a picture that is known the tower does not run again
