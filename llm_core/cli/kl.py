"""`llm-core kl`: how far a model's probabilities are from those of a reference, say the file it was quantized from."""

from __future__ import annotations

import argparse
import json

from llm_core.cli import _options
from llm_core.errors import RequestError

SUMMARY = "how far a model's probabilities are from another one's"
COLUMNS = (
    ("KL mean", "kl_mean", "10.6f"), ("median", "kl_median", "10.6f"), ("99 %", "kl_p99", "10.5f"),
    ("max", "kl_max", "9.4f"), ("top-1", "top1", "8.4f"), ("RMS dp", "rms_dp", "9.5f"),
    ("perplexity", "perplexity", "12.4f"), ("reference", "perplexity_reference", "11.4f"),
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    _options.add_text_options(parser)
    parser.add_argument("--reference", required=True, metavar="M", help="path or name of the model taken as exact")


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    from llm_core import evaluate
    from llm_core.hub import resolve

    path, reference_path = resolve(args.model), resolve(args.reference)
    text = _options.read_text(args.file)
    chunks = _options.text_chunks(args, path, text)
    if _options.text_chunks(args, reference_path, text) != chunks:
        raise RequestError(f"--reference {args.reference}: makes other tokens of the text than --model {args.model}")
    result = {"model": str(path), "reference": str(reference_path), "ctx": args.ctx, "chunks": len(chunks)}
    result |= evaluate.model_size(path)
    contenders = {"ours": evaluate.Ours, **({"llama_cpp": evaluate.LlamaCpp} if args.compare else {})}
    for name, make in contenders.items():
        contender, reference = make(path, args.ctx, args.threads), evaluate.Ours(reference_path, args.ctx, args.threads)
        try:
            result[name] = evaluate.divergence(contender, reference, chunks, args.stride)
        finally:
            contender.close()
            reference.close()
    print(json.dumps(result) if args.json else table(result))
    return 0


def table(result: dict) -> str:
    """The result for people."""
    lines = [
        f"{result['model']}: {result['bytes'] / 1e6:.1f} MB, {result['bits_per_weight']:.2f} bits a weight; "
        f"{result['chunks']} chunks of {result['ctx']} tokens, reference {result['reference']}",
        f"  {'':10}" + "".join(f"{title:>{int(form.split('.')[0])}}" for title, _, form in COLUMNS),
    ]
    for name in ("ours", "llama_cpp"):
        if name in result:
            lines.append(f"  {name:10}" + "".join(f"{result[name][key]:{form}}" for _, key, form in COLUMNS))
    return "\n".join(lines)
