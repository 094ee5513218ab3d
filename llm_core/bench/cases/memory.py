"""Peak memory of a fresh process that has read a prompt and decoded some tokens, beside the file and the cache
in use."""

from llm_core.bench.bench import Bench
from llm_core.bench.row import Goal, Row, row

SUMMARY = "peak memory, and cache bytes a token"
QUICK = False
PROMPT, GEN = 512, 64
ALLOWED = 350e6


def measure(bench: Bench) -> list[Row]:
    """Two rows: megabytes; kilobytes of keys and values a token."""
    runs = bench.fresh_turns("memory", lambda side, _: bench.fresh(side, PROMPT, GEN), 1)
    peaks = {who: [run.peak_rss / 1e6 for run in found] for who, found in runs.items()}
    kv = {who: [run.kv_bytes_per_token / 1e3 for run in found] for who, found in runs.items()}
    least = bench.file_bytes + (PROMPT + GEN) * kv["ours"][0] * 1e3
    return [
        row(
            "memory", "peak memory", "MB", peaks, floors=[least / 1e6], lower_is_better=True,
            floor_is=f"the file and the cache of {PROMPT + GEN} tokens", goal=Goal(at_most=(least + ALLOWED) / 1e6),
        ),
        row("memory", "cache a token", "KB", kv, lower_is_better=True),
    ]  # fmt: skip
