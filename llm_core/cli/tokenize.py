"""`llm-core tokenize --model M [TEXT]`: the token ids of a text, as JSON.

TEXT is taken byte for byte (broken UTF-8 too); without it, or as `-`, standard input is read to its end. Control tokens
spelled in the text stay text unless `--special` is given. Reads the file's metadata only, no weights.
"""

from __future__ import annotations

import argparse
import json
import sys

from llm_core.catalog import DEFAULT_MODEL
from llm_core.gguf import open_gguf
from llm_core.hub import resolve
from llm_core.tokenizer import Tokenizer

SUMMARY = "print the token ids of a text"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this verb's options."""
    parser.add_argument("text", metavar="TEXT", nargs="?", help="the text; '-' or nothing: standard input")
    parser.add_argument(
        "--model", default=DEFAULT_MODEL, metavar="M", help="path or name of a model (default: %(default)s)"
    )
    parser.add_argument("--special", action="store_true", help="control tokens spelled in TEXT become those tokens")
    parser.add_argument("--no-bos", action="store_true", help="add no BOS, EOS or separator token")
    parser.add_argument("--json", action="store_true", help="an object with ids, tokens and count instead of the ids")


def run(args: argparse.Namespace) -> int:
    """Prints the ids. Raises ModelError for a model that has no usable tokenizer."""
    with open_gguf(resolve(args.model)) as file:
        tokenizer = Tokenizer.from_metadata(file.metadata)
    text = sys.stdin.buffer.read() if args.text in (None, "-") else args.text
    ids = tokenizer.encode(text, add_special=not args.no_bos, parse_special=args.special)
    if args.json:
        tokens = [tokenizer.token_bytes(i).decode("utf-8", "replace") for i in ids]
        print(json.dumps({"ids": ids, "tokens": tokens, "count": len(ids)}))
    else:
        print(json.dumps(ids))
    return 0
