"""`Tokenizer`: one face for all tokenizer models, built from GGUF metadata.

In: `Tokenizer.from_metadata(metadata)`, any mapping with the `tokenizer.ggml.*` keys. Out: `encode`, `decode`,
`stream`, `token_bytes` and the ids that matter (`bos_id`, `eos_id`, `stop_ids`, `control_ids`). Safe to use from
several threads. Text never becomes a control token unless `parse_special=True`; user-defined tokens are found in any
text, as in llama.cpp.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from llm_core.errors import RequestError, naming
from llm_core.tokenizer.bpe import BPE
from llm_core.tokenizer.partition import Partition
from llm_core.tokenizer.spm import SPM, byte_token_value
from llm_core.tokenizer.stream import StreamDecoder
from llm_core.tokenizer.unicode_text import clean, is_broken, raw
from llm_core.tokenizer.unigram import Unigram
from llm_core.tokenizer.vocab import TokenType, Vocab
from llm_core.tokenizer.wordpiece import WordPiece


class Model(Protocol):
    """What a tokenizer model gives: ids of text without special tokens, bytes of a normal token's text."""

    def encode(self, text: str | bytes, first: bool) -> list[int]:
        """Ids of a piece of text; `first`: it begins the prompt."""
        ...

    def token_bytes(self, text: str) -> bytes:
        """The bytes that a normal token's spelling stands for."""
        ...


MODELS: dict[str, type] = {"gpt2": BPE, "llama": SPM, "bert": WordPiece, "t5": Unigram}
_HIDDEN = (TokenType.CONTROL, TokenType.UNKNOWN)


class Tokenizer:
    """Text ↔ ids. `n_vocab` ids; `bos_id`, `eos_id`, `eot_id` are None where the file has none."""

    def __init__(self, vocab: Vocab):
        self.vocab = vocab
        self.model: Model = MODELS[vocab.model](vocab)
        self.n_vocab = len(vocab.tokens)
        self.bos_id, self.eos_id = vocab.ids.get("bos"), vocab.ids.get("eos")
        self.eot_id, self.unk_id = vocab.ids.get("eot"), vocab.ids.get("unk")
        self.stop_ids = vocab.stop_ids
        self.control_ids = frozenset(vocab.of_type(*_HIDDEN))
        self.add_bos = bool(getattr(self.model, "pre", vocab).add_bos if vocab.add_bos is None else vocab.add_bos)
        self.add_bos = self.add_bos and self.bos_id is not None
        self.add_eos, self.add_sep = vocab.add_eos, vocab.add_sep
        user = {vocab.tokens[i]: i for i in vocab.of_type(TokenType.USER_DEFINED)}
        self.control_tokens = {vocab.tokens[i]: i for i in sorted(self.control_ids)}
        self._user = Partition(user, vocab.rstrip)
        self._special = Partition(user | self.control_tokens, vocab.rstrip)
        self._strip_space = vocab.add_space_prefix or vocab.model == "bert"

    @staticmethod
    def from_metadata(metadata: Mapping[str, Any]) -> Tokenizer:
        """Build from `tokenizer.ggml.*`; ModelError names the key that is missing or wrong."""
        with naming(getattr(metadata, "source", None)):
            return Tokenizer(Vocab.from_metadata(metadata))

    def encode(
        self,
        text: str | bytes,
        add_special: bool = True,
        parse_special: bool = False,
        guard: str = "",
        mark: str = "",
    ) -> list[int]:
        """Token ids of `text` (broken UTF-8: see unicode_text).

        `add_special`: put BOS before and EOS after if the file says so. `parse_special`: spellings of control tokens
        become those tokens; never use it on text that a user wrote. `guard`: a character that is taken out once the
        control tokens are found, so that a spelling broken up by it stays text (chat.guard). `mark`: a character that
        stands for what is no text; it becomes the id -1, and text goes on after it as after a control token.
        """
        if not isinstance(text, (str, bytes)):
            raise RequestError(f"text: expected str or bytes, got {type(text).__name__}")
        text = raw(text).decode("utf-8", "surrogateescape") if is_broken(text) else clean(text)
        out: list[int] = []
        if add_special and self.add_bos:
            out.append(self.bos_id)
        first = True
        for piece in self._marked(text, parse_special, guard, mark):
            if isinstance(piece, int):
                out.append(piece)
                first = True
            else:
                out += self.model.encode(piece, first)
                first = False
        if add_special and self.add_eos:
            out.append(self.vocab.ids["eos"])
        if add_special and self.add_sep:
            out.append(self.vocab.ids["sep"])
        return out

    def _marked(self, text: str, parse_special: bool, guard: str, mark: str) -> list[str | int]:
        first, *others = text.split(mark) if mark else [text]
        out = self._pieces(first, parse_special, guard)
        for part in others:
            out = [*out, -1, *self._pieces(part, parse_special, guard)]
        return out

    def _pieces(self, text: str, parse_special: bool, guard: str) -> list[str | int]:
        if not guard or guard not in text:
            return (self._special if parse_special else self._user).split(text)
        out: list[str | int] = []
        for piece in (self._special if parse_special else self._user).split(text):
            out += self._user.split(piece.replace(guard, "")) if isinstance(piece, str) else [piece]
        return out

    def token_bytes(self, token: int) -> bytes:
        """The bytes that a token stands for; a control token's are its spelling, an unused token's are empty."""
        self._check(token)
        text, kind = self.vocab.tokens[token], self.vocab.types[token]
        if kind == TokenType.NORMAL:
            return self.model.token_bytes(text)
        if kind == TokenType.BYTE:
            value = byte_token_value(text)
            return text.encode("utf-8") if value is None else bytes([value])
        if kind in (TokenType.UNUSED, TokenType.UNDEFINED):
            return b""
        return text.encode("utf-8")

    def token_text(self, token: int) -> str:
        """The token as the file spells it ("Ġthe", "<|im_end|>")."""
        self._check(token)
        return self.vocab.tokens[token]

    def decode(self, ids: Iterable[int], skip_special: bool = True, start: bool = True) -> str:
        """Text of `ids`; U+FFFD where bytes are no character; RequestError for an id past the vocabulary.

        `skip_special` leaves control tokens out. `start=False` says that the ids continue an earlier text, so that the
        space which an SPM tokenizer puts before a text is not taken off again.
        """
        stream = self.stream(skip_special, start)
        return "".join([stream.push(token) for token in ids]) + stream.flush()

    def stream(self, skip_special: bool = True, start: bool = True) -> StreamDecoder:
        """A decoder for one generation; the flags are those of `decode`."""
        shown = self._shown if skip_special else self.token_bytes
        return StreamDecoder(shown, strip_space=start and self._strip_space)

    def _shown(self, token: int) -> bytes:
        return b"" if token in self.control_ids else self.token_bytes(token)

    def _check(self, token: int) -> None:
        if not 0 <= token < self.n_vocab:
            raise RequestError(f"token id {token}: outside the vocabulary of {self.n_vocab}")
