"""A prompt whose beginning was seen before: time to its first token beyond the prefill of what is new.

400 tokens were seen, 16 are new. What a step of 16 tokens at that place costs is taken off the time to the first token;
the rest is told in decode steps.
"""

from llm_core.bench.bench import Bench, decode_seconds, seconds
from llm_core.bench.row import Goal, Row, row

SUMMARY = "a prompt whose first 400 tokens were seen"
QUICK = False
SEEN, NEW, STEPS = 400, 16, 16


def measure(bench: Bench) -> list[Row]:
    """Two rows: decode steps beyond the new tokens' prefill; the whole time to the first token."""
    seen = bench.tokens(SEEN)
    bench.begin(1, SEEN + NEW + STEPS)
    for side in bench.sides:
        side.step([(0, 0, seen)])
        side.generate([*seen, *bench.tokens(NEW, SEEN)], 2)

    def times(side, at) -> tuple[float, float]:
        new = bench.tokens(NEW, SEEN + (at + 1) * NEW)
        first = side.generate([*seen, *new], 2).ttft_s
        prefill = min(seconds(side, [(0, SEEN, new)]) for _ in range(3))
        step = decode_seconds(side, new[0], SEEN + NEW, STEPS) / STEPS
        return first, (first - prefill) / step

    bench.turns("prefix, warming up", times, 1)
    turns = bench.turns("prefix", lambda side, at: times(side, at + 1))
    firsts, beyond = ({who: [pair[i] for pair in pairs] for who, pairs in turns.items()} for i in (0, 1))
    name = f"first token after {SEEN} seen and {NEW} new tokens"
    return [
        row(
            "prefix", f"{name}, beyond the prefill", "decode steps", beyond, lower_is_better=True,
            goal=Goal(at_most=1.5),
        ),
        row("prefix", name, "s", firsts, lower_is_better=True),
    ]  # fmt: skip
