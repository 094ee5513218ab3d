"""Reads `tokenizer.model`: the pieces of a SentencePiece vocabulary, with their scores and types.

The file is a protocol buffer; of its fields only the pieces are wanted (ModelProto.pieces = 1: piece = 1, score = 2,
type = 3) and how they were trained (trainer_spec = 2: model_type = 3, where 2 is BPE). Everything is bounds-checked.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from llm_core.errors import ModelError
from llm_core.gguf import escape

MAX_BYTES = 64 << 20
BPE = 2
# SentencePiece's types are GGUF's token types: normal 1, unknown 2, control 3, user-defined 4, unused 5, byte 6
_TYPES = range(1, 7)


def read_pieces(path: Path) -> list[tuple[str, float, int]]:
    """(text, score, type) of every piece. Raises ModelError for anything else than a BPE vocabulary."""
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise ModelError(f"{escape(str(path))}: {size:,} bytes are too many for a vocabulary")
    pieces, kind = [], None
    try:
        for number, value in _fields(path.read_bytes()):
            if number == 1:
                pieces.append(_piece(dict(_fields(value))))
            elif number == 2:
                kind = dict(_fields(value)).get(3, 1)
    except (ValueError, TypeError, struct.error, IndexError) as error:
        raise ModelError(f"{escape(str(path))}: not a SentencePiece vocabulary: {error}") from None
    if not pieces or kind != BPE:
        raise ModelError(f"{escape(str(path))}: no BPE vocabulary ({len(pieces)} pieces, model type {kind})")
    return pieces


def _piece(fields: dict[int, bytes | int]) -> tuple[str, float, int]:
    text, score, kind = fields.get(1, b""), fields.get(2, b"\0\0\0\0"), fields.get(3, 1)
    if kind not in _TYPES:
        raise ValueError(f"a piece of type {kind}")
    return text.decode("utf-8"), struct.unpack("<f", score)[0], kind


def _fields(data: bytes) -> Iterator[tuple[int, bytes | int]]:
    """(field number, value) of a message: an integer for a varint, else its bytes."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        wire = tag & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield tag >> 3, value
            continue
        if wire == 2:
            length, at = _varint(data, at)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire}")
        if at + length > len(data):
            raise ValueError(f"a field of {length:,} bytes at byte {at:,} of {len(data):,}")
        yield tag >> 3, data[at : at + length]
        at += length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number of more than 10 bytes")
