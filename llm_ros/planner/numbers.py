"""Numbers and durations in words and digits: "two and a half minutes", "-5", "1.5 h", "a hundred and twenty".

In: lower-case words and a position. Out: the value and where it ends. Knows only English numerals and units of time.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_ONES = {
    word: number
    for number, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen "
        "eighteen nineteen".split()
    )
}
_TENS = {
    word: 10 * number
    for number, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), start=2)
}
_VAGUE = {"couple": 2, "few": 3, "dozen": 12}
_SCALES = {"hundred": 100, "thousand": 1000, "million": 1_000_000}
_PARTS = {"half": 0.5, "quarter": 0.25}
_UNITS = {
    unit: seconds
    for seconds, row in {
        1: "second seconds sec secs s",
        60: "minute minutes min mins",
        3600: "hour hours h hr hrs",
        86400: "day days",
        604800: "week weeks",
    }.items()
    for unit in row.split()
}
# Said instead of a duration.
_LITTLE = {"moment": 5, "moments": 5, "while": 5, "bit": 5, "instant": 5}
_DIGITS = re.compile(r"-?\d{1,9}(?:\.\d{1,6})?")
_JOINED = re.compile(r"(-?\d{1,7}(?:\.\d{1,6})?)([a-z]+)")


def value_of(word: str) -> float | None:
    """The number that a word of digits is: "-5", "1.5"; None for anything else."""
    return float(word) if _DIGITS.fullmatch(word) else None


def number_at(low: Sequence[str], i: int) -> tuple[float, int] | None:
    """(value, end) of the number that begins at word `i`, or None. "a" and "an" are none."""
    sign, k = 1.0, i
    if k < len(low) and low[k] in ("minus", "negative"):
        sign, k = -1.0, k + 1
    if k < len(low) and (number := value_of(low[k])) is not None:
        k += 1
        if k < len(low) and low[k] in _SCALES:
            number, k = number * _SCALES[low[k]], k + 1
        return _with_half(low, k, sign, number)
    if low[k : k + 1] == ["dozen"]:
        return 12.0, k + 1
    found = _words(low, k)
    return _with_half(low, found[1], sign, found[0]) if found else None


def _words(low: Sequence[str], i: int) -> tuple[float, int] | None:
    total = part = 0.0
    k, seen = i, False
    while k < len(low):
        word = low[k]
        scaled = word in ("a", "an") and k + 1 < len(low) and low[k + 1] in _SCALES
        if word in _ONES or word in _TENS:
            if seen and (part % 10 or word in _TENS and part % 100):
                break
            part += _ONES.get(word, _TENS.get(word, 0))
        elif word in _SCALES and seen:
            part *= _SCALES[word]
            if word != "hundred":
                total, part = total + part, 0.0
        elif scaled and not seen:
            part = 1.0
        elif word == "and" and seen and low[k - 1] in _SCALES and k + 1 < len(low) and low[k + 1] in {**_ONES, **_TENS}:
            k += 1
            continue
        else:
            break
        seen, k = True, k + 1
    return (total + part, k) if seen else None


def _with_half(low: Sequence[str], k: int, sign: float, number: float) -> tuple[float, int]:
    """A number followed by "and a half", "and three quarters", "point five"."""
    if tuple(low[k : k + 3]) in (("and", "a", "half"), ("and", "a", "quarter")):
        return sign * (number + _PARTS[low[k + 2]]), k + 3
    if tuple(low[k : k + 3]) == ("and", "three", "quarters"):
        return sign * (number + 0.75), k + 3
    if low[k : k + 1] == ["point"] and k + 1 < len(low) and low[k + 1] in _ONES:
        return sign * (number + _ONES[low[k + 1]] / 10), k + 2
    return sign * number, k


def duration_at(low: Sequence[str], i: int) -> tuple[float, int] | None:
    """(seconds, end) of the duration that begins at word `i`: "half a minute", "2 minutes 30 seconds", "a moment"."""
    total, k, seen = 0.0, i, False
    while k < len(low):
        begin = k + 1 if seen and low[k] == "and" else k
        part = _one_duration(low, begin)
        if part is None:
            break
        total, k, seen = total + part[0], part[1], True
    return (total, k) if seen else None


def _one_duration(low: Sequence[str], i: int) -> tuple[float, int] | None:
    if i >= len(low):
        return None
    joined = _JOINED.fullmatch(low[i])
    if joined and joined[2] in _UNITS:
        return float(joined[1]) * _UNITS[joined[2]], i + 1
    number, k = _amount(low, i)
    while k < len(low) and low[k] in ("little", "short", "brief", "full", "whole", "good", "more", "of") and k > i:
        k += 1
    if k >= len(low):
        return None
    if number is None:
        return None
    if low[k] in _LITTLE:
        return float(_LITTLE[low[k]]), k + 1
    if low[k] not in _UNITS or low[k] == "second" and low[i] == "the":
        return None
    unit = _UNITS[low[k]]
    k += 1
    if tuple(low[k : k + 3]) in (("and", "a", "half"), ("and", "a", "quarter")):
        return (number + _PARTS[low[k + 2]]) * unit, k + 3
    return number * unit, k


def _amount(low: Sequence[str], i: int) -> tuple[float | None, int]:
    """(how many, end) in front of a unit: a number, "half a", "a quarter of an", "a", "a couple of"."""
    k = (
        i + 1
        if low[i] in ("a", "an", "another", "one") and low[i + 1 : i + 2] and low[i + 1] in {**_PARTS, **_VAGUE}
        else i
    )
    if low[k] in _PARTS or low[k] in _VAGUE:
        number, k = {**_PARTS, **_VAGUE}[low[k]], k + 1
    elif low[k : k + 2] == ["three", "quarters"]:
        number, k = 0.75, k + 2
    else:
        found = number_at(low, k)
        if found is None:
            return (1.0, k + 1) if low[k] in ("a", "an", "another", "one", "some") else (None, k)
        return found
    while k < len(low) and low[k] in ("of", "a", "an"):
        k += 1
    return number, k


__all__ = ["duration_at", "number_at", "value_of"]
