"""The vocabulary of the GGUF format: value types, tensor types with their block sizes, limits, and the one error.

Everything here is a fact about the format (ggml's `ggml.h` and `gguf.md`), free of file access. `GGMLType` lists every
tensor type that ggml numbers, also those that no kernel here runs, so that a file's layout can be checked completely;
whether a type can be computed with is the business of `llm_core.quants`.
"""

import enum
import re

from llm_core.errors import ModelError

MAGIC = b"GGUF"
VERSIONS = (2, 3)
DEFAULT_ALIGNMENT = 32
MAX_DIMS = 4

# Ceilings above what any model needs (the largest: a vocabulary of 262,144 with its merges, 1.3 million array elements
# in 15 MB). They bound the time and the memory that a hostile header can cost, whatever the size of the file around it.
MAX_HEADER_BYTES = 64 << 20
MAX_STRING_BYTES = 4 << 20
MAX_NAME_BYTES = 1024
MAX_ELEMENTS = 2 << 20
MAX_KEYS = 65_536
MAX_TENSORS = 65_536
MAX_NESTING = 4
MAX_PARTS = 512


class GGUFError(ModelError):
    """A GGUF file that is broken, hostile or not for us: one line that says what, where, and which key or tensor."""


class ValueType(enum.IntEnum):
    """Metadata value types, numbered as in the file."""

    UINT8 = 0
    INT8 = 1
    UINT16 = 2
    INT16 = 3
    UINT32 = 4
    INT32 = 5
    FLOAT32 = 6
    BOOL = 7
    STRING = 8
    ARRAY = 9
    UINT64 = 10
    INT64 = 11
    FLOAT64 = 12


# struct code (little-endian) of each scalar; numpy understands the same codes after "<"
SCALAR_CODES = {
    ValueType.UINT8: "B",
    ValueType.INT8: "b",
    ValueType.UINT16: "H",
    ValueType.INT16: "h",
    ValueType.UINT32: "I",
    ValueType.INT32: "i",
    ValueType.FLOAT32: "f",
    ValueType.BOOL: "B",
    ValueType.UINT64: "Q",
    ValueType.INT64: "q",
    ValueType.FLOAT64: "d",
}

# the least bytes that one element of each type takes in the file; bounds an array's count before it is read
MIN_BYTES = {
    **{kind: {"b": 1, "h": 2, "i": 4, "f": 4, "q": 8, "d": 8}[code.lower()] for kind, code in SCALAR_CODES.items()},
    ValueType.STRING: 8,
    ValueType.ARRAY: 12,
}


class GGMLType(enum.IntEnum):
    """Tensor types, numbered as in the file. `block` values are stored in `nbytes` bytes."""

    F32 = 0
    F16 = 1
    Q4_0 = 2
    Q4_1 = 3
    Q5_0 = 6
    Q5_1 = 7
    Q8_0 = 8
    Q8_1 = 9
    Q2_K = 10
    Q3_K = 11
    Q4_K = 12
    Q5_K = 13
    Q6_K = 14
    Q8_K = 15
    IQ2_XXS = 16
    IQ2_XS = 17
    IQ3_XXS = 18
    IQ1_S = 19
    IQ4_NL = 20
    IQ3_S = 21
    IQ2_S = 22
    IQ4_XS = 23
    I8 = 24
    I16 = 25
    I32 = 26
    I64 = 27
    F64 = 28
    IQ1_M = 29
    BF16 = 30
    TQ1_0 = 34
    TQ2_0 = 35
    MXFP4 = 39
    NVFP4 = 40
    Q1_0 = 41

    @property
    def block(self) -> int:
        """Values per block: a row's length is a multiple of it."""
        return BLOCK_SIZES[self][0]

    @property
    def nbytes(self) -> int:
        """Bytes per block."""
        return BLOCK_SIZES[self][1]


# (values per block, bytes per block), the one size table
BLOCK_SIZES = {
    GGMLType.F32: (1, 4),
    GGMLType.F16: (1, 2),
    GGMLType.Q4_0: (32, 18),
    GGMLType.Q4_1: (32, 20),
    GGMLType.Q5_0: (32, 22),
    GGMLType.Q5_1: (32, 24),
    GGMLType.Q8_0: (32, 34),
    GGMLType.Q8_1: (32, 36),
    GGMLType.Q2_K: (256, 84),
    GGMLType.Q3_K: (256, 110),
    GGMLType.Q4_K: (256, 144),
    GGMLType.Q5_K: (256, 176),
    GGMLType.Q6_K: (256, 210),
    GGMLType.Q8_K: (256, 292),
    GGMLType.IQ2_XXS: (256, 66),
    GGMLType.IQ2_XS: (256, 74),
    GGMLType.IQ3_XXS: (256, 98),
    GGMLType.IQ1_S: (256, 50),
    GGMLType.IQ4_NL: (32, 18),
    GGMLType.IQ3_S: (256, 110),
    GGMLType.IQ2_S: (256, 82),
    GGMLType.IQ4_XS: (256, 136),
    GGMLType.I8: (1, 1),
    GGMLType.I16: (1, 2),
    GGMLType.I32: (1, 4),
    GGMLType.I64: (1, 8),
    GGMLType.F64: (1, 8),
    GGMLType.IQ1_M: (256, 56),
    GGMLType.BF16: (1, 2),
    GGMLType.TQ1_0: (256, 54),
    GGMLType.TQ2_0: (256, 66),
    GGMLType.MXFP4: (32, 17),
    GGMLType.NVFP4: (64, 36),
    GGMLType.Q1_0: (128, 18),
}

# numbers that ggml once gave out and took back: no layout to check against, so such a file is refused by this name
RETIRED_TYPES = {
    4: "Q4_2",
    5: "Q4_3",
    31: "Q4_0_4_4",
    32: "Q4_0_4_8",
    33: "Q4_0_8_8",
    36: "IQ4_NL_4_4",
    37: "IQ4_NL_4_8",
    38: "IQ4_NL_8_8",
}

_ESCAPED = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff\ufff9-\ufffb]"
)


def escape(text: str, limit: int | None = None) -> str:
    """Text from a file made safe to print on one line: control, bidirectional and invisible characters as escapes.

    With `limit`, at most that many characters of `text` are shown and the rest is counted.
    """
    shown = text if limit is None or len(text) <= limit else text[:limit]
    safe = _ESCAPED.sub(lambda m: m[0].encode("unicode_escape", "surrogatepass").decode("ascii"), shown)
    return safe if len(shown) == len(text) else f"{safe}… ({len(text):,} characters)"


def quoted(text: str) -> str:
    """A key's or tensor's name for an error message: escaped, shortened, in quotes."""
    return f"'{escape(text, 120)}'"
