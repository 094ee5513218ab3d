"""The runner: a model's program linked into memory, its KV cache, and `step`, which computes one batch of rows.

One step is: look up embeddings, fill the header, replay the body; then, for the rows whose logits are wanted, replay
the head. All memory is taken when the runner is made; the KV cache is one reservation whose pages become real when
they are first written. A runner is owned by one thread at a time.
"""

from collections.abc import Callable

import numpy as np

from llm_core.errors import LLMCoreError, RequestError
from llm_core.kernels import bandwidth, cpu, step, threads
from llm_core.kernels.attention import records_bytes, scratch_bytes
from llm_core.kernels.compiler import compile_missing
from llm_core.kernels.kv import BLOCK, head_bytes
from llm_core.kernels.lora import lora_down, lora_down_quantized, lora_up
from llm_core.kernels.matmul import ROWS
from llm_core.kernels.threads import ThreadPool
from llm_core.models.adapter import Adapter
from llm_core.models.model import Model
from llm_core.program import link
from llm_core.program.batch import Batch
from llm_core.program.lora import Lora, pack
from llm_core.program.packed_file import huge_pages
from llm_core.program.programs import Programs
from llm_core.program.weights import Weights

MAX_OUTPUTS = 32
MAX_THREADS = 256
_NO_SCALES = np.zeros(0, np.float32)


class Runner:
    """Computes logits for batches.

    model: from `load_model`; n_ctx: positions a sequence may have; n_blocks: KV blocks of BLOCK positions in all
    (default: enough for one full context); max_rows: rows per step; n_threads: default all CPUs of this process;
    pin: keep every thread on a CPU of its own; pool: threads of another runner of the same owner to work with instead;
    kv_type: how the cache holds keys and values, "f16" or "q8_0" (half the memory); progress(what, fraction) is told
    how packing goes. Raises RequestError for sizes and types that make no sense, ModelError when a weight cannot be
    packed.
    """

    block_size = BLOCK

    def __init__(
        self,
        model: Model,
        *,
        n_ctx: int = 4096,
        n_blocks: int | None = None,
        max_rows: int = 256,
        n_threads: int | None = None,
        pin: bool = False,
        kv_type: str = "f16",
        pool: ThreadPool | None = None,
        progress: Callable[[str, float], None] | None = None,
    ):
        if pool is not None:
            n_threads = pool.n_threads
        n_threads = min(cpu.default_threads(), MAX_THREADS) if n_threads is None else n_threads
        for name, value, low, high in (
            ("n_ctx", n_ctx, 1, 1 << 26),
            ("max_rows", max_rows, 1, 1 << 16),
            ("n_threads", n_threads, 1, MAX_THREADS),
        ):
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
                raise RequestError(f"{name} = {value!r}: must be an integer from {low} to {high}")
        self.model, self.n_ctx, self.max_rows, self.kv_type = model, n_ctx, max_rows, kv_type
        self.n_vocab = model.config.n_vocab
        self.max_blocks = -(-n_ctx // BLOCK)
        self.n_blocks = self.max_blocks if n_blocks is None else n_blocks
        if not isinstance(self.n_blocks, int) or self.n_blocks < 1:
            raise RequestError(f"n_blocks = {self.n_blocks!r}: must be a positive integer")
        say = progress or (lambda what, fraction: None)
        self._embedding = model.param("token_embd.weight").tensor
        self._scale = np.float32(model.embedding_scale)
        self._max_outputs = min(MAX_OUTPUTS, max_rows)
        self.n_threads = n_threads
        threads.check(n_threads, pin)
        self._link(say)
        self._owns_pool = pool is None
        self._pool: ThreadPool | None = ThreadPool(n_threads, pin) if pool is None else pool

    # --- making -------------------------------------------------------------------------------------------------------

    def _reserve_cache(self) -> None:
        config = self.model.config
        self._piece_bytes = config.n_kv * head_bytes(self.kv_type, config.head_dim)
        self.block_bytes = 2 * config.n_layer * self._piece_bytes
        self.kv_bytes = self.n_blocks * self.block_bytes
        try:
            # In huge pages: the pieces that one head reads lie far apart, and small pages cost a walk of tables each.
            self._cache_memory = huge_pages(self.kv_bytes)
        except (MemoryError, OverflowError, ValueError) as error:
            raise RequestError(
                f"n_ctx = {self.n_ctx}, n_blocks = {self.n_blocks}: a KV cache of {self.kv_bytes / 1e9:.1f} GB "
                f"cannot be reserved ({error})"
            ) from error
        self._cache_base = self._cache_memory.ctypes.data

    def _link(self, say) -> None:
        # What may be refused comes first: packing takes seconds.
        self._reserve_cache()
        self._tables = self.model.rope_tables(self.n_ctx, self.kv_type)
        self._graph = self.model.record(self.kv_type)
        self._weights = Weights(link.parameters(self._graph), self.model.file, self.n_threads)
        try:
            self._load_kernels(say)
            self._weights.finish(say)
        except BaseException:
            self._weights.close()
            raise
        graph, config = self._graph, self.model.config
        rows = {step.ROWS: self.max_rows, step.OUTPUTS: self._max_outputs, step.OUTPUT_PAIRS: 2 * self._max_outputs}
        placed = link.Placed(graph, rows)
        per_thread, per_strip = scratch_bytes(config.head_dim), records_bytes(config.head_dim, self.n_ctx)
        self._scratch = np.zeros(per_thread * self.n_threads, np.uint8)
        self._records = np.zeros(per_strip * (self.n_threads - 1), np.uint8)
        named = {
            "head_bytes": head_bytes(self.kv_type, config.head_dim),
            "block_bytes": self.block_bytes,
            "scratch": self._scratch.ctypes.data,
            "scratch_bytes": per_thread,
            "records": self._records.ctypes.data,
            "records_bytes": per_strip,
        }
        named |= {("rope", name): table.rows.ctypes.data for name, table in self._tables.items()}
        for (layer, kind), cache in graph.caches.items():
            named[cache] = self._cache_base + (2 * layer + "kv".index(kind)) * self._piece_bytes
        self._programs = Programs(graph, lambda parts: placed.encode(parts, named))
        self._x, self._logits = placed.rows_of(graph.embedding), placed.rows_of(graph.logits)
        self._header = np.zeros(step.N_WORDS, np.int64)
        self._sequences = np.zeros(self.max_rows, np.int32)
        self._limits = np.zeros(threads.ROW_WORDS, np.int64)
        self._limits[step.N_VOCAB // 8 :][:4] = self.n_vocab, self.n_ctx, self.n_blocks, BLOCK
        self._check = threads.entry(step.check_step)

    def _load_kernels(self, say) -> None:
        """Compile the operations of this program, or load them from disk, telling which one is on the way."""
        graph = self._graph
        ops = dict.fromkeys(step.op for step in graph.body + graph.head)
        compile_missing([*ops, step.check_step, *threads.OPS], say)
        say("loading kernels", 1.0)

    @property
    def pool(self) -> ThreadPool:
        """The threads that compute, for another runner of the same owner."""
        return self._pool

    @property
    def weight_bytes(self) -> int:
        """Bytes of weights that a step reads (of the token embedding only what the output layer reads)."""
        return sum(param.packed.nbytes for param in self._weights.params)

    def kv_read_bytes(self, position: int) -> int:
        """Bytes of keys and values that a row at `position` attends to, all layers together."""
        per_layer = self.kv_bytes // (self.model.config.n_layer * self.n_blocks * BLOCK)
        windows = self._graph.windows.values()
        return per_layer * sum(min(position, window) if window else position for window in windows)

    def measure_bandwidth(self, n_bytes: int | None = None) -> float:
        """Bytes per second at which this runner's threads read n_bytes (default: the weights): the floor of
        decoding."""
        return bandwidth.read_bandwidth(self.weight_bytes if n_bytes is None else n_bytes, self._pool)

    # --- running ------------------------------------------------------------------------------------------------------

    def pin_caller(self) -> None:
        """Called once by the thread that will do nothing but call `step`: with `pin` it stays on the first CPU."""
        self._pool.pin_caller()

    def step(self, batch: Batch) -> np.ndarray:
        """Compute a batch: stores K and V of every row; returns float32 [outputs, n_vocab], valid until the next step.

        Of the output matrix only `batch.panels` are read, and only their logits mean anything. Raises RequestError
        when the batch names tokens, positions, blocks, rows or panels that do not exist (nothing is computed then).
        """
        if self._pool is None:
            raise LLMCoreError("the runner is closed")
        tokens, positions, starts, tables, outputs = (
            np.ascontiguousarray(a, np.int32)
            for a in (batch.tokens, batch.positions, batch.starts, batch.tables, batch.outputs)
        )
        n, n_sequences = len(tokens), len(starts) - 1
        if not 0 < n <= self.max_rows or len(positions) != n:
            raise RequestError(
                f"batch: {n} tokens and {len(positions)} positions; 1 to {self.max_rows} of each are allowed"
            )
        if n_sequences < 1 or tables.ndim != 2 or len(tables) != n_sequences:
            raise RequestError(f"batch: tables of shape {tables.shape} for {n_sequences} sequences")
        brought, chosen = self._brought(batch.embeddings), self._chosen(batch.panels)
        header = self._header
        header[: step.END // 8] = (
            n,
            len(outputs),
            2 * len(outputs),
            n_sequences,
            *(a.ctypes.data for a in (starts, tokens, positions, self._sequences, tables)),
            tables.shape[1] * 4,
            outputs.ctypes.data,
            0 if chosen is None else chosen.ctypes.data,
            len(brought),
        )
        self._check(self._limits.ctypes.data, header.ctypes.data, 0, 1)
        if header[step.FAULT // 8]:
            raise RequestError(f"batch: {self._fault()}")
        sees = self._sees(batch.sees, positions, starts)
        header[step.SEES // 8] = 0 if sees is None else sees.ctypes.data
        places = self._places(batch.places, positions)
        header[step.PLACES // 8] = 0 if places is None else places.ctypes.data
        loras, scales = self._scales(batch.adapters, starts)
        header[step.ADAPTERS // 8] = scales.ctypes.data
        program = self._programs[loras]
        for table in self._tables.values():
            table.fill(int(header[step.END // 8]))
        with np.errstate(all="ignore"):  # a broken model's overflow shows in the logits, not as a warning
            rows = self._embedding.dequantize(np.maximum(tokens, 0) if len(brought) else tokens)
            np.multiply(rows, self._scale, out=self._x[:n, : rows.shape[1]])
        if len(brought):
            own = np.flatnonzero(tokens < 0)
            self._x[own, : brought.shape[1]] = brought[-1 - tokens[own]]
        if 0 < len(outputs) <= self._max_outputs:
            self._pool.run(program.whole, header)
            return self._logits[: len(outputs), : self.n_vocab]
        self._pool.run(program.body, header)
        done = [np.empty((0, self.n_vocab), np.float32)]
        for first in range(0, len(outputs), self._max_outputs):
            wanted = outputs[first : first + self._max_outputs]
            header[step.OUTPUTS // 8], header[step.OUTPUT_PAIRS // 8] = len(wanted), 2 * len(wanted)
            header[step.OUTPUT_ROWS // 8] = wanted.ctypes.data
            self._pool.run(program.head, header)
            done.append(self._logits[: len(wanted), : self.n_vocab].copy())
        return np.concatenate(done)

    def _fault(self) -> str:
        """What `check_step` found."""
        values = {"n_vocab": self.n_vocab, "n_ctx": self.n_ctx, "n_blocks": self.n_blocks}
        words = (step.ROWS, step.N_BROUGHT, step.FAULT, step.VALUE)
        rows, n_brought, fault, value = (int(self._header[at // 8]) for at in words)
        return step.FAULTS[fault].format(value=value, rows=rows, n_brought=n_brought, **values)

    def _brought(self, embeddings) -> np.ndarray:
        """The rows that the batch brings, float32 [e, width]."""
        width = self.model.config.n_embd
        if embeddings is None:
            return np.empty((0, width), np.float32)
        rows = np.ascontiguousarray(embeddings, np.float32)
        if rows.ndim != 2 or rows.shape[1] != width:
            raise RequestError(f"batch: embeddings of shape {rows.shape}, but the model is {width} wide")
        return rows

    def _sees(self, sees, positions, starts) -> np.ndarray | None:
        """The header's array: int32 [2, rows]."""
        if sees is None:
            return None
        rows = np.ascontiguousarray(sees, np.int32)
        last = np.repeat(positions[starts[1:] - 1], np.diff(starts))
        if rows.shape != (2, len(positions)):
            raise RequestError(f"batch: sees has shape {rows.shape}, but there are {len(positions)} rows")
        if (rows[0] > positions).any() or (rows[1] < positions).any() or rows.min() < 0 or (rows[1] > last).any():
            raise RequestError("batch: a row is outside the group that it sees, or the group outside its sequence")
        same = np.ones(len(positions) - 1, bool)
        same[starts[1:-1] - 1] = False
        apart = (np.diff(rows, axis=1) != 0).any(axis=0)
        if (same & apart & (rows[0, 1:] <= rows[1, :-1])).any():
            raise RequestError("batch: groups of rows overlap")
        return rows

    def _places(self, places, positions) -> np.ndarray | None:
        """The header's array: int32 [3, rows]."""
        if places is None:
            return None
        rows = np.ascontiguousarray(places, np.int32)
        if rows.shape != (len(self._graph.sections), len(positions)):
            raise RequestError(
                f"batch: places has shape {rows.shape}, but there are {len(positions)} rows and heads of "
                f"{len(self._graph.sections)} sections"
            )
        if rows.min() < 0 or (rows > positions).any():
            raise RequestError("batch: a row's places are not between 0 and its position")
        return rows

    def _scales(self, adapters, starts) -> tuple[tuple[Lora, ...], np.ndarray]:
        """The adapters that the step's rows take, and the header's table: float32 [adapters, rows]."""
        if adapters is None:
            return (), _NO_SCALES
        if len(adapters) != len(starts) - 1:
            raise RequestError(f"batch: adapters of {len(adapters)} sequences, but there are {len(starts) - 1}")
        # In one order, so that sums of several do not depend on who else is in the step.
        loras = tuple(sorted({one for own in adapters for one, _ in own}, key=lambda one: one.number))
        scales = np.zeros((len(loras), starts[-1]), np.float32)
        for own, first, last in zip(adapters, starts, starts[1:], strict=False):
            for one, scale in own:
                scales[loras.index(one), first:last] = scale
        return loras, scales

    def _chosen(self, panels) -> np.ndarray | None:
        """The header's list: int32 [n, panel…]."""
        if panels is None:
            return None
        listed, count = np.asarray(panels), -(-self.n_vocab // ROWS)
        ascending = listed.ndim == 1 and len(listed) and (np.diff(listed) > 0).all()
        if not ascending or listed[0] < 0 or listed[-1] >= count:
            raise RequestError(f"batch: panels {listed.tolist()} are not ascending numbers from 0 to {count - 1}")
        return np.concatenate([[len(listed)], listed]).astype(np.int32)

    # --- adapters -----------------------------------------------------------------------------------------------------

    def attach(self, adapter: Adapter, progress: Callable[[str, float], None] | None = None) -> Lora:
        """Pack an adapter of this runner's model for `Batch.adapters`. May be called by any thread, while another one
        calls `step`. Raises ModelError, MemoryError."""
        compile_missing([lora_down, lora_down_quantized, lora_up], progress or (lambda what, fraction: None))
        return pack(adapter, self._graph, self.max_rows)

    def detach(self, one: Lora) -> None:
        """Keep nothing of an adapter that no later step names. May be called by any thread."""
        if (programs := self._programs) is not None:
            programs.forget(one)

    def copy_block(self, source: int, target: int) -> None:
        """Copy a KV block's keys and values of all layers: what another sequence has in common with it."""
        blocks = self._cache_memory.reshape(self.n_blocks, self.block_bytes)
        blocks[target] = blocks[source]

    def close(self) -> None:
        """Stop the threads and let go of the memory."""
        if self._pool is not None:
            if self._owns_pool:
                self._pool.close()
            self._pool = None
            self._weights.close()
            self._scratch = self._records = self._x = self._logits = self._programs = None
            self._tables = {}
            self._cache_memory = None
