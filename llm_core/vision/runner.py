"""The runner of a vision tower: its program linked into memory, and `encode`, which turns one tile into embeddings."""

from collections.abc import Callable

import numpy as np

from llm_core.errors import LLMCoreError
from llm_core.kernels import full_attention, full_attention16, step, threads
from llm_core.kernels.compiler import compile_missing
from llm_core.kernels.threads import ThreadPool
from llm_core.program import link
from llm_core.program.weights import Weights
from llm_core.vision.graph import VisionGraph
from llm_core.vision.model import VisionModel
from llm_core.vision.tower import patches


class VisionRunner:
    """Computes the embeddings of tiles, on the threads of `pool` (or `n_threads` of its own). A program is for tiles of
    one shape; where another one comes it is recorded and linked anew, which takes some milliseconds.

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
        self._weights = Weights(link.parameters(model.graph), model.file, n_threads)
        try:
            compile_missing([*dict.fromkeys(s.op for s in model.graph.body), *threads.OPS], say)
            self._weights.finish(say)
        except BaseException:
            self._weights.close()
            raise
        self._owns_pool = pool is None
        self._pool: ThreadPool | None = ThreadPool(n_threads) if pool is None else pool
        self._link(model.graph)

    def _link(self, graph: VisionGraph) -> None:
        """Make `graph` the program that runs."""
        self._graph = graph
        placed = link.Placed(graph, graph.counts)
        per_thread = max(kind.scratch_bytes(graph.n_rows) for kind in (full_attention, full_attention16))
        self._scratch = np.zeros(per_thread * self._pool.n_threads, np.uint8)
        named = {"scratch": self._scratch.ctypes.data, "scratch_bytes": per_thread}
        named |= {("list", name): numbers.ctypes.data for name, numbers in graph.lists.items()}
        self._program = placed.encode([graph.body], named)
        self._x = placed.rows_of(graph.embedding)
        self._out = placed.rows_of(graph.logits)[:, : graph.logits.width]
        self._header = np.zeros(step.N_WORDS + len(graph.counts) - 1, np.int64)
        for word, count in graph.counts.items():
            self._header[word // 8] = count

    def encode(self, pixels: np.ndarray) -> np.ndarray:
        """The embeddings of one tile: float32 [height, width, 3], normalised → a fresh [tokens, width]. Raises
        RequestError for a shape that the tower does not take."""
        if self._pool is None:
            raise LLMCoreError("the vision tower is closed")
        grid = self.model.grid_of(pixels.shape)
        if grid != self._graph.grid:
            self._link(self.model.record(grid))
        rows = patches(pixels, self.model.config.patch_size)[self._graph.order]
        self._x[self._graph.first :, : rows.shape[1]] = rows
        self._pool.run(self._program, self._header)
        self._header[step.TURN // 8] += 1
        return self._out.copy()

    def close(self) -> None:
        """Stop the threads and let go of the memory."""
        if self._pool is not None:
            if self._owns_pool:
                self._pool.close()
            self._pool = None
            self._weights.close()
            self._scratch = self._x = self._out = self._program = self._graph = None
