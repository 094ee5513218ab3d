"""Constrained output: a grammar in, masks of the tokens that may come next out. The work is done by `llguidance`.

`Grammar` is what a caller asks for (JSON schema, regex, Lark, GBNF): plain data. `GrammarCompiler` belongs to one
tokenizer: it builds llguidance's view of the vocabulary once, on first use, and compiles grammars to a `Constraint`,
which follows one request token by token. A grammar that cannot be used is a RequestError with llguidance's message.
"""

from __future__ import annotations

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from llm_core.errors import RequestError

MAX_GRAMMAR_CHARS = 1 << 20
KEPT_GRAMMARS = 32
MAX_MASK_S = 5.0


@dataclass(frozen=True)
class Grammar:
    """A grammar's text and its kind: "json_schema", "regex", "lark" or "gbnf". Build it with the class methods."""

    kind: str
    text: str

    def __post_init__(self) -> None:
        if self.kind not in _TO_LLGUIDANCE:
            raise RequestError(f"grammar kind is {self.kind!r}: one of {', '.join(_TO_LLGUIDANCE)} wanted")
        if not isinstance(self.text, str):
            raise RequestError(f"{self.kind} grammar is a {type(self.text).__name__}: a text wanted")
        if not self.text.strip() or len(self.text) > MAX_GRAMMAR_CHARS:
            raise RequestError(f"{self.kind} grammar has {len(self.text)} characters: 1 to {MAX_GRAMMAR_CHARS} wanted")

    @classmethod
    def json(cls, schema: Mapping | str | bool) -> Grammar:
        """JSON text that the JSON schema (a mapping, or its JSON text) accepts."""
        if not isinstance(schema, str):
            try:
                schema = json.dumps(schema)
            except (TypeError, ValueError, RecursionError) as error:
                raise RequestError(f"JSON schema cannot be written as JSON: {error}") from None
        return cls("json_schema", schema)

    @classmethod
    def regex(cls, pattern: str) -> Grammar:
        """Text that matches the whole regular expression (Rust `regex` syntax, no look-around)."""
        return cls("regex", pattern)

    @classmethod
    def lark(cls, text: str) -> Grammar:
        """Text of the Lark grammar (llguidance's dialect; the start rule is `start`)."""
        return cls("lark", text)

    @classmethod
    def gbnf(cls, text: str) -> Grammar:
        """Text of the GBNF grammar (llama.cpp's notation; the start rule is `root`)."""
        return cls("gbnf", text)


# One way to write each value, the one models see most: then most punctuation is forced and costs no step of its own.
_JSON_STYLE = {"item_separator": ", ", "key_separator": ": ", "whitespace_flexible": False}


def _json_schema(text: str) -> str:
    from llguidance import LLMatcher

    try:
        schema = json.loads(text)
    except ValueError as error:
        raise RequestError(f"JSON schema is not JSON: {error}") from None
    if isinstance(schema, bool):
        schema = {} if schema else {"not": {}}
    if not isinstance(schema, dict):
        raise RequestError(f"JSON schema is a {type(schema).__name__}: an object wanted")
    return LLMatcher.grammar_from_json_schema(schema, defaults=_JSON_STYLE)


def _regex(text: str) -> str:
    from llguidance import LLMatcher

    return LLMatcher.grammar_from_regex(text)


def _lark(text: str) -> str:
    from llguidance import LLMatcher

    return LLMatcher.grammar_from_lark(text)


def _gbnf(text: str) -> str:
    from llm_core.gbnf import gbnf_to_lark

    return _lark(gbnf_to_lark(text))


_TO_LLGUIDANCE = {"json_schema": _json_schema, "regex": _regex, "lark": _lark, "gbnf": _gbnf}


class GrammarCompiler:
    """Grammars for one tokenizer. Thread-safe; the vocabulary is read on the first `compile`.

    `tokenizer`: encode, token_bytes, n_vocab, stop_ids (docs/architecture.md); `n_vocab`: the width of the model's
    logits.
    """

    def __init__(self, tokenizer, n_vocab: int) -> None:
        self._tokenizer = tokenizer
        self.n_vocab = n_vocab
        self._vocabulary = None
        self._compiled: OrderedDict[Grammar, object] = OrderedDict()
        self._lock = threading.Lock()

    def prepare(self) -> None:
        """Read the vocabulary now (seconds for a big one) instead of on the first `compile`."""
        with self._lock:
            if self._vocabulary is None:
                self._vocabulary = _vocabulary(self._tokenizer, self.n_vocab)

    def compile(self, grammar: Grammar) -> Constraint:
        """A fresh Constraint at the grammar's start; RequestError when the grammar is bad."""
        self.prepare()
        with self._lock:
            matcher = self._compiled.get(grammar)
        if matcher is None:
            matcher = self._build(grammar)  # may take long: nobody else has to wait for it
        with self._lock:
            self._compiled[grammar] = matcher
            self._compiled.move_to_end(grammar)
            while len(self._compiled) > KEPT_GRAMMARS:
                self._compiled.popitem(last=False)
            return Constraint(matcher.deep_copy(), self.n_vocab)

    def _build(self, grammar: Grammar):
        from llguidance import LLMatcher

        try:
            matcher = LLMatcher(self._vocabulary, _TO_LLGUIDANCE[grammar.kind](grammar.text), log_level=0)
        except (ValueError, RecursionError) as error:
            raise RequestError(f"{grammar.kind} grammar: {error}") from None
        if not matcher.is_error():
            # The first mask is the dearest: the copies find its automaton ready, and what costs too much is refused.
            started = time.monotonic()
            matcher.compute_bitmask()
            _check_cost(started)
        if matcher.is_error():
            raise RequestError(f"{grammar.kind} grammar: {_reason(matcher)}")
        return matcher


def _reason(matcher) -> str:
    """llguidance's message without the dump of its state that can follow."""
    return matcher.get_error().partition("<state>")[0].strip()


def _check_cost(started: float) -> None:
    """Refuse a grammar whose masks hold everybody up: it forces texts of some hundred thousand bytes."""
    seconds = time.monotonic() - started
    if seconds > MAX_MASK_S:
        raise RequestError(
            f"grammar: finding the next allowed tokens took {seconds:.1f} s; at most {MAX_MASK_S} s are allowed"
        )


class Constraint:
    """Where one request stands in its grammar."""

    def __init__(self, matcher, n_vocab: int) -> None:
        self._matcher = matcher
        self._words = np.zeros((n_vocab + 31) // 32, dtype=np.int32)

    def mask(self) -> np.ndarray:
        """int32 words [(n_vocab + 31) // 32]: bit i of word w allows token 32 w + i. Valid until the next call."""
        started = time.monotonic()
        self._matcher.unsafe_compute_mask_ptr(self._words.ctypes.data, self._words.nbytes)
        self._check()
        _check_cost(started)
        return self._words

    def accept(self, token: int) -> None:
        """Step over a token; RequestError when the grammar does not allow it."""
        self._matcher.consume_token(token)
        self._check()

    def allowed(self, tokens: list[int]) -> int:
        """How many of `tokens`, from the first on, the grammar would accept."""
        return self._matcher.validate_tokens(tokens)

    def forced(self) -> list[int]:
        """The tokens that must come next, in the model's own tokenization; they still have to be accepted."""
        return self._matcher.compute_ff_tokens()

    @property
    def complete(self) -> bool:
        """The text so far is whole and nothing can follow."""
        return self._matcher.is_stopped()

    @property
    def accepting(self) -> bool:
        """The text so far is whole; more may follow."""
        return self._matcher.is_accepting()

    def _check(self) -> None:
        if self._matcher.is_error():
            raise RequestError(f"grammar: {_reason(self._matcher)}")


class _Vocabulary:
    """What llguidance asks of a tokenizer: the bytes of every token, and how bytes split into tokens."""

    def __init__(self, tokenizer, n_vocab: int) -> None:
        # A leading 0xff marks tokens that never match text: control tokens, and ids without text.
        texts = [tokenizer.token_bytes(i) for i in range(min(tokenizer.n_vocab, n_vocab))]
        control = frozenset(tokenizer.control_ids) | frozenset(tokenizer.stop_ids)
        self.tokens = [b"\xff" + t if i in control else t for i, t in enumerate(texts)]
        self.tokens += [b""] * (n_vocab - len(texts))
        self.special_token_ids = sorted(i for i in control if i < n_vocab)
        self.eos_token_id = min(tokenizer.stop_ids, default=0)
        self.bos_token_id = tokenizer.bos_id
        self._tokenizer = tokenizer
        self._texts = texts
        self._ids = {text: i for i, text in reversed(list(enumerate(texts))) if text and i not in control}
        self._longest = max(map(len, self._ids), default=1)

    def __call__(self, text) -> list[int]:
        data = text.encode() if isinstance(text, str) else bytes(text)
        try:
            ids = self._tokenizer.encode(data.decode(), add_special=False, parse_special=False)
        except UnicodeDecodeError:
            ids = []
        # A tokenizer may add a space in front: then its ids are not this text, and the longest match is taken instead.
        return ids if b"".join(self._texts[i] for i in ids) == data else self._longest_match(data)

    def _longest_match(self, data: bytes) -> list[int]:
        ids, at = [], 0
        while at < len(data):
            for size in range(min(self._longest, len(data) - at), 0, -1):
                token = self._ids.get(data[at : at + size])
                if token is not None:
                    ids.append(token)
                    at += size
                    break
            else:
                at += 1
        return ids


def _vocabulary(tokenizer, n_vocab: int):
    from llguidance import LLTokenizer, TokenizerWrapper

    stops = sorted(i for i in tokenizer.stop_ids if i < n_vocab)
    return LLTokenizer(TokenizerWrapper(_Vocabulary(tokenizer, n_vocab)), n_vocab=n_vocab, eos_token=stops or None)
