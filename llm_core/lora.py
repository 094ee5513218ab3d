"""How users write which LoRA adapters: `[NAME=]FILE[:SCALE]` to load them, `NAME[:SCALE]` to choose among those loaded.

The one notation of command lines and ROS parameters. A NAME is the file's own, without `.gguf`, where none is given;
FILE is a path or a name that `llm_core.hub` knows. Opens nothing. Errors are RequestErrors that name the field.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from numbers import Real

import numpy as np

from llm_core.errors import RequestError

MAX_SCALE = 1000.0


def adapter_files(texts: Iterable[str], field: str) -> dict[str, tuple[str, float]]:
    """{name: (file, scale)}, the scale 1 where none is given; `field` is what errors call the whole."""
    found = {}
    for text in texts:
        name, file = "", text
        if not os.path.exists(text):
            head, equals, rest = text.partition("=")
            if equals and os.sep not in head:
                name, file = head, rest
        file, scale = (file, None) if os.path.exists(file) else _scaled(file)
        if not file:
            raise RequestError(f"{field} {text!r}: [NAME=]FILE[:SCALE] wanted")
        name = name or os.path.basename(file).removesuffix(".gguf")
        if name in found:
            raise RequestError(f"{field} {text!r}: the name {name!r} is taken; give it another one, as NAME=FILE")
        found[name] = file, _checked(field, text, 1.0 if scale is None else scale)
    return found


def adapter_scales(texts: Iterable[str], field: str) -> dict[str, float | None]:
    """{name: scale}, None where none is given; `field` is what errors call the whole."""
    found = {}
    for text in texts:
        name, scale = _scaled(text)
        if not name or name in found:
            raise RequestError(f"{field} {text!r}: NAME[:SCALE] wanted, each name once")
        found[name] = None if scale is None else _checked(field, text, scale)
    return found


def check_scale(field: str, scale) -> float:
    """A scale as kernels take it. Raises RequestError for what is none."""
    if isinstance(scale, bool) or not isinstance(scale, Real) or not math.isfinite(scale) or abs(scale) > MAX_SCALE:
        raise RequestError(f"{field} is {scale!r}: a number from {-MAX_SCALE:g} to {MAX_SCALE:g} wanted")
    return float(np.float32(scale))


def _scaled(text: str) -> tuple[str, float | None]:
    """What stands before the last colon and the number behind it; (text, None) where no number is."""
    head, _, number = text.rpartition(":")
    try:
        return head, float(number)
    except ValueError:
        return text, None


def _checked(field: str, text: str, scale: float) -> float:
    return check_scale(f"{field} {text!r}: the scale", scale)
