"""The very first start on a machine: nothing on disk yet, every kernel is compiled. llama.cpp was compiled before, so
its figure is that of any start."""

import tempfile
from pathlib import Path

from llm_core.bench.bench import SHORT_PROMPT, Bench
from llm_core.bench.row import Goal, Row, row

SUMMARY = "the same with an empty cache folder: compiling all kernels"
QUICK = False


def measure(bench: Bench) -> list[Row]:
    """One row, seconds, one turn."""

    def first_token(side: str, _round: int) -> float:
        with tempfile.TemporaryDirectory(prefix="llm_core_bench_") as folder:
            return bench.fresh(side, SHORT_PROMPT, cache=Path(folder)).first_token_s

    turns = bench.fresh_turns("first start", first_token, 1)
    goal = Goal(at_most=45)
    return [row("first-start", "very first start to first token", "s", turns, lower_is_better=True, goal=goal)]
