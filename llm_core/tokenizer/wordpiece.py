"""WordPiece (`bert`): words at spaces, signs and Chinese characters, then the longest token that fits, again and again.

GGUF marks the start of a word with U+2581 instead of continuations with "##". A word that cannot be built is one
unknown token. Not on the `tokenizers` library, whose search is quadratic in the length of a word.
"""

from __future__ import annotations

import unicodedata

from llm_core.tokenizer.unicode_text import clean
from llm_core.tokenizer.vocab import TokenType, Vocab

START = "\u2581"
# Chinese ideographs, as BERT's reference code lists them (with the extension E range as the Rust library has it)
_HAN = ((0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F), (0x2B740, 0x2B81F),
        (0x2B920, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F))  # fmt: skip
_WHITE = frozenset("\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000") | {chr(c) for c in range(0x2000, 0x200B)}

_CONTROL = frozenset(("Cc", "Cf", "Co", "Cs"))


class WordPiece:
    """The `bert` model. `encode` takes one piece of text without special tokens."""

    def __init__(self, vocab: Vocab):
        hidden = set(vocab.of_type(TokenType.CONTROL, TokenType.UNKNOWN)) | set(
            vocab.ids[role] for role in ("bos", "sep", "pad", "unk") if role in vocab.ids
        )
        self.ids = vocab.text_ids(hidden)
        self.longest = max(map(len, self.ids), default=0)
        self.unknown = vocab.ids.get("unk")
        self.lowercase, self.strip_accents = vocab.lowercase, vocab.strip_accents
        self.classes: dict[str, str] = {}

    def encode(self, text: str | bytes, first: bool) -> list[int]:
        """Ids of one piece of text (`first` is of no matter here)."""
        out: list[int] = []
        for word in self.words(clean(text)):
            out += self._pieces(START + word)
        return out

    def words(self, text: str) -> list[str]:
        """The normalised words: lower case and without accents where the file says so."""
        if self.strip_accents:
            text = unicodedata.normalize("NFD", text)
        marked = []
        for char in text:
            kind = self.classes.get(char)
            if kind is None:
                kind = self.classes[char] = self._normalised(char)
            marked.append(kind)
        return [word for word in "".join(marked).split(" ") if word]

    def _normalised(self, char: str) -> str:
        category = unicodedata.category(char)
        if char in _WHITE:
            return " "
        if char in "\0\ufffd" or category in _CONTROL or (self.strip_accents and category[0] == "M"):
            return ""
        lower = char.lower() if self.lowercase else char
        char_out = lower if len(lower) == 1 else char
        code = ord(char)
        alone = category[0] == "P" or (code < 0x7F and category[0] == "S") or any(a <= code <= b for a, b in _HAN)
        return f" {char_out} " if alone else char_out

    def _pieces(self, word: str) -> list[int]:
        out: list[int] = []
        ids, start, n = self.ids, 0, len(word)
        while start < n:
            for end in range(min(n, start + self.longest), start, -1):
                token = ids.get(word[start:end])
                if token is not None:
                    out.append(token)
                    start = end
                    break
            else:
                return [] if self.unknown is None else [self.unknown]
        return out

    @staticmethod
    def token_bytes(text: str) -> bytes:
        """Bytes of a normal token: a space before each word."""
        return text.replace(START, " ").encode("utf-8")
