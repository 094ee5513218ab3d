"""Keeps message text plain: spellings of control tokens in it are broken up by a guard character, taken out later.

`Guard.pick(texts…)` gives a character that occurs nowhere; `protect` and `protect_text` put it into every such
spelling, the latter also at a text's edges where text and template together could spell one. What the tokenizer then
finds in the rendered text is the template's own. A text without such spellings is left exactly as it is.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from llm_core.errors import RequestError

_CANDIDATES = [chr(c) for c in range(0xFDD0, 0xFDF0)]  # noncharacters: meant for internal use like this


class Guard:
    """One per tokenizer; `mark` must be chosen by `pick` for each conversation.

    Letter case is ignored throughout: a template may change it. Every search is a bisection, so that neither thousands
    of spellings nor very long ones cost time or memory by their product with the text.
    """

    def __init__(self, spellings: Iterable[str]):
        self._sorted = sorted({_fold(text) for text in spellings if len(text) > 1})
        self._mirrored = sorted(text[::-1] for text in self._sorted)
        self._longest = max(map(len, self._sorted), default=0)
        self._pairs = frozenset(text[:2] for text in self._sorted)
        # Without those that begin with another one, only the last that is not above a text can be a beginning of it.
        self._shortest: list[str] = []
        for text in self._sorted:
            if not self._shortest or not text.startswith(self._shortest[-1]):
                self._shortest.append(text)

    @staticmethod
    def pick(*texts: str) -> str:
        """A character that none of the texts has."""
        for mark in _CANDIDATES:
            if not any(mark in text for text in texts):
                return mark
        raise RequestError("messages: they hold all of U+FDD0 to U+FDEF, so no guard character is left")

    def protect(self, value: Any, mark: str) -> Any:
        """A copy of `value` (strings in dicts and lists, keys included) with the mark in every whole spelling.

        Edges are left alone here: templates compare names and types ("object" is part of "<|object_ref_start|>").
        """
        if isinstance(value, str):
            return self._break(value, mark)
        if isinstance(value, dict):
            return {self.protect(k, mark): self.protect(v, mark) for k, v in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.protect(item, mark) for item in value]
        return value

    def protect_text(self, text: str, mark: str) -> str:
        """A message's text with the mark in every spelling, and at edges where it and the template could make one."""
        text = self._break(text, mark)
        core = text.strip()
        if not core or not self._sorted:
            return text
        start = text.index(core)
        end = start + len(core)
        folded = _fold(core)
        inside = len(core) < self._longest and any(folded in spelling for spelling in self._sorted)
        if inside or self._ends_with_a_beginning(folded, self._sorted):
            text = text[:end] + mark + text[end:]
        if inside or self._ends_with_a_beginning(folded[::-1], self._mirrored):
            text = text[:start] + mark + text[start:]
        return text

    def _ends_with_a_beginning(self, text: str, spellings: list[str]) -> bool:
        """True if the last characters of `text` are the first, but not all, of one of the sorted `spellings`."""
        for n in range(1, min(self._longest, len(text)) + 1):
            end = text[-n:]
            next_above = bisect_right(spellings, end)
            if next_above < len(spellings) and spellings[next_above].startswith(end):
                return True
        return False

    def _break(self, text: str, mark: str) -> str:
        folded = _fold(text)
        cuts = [0]
        for i, pair in enumerate(map("".join, pairwise(folded))):
            if pair in self._pairs:
                window = folded[i : i + self._longest]
                last = bisect_right(self._shortest, window) - 1
                if last >= 0 and window.startswith(self._shortest[last]):
                    cuts.append(i + 1)
        return mark.join(text[a:b] for a, b in pairwise([*cuts, len(text)])) if cuts[1:] else text


def _fold(text: str) -> str:
    """`text` without letter case, a character for each character."""
    if text.isascii():
        return text.lower()
    return "".join([lower if len(lower := char.upper().lower()) == 1 else char for char in text])
