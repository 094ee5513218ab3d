"""`llm-core fetch NAME`: bring a model to this machine, verified, and print its path. Progress goes to stderr."""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import TextIO

from llm_core.catalog import DEFAULT_MODEL, MODELS
from llm_core.hub import fetch

SUMMARY = "download a model by name (resumes, verifies, does nothing if it is here)"


class ProgressLine:
    """Shows bytes as they come: one line rewritten on a terminal, a new line every tenth elsewhere."""

    def __init__(self, name: str, stream: TextIO):
        self.name, self.stream = name, stream
        self.terminal = stream.isatty()
        self.shown: object = None
        self.started = time.monotonic()

    def __call__(self, done: int, total: int, what: str) -> None:
        """Report `done` of `total` bytes."""
        percent = 100 * done // max(total, 1)
        state = (done, what) if self.terminal else (percent // 10, what.split()[0])
        if state == self.shown:
            return
        self.shown = state
        text = f"{self.name}: {done / 1e6:.0f} of {total / 1e6:.0f} MB ({percent} %), {what}"
        self.stream.write(f"\r{text}\x1b[K" if self.terminal else text + "\n")
        self.stream.flush()

    def finish(self) -> None:
        """End the rewritten line."""
        if self.terminal and self.shown is not None:
            self.stream.write("\n")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    names = ", ".join(MODELS)
    parser.add_argument("name", nargs="?", default=DEFAULT_MODEL, help=f"{names}, or hf:owner/repo/file.gguf")
    parser.add_argument("--json", action="store_true", help='print {"name", "path", "size"} instead of the path')


def run(args: argparse.Namespace) -> int:
    """Fetch and print; raises ModelError when the model cannot be had."""
    line = ProgressLine(args.name, sys.stderr)
    try:
        path = fetch(args.name, line)
    finally:
        line.finish()
    print(json.dumps({"name": args.name, "path": str(path), "size": path.stat().st_size}) if args.json else path)
    return 0
