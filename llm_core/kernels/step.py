"""The header of a step: what every operation may read about the rows in flight (int64 words; offsets in bytes).

ROWS, OUTPUTS: how many rows this step has, and how many of them want logits; OUTPUT_PAIRS: twice that. N_SEQUENCES;
STARTS: int32 first row of each sequence, and the end; TOKENS, POSITIONS, SEQUENCES: int32 per row. TABLES: int32 block
ids, TABLE_STRIDE bytes per sequence. OUTPUT_ROWS: int32 row numbers of the wanted logits. CHOSEN: int32 [n, panel…],
the panels of 16 vocabulary rows that the output layer computes; 0: all of them. SEES: int32 [2, rows], first and last
position of the group that each row sees as a whole (its own position: none); 0: no row has one. PLACES: int32 [3,
rows], the positions by which sections of a row's pairs turn; 0: all turn by the row's position. N_BROUGHT: how many
rows bring embeddings of their own (tokens -1 …). TURN: how many steps there were before, for operations whose threads
draw tickets (`kernels/tickets.py`). ADAPTERS: float32 [adapters, rows], how much of each adapter of the step's program
a row takes (`kernels/lora.py`); programs without adapters do not look.

`check_step` fills SEQUENCES and END (positions in use), and FAULT and VALUE when the step names what does not exist.
"""

import numpy as np

from llm_core.kernels.jit import inline, op
from llm_core.kernels.simd import get_i32, get_i64, put_i32, put_i64

(
    ROWS,
    OUTPUTS,
    OUTPUT_PAIRS,
    N_SEQUENCES,
    STARTS,
    TOKENS,
    POSITIONS,
    SEQUENCES,
    TABLES,
    TABLE_STRIDE,
    OUTPUT_ROWS,
    CHOSEN,
    N_BROUGHT,
    END,
    FAULT,
    VALUE,
    SEES,
    TURN,
    PLACES,
    ADAPTERS,
) = (8 * i for i in range(20))
N_WORDS = 20

# Words of check_step's row: the limits.
N_VOCAB, N_CTX, N_BLOCKS, BLOCK = (8 * i for i in range(2, 6))
# What FAULT means; {value}: the header's VALUE, the rest: by those names in the runner.
FAULTS = (
    "",
    "token {value} is not in the vocabulary of {n_vocab}, nor one of {n_brought} embeddings",
    "position {value} is outside the context of {n_ctx}",
    "starts do not divide {rows} rows (at {value})",
    "positions inside a sequence must be consecutive (not so at row {value})",
    "a sequence has {value} blocks, more than its table",
    "KV block {value} does not exist (there are {n_blocks})",
    "output row {value} does not exist (there are {rows})",
)
_NO_TOKEN, _NO_POSITION, _NO_DIVISION, _NOT_CONSECUTIVE, _NO_ENTRY, _NO_BLOCK, _NO_ROW = range(1, len(FAULTS))


@inline
def report(ctx, fault, value):
    """Note the step's fault."""
    put_i64(ctx, FAULT, fault)
    put_i64(ctx, VALUE, value)


@op
def check_step(op, ctx, _tid, _n_threads):
    """Does all exist that the step names? Only then are its addresses safe to follow."""
    rows, n_sequences, stride = get_i64(ctx, ROWS), get_i64(ctx, N_SEQUENCES), get_i64(ctx, TABLE_STRIDE)
    tokens, positions, starts = get_i64(ctx, TOKENS), get_i64(ctx, POSITIONS), get_i64(ctx, STARTS)
    put_i64(ctx, FAULT, 0)
    end = 0
    for row in range(rows):
        token, position = get_i32(tokens, row * 4), get_i32(positions, row * 4)
        if token < -get_i64(ctx, N_BROUGHT) or token >= get_i64(op, N_VOCAB):
            report(ctx, _NO_TOKEN, token)
            return
        if position < 0 or position >= get_i64(op, N_CTX):
            report(ctx, _NO_POSITION, position)
            return
        end = max(end, position + 1)
    put_i64(ctx, END, end)
    first = get_i32(starts, 0)
    if first != 0 or get_i32(starts, n_sequences * 4) != rows:
        report(ctx, _NO_DIVISION, first if first != 0 else get_i32(starts, n_sequences * 4))
        return
    for sequence in range(n_sequences):
        last = get_i32(starts, sequence * 4 + 4)
        if last <= first or last > rows:
            report(ctx, _NO_DIVISION, last)
            return
        for row in range(first, last):
            put_i32(get_i64(ctx, SEQUENCES), row * 4, sequence)
            if get_i32(positions, row * 4) != get_i32(positions, first * 4) + row - first:
                report(ctx, _NOT_CONSECUTIVE, row)
                return
        blocks = get_i32(positions, last * 4 - 4) // get_i64(op, BLOCK) + 1
        if blocks * 4 > stride:
            report(ctx, _NO_ENTRY, blocks)
            return
        table = get_i64(ctx, TABLES) + sequence * stride
        for i in range(blocks):
            block = get_i32(table, i * 4)
            if block < 0 or block >= get_i64(op, N_BLOCKS):
                report(ctx, _NO_BLOCK, block)
                return
        first = last
    for i in range(get_i64(ctx, OUTPUTS)):
        row = get_i32(get_i64(ctx, OUTPUT_ROWS), i * 4)
        if row < 0 or row >= rows:
            report(ctx, _NO_ROW, row)
            return


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
