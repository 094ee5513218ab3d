"""Keeps message text plain: spellings of control tokens in it are broken up by a guard character, taken out later.

`Guard.pick(texts…)` gives a character that occurs nowhere; `protect` and `protect_text` put it into every such
spelling, the latter also at a text's edges where text and template together could spell one. What the tokenizer then
finds in the rendered text is the template's own. A text without such spellings is left exactly as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from llm_core.errors import RequestError

_CANDIDATES = [chr(c) for c in range(0xFDD0, 0xFDF0)]  # noncharacters: meant for internal use like this
_GROUP = 3  # spellings that share their first characters are ruled out together


class Guard:
    """One per tokenizer; `mark` must be chosen by `pick` for each conversation."""

    def __init__(self, spellings: Iterable[str]):
        self.spellings = [text for text in spellings if len(text) > 1]
        self._groups: dict[str, list[str]] = {}
        for text in self.spellings:
            self._groups.setdefault(text[:_GROUP].lower(), []).append(text)
        self._heads = frozenset(text[:n] for text in self.spellings for n in range(1, len(text)))
        self._tails = frozenset(text[n:] for text in self.spellings for n in range(1, len(text)))
        self._longest = max(map(len, self.spellings), default=0)

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
        if not core or not self.spellings:
            return text
        start = text.index(core)
        end = start + len(core)
        edge = range(1, min(self._longest, len(core)) + 1)
        inside = len(core) < self._longest and any(core in spelling for spelling in self.spellings)
        if inside or any(core[-n:] in self._heads for n in edge):
            text = text[:end] + mark + text[end:]
        if inside or any(core[:n] in self._tails for n in edge):
            text = text[:start] + mark + text[start:]
        return text

    def _break(self, text: str, mark: str) -> str:
        """Letter case is ignored: a template may change it."""
        lower = text.lower()
        places: set[int] = set()
        for start, group in self._groups.items():
            if start in lower:
                for spelling in group:
                    if spelling.lower() in lower:
                        matches = re.finditer(f"(?={re.escape(spelling)})", text, re.IGNORECASE)
                        places.update(match.start() + 1 for match in matches)
        cuts = sorted(places)
        return mark.join(text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True))
