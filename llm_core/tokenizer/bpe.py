"""Byte-level BPE (`gpt2`): text → ids with the `tokenizers` library's merge loop; token id → bytes.

The words are cut by the file's pre-tokenizer (pretokenizers.py). Control tokens are no part of the merge vocabulary, so
no text can become one here.
"""

from __future__ import annotations

import logging

import tokenizers
from tokenizers import models, pre_tokenizers

from llm_core.errors import ModelError
from llm_core.tokenizer.pretokenizers import DEFAULT, PreTokenizer, pinned, pre_tokenizer
from llm_core.tokenizer.unicode_text import clean
from llm_core.tokenizer.vocab import PREFIX, TokenType, Vocab

log = logging.getLogger(__name__)


def byte_alphabet() -> dict[str, int]:
    """GPT-2's printable stand-in for each byte: printable Latin-1 stands for itself, the rest for U+0100 onwards."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in set(printable)]
    return {chr(b): b for b in printable} | {chr(0x100 + i): b for i, b in enumerate(others)}


BYTE_OF = byte_alphabet()


class BPE:
    """The `gpt2` model. `encode` takes one piece of text without special tokens."""

    def __init__(self, vocab: Vocab):
        pre = self.pre = self._pre_tokenizer(vocab)
        hidden = set(vocab.of_type(TokenType.CONTROL, TokenType.UNKNOWN))
        ids = {text: i for i, text in enumerate(vocab.tokens) if i not in hidden}
        merges = self._merges(vocab, {vocab.tokens[i] for i in hidden}, ids)
        # A byte without a token (SmolLM2 has some) yields nothing, but its neighbours must not meet across the gap:
        # it gets an id past the vocabulary, dropped after merging.
        missing = [char for char in BYTE_OF if char not in ids]
        ids.update((char, len(vocab.tokens) + i) for i, char in enumerate(missing))
        self.end = len(vocab.tokens) if missing else None
        try:
            model = models.BPE(vocab=ids, merges=merges, ignore_merges=pre.ignore_merges)
            self.inner = tokenizers.Tokenizer(model)
        except Exception as error:  # the library raises bare Exception
            raise ModelError(f"{PREFIX}merges: {error}") from None
        splits = [pre_tokenizers.Split(tokenizers.Regex(pinned(p)), "isolated") for p in pre.patterns]
        self.inner.pre_tokenizer = pre_tokenizers.Sequence(
            [*splits, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
        )

    @staticmethod
    def _pre_tokenizer(vocab: Vocab) -> PreTokenizer:
        if vocab.pre:
            return pre_tokenizer(vocab.pre)
        log.warning("%spre: missing, using 'default'; tokens may differ from those the model was trained with", PREFIX)
        return DEFAULT

    @staticmethod
    def _merges(vocab: Vocab, hidden: set[str], ids: dict[str, int]) -> list[tuple[str, str]]:
        merges = [tuple(merge.split(" ")) for merge in vocab.merges or ()]
        for i, pair in enumerate(merges):
            if len(pair) != 2 or not (pair[0] in ids and pair[1] in ids and pair[0] + pair[1] in ids):
                merges[i] = BPE._check_merge(i, vocab.merges[i], hidden, ids)
        merges = [pair for pair in merges if pair]
        # of two equal merges the first counts (the library would take the last)
        return merges if len(set(merges)) == len(merges) else list(dict.fromkeys(merges))

    @staticmethod
    def _check_merge(i: int, merge: str, hidden: set[str], ids: dict[str, int]) -> tuple[str, str] | None:
        """None for a merge that would build a control token; ModelError for one that names no token."""
        left, _, right = merge.partition(" ")
        if not left or not right or " " in right:
            raise ModelError(f"{PREFIX}merges[{i}]: {merge[:60]!r} is not two tokens with a space between")
        for text in (left, right, left + right):
            if text not in ids and text not in hidden:
                raise ModelError(f"{PREFIX}merges[{i}]: {merge[:60]!r} names {text[:60]!r}, which is not a token")
        return None

    def encode(self, text: str | bytes, first: bool) -> list[int]:
        """Ids of one piece of text (`first` is of no matter here)."""
        ids = self.inner.encode(clean(text), add_special_tokens=False).ids
        return ids if self.end is None else [i for i in ids if i < self.end]

    @staticmethod
    def token_bytes(text: str) -> bytes:
        """Bytes of a normal token; a character outside the byte alphabet stands for itself."""
        try:
            return bytes([BYTE_OF[c] for c in text])
        except KeyError:
            return b"".join(bytes([BYTE_OF[c]]) if c in BYTE_OF else c.encode("utf-8") for c in text)
