"""From starting a process to the first token of a short prompt, kernels compiled and files in the page cache."""

from llm_core.bench.bench import SHORT_PROMPT, Bench
from llm_core.bench.row import Goal, Row, row

SUMMARY = "process start to the first token"
QUICK = False
SMALL_FILE, SMALL_S, LARGE_S = 300e6, 1.5, 3.0


def measure(bench: Bench) -> list[Row]:
    """One row, seconds."""

    def first_token(side: str, _round: int) -> float:
        return bench.fresh(side, SHORT_PROMPT).first_token_s

    bench.fresh_turns("start, warming up", first_token, 1)
    goal = Goal(at_most=SMALL_S if bench.file_bytes < SMALL_FILE else LARGE_S)
    turns = bench.fresh_turns("start", first_token)
    return [row("start", "process start to first token", "s", turns, lower_is_better=True, goal=goal)]
