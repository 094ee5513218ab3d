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
from llm_core.chat.sandbox import Sandbox, TemplateRefused
from llm_core.errors import ModelError, naming
from llm_core.tokenizer import Tokenizer

KEY = "tokenizer.chat_template"
MAX_SOURCE = 1 << 20
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
        **variables: Any,
    ) -> list[int]:
        """The prompt as token ids, BOS once if the model wants one; parameters and errors as for `render`."""
        messages, tools = check(messages), check_tools(tools)
        if self._guard is None:
            self._guard = Guard(self._tokenizer.control_tokens)
        said = json.dumps([messages, tools, variables], ensure_ascii=False, default=str)
        mark = Guard.pick(said, *self.sources.values())
        kept = [self._protected(message, mark) for message in messages]
        tools, variables = self._guard.protect(tools, mark), self._guard.protect(variables, mark)
        text = self._render(kept, tools, add_generation_prompt, variables)
        text = text.replace(f"\\u{ord(mark):04x}", mark)  # a template may have written its values as ASCII-only JSON
        ids = self._tokenizer.encode(text, add_special=False, parse_special=True, guard=mark)
        bos = self._tokenizer.bos_id
        return [bos, *ids] if self._tokenizer.add_bos and ids[:1] != [bos] else ids

    def close(self) -> None:
        """End the sandbox processes; what is rendered later is a RequestError."""
        for sandbox in self._sandboxes.values():
            sandbox.close()

    def _protected(self, message: Message, mark: str) -> Message:
        """The role stays as it is: templates build control tokens from it ("<|" + role + "|>")."""
        content = self._guard.protect_text(message["content"], mark)
        return {**self._guard.protect(message, mark), "content": content, "role": message["role"]}

    def _render(self, messages: list[Message], tools: list[dict] | None, add: bool, extra: dict) -> str:
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
        for attempt in _attempts(messages):
            try:
                text = self._sandboxes[key].render({**variables, "messages": attempt})
            except TemplateRefused as error:
                refusal = refusal or error
                continue
            if _shows(text, attempt):
                return text
            best = best or text
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


def _shows(text: str, messages: list[Message]) -> bool:
    """False if a system or tool turn is not in the rendered text: some templates pass over roles they do not know."""
    for message in messages:
        content = message["content"].strip()
        if message["role"] in ("system", "tool") and content and content not in text:
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
