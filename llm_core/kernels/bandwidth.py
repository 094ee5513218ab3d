"""How fast this machine reads memory with these threads: the floor of decoding, measured in the same run as the
model."""

import time

import numpy as np

from llm_core.kernels.jit import op, share
from llm_core.kernels.simd import get_i64, load_u8x64, prefetch, store
from llm_core.kernels.threads import ROW_WORDS, ThreadPool

# Words of the operation's row.
SOURCE, N_BYTES, OUT = (8 * i for i in range(2, 5))
AHEAD = 4096


@op
def read_memory(op, ctx, tid, n_threads):
    """Read this thread's share of a buffer, with software prefetch; the xor of all lines is stored so that nothing is
    left out."""
    source = get_i64(op, SOURCE)
    first, last = share(get_i64(op, N_BYTES) >> 8, tid, n_threads)
    a, b = load_u8x64(source, 0), load_u8x64(source, 64)
    for i in range(first, last):
        at = i * 256
        prefetch(source, at + AHEAD)
        prefetch(source, at + AHEAD + 64)
        prefetch(source, at + AHEAD + 128)
        prefetch(source, at + AHEAD + 192)
        a = (a + load_u8x64(source, at)) + load_u8x64(source, at + 64)
        b = (b + load_u8x64(source, at + 128)) + load_u8x64(source, at + 192)
    store(get_i64(op, OUT) + tid * 64, 0, a + b)


def read_bandwidth(n_bytes: int, pool: ThreadPool, repeats: int = 5) -> float:
    """Bytes per second at which `pool` reads a buffer of n_bytes: the best of `repeats`."""
    buffer, out = np.ones(n_bytes, np.uint8), np.zeros(64 * (pool.n_threads + 1), np.uint8)
    program = np.zeros((1, ROW_WORDS), np.int64)
    program[0, :5] = read_memory.address, 1, buffer.ctypes.data, n_bytes, out.ctypes.data
    header, best = np.zeros(16, np.int64), float("inf")
    for _ in range(repeats):
        started = time.perf_counter()
        pool.run(program, header)
        best = min(best, time.perf_counter() - started)
    return n_bytes / best
