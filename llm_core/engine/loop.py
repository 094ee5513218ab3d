"""The engine thread: it alone touches the runner, the scheduler and the requests' state. Others leave a note and wake
it.

One round: take new requests, end those that are cancelled or late, schedule, one `runner.step`, then every request
whose logits came out draws its token. A request's own exception ends that request; a failed step ends the requests
that were in it; three failed steps in a row, or a runner that says it is dead, end the engine, and every later submit
says why. With nothing to do the thread sleeps on a condition.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import dataclass, field

import numpy as np

from llm_core import memory
from llm_core.engine.batch import build_batch, draws, union
from llm_core.engine.handle import now
from llm_core.engine.request import QueueFull, Request
from llm_core.engine.scheduler import Scheduler
from llm_core.engine.speculate import Speculator
from llm_core.errors import LLMCoreError, ModelError, RequestError

MAX_FAILED_STEPS = 3
RATE_WINDOW_S = 5.0


class EngineClosed(RequestError):
    """The engine was closed, or has stopped after failures of the model."""


@dataclass(frozen=True)
class EngineStats:
    """A snapshot. Rates are over the last seconds of work; counters are since the start."""

    state: str  # "ready", "closed" or "failed"
    running: int
    queued: int
    tokens_per_s: float  # answer tokens, all requests together
    prompt_tokens_per_s: float
    kv_blocks_used: int
    kv_blocks_idle: int  # free, with content that a later prompt may reuse
    kv_blocks_total: int
    submitted: int
    refused: int
    finished: dict[str, int]  # by finish reason
    prompt_tokens: int
    cached_prompt_tokens: int
    completion_tokens: int
    steps: int
    preemptions: int
    guessed_tokens: int = 0  # by speculation; how many of them were right
    right_guesses: int = 0
    tiles_encoded: int = 0  # pictures, or parts of them, that went through the vision tower


@dataclass
class _Totals:
    submitted: int = 0
    refused: int = 0
    prompt_tokens: int = 0
    cached_prompt_tokens: int = 0
    completion_tokens: int = 0
    steps: int = 0
    finished: Counter = field(default_factory=Counter)


class Loop:
    """Owns the thread. `submit`, `wake`, `drain`, `close` and `stats` may be called from anywhere."""

    def __init__(
        self, runner, scheduler: Scheduler, max_open: int, speculator: Speculator | None = None, eyes=None
    ) -> None:
        self._runner = runner
        self._eyes = eyes
        self._scheduler = scheduler
        self._max_open = max_open
        self._speculator = speculator
        self._wakeup = threading.Condition()
        self._inbox: deque[Request] = deque()
        self._open = 0
        self._closing: str | None = None
        self._state = "ready"
        self._failed_steps = 0
        self._totals = _Totals()
        self._work: deque[tuple[float, float, int, int]] = deque(maxlen=4096)
        self._thread = threading.Thread(target=self._run, name="llm_core.engine", daemon=True)
        self._thread.start()

    def submit(self, request: Request) -> None:
        """Hand over a request; QueueFull or EngineClosed when it is not taken."""
        with self._wakeup:
            self.check_open()
            if self._open >= self._max_open:
                self._totals.refused += 1
                raise QueueFull(
                    f"the queue is full: {self._open} requests are open, at most {self._max_open} are allowed"
                )
            self._open += 1
            self._totals.submitted += 1
            self._inbox.append(request)
            self._wakeup.notify_all()

    def check_open(self) -> None:
        """EngineClosed when no request is taken any more."""
        with self._wakeup:
            if self._closing is not None:
                self._totals.refused += 1
                raise EngineClosed(self._closing)

    def wake(self) -> None:
        """Have a look at the flags."""
        with self._wakeup:
            self._wakeup.notify_all()

    def drain(self, timeout: float | None = None) -> bool:
        """Wait until no request is open; False when `timeout` seconds pass before."""
        with self._wakeup:
            return self._wakeup.wait_for(lambda: self._open == 0, timeout)

    def close(self, reason: str = "the engine is closed") -> None:
        """End all requests as cancelled, free the runner, end the thread. Waits for it; may be called twice."""
        with self._wakeup:
            if self._closing is None:
                self._closing = reason
            self._wakeup.notify_all()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def stats(self) -> EngineStats:
        """A snapshot of the engine."""
        scheduler, cache, totals = self._scheduler, self._scheduler.cache, self._totals
        horizon = now() - RATE_WINDOW_S
        recent = [work for work in list(self._work) if work[0] >= horizon]
        busy = sum(seconds for _, seconds, _, _ in recent) or 1.0
        running = len(scheduler.running)
        return EngineStats(
            state=self._state,
            running=running,
            queued=max(0, self._open - running),
            tokens_per_s=sum(drawn for *_, drawn in recent) / busy,
            prompt_tokens_per_s=sum(prompt for _, _, prompt, _ in recent) / busy,
            kv_blocks_used=cache.n_used,
            kv_blocks_idle=cache.n_idle,
            kv_blocks_total=cache.n_blocks,
            submitted=totals.submitted,
            refused=totals.refused,
            finished=dict(totals.finished),
            prompt_tokens=totals.prompt_tokens,
            cached_prompt_tokens=totals.cached_prompt_tokens,
            completion_tokens=totals.completion_tokens,
            steps=totals.steps,
            preemptions=scheduler.preemptions,
            guessed_tokens=0 if self._speculator is None else self._speculator.guessed,
            right_guesses=0 if self._speculator is None else self._speculator.accepted,
            tiles_encoded=0 if self._eyes is None else self._eyes.encoded,
        )

    def _run(self) -> None:
        try:
            self._runner.pin_caller()
            if self._speculator is not None:
                self._speculator.pin_caller()
            # Weights that overflow show in the logits, and the sampler says so: no warnings besides.
            with np.errstate(all="ignore"):
                while self._wait():
                    self._sweep()
                    plan = self._scheduler.schedule()
                    for source, target in self._scheduler.copies():
                        self._runner.copy_block(source, target)
                    if plan:
                        self._step(plan)
        except BaseException as error:  # a bug in here: nobody may be left waiting
            self._state = "failed"
            with self._wakeup:
                self._closing = f"the engine has stopped: {type(error).__name__}: {error}"
            self._end_all("error", ModelError(self._closing))
            raise
        else:
            self._end_all("cancelled", None)
            if self._state == "ready":
                self._state = "closed"
        finally:
            if self._speculator is not None:
                self._speculator.close()
            if self._eyes is not None:
                self._eyes.close()
            self._runner.close()
            self._runner = None  # the model's memory goes, even while somebody holds the engine
            memory.give_back()

    def _wait(self) -> bool:
        """Sleep until there is work; False when the engine is to end."""
        with self._wakeup:
            self._wakeup.wait_for(lambda: self._inbox or self._closing is not None or not self._scheduler.idle)
            taken = list(self._inbox)
            self._inbox.clear()
            going_on = self._closing is None
        for request in taken:
            self._admit(request)
        return going_on

    def _admit(self, request: Request) -> None:
        """Schedule a request, unless its grammar leaves the model nothing to decide: then it ends here."""
        try:
            request.begin()
        except Exception as error:
            request.end("error", detail=str(error), error=error)
        if request.finish_reason is None:
            self._scheduler.add(request)
        else:
            self._book(request)

    def _sweep(self) -> None:
        """End the requests that are cancelled or past their deadline."""
        time = now()
        for request in self._scheduler.running + self._scheduler.waiting:
            if request.cancelled:
                self._end(request, "cancelled", "cancelled by the caller")
            elif request.deadline is not None and time >= request.deadline:
                self._end(request, "deadline", "the request's deadline has passed")

    def _step(self, plan: list[tuple]) -> None:
        started = now()
        plan, panels = self._look_ahead(plan)
        if not plan:
            return
        try:
            if self._speculator is not None:
                self._speculator.prepare(plan, self._scheduler.extend)
            batch, drawing = build_batch(plan, panels)
            begun = now()
            logits = self._runner.step(batch)
        except Exception as error:
            self._step_failed(plan, error)
            return
        computed_s = now() - begun
        self._failed_steps = 0
        self._totals.steps += 1
        prompt_rows = sum(rows for request, rows in plan if not request.generated)
        before = sum(request.generated for request in drawing)
        self._scheduler.done(plan)
        for request in drawing:
            rows, logits = np.split(logits, [1 + len(request.draft)])
            try:
                right = request.take(rows)
            except Exception as error:
                self._end(request, "error", str(error), error)
            else:
                if request.finish_reason is not None:
                    self._forget(request)
                elif right:
                    self._scheduler.done([(request, right)])
        drawn = sum(request.generated for request in drawing) - before
        if self._speculator is not None and panels is None:
            self._speculator.learn(plan, computed_s, drawn)
        ended = now()
        self._work.append((ended, ended - started, prompt_rows, drawn))

    def _look_ahead(self, plan: list[tuple]) -> tuple[list[tuple], np.ndarray | None]:
        """What the requests that draw after this step want of the output layer; without those that fail at it, or whose
        pictures do."""
        able, wanted = [], []
        for request, rows in plan:
            try:
                request.look(rows)
                if draws(request, rows):
                    wanted.append(request.look_ahead())
            except Exception as error:
                self._end(request, "error", str(error), error)
            else:
                able.append((request, rows))
        return able, union(wanted)

    def _step_failed(self, plan: list[tuple], error: Exception) -> None:
        self._failed_steps += 1
        for request, _ in plan:
            failure = ModelError(f"the model failed: {type(error).__name__}: {error}")
            failure.__cause__ = error
            self._end(request, "error", str(failure), failure)
        if self._failed_steps >= MAX_FAILED_STEPS or getattr(self._runner, "dead", False):
            self._state = "failed"
            with self._wakeup:
                self._closing = f"the engine has stopped because the model failed: {type(error).__name__}: {error}"

    def _end(self, request: Request, reason: str, detail: str = "", error: Exception | None = None) -> None:
        try:
            request.end(reason, detail=detail, error=error)
        finally:
            self._forget(request)

    def _forget(self, request: Request) -> None:
        self._scheduler.remove(request)
        self._book(request)

    def _book(self, request: Request) -> None:
        usage = request.handle.completion.usage
        totals = self._totals
        totals.finished[request.finish_reason] += 1
        totals.prompt_tokens += usage.prompt_tokens
        totals.cached_prompt_tokens += usage.cached_prompt_tokens
        totals.completion_tokens += usage.completion_tokens
        with self._wakeup:
            self._open -= 1
            self._wakeup.notify_all()

    def _end_all(self, reason: str, error: LLMCoreError | None) -> None:
        with self._wakeup:
            left = list(self._inbox)
            self._inbox.clear()
        for request in self._scheduler.running + self._scheduler.waiting + left:
            request.end(reason, detail=self._closing or "", error=error)
            self._book(request)
        self._scheduler.running.clear()
        self._scheduler.waiting.clear()
