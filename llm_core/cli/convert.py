"""`llm-core convert`: a Hugging Face folder as a GGUF file."""

from __future__ import annotations

import argparse
import json
import time

from llm_core.cli import _options

SUMMARY = "make a GGUF file of a Hugging Face folder"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("folder", metavar="HF_DIR", help="holds config.json, safetensors and the tokenizer's files")
    parser.add_argument("output", metavar="OUT", help="file to write, complete or not at all")
    parser.add_argument("--type", metavar="TYPE", help="F32, F16, BF16, Q8_0 (default: F16 or BF16, as the source)")
    parser.add_argument(
        "--mmproj", metavar="OUT2", help="file to write for the vision tower and projector of a model that sees"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Convert and say what came of it."""
    from dataclasses import asdict

    from llm_core.convert import convert_folder

    started = time.perf_counter()
    done = convert_folder(args.folder, args.output, args.type, _options.progress_line(), args.mmproj)
    seconds = time.perf_counter() - started
    if args.json:
        print(json.dumps(asdict(done) | {"seconds": seconds}))
    else:
        print(
            f"{done.architecture}, {done.type}: {done.tensors} tensors, {done.values / 1e6:.1f} M values, "
            f"{done.bytes / 1e6:.1f} MB, {seconds:.1f} s"
        )
    return 0
