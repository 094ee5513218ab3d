"""`llm-core perplexity`: how well a model predicts a text; size and speed beside it."""

from __future__ import annotations

import argparse
import json

from llm_core.cli import _options

SUMMARY = "how well a model predicts a text"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    _options.add_text_options(parser)


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    from llm_core import evaluate
    from llm_core.hub import resolve

    path = resolve(args.model)
    chunks = _options.text_chunks(args, path, _options.read_text(args.file))
    result = {"model": str(path), "ctx": args.ctx, "chunks": len(chunks), **evaluate.model_size(path)}
    contenders = {"ours": evaluate.Ours, **({"llama_cpp": evaluate.LlamaCpp} if args.compare else {})}
    for name, make in contenders.items():
        contender = make(path, args.ctx, args.threads)
        try:
            result[name] = evaluate.perplexity(contender, chunks, args.stride)
        finally:
            contender.close()
    print(json.dumps(result) if args.json else table(result))
    return 0


def table(result: dict) -> str:
    """The result for people."""
    lines = [
        f"{result['model']}: {result['bytes'] / 1e6:.1f} MB, {result['bits_per_weight']:.2f} bits a weight; "
        f"{result['chunks']} chunks of {result['ctx']} tokens"
    ]
    for name in ("ours", "llama_cpp"):
        if name in result:
            row = result[name]
            lines.append(
                f"  {name:10} perplexity {row['perplexity']:.4f} ± {row['perplexity_error']:.4f} "
                f"({row['scored_tokens']} tokens scored), {row['tokens_per_s']:.0f} tokens/s"
            )
    return "\n".join(lines)
