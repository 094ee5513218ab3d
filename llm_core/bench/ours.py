"""Our side of a bench: the runner for bare steps, and an engine on the same runner for text.

Bare steps use the last KV blocks and the engine takes the first ones, so neither disturbs what the other has stored.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from llm_core.bench.contender import Adapters, Answer, Piece
from llm_core.engine import Engine, Handle
from llm_core.engine.loader import load_parts
from llm_core.errors import RequestError
from llm_core.grammar import Grammar
from llm_core.program import Batch, Runner
from llm_core.sampling import SamplingParams

ENGINE_POSITIONS = 2048
MAX_SEQUENCES = 64
# What a user gets who does not say.
MAX_ROWS = Engine.__init__.__kwdefaults__["max_rows"]


class Ours:
    """llm_core on one file. n_positions: how many positions bare steps need, all sequences together."""

    name = "ours"

    def __init__(self, path: Path, n_threads: int, n_positions: int, adapters: Adapters = ()) -> None:
        # One block more for each sequence of a bare step, which begins a block of its own.
        n_blocks = -(-(n_positions + ENGINE_POSITIONS) // Runner.block_size) + MAX_SEQUENCES
        started = time.perf_counter()
        files = {str(index): file for index, (file, _) in enumerate(adapters)}
        self._parts = load_parts(
            path, max(n_positions, ENGINE_POSITIONS), n_blocks, MAX_ROWS, n_threads, False, None, adapters=files
        )
        self.load_s = time.perf_counter() - started
        self.runner = self._parts.runner
        self._files = adapters
        self._adapters = tuple(zip(self._parts.loras.values(), (scale for _, scale in adapters), strict=True))
        self.n_vocab = self.runner.n_vocab
        self._engine: Engine | None = None
        self._n_positions = n_positions
        self.begin(1, n_positions)

    def begin(self, n_sequences: int, length: int) -> None:
        """Forget what was computed; room for n_sequences of `length` positions each."""
        blocks = -(-length // self.runner.block_size)
        if n_sequences > MAX_SEQUENCES or n_sequences * length > self._n_positions:
            raise RequestError(f"bench: {n_sequences} sequences of {length} tokens do not fit {self._n_positions}")
        last = self.runner.n_blocks - 1
        self._tables = last - np.arange(n_sequences * blocks, dtype=np.int32).reshape(n_sequences, blocks)

    def step(self, pieces: Sequence[Piece]) -> np.ndarray:
        """Compute all pieces; the last one's logits. A piece of more than MAX_ROWS tokens comes alone."""
        if len(pieces) == 1:
            sequence, start, tokens = pieces[0]
            for at in range(0, len(tokens), MAX_ROWS):
                part = tokens[at : at + MAX_ROWS]
                logits = self._step([(sequence, start + at, part)], at + len(part) == len(tokens))
        else:
            logits = self._step(pieces, True)
        return logits[-1]

    def _step(self, pieces: Sequence[Piece], output: bool) -> np.ndarray:
        sizes = [len(tokens) for _, _, tokens in pieces]
        starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
        positions = np.concatenate([start + np.arange(len(tokens)) for _, start, tokens in pieces]).astype(np.int32)
        tokens = np.concatenate([tokens for _, _, tokens in pieces]).astype(np.int32)
        outputs = (starts[1:] - 1) if output else starts[:0]
        tables = self._tables[[s for s, _, _ in pieces]]
        adapters = [self._adapters] * len(pieces) if self._adapters else None
        return self.runner.step(Batch(tokens, positions, starts, tables, outputs, adapters=adapters))

    @property
    def weight_bytes(self) -> int:
        """Bytes of weights that a step reads, the adapters' among them."""
        return self.runner.weight_bytes + sum(lora.nbytes for lora, _ in self._adapters)

    @property
    def engine(self) -> Engine:
        """An engine on the same runner, for text. It does not guess tokens ahead: neither does the peer."""
        if self._engine is None:
            self._engine = Engine(self._parts._replace(loras={}), speculate=False)
            for index, (file, scale) in enumerate(self._files):
                self._engine.load_adapter(str(index), file, scale)
        return self._engine

    def generate(self, prompt: Sequence[int], max_tokens: int, schema: str | None = None) -> Answer:
        """Continue greedily; with a JSON schema until it is satisfied, without one never ending early."""
        grammar = None if schema is None else Grammar.json(schema)
        params = SamplingParams(temperature=0, max_tokens=max_tokens, ignore_eos=schema is None, grammar=grammar)
        times: list[tuple[float, int]] = []

        def on_event(event) -> None:
            times.append((time.perf_counter(), len(event.tokens)))

        started = time.perf_counter()
        adapters = [info.name for info in self.engine.adapters]
        handle: Handle = self.engine.submit(list(prompt), params, adapters=adapters, on_event=on_event)
        completion = handle.result()
        told = [(at, n) for at, n in times if n]
        if not told:
            raise RequestError(f"the model had nothing to say ({completion.finish_reason})")
        after = sum(n for _, n in told[1:])
        return Answer(completion.usage.ttft_s or told[0][0] - started, after, told[-1][0] - told[0][0])

    def encode(self, text: str) -> list[int]:
        """Token ids of a prompt."""
        return self.engine.encode(text)

    def kv_bytes_per_token(self) -> float:
        """Bytes of K and V that one token keeps."""
        return self.runner.kv_bytes / (self.runner.n_blocks * self.runner.block_size)

    def close(self) -> None:
        """Free the model."""
        if self._engine is not None:
            self._engine.close()
        else:
            self.runner.close()
