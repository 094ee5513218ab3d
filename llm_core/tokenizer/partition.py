"""Cuts text at the special tokens that it may contain: `Partition(texts).split(text)` → pieces of text and token ids.

Longer tokens are looked for first, everywhere, as llama.cpp does. Which tokens may be found is the caller's choice:
user defined ones always, control tokens only when special text is to be parsed. Cost does not grow with tokens that
are absent, nor with the number of pieces.
"""

from __future__ import annotations

from collections.abc import Mapping

_GROUP = 3  # tokens that share their first characters are looked for together: one `in` rules out thousands
_WHITE = " \t\n\v\f\r"


class Partition:
    """`specials` maps token text to id; `rstrip` holds ids that swallow the white space after them."""

    def __init__(self, specials: Mapping[str, int], rstrip: frozenset[int] = frozenset()):
        self.rstrip = rstrip
        self.groups: dict[str, list[tuple[str, int]]] = {}
        for text, token in specials.items():
            self.groups.setdefault(text[:_GROUP], []).append((text, token))
        used = set("".join(specials))
        self.blank = next(char for char in map(chr, range(0x10FFFF, 0, -1)) if char not in used)

    def split(self, text: str) -> list[str | int]:
        """Pieces in order; never an empty piece of text."""
        found = [item for start, group in self.groups.items() if start in text for item in group if item[0] in text]
        spans: list[tuple[int, int, int]] = []
        rest = text  # what was found is blanked out in it: no other token is found there, nor across
        for special, token in sorted(found, key=lambda item: (-len(item[0].encode()), item[1])):
            if special in rest:
                rest = self._take(rest, special, token, spans)
        pieces: list[str | int] = []
        done = 0
        for start, end, token in sorted(spans):
            if done < start:
                pieces.append(text[done:start])
            pieces.append(token)
            done = end
        return [*pieces, text[done:]] if done < len(text) else pieces

    def _take(self, rest: str, special: str, token: int, spans: list[tuple[int, int, int]]) -> str:
        """Adds (start, end, token) of each place to `spans`; returns `rest` with them blank."""
        first, *others = rest.split(special)
        out, start = [first], len(first)
        for part in others:
            kept = part.lstrip(_WHITE) if token in self.rstrip else part
            size = len(special) + len(part) - len(kept)
            spans.append((start, start + size, token))
            out += [self.blank * size, kept]
            start += size + len(kept)
        return "".join(out)
