"""What a bench asks of either side: bare steps on given token ids, and greedy text. Knows neither side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

Piece = tuple[int, int, Sequence[int]]  # sequence, position of the first token, token ids
Adapters = Sequence[tuple[Path, float]]  # LoRA files and how much of each, for all that is computed


class Answer(NamedTuple):
    """A generated text's times. Rates leave out the first token, which waits for the prompt."""

    ttft_s: float  # from asking to the first token
    tokens: int  # that came after the first ones
    seconds: float  # they took

    @property
    def tps(self) -> float:
        """Tokens a second after the first; NaN when there were none."""
        return self.tokens / self.seconds if self.tokens > 0 and self.seconds > 0 else float("nan")


class Contender(Protocol):
    """One side."""

    name: str  # "ours" or "llama_cpp"
    load_s: float  # file to ready
    n_vocab: int

    def begin(self, n_sequences: int, length: int) -> None:
        """Forget what was computed; room for n_sequences of `length` positions each."""

    def step(self, pieces: Sequence[Piece]) -> np.ndarray:
        """Compute all pieces in one go: float32 [n_vocab], the last one's logits, valid until the next step."""

    def generate(self, prompt: Sequence[int], max_tokens: int, schema: str | None = None) -> Answer:
        """Continue greedily; with a JSON schema until it is satisfied, without one never ending early."""

    def kv_bytes_per_token(self) -> float:
        """Bytes of K and V that one token keeps."""

    def close(self) -> None:
        """Free the model."""


def token_ids(n_vocab: int, n: int, first: int = 0) -> list[int]:
    """n ids of a fixed scatter over the vocabulary, the same for both sides: speed does not depend on their sense."""
    return [(i * 7919) % min(n_vocab, 30000) for i in range(first, first + n)]
