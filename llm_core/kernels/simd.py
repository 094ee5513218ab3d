"""Vector operations for numba kernels: a kernel written with these reads like scalar Python.

Values are 16 lanes wide, or 16 per activation column ("wide" values: 16 * C lanes for a tile of C columns, column after
column); LLVM splits them into the machine's registers. Loads and stores take an integer address and a byte offset, so
that mapped read-only weights need no array type, and never need alignment.
"""

import operator

from llvmlite import ir

from llm_core.kernels import cpu
from llm_core.kernels.deferred import (
    AbstractTemplate,
    cgutils,
    infer_global,
    intrinsic,
    lower_builtin,
    signature,
    types,
)
from llm_core.kernels.halves import to_floats, to_halves
from llm_core.kernels.vectors import (
    F32,
    I8,
    I32,
    I64,
    LANES,
    U8X64,
    Vec,
    call,
    const,
    f32,
    i32,
    join,
    load_at,
    part,
    pick,
    splat,
    store_at,
)

# --- loads and stores ------------------------------------------------------------------------------------------------


def _loader(vec, convert=None, result=None):
    @intrinsic
    def load(_ctx, address, at):
        def generate(_context, builder, _sig, args):
            value = load_at(builder, builder.add(args[0], args[1]), vec.llvm)
            return convert(builder, value) if convert else value

        return (result or vec)(types.int64, types.int64), generate

    return load


def _bfloat_to_float(builder, value):
    wide = builder.zext(value, ir.VectorType(I32, value.type.count))
    return builder.bitcast(builder.shl(wide, const(wide.type, 16)), ir.VectorType(F32, value.type.count))


def _unsigned_to_float(builder, value):
    return builder.uitofp(value, ir.VectorType(F32, value.type.count))


def _signed_to_float(builder, value):
    return builder.sitofp(value, ir.VectorType(F32, value.type.count))


_U16X16 = Vec(types.uint16, LANES)
_U8X16 = Vec(types.uint8, LANES)
load_u8x64 = _loader(U8X64)
load_f32 = _loader(f32())
load_f16 = _loader(_U16X16, to_floats, f32())  # 16 halves → 16 floats
load_bf16 = _loader(_U16X16, _bfloat_to_float, f32())
load_i8 = _loader(_U8X16, _signed_to_float, f32())


def _scalar_loader(numba_type, llvm_type):
    @intrinsic
    def load(_ctx, address, at):
        def generate(_context, builder, _sig, args):
            return load_at(builder, builder.add(args[0], args[1]), llvm_type)

        return numba_type(types.int64, types.int64), generate

    return load


get_i64 = _scalar_loader(types.int64, I64)
get_i32 = _scalar_loader(types.int32, I32)
get_f32 = _scalar_loader(types.float32, F32)


def _scalar_storer(numba_type):
    @intrinsic
    def store(_ctx, address, at, value):
        def generate(_context, builder, _sig, args):
            store_at(builder, builder.add(args[0], args[1]), args[2])
            return cgutils.get_null_value(ir.IntType(8).as_pointer())

        return types.void(types.int64, types.int64, numba_type), generate

    return store


put_f32 = _scalar_storer(types.float32)
put_i32 = _scalar_storer(types.int32)
put_i64 = _scalar_storer(types.int64)


@intrinsic
def put_f16(_ctx, address, at, value):
    """Store a float32 as a half (round to nearest even)."""

    def generate(_context, builder, _sig, args):
        store_at(builder, builder.add(args[0], args[1]), to_halves(builder, splat(builder, args[2], 1)))
        return cgutils.get_null_value(ir.IntType(8).as_pointer())

    return types.void(types.int64, types.int64, types.float32), generate


@intrinsic
def store(_ctx, address, at, value):
    """Store a vector as it is."""

    def generate(_context, builder, _sig, args):
        store_at(builder, builder.add(args[0], args[1]), args[2])
        return cgutils.get_null_value(ir.IntType(8).as_pointer())

    return types.void(types.int64, types.int64, value), generate


@intrinsic
def store_i8(_ctx, address, at, value):
    """Store a vector of int32 as bytes (the caller has them in -128…127)."""

    def generate(_context, builder, _sig, args):
        store_at(builder, builder.add(args[0], args[1]), builder.trunc(args[2], ir.VectorType(I8, args[2].type.count)))
        return cgutils.get_null_value(ir.IntType(8).as_pointer())

    return types.void(types.int64, types.int64, value), generate


# Zen 4 gets lines sooner that stop in the second level, where more requests may be open than in the first.
LOCALITY = 2 if cpu.is_zen4() else 3


@intrinsic
def prefetch(_ctx, address, at):
    """Ask for the cache line at address + at (to be read); never faults."""

    def generate(_context, builder, _sig, args):
        pointer = builder.inttoptr(builder.add(args[0], args[1]), I8.as_pointer())
        call(builder, "llvm.prefetch.p0", ir.VoidType(), pointer, I32(0), I32(LOCALITY), I32(1))
        return cgutils.get_null_value(ir.IntType(8).as_pointer())

    return types.void(types.int64, types.int64), generate


def stack_area(n_bytes):
    """An intrinsic that gives the address of `n_bytes` of the kernel's stack, 64-byte aligned."""

    @intrinsic
    def area(_ctx):
        def generate(_context, builder, _sig, _args):
            with builder.goto_entry_block():
                memory = builder.alloca(ir.ArrayType(I8, n_bytes))
            memory.align = 64
            return builder.ptrtoint(memory, I64)

        return types.int64(), generate

    return area


# --- arithmetic ------------------------------------------------------------------------------------------------------


def _binary(python_operator, on_float, on_int):
    """`a OP b` on two vectors of one type, or on a vector and an int literal (the same in every lane)."""

    @infer_global(python_operator)
    class _Typing(AbstractTemplate):
        def generic(self, args, kws):
            if (
                len(args) == 2
                and isinstance(args[0], Vec)
                and (args[1] == args[0] or isinstance(args[1], types.Integer))
            ):
                return signature(args[0], args[0], args[1])
            return None

    def build(builder, vec, left, right):
        method = on_float if vec.is_float else on_int
        return getattr(builder, method)(left, right)

    @lower_builtin(python_operator, Vec, Vec)
    def _vector(_context, builder, sig, args):
        return build(builder, sig.args[0], *args)

    @lower_builtin(python_operator, Vec, types.Integer)
    def _scalar(_context, builder, sig, args):
        vec = sig.args[0]
        element = args[1]
        width = vec.llvm.element.width
        if element.type.width > width:
            element = builder.trunc(element, vec.llvm.element)
        return build(builder, vec, args[0], splat(builder, element, vec.lanes))


_binary(operator.add, "fadd", "add")
_binary(operator.sub, "fsub", "sub")
_binary(operator.mul, "fmul", "mul")
_binary(operator.and_, None, "and_")
_binary(operator.or_, None, "or_")
_binary(operator.lshift, None, "shl")
_binary(operator.rshift, None, "lshr")
_binary(operator.truediv, "fdiv", None)


@intrinsic
def fma(_ctx, a, b, c):
    """a * b + c, rounded once."""

    def generate(_context, builder, sig, args):
        return call(builder, f"llvm.fma.v{sig.return_type.lanes}f32", sig.return_type.llvm, *args)

    return a(a, b, c), generate


def _chosen(sign):
    @intrinsic
    def operation(_ctx, a, b):
        def generate(_context, builder, sig, args):
            return builder.select(builder.fcmp_ordered(sign, *args), args[1], args[0])

        return a(a, b), generate

    return operation


# Of a NaN in b nothing is seen, one in a stays: then x86 has an instruction for each.
maximum, minimum = _chosen("<"), _chosen(">")


def _float_single(name):
    @intrinsic
    def operation(_ctx, a):
        def generate(_context, builder, sig, args):
            return call(builder, f"llvm.{name}.v{sig.return_type.lanes}f32", sig.return_type.llvm, *args)

        return a(a), generate

    return operation


rint, absolute, root = _float_single("rint"), _float_single("fabs"), _float_single("sqrt")


@intrinsic
def to_i32(_ctx, a):
    """Truncate floats to int32."""
    return i32(a.lanes)(a), lambda _c, builder, sig, args: builder.fptosi(args[0], sig.return_type.llvm)


@intrinsic
def nearest(_ctx, a, times):
    """int32 nearest to the product of two vectors of floats, ties to even, where it is below 2^22: added to 1.5 * 2^23,
    a float's last bits are that integer."""

    def generate(_context, builder, sig, args):
        vector, lanes = sig.args[0].llvm, sig.args[0].lanes
        shifted = call(builder, f"llvm.fma.v{lanes}f32", vector, *args, const(vector, 1.5 * 2**23))
        return builder.sub(builder.bitcast(shifted, sig.return_type.llvm), const(sig.return_type.llvm, 0x4B400000))

    return i32(a.lanes)(a, times), generate


@intrinsic
def to_f32(_ctx, a):
    """int32 → float."""
    return f32(a.lanes)(a), lambda _c, builder, sig, args: builder.sitofp(args[0], sig.return_type.llvm)


@intrinsic
def less(_ctx, a, b, then, otherwise):
    """Lane by lane: `then` where a < b, else `otherwise` (a, b: both int32 or both float)."""

    def generate(_context, builder, sig, args):
        compare = builder.fcmp_ordered if sig.args[0].is_float else builder.icmp_signed
        return builder.select(compare("<", args[0], args[1]), args[2], args[3])

    return then(a, b, then, otherwise), generate


def _pairwise(builder, value):
    while value.type.count > 1:
        half = value.type.count // 2
        value = builder.fadd(part(builder, value, 0, half), part(builder, value, half, half))
    return builder.extract_element(value, I32(0))


@intrinsic
def total(_ctx, a):
    """The sum of the lanes of a float vector (pairwise, so that every width gives the same order of additions)."""
    return a.element(a), lambda _context, builder, _sig, args: _pairwise(builder, args[0])


@intrinsic
def put_totals(_ctx, address, at, stride, value):
    """Store the `total` of each column's 16 floats to address + at + column * stride (bytes)."""

    def generate(_context, builder, sig, args):
        base = builder.add(args[0], args[1])
        for c in range(sig.args[3].lanes // LANES):
            sums = _pairwise(builder, part(builder, args[3], c * LANES, LANES))
            store_at(builder, builder.add(base, builder.mul(args[2], I64(c))), sums)
        return cgutils.get_null_value(ir.IntType(8).as_pointer())

    return types.void(types.int64, types.int64, types.int64, value), generate


@intrinsic
def total_i32(_ctx, a):
    """The sum of the lanes of an int32 vector."""

    def generate(_context, builder, sig, args):
        return call(builder, f"llvm.vector.reduce.add.v{sig.args[0].lanes}i32", I32, args[0])

    return types.int32(a), generate


@intrinsic
def largest(_ctx, a):
    """The largest lane of a float vector."""

    def generate(_context, builder, sig, args):
        return call(builder, f"llvm.vector.reduce.fmax.v{sig.args[0].lanes}f32", F32, args[0])

    return a.element(a), generate


@intrinsic
def lane_numbers(_ctx):
    """0, 1, … 15 as int32."""
    return i32()(), lambda _c, _b, sig, _a: ir.Constant(sig.return_type.llvm, list(range(LANES)))


# --- 16-lane and wide values -----------------------------------------------------------------------------------------


@intrinsic
def fill(_ctx, scalar):
    """16 lanes of one float32 (or int32)."""
    vec = Vec(scalar, LANES)
    return vec(scalar), lambda _c, builder, _s, args: splat(builder, args[0], LANES)


@intrinsic
def zeros(_ctx, columns):
    """A wide float accumulator of zeros: 16 lanes per column."""
    vec = f32(LANES * columns.count)
    return vec(columns), lambda _c, _b, sig, _a: const(sig.return_type.llvm, 0.0)


@intrinsic
def wide(_ctx, vector, columns):
    """The same 16 lanes for every column."""
    lanes = list(range(LANES)) * columns.count
    return Vec(vector.element, len(lanes))(vector, columns), lambda _c, builder, _s, args: pick(builder, args[0], lanes)


@intrinsic
def per_column(_ctx, address, at, stride, columns):
    """A float per column, read from address + at + column * stride (bytes), in all 16 lanes of its column."""

    def generate(_context, builder, sig, args):
        base = builder.add(args[0], args[1])
        parts = [
            splat(builder, load_at(builder, builder.add(base, builder.mul(args[2], I64(c))), F32), LANES)
            for c in range(columns.count)
        ]
        return join(builder, parts)

    return f32(LANES * columns.count)(types.int64, types.int64, types.int64, columns), generate


@intrinsic
def load_columns(_ctx, address, at, stride, columns):
    """16 floats per column, from address + at + column * stride (bytes)."""

    def generate(_context, builder, sig, args):
        base = builder.add(args[0], args[1])
        vector = ir.VectorType(F32, LANES)
        return join(
            builder,
            [load_at(builder, builder.add(base, builder.mul(args[2], I64(c))), vector) for c in range(columns.count)],
        )

    return f32(LANES * columns.count)(types.int64, types.int64, types.int64, columns), generate


@intrinsic
def load_i8_columns(_ctx, address, at, stride, columns):
    """16 bytes per column, from address + at + column * stride (bytes), as floats."""

    def generate(_context, builder, sig, args):
        base = builder.add(args[0], args[1])
        vector = ir.VectorType(I8, LANES)
        parts = [
            load_at(builder, builder.add(base, builder.mul(args[2], I64(c))), vector) for c in range(columns.count)
        ]
        return _signed_to_float(builder, join(builder, parts))

    return f32(LANES * columns.count)(types.int64, types.int64, types.int64, columns), generate


@intrinsic
def store_columns(_ctx, address, at, stride, value):
    """Store each column's 16 floats to address + at + column * stride (bytes)."""

    def generate(_context, builder, sig, args):
        base = builder.add(args[0], args[1])
        for c in range(sig.args[3].lanes // LANES):
            store_at(builder, builder.add(base, builder.mul(args[2], I64(c))), part(builder, args[3], c * LANES, LANES))
        return cgutils.get_null_value(ir.IntType(8).as_pointer())

    return types.void(types.int64, types.int64, types.int64, value), generate


@intrinsic
def store_f16(_ctx, address, at, value):
    """Store a float vector as halves (round to nearest even)."""

    def generate(_context, builder, _sig, args):
        store_at(builder, builder.add(args[0], args[1]), to_halves(builder, args[2]))
        return cgutils.get_null_value(ir.IntType(8).as_pointer())

    return types.void(types.int64, types.int64, value), generate


def _scatterer(narrow):
    @intrinsic
    def scatter(_ctx, address, at, stride, value):
        def generate(_context, builder, _sig, args):
            base = builder.add(args[0], args[1])
            lanes = narrow(builder, args[3])
            for i in range(lanes.type.count):
                place = builder.add(base, builder.mul(args[2], I64(i)))
                store_at(builder, place, builder.extract_element(lanes, I32(i)))
            return cgutils.get_null_value(ir.IntType(8).as_pointer())

        return types.void(types.int64, types.int64, types.int64, value), generate

    return scatter


def _to_bytes(builder, values):
    return builder.trunc(values, ir.VectorType(I8, values.type.count))


scatter_f16 = _scatterer(to_halves)  # floats → halves, `stride` bytes apart
scatter_i8 = _scatterer(_to_bytes)  # int32 (-128…127) → bytes, `stride` bytes apart
