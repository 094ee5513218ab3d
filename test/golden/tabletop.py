"""Records what the model of our own says about test/data/tabletop.png (scene 131 of `llm-ros sim-camera`), and how sure
it was of its least likely token: `python test/golden/tabletop.py` writes test/data/tabletop.json.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

from llm_core import Engine, SamplingParams  # noqa: E402
from llm_core.catalog import DEFAULT_MODEL  # noqa: E402

DATA = ROOT / "test" / "data"
QUESTIONS = {  # and what is true
    "What colour is the mug?": "Orange.",
    "What is the orange object?": "A mug.",
    "Is there a bottle?": "Yes.",
    "Is there a red ball?": "No.",
    "Is there a green bowl in the picture?": "Yes.",
    "How many bowls are there?": "3.",
    "How many objects are there?": "5.",
    "Is the bottle to the left or to the right of the mug?": "Left.",
    "Is the mug in front of or behind the green bowl?": "In front.",
    "Which object is closest?": "The orange mug.",
    "What is the mug on?": "The table.",
    "What do you see?": "A blue bottle, a black bowl, an orange mug, a blue bowl and a green bowl.",
}


def main() -> None:
    """Ask."""
    records = []
    params = SamplingParams(temperature=0, max_tokens=48, logprobs=0)
    with Engine(DEFAULT_MODEL, mmproj="tabletop", n_ctx=512) as engine:
        for text, true in QUESTIONS.items():
            image = {"type": "image", "image": str(DATA / "tabletop.png")}
            said = engine.chat([{"role": "user", "content": [image, {"type": "text", "text": text}]}], params)
            sure = math.exp(min(token.logprob for token in said.logprobs))
            records.append({"question": text, "true": true, "said": said.text.strip(), "sure": round(sure, 3)})
            print(*records[-1].values(), sep=" | ")
    (DATA / "tabletop.json").write_text(json.dumps(records, indent=1) + "\n")


if __name__ == "__main__":
    main()
