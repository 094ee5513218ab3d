"""How good a model is on a text: perplexity, and how far its probabilities are from another model's.

The text is cut into chunks of `n_ctx` tokens, each computed on its own; only the second half of a chunk is scored,
where every token has some context, and a chunk begins with BOS where the model wants that. llama.cpp's perplexity tool
defines its figures so, and these can be compared with them. A `Contender` computes logits: our runner, or llama.cpp.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from llm_core.errors import RequestError
from llm_core.gguf import open_gguf
from llm_core.kernels import cpu
from llm_core.models import load_model
from llm_core.models.adapter import load_adapter
from llm_core.program import Batch, Runner
from llm_core.tokenizer import Tokenizer

# scored at a time: their log probabilities are held in double precision
SCORED_ROWS = 64


class Contender(Protocol):
    """Something that computes the logits of one sequence."""

    chunk: int  # how many tokens a prompt step takes

    def reset(self) -> None:
        """Begin a new sequence."""

    def push(self, tokens: list[int], first: int = 0) -> np.ndarray:
        """Append at most `chunk` tokens; logits of those from `first` on, float32 [n, n_vocab], valid until the next
        call."""

    def close(self) -> None:
        """Free the memory."""


class Ours:
    """llm_core's Runner; `lora`: an adapter's file and how much of it."""

    def __init__(self, path: Path, n_ctx: int, threads: int | None = None, lora: tuple[Path, float] | None = None):
        model = load_model(path)
        self.runner = Runner(model, n_ctx=n_ctx, n_threads=threads)
        self.adapters = None if lora is None else [((self.runner.attach(load_adapter(lora[0], model)), lora[1]),)]
        self.chunk = self.runner.max_rows
        self.table = np.arange(self.runner.max_blocks, dtype=np.int32)[None]
        self.length = 0

    def reset(self) -> None:
        """Begin a new sequence."""
        self.length = 0

    def push(self, tokens: list[int], first: int = 0) -> np.ndarray:
        """See Contender."""
        rows = np.arange(len(tokens), dtype=np.int32)
        starts = np.array([0, len(tokens)], np.int32)
        ids, positions = np.array(tokens, np.int32), self.length + rows
        batch = Batch(ids, positions, starts, self.table, rows[first:], adapters=self.adapters)
        self.length += len(tokens)
        return self.runner.step(batch)

    def close(self) -> None:
        """Free the memory."""
        self.runner.close()


class LlamaCpp:
    """llama.cpp through llama-cpp-python, with its defaults (KV cache in float16); `lora` as for Ours."""

    chunk = 256

    def __init__(self, path: Path, n_ctx: int, threads: int | None = None, lora: tuple[Path, float] | None = None):
        try:
            from llama_cpp import Llama
        except ImportError as error:
            raise RequestError(
                f"llama-cpp-python cannot be imported ({error}); pip install 'llm_ros[bench]'"
            ) from error
        threads = threads or cpu.default_threads()
        path_of_lora, scale = (None, 1.0) if lora is None else (str(lora[0]), lora[1])
        self.model = Llama(
            str(path), n_ctx=n_ctx, n_batch=self.chunk, n_threads=threads, n_threads_batch=threads, logits_all=True,
            verbose=False, lora_path=path_of_lora, lora_scale=scale,
        )  # fmt: skip
        self.length = 0

    def reset(self) -> None:
        """Begin a new sequence."""
        self.model.reset()
        self.length = 0

    def push(self, tokens: list[int], first: int = 0) -> np.ndarray:
        """See Contender."""
        self.model.eval(tokens)
        start, self.length = self.length + first, self.length + len(tokens)
        return np.asarray(self.model.scores[start : self.length], np.float32)

    def close(self) -> None:
        """Free the memory."""
        self.model.close()


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Log probabilities, float64, over the last axis."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def model_size(path: Path) -> dict[str, float]:
    """Bytes of the model's tensors, and bits per weight."""
    with open_gguf(path) as file:
        nbytes, size = (sum(getattr(t, what) for t in file.tensors.values()) for what in ("nbytes", "size"))
    return {"bytes": nbytes, "bits_per_weight": 8 * nbytes / size}


def cut(
    tokenizer: Tokenizer, text: str, n_ctx: int, limit: int | None = None, stride: int | None = None
) -> list[list[int]]:
    """The text's chunks of `n_ctx` tokens, at most `limit`; what is left over is dropped.

    With `stride`, a chunk begins every so many tokens. RequestError if none is full, or a number is out of range.
    """
    if n_ctx < 8:
        raise RequestError(f"ctx = {n_ctx}: chunks have at least 8 tokens")
    if limit is not None and limit < 1:
        raise RequestError(f"chunks = {limit}: must be at least 1")
    if stride is not None and not 1 <= stride < n_ctx:
        raise RequestError(f"stride = {stride}: must be from 1 to {n_ctx - 1}")
    tokens = tokenizer.encode(text)
    starts = range(0, len(tokens) - n_ctx + 1, stride or n_ctx)[:limit]
    if not starts:
        raise RequestError(f"the text has {len(tokens)} tokens: too few for one chunk of {n_ctx}")
    chunks = [tokens[at : at + n_ctx] for at in starts]
    return [[tokenizer.bos_id, *chunk[1:]] for chunk in chunks] if tokenizer.add_bos else chunks


def scored(
    contender: Contender, chunk: list[int], stride: int | None = None
) -> Iterator[tuple[np.ndarray, list[int]]]:
    """Pieces of a chunk's second half: logits float32 [n, n_vocab] (valid until the next piece) and what came next.

    With `stride`, of its last so many tokens, which no other chunk scores.
    """
    contender.reset()
    first = len(chunk) // 2 if stride is None else len(chunk) - stride - 1
    for at in range(0, first, contender.chunk):
        tokens = chunk[at : min(at + contender.chunk, first)]
        contender.push(tokens, first=len(tokens))
    for at in range(first, len(chunk) - 1, SCORED_ROWS):
        end = min(at + SCORED_ROWS, len(chunk) - 1)
        yield contender.push(chunk[at:end]), chunk[at + 1 : end + 1]


@dataclass
class Likelihood:
    """Negative log likelihoods of scored tokens, as they are added."""

    losses: list[np.ndarray] = field(default_factory=list)

    def add(self, log_p: np.ndarray, following: list[int]) -> np.ndarray:
        """Log probabilities [n, n_vocab] and the tokens that came; the probabilities of these."""
        chosen = log_p[np.arange(len(following)), following]
        self.losses.append(-chosen)
        return np.exp(chosen)

    def result(self) -> dict[str, float]:
        """Perplexity and its standard error, as the mean loss and its error give them."""
        losses = np.concatenate(self.losses)
        perplexity = float(np.exp(losses.mean()))
        error = float(losses.std() / np.sqrt(max(1, len(losses) - 1)))
        return {"perplexity": perplexity, "perplexity_error": perplexity * error, "scored_tokens": len(losses)}


def perplexity(contender: Contender, chunks: list[list[int]], stride: int | None = None) -> dict[str, float]:
    """Perplexity with its standard error, and the tokens per second at which the chunks were computed and scored."""
    likelihood, seconds = Likelihood(), time.perf_counter()
    for chunk in chunks:
        for logits, following in scored(contender, chunk, stride):
            likelihood.add(log_softmax(logits), following)
    seconds = time.perf_counter() - seconds
    return likelihood.result() | {"tokens_per_s": sum(map(len, chunks)) / seconds}


def divergence(
    contender: Contender, reference: Contender, chunks: list[list[int]], stride: int | None = None
) -> dict[str, float]:
    """How far a model's probabilities are from the reference's, over all scored positions.

    kl_*: Kullback-Leibler divergence in nats; top1: share of positions with the same likeliest token; rms_dp: root mean
    square of the change of the probability of the token that came; then both perplexities.
    """
    own, exact = Likelihood(), Likelihood()
    distances, same, changes = [], [], []
    for chunk in chunks:
        for (logits, following), (true_logits, _) in zip(
            scored(contender, chunk, stride), scored(reference, chunk, stride), strict=True
        ):
            q, p = log_softmax(logits), log_softmax(true_logits)
            distances.append((np.exp(p) * (p - q)).sum(axis=-1))
            same.append(q.argmax(axis=-1) == p.argmax(axis=-1))
            changes.append(own.add(q, following) - exact.add(p, following))
    kl, top1, change = (np.concatenate(parts) for parts in (distances, same, changes))
    result = own.result()
    return {
        "kl_mean": float(kl.mean()),
        "kl_error": float(kl.std() / np.sqrt(max(1, len(kl) - 1))),
        "kl_median": float(np.median(kl)),
        "kl_p99": float(np.percentile(kl, 99)),
        "kl_max": float(kl.max()),
        "top1": float(top1.mean()),
        "rms_dp": float(np.sqrt((change**2).mean())),
        **result,
        "perplexity_reference": exact.result()["perplexity"],
    }
