"""A prompt alone: tokens a second until the logits of its last token."""

from llm_core.bench.bench import Bench, seconds
from llm_core.bench.row import Goal, Row, row

SUMMARY = "prompts, tokens a second"
QUICK = True


def measure(bench: Bench) -> list[Row]:
    """One row for each length asked for."""
    return [_length(bench, n) for n in bench.options.prompt_tokens]


def _length(bench: Bench, n: int) -> Row:
    prompt = bench.tokens(n)
    bench.begin(1, n)

    def rate(side, _round) -> float:
        return n / seconds(side, [(0, 0, prompt)])

    bench.turns(f"prefill {n}, warming up", lambda side, _: seconds(side, [(0, 0, prompt[:256])]), 1)
    turns = bench.turns(f"prefill {n}", rate)
    return row("prefill", f"prefill, {n} tokens", "tokens/s", turns, goal=Goal(ratio=3), n_tokens=n)
