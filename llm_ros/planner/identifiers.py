"""Names that other tools accept, for names that may hold anything: each gets one of its own, and keeps it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable


class Identifiers:
    """original -> identifier of ASCII letters, digits and _ that begins with a letter; unique whatever the case.

    reserved: words that are taken. lower: only small letters.
    """

    def __init__(self, reserved: Iterable[str] = (), lower: bool = False):
        self._lower, self._taken = lower, {word.lower() for word in reserved}
        self.names: dict[str, str] = {}

    def __getitem__(self, original: str) -> str:
        """The identifier of a name, made when it is first asked for."""
        if original not in self.names:
            text = unicodedata.normalize("NFKD", original)[:80].encode("ascii", "ignore").decode()
            text = re.sub(r"\W+", "_", text, flags=re.ASCII).strip("_") or "x"
            text = text if text[0].isalpha() else f"x_{text}"
            text = text.lower() if self._lower else text
            number, found = 1, text
            while found.lower() in self._taken:
                number += 1
                found = f"{text}_{number}"
            self._taken.add(found.lower())
            self.names[original] = found
        return self.names[original]


def one_line(text: str, limit: int = 200) -> str:
    """A text for a comment: printable, in one line."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())[:limit]
