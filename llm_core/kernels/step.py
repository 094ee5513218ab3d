"""The header of a step: what every operation may read about the rows in flight (int64 words; offsets in bytes).

ROWS, OUTPUTS: how many rows this step has, and how many of them want logits; OUTPUT_PAIRS: twice that. N_SEQUENCES;
STARTS: int32 first row of each sequence, and the end; POSITIONS, SEQUENCES: int32 per row. TABLES: int32 block ids,
TABLE_STRIDE bytes per sequence. OUTPUT_ROWS: int32 row numbers of the wanted logits. CHOSEN: int32 [n, panel…], the
panels of 16 vocabulary rows that the output layer computes; 0: all of them. SEES: int32 [2, rows], first and last
position of the group that each row sees as a whole (its own position: none); 0: no row has one. TURN: how many steps
there were before, for operations whose threads draw tickets (`kernels/tickets.py`).
"""

import numpy as np

from llm_core.kernels.jit import inline
from llm_core.kernels.simd import get_i32, get_i64

(
    ROWS,
    OUTPUTS,
    OUTPUT_PAIRS,
    N_SEQUENCES,
    STARTS,
    POSITIONS,
    SEQUENCES,
    TABLES,
    TABLE_STRIDE,
    OUTPUT_ROWS,
    CHOSEN,
    SEES,
    TURN,
) = (8 * i for i in range(13))
N_WORDS = 16


@inline
def panel_count(chosen, all_panels):
    """How many panels there are to compute: `chosen` is the header's word CHOSEN, or 0."""
    return all_panels if chosen == 0 else get_i32(chosen, 0)


@inline
def panel_at(chosen, i):
    """The number of the i-th of them."""
    return i if chosen == 0 else get_i32(chosen, 4 + 4 * i)


@inline
def first_seen(ctx, row, window):
    """The oldest position that a row attends to, with a sliding window (0: none): that of its group at the latest."""
    if window == 0:
        return np.int64(0)
    oldest = np.int64(get_i32(get_i64(ctx, POSITIONS), row * 4)) - window + 1
    sees = get_i64(ctx, SEES)
    if sees != 0:
        oldest = min(oldest, np.int64(get_i32(sees, row * 4)))
    return max(oldest, np.int64(0))


@inline
def last_seen(ctx, row):
    """The last position that a row attends to: its own, or that of its group."""
    sees = get_i64(ctx, SEES)
    if sees == 0:
        return np.int64(get_i32(get_i64(ctx, POSITIONS), row * 4))
    return np.int64(get_i32(sees, (get_i64(ctx, ROWS) + row) * 4))
