"""The engine as callers see it: load a model, submit requests from any thread, stream or wait, close.

In: a prompt (text, token ids or chat messages) and SamplingParams. Out: a Handle. Everything that can be refused is
refused here, in the caller's thread, as a RequestError; the engine thread (loop.py) sees only requests that fit.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from numbers import Integral, Real
from pathlib import Path

from llm_core.engine.adapters import AdapterFiles, AdapterInfo, Adapters, Choice, check_files
from llm_core.engine.cache import BlockCache
from llm_core.engine.handle import Completion, Event, Handle
from llm_core.engine.loader import (
    ModelInfo,
    Parts,
    Progress,
    load_draft,
    load_parts,
    load_tower,
    shipped_tower,
    with_eyes,
)
from llm_core.engine.loop import EngineStats, Loop
from llm_core.engine.prompt import Prompt, PromptReader
from llm_core.engine.request import Limits, Request
from llm_core.engine.scheduler import Scheduler
from llm_core.engine.speculate import Speculator
from llm_core.errors import RequestError
from llm_core.grammar import GrammarCompiler
from llm_core.sampling import SamplingParams

MAX_PRIORITY = 1000


class Engine:
    """One model, served to many callers at once. A context manager; `close` frees the model's memory.

    `model`: a path, a name (`llm_core.hub`), or `Parts` for tests. `n_ctx`: tokens of one request, prompt and answer.
    `pin`: keep every computing thread on a CPU of its own (at most as many threads as CPUs).
    `n_blocks`: KV blocks of all requests together; None: two full contexts' worth. `max_rows`: token rows computed in
    one step, all requests together. `kv_type`: how the KV cache holds numbers, "f16" or "q8_0" (half the memory).
    `max_requests`: requests that run at once; `max_queue`: more that may wait. `speculate`: guess tokens ahead, from
    what the request has said before, where that is faster; `draft_model`: path or name of a smaller model with the
    same vocabulary that guesses too, for a request that runs alone; answers are the same. `mmproj`: path or name of the
    vision tower that belongs to the model, or "auto" for the one that comes with this package for it, if there is one;
    then prompts may hold pictures (an adapter that its file holds works in
    requests with pictures, beside those that they choose). `adapters`: LoRA adapters (GGUF files, by path or name) by
    the names that requests call them by, {name: file} or {name: (file, scale)}, the scale for requests that do not say;
    `default_adapters`: those of requests that do not choose, names or {name: scale}. `progress`: called while loading
    with (what is being done, fraction). Raises ModelError or RequestError.
    """

    def __init__(
        self,
        model: str | Path | Parts,
        *,
        n_ctx: int = 4096,
        n_threads: int | None = None,
        pin: bool = False,
        n_blocks: int | None = None,
        max_rows: int = 256,
        kv_type: str = "f16",
        max_requests: int = 16,
        max_queue: int = 64,
        speculate: bool = True,
        draft_model: str | Path | Parts | None = None,
        mmproj: str | Path | None = None,
        adapters: AdapterFiles | None = None,
        default_adapters: Choice = (),
        progress: Progress | None = None,
    ) -> None:
        _integer("n_ctx", n_ctx, 8, 1 << 24)
        _integer("max_rows", max_rows, 1, 1 << 16)
        _integer("max_requests", max_requests, 1, 4096)
        _integer("max_queue", max_queue, 0, 1 << 20)
        for name, value in (("n_threads", n_threads), ("n_blocks", n_blocks)):
            if value is not None:
                _integer(name, value, 1, 1 << 24)
        if not isinstance(pin, bool):
            raise RequestError(f"pin is {pin!r}: True or False wanted")
        if not isinstance(speculate, bool):
            raise RequestError(f"speculate is {speculate!r}: True or False wanted")
        if draft_model is not None and not speculate:
            raise RequestError(f"draft_model is {draft_model!r}: it guesses, but speculate is False")
        files = check_files(adapters or {})
        if isinstance(model, (str, Path)):
            tower = None if mmproj in (None, "auto") else load_tower(mmproj)
            # A step may be longer rather than cut a picture whose rows see each other.
            rows = max_rows + tower.n_tokens if tower is not None and tower.sees_whole else max_rows
            paths = {name: path for name, (path, _) in files.items()}
            model = load_parts(model, n_ctx, n_blocks, rows, n_threads, pin, progress, kv_type, adapters=paths)
            if mmproj == "auto" and (shipped := shipped_tower(model.info.fingerprint)):
                tower = load_tower(shipped)
            if tower is not None:
                model = with_eyes(model, tower, progress)
        elif mmproj is not None:
            raise RequestError(f"mmproj is {str(mmproj)!r}: a path needs a model that is one too")
        elif files:
            raise RequestError(f"adapters is {adapters!r}: paths need a model that is one too")
        runner, self.tokenizer, self.chat_template, info, self._eyes, loras = parts = Parts(*model)
        cache = BlockCache(runner.n_blocks, runner.block_size)
        n_ctx = min(runner.n_ctx, runner.n_blocks * runner.block_size)
        self.info: ModelInfo | None = info
        self._limits = Limits(n_ctx, runner.n_vocab, frozenset(self.tokenizer.stop_ids))
        self._grammars = GrammarCompiler(self.tokenizer, runner.n_vocab)
        scheduler = Scheduler(cache, min(max_rows, runner.max_rows), max_requests)
        self._adapters = Adapters(runner)
        try:
            for name, lora in loras.items():
                self._adapters.add(name, *files[name], lora)
            self._adapters.set_default(default_adapters)
            small = None if draft_model is None else load_draft(draft_model, parts, n_ctx, kv_type, progress)
        except BaseException:
            runner.close()
            raise
        speculator = Speculator(scheduler.max_rows, small) if speculate else None
        self._prompts = PromptReader(self.tokenizer, self.chat_template, self._eyes, runner.n_vocab)
        self._loop = Loop(runner, scheduler, max_requests + max_queue, speculator, self._eyes)
        # Closes the loop when the last reference to the engine goes, and before the interpreter does.
        self._finalizer = weakref.finalize(self, self._loop.close)

    @property
    def n_ctx(self) -> int:
        """Tokens that prompt and answer of one request may have together."""
        return self._limits.n_ctx

    def submit(
        self,
        prompt: Prompt,
        params: SamplingParams | None = None,
        *,
        tools: Sequence[Mapping] | None = None,
        images: Sequence | None = None,
        adapters: Choice | None = None,
        priority: int = 0,
        deadline_s: float | None = None,
        on_event: Callable[[Event], None] | None = None,
    ) -> Handle:
        """Queue a request and return at once.

        `prompt`: raw text, token ids, or messages (dicts with role and content) for the model's chat template, with
        `tools`. With an `mmproj` a message's content may be a list of {"type": "text", "text": …} and {"type": "image",
        "image": …}, and raw text may have `<image>`, token ids -1, where the pictures of `images` go (a path, a file's
        bytes, a PIL image or an array each). `adapters`: names of loaded adapters, or {name: scale}; their changes add
        up; () is none, None the engine's default. `priority`: higher ones go first and may put lower ones on hold.
        `deadline_s`: seconds from now after which the request ends with what it has (finish_reason "deadline").
        `on_event`: called in the engine thread with every event; it must be quick, and if it raises, the request fails.
        Raises RequestError (QueueFull, EngineClosed among them).
        """
        self._loop.check_open()
        params = SamplingParams() if params is None else params
        if not isinstance(params, SamplingParams):
            raise RequestError(f"params is a {type(params).__name__}: SamplingParams wanted")
        _integer("priority", priority, -MAX_PRIORITY, MAX_PRIORITY)
        if deadline_s is not None:
            if isinstance(deadline_s, bool) or not isinstance(deadline_s, Real) or not 0 < deadline_s < 1e9:
                raise RequestError(f"deadline_s is {deadline_s!r}: a number of seconds above 0 wanted")
        params.check_vocabulary(self._limits.n_vocab)
        if self._eyes is None and images is None:
            tokens, spots = self.encode(prompt, tools), []
        else:
            tokens, spots = self._prompts.read(prompt, tools, images)
        self._check_length(tokens)
        chosen = self._adapters.choose(adapters)
        if spots:
            chosen = self._eyes.adapters(chosen)
        constraint = None if params.grammar is None else self._grammars.compile(params.grammar)
        handle = Handle(on_event)
        decoder = self.tokenizer.stream(start=False)  # the answer continues the prompt
        request = Request(
            tokens, params, self._limits, decoder, handle, constraint, int(priority), deadline_s, spots, chosen
        )
        # A bound method: a handle in use keeps its engine from being closed.
        handle._on_cancel = partial(self._cancel, request)
        self._loop.submit(request)
        return handle

    def generate(self, prompt: Prompt, params: SamplingParams | None = None, **options) -> Completion:
        """`submit` and wait; an interrupt while waiting cancels the request."""
        handle = self.submit(prompt, params, **options)
        try:
            return handle.result()
        except BaseException:
            handle.cancel()
            raise

    def chat(self, messages: Sequence[Mapping], params: SamplingParams | None = None, **options) -> Completion:
        """The assistant's next turn."""
        return self.generate(messages, params, **options)

    def encode(
        self, prompt: Prompt, tools: Sequence[Mapping] | None = None, images: Sequence | None = None
    ) -> list[int]:
        """The token ids of a prompt, as `submit` would use them; a picture's are below 0."""
        return self._prompts.read(prompt, tools, images)[0]

    @property
    def adapters(self) -> tuple[AdapterInfo, ...]:
        """The adapters that are loaded."""
        return self._adapters.infos()

    def load_adapter(self, name: str, path: str | Path, scale: float = 1.0) -> None:
        """Load one more adapter, while requests run. Raises ModelError, or RequestError where the name is taken."""
        self._loop.check_open()
        self._adapters.load(name, path, scale)

    def unload_adapter(self, name: str) -> None:
        """Forget an adapter. Requests that use it already go on. Raises RequestError."""
        self._adapters.remove(name)

    def prepare_grammars(self) -> None:
        """Do now what the first request with a grammar would wait for: hand the vocabulary to llguidance."""
        self._grammars.prepare()

    def stats(self) -> EngineStats:
        """A snapshot: state, load, rates, KV blocks, counters."""
        return self._loop.stats()

    def drain(self, timeout: float | None = None) -> bool:
        """Wait until no request is open; False when `timeout` seconds pass before."""
        return self._loop.drain(timeout)

    def close(self) -> None:
        """End open requests as cancelled, free the model and the template's process, refuse further requests.

        May be called twice.
        """
        self._finalizer()
        self._adapters.close()
        if self.chat_template is not None:
            self.chat_template.close()  # unlike the loop it also ends by itself with the last reference

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *exc) -> None:
        self.close()

    def _cancel(self, request: Request) -> None:
        request.cancelled = True
        self._loop.wake()

    def _check_length(self, tokens: list[int]) -> None:
        if not tokens:
            raise RequestError("prompt is empty: at least one token wanted")
        if len(tokens) >= self._limits.n_ctx:
            raise RequestError(
                f"prompt has {len(tokens)} tokens, the context {self._limits.n_ctx}: "
                f"at most {self._limits.n_ctx - 1} fit with a token of answer"
            )


def _integer(name: str, value, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, Integral) or not low <= value <= high:
        raise RequestError(f"{name} is {value!r}: an integer from {low} to {high} wanted")
