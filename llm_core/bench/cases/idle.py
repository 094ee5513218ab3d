"""CPU used while nothing is asked, and how long a helper thread stays awake after a step."""

from llm_core.bench.bench import SHORT_PROMPT, Bench
from llm_core.bench.row import Goal, Row, row

SUMMARY = "CPU used between requests"
QUICK = False
SECONDS, GEN = 5.0, 16


def measure(bench: Bench) -> list[Row]:
    """Two rows: CPU milliseconds in SECONDS of waiting; milliseconds of a helper after a step (ours alone)."""
    runs = bench.fresh_turns("idle", lambda side, _: bench.fresh(side, SHORT_PROMPT, GEN, SECONDS), 1)
    cpu = {who: [run.idle_cpu_s * 1e3 for run in found] for who, found in runs.items()}
    awake = {"ours": [run.awake_s * 1e3 for run in runs["ours"] if run.awake_s is not None]}
    return [
        row("idle", f"CPU in {SECONDS:g} s without work", "ms", cpu, lower_is_better=True, goal=Goal(at_most=10)),
        row("idle", "a thread awake after a step", "ms", awake, lower_is_better=True, goal=Goal(at_most=1)),
    ]
