"""A small model that guesses what a big one with the same vocabulary says: greedy, one sequence at a time.

It keeps the tokens that are in its cache, whose ever they are: what is asked for next begins like them or not, and
the rest is written over. How often guesses of a certain confidence are right is learned from what the big model says.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from statistics import median

import numpy as np

from llm_core.engine.handle import now
from llm_core.engine.ngrams import Chances
from llm_core.program.batch import Batch

CHUNK = 32  # tokens that it catches up with at once, so that nobody waits long

# Chance that a guess is right, by quarter of the small model's own probability, and of all: what it starts with.
PRIOR = {0: 0.2, 1: 0.4, 2: 0.6, 3: 0.85}
PRIOR_OF_ALL = 0.65
FADES = 0.998  # of what was learned of all, kept with every step in which it was not asked


class DraftModel:
    """`runner`: of the small model, with one context's worth of blocks. Used by the engine thread only."""

    def __init__(self, runner) -> None:
        self._runner = runner
        blocks = -(-runner.n_ctx // runner.block_size)
        self._table = np.arange(blocks, dtype=np.int32)[None]
        self._tokens: list[int] = []  # in the cache
        self._guesses: list[tuple[int, int]] = []  # (token, kind) of the last guesses
        self._guessed_at = 0
        self._chances = Chances(PRIOR)
        self._all = Chances({0: PRIOR_OF_ALL})
        self._kept = 1.0  # of what was learned
        self._times: deque[float] = deque(maxlen=9)

    @property
    def chance(self) -> float:
        """That a guess is right, of all lately; with time it is believed again what was believed at first."""
        return PRIOR_OF_ALL + (self._all[0] - PRIOR_OF_ALL) * self._kept

    def rest(self) -> None:
        """A step goes by without it."""
        self._kept *= FADES

    @property
    def seconds(self) -> float | None:
        """What one guess takes; None: not known yet."""
        return median(self._times) if self._times else None

    def follow(self, tokens: Sequence[int]) -> int:
        """Learn how the last guesses went, forget what is not so; how many of `tokens` are not in the cache."""
        self._kept = 1.0
        same = min(len(self._tokens), len(tokens) - 1)
        if self._tokens[:same] != tokens[:same]:
            same = next(i for i in range(same) if self._tokens[i] != tokens[i])
        if same >= self._guessed_at - 1:  # else they were for another request
            for (guess, kind), token in zip(self._guesses, tokens[self._guessed_at :], strict=False):
                self._chances.learn(kind, guess == token)
                self._all.learn(0, guess == token)
                if guess != token:
                    break
        self._guesses = []
        del self._tokens[same:]
        return len(tokens) - same

    def catch_up(self, tokens: Sequence[int]) -> None:
        """Compute up to CHUNK of the tokens that are missing."""
        first = len(self._tokens)
        self._step(tokens[first : first + min(CHUNK, self._runner.max_rows)], wanted=False)

    def guess(self, tokens: Sequence[int], most: int, worth: Callable[[int, float], bool]) -> list[int]:
        """Up to `most` tokens that may follow, while `worth(how many there are, chance that all are right)`."""
        ids: list[int] = []
        self._guessed_at = len(tokens)
        chance = 1.0
        left = list(tokens[len(self._tokens) :])
        while len(ids) < most and worth(len(ids), chance):
            started = now()
            logits = self._step(left, wanted=True)[0]
            token = int(logits.argmax())
            confidence = 1.0 / float(np.exp(logits - logits[token]).sum())
            if len(left) == 1:
                self._times.append(now() - started)
            kind = min(3, int(4 * confidence))
            chance *= self._chances[kind]
            ids.append(token)
            self._guesses.append((token, kind))
            left = [token]
        return ids

    def pin_caller(self) -> None:
        """Called once by the thread that will ask (see `Runner.pin_caller`)."""
        self._runner.pin_caller()

    def close(self) -> None:
        """Let go of the small model."""
        self._runner.close()

    def _step(self, tokens: Sequence[int], wanted: bool) -> np.ndarray:
        first, n = len(self._tokens), len(tokens)
        positions = np.arange(first, first + n, dtype=np.int32)
        outputs = np.array([n - 1] if wanted else [], np.int32)
        starts = np.array([0, n], np.int32)
        logits = self._runner.step(Batch(np.array(tokens, np.int32), positions, starts, self._table, outputs))
        self._tokens += tokens
        return logits
