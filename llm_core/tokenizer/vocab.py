"""The vocabulary of a GGUF file: `Vocab.from_metadata(metadata)` checks every `tokenizer.ggml.*` key once.

In: a mapping of metadata keys to values. Out: a frozen `Vocab` (token texts, types, scores, special ids, flags) in
which every id is in range and every list has the right length. Anything else is a `ModelError` that names the key and
the value. Defaults per tokenizer model, and the spellings that mark end of turn or fill-in-the-middle tokens, are
those of llama.cpp.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from llm_core.errors import ModelError

PREFIX = "tokenizer.ggml."
MAX_TOKENS = 1 << 24
NO_ID = 0xFFFFFFFF  # converters write -1 as an unsigned 32 bit number for "there is none"


class TokenType(IntEnum):
    """`tokenizer.ggml.token_type` values."""

    UNDEFINED = 0
    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


@dataclass(frozen=True)
class ModelDefaults:
    """What a tokenizer model means when the file does not say: special ids and flags."""

    ids: Mapping[str, int]
    add_bos: bool = False
    add_eos: bool = False
    add_sep: bool = False
    add_space_prefix: bool = False
    needs: str | None = None


DEFAULTS: dict[str, ModelDefaults] = {
    "gpt2": ModelDefaults({}, needs="merges"),
    "llama": ModelDefaults({"bos": 1, "eos": 2, "unk": 0}, add_bos=True, add_space_prefix=True, needs="scores"),
    "bert": ModelDefaults({"bos": 101, "unk": 100, "sep": 102, "pad": 0}, add_bos=True, add_sep=True),
    "t5": ModelDefaults({"eos": 1, "unk": 2, "pad": 0}, add_eos=True, add_space_prefix=True, needs="scores"),
}

# role -> metadata keys, the first one present wins
ID_KEYS: dict[str, tuple[str, ...]] = {
    "bos": ("bos_token_id", "cls_token_id"),
    "eos": ("eos_token_id",),
    "eot": ("eot_token_id",),
    "eom": ("eom_token_id",),
    "unk": ("unknown_token_id",),
    "sep": ("seperator_token_id", "separator_token_id"),
    "pad": ("padding_token_id",),
    "fim_pre": ("fim_pre_token_id", "prefix_token_id"),
    "fim_suf": ("fim_suf_token_id", "suffix_token_id"),
    "fim_mid": ("fim_mid_token_id", "middle_token_id"),
    "fim_pad": ("fim_pad_token_id",),
    "fim_rep": ("fim_rep_token_id",),
    "fim_sep": ("fim_sep_token_id",),
}

# role -> spellings that fill it when the file names no id; each is a control token whatever its declared type
ROLE_SPELLINGS: dict[str, tuple[str, ...]] = {
    "eot": ("<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "<|end_of_text|>", "<EOT>",
            "_<EOT>", "[EOT]", "<｜end▁of▁sentence｜>", "<end_of_utterance>"),
    "eom": ("<|eom_id|>",),
    "fim_pre": ("<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", "<｜fim▁begin｜>", "<PRE>", "▁<PRE>",
                "<|code_prefix|>", "<|prefix|>"),
    "fim_suf": ("<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>", "<｜fim▁hole｜>", "<SUF>", "▁<SUF>",
                "<|code_suffix|>", "<|suffix|>"),
    "fim_mid": ("<|fim_middle|>", "<fim-middle>", "<fim_middle>", "<｜fim▁end｜>", "<MID>", "▁<MID>",
                "<|code_middle|>", "<|middle|>"),
    "fim_pad": ("<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"),
    "fim_rep": ("<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"),
    "fim_sep": ("<|file_sep|>",),
}  # fmt: skip
STOP_ROLES = ("eos", "eot", "eom", "fim_pad", "fim_rep", "fim_sep")
STOP_SPELLINGS = (
    "<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|flush|>", "<|calls|>", "<end_of_turn>",
    "<|endoftext|>", "</s>", "<|eom_id|>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]", "<|end_of_text|>",
    "<end_of_utterance>", "<eos>", "<turn|>", "<|tool_response>", "<｜end▁of▁sentence｜>", "[e~[",
)  # fmt: skip
_NO_RSTRIP = ("<unk>", "<s>", "<|endoftext|>")  # Phi-3, see _rstrip
# these shape the answer itself (gpt-oss channels), so they are shown as text
SHOWN_SPELLINGS = ("<|channel|>", "<|message|>", "<|start|>", "<|constrain|>")
_SPELLINGS = frozenset(
    (*STOP_SPELLINGS, *SHOWN_SPELLINGS, *(s for spellings in ROLE_SPELLINGS.values() for s in spellings), *_NO_RSTRIP)
)


@dataclass(frozen=True)
class Vocab:
    """Checked vocabulary. `types[i]` is a TokenType; `ids` maps roles (bos, eos, eot, …) to token ids."""

    model: str
    pre: str | None
    tokens: list[str]
    types: list[int]
    scores: list[float] | None
    ids: Mapping[str, int]
    stop_ids: frozenset[int]
    add_bos: bool | None  # None: the file does not say
    add_eos: bool
    add_sep: bool
    add_space_prefix: bool
    remove_extra_whitespaces: bool
    lowercase: bool
    strip_accents: bool
    rstrip: frozenset[int]
    merges: list[str] | None = None
    charsmap: bytes = b""

    def text_ids(self, hidden: Iterable[int]) -> dict[str, int]:
        """Token text → id, without the ids in `hidden`."""
        ids = dict(zip(self.tokens, range(len(self.tokens)), strict=True))
        for token in hidden:
            del ids[self.tokens[token]]
        return ids

    def of_type(self, *types: int) -> list[int]:
        """Ids whose type is one of `types`, ascending."""
        # as bytes, searched by `re`: several times faster than a loop over 262,144 tokens
        return [match.start() for match in re.finditer(b"[" + bytes(types) + b"]", bytes(self.types))]

    @staticmethod
    def from_metadata(metadata: Mapping[str, Any]) -> Vocab:
        """Read and check all keys; raises ModelError naming the key and the value."""
        model = _get(metadata, "model", str, None)
        if model is None:
            raise ModelError(f"{PREFIX}model: missing (the file has no tokenizer)")
        if model not in DEFAULTS:
            raise ModelError(f"{PREFIX}model: unknown tokenizer {model!r}; known: {', '.join(sorted(DEFAULTS))}")
        default = DEFAULTS[model]
        tokens = _tokens(metadata)
        types = _types(metadata, len(tokens))
        scores = _scores(metadata, len(tokens))
        merges = _list(metadata, "merges", str) if model == "gpt2" else None
        if default.needs and not {"scores": scores, "merges": merges}[default.needs]:
            raise ModelError(f"{PREFIX}{default.needs}: missing, and tokenizer {model!r} needs it")
        index = {text: tokens.index(text) for text in sorted(_SPELLINGS.intersection(tokens))}
        ids = _special_ids(metadata, default, len(tokens))
        stop_ids = _roles_by_spelling(index, types, ids)
        lowercase = _get(metadata, "normalizer.lowercase", bool, True)
        vocab = Vocab(
            model=model,
            pre=_get(metadata, "pre", str, None),
            tokens=tokens,
            types=types,
            scores=scores,
            ids=ids,
            stop_ids=frozenset(stop_ids),
            add_bos=_get(metadata, "add_bos_token", bool, default.add_bos or None),
            add_eos=_get(metadata, "add_eos_token", bool, default.add_eos),
            add_sep=_get(metadata, "add_sep_token", bool, default.add_sep),
            add_space_prefix=_get(metadata, "add_space_prefix", bool, default.add_space_prefix),
            remove_extra_whitespaces=_get(metadata, "remove_extra_whitespaces", bool, False),
            lowercase=lowercase,
            strip_accents=_get(metadata, "normalizer.strip_accents", bool, lowercase),
            rstrip=_rstrip(metadata, index, types),
            merges=merges,
            charsmap=_charsmap(metadata),
        )
        for flag, role in (("add_bos", "bos"), ("add_eos", "eos"), ("add_sep", "sep")):
            if getattr(vocab, flag) and role not in ids:
                raise ModelError(f"{PREFIX}{flag}_token: true, but the file names no {role} token")
        return vocab


def _get(metadata: Mapping[str, Any], key: str, kind: type, default: Any) -> Any:
    value = metadata.get(PREFIX + key)
    if value is None:
        return default
    if type(value) is not kind:
        raise ModelError(f"{PREFIX}{key}: expected {kind.__name__}, got {_short(value)}")
    return value


def _short(value: Any) -> str:
    text = repr(value[:3] if isinstance(value, (list, tuple, str, bytes)) else value)
    return f"{type(value).__name__} {text[:60]}"


def _list(metadata: Mapping[str, Any], key: str, *kinds: type) -> list | None:
    value = metadata.get(PREFIX + key)
    if value is None:
        return None
    if hasattr(value, "tolist"):
        value = value.tolist()
    if not isinstance(value, (list, tuple)):
        raise ModelError(f"{PREFIX}{key}: expected a list, got {_short(value)}")
    wrong = set(map(type, value)) - set(kinds)
    if wrong:
        bad = next(i for i, item in enumerate(value) if type(item) in wrong)
        names = " or ".join(kind.__name__ for kind in kinds)
        raise ModelError(f"{PREFIX}{key}[{bad}]: expected {names}, got {_short(value[bad])}")
    return list(value)


def _tokens(metadata: Mapping[str, Any]) -> list[str]:
    tokens = _list(metadata, "tokens", str)
    if not tokens:
        raise ModelError(f"{PREFIX}tokens: missing or empty")
    if len(tokens) > MAX_TOKENS:
        raise ModelError(f"{PREFIX}tokens: {len(tokens)} tokens, at most {MAX_TOKENS} are possible")
    if "" in tokens:  # an empty token can match nothing: give it a name of its own, as llama.cpp does
        tokens = [text or f"[EMPTY_{i}]" for i, text in enumerate(tokens)]
    if len(set(tokens)) != len(tokens):
        seen: dict[str, int] = {}
        for i, text in enumerate(tokens):
            if seen.setdefault(text, i) != i:
                raise ModelError(f"{PREFIX}tokens: {text[:60]!r} appears twice, as {seen[text]} and {i}")
    return tokens


def _types(metadata: Mapping[str, Any], n: int) -> list[int]:
    types = _list(metadata, "token_type", int)
    if types is None:
        return [int(TokenType.NORMAL)] * n
    if len(types) != n:
        raise ModelError(f"{PREFIX}token_type: {len(types)} entries for {n} tokens")
    unknown = set(types) - set(map(int, TokenType))
    if unknown:
        bad = next(i for i, t in enumerate(types) if t in unknown)
        raise ModelError(f"{PREFIX}token_type[{bad}]: {types[bad]} is not a token type (0 to 6)")
    return types


def _scores(metadata: Mapping[str, Any], n: int) -> list[float] | None:
    scores = _list(metadata, "scores", float, int)
    if scores is None:
        return None
    if len(scores) != n:
        raise ModelError(f"{PREFIX}scores: {len(scores)} entries for {n} tokens")
    if not math.isfinite(sum(map(abs, scores))):
        bad = next((i for i, s in enumerate(scores) if not math.isfinite(s)), 0)
        raise ModelError(f"{PREFIX}scores[{bad}]: {scores[bad]} is not a usable score")
    return scores


def _special_ids(metadata: Mapping[str, Any], default: ModelDefaults, n: int) -> dict[str, int]:
    ids = {role: i for role, i in default.ids.items() if i < n}
    for role, keys in ID_KEYS.items():
        for key in keys:
            value = _get(metadata, key, int, None)
            if value is None:
                continue
            if value in (NO_ID, -1):
                ids.pop(role, None)
            elif not 0 <= value < n:
                raise ModelError(f"{PREFIX}{key}: {value} is not a token id (the vocabulary has {n})")
            else:
                ids[role] = value
            break
    return ids


def _roles_by_spelling(index: dict[str, int], types: list[int], ids: dict[str, int]) -> set[int]:
    """Fill roles and types that the file leaves to the tokens' spellings; returns the ids that end a generation."""
    for role, spellings in ROLE_SPELLINGS.items():
        found = next((index[s] for s in spellings if s in index), None)
        if role not in ids and found is not None:
            ids[role] = found
            types[found] = TokenType.CONTROL
    stop = {ids[role] for role in STOP_ROLES if role in ids}
    for spelling in STOP_SPELLINGS:
        if spelling in index:
            stop.add(index[spelling])
            types[index[spelling]] = TokenType.CONTROL
    for spelling in SHOWN_SPELLINGS:
        if spelling in index:
            types[index[spelling]] = TokenType.USER_DEFINED
    present = {s for s in STOP_SPELLINGS if s in index}
    if "<|end|>" in present and ({"<|return|>", "<|call|>"} <= present or {"<|flush|>", "<|calls|>"} <= present):
        stop.discard(index["<|end|>"])  # there it ends a message, not the turn
        types[index["<|end|>"]] = TokenType.USER_DEFINED
    if "</s>" in present and "<|tool_response>" in present:
        stop.discard(index["</s>"])
        types[index["</s>"]] = TokenType.NORMAL
    return stop


def _rstrip(metadata: Mapping[str, Any], index: dict[str, int], types: Iterable[int]) -> frozenset[int]:
    """Special tokens that swallow the white space after them. GGUF does not carry this; Phi-3 is known by its name."""
    name = str(metadata.get("general.name", "")).lower()
    if "phi-3" not in name and "phi3" not in name:
        return frozenset()
    special = {TokenType.CONTROL, TokenType.USER_DEFINED, TokenType.UNKNOWN}
    keep = {index.get(text) for text in _NO_RSTRIP}
    return frozenset(i for i, t in enumerate(types) if t in special and i not in keep)


def _charsmap(metadata: Mapping[str, Any]) -> bytes:
    value = metadata.get(PREFIX + "precompiled_charsmap")
    if value is None or isinstance(value, bytes):
        return value or b""
    numbers = _list(metadata, "precompiled_charsmap", int) or []
    if any(not -128 <= b <= 255 for b in numbers):
        raise ModelError(f"{PREFIX}precompiled_charsmap: values are not bytes")
    return bytes(b & 0xFF for b in numbers)
