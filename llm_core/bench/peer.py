"""llama.cpp's side of a bench, through `llama-cpp-python`: its C interface for bare steps, its class `Llama` for text.

The settings are llama.cpp's own (flash attention where it thinks best, f16 cache, n_batch = n_ubatch = 512) with the
bench's number of threads. Sequences that decode together are one `llama_decode` on a batch of as many tokens.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from llm_core.bench.contender import Adapters, Answer, Piece, token_ids
from llm_core.errors import RequestError

N_BATCH = 512
TEXT_POSITIONS = 2048


def import_llama_cpp():
    """The module `llama_cpp`, silenced; RequestError where it cannot be imported."""
    try:
        import llama_cpp
        from llama_cpp._logger import set_verbose
    except Exception as error:  # a library that does not load raises more than ImportError
        raise RequestError(
            f"--compare llama-cpp: llama-cpp-python cannot be imported ({error}); pip install llama-cpp-python"
        ) from None
    missing = [name for name in ("llama_memory_seq_rm", "llama_init_from_model") if not hasattr(llama_cpp, name)]
    if missing:
        raise RequestError(f"--compare llama-cpp: llama-cpp-python {llama_cpp.__version__} has no {missing[0]}")
    set_verbose(False)
    return llama_cpp


def llama_cpp_facts() -> dict[str, str]:
    """Version and build of the library, for the record."""
    api = import_llama_cpp()
    features = api.llama_print_system_info().decode("utf-8", "replace")
    return {"version": api.__version__, "system_info": features.strip()}


class LlamaCpp:
    """llama.cpp on one file."""

    name = "llama_cpp"

    def __init__(self, path: Path, n_threads: int, n_positions: int, adapters: Adapters = ()) -> None:
        self._api = api = import_llama_cpp()
        self._files = adapters
        self._path, self._n_threads = str(path), n_threads
        self._context = self._text = None
        started = time.perf_counter()
        api.llama_backend_init()
        params = api.llama_model_default_params()
        self._model = api.llama_model_load_from_file(self._path.encode(), params)
        if not self._model:
            raise RequestError(f"--compare llama-cpp: llama.cpp cannot load {path}")
        self._adapters = self._load_adapters(self._model)
        self.n_vocab = api.llama_vocab_n_tokens(api.llama_model_get_vocab(self._model))
        self._batch = api.llama_batch_init(N_BATCH, 0, 1)
        self.begin(1, n_positions)
        self.load_s = time.perf_counter() - started

    def begin(self, n_sequences: int, length: int) -> None:
        """A new context: room for n_sequences of `length` positions each."""
        api = self._api
        self._free_context()
        params = api.llama_context_default_params()
        # Every sequence has its own part of the cache, in units of 256 positions.
        params.n_ctx = n_sequences * -(-length // 256) * 256
        params.n_batch = params.n_ubatch = N_BATCH
        params.n_seq_max = n_sequences
        params.n_threads = params.n_threads_batch = self._n_threads
        self._context = api.llama_init_from_model(self._model, params)
        if not self._context:
            raise RequestError(
                f"--compare llama-cpp: no context of {n_sequences} times {length} tokens for {self._path}"
            )
        self._use_adapters(self._context, self._adapters)

    def _load_adapters(self, model) -> list:
        """llama.cpp's adapters of a model; they go with it."""
        found = [self._api.llama_adapter_lora_init(model, str(path).encode()) for path, _ in self._files]
        for (path, _), adapter in zip(self._files, found, strict=True):
            if not adapter:
                raise RequestError(f"--compare llama-cpp: llama.cpp cannot load the adapter {path}")
        return found

    def _use_adapters(self, context, adapters: list) -> None:
        if not adapters:
            return
        pointers = (self._api.llama_adapter_lora_p_ctypes * len(adapters))(*adapters)
        scales = (ctypes.c_float * len(adapters))(*(scale for _, scale in self._files))
        if self._api.llama_set_adapters_lora(context, pointers, len(adapters), scales):
            raise RequestError("--compare llama-cpp: llama.cpp does not take the adapters")

    def step(self, pieces: Sequence[Piece]) -> np.ndarray:
        """Compute all pieces; the last one's logits. What the cache holds behind a piece is forgotten."""
        memory = self._api.llama_get_memory(self._context)
        rows = []
        for sequence, start, tokens in pieces:
            self._api.llama_memory_seq_rm(memory, sequence, start, -1)
            last = len(tokens) - 1
            rows += [(token, start + i, sequence, i == last) for i, token in enumerate(tokens)]
        for at in range(0, len(rows), N_BATCH):
            self._decode(rows[at : at + N_BATCH])
        logits = self._api.llama_get_logits_ith(self._context, -1)
        return np.ctypeslib.as_array(logits, (self.n_vocab,))

    def _decode(self, rows: Sequence[tuple[int, int, int, bool]]) -> None:
        batch = self._batch
        batch.n_tokens = len(rows)
        for i, (token, position, sequence, wanted) in enumerate(rows):
            batch.token[i], batch.pos[i], batch.logits[i] = token, position, wanted
            batch.n_seq_id[i], batch.seq_id[i][0] = 1, sequence
        code = self._api.llama_decode(self._context, batch)
        if code:
            raise RequestError(f"llama_decode of {len(rows)} tokens failed with code {code}")
        self._api.llama_synchronize(self._context)

    def generate(self, prompt: Sequence[int], max_tokens: int, schema: str | None = None) -> Answer:
        """Continue greedily with `Llama.generate`; with a JSON schema until its grammar ends."""
        api, llama = self._api, self._llama()
        grammar = None if schema is None else api.LlamaGrammar.from_json_schema(schema, verbose=False)
        vocabulary = api.llama_model_get_vocab(llama.model)
        times, started = [], time.perf_counter()
        for token in llama.generate(list(prompt), temp=0.0, grammar=grammar):
            if schema is not None and api.llama_vocab_is_eog(vocabulary, token):
                break
            times.append(time.perf_counter())
            if len(times) == max_tokens:
                break
        if not times:
            raise RequestError("llama.cpp had nothing to say")
        return Answer(times[0] - started, len(times) - 1, times[-1] - times[0])

    def _llama(self):
        if self._text is None:
            n = self._n_threads
            self._text = self._api.Llama(
                self._path, n_ctx=TEXT_POSITIONS, n_threads=n, n_threads_batch=n, n_batch=N_BATCH, n_ubatch=N_BATCH,
                flash_attn=True, verbose=False,
            )  # fmt: skip
            self._use_adapters(self._text.ctx, self._load_adapters(self._text.model))
        return self._text

    def kv_bytes_per_token(self) -> float:
        """Growth of a sequence's saved state from 64 to 128 tokens, by token."""
        self.begin(1, 256)
        sizes = []
        for n in (64, 128):
            self.step([(0, 0, token_ids(self.n_vocab, n))])
            sizes.append(self._api.llama_state_seq_get_size(self._context, 0))
        return (sizes[1] - sizes[0]) / 64

    def _free_context(self) -> None:
        if self._context:
            self._api.llama_free(self._context)
            self._context = None

    def close(self) -> None:
        """Free the model."""
        self._free_context()
        self._api.llama_batch_free(self._batch)
        self._api.llama_model_free(self._model)
        if self._text is not None:
            self._text.close()
