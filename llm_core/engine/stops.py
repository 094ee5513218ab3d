"""Stop texts in a stream: what may be shown now, and when one of them has come. Knows text only, no tokens."""

from __future__ import annotations

from collections.abc import Sequence


class StopFilter:
    """Passes text on, holding back an end that may turn out to be the beginning of a stop text."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.found: str | None = None

    def push(self, text: str) -> str:
        """Add text; returns what is certain to be wanted. After `found` is set nothing comes any more."""
        if self.found is not None:
            return ""
        if not self._stops:
            return text
        self._held += text
        hits = [(at, -len(stop), stop) for stop in self._stops if (at := self._held.find(stop)) >= 0]
        if hits:  # the earliest; of several at one place the longest
            at, _, self.found = min(hits)
            return self._take(at)
        keep = max(self._overlap(stop) for stop in self._stops)
        return self._take(len(self._held) - keep)

    def flush(self) -> str:
        """The text ends here without a stop: what was held back."""
        return "" if self.found is not None else self._take(len(self._held))

    def _take(self, n: int) -> str:
        text, self._held = self._held[:n], self._held[n:]
        return text

    def _overlap(self, stop: str) -> int:
        """Length of the longest end of the held text that begins `stop`."""
        for size in range(min(len(stop) - 1, len(self._held)), 0, -1):
            if stop.startswith(self._held[-size:]):
                return size
        return 0
