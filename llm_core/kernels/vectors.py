"""What vectors are, to numba and to LLVM: `Vec` types, the compile-time width of a tile, and pieces of code generation.

`Vec(element, lanes)` is one LLVM vector, whatever registers it takes. `Columns(C)` is a number that exists at compile
time only and carries the width of a tile of activation columns through function calls. The functions below build LLVM
instructions; `simd.py` and `dot.py` make numba intrinsics of them.
"""

from llvmlite import ir

from llm_core.kernels.deferred import lower_constant, models, overload, register_model, typeof_impl, types

I8, I16, I32, I64 = (ir.IntType(n) for n in (8, 16, 32, 64))
F32, F16 = ir.FloatType(), ir.HalfType()
LANES = 16

_LLVM = {
    types.int8: I8,
    types.uint8: I8,
    types.int16: I16,
    types.uint16: I16,
    types.int32: I32,
    types.uint32: I32,
    types.float32: F32,
}


class Vec(types.Type):
    """The numba type of a vector of `lanes` elements."""

    def __init__(self, element, lanes):
        self.element, self.lanes = element, lanes
        super().__init__(name=f"Vec({element} x {lanes})")

    @property
    def llvm(self):
        """The LLVM vector type."""
        return ir.VectorType(_LLVM[self.element], self.lanes)

    @property
    def is_float(self):
        """Are the elements floating point?"""
        return isinstance(self.element, types.Float)


@register_model(Vec)
class _VecModel(models.PrimitiveModel):
    def __init__(self, dmm, fe_type):
        super().__init__(dmm, fe_type, fe_type.llvm)


def f32(lanes=LANES):
    """The type of a float32 vector."""
    return Vec(types.float32, lanes)


def i32(lanes=LANES):
    """The type of an int32 vector."""
    return Vec(types.int32, lanes)


U8X64 = Vec(types.uint8, 64)


# --- the compile-time width of a tile of columns ---------------------------------------------------------------------


class Columns:
    """The number of activation columns in a tile; a numba value whose type is the number."""

    def __init__(self, count: int):
        self.count = count


class ColumnsType(types.Type):
    """The numba type of `Columns(count)`; has no bits at run time."""

    def __init__(self, count):
        self.count = count
        super().__init__(name=f"Columns({count})")


@register_model(ColumnsType)
class _ColumnsModel(models.OpaqueModel):
    pass


@typeof_impl.register(Columns)
def _typeof_columns(value, _context):
    return ColumnsType(value.count)


@lower_constant(ColumnsType)
def _constant_columns(context, _builder, _typ, _value):
    return context.get_dummy_value()


@overload(len)
def _columns_len(columns):
    if isinstance(columns, ColumnsType):
        count = columns.count
        return lambda columns: count
    return None


# --- building blocks for code generation -----------------------------------------------------------------------------


def const(vector_type, value):
    """An LLVM constant with `value` in every lane."""
    return ir.Constant(vector_type, [value] * vector_type.count)


def pick(builder, vector, indexes):
    """Lanes `indexes` of an LLVM vector, as a vector."""
    return builder.shuffle_vector(
        vector, ir.Constant(vector.type, ir.Undefined), ir.Constant(ir.VectorType(I32, len(indexes)), list(indexes))
    )


def part(builder, vector, start, count):
    """`count` neighbouring lanes of an LLVM vector from lane `start`."""
    return vector if count == vector.type.count else pick(builder, vector, range(start, start + count))


def join(builder, parts):
    """The lanes of several equally long LLVM vectors, one after the other; their number is a power of two."""
    parts = list(parts)
    while len(parts) > 1:
        joined = []
        for left, right in zip(parts[::2], parts[1::2], strict=True):
            both = ir.Constant(ir.VectorType(I32, 2 * left.type.count), list(range(2 * left.type.count)))
            joined.append(builder.shuffle_vector(left, right, both))
        parts = joined
    return parts[0]


def splat(builder, scalar, lanes):
    """An LLVM vector with `scalar` in every lane."""
    vector_type = ir.VectorType(scalar.type, lanes)
    first = builder.insert_element(ir.Constant(vector_type, ir.Undefined), scalar, I32(0))
    return pick(builder, first, [0] * lanes)


def load_at(builder, address, llvm_type):
    """Load an LLVM value of `llvm_type` from an integer address, without alignment."""
    value = builder.load(builder.inttoptr(address, llvm_type.as_pointer()))
    value.align = 1
    return value


def store_at(builder, address, value):
    """Store an LLVM value to an integer address, without alignment."""
    builder.store(value, builder.inttoptr(address, value.type.as_pointer())).align = 1


def call(builder, name, result, *args):
    """Call an LLVM intrinsic by its full name."""
    function_type = ir.FunctionType(result, [a.type for a in args])
    function = builder.module.globals.get(name) or ir.Function(builder.module, function_type, name=name)
    return builder.call(function, args)
