"""One stream, short context: the floor is the time in which the weights can be read from memory."""

from llm_core.bench.bench import SHORT_PROMPT, Bench, decode_seconds, seconds
from llm_core.bench.row import Goal, Row, row

SUMMARY = "one token after the other, short context"
QUICK = True


def measure(bench: Bench) -> list[Row]:
    """One row, tokens a second."""
    n, prompt, weights = bench.options.gen_tokens, bench.tokens(SHORT_PROMPT), bench.ours.weight_bytes
    bench.begin(1, SHORT_PROMPT + n)
    floors = []

    def rate(side, _round) -> float:
        if side is bench.ours:
            floors.append(bench.bandwidth(weights) / weights)
        seconds(side, [(0, 0, prompt)])
        return n / decode_seconds(side, prompt[-1], SHORT_PROMPT, n)

    bench.turns("decode, warming up", rate, 1)
    floors.clear()
    turns = bench.turns("decode", rate)
    floor_is = f"{weights / 1e6:.0f} MB of weights a token at the bandwidth of this run"
    goal = Goal(share=0.85)
    return [row("decode", "decode, one stream", "tokens/s", turns, floors=floors, floor_is=floor_is, goal=goal)]
