"""Requests in progress: from a prompt to an `Outcome`, each followed by a thread of its own.

In: what reads the prompt, SamplingParams, priority, deadline. Out: `on_event(event)` for every piece of text and
`on_done(outcome)` exactly once, both in the request's thread, whatever goes wrong. So neither an executor thread nor
the engine's thread ever waits for a client. Threads are few: the engine turns away what exceeds its queue. Knows no ROS
entity.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from llm_ros.msg import Response

from llm_core.engine import Completion, Engine, Event
from llm_core.errors import LLMCoreError
from llm_ros.conversions import FINISH
from llm_ros.nodes.action_server import ABORT, CANCELED, SUCCEED
from llm_ros.nodes.jobs import Jobs

_CUT_OFF = {"cancelled": Response.FINISH_CANCELLED, "aborted": Response.FINISH_ABORTED}


@dataclass(frozen=True)
class Outcome:
    """How a request ended: the goal's end `state`, FINISH_* of Response, why (empty on success), and what was
    generated.
    """

    state: str
    finish_reason: int
    error: str = ""
    completion: Completion | None = None


class Request:
    """One request that is being served; `stop` ends it early."""

    def __init__(self, submit: Callable, on_event: Callable[[Event], None], on_done: Callable[[Outcome], None]):
        self._submit, self._on_event, self._on_done = submit, on_event, on_done
        self._lock = threading.Lock()
        self._handle = None
        self._stopped: tuple[str, str] | None = None

    def stop(self, how: str, why: str) -> None:
        """Ends it within one step, as "cancelled" (the client's wish) or "aborted" (ours). The first stop counts."""
        with self._lock:
            self._stopped = self._stopped or (how, why)
            handle = self._handle
        if handle is not None:
            handle.cancel()

    def run(self) -> None:
        """Submits, passes events on, reports the outcome. Raises nothing."""
        try:
            outcome = self._follow()
        except LLMCoreError as error:
            completion = self._handle.completion if self._handle else None
            outcome = Outcome(
                ABORT, Response.FINISH_ERROR if completion else Response.FINISH_UNKNOWN, str(error), completion
            )
        except Exception as error:  # a bug must reach the client too, not only the log
            if self._handle is not None:
                self._handle.cancel()
            outcome = Outcome(ABORT, Response.FINISH_ERROR, f"internal error: {type(error).__name__}: {error}")
        self._on_done(outcome)

    def _follow(self) -> Outcome:
        with self._lock:
            stopped = self._stopped
        if stopped is not None:
            return self._cut_off(None)
        handle = self._submit()
        with self._lock:
            self._handle = handle
            stopped = self._stopped
        if stopped is not None:
            handle.cancel()
        for event in handle:
            self._on_event(event)
        completion = handle.result()
        if completion.finish_reason == "cancelled":
            return self._cut_off(completion)
        late = completion.finish_reason == "deadline"
        return Outcome(
            ABORT if late else SUCCEED, FINISH[completion.finish_reason], completion.detail if late else "", completion
        )

    def _cut_off(self, completion) -> Outcome:
        how, why = self._stopped or ("aborted", completion.detail or "the engine was closed")
        return Outcome(CANCELED if how == "cancelled" else ABORT, _CUT_OFF[how], why, completion)


class Serving(Jobs):
    """The requests of one engine."""

    def __init__(self, engine: Engine):
        super().__init__()
        self.engine = engine

    def start(
        self, read: Callable, params, adapters, priority: int, deadline: float | None, on_event, on_done
    ) -> Request:
        """Begins a request in a thread of its own and returns at once; what is wrong with it comes as an outcome.

        `read()` gives the prompt and the pictures of its text (or None), in that thread, as pictures take a while.
        `adapters`: names of those that the request uses.
        """

        def submit():
            prompt, images = read()
            return self.engine.submit(
                prompt, params, images=images, adapters=adapters, priority=priority, deadline_s=deadline
            )

        def done(outcome):
            try:
                on_done(outcome)
            finally:
                self.remove(request)

        request = Request(submit, on_event, done)
        self.add(request)
        threading.Thread(target=request.run, name="llm_ros.request", daemon=True).start()
        return request
