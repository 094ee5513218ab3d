"""Tiny vocabularies of every tokenizer model, built from a fixed text, and texts that tell tokenizers apart."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

from llm_core.gguf import GGUFWriter
from llm_core.tokenizer.bpe import BYTE_OF

CORPUS = (
    "the robot brings the glass of water from the kitchen to the table. it's 12345 or 100 000 km; don't ask!\n"
    "    def go_to(self, room):\n\treturn self.world[room] + 1  # way -> there\r\n\n"
    "Der Roboter bringt das Wasser. Größe, café, naïve: 'We'll' IT'S. a... b??? (x) [y] {z} == != <= #include\n\n\n"
    "機器人拿水。ロボットが水を運ぶ。робот несёт воду. \u3000 \u00a0 ½ ² ٣ e\u0301 ok  ok   ok"
) * 2

PRE_NAMES = (
    "default",
    "gpt-2",
    "starcoder",
    "smollm",
    "llama-bpe",
    "qwen2",
    "qwen35",
    "deepseek-llm",
    "deepseek-coder",
    "deepseek-v3",
    "deepseek-r1-qwen",
    "falcon",
    "command-r",
    "olmo",
    "phi-2",
    "glm4",
    "dbrx",
    "bloom",
    "viking",
    "bailingmoe",
    "seed-coder",
    "minicpm5",
    "ufakzeka",
    "tekken",
    "gpt-4o",
)

PRE_TEXTS = [
    "the robot's 12345 glasses, don't 'We'll' IT'S 'x",
    "  the   water\n\n  \n kitchen \t\ttable\r\n\r\nok   ",
    "def go_to(self):\n\treturn self.world[room]+1  # !=\n\n\n",
    "a.../b??? (x)[y]{z}==!=<=\n#include<kitchen>$5+3=8~^`|",
    "Größe, café; naïve 12½²3 ٣٤ 1000000",
    "機器人拿水。ロボットが水を運ぶ 12。",
    "робот несёт воду, e\u0301 kitchen\u3000\u00a0ok",
    "the_room go-to #tag @me a/b \\n :: -> => ...",
    "\n",
    "   ",
    " \n \n",
    "x\u0085y\u2028z 🙂 robot's",
]

TINY_TEXTS = [
    "the robot brings the glass of water",
    "  the   water\n\n kitchen \t",
    "The Kitchen! 12345, don't",
    "Größe café naïve Äpfel",
    "機器人 拿水 🙂",
    "<s>the</s> <unk> [CLS] water [SEP] <x> <0x41>",
    "",
    " ",
    "waterwaterwater thethe",
    "▁the ▁ water",
    "zzz qqq ~~~",
    "a\x00b\x1bc",
    "tool<tool>tool",
    "x" * 50,
    "e\u0301e\u0301 \u00a0\u3000 ok",
    "thethethethe okokokok 000000000  . . . . rorobot",
    "▁",
    " ▁the",
]


def _frequent(text: str, count: int, longest: int) -> list[str]:
    """The most frequent substrings of 2 to `longest` characters, ties in alphabetical order."""
    found = Counter(text[i : i + n] for n in range(2, longest + 1) for i in range(len(text) - n + 1))
    ranked = sorted(found.items(), key=lambda item: (-item[1] * len(item[0]), item[0]))
    return [piece for piece, times in ranked[:count] if times > 1]


def tiny_bpe(pre: str | None, count: int = 700) -> dict[str, Any]:
    """Byte-level BPE whose merges cross every boundary: trained on text that was not cut into words."""
    char_of = {b: c for c, b in BYTE_OF.items()}
    symbols = [char_of[b] for b in CORPUS.encode()]
    tokens = list(BYTE_OF)
    merges = []
    while len(merges) < count:
        pairs = Counter(zip(symbols, symbols[1:], strict=False))
        (left, right), times = min(pairs.items(), key=lambda item: (-item[1], item[0]))
        if times < 2:
            break
        merges.append(f"{left} {right}")
        if left + right not in tokens:
            tokens.append(left + right)
        out: list[str] = []
        for symbol in symbols:
            if out and out[-1] == left and symbol == right:
                out[-1] = left + right
            else:
                out.append(symbol)
        symbols = out
    tokens += ["<|im_start|>", "<|im_end|>", "<tool>"]
    types = [1] * (len(tokens) - 3) + [3, 3, 4]
    metadata = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": types,
        "tokenizer.ggml.merges": merges,
        "tokenizer.ggml.eos_token_id": len(tokens) - 2,
        "tokenizer.ggml.bos_token_id": len(tokens) - 3,
        "tokenizer.ggml.add_bos_token": False,
    }
    return metadata | ({"tokenizer.ggml.pre": pre} if pre else {})


def tiny_spm(add_space_prefix: bool = True, risky: bool = False, flat: bool = False) -> dict[str, Any]:
    """SentencePiece BPE with byte tokens, a user-defined token, equal scores, and tokens across a space.

    `risky` adds the pieces from which merges could spell control and byte tokens. `flat`: one score for all, as in
    files that were made from a vocabulary without scores.
    """
    text = CORPUS.replace(" ", "▁").replace("\n", "")
    pieces = _frequent(text, 500, 7)
    pieces += [p for p in ("<s", "s>", "</", "</s", "<0", "<0x", "<0x4", "<0x41") if risky and p not in pieces]
    chars = sorted(set(text + "0x4/") - {"機", "½"})
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{b:02X}>" for b in range(256)), *pieces, *chars, "<tool>"]
    n = len(pieces)
    types = [2, 3, 3] + [6] * 256 + [1] * (n + len(chars)) + [4]
    scores = [0.0] * 259 + [-float(i // 2) for i in range(n)] + [-1000.0] * (len(chars) + 1)
    if flat:
        scores = [-1000.0] * len(tokens)
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": types,
        "tokenizer.ggml.scores": scores,
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.unknown_token_id": 0,
        "tokenizer.ggml.add_space_prefix": add_space_prefix,
    }


def tiny_wordpiece() -> dict[str, Any]:
    """WordPiece, lower case, words start with U+2581."""
    words = sorted(set(CORPUS.lower().replace("größe", "grosse").replace("ï", "i").replace("é", "e").split()))
    words = [w for w in words if w.isascii()]
    chars = sorted(set("".join(words)) | {"機", "水"})
    tokens = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *("▁" + w for w in words if len(w) > 1),
        *("▁" + c for c in chars),
        *chars,
        *sorted({w[-2:] for w in words if len(w) > 2} - set(chars)),
    ]
    types = [3] * 5 + [1] * (len(tokens) - 5)
    return {
        "tokenizer.ggml.model": "bert",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": types,
        "tokenizer.ggml.bos_token_id": 2,
        "tokenizer.ggml.seperator_token_id": 3,
        "tokenizer.ggml.padding_token_id": 0,
        "tokenizer.ggml.unknown_token_id": 1,
    }


def tiny_unigram(merge_spaces: bool) -> dict[str, Any]:
    """Unigram without a character table."""
    text = CORPUS.replace(" ", "▁").replace("\n", "")
    pieces = _frequent(text, 400, 6)
    chars = sorted(set(text) - set("機½zq"))
    tokens = ["<pad>", "</s>", "<unk>", *pieces, *chars, "<tool>"]
    types = [3, 3, 2] + [1] * (len(pieces) + len(chars)) + [4]
    scores = [0.0, 0.0, 0.0] + [-3.0 - i / 64 for i in range(len(pieces))] + [-12.0] * len(chars) + [0.0]
    return {
        "tokenizer.ggml.model": "t5",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": types,
        "tokenizer.ggml.scores": scores,
        "tokenizer.ggml.eos_token_id": 1,
        "tokenizer.ggml.unknown_token_id": 2,
        "tokenizer.ggml.padding_token_id": 0,
        "tokenizer.ggml.add_space_prefix": True,
        "tokenizer.ggml.remove_extra_whitespaces": merge_spaces,
    }


def tiny_vocabs() -> dict[str, dict[str, Any]]:
    """Name → metadata, one for each tokenizer model and flag that matters."""
    return {
        "bpe": tiny_bpe("qwen2"),
        "spm": tiny_spm(),
        "spm no prefix": tiny_spm(False),
        "spm flat": tiny_spm(flat=True),
        "wordpiece": tiny_wordpiece(),
        "unigram": tiny_unigram(True),
        "unigram spaces": tiny_unigram(False),
    }


def write_vocab(path: Path, metadata: dict[str, Any]) -> Path:
    """A GGUF file with a vocabulary and the least that a model file must say."""
    writer = GGUFWriter(path)
    for key, value in {
        "general.architecture": "llama",
        "llama.context_length": 64,
        "llama.embedding_length": 32,
        "llama.block_count": 1,
        "llama.feed_forward_length": 32,
        "llama.attention.head_count": 1,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.dimension_count": 32,
    }.items():
        writer.add(key, value)
    for key, value in metadata.items():
        writer.add(key, value)
    writer.close()
    return path


_ALPHABETS = (
    "etaoin shrdlu",
    "ABC abc 123",
    " \n\t\r  \n",
    "'’.,!?()<>|{}[]=+-_/\\",
    "äöüßéèñçøåœ",
    "автодом ещё",
    "漢字水機器人。、",
    "ひらがなカタカナ",
    "한국어물",
    "عربي ٣٤",
    "हिन्दी ४५",
    "e\u0301a\u0308o\u0323\u200d\u200b\u00ad",
    "🙂👍🏽👩‍🚀🇩🇪❤️",
    "½²①Ⅷ٣𝟘",
    "\x00\x01\x1b\x7f\x85\xa0\u2028\u3000",
)
_PIECES = ("'s", "'LL", " the", "ing", "<|im_end|>", "<s>", "  ", "\n\n", "▁", "12", "```", "</think>")


def random_text(rng: random.Random) -> str:
    """A short text that jumps between scripts, signs, spaces and any code point."""
    out = []
    for _ in range(rng.randrange(1, 14)):
        kind = rng.randrange(8)
        if kind == 0:
            out.append(chr(rng.choice((rng.randrange(0x20, 0xD800), rng.randrange(0xE000, 0x110000)))))
        elif kind == 1:
            out.append(rng.choice(_PIECES))
        else:
            alphabet = rng.choice(_ALPHABETS)
            out += [rng.choice(alphabet) for _ in range(rng.randrange(1, 7))]
    return "".join(out)
