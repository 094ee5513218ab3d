"""`llm-core convert`: a Hugging Face folder, of a model or of a LoRA adapter (PEFT), as a GGUF file."""

from __future__ import annotations

import argparse
import json
import time

from llm_core.cli import _options
from llm_core.errors import RequestError

SUMMARY = "make a GGUF file of a Hugging Face folder, of a model or of an adapter"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument(
        "folder",
        metavar="HF_DIR",
        help="holds config.json, safetensors, the tokenizer's files; for an adapter adapter_config.json, safetensors",
    )
    parser.add_argument("output", metavar="OUT", help="file to write, complete or not at all")
    parser.add_argument(
        "--type", metavar="TYPE", help="F32, F16, BF16, Q8_0 (default: as the source, but a model F16 or BF16)"
    )
    parser.add_argument(
        "--mmproj", metavar="OUT2", help="file to write for the vision tower and projector of a model that sees"
    )
    parser.add_argument(
        "--base",
        metavar="M",
        help="folder, path or name of an adapter's model (default: the one that it names, if here)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Convert and say what came of it."""
    from dataclasses import asdict

    from llm_core.convert import convert_adapter, convert_folder, is_adapter_folder

    started, progress = time.perf_counter(), _options.progress_line()
    if is_adapter_folder(args.folder):
        if args.mmproj is not None:
            raise RequestError(f"--mmproj {args.mmproj}: the folder holds an adapter, not a model")
        done = convert_adapter(args.folder, args.output, args.base, args.type, progress)
    else:
        if args.base is not None:
            raise RequestError(f"--base {args.base}: the folder holds no adapter (adapter_config.json)")
        done = convert_folder(args.folder, args.output, args.type, progress, args.mmproj)
    seconds = time.perf_counter() - started
    if args.json:
        print(json.dumps(asdict(done) | {"seconds": seconds}))
    else:
        print(
            f"{done.architecture}, {done.type}: {done.tensors} tensors, {done.values / 1e6:.1f} M values, "
            f"{done.bytes / 1e6:.1f} MB, {seconds:.1f} s"
        )
    return 0
