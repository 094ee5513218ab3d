"""The pre-tokenizers of byte-level BPE: `tokenizer.ggml.pre` → how text is cut into words before merging.

Each entry is a list of patterns (Oniguruma syntax), applied one after the other: every match is a piece of its own,
and so is what lies between. The rules are those the models were trained with, as llama.cpp lists them; where
std::regex makes llama.cpp approximate letter case (tekken, gpt-4o) the model's own rule is used. A new name is one
line in `NAMES`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from llm_core.errors import ModelError


@dataclass(frozen=True)
class PreTokenizer:
    """Patterns in order; `ignore_merges`: a word that is itself a token is not merged; `add_bos`: the default flag."""

    patterns: tuple[str, ...]
    ignore_merges: bool = False
    add_bos: bool = False


# Building blocks. Contractions spell both cases out: case folding would also match the long s (U+017F).
_ABBREV = r"'s|'t|'re|'ve|'m|'ll|'d"
_ABBREV_ANY_CASE = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
_WORD = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_SIGNS = r" ?[^\s\p{L}\p{N}]+[\r\n]*"
_SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_ASCII_SIGNS = r"[!\x22#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]"
_KANA_HAN = r"[\x{4e00}-\x{9fa5}\x{3040}-\x{309f}\x{30a0}-\x{30ff}]+"
_DIGIT, _DIGITS, _DIGITS3 = r"\p{N}", r"\p{N}+", r"\p{N}{1,3}"

_GPT2 = rf"{_ABBREV}| ?\p{{L}}+| ?\p{{N}}+| ?[^\s\p{{L}}\p{{N}}]+|\s+(?!\S)|\s+"
_LLAMA3 = rf"{_ABBREV_ANY_CASE}|{_WORD}|{_DIGITS3}|{_SIGNS}|{_SPACES}"
_QWEN2 = rf"{_ABBREV_ANY_CASE}|{_WORD}|{_DIGIT}|{_SIGNS}|{_SPACES}"
_QWEN35 = (
    rf"{_ABBREV_ANY_CASE}|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|{_DIGIT}"
    rf"| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*|{_SPACES}"
)
_CASED = rf"[^\r\n\p{{L}}\p{{N}}]?(?:{_UPPER}*{_LOWER}+|{_UPPER}+{_LOWER}*)"
_SIGNS_SLASH = r" ?[^\s\p{L}\p{N}]+[\r\n/]*"
_TEKKEN = rf"{_CASED}|{_DIGIT}|{_SIGNS_SLASH}|{_SPACES}"
_GPT4O = rf"{_CASED}{_ABBREV_ANY_CASE}?|{_DIGITS3}|{_SIGNS_SLASH}|{_SPACES}"
_DEEPSEEK3 = (
    rf"{_ASCII_SIGNS}[A-Za-z]+|[^\r\n\p{{L}}\p{{P}}\p{{S}}]?[\p{{L}}\p{{M}}]+"
    rf"| ?[\p{{P}}\p{{S}}]+[\r\n]*|{_SPACES}"
)
_DEEPSEEK_CJK = r"[\x{4e00}-\x{9fa5}\x{0800}-\x{4e00}\x{ac00}-\x{d7ff}]+"
_DEEPSEEK_SIGNS = r"\s?[!-/:-~\x{ff01}-\x{ff0f}\x{ff1a}-\x{ff5e}\x{2018}-\x{201f}\x{3000}-\x{3002}]+"
_BLOOM = r" ?[^(\s|.,!?\x{2026}\x{3002}\x{ff0c}\x{3001}\x{0964}\x{06d4}\x{060c})]+"
# the cased letters that DeepSeek LLM lists one range at a time
_CASED_LETTERS = (
    r"A-Za-z\x{b5}\x{c0}-\x{d6}\x{d8}-\x{f6}\x{f8}-\x{1ba}\x{1bc}-\x{1bf}\x{1c4}-\x{293}\x{295}-\x{2af}"
    r"\x{370}-\x{373}\x{376}\x{377}\x{37b}-\x{37d}\x{37f}\x{386}\x{388}-\x{38a}\x{38c}\x{38e}-\x{3a1}"
    r"\x{3a3}-\x{3f5}\x{3f7}-\x{481}\x{48a}-\x{52f}\x{531}-\x{556}\x{10a0}-\x{10c5}\x{13a0}-\x{13f5}"
    r"\x{13f8}-\x{13fd}\x{1c90}-\x{1cba}\x{1cbd}-\x{1cbf}\x{1d00}-\x{1d2b}\x{1d6b}-\x{1d77}\x{1d79}-\x{1d9a}"
    r"\x{1e00}-\x{1f15}\x{1f18}-\x{1f1d}\x{1f20}-\x{1f45}\x{1f48}-\x{1f4d}\x{1f50}-\x{1f57}\x{1f59}\x{1f5b}"
    r"\x{1f5d}\x{1f5f}-\x{1f7d}\x{1f80}-\x{1fb4}\x{1fb6}-\x{1fbc}\x{1fbe}\x{1fc2}-\x{1fc4}\x{1fc6}-\x{1fcc}"
    r"\x{1fd0}-\x{1fd3}\x{1fd6}-\x{1fdb}\x{1fe0}-\x{1fec}\x{1ff2}-\x{1ff4}\x{1ff6}-\x{1ffc}\x{2102}\x{2107}"
    r"\x{210a}-\x{2113}\x{2115}\x{2119}-\x{211d}\x{2124}\x{2126}\x{2128}\x{212a}-\x{212d}\x{212f}-\x{2134}"
    r"\x{2139}\x{213c}-\x{213f}\x{2145}-\x{2149}\x{214e}\x{2183}\x{2184}\x{2c00}-\x{2c7b}\x{2c7e}-\x{2ce4}"
    r"\x{2ceb}-\x{2cee}\x{2cf2}\x{2cf3}\x{a640}-\x{a66d}\x{a680}-\x{a69b}\x{a722}-\x{a76f}\x{a771}-\x{a787}"
    r"\x{a78b}-\x{a78e}\x{ab70}-\x{abbf}\x{fb00}-\x{fb06}\x{fb13}-\x{fb17}\x{ff21}-\x{ff3a}\x{ff41}-\x{ff5a}"
    r"\x{10400}-\x{1044f}\x{104b0}-\x{104d3}\x{104d8}-\x{104fb}\x{10c80}-\x{10cb2}\x{10cc0}-\x{10cf2}"
    r"\x{118a0}-\x{118df}\x{1e900}-\x{1e943}"
)
# Assigned by Unicode 16, after the models were trained: taken as unassigned, whatever version the regex library knows.
_UNICODE_16 = (
    r"\x{897}\x{1b4e}-\x{1b4f}\x{1b7f}\x{1c89}-\x{1c8a}\x{2427}-\x{2429}\x{31e4}-\x{31e5}\x{a7cb}-\x{a7cd}"
    r"\x{a7da}-\x{a7dc}\x{105c0}-\x{105f3}\x{10d40}-\x{10d8f}\x{10ec2}-\x{10efc}\x{11380}-\x{113e2}"
    r"\x{116d0}-\x{116e3}\x{11bc0}-\x{11bf9}\x{11f5a}\x{13460}-\x{143fa}\x{16100}-\x{16139}\x{16d40}-\x{16d79}"
    r"\x{18cff}\x{1cc00}-\x{1ceb3}\x{1e5d0}-\x{1e5ff}\x{1f8b2}-\x{1f8c1}\x{1fa89}-\x{1fa8f}\x{1fabe}\x{1fac6}"
    r"\x{1fadc}-\x{1fadf}\x{1fae9}\x{1fbcb}-\x{1fbef}"
)

GPT2 = PreTokenizer((_GPT2,))
STARCODER = PreTokenizer((_DIGIT, _GPT2))
LLAMA3 = PreTokenizer((_LLAMA3,))
LLAMA3_BOS = PreTokenizer((_LLAMA3,), ignore_merges=True, add_bos=True)
GLM = PreTokenizer((_LLAMA3,), ignore_merges=True)
QWEN2 = PreTokenizer((_QWEN2,))
DEEPSEEK3 = PreTokenizer((_DIGITS3, _KANA_HAN, _DEEPSEEK3))
GPT4O = PreTokenizer((_GPT4O,))
BLOOM = PreTokenizer((_BLOOM,))
BAILING = PreTokenizer(
    (rf"'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|{_WORD}|{_DIGIT}|{_SIGNS}|\s*[\r\n]|\s+(?!\S)|\s+",)
)
DEFAULT = PreTokenizer((r"[\p{P}\$\+<=>\^~\|]+", _GPT2, _DIGITS, r"[0-9][0-9][0-9]"))

NAMES: dict[str, PreTokenizer] = {
    "default": DEFAULT,
    **dict.fromkeys(("gpt-2", "phi-2", "mpt", "olmo", "jais", "trillion", "granite-docling", "exaone4", "gigachat",
                     "jina-es", "jina-de", "jina-v1-en", "jina-v2-es", "jina-v2-de", "jina-v2-code", "roberta-bpe",
                     "a.x-4.0", "mellum", "modern-bert"), GPT2),
    **dict.fromkeys(("starcoder", "refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b", "mellum2"),
                    STARCODER),
    **dict.fromkeys(("llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2",
                     "jina-v5-nano"), LLAMA3_BOS),
    **dict.fromkeys(("dbrx", "smaug-bpe"), LLAMA3),
    **dict.fromkeys(("chatglm-bpe", "glm4", "glm5"), GLM),
    **dict.fromkeys(("qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "stablelm2", "hunyuan", "solar-open", "megrez",
                     "grok-2"), QWEN2),
    "qwen35": PreTokenizer((_QWEN35,)),
    "ufakzeka": PreTokenizer((rf"{_WORD}|{_DIGIT}|{_SIGNS}|{_SPACES}",)),
    "deepseek-llm": PreTokenizer(
        (r"[\r\n]", rf"\s?[{_CASED_LETTERS}]+", _DEEPSEEK_SIGNS, r"(?<!\s)\s+$", _DEEPSEEK_CJK, _DIGITS)
    ),
    "deepseek-coder": PreTokenizer((r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", _DEEPSEEK_CJK, _DIGIT)),
    **dict.fromkeys(("deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"), DEEPSEEK3),
    "falcon": PreTokenizer((r"[\p{P}\$\+<=>\^~\|`]+", _GPT2, r"[0-9][0-9][0-9]")),
    **dict.fromkeys(("poro-chat", "bloom", "gpt3-finnish"), BLOOM),
    "viking": PreTokenizer((_BLOOM, _DIGIT)),
    "tekken": PreTokenizer((_TEKKEN,), ignore_merges=True, add_bos=True),
    **dict.fromkeys(("gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"), GPT4O),
    **dict.fromkeys(("bailingmoe", "bailingmoe2", "llada-moe"), BAILING),
    "seed-coder": PreTokenizer(
        (rf"{_ABBREV_ANY_CASE}|{_WORD}|{_DIGIT}| ?[^\s\p{{L}}\p{{N}}\r\n]+|{_SPACES}",)
    ),
    "minicpm5": PreTokenizer(
        (_DIGITS3, rf"{_ABBREV_ANY_CASE}|{_WORD}|{_DIGITS}|{_SIGNS}|{_SPACES}"), ignore_merges=True
    ),
}  # fmt: skip


def pinned(pattern: str) -> str:
    """`pattern` with every character property held at Unicode 15.1."""
    return re.sub(r"\\p\{\w+\}", lambda match: f"[{match[0]}&&[^{_UNICODE_16}]]", pattern)


def pre_tokenizer(name: str) -> PreTokenizer:
    """The entry for `name`; an unknown name is a ModelError (guessing would change every token)."""
    if name not in NAMES:
        raise ModelError(f"tokenizer.ggml.pre: unknown pre-tokenizer {name!r}; known: {', '.join(sorted(NAMES))}")
    return NAMES[name]
