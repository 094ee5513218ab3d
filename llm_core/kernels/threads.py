"""The threads that replay programs: spin barriers inside a step, sleep between steps.

A program is int64 rows of ROW_WORDS: [address of the operation, 1 if a barrier follows, the operation's words…].
`ThreadPool.run` lets every thread call each operation in turn with its thread number; no Python runs and no lock is
taken between the first operation and the last. Helpers wait for the next step by spinning for about SPIN_SECONDS and
then sleep on a lock, so that an idle engine uses no CPU.
"""

import ctypes
import os
import threading
import time

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from llm_core.errors import LLMCoreError
from llm_core.kernels import cpu
from llm_core.kernels.jit import Op, inline, op
from llm_core.kernels.simd import get_i64, put_i64
from llm_core.kernels.vectors import I64, call

ROW_WORDS = 24
ROW_BYTES = ROW_WORDS * 8
SPIN_SECONDS = 0.0008
SPINS_BEFORE_YIELD = 4000

LINE = 64
# Shared state: one cache line per word that threads write while others read; ASLEEP takes a line per thread.
ARRIVED, GENERATION, PROGRAM, ASLEEP = (LINE * i for i in range(4))
N_OPS, HEADER, BASE, STOP = (PROGRAM + 8 * i for i in range(1, 5))

_sched_yield = types.ExternalFunction("sched_yield", types.int32())


def _atomic(operation):
    @intrinsic
    def atomic(_ctx, address, at, value):
        def generate(_context, builder, _sig, args):
            pointer = builder.inttoptr(builder.add(args[0], args[1]), I64.as_pointer())
            return builder.atomic_rmw(operation, pointer, args[2], "seq_cst")

        return types.int64(types.int64, types.int64, types.int64), generate

    return atomic


atomic_add, atomic_swap = _atomic("add"), _atomic("xchg")


@intrinsic
def atomic_load(_ctx, address, at):
    """The 64-bit word at address + at, with acquire ordering."""

    def generate(_context, builder, _sig, args):
        pointer = builder.inttoptr(builder.add(args[0], args[1]), I64.as_pointer())
        return builder.load_atomic(pointer, "acquire", 8)

    return types.int64(types.int64, types.int64), generate


@intrinsic
def pause(_ctx):
    """Tell the core that this is a spin loop."""

    def generate(context, builder, _sig, _args):
        if cpu.platform.machine() in ("x86_64", "AMD64"):
            call(builder, "llvm.x86.sse2.pause", ir.VoidType())
        elif cpu.platform.machine() in ("aarch64", "arm64"):
            call(builder, "llvm.aarch64.hint", ir.VoidType(), ir.IntType(32)(1))
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def call_op(_ctx, address, op, ctx, tid, n_threads):
    """Call the operation at `address`."""

    def generate(context, builder, _sig, args):
        function = ir.FunctionType(ir.VoidType(), [I64] * 4)
        builder.call(builder.inttoptr(args[0], function.as_pointer()), args[1:])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5), generate


@inline
def wait_all(state, target):
    """Arrive, and wait until `target` arrivals were counted; gives the core away when others need it."""
    if atomic_add(state, ARRIVED, 1) + 1 < target:
        spins = 0
        while atomic_load(state, ARRIVED) < target:
            pause()
            spins += 1
            if spins > SPINS_BEFORE_YIELD:
                _sched_yield()


@inline
def replay(state, tid, n_threads):
    """Run every operation of the step in `state`. Its last operation has a barrier, so no thread runs ahead into the
    next step."""
    program, header, arrived = get_i64(state, PROGRAM), get_i64(state, HEADER), get_i64(state, BASE)
    for i in range(get_i64(state, N_OPS)):
        row = program + i * ROW_BYTES
        call_op(get_i64(row, 0), row, header, tid, n_threads)
        if get_i64(row, 8) != 0 and n_threads > 1:
            arrived += n_threads
            wait_all(state, arrived)


@op
def publish_step(state, sleepers, _tid, n_threads):
    """Announce the step that the caller wrote into `state`; sets the bit of every helper that sleeps in the word at
    `sleepers`."""
    put_i64(state, BASE, atomic_load(state, ARRIVED))
    atomic_add(state, GENERATION, 1)
    found = 0
    for tid in range(1, n_threads):
        if atomic_swap(state, ASLEEP + tid * LINE, 0) == 1:
            found |= 1 << tid
    put_i64(sleepers, 0, found)


@op
def run_step(state, _unused, tid, n_threads):
    """Thread 0's share of the step."""
    replay(state, tid, n_threads)


@op
def serve_steps(state, own, tid, n_threads):
    """A helper's life until it should sleep. `own`: [generation it has run, spins before it sleeps]."""
    seen, limit = get_i64(own, 0), get_i64(own, 8)
    spins = 0
    while True:
        if atomic_load(state, GENERATION) != seen:
            seen += 1
            put_i64(own, 0, seen)
            if get_i64(state, STOP) != 0:
                return
            replay(state, tid, n_threads)
            spins = 0
            continue
        pause()
        spins += 1
        if spins > SPINS_BEFORE_YIELD and spins & 255 == 0:
            _sched_yield()
        if spins > limit:
            atomic_swap(state, ASLEEP + tid * LINE, 1)
            # A step announced just now: either we take the flag back and run it, or its announcer has seen it and
            # will wake us.
            if atomic_load(state, GENERATION) == seen or atomic_swap(state, ASLEEP + tid * LINE, 0) == 0:
                return
            spins = 0


@op
def spin(count, _a, _b, _c):
    """`count` pauses: to learn how long one takes."""
    for _ in range(count):
        pause()


OPS = (publish_step, run_step, serve_steps, spin)  # what a pool calls besides the program's operations

_ENTRY = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 4)


def entry(op: Op):
    """`op` as a Python function of four integers that releases the GIL."""
    return _ENTRY(op.address)


class ThreadPool:
    """`n_threads` threads, the caller's own included, that run one program at a time.

    `run` must not be called from two threads at once. Raises LLMCoreError after a fork: threads do not survive it.
    """

    def __init__(self, n_threads: int):
        self.n_threads = n_threads
        self._pid = os.getpid()
        # The state words must not share cache lines with anything else.
        self._memory = np.zeros(LINE // 8 * (ASLEEP // LINE + n_threads + 2), np.int64)
        self._state = (self._memory.ctypes.data + LINE - 1) // LINE * LINE
        self._words = self._memory[(self._state - self._memory.ctypes.data) // 8 :]
        self._sleepers = np.zeros(1, np.int64)
        self._publish, self._run = entry(publish_step), entry(run_step)
        self._wake: list[threading.Lock] = [threading.Lock() for _ in range(n_threads)]
        self._helpers: list[threading.Thread] = []
        if n_threads > 1:
            serve, limit = entry(serve_steps), _spins_per(SPIN_SECONDS)
            for tid in range(1, n_threads):
                self._wake[tid].acquire()
                helper = threading.Thread(
                    target=self._help, args=(serve, tid, limit), name=f"llm_core-{tid}", daemon=True
                )
                helper.start()
                self._helpers.append(helper)

    def _help(self, serve, tid, limit):
        own = np.array([0, limit], np.int64)
        while True:
            serve(self._state, own.ctypes.data, tid, self.n_threads)
            if self._words[STOP // 8]:
                return
            self._wake[tid].acquire()

    def _announce(self):
        if self.n_threads == 1:
            return
        self._publish(self._state, self._sleepers.ctypes.data, 0, self.n_threads)
        sleepers = int(self._sleepers[0])
        for tid in range(1, self.n_threads):
            if sleepers >> tid & 1:
                self._wake[tid].release()

    def run(self, program: np.ndarray, header: np.ndarray) -> None:
        """Run a program (int64 [operations, ROW_WORDS], last row with a barrier) with a step header."""
        if os.getpid() != self._pid:
            raise LLMCoreError(
                "this engine was made before a fork and its threads are gone: make the engine in the child process"
            )
        words = self._words
        words[PROGRAM // 8], words[N_OPS // 8], words[HEADER // 8] = (
            program.ctypes.data,
            len(program),
            header.ctypes.data,
        )
        self._announce()
        self._run(self._state, 0, 0, self.n_threads)

    def close(self) -> None:
        """End the helper threads."""
        if self._helpers and os.getpid() == self._pid:
            self._words[STOP // 8] = 1
            self._announce()
            for helper in self._helpers:
                helper.join()
        self._helpers = []


def _spins_per(seconds: float) -> int:
    """How many pauses take about `seconds` on this machine."""
    spin_for, best = entry(spin), float("inf")
    for _ in range(3):
        started = time.perf_counter()
        spin_for(2000, 0, 0, 0)
        best = min(best, time.perf_counter() - started)
    return max(1000, int(2000 * seconds / best))
