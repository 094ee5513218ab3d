"""What the tokenizers take for text: `str` or `bytes`, valid Unicode or not.

`clean(text)` makes valid UTF-8 text for the models that work on characters; `raw(text)` gives the bytes for those
that have byte tokens. Broken input is read as llama.cpp reads it: one U+FFFD for each byte that starts no well-formed
sequence; an over-long form counts as what it means, unless the caller wants it strict. In a `str`, the surrogates that
`os.fsdecode` makes of raw bytes stand for those bytes; any other lone surrogate is U+FFFD.
"""

from __future__ import annotations

import codecs
import re

from llm_core.errors import RequestError

REPLACEMENT = "\ufffd"
_SURROGATES = re.compile("[\ud800-\udfff]")
_NOT_ESCAPED_BYTES = re.compile("[\ud800-\udc7f\udd00-\udfff]")


def is_broken(text: str | bytes) -> bool:
    """True if `text` is not valid Unicode."""
    if isinstance(text, str):
        return _SURROGATES.search(text) is not None
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return True
    return False


def raw(text: str | bytes) -> bytes:
    """The bytes that `text` stands for (they need not be UTF-8)."""
    if isinstance(text, bytes):
        return text
    return _NOT_ESCAPED_BYTES.sub(REPLACEMENT, text).encode("utf-8", "surrogateescape")


def clean(text: str | bytes, strict: bool = False) -> str:
    """`text` as valid Unicode; `strict`: over-long forms are U+FFFD too. RequestError: neither str nor bytes."""
    if isinstance(text, str):
        if _SURROGATES.search(text) is None:
            return text
    elif isinstance(text, (bytes, bytearray)):
        text = bytes(text)
    else:
        raise RequestError(f"text: expected str or bytes, got {type(text).__name__}")
    return raw(text).decode("utf-8", "llm_core.strict" if strict else "llm_core.repair")


def sequence_length(lead: int) -> int:
    """How many bytes a UTF-8 sequence with this first byte claims (a continuation byte claims itself)."""
    return 1 if lead < 0xC0 else 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4


def _repair_one(error: UnicodeError) -> tuple[str, int]:
    """Codec error handler: (text for the malformed spot, where to go on)."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    code, size = _code_point(error.object, error.start)
    good = code is not None and not 0xD800 <= code < 0xE000
    return (chr(code) if good else REPLACEMENT), error.start + size


def _code_point(data: bytes, pos: int) -> tuple[int | None, int]:
    """(code point or None, bytes taken) of a malformed spot: over-long forms count as what they mean."""
    lead = data[pos]
    size = sequence_length(lead)
    tail = data[pos + 1 : pos + size]
    if lead < 0xC0 or lead > 0xF7 or len(tail) != size - 1 or any(b & 0xC0 != 0x80 for b in tail):
        return None, 1
    code = lead & (0x7F >> size)
    for b in tail:
        code = code << 6 | (b & 0x3F)
    return (code if code < 0x110000 else None), size


def _replace_one(error: UnicodeError) -> tuple[str, int]:
    return REPLACEMENT, _repair_one(error)[1]


codecs.register_error("llm_core.repair", _repair_one)
codecs.register_error("llm_core.strict", _replace_one)
