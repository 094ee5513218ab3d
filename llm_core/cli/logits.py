"""`llm-core logits`: the model's raw scores after each token of a sequence, as a numpy file."""

import argparse
import json

from llm_core.cli import _options
from llm_core.errors import RequestError
from llm_core.gguf import open_gguf
from llm_core.hub import resolve

SUMMARY = "write the logits of a token sequence to a .npy file"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    _options.add_model_options(parser)
    _options.add_lora_option(parser)
    parser.add_argument("--tokens", required=True, metavar="IDS", help="token ids: 1,2,3 or a JSON list")
    parser.add_argument(
        "--out", required=True, metavar="F.npy", help="float32 [tokens, vocabulary], one row per position"
    )


def parse_ids(text: str) -> list[int]:
    """Token ids from "1,2,3" or "[1, 2, 3]". Raises RequestError that names --tokens."""
    try:
        ids = json.loads(text if text.lstrip().startswith("[") else f"[{text}]")
    except (ValueError, RecursionError):
        ids = None
    if not isinstance(ids, list) or not ids or not all(type(i) is int for i in ids):
        raise RequestError(f"--tokens {text[:60]!r}: expected token ids such as 1,2,3")
    return ids


def run(args: argparse.Namespace) -> int:
    """Compute in chunks, write rows as they come."""
    ids = parse_ids(args.tokens)
    if len(ids) > args.ctx:
        raise RequestError(f"--tokens: {len(ids)} tokens do not fit the context of {args.ctx} (--ctx)")
    file = open_gguf(resolve(args.model))
    import numpy as np

    from llm_core.engine.adapters import check_files
    from llm_core.models import load_model
    from llm_core.models.adapter import load_adapter
    from llm_core.program import Batch, Runner

    model = load_model(file)
    bad = next((i for i in ids if not 0 <= i < model.config.n_vocab), None)
    if bad is not None:
        raise RequestError(f"--tokens: id {bad} is not in the vocabulary of {model.config.n_vocab}")
    files = check_files(_options.lora_files(args))
    adapters = [(load_adapter(path, model), scale) for path, scale in files.values()]
    runner = Runner(model, n_ctx=args.ctx, n_threads=args.threads, pin=args.pin, kv_type=args.kv_type)
    runner.pin_caller()
    try:
        own = [tuple((runner.attach(adapter), scale) for adapter, scale in adapters)]
        table = np.arange(runner.max_blocks, dtype=np.int32)[None]
        with open(args.out, "wb") as file:
            np.lib.format.write_array_header_1_0(
                file, {"descr": "<f4", "fortran_order": False, "shape": (len(ids), runner.n_vocab)}
            )
            for start in range(0, len(ids), runner.max_rows):
                chunk = np.array(ids[start : start + runner.max_rows], np.int32)
                rows = np.arange(len(chunk), dtype=np.int32)
                batch = Batch(chunk, start + rows, np.array([0, len(chunk)], np.int32), table, rows, adapters=own)
                file.write(np.ascontiguousarray(runner.step(batch)).tobytes())
    finally:
        runner.close()
    return 0
