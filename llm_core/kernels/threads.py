"""The threads that replay programs: barriers inside a step, sleep between steps.

A program is int64 rows of ROW_WORDS: [address of the operation, 1 if a barrier follows, the operation's words…].
`ThreadPool.run` lets every thread call each operation in turn with its thread number; no Python runs and no lock is
taken between the first operation and the last. Whoever waits spins for a moment and then sleeps in the kernel (Linux
futex). Between steps after SPIN_NS, so that an idle engine uses no CPU. At a barrier after a patience that each thread
learns: it halves when the others came late even so, and grows when they came in time or soon after (or else threads
that wait for one another's waking up would go on to sleep at every barrier). So threads that have a core each hardly
ever sleep, and where there are fewer free cores than threads, those that wait make room at once for those that work.
"""

import contextlib
import ctypes
import os
import threading

import numpy as np
from llvmlite import ir

from llm_core.errors import LLMCoreError, ModelError, RequestError
from llm_core.kernels import cpu
from llm_core.kernels.deferred import intrinsic, types
from llm_core.kernels.jit import Op, inline, op
from llm_core.kernels.simd import get_i64, put_i64
from llm_core.kernels.vectors import I64, call

ROW_WORDS = 24
ROW_BYTES = ROW_WORDS * 8
SPIN_NS = 800_000
MIN_PATIENCE_NS, MAX_PATIENCE_NS = 2_000, 60_000
LATE_NS = 200_000  # a thread that waited so long waited for one that had no core, not for one that woke up
PAUSES_A_LOOK = 32  # at the clock

LINE = 64
# Shared state: one cache line per word that threads write while others read; then a line for each thread's own words.
ARRIVED, WAITING, GENERATION, SLEEPING, PROGRAM, OWN = (LINE * i for i in range(6))
N_OPS, HEADER, BASE, STOP = (PROGRAM + 8 * i for i in range(1, 5))
# Nanoseconds: how long to spin, how far that may grow, from when on a wait is late; the last generation that a helper
# has run; a timespec.
PATIENCE, MOST_PATIENCE, LATE, SEEN, CLOCK = (8 * i for i in range(5))

_FUTEX = {"x86_64": 202, "AMD64": 202, "aarch64": 98, "arm64": 98, "riscv64": 98}.get(cpu.platform.machine(), -1)
_WAIT, _WAKE, _ALL = 128, 129, 0x7FFFFFFF  # FUTEX_WAIT_PRIVATE, FUTEX_WAKE_PRIVATE, everybody
_MONOTONIC = 1

_this_cpu = getattr(ctypes.CDLL(None), "sched_getcpu", None)
_syscall = types.ExternalFunction("syscall", types.int64(*[types.int64] * 7))
_clock_gettime = types.ExternalFunction("clock_gettime", types.int32(types.int64, types.int64))


def _atomic(operation):
    @intrinsic
    def atomic(_ctx, address, at, value):
        def generate(_context, builder, _sig, args):
            pointer = builder.inttoptr(builder.add(args[0], args[1]), I64.as_pointer())
            return builder.atomic_rmw(operation, pointer, args[2], "seq_cst")

        return types.int64(types.int64, types.int64, types.int64), generate

    return atomic


atomic_add = _atomic("add")


@intrinsic
def atomic_load(_ctx, address, at):
    """The 64-bit word at address + at. Sequentially consistent: who announces and then looks for sleepers, and who
    says that it sleeps and then looks for news, cannot both miss each other.
    """

    def generate(_context, builder, _sig, args):
        pointer = builder.inttoptr(builder.add(args[0], args[1]), I64.as_pointer())
        return builder.load_atomic(pointer, "seq_cst", 8)

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
def sleep_while(state, at, seen, sleepers):
    """Sleep until somebody calls `wake_all` on the word at `at`, unless it is not `seen` any more; may return early.
    `sleepers`: the word that counts who does.
    """
    atomic_add(state, sleepers, 1)
    if atomic_load(state, at) == seen:
        _syscall(_FUTEX, state + at, _WAIT, seen, 0, 0, 0)
    atomic_add(state, sleepers, -1)


@inline
def wake_all(state, at, sleepers):
    """Wake whoever sleeps on the word at `at`, after it was changed."""
    if atomic_load(state, sleepers) != 0:
        _syscall(_FUTEX, state + at, _WAKE, _ALL, 0, 0, 0)


@inline
def now(own):
    """Nanoseconds of the monotonic clock."""
    _clock_gettime(_MONOTONIC, own + CLOCK)
    return get_i64(own, CLOCK) * 1_000_000_000 + get_i64(own, CLOCK + 8)


@inline
def wait_all(state, own, target):
    """Arrive, and wait until `target` arrivals were counted."""
    if atomic_add(state, ARRIVED, 1) + 1 == target:
        wake_all(state, ARRIVED, WAITING)
        return
    spins, since, slept, patience = 0, 0, False, get_i64(own, PATIENCE)
    while True:
        arrived = atomic_load(state, ARRIVED)
        if arrived >= target:
            break
        pause()
        spins += 1
        if spins % PAUSES_A_LOOK == 0:
            time = now(own)
            if since == 0:
                since = time
            elif time - since > patience:
                slept = True
                sleep_while(state, ARRIVED, arrived, WAITING)
    if slept and now(own) - since > get_i64(own, LATE):
        put_i64(own, PATIENCE, max(MIN_PATIENCE_NS, patience // 2))
    elif patience < get_i64(own, MOST_PATIENCE):
        put_i64(own, PATIENCE, patience * 2 if slept else patience + patience // 8)


@inline
def replay(state, tid, n_threads):
    """Run every operation of the step in `state`. Its last operation has a barrier, so no thread runs ahead into the
    next step."""
    program, header, arrived = get_i64(state, PROGRAM), get_i64(state, HEADER), get_i64(state, BASE)
    own = state + OWN + tid * LINE
    for i in range(get_i64(state, N_OPS)):
        row = program + i * ROW_BYTES
        call_op(get_i64(row, 0), row, header, tid, n_threads)
        if get_i64(row, 8) != 0 and n_threads > 1:
            arrived += n_threads
            wait_all(state, own, arrived)


@op
def publish_step(state, _unused, _tid, _n_threads):
    """Tell the helpers of what the caller wrote into `state`."""
    put_i64(state, BASE, atomic_load(state, ARRIVED))
    atomic_add(state, GENERATION, 1)
    wake_all(state, GENERATION, SLEEPING)


@op
def run_step(state, _unused, tid, n_threads):
    """Thread 0's share of the step that was published."""
    replay(state, tid, n_threads)


@op
def serve_steps(state, _unused, tid, n_threads):
    """A helper's life: steps as they are published, until STOP."""
    own = state + OWN + tid * LINE
    while True:
        seen, spins, since = get_i64(own, SEEN), 0, now(own)
        while atomic_load(state, GENERATION) == seen:
            pause()
            spins += 1
            if spins % PAUSES_A_LOOK == 0 and now(own) - since > SPIN_NS:
                sleep_while(state, GENERATION, seen, SLEEPING)
        if get_i64(state, STOP) != 0:
            return
        put_i64(own, SEEN, seen + 1)
        replay(state, tid, n_threads)


OPS = (publish_step, run_step, serve_steps)  # what a pool calls besides the program's operations

_ENTRY = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 4)


def entry(op: Op):
    """`op` as a Python function of four integers that releases the GIL."""
    return _ENTRY(op.address)


def check(n_threads: int, pin: bool) -> None:
    """Raise RequestError when there are fewer CPUs than threads to pin, ModelError where several threads cannot run."""
    n_cpus = len(cpu.usable_cpus())
    if pin and n_threads > n_cpus:
        raise RequestError(f"pin: {n_threads} threads cannot be pinned to the {n_cpus} CPUs of this process")
    if n_threads > 1 and (_FUTEX < 0 or cpu.platform.system() != "Linux"):
        system = f"{cpu.platform.system()} on {cpu.platform.machine()}"
        raise ModelError(f"n_threads = {n_threads}: threads need Linux on x86-64, AArch64 or RISC-V, not {system}")


class ThreadPool:
    """`n_threads` threads, the caller's own included, that run one program at a time.

    pin: every helper stays on a CPU of its own, and so does a thread that calls `pin_caller`. `run` must not be called
    from two threads at once. Raises what `check` raises; `run` raises LLMCoreError after a fork: threads do not survive
    it.
    """

    def __init__(self, n_threads: int, pin: bool = False):
        check(n_threads, pin)
        self.n_threads = n_threads
        self._cpus = cpu.cpus_by_core()[:n_threads] if pin else None
        self._pid = os.getpid()
        # The state words must not share cache lines with anything else.
        self._memory = np.zeros((OWN + LINE * (n_threads + 1)) // 8, np.int64)
        self._state = (self._memory.ctypes.data + LINE - 1) // LINE * LINE
        self._words = self._memory[(self._state - self._memory.ctypes.data) // 8 :]
        patience = MAX_PATIENCE_NS if n_threads <= cpu.default_threads() else MIN_PATIENCE_NS
        for tid in range(n_threads):
            self._words[(OWN + LINE * tid) // 8 :][:3] = patience, patience, LATE_NS
        self._publish, self._run, serve = entry(publish_step), entry(run_step), entry(serve_steps)
        self._helpers = [
            threading.Thread(target=self._help, args=(serve, tid), name=f"llm_core-{tid}", daemon=True)
            for tid in range(1, n_threads)
        ]
        for helper in self._helpers:
            helper.start()

    def _help(self, serve, tid):
        if self._cpus:
            os.sched_setaffinity(0, {self._cpus[tid]})
        serve(self._state, 0, tid, self.n_threads)

    def pin_caller(self) -> None:
        """Keep the calling thread, and those it starts from now on, on the first CPU if this pool pins: for a thread
        that does little but call `run`."""
        if self._cpus:
            os.sched_setaffinity(0, {self._cpus[0]})

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
        if self._helpers:
            if self._cpus is None and words[SLEEPING // 8]:
                self._wake_apart()
            else:
                self._publish(self._state, 0, 0, self.n_threads)
        self._run(self._state, 0, 0, self.n_threads)

    def _wake_apart(self) -> None:
        """Publish the step to helpers that sleep. Linux likes to wake a thread where it ran last; where that is the
        caller's CPU, both share it for some 40 ms, three times as long as a short prompt takes. So each is made to wake
        elsewhere, and may go where it likes again once it has."""
        sleepers = [helper.native_id for helper in self._helpers]
        allowed = os.sched_getaffinity(sleepers[0])
        others = sorted(allowed - {_this_cpu()})
        with contextlib.suppress(OSError):  # of CPUs that were taken away in between
            for at, sleeper in enumerate(sleepers if others else ()):
                os.sched_setaffinity(sleeper, {others[at]} if len(others) == len(sleepers) else others)
        self._publish(self._state, 0, 0, self.n_threads)
        with contextlib.suppress(OSError):
            for sleeper in sleepers if others else ():
                os.sched_setaffinity(sleeper, allowed)

    def close(self) -> None:
        """End the helper threads."""
        if self._helpers and os.getpid() == self._pid:
            self._words[STOP // 8] = 1
            self._publish(self._state, 0, 0, self.n_threads)
            for helper in self._helpers:
                helper.join()
        self._helpers = []
