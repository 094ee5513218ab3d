"""The questions that are open: each waits under an id for the goal that brings its answer.

In: inquiries. Out: ids, and inquiries for ids. At most `most` are kept, each for `seconds` since it was put; who asks
again in the same dialogue keeps its id. Safe to call from any thread.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from llm_ros.planner.inquiry import Inquiry


class Dialogues:
    """clock() -> seconds; stands still or goes on."""

    def __init__(self, most: int, seconds: float, clock: Callable[[], float] = time.monotonic):
        self._most, self._seconds, self._clock = most, seconds, clock
        self._open: OrderedDict[str, tuple[Inquiry, float]] = OrderedDict()
        self._lock = threading.Lock()

    def ask(self, inquiry: Inquiry, dialogue: str = "") -> str:
        """Keeps a question, in place of the one of that dialogue if there was one; returns its id."""
        dialogue = dialogue or secrets.token_hex(8)
        with self._lock:
            self._open[dialogue] = inquiry, self._clock()
            self._open.move_to_end(dialogue)
            while len(self._open) > self._most:
                self._open.popitem(last=False)
        return dialogue

    def get(self, dialogue: str) -> Inquiry | None:
        """The open question of a dialogue, or None."""
        with self._lock:
            for old in [name for name, (_, put) in self._open.items() if self._clock() - put > self._seconds]:
                del self._open[old]
            inquiry, _ = self._open.get(dialogue, (None, 0.0))
        return inquiry

    def close(self, dialogue: str) -> None:
        """Forgets a dialogue, if it is known."""
        with self._lock:
            self._open.pop(dialogue, None)


__all__ = ["Dialogues"]
