"""`ChatTemplate`: messages → prompt, by the template in the model file or a fallback.

In: messages ({"role", "content", …}), tools. Out: `render` gives the text, `encode` the token ids. Control tokens
come from the template only; message text and tools never become one (guard.py). A template that has no place for a
system or tool turn gets its text folded into the user turns. Nothing is compiled before the first rendering, which
happens in a sandbox.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from llm_core.chat.fallbacks import fallback
from llm_core.chat.guard import Guard
from llm_core.chat.messages import Message, check, check_tools, describe_tools, fold_system, fold_tools
from llm_core.chat.pictures import Pictures, parted
from llm_core.chat.sandbox import Sandbox, TemplateRefused
from llm_core.errors import ModelError, RequestError, naming
from llm_core.tokenizer import Tokenizer

KEY = "tokenizer.chat_template"
MAX_SOURCE = 1 << 20
_MUST_SHOW = ("system", "tool")
TOOL_TEMPLATES = ("tool_use", "tools")


class ChatTemplate:
    """`name`: "model", or the fallback's name. `sources`: template name → Jinja source ("default" is always there)."""

    def __init__(self, sources: Mapping[str, str], tokenizer: Tokenizer, name: str = "model"):
        self.sources = dict(sources)
        self.name = name
        self._tokenizer = tokenizer
        self._sandboxes = {key: Sandbox(source) for key, source in self.sources.items()}
        self._guard: Guard | None = None

    @staticmethod
    def from_metadata(metadata: Mapping[str, Any], tokenizer: Tokenizer) -> ChatTemplate:
        """The file's templates, else a fallback by the tokens in the vocabulary. ModelError: not text, or too long."""
        with naming(getattr(metadata, "source", None)):
            sources = _sources(metadata)
        if "default" in sources:
            return ChatTemplate(sources, tokenizer)
        name, source = fallback(tokenizer)
        return ChatTemplate({**sources, "default": source}, tokenizer, name)

    def render(
        self,
        messages: list[Message],
        tools: list[dict] | None = None,
        add_generation_prompt: bool = True,
        **variables: Any,
    ) -> str:
        """The prompt as text, to read; to run it use `encode`, which keeps message text apart from control tokens.

        `variables` are handed to the template (`enable_thinking=False`). RequestError: messages of a wrong shape, or
        TemplateRefused, when the template says no to the conversation. ModelError: a broken or hostile template.
        """
        return self._render(check(messages), check_tools(tools), add_generation_prompt, variables)

    def encode(
        self,
        messages: list[Message],
        tools: list[dict] | None = None,
        add_generation_prompt: bool = True,
        pictures: Pictures | None = None,
        **variables: Any,
    ) -> list[int]:
        """The prompt as token ids, BOS once if the model wants one; parameters and errors as for `render`.

        `pictures`: what stands for the pictures whose places the messages have (`chat.pictures`); -1 among the ids is
        a run of embeddings.
        """
        tools = check_tools(tools)
        said = json.dumps([messages, tools, variables], ensure_ascii=False, default=str)
        mark = Guard.pick(said, *self.sources.values())
        tile = Guard.pick(said, mark, *self.sources.values())
        messages = check(messages, tile if pictures else "")
        guard = self._guard_for(pictures)
        kept = [self._protected(guard, message, mark) for message in messages]
        tools, variables = guard.protect(tools, mark), guard.protect(variables, mark)
        text = self._render(kept, tools, add_generation_prompt, variables, pictures, tile)
        text = text.replace(f"\\u{ord(mark):04x}", mark)  # a template may have written its values as ASCII-only JSON
        ids = self._tokenizer.encode(
            text, add_special=False, parse_special=True, guard=mark, mark=tile if pictures else ""
        )
        bos = self._tokenizer.bos_id
        return [bos, *ids] if self._tokenizer.add_bos and ids[:1] != [bos] else ids

    def close(self) -> None:
        """End the sandbox processes; what is rendered later is a RequestError."""
        for sandbox in self._sandboxes.values():
            sandbox.close()

    def _guard_for(self, pictures: Pictures | None) -> Guard:
        """What keeps text plain: spellings of control tokens, and of pictures where there are some."""
        spellings = [*self._tokenizer.control_tokens, *([pictures.spelling] if pictures else [])]
        if pictures:
            return Guard(spellings)
        if self._guard is None:
            self._guard = Guard(spellings)
        return self._guard

    def _protected(self, guard: Guard, message: Message, mark: str) -> Message:
        """The role stays as it is: templates build control tokens from it ("<|" + role + "|>")."""
        content = guard.protect_text(message["content"], mark)
        return {**guard.protect(message, mark), "content": content, "role": message["role"]}

    def _render(
        self,
        messages: list[Message],
        tools: list[dict] | None,
        add: bool,
        extra: dict,
        pictures: Pictures | None = None,
        tile: str = "",
    ) -> str:
        """The text; where pictures are, what stands for them, with `tile` (also their places in the messages) for
        embeddings."""
        key = next((k for k in TOOL_TEMPLATES if tools and k in self.sources), "default")
        if tools and "tools" not in self.sources[key]:
            messages, tools = describe_tools(messages, tools), None
        if "tool_calls" not in self.sources[key] and any(message.get("tool_calls") for message in messages):
            messages = fold_tools(messages)  # it would pass over the calls without a word
        tokenizer = self._tokenizer
        variables = {
            "bos_token": _text(tokenizer, "bos"),
            "eos_token": _text(tokenizer, "eos"),
            "unk_token": _text(tokenizer, "unk"),
            "pad_token": _text(tokenizer, "pad"),
            "documents": None,
            **extra,
            "tools": tools,
            "add_generation_prompt": add,
        }
        refusal: TemplateRefused | None = None
        best = ""
        attempts = [(attempt, False) for attempt in _attempts(messages)]
        parts_known = "type" in self.sources[key]
        if parts_known:  # it may want parts; with pictures rather those
            parts = [(attempt, True) for attempt in _attempts(messages)]
            attempts = [*parts, *attempts] if pictures else [*attempts, *parts]
        for attempt, as_parts in attempts:
            given = [{**m, "content": parted(m["content"], tile or "\0")} for m in attempt] if as_parts else attempt
            try:
                text = self._sandboxes[key].render({**variables, "messages": given})
            except TemplateRefused as error:
                refusal = refusal or error
                continue
            if pictures:
                text = _with_pictures(text, pictures, tile, as_parts)
            if text is not None and _shows(text, attempt, tile, _MUST_SHOW + (("user",) if parts_known else ())):
                return text
            best = best or text or ""
        if pictures:
            raise refusal or RequestError("messages: the chat template does not show their pictures")
        if best or refusal is None:
            return best  # nothing shows it all: the template as it is
        raise refusal


def _attempts(messages: list[Message]) -> list[list[Message]]:
    """The messages as they are, then with what some templates lack folded away."""
    roles = {message["role"] for message in messages}
    out = [messages]
    if "tool" in roles:
        out.append(fold_tools(messages))
    if "system" in roles:
        out += [fold_system(attempt) for attempt in list(out)]
    return out


def _with_pictures(text: str, pictures: Pictures, tile: str, as_parts: bool) -> str | None:
    """The rendered text with what stands for each picture; None if it does not show so many."""
    first, *others = text.split(pictures.spelling if as_parts else tile)
    if len(others) != len(pictures.parts):
        return None
    return first + "".join(pictures.text(i, tile) + piece for i, piece in enumerate(others))


def _shows(text: str, messages: list[Message], tile: str, roles: tuple[str, ...]) -> bool:
    """False if what somebody said is not in the rendered text: some templates pass over roles that they do not know,
    or over content that is no list of parts."""
    for message in messages:
        content = message["content"].strip()
        if tile and tile in content:
            continue  # what stands for a picture is not what its message says
        if message["role"] in roles and content and content not in text:
            quoted = json.dumps(message["content"], ensure_ascii=False)[1:-1]
            if quoted.strip() not in text and json.dumps(content)[1:-1] not in text:
                return False
    return True


def _text(tokenizer: Tokenizer, role: str) -> str:
    token = tokenizer.vocab.ids.get(role)
    return "" if token is None else tokenizer.vocab.tokens[token]


def _sources(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Template name → source: the key itself, its `….name` keys, or a list of {"name", "template"}."""
    found = {"default": metadata[KEY]} if metadata.get(KEY) is not None else {}
    if isinstance(found.get("default"), (list, tuple)):
        found = {str(e.get("name")): e.get("template") for e in found["default"] if isinstance(e, dict)}
    for key in metadata:
        if key.startswith(KEY + "."):
            found[key[len(KEY) + 1 :]] = metadata[key]
    for name, source in found.items():
        if not isinstance(source, str):
            raise ModelError(f"{KEY} ({name}): expected text, got {type(source).__name__}")
        if len(source) > MAX_SOURCE:
            raise ModelError(f"{KEY} ({name}): {len(source)} characters, at most {MAX_SOURCE} are taken")
    return {name: source for name, source in found.items() if source.strip()}
