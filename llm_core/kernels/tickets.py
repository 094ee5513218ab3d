"""Work that threads take piece by piece, as they come to it: a thread that is held up leaves its share to the others.

A counter in the operation's row is never set back: in every step each thread draws until there is nothing left, so a
step draws n_items + n_threads tickets, and the number of steps so far (`step.TURN`) says where this one's begin.
"""

from llm_core.kernels.jit import inline
from llm_core.kernels.simd import get_i64
from llm_core.kernels.step import TURN
from llm_core.kernels.threads import atomic_add


@inline
def draw(op, counter, ctx, n_items, n_threads):
    """The next piece of work 0…n_items - 1 for this thread; n_items or more: there is none. `counter`: the word of the
    row that counts."""
    return atomic_add(op, counter, 1) - get_i64(ctx, TURN) * (n_items + n_threads)
