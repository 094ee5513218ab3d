"""`llm-core bench`: speed of a model on this machine, and of llama.cpp on the same file in the same run.

Prefill and decode are measured in turns (ours, theirs, ours, …) and reported as medians, so that a drifting machine
moves both; the floor is the read bandwidth of the same threads on as many bytes as a token touches.
"""

import argparse
import json
import resource
import statistics
import time

from llm_core.cli import _options
from llm_core.errors import RequestError

SUMMARY = "measure speed on this machine, beside llama.cpp if asked"
MAX_TOKENS, MAX_ROUNDS = 1 << 26, 1000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    _options.add_model_options(parser)
    parser.add_argument("--prompt-tokens", type=int, default=512, metavar="N", help="tokens of the prompt (512)")
    parser.add_argument("--gen-tokens", type=int, default=64, metavar="N", help="tokens decoded after it (64)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="how often each is measured (5)")
    parser.add_argument("--compare", choices=["llama-cpp"], help="measure llama-cpp-python in turns with us")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


class Ours:
    """Our runner with one sequence."""

    def __init__(self, args, path):
        import numpy as np

        from llm_core.models import load_model
        from llm_core.program import Batch, Runner

        self._np, self._batch = np, Batch
        started = time.perf_counter()
        self.runner = Runner(load_model(path), n_ctx=args.ctx, n_threads=args.threads)
        self.load_s = time.perf_counter() - started
        self._table = np.arange(self.runner.max_blocks, dtype=np.int32)[None]

    def eval(self, tokens, start):
        """Compute `tokens` at positions start…, logits of the last one."""
        np, size = self._np, self.runner.max_rows
        for at in range(0, len(tokens), size):
            piece = np.array(tokens[at : at + size], np.int32)
            last = [len(piece) - 1] if at + size >= len(tokens) else []
            positions = np.arange(start + at, start + at + len(piece), dtype=np.int32)
            self.runner.step(
                self._batch(piece, positions, np.array([0, len(piece)]), self._table, np.array(last, np.int32))
            )


class LlamaCpp:
    """llama.cpp through llama-cpp-python, one sequence."""

    def __init__(self, args, path):
        try:
            import llama_cpp
        except ImportError as error:
            raise RequestError(
                f"--compare llama-cpp: llama-cpp-python cannot be imported ({error}); pip install llama-cpp-python"
            ) from None
        from llm_core.kernels import cpu

        started = time.perf_counter()
        threads = args.threads or cpu.default_threads()
        self._model = llama_cpp.Llama(
            str(path), n_ctx=args.ctx, n_threads=threads, n_threads_batch=threads, n_batch=512, verbose=False
        )
        self.load_s = time.perf_counter() - started

    def eval(self, tokens, start):
        """Compute `tokens` at positions start…, logits of the last one."""
        self._model.n_tokens = start
        self._model.eval(tokens)


def measure(contender, prompt, n_gen):
    """(seconds to the first logits of the prompt, seconds of n_gen single tokens after it)"""
    started = time.perf_counter()
    contender.eval(prompt, 0)
    first = time.perf_counter()
    for i in range(n_gen):
        contender.eval([prompt[i % len(prompt)]], len(prompt) + i)
    return first - started, time.perf_counter() - first


def summary(rounds, args, contender):
    """Medians of the rounds as the keys that scripts read."""
    prefill, decode = (statistics.median(r[i] for r in rounds) for i in (0, 1))
    return {
        "prefill_tps": args.prompt_tokens / prefill,
        "decode_tps": args.gen_tokens / decode,
        "ttft_s": prefill,
        "load_s": contender.load_s,
    }


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    from llm_core.hub import resolve

    for option, high in (("prompt_tokens", MAX_TOKENS), ("gen_tokens", MAX_TOKENS), ("rounds", MAX_ROUNDS)):
        if not 1 <= getattr(args, option) <= high:
            raise RequestError(f"--{option.replace('_', '-')} {getattr(args, option)}: must be from 1 to {high}")
    if args.prompt_tokens + args.gen_tokens > args.ctx:
        raise RequestError(
            f"--prompt-tokens {args.prompt_tokens} and --gen-tokens {args.gen_tokens} do not fit --ctx {args.ctx}"
        )
    path = resolve(args.model)
    ours = Ours(args, path)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    peers = {"llama_cpp": LlamaCpp(args, path)} if args.compare else {}
    prompt = [(i * 7919) % min(ours.runner.n_vocab, 30000) for i in range(args.prompt_tokens)]
    contenders = {"ours": ours, **peers}
    for contender in contenders.values():
        measure(contender, prompt[:32], 4)
    rounds = {name: [] for name in contenders}
    for _ in range(args.rounds):
        for name, contender in contenders.items():
            rounds[name].append(measure(contender, prompt, args.gen_tokens))
    floor = ours.runner.measure_bandwidth()
    result = {"model": str(path), "threads": ours.runner.n_threads, **summary(rounds["ours"], args, ours)}
    result |= {
        "peak_rss_mb": peak,
        "weight_mb": ours.runner.weight_bytes / 1e6,
        "read_gbps": ours.runner.weight_bytes * result["decode_tps"] / 1e9,
        "floor_gbps": floor / 1e9,
    }
    result["floor_share"] = result["read_gbps"] / result["floor_gbps"]
    for name, peer in peers.items():
        result[name] = summary(rounds[name], args, peer)
        for key, index in (("prefill_ratio", 0), ("decode_ratio", 1)):
            result[name][key] = statistics.median(
                theirs[index] / mine[index] for mine, theirs in zip(rounds["ours"], rounds[name], strict=True)
            )
    ours.runner.close()
    print(json.dumps(result) if args.json else table(result))
    return 0


def table(result) -> str:
    """The result for people."""
    r = result
    lines = [
        f"{r['model']}, {r['threads']} threads",
        f"  prefill {r['prefill_tps']:8.1f} tokens/s    first logits {r['ttft_s']:.3f} s    load {r['load_s']:.2f} s",
        f"  decode  {r['decode_tps']:8.1f} tokens/s    {r['read_gbps']:.1f} GB/s of weights, "
        f"{100 * r['floor_share']:.0f} % of the {r['floor_gbps']:.1f} GB/s that these threads read",
        f"  peak memory {r['peak_rss_mb']:.0f} MB (weights {r['weight_mb']:.0f} MB)",
    ]
    peer = r.get("llama_cpp")
    if peer:
        lines.append(
            f"  llama.cpp: prefill {peer['prefill_tps']:.1f}, decode {peer['decode_tps']:.1f} tokens/s; "
            f"we are {peer['prefill_ratio']:.2f} x and {peer['decode_ratio']:.2f} x as fast"
        )
    return "\n".join(lines)
