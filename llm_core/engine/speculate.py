"""Speculative decoding that pays or does not happen: how many guessed tokens each request takes into the next step.

A step with a few more rows costs little more while weights are what it waits for, so rows of guessed tokens may bring
several tokens at once (Leviathan et al. 2023; guesses by look-up: Saxena 2023). `Request.take` draws from the rows as
it would have done one by one and stops at the first token that was guessed wrong: text, seeds and probabilities are
those without guesses. What is decided here is only speed: from the chance of every guess and the time that steps of so
many rows took lately, the number of rows that brings most tokens a second; 0 where nothing pays. An account of the
seconds won and lost stands against wrong estimates: when it is empty there are no guesses until a small share of the
time has filled it again. Knows requests and times, no threads and no tensors.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from statistics import median

from llm_core.engine.batch import draws
from llm_core.engine.draft import CHUNK, DraftModel
from llm_core.engine.handle import now
from llm_core.engine.request import Request

MOST = 8  # guessed tokens of one request in a step
MOST_ROWS = 32  # rows of a step with guesses: as many outputs as the runner computes with one pass over the weights
WORTH = 1.08  # what a step with guesses must promise over one without; chances and times are estimates
SLOPE = 0.35  # of the time of a step with one row: what one more is believed to cost before it was measured
KEPT = 9  # last times of a step size
STALE = 128  # steps after which they are forgotten and measured anew

# The account, in seconds: what may be lost at first, what is added for each second of work, and how much it may hold.
# A small model has to compute a prompt before it can earn anything.
CREDIT, MODEL_CREDIT, INCOME, LIMIT = 0.25, 2.0, 0.02, 4.0
BEHIND = 0.3  # of the time of a guess: what a small model is believed to need for a token that is only to be caught up


class StepTimes:
    """Seconds that a step of n rows takes, from the last ones of that size."""

    def __init__(self) -> None:
        self._times: dict[int, deque[float]] = {}
        self._typical: dict[int, float] = {}
        self._when: dict[int, int] = {}
        self._steps = 0

    def learn(self, rows: int, seconds: float) -> None:
        """A step of that many rows has taken that long."""
        self._steps += 1
        times = self._times.setdefault(rows, deque(maxlen=KEPT))
        times.append(seconds)
        self._typical[rows] = median(times)
        self._when[rows] = self._steps
        for n in [n for n, step in self._when.items() if self._steps - step > STALE]:
            del self._times[n], self._typical[n], self._when[n]

    def __call__(self, rows: int) -> float | None:
        """The typical time; a straight line between and beyond the sizes that were measured. None: no smaller one
        was."""
        typical = self._typical
        if rows in typical:
            return typical[rows]
        known = [n for n in typical if n < rows]
        if not known:
            return None
        first, below = min(known), max(known)
        above = min((n for n in typical if n > rows), default=None)
        if above is not None:
            slope = (typical[above] - typical[below]) / (above - below)
        elif below > first:
            slope = (typical[below] - typical[first]) / (below - first)
        else:
            slope = SLOPE * typical[below]
        return typical[below] + slope * (rows - below)


def best_rows(chances: list[float], base: int, max_rows: int, times: StepTimes) -> int:
    """How many of the guesses, whose chances fall, bring most tokens a second beside `base` rows without guesses."""
    plain = times(base)
    if plain is None:
        return 0
    best, most = 0, WORTH * base / plain
    tokens = float(base)
    for n, chance in enumerate(chances[: max(0, max_rows - base)], 1):
        tokens += chance
        if tokens / times(base + n) > most:
            best, most = n, tokens / times(base + n)
    return best


class Speculator:
    """Decides before each step and learns after it. Used by the engine thread only."""

    def __init__(self, max_rows: int, model: DraftModel | None = None) -> None:
        """`max_rows` of a step; `model`: guesses too, for a request that runs alone."""
        self.times = StepTimes()
        self.guessed = self.accepted = 0
        self._model = model
        self._max_rows = min(MOST_ROWS, max_rows)
        self._account = CREDIT if model is None else MODEL_CREDIT
        self._decodes = False  # this step has single tokens only

    def pin_caller(self) -> None:
        """Called once by the thread that will call the rest (see `Runner.pin_caller`)."""
        if self._model is not None:
            self._model.pin_caller()

    def prepare(self, plan: list[tuple], extend: Callable[[Request, int], int]) -> None:
        """Give every request of a plan [(request, rows)] its `draft`: the guesses that the step shall check.

        `extend(request, n)`: cache blocks for up to n tokens more; says for how many.
        """
        for request, _ in plan:
            request.draft = []
        # Prompt chunks fill a step as they are.
        self._decodes = all(rows == 1 and draws(request, rows) for request, rows in plan)
        if not self._decodes:
            return
        self._look_up(plan)
        if self._model is not None and len(plan) == 1 and not plan[0][0].draft and not plan[0][0].spots:
            self._ask(plan[0][0])
        for request, _ in plan:
            if request.draft:
                del request.draft[extend(request, request.allowed(request.draft)) :]

    def close(self) -> None:
        """Let go of the small model."""
        if self._model is not None:
            self._model.close()

    def _look_up(self, plan: list[tuple]) -> None:
        """Guesses from the requests' own tokens: as many of all as pay."""
        guesses = []  # (chance that it and all before it are right, request, token)
        for request, _ in plan:
            if request.room > 0:
                request.ngrams.follow(request.tokens)
                ids, chances = request.ngrams.guess(request.tokens, min(MOST, request.room))
                guesses += [(chance, request, token) for chance, token in zip(chances, ids, strict=True)]
        if not guesses or self._account < 0:
            return
        guesses.sort(key=lambda guess: -guess[0])  # keeps the order of each request's own: their chances fall
        rows = best_rows([chance for chance, *_ in guesses], len(plan), self._max_rows, self.times)
        for _, request, token in guesses[:rows]:
            request.draft.append(token)

    def _ask(self, request: Request) -> None:
        """Guesses of the small model, if it pays; or its first step towards the request's place."""
        model, plain, most = self._model, self.times(1), min(MOST, request.room)
        if plain is None or most < 1 or self._account < 0:
            return
        each = SLOPE * plain if model.seconds is None else model.seconds
        chances = [model.chance**n for n in range(1, most + 1)]
        rows = best_rows(chances, 1, self._max_rows, lambda n: self.times(n) + (n - 1) * each)
        if not rows:
            model.rest()
            return
        gain = plain - (self.times(1 + rows) + rows * each) / (1 + sum(chances[:rows]))
        missing = model.follow(request.tokens)
        started = now()
        if missing <= CHUNK:

            def worth(n: int, chance: float) -> bool:
                return n == 0 or chance * model.chance * plain > each + self.times(2 + n) - self.times(1 + n)

            request.draft = model.guess(request.tokens, most, worth)
        elif missing * BEHIND * each < request.room * gain:
            model.catch_up(request.tokens)
        self._account -= now() - started

    def learn(self, plan: list[tuple], seconds: float, drawn: int) -> None:
        """The step has taken `seconds` and brought `drawn` tokens."""
        if not self._decodes:
            return
        guesses = sum(len(request.draft) for request, _ in plan)
        plain = self.times(len(plan))
        self.times.learn(len(plan) + guesses, seconds)
        won = INCOME * seconds
        if guesses and plain is not None:
            won = plain * drawn / len(plan) - seconds
            self.guessed += guesses
            self.accepted += max(0, drawn - len(plan))
        self._account = min(LIMIT, self._account + won)
