"""GGUF bytes made by hand, so that a test can say anything in them, true or not."""

import struct

from llm_core.gguf import ValueType
from llm_core.gguf.types import SCALAR_CODES


def u32(number: int) -> bytes:
    return struct.pack("<I", number)


def u64(number: int) -> bytes:
    return struct.pack("<Q", number)


def string(text: str | bytes) -> bytes:
    raw = text if isinstance(text, bytes) else text.encode()
    return u64(len(raw)) + raw


def scalar(key: str | bytes, kind: ValueType, value) -> bytes:
    """A key and its value, as they stand in a file."""
    body = string(value) if kind is ValueType.STRING else struct.pack("<" + SCALAR_CODES[kind], value)
    return string(key) + u32(kind) + body


def array(key: str | bytes, kind: int, count: int, body: bytes) -> bytes:
    """A key and an array said to hold `count` elements of type number `kind`, followed by `body`."""
    return string(key) + u32(ValueType.ARRAY) + u32(kind) + u64(count) + body


def tensor(
    name: str | bytes, dims: tuple[int, ...] = (32,), kind: int = 0, offset: int = 0, n_dims: int | None = None
) -> bytes:
    """A tensor's line of the header; `dims` in the file's order (columns first)."""
    count = len(dims) if n_dims is None else n_dims
    return string(name) + u32(count) + struct.pack(f"<{len(dims)}Q", *dims) + u32(kind) + u64(offset)


def gguf(
    pairs: list[bytes] = (),
    tensors: list[bytes] = (),
    data: bytes = b"",
    *,
    version: int = 3,
    n_pairs: int | None = None,
    n_tensors: int | None = None,
    alignment: int = 32,
) -> bytes:
    """A whole file; the counts are the true ones unless given. Without `data` there is no padding either."""
    head = b"GGUF" + u32(version) + u64(len(tensors) if n_tensors is None else n_tensors)
    head += u64(len(pairs) if n_pairs is None else n_pairs) + b"".join(pairs) + b"".join(tensors)
    return head + (bytes(-len(head) % alignment) + data if data else b"")


ARCHITECTURE = scalar("general.architecture", ValueType.STRING, "llama")
