"""Cuts text at the special tokens that it may contain: `Partition(texts).split(text)` → pieces of text and token ids.

Longer tokens are looked for first, everywhere, as llama.cpp does. Which tokens may be found is the caller's choice:
user defined ones always, control tokens only when special text is to be parsed. Cost does not grow with tokens that
are absent.
"""

from __future__ import annotations

from collections.abc import Mapping

_GROUP = 3  # tokens that share their first characters are looked for together: one `in` rules out thousands


class Partition:
    """`specials` maps token text to id; `rstrip` holds ids that swallow the white space after them."""

    def __init__(self, specials: Mapping[str, int], rstrip: frozenset[int] = frozenset()):
        self.rstrip = rstrip
        self.groups: dict[str, list[tuple[str, int]]] = {}
        for text, token in specials.items():
            self.groups.setdefault(text[:_GROUP], []).append((text, token))

    def split(self, text: str) -> list[str | int]:
        """Pieces in order; never an empty piece of text."""
        if not text:
            return []
        found = [item for start, group in self.groups.items() if start in text for item in group if item[0] in text]
        pieces: list[str | int] = [text]
        for special, token in sorted(found, key=lambda item: (-len(item[0].encode()), item[1])):
            if any(type(piece) is str and special in piece for piece in pieces):
                pieces = self._cut(pieces, special, token)
        return pieces

    def _cut(self, pieces: list[str | int], special: str, token: int) -> list[str | int]:
        out: list[str | int] = []
        strip = token in self.rstrip
        for piece in pieces:
            if type(piece) is not str:
                out.append(piece)
                continue
            for i, part in enumerate(piece.split(special)):
                if i:
                    out.append(token)
                    part = part.lstrip(" \t\n\v\f\r") if strip else part
                if part:
                    out.append(part)
        return out
