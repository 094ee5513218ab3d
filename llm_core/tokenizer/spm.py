"""SentencePiece BPE (`llama`, also Gemma): merge the adjacent pair whose token has the highest score, leftmost first.

The merging is not the `tokenizers` library's: it ranks every pair, so it cannot merge the leftmost of equal scores, and
takes four times as long to load Gemma's 514,847 merges as this takes for the whole tokenizer (docs/text.md). Here the
vocabulary is the only table. Words are cached; text is cut into words only where no token spans the cut, so the result
is that of the whole text. What forms no token falls back to byte tokens.
"""

from __future__ import annotations

import heapq
import re

from llm_core.tokenizer.unicode_text import clean, is_broken, raw, sequence_length
from llm_core.tokenizer.vocab import TokenType, Vocab

SPACE = "\u2581"
_CACHE_WORDS = 50_000
_CACHE_LENGTH = 64


def byte_token_value(text: str) -> int | None:
    """The byte that "<0x0A>" stands for, else None."""
    match = re.fullmatch(r"<0x([0-9A-Fa-f]{2})>", text)
    return int(match[1], 16) if match else None


class SPM:
    """The `llama` model. `encode` takes one piece of text; `first` says that it follows a special token or nothing."""

    def __init__(self, vocab: Vocab):
        self.add_space_prefix = vocab.add_space_prefix
        hidden = vocab.of_type(TokenType.CONTROL, TokenType.UNKNOWN, TokenType.BYTE)
        self.ids = vocab.text_ids(hidden)
        self.cost = [-score for score in vocab.scores or ()]
        byte_tokens = {vocab.tokens[i]: i for i in vocab.of_type(TokenType.BYTE)}
        unknown = vocab.ids.get("unk")
        self.byte_ids = [byte_tokens.get(f"<0x{b:02X}>", self.ids.get(chr(b), unknown) if b < 128 else unknown)
                         for b in range(256)]  # fmt: skip
        self.cut = self._cut_pattern()
        self.cache: dict[str, list[int]] = {}

    def _cut_pattern(self) -> re.Pattern[str]:
        """Cuts before a space mark, unless some token holds that mark after the same character."""
        texts = "\0".join(self.ids)
        inside = "".join(sorted(set(re.findall(f"([^{SPACE}\0]){SPACE}", texts))))
        return re.compile(f"(?<=[^{SPACE}{re.escape(inside)}])(?={SPACE})")

    def encode(self, text: str | bytes, first: bool) -> list[int]:
        """Ids of one piece of text."""
        if is_broken(text):
            return self._encode_broken(raw(text), first)
        text = clean(text)
        if first and self.add_space_prefix:
            text = " " + text
        return self._encode_valid(text)

    def _encode_valid(self, text: str) -> list[int]:
        out: list[int] = []
        cache = self.cache
        for word in self.cut.split(text.replace(" ", SPACE)) if text else ():
            ids = cache.get(word)
            if ids is None:
                ids = self._merge(word)
                if len(word) <= _CACHE_LENGTH:
                    if len(cache) >= _CACHE_WORDS:
                        cache.clear()
                    cache[word] = ids
            out += ids
        return out

    def _encode_broken(self, data: bytes, first: bool) -> list[int]:
        """llama.cpp's way: a lead byte takes the bytes it claims; if they are no character they stay bytes."""
        if first and self.add_space_prefix:
            data = b" " + data
        data = data.replace(b" ", SPACE.encode())
        out: list[int] = []
        start = pos = 0
        while pos < len(data):
            chunk = data[pos : pos + sequence_length(data[pos])]
            pos += len(chunk)
            if is_broken(chunk):
                out += self._encode_valid(data[start : pos - len(chunk)].decode("utf-8"))
                out += [self.byte_ids[b] for b in chunk if self.byte_ids[b] is not None]
                start = pos
        return out + self._encode_valid(data[start:].decode("utf-8"))

    def _merge(self, word: str) -> list[int]:
        ids, cost = self.ids, self.cost
        pieces = list(word)
        n = len(pieces)
        before, after = list(range(-1, n - 1)), list(range(1, n + 1))
        heap = []
        for i in range(n - 1):
            token = ids.get(pieces[i] + pieces[i + 1])
            if token is not None:
                heap.append((cost[token], i, i + 1, 2))
        heapq.heapify(heap)
        while heap:
            _, left, right, size = heapq.heappop(heap)
            a, b = pieces[left], pieces[right]
            if not a or not b or len(a) + len(b) != size:
                continue  # one of them was merged meanwhile
            joined = pieces[left] = a + b
            pieces[right] = ""
            beyond = after[left] = after[right]
            if beyond < n:
                before[beyond] = left
                token = ids.get(joined + pieces[beyond])
                if token is not None:
                    heapq.heappush(heap, (cost[token], left, beyond, size + len(pieces[beyond])))
            behind = before[left]
            if behind >= 0:
                token = ids.get(pieces[behind] + joined)
                if token is not None:
                    heapq.heappush(heap, (cost[token], behind, left, size + len(pieces[behind])))
        return self._ids_of(pieces)

    def _ids_of(self, pieces: list[str]) -> list[int]:
        out: list[int] = []
        for piece in pieces:
            if not piece:
                continue
            token = self.ids.get(piece)
            if token is not None:
                out.append(token)
            else:
                out += [self.byte_ids[b] for b in piece.encode("utf-8") if self.byte_ids[b] is not None]
        return out

    @staticmethod
    def token_bytes(text: str) -> bytes:
        """Bytes of a normal token."""
        return text.replace(SPACE, " ").encode("utf-8")
