"""WordPiece (`bert`): words at spaces, signs and Chinese characters, then the longest token that fits, again and again.

All of it by the `tokenizers` library, so the ids are those of BERT itself. GGUF marks the start of a word with U+2581
instead of continuations with "##"; here that is turned round. A word that cannot be built, or has more than 100
characters (BERT's own limit, which bounds the search), is one unknown token.
"""

from __future__ import annotations

import tokenizers
from tokenizers import models, normalizers, pre_tokenizers

from llm_core.tokenizer.unicode_text import clean
from llm_core.tokenizer.vocab import TokenType, Vocab

START = "\u2581"
MAX_WORD = 100  # characters
# No word has a space in it: these names cannot be met in a text.
_CONTINUED, _UNKNOWN = " ", "  "


class WordPiece:
    """The `bert` model. `encode` takes one piece of text without special tokens."""

    def __init__(self, vocab: Vocab):
        hidden = set(vocab.of_type(TokenType.CONTROL, TokenType.UNKNOWN)) | set(
            vocab.ids[role] for role in ("bos", "sep", "pad", "unk") if role in vocab.ids
        )
        ids: dict[str, int] = {}
        for text, token in vocab.text_ids(hidden).items():
            if " " not in text:
                ids[text[1:] if text[0] == START and text != START else _CONTINUED + text] = token
        # A file without an unknown token: an id past the vocabulary, dropped after the search.
        self.end = len(vocab.tokens)
        ids[_UNKNOWN] = vocab.ids.get("unk", self.end)
        self.inner = tokenizers.Tokenizer(
            models.WordPiece(
                ids, unk_token=_UNKNOWN, continuing_subword_prefix=_CONTINUED, max_input_chars_per_word=MAX_WORD
            )
        )
        self.inner.normalizer = normalizers.BertNormalizer(lowercase=vocab.lowercase, strip_accents=vocab.strip_accents)
        self.inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()

    def encode(self, text: str | bytes, first: bool) -> list[int]:
        """Ids of one piece of text (`first` is of no matter here)."""
        ids = self.inner.encode(clean(text), add_special_tokens=False).ids
        return [i for i in ids if i < self.end]

    @staticmethod
    def token_bytes(text: str) -> bytes:
        """Bytes of a normal token: a space before each word."""
        return text.replace(START, " ").encode("utf-8")
