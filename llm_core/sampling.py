"""From one row of logits to one token: validated parameters, pure filters, and one factory that chains them.

In: float32 logits [n_vocab] of one position, the request's tokens so far, an optional bit mask of a grammar. Out: a
token id. The order is that of llama.cpp's default chain: logit bias, penalties, top-k, typical, top-p, min-p,
temperature, draw. A filter maps `Candidates` to fewer `Candidates` and knows nothing of requests. All randomness is
one uniform number a drawn token from the request's own generator, so a seed gives the same text whatever else runs.
Knows no model and no engine.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from numbers import Integral, Real
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from llm_core.errors import ModelError, RequestError
from llm_core.grammar import Grammar

INT_MAX = 2**31 - 1
MAX_STOPS = 64
# Ids whose logits a runner computes together, and the share of all such panels below which choosing them pays.
PANEL = 16
TIGHT = 0.5

# name: (kind, low, high, low itself allowed, None allowed)
_RANGES = {
    "max_tokens": (Integral, 1, INT_MAX, True, True),
    "temperature": (Real, 0.0, 100.0, True, False),
    "top_k": (Integral, 0, INT_MAX, True, False),
    "top_p": (Real, 0.0, 1.0, False, False),
    "min_p": (Real, 0.0, 1.0, True, False),
    "typical_p": (Real, 0.0, 1.0, False, False),
    "repeat_penalty": (Real, 0.0, 100.0, False, False),
    "frequency_penalty": (Real, -100.0, 100.0, True, False),
    "presence_penalty": (Real, -100.0, 100.0, True, False),
    "penalty_last_n": (Integral, -1, INT_MAX, True, False),
    "seed": (Integral, 0, 2**64 - 1, True, True),
    "logprobs": (Integral, 0, 100, True, True),
}


@dataclass(frozen=True)
class SamplingParams:
    """What one request asks of the sampler and when it ends. Raises RequestError naming the field and the value.

    The defaults are llama.cpp's. A filter is off at: top_k 0, top_p 1, min_p 0, typical_p 1, repeat_penalty 1, the
    other penalties 0. `temperature` 0 is greedy: always the best token, the filters do not matter.
    """

    max_tokens: int | None = 512  # tokens to generate at most; None: until the model stops or the context is full
    temperature: float = 0.8  # 0: greedy
    top_k: int = 40  # keep the k best tokens
    top_p: float = 0.95  # keep the smallest set of best tokens whose probabilities reach top_p
    min_p: float = 0.05  # keep tokens at least min_p times as probable as the best
    typical_p: float = 1.0  # locally typical sampling (Meister et al. 2022)
    repeat_penalty: float = 1.0  # logits of recent tokens: divided by this when positive, multiplied when negative
    frequency_penalty: float = 0.0  # subtracted from a recent token's logit once for every time it occurs
    presence_penalty: float = 0.0  # subtracted once from the logit of every recent token
    penalty_last_n: int = 64  # how many of the last tokens (prompt included) are "recent"; 0: none, -1: all
    seed: int | None = None  # None: a fresh one, told in Completion.seed
    logprobs: int | None = None  # None: off; n: the chosen token's and the n best's, from the raw distribution
    logit_bias: Mapping[int, float] = field(default_factory=dict)  # added to the logits of these ids; -inf: never
    stop: Sequence[str] = ()  # texts that end the answer and are not part of it
    stop_ids: Sequence[int] = ()  # ids that end the answer, besides the model's own
    ignore_eos: bool = False  # the model's own stop ids are never drawn
    grammar: Grammar | None = None  # the answer must match it

    def __post_init__(self) -> None:
        for name in _RANGES:
            object.__setattr__(self, name, _number(name, getattr(self, name)))
        if not isinstance(self.ignore_eos, (bool, np.bool_)):
            raise RequestError(f"ignore_eos is {self.ignore_eos!r}: true or false wanted")
        if self.grammar is not None and not isinstance(self.grammar, Grammar):
            raise RequestError(f"grammar is a {type(self.grammar).__name__}: Grammar.lark/.gbnf/.regex/.json wanted")
        object.__setattr__(self, "stop", _stops(self.stop))
        object.__setattr__(self, "stop_ids", _ids("stop_ids", self.stop_ids))
        object.__setattr__(self, "logit_bias", _bias(self.logit_bias))

    @property
    def penalizes(self) -> bool:
        """Whether any of the three penalties does something."""
        changed = self.repeat_penalty != 1.0 or self.frequency_penalty != 0.0 or self.presence_penalty != 0.0
        return changed and self.penalty_last_n != 0

    def check_vocabulary(self, n_vocab: int) -> None:
        """Raise RequestError for an id in `logit_bias` or `stop_ids` that the model does not have."""
        for name in ("stop_ids", "logit_bias"):
            for token in getattr(self, name):
                if not token < n_vocab:
                    raise RequestError(f"{name} has the id {token}: the model's ids are 0 to {n_vocab - 1}")


def _number(name: str, value):
    kind, low, high, closed, optional = _RANGES[name]
    if value is None and optional:
        return None
    word = "an integer" if kind is Integral else "a number"
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, kind):
        raise RequestError(f"{name} is {value!r}: {word}{' or None' if optional else ''} wanted")
    value = int(value) if kind is Integral else float(value)
    if not (low <= value <= high) or (value == low and not closed):
        raise RequestError(f"{name} is {value}: {word} {'from' if closed else 'above'} {low} to {high} wanted")
    return value


def _stops(value) -> tuple[str, ...]:
    stops = (value,) if isinstance(value, str) else value
    if not isinstance(stops, Sequence) or isinstance(stops, (bytes, bytearray)):
        raise RequestError(f"stop is {value!r}: a list of texts wanted")
    if len(stops) > MAX_STOPS:
        raise RequestError(f"stop has {len(stops)} texts: at most {MAX_STOPS} are allowed")
    for text in stops:
        if not isinstance(text, str) or not text:
            raise RequestError(f"stop has {text!r}: texts of at least one character wanted")
        if any("\ud800" <= c <= "\udfff" for c in text):
            raise RequestError(f"stop has {text!r}: it is not Unicode text, so no answer could ever hold it")
    return tuple(stops)


def _is_id(value) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and 0 <= value <= INT_MAX


def _ids(name: str, value) -> tuple[int, ...]:
    if isinstance(value, (str, bytes)) or not isinstance(value, (Sequence, set, frozenset, np.ndarray)):
        raise RequestError(f"{name} is {value!r}: a list of token ids wanted")
    for token in value:
        if not _is_id(token):
            raise RequestError(f"{name} has {token!r}: token ids (0 or more) wanted")
    return tuple(int(token) for token in value)


def _bias(value) -> Mapping[int, float]:
    if not isinstance(value, Mapping):
        raise RequestError(f"logit_bias is {value!r}: a mapping from token id to number wanted")
    for token, bias in value.items():
        if not _is_id(token):
            raise RequestError(f"logit_bias has the key {token!r}: token ids (0 or more) wanted")
        if isinstance(bias, bool) or not isinstance(bias, Real) or math.isnan(bias) or bias > 1e6:
            raise RequestError(f"logit_bias[{token}] is {bias!r}: a number of at most 1e6, or -inf, wanted")
    return MappingProxyType({int(token): float(bias) for token, bias in value.items()})


class Candidates(NamedTuple):
    """Tokens that may still be drawn. `best_first`: the logits are known to fall."""

    ids: np.ndarray  # int64 [n]
    logits: np.ndarray  # float32 [n]
    best_first: bool


def top_k(c: Candidates, k: int) -> Candidates:
    """The k best, best first."""
    if c.best_first:
        return Candidates(c.ids[:k], c.logits[:k], True)
    if k >= c.ids.size:
        return c
    best = _largest(c.logits, k)
    return Candidates(c.ids[best], c.logits[best], True)


def top_p(c: Candidates, p: float) -> Candidates:
    """The fewest best tokens whose probabilities add up to p or more (Holtzman et al. 2019)."""
    if c.best_first:
        mass = np.cumsum(np.exp(c.logits - c.logits[0]), dtype=np.float64)
        size = int(np.searchsorted(mass, p * mass[-1])) + 1
        return Candidates(c.ids[:size], c.logits[:size], True)
    weights = np.exp(c.logits - c.logits.max())
    total = weights.sum(dtype=np.float64)
    # Tokens below this weight cannot weigh 1 - p together: they are out, and only the others need sorting.
    head = np.flatnonzero(weights >= 0.5 * (1 - p) * total / weights.size)
    mass = np.cumsum(np.sort(weights[head])[::-1], dtype=np.float64)
    size = min(int(np.searchsorted(mass, p * total)) + 1, head.size)
    best = head[_largest(weights[head], size, in_order=False)]
    return Candidates(c.ids[best], c.logits[best], False)


def min_p(c: Candidates, p: float) -> Candidates:
    """Tokens at least p times as probable as the best."""
    keep = np.flatnonzero(c.logits >= c.logits.max() + np.float32(math.log(p)))
    return Candidates(c.ids[keep], c.logits[keep], c.best_first)


def typical(c: Candidates, p: float) -> Candidates:
    """Tokens whose surprise is nearest to the entropy, until their probabilities exceed p (Meister et al. 2022)."""
    logprob = _log_softmax(c.logits)
    prob = np.exp(logprob)
    entropy = -float(np.sum(prob * np.where(prob > 0, logprob, 0.0)))
    order = np.argsort(np.abs(-logprob - entropy), kind="stable")
    keep = np.sort(order[: int(np.searchsorted(np.cumsum(prob[order]), p, side="right")) + 1])
    return Candidates(c.ids[keep], c.logits[keep], c.best_first)


def temperature(c: Candidates, t: float) -> Candidates:
    """Logits divided by t (> 0)."""
    return Candidates(c.ids, c.logits / np.float32(t), c.best_first)


def penalize(logits: np.ndarray, recent: Sequence[int], params: SamplingParams) -> None:
    """Lower the logits [n_vocab] of the `recent` tokens in place, as llama.cpp does; numbers below 0 are no tokens."""
    ids, counts = np.unique([token for token in recent if token >= 0], return_counts=True)
    ids = ids.astype(np.int64)
    x = logits[ids]
    x = np.where(x > 0, x / params.repeat_penalty, x * params.repeat_penalty)
    logits[ids] = x - counts * params.frequency_penalty - params.presence_penalty


def draw(c: Candidates, uniform: float) -> int:
    """The id at `uniform` (in [0, 1)) of the cumulative distribution."""
    weights = np.exp(c.logits - c.logits.max())
    # Two levels, so that a whole vocabulary needs no running sum over all of it.
    starts = np.arange(0, weights.size, 512)
    sums = np.cumsum(np.add.reduceat(weights, starts, dtype=np.float64))
    target = uniform * sums[-1]
    part = min(int(np.searchsorted(sums, target, side="right")), starts.size - 1)
    first = int(starts[part])
    mass = np.cumsum(weights[first : first + 512], dtype=np.float64)
    before = sums[part - 1] if part else 0.0
    at = first + int(np.searchsorted(mass, target - before, side="right"))
    # Rounding can point past the end, or at a token of weight 0: then the last one with a weight is meant.
    at = min(at, first + mass.size - 1)
    return int(c.ids[at if weights[at] > 0 else np.flatnonzero(weights)[-1]])


class TokenLogprob(NamedTuple):
    """Natural log probabilities of the raw distribution (before bias, penalties, grammar and filters)."""

    token: int
    logprob: float
    top: tuple[tuple[int, float], ...]  # the n best (id, logprob), best first


def token_logprob(logits: np.ndarray, token: int, n: int) -> TokenLogprob:
    """`token`'s log probability and those of the n best, from raw logits float32 [n_vocab]."""
    high = float(logits.max())
    norm = high + math.log(float(np.exp(logits - np.float32(high)).sum(dtype=np.float64)))
    best = _largest(logits, n) if n else ()
    return TokenLogprob(token, float(logits[token]) - norm, tuple((int(i), float(logits[i]) - norm) for i in best))


class Sampler:
    """One request's sampler: the filter chain its parameters ask for, its random generator, its scratch row."""

    def __init__(self, params: SamplingParams, n_vocab: int, banned: Sequence[int] = ()) -> None:
        self.params = params
        self.seed = params.seed if params.seed is not None else secrets.randbits(63)
        self._random = np.random.Generator(np.random.PCG64(self.seed))
        self._chain = _chain(params)
        bias = dict(params.logit_bias) | dict.fromkeys(banned, -math.inf)
        self._bias_ids = np.array(list(bias), dtype=np.int64)
        self._bias = np.array(list(bias.values()), dtype=np.float32)
        self._ids = _all_ids(n_vocab)
        self._row: np.ndarray | None = None

    def sample(self, logits: np.ndarray, history: Sequence[int], mask: np.ndarray | None = None) -> int:
        """The next token for raw `logits` float32 [n_vocab], which are left as they are.

        `history`: all tokens so far. `mask`: int32 words, bit i of word w allows token 32 w + i; when it has
        `tight_panels`, no logits but theirs are looked at.
        Raises RequestError when nothing is allowed, ModelError when the logits are not finite.
        """
        row = self._edit(logits, history)
        if mask is None:
            candidates = Candidates(self._ids, row, False)
            self._check(row, masked=False)
        else:
            candidates = self._allowed(row, mask)
        if self.params.temperature == 0:
            return int(candidates.ids[candidates.logits.argmax()])
        for keep in self._chain:
            candidates = keep(candidates)
        return draw(candidates, self._random.random())

    def _allowed(self, row: np.ndarray, mask: np.ndarray) -> Candidates:
        """The tokens that the mask allows, or as many of the best of them as are needed."""
        panels = tight_panels(mask)
        if panels is not None:
            bits = np.unpackbits(mask.view(np.uint8).reshape(-1, 2)[panels], axis=1, bitorder="little")
            which, bit = np.nonzero(bits)
            return self._finite(panels[which] * PANEL + bit, row)
        wanted = self.params.top_k
        if self.params.temperature == 0:
            wanted = 1
            best = row.argmax(keepdims=True)
            if np.isfinite(row[best[0]]) and mask[best[0] >> 5] >> (best[0] & 31) & 1:
                return Candidates(best, row[best], True)
        if 0 < wanted < row.size // 64 and np.isfinite(row.max()):
            # Enough of the best of all are mostly allowed: then only their bits need to be looked at.
            best = _largest(row, 4 * wanted + 60)
            best = best[(mask[best >> 5] >> (best & 31) & 1).astype(np.bool_)]
            if best.size >= wanted:
                return Candidates(best[:wanted], row[best[:wanted]], True)
        return self._finite(np.flatnonzero(np.unpackbits(mask.view(np.uint8), count=row.size, bitorder="little")), row)

    def _finite(self, ids: np.ndarray, row: np.ndarray) -> Candidates:
        candidates = Candidates(ids, row[ids], False)
        self._check(candidates.logits, masked=True)
        return candidates

    def _edit(self, logits: np.ndarray, history: Sequence[int]) -> np.ndarray:
        """Bias and penalties, on a copy."""
        if not self._bias_ids.size and not self.params.penalizes:
            return logits
        if self._row is None:
            self._row = np.empty_like(logits)
        self._row[:] = logits
        if self._bias_ids.size:
            self._row[self._bias_ids] += self._bias
        if self.params.penalizes:
            n = self.params.penalty_last_n
            penalize(self._row, history if n < 0 else history[-n:], self.params)
        return self._row

    def _check(self, logits: np.ndarray, masked: bool) -> None:
        best = logits.max() if logits.size else -math.inf
        if np.isfinite(best):
            return
        if best == -math.inf and (masked or self._bias_ids.size):
            why = (
                "the grammar, logit_bias and stop settings leave no token" if masked else "logit_bias bans every token"
            )
            raise RequestError(f"no token can be drawn: {why}")
        raise ModelError(f"the model's logits are not finite (their maximum is {best})")


def tight_panels(mask: np.ndarray) -> np.ndarray | None:
    """The ascending numbers of the panels of PANEL ids in which a mask (see `Sampler.sample`) allows any; None when
    they are so many that the whole row of logits costs about the same."""
    words = mask.view(np.uint16)
    panels = np.flatnonzero(words)
    return panels if panels.size < TIGHT * words.size else None


@lru_cache(maxsize=8)
def _all_ids(n_vocab: int) -> np.ndarray:
    ids = np.arange(n_vocab)
    ids.flags.writeable = False  # every request's sampler has the same one
    return ids


def _chain(params: SamplingParams) -> list[Callable[[Candidates], Candidates]]:
    """The filters that do something, in order."""
    steps = [
        (params.top_k > 0, partial(top_k, k=params.top_k)),
        (params.typical_p < 1, partial(typical, p=params.typical_p)),
        (params.top_p < 1, partial(top_p, p=params.top_p)),
        (params.min_p > 0, partial(min_p, p=params.min_p)),
        (params.temperature != 1, partial(temperature, t=params.temperature)),
    ]
    return [step for wanted, step in steps if wanted]


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    """float64."""
    x = logits.astype(np.float64) - float(logits.max())
    return x - math.log(float(np.exp(x).sum()))


def _largest(x: np.ndarray, k: int, in_order: bool = True) -> np.ndarray:
    """Indices of the k largest of x, ties by index; largest first, or `in_order=False`: by index.

    For a big x: split it into groups; the k-th largest of the groups' maxima is a lower bound of the k-th largest of
    all, so only the few values above it need sorting. Two passes at memory speed instead of a partition of
    everything.
    """
    if in_order:
        k = min(k, x.size)
        width = 64
        while width > 1 and x.size // width < 4 * k:
            width //= 2
        groups = x.size // width
        maxima = x[: groups * width].reshape(width, groups).max(axis=0) if width > 1 else x
        picked = np.flatnonzero(x >= np.partition(maxima, maxima.size - k)[maxima.size - k])
        return picked[np.argsort(-x[picked], kind="stable")[:k]]
    border = np.partition(x, x.size - k)[x.size - k]
    above = x > border
    even = np.flatnonzero(x == border)[: k - np.count_nonzero(above)]
    above[even] = True
    return np.flatnonzero(above)
