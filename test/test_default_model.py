"""The default model itself: greedy ids and likelihood against llama.cpp's and the float32 reference's, recorded.

The model is fetched if it is not in the cache yet (test/golden/greedy.py made the recording).
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from llm_core import Grammar, SamplingParams
from llm_core.catalog import DEFAULT_MODEL
from llm_core.hub import resolve
from llm_core.models import load_model
from llm_core.program import Batch, Runner

CASES = json.loads((Path(__file__).parent / "data" / f"greedy_{DEFAULT_MODEL}.json").read_text())
# Rounding activations to 8 bits moves the distance of two logits by up to about 0.3 (99th percentile, llama.cpp's too).
NOISE = 0.5


@pytest.fixture(scope="module")
def runner():
    """The default model with a small context."""
    runner = Runner(load_model(resolve(DEFAULT_MODEL)), n_ctx=256, n_threads=2)
    yield runner
    runner.close()


def logits_of(runner, tokens, start=0):
    """Logits of tokens that follow the `start` ones already in the cache."""
    rows = np.arange(len(tokens), dtype=np.int32)
    table = np.arange(256 // runner.block_size, dtype=np.int32)[None]
    batch = Batch(np.array(tokens, np.int32), start + rows, np.array([0, len(tokens)], np.int32), table, rows)
    return runner.step(batch)


@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_greedy_ids_are_llama_cpps_while_its_choice_is_clear(case, runner):
    logits, length = logits_of(runner, case["prompt"])[-1], len(case["prompt"])
    for token, best, lead in zip(case["continuation"], case["best"], case["lead"], strict=True):
        if lead < NOISE or token != best:
            break
        assert int(logits.argmax()) == token, f"token {length - len(case['prompt'])}: lead {lead}"
        logits, length = logits_of(runner, [token], length)[0], length + 1


@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_clear_choices_and_likelihood_are_the_references(case, runner):
    tokens = case["prompt"] + case["continuation"]
    logits = logits_of(runner, tokens).astype(np.float64)
    logits -= logits.max(-1, keepdims=True)
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    nll = -log_p[np.arange(len(tokens) - 1), tokens[1:]].mean()
    assert nll == pytest.approx(case["nll"], abs=0.02)
    best = logits[len(case["prompt"]) - 1 : -1].argmax(-1)
    clear = np.array(case["lead"]) >= NOISE
    assert clear.sum() >= 24
    np.testing.assert_array_equal(best[clear], np.array(case["best"])[clear])


PLACES = ["kitchen", "living room", "hall", "garage", "bathroom"]
SCHEMA = {
    "type": "object",
    "properties": {
        "go": {"enum": PLACES},
        "then": {"enum": ["wait", "return", "charge"]},
        "speed": {"type": "integer"},
    },
    "required": ["go", "then", "speed"],
    "additionalProperties": False,
}


def test_a_tight_grammar_gives_the_same_answer_from_few_logits(default_engine, monkeypatch):
    runner = default_engine._loop._runner
    step, few = runner.step, []

    def answers():
        prompt = [{"role": "user", "content": "Bring my bag from the garage, slowly."}]
        return [
            default_engine.chat(
                prompt, SamplingParams(temperature=t, seed=3, max_tokens=40, grammar=Grammar.json(SCHEMA))
            )
            for t in (0, 1.0)
        ]

    def whole(batch):
        few.append(batch.panels is not None)
        return step(replace(batch, panels=None))

    chosen = answers()
    monkeypatch.setattr(runner, "step", whole)
    assert [a.tokens for a in answers()] == [a.tokens for a in chosen]
    assert few and all(few)
    assert all(json.loads(a.text)["go"] in PLACES for a in chosen if a.finish_reason == "stop")
