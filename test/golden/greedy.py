"""Records greedy continuations of the default model by llama.cpp, and what the float32 reference thinks of each token.

Writes test/data/greedy_<model>.json: per prompt the ids of prompt and continuation, and for every position from the
prompt's last on the reference's best token, its lead over the second best (in logits) and the text's negative log
likelihood. Run from the checkout: `python test/golden/greedy.py` (needs llama-cpp-python and the default model).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from llama_cpp import Llama

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent)]

from naive import naive_logits, softmax  # noqa: E402

from llm_core.catalog import DEFAULT_MODEL  # noqa: E402
from llm_core.gguf import open_gguf  # noqa: E402
from llm_core.hub import resolve  # noqa: E402

PROMPTS = (
    "The capital of France is",
    "Question: Why is the sky blue?\nAnswer:",
    "def fibonacci(n):\n",
    "<|im_start|>user\nBring me a glass of water from the kitchen.<|im_end|>\n<|im_start|>assistant\n",
)
N_TOKENS = 48


def record(peer: Llama, file, text: str) -> dict[str, object]:
    """One prompt's continuation and the reference's view of it."""
    prompt = peer.tokenize(text.encode(), add_bos=False, special=True)
    peer.reset()
    peer.eval(prompt)
    tokens = list(prompt)
    while len(tokens) < len(prompt) + N_TOKENS:
        tokens.append(int(np.argmax(peer.scores[len(tokens) - 1])))
        peer.eval(tokens[-1:])
    logits = naive_logits(file, tokens)
    second, best = np.partition(logits, -2)[:, -2:].T
    likelihood = np.log(softmax(logits)[np.arange(len(tokens) - 1), tokens[1:]])
    first = len(prompt) - 1
    return {
        "prompt": prompt,
        "continuation": tokens[len(prompt) :],
        "best": logits[first:-1].argmax(-1).tolist(),
        "lead": [round(float(gap), 4) for gap in (best - second)[first:-1]],
        "nll": round(float(-likelihood.mean()), 5),
    }


if __name__ == "__main__":
    path = resolve(DEFAULT_MODEL)
    llama = Llama(str(path), n_ctx=256, logits_all=True, verbose=False)
    rows = [record(llama, open_gguf(path), prompt) for prompt in PROMPTS]
    target = HERE.parent / "data" / f"greedy_{DEFAULT_MODEL}.json"
    target.write_text(json.dumps(rows) + "\n")
    print(f"{target}: {len(rows)} prompts of {N_TOKENS} tokens")
