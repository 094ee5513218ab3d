"""The runner of a vision tower: its program linked into memory, and `encode`, which turns one tile into embeddings."""

from collections.abc import Callable

import numpy as np

from llm_core.errors import LLMCoreError, RequestError
from llm_core.kernels import step, threads
from llm_core.kernels.compiler import compile_missing
from llm_core.kernels.full_attention import scratch_bytes
from llm_core.kernels.threads import ThreadPool
from llm_core.program import link
from llm_core.program.graph import Address
from llm_core.program.params import Param
from llm_core.program.weights import Weights
from llm_core.vision.model import VisionModel
from llm_core.vision.tower import patches


class VisionRunner:
    """Computes the embeddings of tiles, on the threads of `pool` (or `n_threads` of its own).

    progress(what, fraction) is told how packing goes. Used by one thread at a time. Raises ModelError when a weight
    cannot be packed.
    """

    def __init__(
        self,
        model: VisionModel,
        *,
        pool: ThreadPool | None = None,
        n_threads: int = 1,
        progress: Callable[[str, float], None] | None = None,
    ):
        say = progress or (lambda what, fraction: None)
        n_threads = n_threads if pool is None else pool.n_threads
        threads.check(n_threads, False)
        self.model = model
        graph = model.graph
        self._weights = Weights(link.parameters(graph), model.file, n_threads)
        try:
            compile_missing([*dict.fromkeys(s.op for s in graph.body + graph.head), *threads.OPS], say)
            self._weights.finish(say)
        except BaseException:
            self._weights.close()
            raise
        addresses, self._memory, slot_of = link.place(graph, graph.n_rows, graph.n_outputs)
        per_thread = scratch_bytes(graph.n_rows)
        self._scratch = np.zeros(per_thread * n_threads, np.uint8)
        named = {"scratch": self._scratch.ctypes.data, "scratch_bytes": per_thread}
        named |= {("list", name): indexes.ctypes.data for name, indexes in graph.lists.items()}

        def resolve(address: Address) -> int:
            target = address.target
            if isinstance(target, Param):
                return target.packed.ctypes.data + address.offset
            return (named[target] if target in named else addresses[target]) + address.offset

        self._programs = [link.encode([steps], slot_of, resolve) for steps in (graph.body, graph.head) if steps]
        self._x = self._rows_of(addresses[graph.embedding.floats_at.target], graph.n_rows, graph.embedding.stride)
        out = graph.logits
        n_out = graph.n_rows if out.count == step.ROWS else graph.n_outputs
        self._out = self._rows_of(addresses[out.floats_at.target], n_out, out.stride)[:, : out.width]
        self._header = np.zeros(step.N_WORDS, np.int64)
        self._header[step.ROWS // 8], self._header[step.OUTPUTS // 8] = graph.n_rows, graph.n_outputs
        self._owns_pool = pool is None
        self._pool: ThreadPool | None = ThreadPool(n_threads) if pool is None else pool

    def _rows_of(self, address: int, rows: int, stride: int) -> np.ndarray:
        start = address - self._memory.ctypes.data
        return self._memory[start : start + rows * stride].view(np.float32).reshape(rows, stride // 4)

    def encode(self, pixels: np.ndarray) -> np.ndarray:
        """The embeddings of one tile: float32 [image size, image size, 3], normalised → a fresh [tokens, width]."""
        if self._pool is None:
            raise LLMCoreError("the vision tower is closed")
        c = self.model.config
        if pixels.shape != (c.image_size, c.image_size, 3):
            raise RequestError(f"tile of shape {pixels.shape}, expected {(c.image_size, c.image_size, 3)}")
        rows = patches(pixels, c.patch_size, self.model.first)
        self._x[:, : rows.shape[1]] = rows
        for program in self._programs:
            self._pool.run(program, self._header)
        self._header[step.TURN // 8] += 1
        return self._out.copy()

    def close(self) -> None:
        """Stop the threads and let go of the memory."""
        if self._pool is not None:
            if self._owns_pool:
                self._pool.close()
            self._pool = None
            self._weights.close()
            self._memory = self._scratch = self._x = self._out = self._programs = None
