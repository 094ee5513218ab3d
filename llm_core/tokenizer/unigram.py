"""Unigram (`t5`): the cut of the normalised text whose token scores sum highest (Viterbi, in the `tokenizers` library).

The normaliser is the file's own table (`tokenizer.ggml.precompiled_charsmap`): a double-array trie of byte strings with
their replacements, layout as in SentencePiece; the longest prefix that the trie holds is replaced. See `Charsmap`.
"""

from __future__ import annotations

import struct

import tokenizers
from tokenizers import models

from llm_core.errors import ModelError
from llm_core.tokenizer.unicode_text import clean, raw
from llm_core.tokenizer.vocab import PREFIX, TokenType, Vocab

SPACE = "\u2581"
MAX_REPLACEMENT = 256  # bytes; the longest that NFKC makes of one character has 33


class Charsmap:
    """`blob`: uint32 size of the trie in bytes (little endian), the trie's uint32 units, NUL-terminated replacements.

    A trie unit holds an offset (bits 10-30, times 256 if bit 9 is set), "a value follows" (bit 8), a label (bits 0-7).
    """

    def __init__(self, blob: bytes):
        if len(blob) < 4:
            raise self._error(f"{len(blob)} bytes, too short for its header")
        (size,) = struct.unpack_from("<I", blob)
        if size % 4 or size == 0 or size + 4 >= len(blob):
            raise self._error(f"trie of {size} bytes in a table of {len(blob)}")
        self.units = struct.unpack_from(f"<{size // 4}I", blob, 4)
        self.replacements = blob[4 + size :]
        self.known: dict[int, str] = {}

    @staticmethod
    def _error(what: str) -> ModelError:
        return ModelError(f"{PREFIX}precompiled_charsmap: {what}")

    def _unit(self, index: int) -> int:
        if index >= len(self.units):
            raise self._error(f"trie index {index} past its {len(self.units)} units")
        return self.units[index]

    @staticmethod
    def _offset(unit: int) -> int:
        return (unit >> 10) << ((unit & 0x200) >> 6)

    def longest(self, data: bytes, start: int) -> tuple[int, str] | None:
        """(bytes matched, replacement) of the longest prefix of `data[start:]` in the trie, or None."""
        node, best = self._offset(self._unit(0)), None
        for pos in range(start, len(data)):
            byte = data[pos]
            node ^= byte
            unit = self._unit(node)
            if byte == 0 or unit & 0x800000FF != byte:
                break
            node ^= self._offset(unit)
            if unit & 0x100:
                best = pos + 1 - start, self._unit(node) & 0x7FFFFFFF
        return best and (best[0], self._replacement(best[1]))

    def _replacement(self, offset: int) -> str:
        if offset not in self.known:
            end = self.replacements.find(b"\0", offset, offset + MAX_REPLACEMENT + 1)
            if end < 0:
                raise self._error(f"replacement at {offset} does not end within {MAX_REPLACEMENT} bytes")
            self.known[offset] = self.replacements[offset:end].decode("utf-8", "replace")
        return self.known[offset]


class Unigram:
    """The `t5` model. `encode` takes one piece of text without special tokens."""

    def __init__(self, vocab: Vocab):
        self.add_space_prefix, self.merge_spaces = vocab.add_space_prefix, vocab.remove_extra_whitespaces
        self.charsmap = Charsmap(vocab.charsmap) if vocab.charsmap else None
        self.unknown = vocab.ids.get("unk")
        if self.unknown is None:
            raise ModelError(f"{PREFIX}unknown_token_id: missing, and tokenizer 't5' needs it")
        scores = vocab.scores or ()
        worst = min((s for s, t in zip(scores, vocab.types, strict=True) if t == TokenType.NORMAL), default=0.0)
        usable = {TokenType.NORMAL, TokenType.USER_DEFINED, TokenType.UNUSED}
        pieces = []
        for i, (text, kind, score) in enumerate(zip(vocab.tokens, vocab.types, scores, strict=True)):
            if kind not in usable:  # a text that no text contains: noncharacters
                text, score = f"\U0010ffff{i}\U0010ffff", 0.0
            pieces.append((text, 0.0 if kind == TokenType.USER_DEFINED else max(score, worst)))
        self.inner = tokenizers.Tokenizer(models.Unigram(pieces, self.unknown, False))

    def encode(self, text: str | bytes, first: bool) -> list[int]:
        """Ids of one piece of text (`first` is of no matter here)."""
        normal = self.normalize(text).replace("\U0010ffff", "\ufffd")
        return self.inner.encode(normal, add_special_tokens=False).ids if normal else []

    def normalize(self, text: str | bytes) -> str:
        """The file's character table, then spaces as U+2581, one before the text if the file says so."""
        text = self._map(raw(text)) if self.charsmap else clean(text, strict=True)
        if self.merge_spaces:
            words = [word for word in text.split(" ") if word]
            return "".join(SPACE + word for word in words)
        words = text.lstrip(" ")
        if words and self.add_space_prefix:
            text = text[: len(text) - len(words)] + " " + words
        return text.replace(" ", SPACE)

    def _map(self, data: bytes) -> str:
        """Broken bytes become U+FFFD after the mapping, which would turn that character into a space."""
        longest = self.charsmap.longest
        out, pos, kept = [], 0, 0
        while pos < len(data):
            match = longest(data, pos)
            if match is None:
                pos += 1
                while pos < len(data) and data[pos] & 0xC0 == 0x80:
                    pos += 1
                continue
            out += [clean(data[kept:pos], strict=True), match[1]]
            pos = kept = pos + match[0]
        return "".join(out) + clean(data[kept:], strict=True)

    @staticmethod
    def token_bytes(text: str) -> bytes:
        """Bytes of a normal token."""
        return text.replace(SPACE, " ").encode("utf-8")
