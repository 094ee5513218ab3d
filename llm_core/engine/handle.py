"""What a caller gets back: a handle that streams events and ends in a completion. Thread-safe."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from llm_core.sampling import TokenLogprob

FINISH_REASONS = ("stop", "length", "context_full", "deadline", "cancelled", "error")


@dataclass(frozen=True)
class Usage:
    """Counts in tokens, times in seconds."""

    prompt_tokens: int = 0
    cached_prompt_tokens: int = 0  # prompt tokens whose keys and values were found in the cache
    completion_tokens: int = 0
    queue_s: float = 0.0  # submit → first scheduled
    prefill_s: float = 0.0  # first scheduled → first token
    decode_s: float = 0.0  # first token → end
    ttft_s: float = 0.0  # submit → first token; 0 when none came

    @property
    def decode_tps(self) -> float:
        """Tokens a second after the first one; 0 when there is no second one."""
        return (self.completion_tokens - 1) / self.decode_s if self.completion_tokens > 1 and self.decode_s > 0 else 0.0


@dataclass(frozen=True)
class Event:
    """News of a request: text that is certain, and the tokens drawn since the last event."""

    text: str
    tokens: tuple[int, ...]
    logprobs: tuple[TokenLogprob, ...] | None = None
    finish_reason: str | None = None  # set in the last event only


@dataclass(frozen=True)
class Completion:
    """The whole answer. `text` ends before the stop text; `tokens` are all tokens drawn but a final stop id.

    `finish_reason`: "stop" (a stop id, a stop text, or the end of the grammar: `stop` tells which), "length"
    (max_tokens), "context_full", "deadline", "cancelled", "error". `detail` says in words why an answer ended early.
    """

    text: str
    tokens: tuple[int, ...]
    finish_reason: str
    usage: Usage
    seed: int
    stop: int | str | None = None
    detail: str = ""
    logprobs: tuple[TokenLogprob, ...] | None = None


class Handle:
    """One submitted request: iterate over it for events, or wait for `result`."""

    def __init__(self, on_event: Callable[[Event], None] | None = None) -> None:
        self._on_cancel: Callable[[], None] | None = None
        self._on_event = on_event
        self._changed = threading.Condition()
        self._events: deque[Event] = deque()
        self._completion: Completion | None = None
        self._error: BaseException | None = None

    def __iter__(self) -> Iterator[Event]:
        """Events as they come, each one once; raises the request's error at the end, if there is one."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._events or self._completion is not None)
                event = self._events.popleft() if self._events else None
            if event is None:
                break
            yield event
        if self._error is not None:
            raise self._error

    def result(self, timeout: float | None = None) -> Completion:
        """Wait for the end. Raises the request's error, or TimeoutError after `timeout` seconds (it goes on)."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._completion is not None, timeout):
                raise TimeoutError(f"no result after {timeout} s")
        if self._error is not None:
            raise self._error
        return self._completion

    def cancel(self) -> None:
        """End the request within one step; what it has said so far is its completion. Harmless when it has ended."""
        on_cancel = self._on_cancel
        if on_cancel is not None:
            on_cancel()

    @property
    def done(self) -> bool:
        """Whether the request has ended."""
        return self._completion is not None

    @property
    def completion(self) -> Completion | None:
        """The completion of a request that has ended, also one with finish_reason "error"; None while it runs."""
        return self._completion

    def _push(self, event: Event) -> None:
        with self._changed:
            self._events.append(event)
            self._changed.notify_all()
        if self._on_event is not None:
            self._on_event(event)

    def _finish(self, completion: Completion, error: BaseException | None = None) -> None:
        with self._changed:
            self._completion, self._error = completion, error
            self._on_cancel = None
            self._changed.notify_all()


now = time.monotonic
