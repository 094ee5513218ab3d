"""Several sequences that decode together, one token each a step: all their tokens a second."""

from llm_core.bench.bench import SHORT_PROMPT, STREAMS, Bench, decode_seconds
from llm_core.bench.row import Goal, Row, row

SUMMARY = "8 and 16 sequences that decode together"
QUICK = False


def measure(bench: Bench) -> list[Row]:
    """One row for each number of sequences; the floor reads the weights once a step."""
    return [_together(bench, n_streams) for n_streams in STREAMS]


def _together(bench: Bench, n_streams: int) -> Row:
    options, weights = bench.options, bench.ours.weight_bytes
    n, floors = options.gen_tokens, []
    bench.begin(n_streams, options.stream_positions)
    for side in bench.sides:
        for s in range(n_streams):
            side.step([(s, 0, bench.tokens(SHORT_PROMPT, s))])

    def rate(side, _round) -> float:
        if side is bench.ours:
            floors.append(n_streams * bench.bandwidth(weights) / weights)
        return n_streams * n / decode_seconds(side, 0, SHORT_PROMPT, n, n_streams)

    bench.turns(f"{n_streams} streams, warming up", rate, 1)
    floors.clear()
    turns = bench.turns(f"{n_streams} streams", rate)
    floor_is = f"{weights / 1e6:.0f} MB of weights a step of {n_streams} tokens at the bandwidth of this run"
    goal = Goal(ratio=2.5)
    return row(
        "streams", f"{n_streams} streams together", "tokens/s", turns, floors=floors, floor_is=floor_is, goal=goal
    )
