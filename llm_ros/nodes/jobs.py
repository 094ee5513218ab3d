"""What a node does for its clients, each in a thread of its own, so that no callback waits.

`Jobs` knows what runs, to wait for it and to stop it; `Job` is work that may take long, can be stopped from any thread,
and says exactly once how it ended, whatever goes wrong. Knows no ROS entity.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from llm_core.errors import LLMCoreError
from llm_ros.nodes.action_server import ABORT, CANCELED, SUCCEED


class Stopped(LLMCoreError):
    """Somebody stopped the job; its `stop` says who and why."""


class Jobs:
    """What runs; anything with `stop(how, why)`."""

    def __init__(self):
        self._changed = threading.Condition()
        self._running: set = set()

    @property
    def count(self) -> int:
        """How many run."""
        return len(self._running)

    def add(self, job) -> None:
        """Notes a job that begins."""
        with self._changed:
            self._running.add(job)

    def remove(self, job) -> None:
        """Notes that a job has ended."""
        with self._changed:
            self._running.discard(job)
            self._changed.notify_all()

    def drain(self, timeout: float) -> bool:
        """Waits until nothing runs; False if something still does after `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._running, timeout)

    def stop_all(self, why: str) -> int:
        """Aborts everything; returns how many."""
        with self._changed:
            jobs = list(self._running)
        for job in jobs:
            job.stop("aborted", why)
        return len(jobs)


class Job:
    """`work(job)` in a thread. What it returns, or why it failed, goes to `on_done(state, value or None, error)`.

    `deadline`: seconds from now after which it is aborted. `wake()` is called by `stop`, for work that waits.
    """

    def __init__(self, work: Callable, on_done: Callable, deadline: float | None = None, wake: Callable = lambda: None):
        self._work, self._on_done, self._wake = work, on_done, wake
        self._lock = threading.Lock()
        self._call = None
        self._why: tuple[str, str] | None = None
        self.begun = time.monotonic()
        self._timer = None
        if deadline is not None:
            why = f"the deadline of {deadline:g} s has passed"
            self._timer = threading.Timer(deadline, self.stop, ("aborted", why))
            self._timer.daemon = True

    def start(self, jobs: Jobs) -> None:
        """Begins, as one of `jobs` until it has ended."""
        jobs.add(self)
        if self._timer is not None:
            self._timer.start()
        threading.Thread(target=self._run, args=(jobs,), name="llm_ros.job", daemon=True).start()

    def stop(self, how: str, why: str) -> None:
        """Ends it soon, as "cancelled" (the client's wish) or "aborted" (ours). The first stop counts."""
        with self._lock:
            self._why = self._why or (how, why)
            call = self._call
        if call is not None:
            call.cancel()
        self._wake()

    def stopped(self) -> bool:
        """Whether somebody stopped it."""
        return self._why is not None

    def check(self) -> None:
        """Raises Stopped if somebody stopped it."""
        if self._why is not None:
            raise Stopped(self._why[1])

    def calls(self, call) -> None:
        """Notes the call (client.Call) that works for it now: a stop cancels it. None: none does."""
        with self._lock:
            self._call = call
        if call is not None and self.stopped():
            call.cancel()

    def _run(self, jobs):
        value, state, error = None, SUCCEED, ""
        try:
            value = self._work(self)
        except Exception as caught:  # a bug must reach the client too, not only the log
            known = isinstance(caught, LLMCoreError)
            state, error = ABORT, str(caught) if known else f"internal error: {type(caught).__name__}: {caught}"
            if known and self._why is not None:
                how, error = self._why
                state = CANCELED if how == "cancelled" else ABORT
        finally:
            if self._timer is not None:
                self._timer.cancel()
        try:
            self._on_done(state, value, error)
        finally:
            jobs.remove(self)
