"""The bench itself: options, the two sides on one file, and turns between them.

Cases (cases/) measure through this: `turns` calls a measurement for ours, then for llama.cpp, then for ours again …,
with a pause before each in which the other side's threads go to sleep. What must not see a warm process is measured in
a fresh one (fresh.py).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from llm_core import memory
from llm_core.bench import fresh
from llm_core.bench.contender import Adapters, Contender, Piece, token_ids
from llm_core.bench.peer import LlamaCpp, import_llama_cpp
from llm_core.errors import RequestError
from llm_core.gguf import open_gguf

# OpenMP runtimes keep their threads spinning for up to 0.2 s after the last parallel region.
SETTLE_S = 0.3
STREAMS = (8, 16)
STREAM_POSITIONS = 256
SHORT_PROMPT = 16
MAX_TOKENS, MAX_ROUNDS = 1 << 20, 1000
BUSY_LOAD = 0.3  # load average a core above which figures are doubtful


@dataclass(frozen=True)
class Options:
    """What to measure. Raises RequestError for what makes no sense."""

    n_threads: int
    prompt_tokens: tuple[int, ...] = (512,)
    gen_tokens: int = 64
    context: int = 4096
    rounds: int = 5
    compare: bool = False
    adapters: Adapters = ()

    def __post_init__(self) -> None:
        ranges = [
            *(("prompt-tokens", n, 1, MAX_TOKENS) for n in self.prompt_tokens or (0,)),
            ("gen-tokens", self.gen_tokens, 2, MAX_TOKENS),
            ("context", self.context, 1, MAX_TOKENS),
            ("rounds", self.rounds, 1, MAX_ROUNDS),
            ("threads", self.n_threads, 1, 1 << 10),
        ]
        for name, value, low, high in ranges:
            if not low <= value <= high:
                raise RequestError(f"--{name} {value}: must be from {low} to {high}")

    @property
    def deep_positions(self) -> int:
        """Positions of the sequence that is decoded at `context`: every round goes on where the last one ended."""
        return self.context + (self.rounds + 1) * self.gen_tokens

    @property
    def n_positions(self) -> int:
        """Positions that the largest case stores."""
        return max(
            *self.prompt_tokens,
            SHORT_PROMPT + self.gen_tokens,
            2 * self.deep_positions,
            max(STREAMS) * self.stream_positions,
        )

    @property
    def stream_positions(self) -> int:
        """Positions of each of the sequences that decode together."""
        return max(STREAM_POSITIONS, SHORT_PROMPT + self.gen_tokens)


class Bench:
    """Both sides on one file, loaded when a case first asks for them. `say` is told how it goes.

    Raises ModelError for a file that cannot be used, RequestError where llama.cpp is wanted and not there.
    """

    def __init__(self, path: Path, options: Options, say: Callable[[str], None] = lambda text: None) -> None:
        self.path, self.options, self.say = path, options, say
        self.load_average, self.busy = machine_load()
        with open_gguf(path) as file:
            self.file_bytes = sum(tensor.data.nbytes for tensor in file.tensors.values())
        if options.compare:
            import_llama_cpp()

    @cached_property
    def ours(self):
        """Our side."""
        from llm_core.bench.ours import Ours

        self.say("loading the model")
        ours = Ours(self.path, self.options.n_threads, self.options.n_positions, self.options.adapters)
        self.loaded_peak = memory.peak_bytes()
        return ours

    @cached_property
    def peer(self):
        """llama.cpp's side, or None when nobody asked for it."""
        if not self.options.compare:
            return None
        self.say("loading the model into llama.cpp")
        n_positions = SHORT_PROMPT + self.options.gen_tokens
        return LlamaCpp(self.path, self.options.n_threads, n_positions, self.options.adapters)

    @property
    def sides(self) -> list[Contender]:
        """Who takes turns."""
        return [side for side in (self.ours, self.peer) if side is not None]

    def begin(self, n_sequences: int, length: int) -> None:
        """Both sides forget, and make room for n_sequences of `length` positions each."""
        for side in self.sides:
            side.begin(n_sequences, length)

    def tokens(self, n: int, first: int = 0) -> list[int]:
        """n token ids, the same for both sides."""
        return token_ids(self.ours.runner.n_vocab, n, first)

    def bandwidth(self, n_bytes: int) -> float:
        """Bytes a second that our threads read, now, from a buffer of n_bytes."""
        time.sleep(SETTLE_S)
        return self.ours.runner.measure_bandwidth(n_bytes)

    def turns(self, what: str, measure: Callable[[Contender, int], object], rounds: int | None = None) -> dict:
        """{side: [measure(side, round) for every round]}, the sides in turns."""
        sides = {side.name: side for side in self.sides}
        return self._turns(what, lambda name, at: measure(sides[name], at), list(sides), rounds)

    def fresh_turns(self, what: str, measure: Callable[[str, int], object], rounds: int | None = None) -> dict:
        """The same for measurements in fresh processes: `measure` gets a side's name; nothing is loaded here."""
        return self._turns(what, measure, ["ours", "llama_cpp"][: 1 + self.options.compare], rounds)

    def _turns(self, what: str, measure: Callable, names: list[str], rounds: int | None) -> dict[str, list]:
        rounds = self.options.rounds if rounds is None else rounds
        results: dict[str, list] = {name: [] for name in names}
        for at in range(rounds):
            for name in names:
                self.say(f"{what}: {name.replace('_', '.')}, round {at + 1} of {rounds}")
                time.sleep(SETTLE_S)
                results[name].append(measure(name, at))
        return results

    def fresh(self, side: str, prompt: int, gen: int = 1, idle_s: float = 0, cache: Path | None = None) -> fresh.Fresh:
        """What a fresh process of this side shows (fresh.py)."""
        options = self.options
        return fresh.run(side, self.path, options.n_threads, prompt, gen, idle_s, cache, options.adapters)

    def close(self) -> None:
        """Free both models."""
        for side in [self.__dict__.pop(name, None) for name in ("ours", "peer")]:
            if side is not None:
                side.close()


def machine_load() -> tuple[float, bool]:
    """The load average of the last minute, and whether it is so high that figures are doubtful."""
    load = os.getloadavg()[0]
    return load, load > BUSY_LOAD * (os.cpu_count() or 1)


def seconds(side: Contender, pieces: list[Piece]) -> float:
    """How long one step takes."""
    started = time.perf_counter()
    side.step(pieces)
    return time.perf_counter() - started


def decode_seconds(side: Contender, token: int, start: int, n_steps: int, n_sequences: int = 1, first: int = 0):
    """Seconds of n_steps in which each of the sequences first… gets one token, at position start and on."""
    started = time.perf_counter()
    for at in range(start, start + n_steps):
        side.step([(first + s, at, [token + s]) for s in range(n_sequences)])
    return time.perf_counter() - started
