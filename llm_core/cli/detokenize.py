"""`llm-core detokenize --model M IDS`: the text of token ids.

IDS is a JSON list or numbers separated by commas or spaces; `-` or nothing reads them from standard input. Control
tokens are left out unless `--special` is given. `--json` prints the text as a JSON string, which keeps every
character.
"""

from __future__ import annotations

import argparse
import json
import re
import sys

from llm_core.catalog import DEFAULT_MODEL
from llm_core.errors import RequestError
from llm_core.gguf import open_gguf
from llm_core.hub import resolve
from llm_core.tokenizer import Tokenizer

SUMMARY = "print the text of token ids"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this verb's options."""
    parser.add_argument("ids", metavar="IDS", nargs="?", help="'[1, 2]' or '1,2'; '-' or nothing: standard input")
    parser.add_argument(
        "--model", default=DEFAULT_MODEL, metavar="M", help="path or name of a model (default: %(default)s)"
    )
    parser.add_argument("--special", action="store_true", help="show control tokens as they are spelled")
    parser.add_argument("--json", action="store_true", help="print the text as a JSON string")


def run(args: argparse.Namespace) -> int:
    """Prints the text. Raises RequestError for ids that are no numbers or not in the vocabulary."""
    ids = parse_ids(sys.stdin.read() if args.ids in (None, "-") else args.ids)
    with open_gguf(resolve(args.model)) as file:
        tokenizer = Tokenizer.from_metadata(file.metadata)
    text = tokenizer.decode(ids, skip_special=not args.special)
    # a terminal that cannot show a letter gets its escape
    encoding = sys.stdout.encoding or "utf-8"
    print(json.dumps(text) if args.json else text.encode(encoding, "backslashreplace").decode(encoding))
    return 0


def parse_ids(text: str) -> list[int]:
    """Ids from "[1, 2, 3]", "1,2,3" or "1 2 3"; RequestError names the part that is no id."""
    inner = text.strip()
    if inner.startswith("[") != inner.endswith("]"):
        raise RequestError(f"ids: {text.strip()[:60]!r} has an unmatched bracket")
    inner = inner[1:-1] if inner.startswith("[") else inner
    parts = [part for part in re.split(r"\s*,\s*|\s+", inner.strip()) if part] if inner.strip() else []
    for part in parts:
        if not re.fullmatch(r"[0-9]{1,10}", part):
            raise RequestError(f"ids: {part[:60]!r} is not a token id")
    return [int(part) for part in parts]
