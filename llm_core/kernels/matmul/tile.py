"""The float product that fills the registers: a strip of 16-lane panels times a tile of rows, over a chunk of k.

`tile(w, n, x, out, stride)` adds, for COLUMNS rows of x, the products of n values with `panels` panels of weights to
OUT: w holds for each k the panels' 16 floats side by side, x rows of X_BYTES, out rows of `stride` bytes. `fresh` ones
start from zero. Each output is one chain of fused multiply-adds in the order of k, as in `floats.py`: which of the two
computes it cannot be seen in the result.
"""

from llvmlite import ir

from llm_core.kernels import cpu
from llm_core.kernels.deferred import intrinsic, types
from llm_core.kernels.jit import inline
from llm_core.kernels.simd import load_f32, store
from llm_core.kernels.vectors import F32, I64, LANES, call, const, load_at, splat, store_at

# Panels and rows of a tile, by the registers that the machine has: accumulators, weights and one broadcast value.
PANELS, COLUMNS = {8: (2, 12), 4: (1, 6), 2: (1, 3)}[cpu.isa().max_columns]
STRIP = PANELS * LANES * 4  # bytes of a strip's values at one k
CHUNK = 128  # values of k: a strip of weights and a tile of rows fit the first-level cache together
X_BYTES = CHUNK * 4 + 64  # an odd number of cache lines, so that the rows of a tile do not meet in the same sets

_FLOATS = ir.VectorType(F32, LANES)


def _tile(panels: int, fresh: bool):
    @intrinsic
    def tile(_ctx, w, n, x, out, stride):
        def generate(context, builder, _sig, args):
            w, n, x, out, stride = args
            places = [
                [builder.add(builder.add(out, builder.mul(stride, I64(c))), I64(p * 64)) for c in range(COLUMNS)]
                for p in range(panels)
            ]
            zero = const(_FLOATS, 0.0)
            first = [[zero if fresh else load_at(builder, a, _FLOATS) for a in row] for row in places]
            before = builder.block
            loop, after = builder.append_basic_block("tile"), builder.append_basic_block("tile.end")
            builder.branch(loop)
            builder.position_at_end(loop)
            i = builder.phi(I64)
            i.add_incoming(I64(0), before)
            sums = [[builder.phi(_FLOATS) for _ in row] for row in places]
            at = builder.add(w, builder.mul(i, I64(panels * LANES * 4)))
            weights = [load_at(builder, builder.add(at, I64(p * LANES * 4)), _FLOATS) for p in range(panels)]
            row = builder.add(x, builder.shl(i, I64(2)))
            done = [[] for _ in range(panels)]
            for c in range(COLUMNS):
                value = splat(builder, load_at(builder, builder.add(row, I64(c * X_BYTES)), F32), LANES)
                for p in range(panels):
                    done[p].append(call(builder, f"llvm.fma.v{LANES}f32", _FLOATS, weights[p], value, sums[p][c]))
            following = builder.add(i, I64(1))
            i.add_incoming(following, loop)
            for p in range(panels):
                for c in range(COLUMNS):
                    sums[p][c].add_incoming(first[p][c], before)
                    sums[p][c].add_incoming(done[p][c], loop)
            builder.cbranch(builder.icmp_signed("<", following, n), loop, after)
            builder.position_at_end(after)
            for p in range(panels):
                for c in range(COLUMNS):
                    store_at(builder, places[p][c], done[p][c])
            return context.get_dummy_value()

        return types.void(*[types.int64] * 5), generate

    return tile


_strip_fresh, _strip_more = _tile(PANELS, True), _tile(PANELS, False)
_panel_fresh, _panel_more = _tile(1, True), _tile(1, False)


@inline
def multiply(wide, fresh, w, n, x, out, stride):
    """`tile` of a strip (`wide`) or of one panel, n >= 1; `fresh`: OUT is overwritten."""
    if wide:
        if fresh:
            _strip_fresh(w, n, x, out, stride)
        else:
            _strip_more(w, n, x, out, stride)
    elif fresh:
        _panel_fresh(w, n, x, out, stride)
    else:
        _panel_more(w, n, x, out, stride)


@inline
def copy_rows(source, source_stride, target, target_stride, count, n_bytes):
    """Copy `count` rows of n_bytes, rounded up to 64."""
    for c in range(count):
        for at in range(0, n_bytes, 64):
            store(target, c * target_stride + at, load_f32(source, c * source_stride + at))
