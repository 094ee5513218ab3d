"""One request from submit to its last token: all the state it has, in one object. The model has none.

The scheduler moves `computed` and the block table; `take` turns rows of logits into the next tokens (and into those
that a grammar forces after them), text and events. An exception in here ends this request and no other. Used by the
engine thread only, but for `cancelled`, a flag that anyone may set.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np

from llm_core.engine.handle import Completion, Event, Handle, Usage, now
from llm_core.engine.ngrams import NgramIndex
from llm_core.engine.stops import StopFilter
from llm_core.errors import RequestError
from llm_core.grammar import Constraint
from llm_core.sampling import Sampler, SamplingParams, TokenLogprob, tight_panels, token_logprob


class QueueFull(RequestError):
    """Too many requests are open; the same request may be accepted later."""


@dataclass(frozen=True)
class Limits:
    """What the engine sets for every request."""

    n_ctx: int  # tokens of prompt and answer together
    n_vocab: int
    stop_ids: frozenset[int]


_arrivals = count()


class Request:
    """State of one request; see the module."""

    def __init__(
        self,
        prompt: list[int],
        params: SamplingParams,
        limits: Limits,
        decoder,
        handle: Handle,
        constraint: Constraint | None = None,
        priority: int = 0,
        deadline_s: float | None = None,
        spots: Sequence = (),
        adapters: tuple = (),
    ) -> None:
        self.arrival = next(_arrivals)
        self.params = params
        self.handle = handle
        self.priority = priority
        self.cancelled = False
        self.tokens = list(prompt)  # numbers below 0 where `spots` are (vision.splice.Spot): rows with embeddings
        self.spots = tuple(spots)
        self.adapters = adapters  # ((lora, scale), …) of its rows
        self.root = tuple((lora.number, scale) for lora, scale in adapters)  # where its blocks in the cache begin
        # The scheduler's: how much is in the cache, where, and what is registered for reuse.
        self.computed = 0
        self.table: list[int] = []
        self.registered = 0
        self.serial: int | tuple = self.root
        self.last_turn = 0
        self.resumed = False
        # The speculator's: where to look for guesses, and those of this step. They go into the cache behind `tokens`,
        # but do not count as computed before they are drawn.
        self.ngrams = NgramIndex()
        self.draft: list[int] = []
        # The text's.
        self._limits = limits
        self._n_prompt = len(prompt)
        self._stop_ids = frozenset(params.stop_ids) | (frozenset() if params.ignore_eos else limits.stop_ids)
        self._banned = frozenset(token for token, bias in params.logit_bias.items() if bias == -math.inf)
        self._sampler = Sampler(params, limits.n_vocab, banned=sorted(limits.stop_ids) if params.ignore_eos else ())
        self._constraint = constraint
        self._mask: np.ndarray | None = None  # what the next draw may take; `_tight`: little
        self._tight = False
        self._decoder = decoder
        self._filter = StopFilter(params.stop)
        self._text: list[str] = []
        self._logprobs: list[TokenLogprob] = []
        self._told_tokens = 0
        self._fresh = ""
        # The clock's.
        self._submitted = now()
        self.deadline = None if deadline_s is None else self._submitted + deadline_s
        self._started: float | None = None
        self._first_token: float | None = None
        self._cached = 0
        self.finish_reason: str | None = None

    @property
    def pending(self) -> int:
        """Tokens that are not in the cache yet."""
        return len(self.tokens) - self.computed

    @property
    def generated(self) -> int:
        """Tokens drawn so far."""
        return len(self.tokens) - self._n_prompt

    def started(self, cached: int) -> None:
        """The scheduler gave it a place; `cached` tokens were found in the cache."""
        self.resumed = self._started is not None
        if not self.resumed:
            self._started = now()
            self._cached = cached

    def skipped(self, cached: int) -> None:
        """More prompt tokens were found in the cache while waiting for rows."""
        if not self.resumed:
            self._cached += cached

    def whole(self, rows: int) -> int:
        """How many rows to compute next instead of `rows`, so that no picture is cut whose rows see each other: up to
        its start, or, when it begins here, to its end."""
        end = self.computed + rows
        for spot in self.spots:
            if spot.whole and spot.first < end < spot.last:
                return spot.first - self.computed if spot.first > self.computed else spot.last - self.computed
        return rows

    def look(self, rows: int) -> None:
        """Before a step with `rows` of the request: compute the embeddings that they need."""
        for spot in self.spots:
            if spot.first < self.computed + rows and self.computed < spot.last:
                spot.rows(spot.first, spot.last)

    def begin(self) -> None:
        """Before the first step: append what the grammar fixes from the start. What needs no choice needs no model."""
        if self._constraint is None or self.params.logprobs is not None:
            return
        self._append_forced()
        if self.finish_reason is None and self._constraint.complete:
            self.end("stop", stop="grammar")
        if self.finish_reason is None and self._fresh:
            self._tell()

    def look_ahead(self) -> np.ndarray | None:
        """Before the step whose logits `take` gets: the ascending panels of ids (`tight_panels`) that may be drawn;
        None: all logits are wanted."""
        if self._constraint is None or self._constraint.complete:
            return None
        self._mask = self._constraint.mask()
        panels = None if self.params.logprobs is not None else tight_panels(self._mask)
        self._tight = panels is not None
        return panels

    @property
    def room(self) -> int:
        """How many guessed tokens the next step may check, beside the one that is drawn anyway. None where a grammar
        leaves little: there it forces tokens itself, and a step that computes few logits is cheaper."""
        if self._tight:
            return 0
        answer = math.inf if self.params.max_tokens is None else self.params.max_tokens - self.generated
        return int(min(answer, self._limits.n_ctx - len(self.tokens))) - 1

    def allowed(self, draft: list[int]) -> int:
        """How many of the guesses, from the first on, can come at all."""
        return len(draft) if self._constraint is None else self._constraint.allowed(draft)

    def take(self, logits: np.ndarray) -> int:
        """Draw tokens from raw logits float32 [1 + guesses, n_vocab] and pass on what they bring.

        The first row follows `tokens`, the others the guesses in `draft`. Each row is drawn from as if it came alone,
        while all tokens so far are those that were guessed; returns how many guesses were right.
        """
        start, at = len(self.tokens), 0
        try:
            while self.finish_reason is None and at < len(logits) and self.tokens[start:] == self.draft[:at]:
                self._draw(logits[at], first=at == 0)
                at = len(self.tokens) - start
        finally:
            if self.finish_reason is None and self._fresh:
                self._tell()
        pairs = zip(self.tokens[start:], self.draft, strict=False)
        return next((n for n, (token, guess) in enumerate(pairs) if token != guess), min(at, len(self.draft)))

    def _draw(self, logits: np.ndarray, first: bool) -> None:
        if self._constraint is None:
            self._append(self._sampler.sample(logits, self.tokens), logits)
        elif self._constraint.complete:
            self.end("stop", stop="grammar")
        else:
            mask = self._mask if first else self._constraint.mask()
            self._append(self._sampler.sample(logits, self.tokens, mask), logits)
            if self.params.logprobs is None and self.finish_reason is None:
                self._append_forced()

    def end(
        self, reason: str, stop: int | str | None = None, detail: str = "", error: BaseException | None = None
    ) -> None:
        """End the request: last event, completion. Only the first call counts."""
        if self.finish_reason is not None:
            return
        self.finish_reason = reason
        if error is None:
            try:
                self._fresh += self._filter.push(self._decoder.flush()) + self._filter.flush()
                self._tell()
            except Exception as failure:
                self.finish_reason, detail, error = "error", str(failure), failure
        self.handle._finish(self._completion(stop, detail), error)

    def _append(self, token: int, logits: np.ndarray | None) -> None:
        """Add one token to the answer and see whether it is the last."""
        if self._first_token is None:
            self._first_token = now()
        if token in self._stop_ids:
            self.end("stop", stop=token)
            return
        if self._constraint is not None:
            self._constraint.accept(token)
        if self.params.logprobs is not None:
            self._logprobs.append(token_logprob(logits, token, self.params.logprobs))
        self.tokens.append(token)
        self._fresh += self._filter.push(self._decoder.push(token))
        limits = self._limits
        if self._filter.found is not None:
            self.end("stop", stop=self._filter.found)
        elif self._constraint is not None and self._constraint.complete:
            self.end("stop", stop="grammar")
        elif self.generated == self.params.max_tokens:
            self.end("length", detail=f"max_tokens ({self.params.max_tokens}) reached")
        elif len(self.tokens) >= limits.n_ctx:
            detail = (
                f"the context of {limits.n_ctx} tokens is full: {self._n_prompt} of prompt, {self.generated} of answer"
            )
            self.end("context_full", detail=detail)

    def _append_forced(self) -> None:
        for token in self._constraint.forced():
            if token in self._stop_ids or token in self._banned:
                break
            self._append(token, None)
            if self.finish_reason is not None:
                break

    def _tell(self) -> None:
        first = self._n_prompt + self._told_tokens
        tokens = tuple(self.tokens[first:])
        logprobs = None if self.params.logprobs is None else tuple(self._logprobs[self._told_tokens :])
        self._told_tokens += len(tokens)
        self._text.append(self._fresh)
        text, self._fresh = self._fresh, ""
        self.handle._push(Event(text, tokens, logprobs, self.finish_reason))

    def _completion(self, stop: int | str | None, detail: str) -> Completion:
        ended = now()
        started = self._started if self._started is not None else ended
        first = self._first_token if self._first_token is not None else ended
        usage = Usage(
            prompt_tokens=self._n_prompt,
            cached_prompt_tokens=self._cached,
            completion_tokens=self.generated,
            queue_s=started - self._submitted,
            prefill_s=first - started,
            decode_s=ended - first,
            ttft_s=first - self._submitted if self._first_token is not None else 0.0,
        )
        return Completion(
            text="".join(self._text),
            tokens=tuple(self.tokens[self._n_prompt :]),
            finish_reason=self.finish_reason,
            usage=usage,
            seed=self._sampler.seed,
            stop=stop,
            detail=detail,
            logprobs=None if self.params.logprobs is None else tuple(self._logprobs),
        )
