"""The thread pool: every operation once and in order on any number of threads, sleep, wake-up, pinning, forks. What
takes how long is not looked at; what a thread has learned from waiting is.
"""

import os
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from naive import rms_norm

from llm_core import Engine
from llm_core.errors import LLMCoreError, ModelError, RequestError
from llm_core.kernels import cpu, norm, step, threads
from llm_core.kernels.jit import op
from llm_core.kernels.threads import ROW_WORDS, ThreadPool, entry

WIDTH = 256


class Chain:
    """A program in which every operation needs the one before: one buffer is the other's norm plus the other."""

    def __init__(self, length=20):
        self.x, self._ones = np.zeros((2, WIDTH), np.float32), np.ones(WIDTH, np.float32)
        self.program = np.zeros((length, ROW_WORDS), np.int64)
        for i, row in enumerate(self.program):
            source, target = self.x[i % 2], self.x[1 - i % 2]
            words = {
                norm.X: source.ctypes.data,
                norm.X_STRIDE: 4 * WIDTH,
                norm.OUT: target.ctypes.data,
                norm.OUT_STRIDE: 4 * WIDTH,
                norm.WEIGHT: self._ones.ctypes.data,
                norm.WIDTH: WIDTH,
                norm.RESIDUAL: source.ctypes.data,
                norm.ROW_COUNT: step.ROWS,
            }
            row[0], row[1] = norm.rms_norm.address, 1
            for at, value in words.items():
                row[at // 8] = value
        self.header = np.zeros(step.N_WORDS, np.int64)
        self.header[step.ROWS // 8] = 1
        self.start = np.linspace(1, 2, WIDTH).astype(np.float32)
        self.expected = self.start.astype(np.float64)
        for _ in range(length):
            self.expected = self.expected + rms_norm(self.expected, self._ones, 0)

    def check(self, pool):
        self.x[0] = self.start
        pool.run(self.program, self.header)
        assert np.allclose(self.x[0], self.expected, rtol=1e-4)


@pytest.fixture
def make_pool():
    pools = []

    def make(*arguments, **options):
        pools.append(ThreadPool(*arguments, **options))
        return pools[-1]

    yield make
    for pool in pools:
        pool.close()


def soon(condition):
    """Wait until it holds."""
    for _ in range(10_000):
        if condition():
            return
        threading.Event().wait(0.001)
    raise AssertionError("it never came")


@pytest.mark.parametrize("n_threads", [1, 2, 5, 9])
def test_threads_run_every_operation_once_and_in_order(n_threads, make_pool):
    """Many times, also after the helpers fell asleep, and with more threads than CPUs."""
    pool, chain = make_pool(n_threads), Chain()
    for repeat in range(45):
        chain.check(pool)
        if repeat % 15 == 14:
            soon(lambda: pool._words[threads.SLEEPING // 8] == n_threads - 1)
    helpers = pool._helpers
    pool.close()
    assert not any(helper.is_alive() for helper in helpers)


def test_a_sleeping_helper_uses_no_cpu(make_pool):
    pool = make_pool(2)
    Chain().check(pool)
    soon(lambda: pool._words[threads.SLEEPING // 8] == 1)
    task = Path(f"/proc/self/task/{pool._helpers[0].native_id}")

    def used():
        return int((task / "schedstat").read_text().split()[0])

    soon(lambda: (task / "stat").read_text().rpartition(")")[2].split()[0] == "S")
    before = used()
    threading.Event().wait(0.05)
    assert used() == before


@op
def arrive(state, own, _tid, n_threads):
    """One barrier."""
    threads.wait_all(state, own, n_threads)


class Barrier:
    """The state of one barrier, without a pool."""

    def __init__(self, patience, arrived=0, late=threads.LATE_NS):
        self.words = np.zeros(threads.OWN // 8 + 64, np.int64)
        self.words[threads.ARRIVED // 8] = arrived
        self.own = np.array([[patience, threads.MAX_PATIENCE_NS, late, 0, 0, 0]] * 2, np.int64)
        self._arrive = entry(arrive)

    def wait(self, who, target):
        self._arrive(self.words.ctypes.data, self.own[who].ctypes.data, who, target)


def test_patience_grows_when_the_others_came_in_time():
    barrier = Barrier(patience=8000, arrived=1)  # the other one has arrived, and has gone on to the next
    barrier.words[threads.ARRIVED // 8] = 2
    barrier.wait(0, 2)
    assert barrier.own[0, 0] == 9000
    barrier.own[0, 0] = threads.MAX_PATIENCE_NS
    barrier.wait(0, 2)
    assert barrier.own[0, 0] == threads.MAX_PATIENCE_NS


LONG = 1 << 60


@pytest.mark.parametrize(
    "patience, late, left",
    [
        (threads.MAX_PATIENCE_NS, 0, threads.MAX_PATIENCE_NS // 2),
        (2001, 0, threads.MIN_PATIENCE_NS),
        (5000, LONG, 10_000),  # the other one only had to wake up: to sleep was wrong
        (threads.MAX_PATIENCE_NS, LONG, threads.MAX_PATIENCE_NS),
    ],
)
def test_who_waits_too_long_sleeps_is_woken_and_learns(patience, late, left):
    barrier = Barrier(patience, late=late)
    waiter = threading.Thread(target=barrier.wait, args=(0, 2))
    waiter.start()
    soon(lambda: barrier.words[threads.WAITING // 8] == 1)
    barrier.wait(1, 2)
    waiter.join(10)
    assert not waiter.is_alive() and barrier.words[threads.WAITING // 8] == 0
    assert barrier.own[:, 0].tolist() == [left, patience]


def test_pinned_threads_have_a_cpu_each(make_pool):
    cpus = cpu.cpus_by_core()
    before = os.sched_getaffinity(0)
    pool = make_pool(len(cpus), pin=True)
    Chain().check(pool)
    assert [os.sched_getaffinity(helper.native_id) for helper in pool._helpers] == [{number} for number in cpus[1:]]
    assert os.sched_getaffinity(0) == before, "nobody asked to pin this thread"
    seen = []

    def owner():
        pool.pin_caller()
        Chain().check(pool)
        seen.append(os.sched_getaffinity(0))

    thread = threading.Thread(target=owner)
    thread.start()
    thread.join()
    assert seen == [{cpus[0]}] and os.sched_getaffinity(0) == before


def test_without_pinning_nothing_is_pinned(make_pool):
    pool, before = make_pool(2), os.sched_getaffinity(0)
    pool.pin_caller()
    Chain().check(pool)
    assert os.sched_getaffinity(0) == before == os.sched_getaffinity(pool._helpers[0].native_id)


@pytest.mark.parametrize("n_cpus, n_threads, expected", [(2, 2, [{1}]), (4, 4, [{1}, {2}, {3}]), (4, 2, [{1, 2, 3}]),
                                                         (2, 3, [{1}, {1}]), (1, 2, [])])  # fmt: skip
def test_helpers_wake_beside_the_caller_and_not_under_it(n_cpus, n_threads, expected, make_pool, monkeypatch):
    """One CPU each where there are as many, else any but the caller's; then where they like, and only after a sleep."""
    pool, told, cpus = make_pool(n_threads), [], set(range(n_cpus))
    soon(lambda: pool._words[threads.SLEEPING // 8] == n_threads - 1)
    monkeypatch.setattr(threads, "_this_cpu", lambda: 0)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _thread: cpus)
    monkeypatch.setattr(os, "sched_setaffinity", lambda thread, allowed: told.append((thread, set(allowed))))
    Chain().check(pool)
    sleepers = [helper.native_id for helper in pool._helpers]
    apart = list(zip(sleepers, expected, strict=bool(expected)))
    assert told == apart + [(sleeper, cpus) for sleeper, _ in apart]


def test_a_cpu_that_is_taken_away_hurts_nobody(make_pool, monkeypatch):
    def refuse(_thread, _allowed):
        raise OSError(22, "no such CPU")

    pool = make_pool(2)
    soon(lambda: pool._words[threads.SLEEPING // 8] == 1)
    monkeypatch.setattr(os, "sched_setaffinity", refuse)
    Chain().check(pool)


def test_more_pinned_threads_than_cpus_are_refused():
    n = len(cpu.cpus_by_core())
    with pytest.raises(RequestError, match=rf"pin: {n + 1} threads cannot be pinned to the {n} CPUs"):
        ThreadPool(n + 1, pin=True)
    with pytest.raises(RequestError, match="pin is 'yes'"):
        Engine("any.gguf", pin="yes")


@pytest.mark.parametrize(
    "siblings, order",
    [
        ({0: "0-1", 1: "0-1", 2: "2-3", 3: "2-3"}, [0, 2, 1, 3]),
        ({0: "0,4", 1: "1,5", 4: "0,4", 5: "1,5"}, [0, 1, 4, 5]),
        ({1: "1", 7: None}, [1, 7]),
    ],
)
def test_cores_come_before_their_second_threads(siblings, order, tmp_path, monkeypatch):
    for number, text in siblings.items():
        topology = tmp_path / f"cpu{number}" / "topology"
        topology.mkdir(parents=True)
        if text is not None:
            (topology / "thread_siblings_list").write_text(text + "\n")
    monkeypatch.setattr(cpu, "_CPUS", tmp_path)
    monkeypatch.setattr(cpu, "usable_cpus", lambda: sorted(siblings))
    assert cpu.cpus_by_core() == order


def test_threads_need_a_futex(monkeypatch):
    monkeypatch.setattr(threads, "_FUTEX", -1)
    with pytest.raises(ModelError, match="n_threads = 2: threads need Linux"):
        ThreadPool(2)
    pool, chain = ThreadPool(1), Chain()
    chain.check(pool)


def test_a_pool_does_not_survive_a_fork_and_says_so(make_pool):
    pool, chain = make_pool(2), Chain()
    chain.check(pool)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python's own: this process has threads
        child = os.fork()
    if child == 0:
        code = 1
        try:
            pool.run(chain.program, chain.header)
        except LLMCoreError as error:
            code = 7 if "before a fork" in str(error) else 2
            pool.close()
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    chain.check(pool)
