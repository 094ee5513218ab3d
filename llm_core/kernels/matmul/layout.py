"""How a packed block of quantized weights is read, and the code that this description becomes.

A format is a `Layout`: which bytes make unit `u` of a block, and which make the scale of sub-block `s`. Its methods run
while code is generated: they get a `Block` and return `Code`, pieces of LLVM code that look like numbers. From the one
description come the kernel for few activation rows, which unpacks in registers, and the one for many, which unpacks a
block once into the first-level cache (`integer.py`).

Every format means w = scale[s] * (q - zero), or w = scale[s] * q + offset[s], with one scale (and offset) per row and
sub-block of 32 or 16 values.
"""

from llvmlite import ir

from llm_core.kernels.dot import DOT
from llm_core.kernels.halves import to_floats
from llm_core.kernels.vectors import F32, I8, I16, I32, I64, LANES, const, load_at


class Code:
    """A vector in the code being generated; operators take another vector of its kind or a number for all lanes."""

    def __init__(self, builder, value):
        self.builder, self.value = builder, value

    def _apply(self, method, other):
        right = other.value if isinstance(other, Code) else const(self.value.type, other)
        return Code(self.builder, getattr(self.builder, method)(self.value, right))

    def __and__(self, other):
        return self._apply("and_", other)

    def __or__(self, other):
        return self._apply("or_", other)

    def __lshift__(self, other):
        return self._apply("shl", other) if other else self

    def __rshift__(self, other):
        return self._apply("lshr", other) if other else self

    def __add__(self, other):
        return self._apply("fadd", other)

    def __mul__(self, other):
        return self._apply("fmul", other)

    def __neg__(self):
        return Code(self.builder, self.builder.fneg(self.value))

    def look_up(self, table) -> "Code":
        """Each byte (0…15) replaced by `table[byte]`, 16 signed bytes."""
        return Code(self.builder, DOT.look_up(self.builder, [v & 255 for v in table], self.value))


class Block:
    """One packed block in memory, 16 rows of it; offsets in bytes."""

    def __init__(self, builder, address):
        self._builder, self._address = builder, address

    def _load(self, at, element, lanes):
        return load_at(self._builder, self._builder.add(self._address, I64(at)), ir.VectorType(element, lanes))

    def _float(self, method, at, element):
        value = getattr(self._builder, method)(self._load(at, element, LANES), ir.VectorType(F32, LANES))
        return Code(self._builder, value)

    def unit(self, at) -> Code:
        """64 bytes: 16 rows by 4 neighbouring values of k."""
        return Code(self._builder, self._load(at, I8, 64))

    def f16(self, at) -> Code:
        """A half-precision number per row."""
        return Code(self._builder, to_floats(self._builder, self._load(at, I16, LANES)))

    def bf16(self, at) -> Code:
        """A bfloat16 number per row."""
        wide = self._builder.zext(self._load(at, I16, LANES), ir.VectorType(I32, LANES))
        shifted = self._builder.shl(wide, const(wide.type, 16))
        return Code(self._builder, self._builder.bitcast(shifted, ir.VectorType(F32, LANES)))

    def u8(self, at) -> Code:
        """An unsigned byte per row, as a float."""
        return self._float("uitofp", at, I8)

    def i8(self, at) -> Code:
        """A signed byte per row, as a float."""
        return self._float("sitofp", at, I8)

    def bits(self, at, shift, count) -> Code:
        """`count` bits of a byte per row from bit `shift` on, as a float."""
        field = (Code(self._builder, self._load(at, I8, LANES)) >> shift) & (1 << count) - 1
        return Code(self._builder, self._builder.uitofp(field.value, ir.VectorType(F32, LANES)))

    def flag(self, at, i) -> Code:
        """Bit i of a 32-bit word per row, as a unit: 255 in the row's 4 bytes where it is set, else 0."""
        words = self._load(at, I32, LANES)
        top = self._builder.shl(words, const(words.type, 31 - i))
        return Code(
            self._builder, self._builder.bitcast(self._builder.ashr(top, const(words.type, 31)), ir.VectorType(I8, 64))
        )


class Layout:
    """A format of integer weights with scales. Subclasses describe; nothing here computes.

    name: the format's, lower case; block: values of k per packed block; nbytes: bytes of it; width: values per scale,
    32 or 16; peak: the largest q, or 0 when q is a signed byte; zero: what is taken off q (it need not be whole);
    has_offset: does w have an added offset?
    """

    name = ""
    block = 32
    nbytes = 0
    width = 32
    peak = 0
    zero = 0
    has_offset = False

    @property
    def n_sub(self) -> int:
        """Sub-blocks in a block."""
        return self.block // self.width

    def unit(self, b: Block, u: int) -> Code:
        """q of values 4 u … 4 u + 3 of the block, as a unit."""
        raise NotImplementedError

    def scale(self, b: Block, s: int) -> Code:
        """The scale of sub-block s, a float per row."""
        raise NotImplementedError

    def offset(self, b: Block, s: int) -> Code:
        """The offset of sub-block s, a float per row (asked for only with `has_offset`)."""
        raise NotImplementedError
