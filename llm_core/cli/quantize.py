"""`llm-core quantize`: a GGUF file in a smaller type, or in another mix of types."""

from __future__ import annotations

import argparse
import json
import sys
import time

from llm_core.cli import _options

SUMMARY = "write a GGUF file in another type, e.g. Q4_K_M"

KEYS = ("tensors", "values", "bytes")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("input", metavar="IN", help="path or name of a GGUF model")
    parser.add_argument("output", metavar="OUT", help="file to write, complete or not at all")
    parser.add_argument("type", metavar="TYPE", help="F16, Q8_0, Q4_K_M, …; an unknown one lists all")
    parser.add_argument(
        "--tensor-type", action="append", default=[], metavar="PATTERN=TYPE",
        help="type of the matrices whose name this regular expression is found in; several: the last that fits wins",
    )  # fmt: skip
    parser.add_argument("--output-tensor-type", metavar="TYPE", help="type of the output matrix")
    parser.add_argument("--token-embedding-type", metavar="TYPE", help="type of the token embedding")
    parser.add_argument("--imatrix", metavar="F", help="importance matrix that weighs the errors (from llama-imatrix)")
    parser.add_argument("--threads", type=int, metavar="N", help="threads (default: one a physical core)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Quantize and say what came of it."""
    from llm_core.convert import quantize_model, read_imatrix
    from llm_core.convert.mixes import Rule
    from llm_core.hub import resolve

    by_name = ((r"^output\.weight$", args.output_tensor_type), (r"^token_embd\.weight$", args.token_embedding_type))
    rules = [*args.tensor_type, *(f"{pattern}={kind}" for pattern, kind in by_name if kind is not None)]
    started = time.perf_counter()
    report = quantize_model(
        resolve(args.input),
        args.output,
        args.type,
        rules=[Rule.parse(text) for text in rules],
        imatrix=read_imatrix(args.imatrix) if args.imatrix is not None else None,
        threads=args.threads,
        progress=_options.progress_line(),
    )
    seconds = time.perf_counter() - started
    if report.requantized:
        print(f"note: {len(report.requantized)} matrices were quantized before: their errors add up", file=sys.stderr)
    if report.unweighted:
        print(f"note: {len(report.unweighted)} matrices without importances", file=sys.stderr)
    print(json.dumps(as_json(report, seconds)) if args.json else table(report, seconds))
    return 0


def as_json(report, seconds: float) -> dict[str, object]:
    """What --json prints."""
    types = {kind.name: dict(zip(KEYS, row, strict=True)) for kind, row in report.types.items()}
    return {
        "type": report.mix, "source_bytes": report.source_bytes, "bytes": report.bytes,
        "bits_per_value": report.bits_per_value, "seconds": seconds, "types": types,
        "requantized": len(report.requantized), "unweighted": len(report.unweighted),
    }  # fmt: skip


def table(report, seconds: float) -> str:
    """The report for people."""
    lines = [
        f"{report.mix}: {report.source_bytes / 1e6:.1f} MB → {report.bytes / 1e6:.1f} MB, "
        f"{report.bits_per_value:.2f} bits a value, {seconds:.1f} s"
    ]
    for kind, (tensors, values, nbytes) in sorted(report.types.items(), key=lambda item: -item[1][2]):
        lines.append(f"  {kind.name:8}{tensors:5} tensors {values / 1e6:10.2f} M values {nbytes / 1e6:10.1f} MB")
    return "\n".join(lines)
