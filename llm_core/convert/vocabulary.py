"""A Hugging Face folder's tokenizer files → `tokenizer.*` keys.

`tokenizer.model` (SentencePiece) becomes the "llama" tokenizer; a byte-level BPE `tokenizer.json` becomes "gpt2" with a
pre-tokenizer known by the file's own rules, and what comes out is tried on a probe text against the `tokenizers`
library: a tokenizer that would cut text otherwise here is refused. Keys and values are those of llama.cpp's converter.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from llm_core.convert.safetensors import read_json
from llm_core.convert.sentencepiece import read_pieces
from llm_core.errors import ModelError
from llm_core.gguf import escape
from llm_core.tokenizer import Tokenizer
from llm_core.tokenizer.vocab import TokenType

Keys = dict[str, Any]
_PREFIX = "tokenizer.ggml."
# tokenizer_config.json's names of special tokens to GGUF's
_SPECIAL = {
    "bos": "bos", "eos": "eos", "unk": "unknown", "sep": "seperator", "pad": "padding", "cls": "cls", "mask": "mask",
}  # fmt: skip
_ADDED_SCORE, _UNUSED_SCORE = -1000.0, -10000.0
_LOOK_SPECIAL = ("<pad>", "<mask>", "<2mass>", "[@BOS@]")

_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|{}"
    r"| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# what the pre_tokenizer of tokenizer.json does, step by step → tokenizer.ggml.pre
PRE_TOKENIZERS: dict[tuple[str, ...], str] = {
    ("ByteLevel",): "gpt-2",
    ("Digits", "ByteLevel"): "smollm",
    (_WORDS.format(r"\p{N}{1,3}"),): "llama-bpe",
    (_WORDS.format(r"\p{N}"),): "qwen2",
    (
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}"
        r"\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    ): "tekken",
}
# without ignore_merges the same rules are another pre-tokenizer
_MERGING = {"llama-bpe": "dbrx"}
PROBE = (
    "Hello there,  World!\n\n\tI'VE  seen\r\n 3 33 333 3333 33333 of them: x=12.50%…  \n été ΑΒΓ жизнь 你好，世界 "
    "日本語 안녕 🤖🦾 a_b /path/to\nIt's   they'll (ok) [y]{z} ''\"\" --- === don't CAN'T 1st 2nd \u00a0end   "
)


def vocabulary_keys(folder: Path, n_vocab: int, architecture: str, config: dict[str, Any]) -> Keys:
    """All `tokenizer.*` keys of the folder. ModelError says which file is missing or what is not supported in it."""
    settings = _optional(folder / "tokenizer_config.json")
    tokenizer_json = _optional(folder / "tokenizer.json")
    added = _added_tokens(folder, settings, tokenizer_json, n_vocab)
    if (folder / "tokenizer.model").is_file():
        keys = _sentencepiece(folder / "tokenizer.model", n_vocab, added)
    elif tokenizer_json:
        keys = _byte_level(folder / "tokenizer.json", tokenizer_json, n_vocab, added)
    else:
        raise ModelError(f"{escape(str(folder))}: holds neither tokenizer.model nor tokenizer.json")
    if architecture == "llama" and isinstance(settings.get("add_prefix_space"), bool):
        keys[_PREFIX + "add_space_prefix"] = settings["add_prefix_space"]
    if architecture in ("gemma2", "gemma3") and keys[_PREFIX + "model"] == "llama":
        keys[_PREFIX + "add_space_prefix"] = False
    keys |= _special_keys(folder, settings, tokenizer_json, added, n_vocab, config)
    if keys[_PREFIX + "model"] == "gpt2":
        _check_probe(folder / "tokenizer.json", keys)
    return keys


def _optional(path: Path) -> dict[str, Any]:
    return read_json(path) if path.is_file() else {}


def _added_tokens(folder: Path, settings: dict, tokenizer_json: dict, n_vocab: int) -> dict[int, tuple[str, bool]]:
    """Id → (text, whether it is a control token), from whichever files say so; the last one wins."""
    entries: list[tuple[Any, Any]] = [(i, {"content": t}) for t, i in _optional(folder / "added_tokens.json").items()]
    entries += list((settings.get("added_tokens_decoder") or {}).items())
    listed = tokenizer_json.get("added_tokens") or []
    entries += [(entry.get("id"), entry) for entry in listed if isinstance(entry, dict)]
    found = {}
    for number, entry in entries:
        text = entry.get("content") if isinstance(entry, dict) else None
        if not isinstance(text, str) or not str(number).isdecimal() or int(number) >= n_vocab:
            raise ModelError(f"{escape(str(folder))}: added token {escape(repr(number), 40)} is not one of {n_vocab}")
        special = entry.get("special") is True or _looks_special(text)
        found[int(number)] = (text if special else text.replace("▁", " "), special)
    return found


def _looks_special(text: str) -> bool:
    """Some files call control tokens ordinary ones."""
    return (
        text in _LOOK_SPECIAL
        or (text.startswith(("<|", "<｜")) and text.endswith(("|>", "｜>")))
        or (text.startswith("<unused") and text.endswith(">"))
    )


def _sentencepiece(path: Path, n_vocab: int, added: dict[int, tuple[str, bool]]) -> Keys:
    tokens = [f"[PAD{i}]" for i in range(n_vocab)]
    scores, types = [_UNUSED_SCORE] * n_vocab, [int(TokenType.UNUSED)] * n_vocab
    for i, (text, score, kind) in enumerate(read_pieces(path)[:n_vocab]):
        # a user-defined piece is an ordinary one to llama.cpp, unless it is an added token
        tokens[i], scores[i] = text, score
        types[i] = int(TokenType.NORMAL) if kind == TokenType.USER_DEFINED else kind
    for i, (text, special) in added.items():
        tokens[i], scores[i] = text, _ADDED_SCORE
        types[i] = int(TokenType.CONTROL if special else TokenType.USER_DEFINED)
    return _lists("llama", "default", tokens, types) | {_PREFIX + "scores": scores}


def _byte_level(path: Path, tokenizer: dict, n_vocab: int, added: dict[int, tuple[str, bool]]) -> Keys:
    model = tokenizer.get("model")
    if not isinstance(model, dict) or model.get("type", "BPE") != "BPE" or model.get("byte_fallback") is True:
        raise ModelError(
            f"{escape(str(path))}: not a byte-level BPE tokenizer (a SentencePiece one needs its tokenizer.model)"
        )
    vocab, merges = model.get("vocab"), model.get("merges")
    if not isinstance(vocab, dict) or not isinstance(merges, list):
        raise ModelError(f"{escape(str(path))}: model.vocab or model.merges is missing")
    tokens = [f"[PAD{i}]" for i in range(n_vocab)]
    types = [int(TokenType.UNUSED)] * n_vocab
    for text, i in vocab.items():
        if type(i) is not int or not 0 <= i < n_vocab:
            raise ModelError(f"{escape(str(path))}: token {escape(text, 60)!r} has id {i!r:.40}, not one of {n_vocab}")
        tokens[i], types[i] = text, int(TokenType.NORMAL)
    for i, (text, special) in added.items():
        tokens[i], types[i] = text, int(TokenType.CONTROL if special else TokenType.USER_DEFINED)
    keys = _lists("gpt2", _pre_tokenizer(path, tokenizer), tokens, types)
    return keys | {_PREFIX + "merges": [_merge(path, pair) for pair in merges]}


def _merge(path: Path, pair: Any) -> str:
    if isinstance(pair, str):
        return pair
    if isinstance(pair, list) and len(pair) == 2 and all(isinstance(part, str) for part in pair):
        return " ".join(part.replace(" ", "Ġ") for part in pair)
    raise ModelError(f"{escape(str(path))}: merge {escape(repr(pair), 60)} is no pair")


def _pre_tokenizer(path: Path, tokenizer: dict) -> str:
    """`tokenizer.ggml.pre` by the rules in the file; ModelError shows rules that are not known."""
    step = tokenizer.get("pre_tokenizer") or {}
    steps = []
    for part in step.get("pretokenizers") or [step]:
        kind, pattern = part.get("type"), part.get("pattern")
        if kind == "Split" and isinstance(pattern, dict) and part.get("behavior") == "Isolated":
            steps.append(str(pattern.get("Regex", pattern)))
        elif kind != "ByteLevel" or part.get("use_regex", True):
            steps.append("Digits" if kind == "Digits" and part.get("individual_digits") else str(kind))
    name = PRE_TOKENIZERS.get(tuple(steps))
    if name is None:
        raise ModelError(f"{escape(str(path))}: unknown pre-tokenizer: {escape(repr(steps), 300)}")
    return name if tokenizer["model"].get("ignore_merges") else _MERGING.get(name, name)


def _lists(model: str, pre: str, tokens: list[str], types: list[int]) -> Keys:
    return {_PREFIX + "model": model, _PREFIX + "pre": pre, _PREFIX + "tokens": tokens, _PREFIX + "token_type": types}


def _special_keys(folder: Path, settings: dict, tokenizer: dict, added: dict, n_vocab: int, config: dict) -> Keys:
    """Ids of special tokens, whether they are added to a prompt, and the chat template."""
    keys: Keys = {}
    ids = {text: i for i, (text, _) in added.items()}
    adds = _template_adds(settings, tokenizer)
    for own, name in _SPECIAL.items():
        text = settings.get(f"{own}_token")
        text = text.get("content") if isinstance(text, dict) else text
        number = ids.get(text) if isinstance(text, str) else None
        number = config.get(f"{own}_token_id") if number is None else number
        if type(number) is int and 0 <= number < n_vocab:
            keys[f"{_PREFIX}{name}_token_id"] = number
        flag = adds.get(own, settings.get(f"add_{own}_token"))
        if own in ("bos", "eos", "sep") and isinstance(flag, bool):
            keys[f"{_PREFIX}add_{own}_token"] = flag
    template = settings.get("chat_template")
    path = folder / "chat_template.jinja"
    if template is None and path.is_file():
        template = path.read_text("utf-8")
    if isinstance(template, list):  # several by name
        named = {entry.get("name"): entry.get("template") for entry in template if isinstance(entry, dict)}
        template = named.get("default")
    if isinstance(template, str):
        keys["tokenizer.chat_template"] = template
    return keys


def _template_adds(settings: dict, tokenizer: dict) -> dict[str, bool]:
    """What the post-processor of tokenizer.json adds to a text: {"bos": …, "eos": …} as far as it says."""
    adds: dict[str, bool] = {}
    post = tokenizer.get("post_processor") or {}
    for part in post.get("processors") or [post]:
        if part.get("type") == "ByteLevel":
            adds.setdefault("bos", False)
            adds.setdefault("eos", False)
        elif part.get("type") == "TemplateProcessing" and len(part.get("single") or []) > 1:
            names = {own: settings.get(f"{own}_token") for own in ("bos", "eos")}
            names = {own: t.get("content") if isinstance(t, dict) else t for own, t in names.items()}
            for own, entry in (("bos", part["single"][0]), ("eos", part["single"][-1])):
                special = (entry.get("SpecialToken") or {}).get("id")
                if special is not None:
                    adds[own] = special == names[own]
    return adds


def _check_probe(path: Path, keys: Keys) -> None:
    """Compare with the library that the file was made for."""
    import tokenizers

    try:
        theirs = tokenizers.Tokenizer.from_file(str(path)).encode(PROBE, add_special_tokens=False).ids
    except Exception as error:  # the library raises nothing narrower
        raise ModelError(f"{escape(str(path))}: {escape(str(error), 200)}") from None
    ours = Tokenizer.from_metadata(keys).encode(PROBE, add_special=False)
    if ours != theirs:
        at = next((i for i, pair in enumerate(zip(ours, theirs, strict=False)) if pair[0] != pair[1]), -1)
        raise ModelError(
            f"{escape(str(path))}: as pre-tokenizer {keys[_PREFIX + 'pre']!r} a probe text gives other tokens "
            f"(from token {at} on)"
        )
