"""A model file's metadata: a read-only mapping with getters that check type and range.

A getter returns exactly what was asked for or raises `GGUFError` with key, value and reason; nothing is converted:
a bool is no int, an int is no float, a NaN is no number unless asked for. In keys, "{arch}" stands for the
file's `general.architecture`. Unknown keys are nobody's business and are kept as they are.
"""

from __future__ import annotations

import builtins
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from llm_core.gguf.types import GGUFError, ValueType, escape, quoted

_REQUIRED: Any = object()
_ARCHITECTURE = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


class Metadata(Mapping):
    """Keys to int | float | bool | str | list, in file order.

    `values`: the mapping; `source`: what errors call it (a file's name); `types`: each key's (value type, element type
    of an array or None) as read from a file, so that a copy can be written alike.
    """

    def __init__(
        self,
        values: Mapping[str, Any],
        source: str = "metadata",
        types: Mapping[str, tuple[ValueType, ValueType | None]] | None = None,
    ):
        self._values = dict(values)
        self.source = source
        self.types = dict(types or {})

    def __getitem__(self, key: str) -> Any:
        return self._values[self.key(key)]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Metadata({self.source!r}, {len(self)} keys)"

    def key(self, key: str) -> str:
        """`key` with "{arch}" replaced by the architecture (but a file's own key is always itself)."""
        return key.replace("{arch}", self.architecture) if "{arch}" in key and key not in self._values else key

    @property
    def architecture(self) -> str:
        """`general.architecture`, checked to be a plain name: it selects a module, so it must not be a path."""
        name = self.str("general.architecture")
        if not _ARCHITECTURE.fullmatch(name):
            raise self.error(
                "general.architecture", f"{quoted(name)} is not an architecture's name ([a-z0-9._-], 1 to 64)"
            )
        return name

    def error(self, key: str, problem: str) -> GGUFError:
        """The error to raise about `key`; `problem` should hold the value seen and what is allowed."""
        return GGUFError(f"{escape(self.source)}: key {quoted(key)}: {problem}")

    def int(self, key: str, *, min: int | None = None, max: int | None = None, default: Any = _REQUIRED) -> int:
        """The integer at `key` with min <= value <= max. A `default` is returned as it is when the key is missing."""
        return self._scalar(key, int, min, max, default)

    def float(
        self,
        key: str,
        *,
        min: float | None = None,
        max: float | None = None,
        default: Any = _REQUIRED,
        finite: bool = True,
    ) -> float:
        """The float at `key`, within the bounds given; NaN and infinities are refused unless `finite=False`."""
        return self._scalar(key, float, min, max, default, finite)

    def bool(self, key: str, *, default: Any = _REQUIRED) -> bool:
        """The bool at `key`."""
        return self._scalar(key, bool, None, None, default)

    def str(self, key: str, *, choices: Any = None, max_length: int | None = None, default: Any = _REQUIRED) -> str:
        """The string at `key`; with `choices` (any container), one of them; with `max_length`, no longer than that."""
        value = self._scalar(key, str, None, None, default)
        if self.key(key) not in self._values:
            return value
        if choices is not None and value not in choices:
            raise self.error(self.key(key), f"{quoted(value)} is not one of: {', '.join(map(builtins.str, choices))}")
        if max_length is not None and len(value) > max_length:
            raise self.error(
                self.key(key), f"a string of {len(value):,} characters, at most {max_length:,} are allowed"
            )
        return value

    def ints(self, key: str, **limits: Any) -> list[int]:
        """The list of integers at `key`. Limits: min, max (of each), length, min_length, max_length, default, and
        broadcast=True: a single integer stands for `length` equal ones (per-layer values)."""
        return self._list(key, int, **limits)

    def floats(self, key: str, **limits: Any) -> list[float]:
        """The list of floats at `key`; limits as for `ints`, and finite=False to let NaN and infinities pass."""
        return self._list(key, float, **limits)

    def strings(self, key: str, **limits: Any) -> list[str]:
        """The list of strings at `key`. Limits: length, min_length, max_length, default, broadcast."""
        return self._list(key, str, **limits)

    def bools(self, key: str, **limits: Any) -> list[bool]:
        """The list of bools at `key`. Limits: length, min_length, max_length, default, broadcast."""
        return self._list(key, bool, **limits)

    def _find(self, key: str, default: Any) -> tuple[Any, bool]:
        """The value and whether it is the file's own (True) or the default (False, to be returned unchecked)."""
        if key in self._values:
            return self._values[key], True
        if default is _REQUIRED:
            raise self.error(key, "is missing")
        return default, False

    def _scalar(self, key, kind, low, high, default, finite=True):
        key = self.key(key)
        value, present = self._find(key, default)
        if not present:
            return value
        if type(value) is not kind:
            raise self.error(key, f"expected {_NAMES[kind]}, found {_describe(value)}")
        if kind is float and finite and not math.isfinite(value):
            raise self.error(key, f"{value} is not a finite number")
        if (low is not None and not value >= low) or (high is not None and not value <= high):
            raise self.error(key, f"{value} is out of range ({_range(low, high)})")
        return value

    def _list(
        self,
        key,
        kind,
        *,
        min=None,
        max=None,
        length=None,
        min_length=0,
        max_length=None,
        default=_REQUIRED,
        broadcast=False,
        finite=True,
    ):
        key = self.key(key)
        values, present = self._find(key, default)
        if not present:
            return values
        if broadcast and type(values) is kind:
            if length is None:
                raise TypeError("broadcast needs a length")
            return [self._scalar(key, kind, min, max, _REQUIRED, finite)] * length
        if type(values) is not list:
            raise self.error(key, f"expected a list of {_PLURALS[kind]}, found {_describe(values)}")
        low, high = (length, length) if length is not None else (min_length, max_length)
        if len(values) < low or (high is not None and len(values) > high):
            raise self.error(key, f"has {len(values):,} elements ({_range(low, high)} are allowed)")
        if not set(map(type, values)) <= {kind}:
            i, bad = next((i, v) for i, v in enumerate(values) if type(v) is not kind)
            raise self.error(key, f"expected a list of {_PLURALS[kind]}, but element {i} is {_describe(bad)}")
        if kind is float and finite and not all(map(math.isfinite, values)):
            i, bad = next((i, v) for i, v in enumerate(values) if not math.isfinite(v))
            raise self.error(key, f"element {i} is {bad}, not a finite number")
        if values and (min is not None or max is not None):
            i = next(
                (
                    i
                    for i, v in enumerate(values)
                    if (min is not None and not v >= min) or (max is not None and not v <= max)
                ),
                None,
            )
            if i is not None:
                raise self.error(key, f"element {i} is {values[i]}, out of range ({_range(min, max)})")
        return values


_NAMES = {int: "an integer", float: "a float", bool: "a bool", str: "a string", list: "a list"}
_PLURALS = {int: "integers", float: "floats", bool: "bools", str: "strings"}


def _describe(value: Any) -> str:
    """A value and its type in a few words, safe to print."""
    if isinstance(value, list):
        return f"a list of {len(value):,}"
    shown = quoted(value) if isinstance(value, str) else escape(repr(value), 60)
    return f"{_NAMES.get(type(value), type(value).__name__)} ({shown})"


def _range(low: Any, high: Any) -> str:
    if low == high:
        return f"exactly {low}"
    parts = [f"at least {low}"] if low is not None else []
    return " and ".join(parts + ([f"at most {high}"] if high is not None else []))
