"""Decoding deep in a context: the floor counts the keys and values that a token reads; and attention by itself.

Attention's share is the difference between a token here and one at the beginning, measured in the same turn: the bytes
of keys and values divided by it are the speed at which attention reads the cache.
"""

from llm_core.bench.bench import SHORT_PROMPT, Bench, decode_seconds
from llm_core.bench.row import Goal, Row, row

SUMMARY = "one token after the other, deep in the context"
QUICK = False


def measure(bench: Bench) -> list[Row]:
    """Two rows: tokens a second; gigabytes a second of keys and values."""
    options, runner = bench.options, bench.ours.runner
    n, depth, prompt = options.gen_tokens, options.context, bench.tokens(options.context)
    weights, kv = bench.ours.weight_bytes, runner.kv_read_bytes(depth)
    bench.begin(2, options.deep_positions)
    for side in bench.sides:
        bench.say(f"context: {side.name.replace('_', '.')} reads {depth} tokens")
        side.step([(0, 0, prompt)])
        side.step([(1, 0, prompt[:SHORT_PROMPT])])
        decode_seconds(side, prompt[0], depth, n)
    bandwidths = []

    def both(side, at) -> tuple[float, float]:
        if side is bench.ours:
            bandwidths.append(bench.bandwidth(weights + kv))
        short = decode_seconds(side, prompt[0], SHORT_PROMPT, n, first=1) / n
        return decode_seconds(side, prompt[0], depth + (at + 1) * n, n) / n, short

    turns = bench.turns(f"context {depth}", both)
    rates = {who: [1 / deep for deep, _ in pairs] for who, pairs in turns.items()}
    reads = {who: [_rate(kv, deep - short) for deep, short in pairs] for who, pairs in turns.items()}
    mb = f"{kv / 1e6:.1f} MB of keys and values"
    return [
        row(
            "context", f"decode at {depth} tokens", "tokens/s", rates, floors=[b / (weights + kv) for b in bandwidths],
            floor_is=f"{weights / 1e6:.0f} MB of weights and {mb} a token at the bandwidth of this run",
            goal=Goal(ratio=1.6),
        ),
        row(
            "context", f"attention at {depth} tokens", "GB/s", reads, floors=[b / 1e9 for b in bandwidths],
            floor_is=f"the bandwidth of this run; {mb} a token", goal=Goal(share=0.7),
        ),
    ]  # fmt: skip


def _rate(n_bytes: int, duration: float) -> float:
    return n_bytes / duration / 1e9 if duration > 0 else float("nan")
