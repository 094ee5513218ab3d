"""The weights of a program: all packed parameters in one block of memory, filled by threads of its own.

They are read from the disk's cache (`packed_file.py`), or packed from the model file and then put there. Filling
begins when the object is made, so that its maker can load kernels meanwhile; `finish` waits.

The block is anonymous memory in huge pages and the cached file is read into it, not mapped: decoding is 2 to 4 %
faster than from a mapped file, whose pages are small, and nobody who cuts the file short can end this process.
"""

import mmap
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

import numpy as np

from llm_core import quants
from llm_core.errors import LLMCoreError
from llm_core.gguf import GGUFFile
from llm_core.kernels import cpu, matmul
from llm_core.paths import sources_digest
from llm_core.program import params as packers
from llm_core.program.packed_file import packed_file
from llm_core.program.params import Param

LINE, HUGE_PAGE = 64, 2 << 20
PROGRESS_SECONDS = 0.1


class Weights:
    """`params` of the model in `file`; sets their `packed`.

    Raises MemoryError when the memory cannot be had, RequestError when the cache's size is none; `finish` raises what
    packing raised (GGUFError).
    """

    def __init__(self, params: list[Param], file: GGUFFile, n_threads: int):
        self.params = params
        starts = layout(params)
        self.memory = _huge_pages(starts[-1])
        for param, start in zip(params, starts, strict=False):
            panels, size = param.packed_shape
            param.packed = self.memory[start : start + panels * size].reshape(panels, size)
        self._file = packed_file(file, starts[-1], _layout_depends_on(params))
        self._stop = threading.Event()
        self._told = ("reading weights", 0.0)
        self._workers = ThreadPoolExecutor(n_threads, "llm_core-weights")
        leader = ThreadPoolExecutor(1, "llm_core-weights")
        self._filled: Future = leader.submit(self._fill)
        leader.shutdown(wait=False)

    def finish(self, say: Callable[[str, float], None]) -> None:
        """Wait until all weights are there, telling how far they are."""
        while not wait([self._filled], PROGRESS_SECONDS).done:
            say(*self._told)
        self._filled.result()

    def close(self) -> None:
        """Stop filling, if it is still going on, and let go of the memory."""
        self._stop.set()
        wait([self._filled])
        for param in self.params:
            param.packed = None
        self.params, self.memory = [], None

    def _fill(self) -> None:
        try:
            file = self._file
            if file is not None and file.read_into(self.memory, self._each):
                return
            pieces = [(param, panels) for param in self.params for panels in param.pieces()]
            self._each("packing weights", lambda piece: piece[0].pack(piece[1]), pieces)
            if file is not None:
                file.write(self.memory, self._each)
        finally:
            self._workers.shutdown()

    def _each(self, what: str, work: Callable, items: list) -> list:
        """[work(item) for item in items], by all threads; the first exception is raised when all have stopped."""

        def unless_stopped(item):
            if self._stop.is_set():
                raise LLMCoreError("the runner was closed while its weights were loaded")
            return work(item)

        jobs = [self._workers.submit(unless_stopped, item) for item in items]
        try:
            done = []
            for job in jobs:
                self._told = (what, len(done) / len(jobs))
                done.append(job.result())
            return done
        finally:
            for job in jobs:
                job.cancel()
            wait(jobs)


def layout(params: list[Param]) -> list[int]:
    """Where each parameter begins in the block, and the size of all: whole cache lines each."""
    starts = [0]
    for param in params:
        panels, size = param.packed_shape
        starts.append(starts[-1] + -(-panels * size // LINE) * LINE)
    return starts


def _huge_pages(size: int) -> np.ndarray:
    """uint8 [size] of zeros, on a huge page's border, in huge pages if the system has them."""
    try:
        memory = mmap.mmap(-1, size + HUGE_PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError as error:
        raise MemoryError(f"{size / 1e9:.1f} GB of packed weights: {error}") from error
    try:
        memory.madvise(mmap.MADV_HUGEPAGE)
    except (AttributeError, OSError):
        pass  # a kernel without them: plain pages
    start = -np.frombuffer(memory, np.uint8).ctypes.data % HUGE_PAGE
    return np.frombuffer(memory, np.uint8, size, start)


def _layout_depends_on(params: list[Param]) -> list:
    sources = [Path(module.__file__) for module in (matmul, quants, packers)]
    digest = sources_digest(sources[0].parent, sources[1].parent, sources[2])
    tensors = [[p.tensor.name, p.tensor.type.name, p.tensor.shape, p.is_vector] for p in params]
    return [cpu.isa().name, digest.hex(), tensors]
