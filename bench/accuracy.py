"""How far our logits, and llama.cpp's, are from a float32 reference on the same file and text.

The reference (test/naive.py) dequantizes the weights and computes in float32. For each contender: KL divergence to the
reference (mean, 99th percentile), top-1 agreement and perplexity over a fixed text, once as a prompt and once token by
token; then greedy continuations of a few prompts, ours against llama.cpp's, with the gap between the two best tokens
where they part. `python bench/accuracy.py --model M [--lora F[:SCALE]] [--tokens N] [--json]`; llama.cpp takes part if
llama-cpp-python imports.
"""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "test")]

from naive import naive_logits  # noqa: E402

from llm_core.engine.adapters import check_files  # noqa: E402
from llm_core.errors import RequestError  # noqa: E402
from llm_core.evaluate import Contender, LlamaCpp, Ours, log_softmax  # noqa: E402
from llm_core.gguf import open_gguf  # noqa: E402
from llm_core.hub import resolve  # noqa: E402
from llm_core.lora import adapter_files  # noqa: E402
from llm_core.models import load_model  # noqa: E402
from llm_core.models.adapter import load_adapter  # noqa: E402
from llm_core.tokenizer import Tokenizer  # noqa: E402

TEXT = HERE / "data" / "text.txt"
PROMPTS = (
    "The quick brown fox",
    "Question: Why is the sky blue?\nAnswer:",
    "To make a cup of tea, you first",
    "def fibonacci(n):\n",
    "The capital of France is",
    "Once upon a time there was a robot that",
    "1, 2, 4, 8, 16,",
    "Der Hund lief über die Straße und",
)


CONTENDERS = {"ours": Ours, "llama_cpp": LlamaCpp}


def say(what: str) -> None:
    """Progress, on stderr."""
    print(what, file=sys.stderr, flush=True)


def top_gap(logits: np.ndarray) -> float:
    """The best logit minus the second best."""
    second, best = np.partition(logits, -2)[-2:]
    return float(best - second)


def compare(logits: np.ndarray, reference: np.ndarray, tokens: list[int]) -> dict[str, float]:
    """Distances of logits [n, n_vocab] to the reference's, and perplexity of the text under each.

    gap_noise_p99: how much the gap between the reference's two best tokens is off, in logits, at the 99th percentile.
    """
    divergence, agree, gap_error, loss, reference_loss = [], [], [], [], []
    for row, (ours, exact) in enumerate(zip(logits, reference, strict=True)):
        p, q = log_softmax(exact), log_softmax(ours)
        divergence.append(float(np.sum(np.exp(p) * (p - q))))
        agree.append(ours.argmax() == exact.argmax())
        second, best = np.argpartition(exact, -2)[-2:]
        gap_error.append(abs((ours[best] - ours[second]) - (exact[best] - exact[second])))
        if row + 1 < len(tokens):
            loss.append(-q[tokens[row + 1]])
            reference_loss.append(-p[tokens[row + 1]])
    return {
        "kl_mean": float(np.mean(divergence)),
        "kl_p99": float(np.percentile(divergence, 99)),
        "kl_max": float(np.max(divergence)),
        "top1": float(np.mean(agree)),
        "perplexity": float(np.exp(np.mean(loss))),
        "perplexity_reference": float(np.exp(np.mean(reference_loss))),
        "gap_noise_p99": float(np.percentile(gap_error, 99)),
    }


def noise_between(ours: np.ndarray, peer: np.ndarray) -> dict[str, float]:
    """How far the two computations are apart in the gap between the peer's two best tokens, in logits, over the rows of
    logits [n, n_vocab], at the 99th percentile and at most: a smaller gap is decided by rounding."""
    second, best = np.argpartition(peer, -2, axis=1)[:, -2:].T
    rows = np.arange(len(peer))
    apart = (ours[rows, best] - ours[rows, second]) - (peer[rows, best] - peer[rows, second])
    return {"p99": float(np.percentile(np.abs(apart), 99)), "max": float(np.max(np.abs(apart)))}


def text_logits(contender: Contender, tokens: list[int], chunk: int) -> np.ndarray:
    """Float32 [n, n_vocab] of a fresh sequence, computed `chunk` tokens at a time."""
    contender.reset()
    return np.concatenate([contender.push(tokens[at : at + chunk]).copy() for at in range(0, len(tokens), chunk)])


def greedy(contender: Contender, prompt: list[int], n: int) -> tuple[list[int], list[float]]:
    """The `n` likeliest tokens one after the other, and the gap between the two best logits at each."""
    contender.reset()
    last = contender.push(prompt)[-1]
    tokens, gaps = [], []
    for _ in range(n):
        gaps.append(top_gap(last))
        tokens.append(int(last.argmax()))
        last = contender.push(tokens[-1:])[-1]
    return tokens, gaps


def continuations(contenders: dict[str, Contender], reference, tokenizer: Tokenizer, n: int) -> list[dict[str, object]]:
    """Per prompt: where ours and llama.cpp's greedy continuations part, and the gaps of all three there."""
    rows: list[dict[str, object]] = []
    for text in PROMPTS:
        say(f"greedy: {text!r}")
        prompt = tokenizer.encode(text)
        ours, our_gaps = greedy(contenders["ours"], prompt, n)
        peer, peer_gaps = greedy(contenders["llama_cpp"], prompt, n)
        row: dict[str, object] = {"prompt": text, "text": tokenizer.decode(ours), "agree": n, "tokens": n}
        parted = [at for at in range(n) if ours[at] != peer[at]]
        if parted:
            at = parted[0]
            exact = reference(prompt + ours[:at], rows=slice(-1, None))[0]
            row |= {"agree": at, "ours": tokenizer.decode([ours[at]]), "llama_cpp": tokenizer.decode([peer[at]])}
            row |= {"our_gap": our_gaps[at], "llama_cpp_gap": peer_gaps[at], "reference_gap": top_gap(exact)}
            row["reference"] = tokenizer.decode([int(exact.argmax())])
        rows.append(row)
    return rows


def measure(
    path: Path, lora: tuple[Path, float] | None, n_tokens: int, n_decode: int, n_greedy: int, threads: int
) -> dict[str, object]:
    """Everything about one model, as the JSON that --json prints."""
    file = open_gguf(path)
    tokenizer = Tokenizer.from_metadata(file.metadata)
    tokens = tokenizer.encode(TEXT.read_text())[:n_tokens]
    say(f"{path.stem}: float32 reference of {len(tokens)} tokens")
    adapters = [] if lora is None else [(load_adapter(lora[0], load_model(file)), lora[1])]
    exact = partial(naive_logits, file, adapters=adapters)
    reference = exact(tokens)
    n_ctx = max(len(tokens), 128 + n_greedy)
    contenders: dict[str, Contender] = {}
    for name, make in CONTENDERS.items():
        try:
            contenders[name] = make(path, n_ctx, threads, lora)
        except RequestError as error:
            say(f"{name} is left out: {error}")
    result: dict[str, object] = {"model": path.stem, "tokens": len(tokens), "decode_tokens": n_decode}
    prompts: list[np.ndarray] = []
    for name, contender in contenders.items():
        say(f"{path.stem}: {name}")
        prompts.append(text_logits(contender, tokens, contender.chunk))
        prompt = compare(prompts[-1], reference, tokens)
        decode = compare(text_logits(contender, tokens[:n_decode], 1), reference[:n_decode], tokens[:n_decode])
        result[name] = {"prompt": prompt, "decode": decode}
    if len(prompts) == 2:
        result["noise_between"] = noise_between(*prompts)
    if "llama_cpp" in contenders and n_greedy:
        result["greedy"] = continuations(contenders, exact, tokenizer, n_greedy)
    for contender in contenders.values():
        contender.close()
    return result


def table(result: dict) -> str:
    """The result for people."""
    lines = [f"{result['model']}: {result['tokens']} tokens, {result['decode_tokens']} of them one by one"]
    lines.append(f"{'':22}{'KL mean':>10}{'KL p99':>10}{'top-1':>8}{'ppl':>9}{'ref ppl':>9}{'gap noise':>10}")
    for name in CONTENDERS:
        for mode, row in result.get(name, {}).items():
            lines.append(
                f"{name + ', ' + mode:22}{row['kl_mean']:10.2e}{row['kl_p99']:10.2e}{row['top1']:8.3f}"
                f"{row['perplexity']:9.3f}{row['perplexity_reference']:9.3f}{row['gap_noise_p99']:10.3f}"
            )
    if "noise_between" in result:
        p99, most = result["noise_between"].values()
        lines.append(f"gap noise between the two: {p99:.3f} at the 99th percentile, {most:.3f} at most")
    for row in result.get("greedy", []):
        what = f"{row['agree']}/{row['tokens']} greedy tokens agree: {row['prompt']!r}"
        if row["agree"] < row["tokens"]:
            what += f"; then {row['ours']!r} / {row['llama_cpp']!r}, reference {row['reference']!r}, gaps "
            what += f"{row['our_gap']:.3f} / {row['llama_cpp_gap']:.3f}, {row['reference_gap']:.3f}"
        lines.append(what)
    return "\n".join(lines)


def main() -> int:
    """Parse the command line and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="path or name of a GGUF model")
    parser.add_argument("--lora", metavar="F[:S]", help="a LoRA adapter that all three take, and how much of it")
    parser.add_argument("--tokens", type=int, default=512, help="length of the text (default 512)")
    parser.add_argument("--decode-tokens", type=int, default=128, help="so many are also computed one by one")
    parser.add_argument("--greedy-tokens", type=int, default=64, help="length of the continuations; 0: none")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    files = check_files(adapter_files([args.lora] if args.lora else (), "--lora"))
    lora = next(iter(files.values()), None)
    result = measure(resolve(args.model), lora, args.tokens, args.decode_tokens, args.greedy_tokens, args.threads)
    print(json.dumps(result, indent=1, ensure_ascii=False) if args.json else table(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
