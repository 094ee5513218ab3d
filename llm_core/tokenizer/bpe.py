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
        hidden = vocab.of_type(TokenType.CONTROL, TokenType.UNKNOWN)
        ids = vocab.text_ids(hidden)
        # A byte without a token (SmolLM2 has some) yields nothing, but its neighbours must not meet across the gap:
        # it gets an id past the vocabulary, dropped after merging.
        missing = [char for char in BYTE_OF if char not in ids]
        self.end = len(vocab.tokens) if missing else None
        added = {char: len(vocab.tokens) + i for i, char in enumerate(missing)}
        self.inner = tokenizers.Tokenizer(self._model(vocab, hidden, ids, added))
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

    def _model(self, vocab: Vocab, hidden: list[int], ids: dict[str, int], added: dict[str, int]) -> models.BPE:
        ignore = self.pre.ignore_merges
        merges = vocab.merges or []
        distinct = set(merges)
        texts = [vocab.tokens[i] for i in hidden]
        unwanted = distinct.intersection(f"{text[:n]} {text[n:]}" for text in texts for n in range(1, len(text)))
        if len(distinct) == len(merges) and set(added).isdisjoint("".join(merges)):
            try:  # the usual case: the library checks every merge itself
                return models.BPE(
                    ids | added,
                    [tuple(merge.split(" ")) for merge in merges if merge not in unwanted],
                    ignore_merges=ignore,
                )
            except Exception:  # it raises bare Exception and does not say which merge
                log.debug("looking at every merge")
        pairs = self._merges(vocab, set(texts), ids)
        try:
            return models.BPE(ids | added, pairs, ignore_merges=ignore)
        except Exception as error:
            raise ModelError(f"{PREFIX}merges: {error}") from None

    @staticmethod
    def _merges(vocab: Vocab, hidden: set[str], ids: dict[str, int]) -> list[tuple[str, str]]:
        """The merges one by one: those that would build a control token left out, of equal ones the first kept."""
        merges: dict[tuple[str, str], None] = {}
        for i, merge in enumerate(vocab.merges or ()):
            pair = tuple(merge.split(" "))
            if len(pair) == 2 and pair[0] in ids and pair[1] in ids and pair[0] + pair[1] in ids:
                merges[pair] = None
            else:
                BPE._check_merge(i, merge, hidden, ids)
        return list(merges)

    @staticmethod
    def _check_merge(i: int, merge: str, hidden: set[str], ids: dict[str, int]) -> None:
        """ModelError for a merge that is no pair of tokens or makes none; to make a control token is no error."""
        left, _, right = merge.partition(" ")
        if not left or not right or " " in right:
            raise ModelError(f"{PREFIX}merges[{i}]: {merge[:60]!r} is not two tokens with a space between")
        for text in (left, right, left + right):
            if text not in ids and text not in hidden:
                raise ModelError(f"{PREFIX}merges[{i}]: {merge[:60]!r} names {text[:60]!r}, which is not a token")

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
