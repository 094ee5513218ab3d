"""The weights of a program: all packed parameters in one block of memory, filled by threads of its own.

They come from the disk's cache (`packed_file.py`), or are packed from the model file and then put there. This begins
when the object is made, so that its maker can load kernels meanwhile; `finish` waits.

The block is in huge pages: with small ones decoding is 2 to 4 % slower. So a cached file is mapped where the system
maps files in huge pages (then a start copies nothing, and processes share it), and else read into anonymous memory.
"""

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
from llm_core.program.packed_file import huge_pages, packed_file
from llm_core.program.params import Param

LINE = 64
PROGRESS_SECONDS = 0.1


class Weights:
    """`params` of the model in `file`; sets their `packed`.

    Raises RequestError when the cache's size is none; `finish` raises MemoryError when the memory cannot be had, and
    what packing raised (GGUFError).
    """

    def __init__(self, params: list[Param], file: GGUFFile, n_threads: int):
        self.params = params
        self._starts = layout(params)
        self._file = packed_file(file, self._starts[-1], _layout_depends_on(params))
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
        self.params = []

    def _fill(self) -> None:
        try:
            file = self._file
            memory = None if file is None else file.load(self._each)
            if memory is not None:
                self._place(memory)
                return
            memory = huge_pages(self._starts[-1])
            self._place(memory)
            pieces = [(param, panels) for param in self.params for panels in param.pieces()]
            self._each("packing weights", lambda piece: piece[0].pack(piece[1]), pieces)
            if file is not None:
                file.write(memory, self._each)
        finally:
            self._workers.shutdown()

    def _place(self, memory: np.ndarray) -> None:
        for param, start in zip(self.params, self._starts, strict=False):
            panels, size = param.packed_shape
            param.packed = memory[start : start + panels * size].reshape(panels, size)

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


def _layout_depends_on(params: list[Param]) -> list:
    sources = [Path(module.__file__) for module in (matmul, quants, packers)]
    digest = sources_digest(sources[0].parent, sources[1].parent, sources[2])
    tensors = [[p.tensor.name, p.tensor.type.name, p.tensor.shape, p.layout] for p in params]
    return [cpu.isa().name, digest.hex(), tensors]
