"""Times that a command names: "at noon", "in ten minutes", "every hour", "half past five", "tomorrow".

In: lower-case words. Out: where such a time ends.
"""

from __future__ import annotations

import re
from collections.abc import Container, Sequence

from llm_ros.planner.numbers import duration_at, number_at

_TIMES = frozenset(
    "noon midnight lunch lunchtime dinner dinnertime breakfast supper sunrise sunset dawn dusk bedtime".split()
)
_DAYS = frozenset("monday tuesday wednesday thursday friday saturday sunday".split())
_ALWAYS_LATER = frozenset("tomorrow tonight hourly daily weekly".split())
_INTERVALS = frozenset("second minute hour day week month morning afternoon evening night".split())
_PARTS = frozenset("morning afternoon evening night weekend".split())


def time_end(low: Sequence[str], i: int, named: Container[int] = ()) -> int:
    """The index after the time of day, date or interval that begins at word `i`; `i` if none does. named: words that
    are names of the world."""
    here = low[i]
    following = low[i + 1] if i + 1 < len(low) else ""
    if here in _ALWAYS_LATER:
        return i + 1 + (following in _PARTS)
    if here in ("this", "in", "next") and following in _PARTS | {"week", "month", "year"}:
        return i + 2
    if here == "in" and (following in _PARTS or following == "the" and low[i + 2 : i + 3] and low[i + 2] in _PARTS):
        return i + 3
    if here == "every" and following in _INTERVALS:
        return i + 2
    if here in ("in", "every", "within"):
        length = duration_at(low, i + 1)
        return length[1] if length else i
    if here in ("on", "every", "next", "this", "until", "by") and following in _DAYS:
        return i + 2
    if here in ("at", "by", "before", "after", "around", "until", "from", "till"):
        if following in _TIMES and i + 1 not in named:
            return i + 2
        return _clock_end(low, i + 1) or i
    return i


def _clock_end(low: Sequence[str], i: int) -> int:
    """The end of "5 pm", "half past five", "17:30", "six o'clock" from `i`; 0 if there is none."""
    if i < len(low) and re.fullmatch(r"\d{1,2}([ap]m|h)", low[i]):
        return i + 1
    if low[i : i + 2] in (["half", "past"], ["quarter", "past"], ["quarter", "to"]):
        return i + 3
    number = number_at(low, i)
    if not number:
        return 0
    end = number[1]
    if low[end : end + 1] and low[end] in ("am", "pm", "o'clock", "sharp"):
        return end + 1
    if low[end : end + 1] == [":"] and low[end + 1 : end + 2] and low[end + 1].isdecimal():
        return end + 2
    return 0


__all__ = ["time_end"]
