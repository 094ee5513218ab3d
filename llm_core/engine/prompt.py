"""From a prompt as callers give it (text, ids, messages; with pictures) to token ids and the places of embeddings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral

from llm_core.chat.guard import Guard
from llm_core.chat.pictures import MAX_PICTURES, Pictures, take_pictures
from llm_core.errors import RequestError

Prompt = str | Sequence[int] | Sequence[Mapping]
IMAGE = "<image>"  # where a picture goes in raw text


class PromptReader:
    """`eyes`: the engine's `vision.splice.Eyes`, or None. May be used by several threads."""

    def __init__(self, tokenizer, chat_template, eyes, n_vocab: int) -> None:
        self._tokenizer = tokenizer
        self._template = chat_template
        self._eyes = eyes
        self._n_vocab = n_vocab

    def read(self, prompt: Prompt, tools=None, images: Sequence | None = None) -> tuple[list[int], list]:
        """(ids, spots): ids below 0 where `spots` say that embeddings go. Raises RequestError."""
        if isinstance(prompt, str):
            return self._text(prompt, list(images or ()))
        if isinstance(prompt, (bytes, bytearray)) or not hasattr(prompt, "__len__") or isinstance(prompt, Mapping):
            raise RequestError(f"prompt is a {type(prompt).__name__}: text, token ids or messages wanted")
        if len(prompt) and all(isinstance(message, Mapping) for message in prompt):
            if images is not None:
                raise RequestError("images belong to a prompt of text or token ids; messages hold their own")
            return self._messages(list(prompt), tools)
        least = -1 if images else 0
        for token in prompt:
            if isinstance(token, bool) or not isinstance(token, Integral) or not least <= token < self._n_vocab:
                raise RequestError(f"prompt has {token!r}: token ids from {least} to {self._n_vocab - 1} wanted")
        return self._ids([int(token) for token in prompt], list(images or ()))

    def _messages(self, messages: list[Mapping], tools) -> tuple[list[int], list]:
        if self._template is None:
            raise RequestError("prompt is a list of messages, but the model has no chat template")
        messages, sources = take_pictures(messages)
        if not sources:
            return list(self._template.encode(messages, tools=tools, add_generation_prompt=True)), []
        pictures = self._looked_at(sources)
        parts = Pictures(self._eyes.spelling, tuple(tuple(picture.parts) for picture in pictures))
        ids = self._template.encode(messages, tools=tools, add_generation_prompt=True, pictures=parts)
        return self._eyes.place(ids, pictures)

    def _text(self, text: str, images: list) -> tuple[list[int], list]:
        if not images:
            return list(self._tokenizer.encode(text, add_special=True, parse_special=False)), []
        pieces = text.split(IMAGE)
        if len(pieces) != len(images) + 1:
            raise RequestError(f"prompt has {len(pieces) - 1} times {IMAGE!r}, but there are {len(images)} images")
        pictures = self._looked_at([(f"images[{i}]", image) for i, image in enumerate(images)])
        guard = Guard(self._tokenizer.control_tokens)
        mark = Guard.pick(text)
        tile = Guard.pick(text, mark)
        out = [guard.protect_text(pieces[0], mark)]
        for picture, piece in zip(pictures, pieces[1:], strict=True):
            out += [tile if part is None else part for part in picture.parts]
            out.append(guard.protect_text(piece, mark))
        ids = self._tokenizer.encode("".join(out), add_special=True, parse_special=True, guard=mark, mark=tile)
        return self._eyes.place(ids, pictures)

    def _ids(self, tokens: list[int], images: list) -> tuple[list[int], list]:
        if not images:
            return tokens, []
        if tokens.count(-1) != len(images):
            raise RequestError(f"prompt has {tokens.count(-1)} times -1, but there are {len(images)} images")
        pictures = self._looked_at([(f"images[{i}]", image) for i, image in enumerate(images)])
        following, out = iter(pictures), []
        for token in tokens:
            if token >= 0:
                out.append(token)
                continue
            for part in next(following).parts:
                out += [-1] if part is None else self._tokenizer.encode(part, add_special=False, parse_special=True)
        return self._eyes.place(out, pictures)

    def _looked_at(self, sources: list[tuple[str, object]]) -> list:
        if self._eyes is None:
            raise RequestError(f"{sources[0][0]}: a picture, but the engine was made without an mmproj")
        if len(sources) > MAX_PICTURES:
            raise RequestError(f"prompt: {len(sources)} pictures, at most {MAX_PICTURES} are taken")
        return [self._eyes.picture(source, name) for name, source in sources]
