"""Messages as callers give them: checked, and rewritten for templates that lack a role.

`check(messages)` → plain copies, or a RequestError that names the message and field. `fold_system` and `fold_tools`
move what a template cannot show into the user turns; `describe_tools` writes tools out for templates that know none.
"""

from __future__ import annotations

import json
from typing import Any

from llm_core.chat.pictures import PLACE
from llm_core.errors import RequestError

ROLES = ("system", "user", "assistant", "tool")
Message = dict[str, Any]


def check(messages: Any, place: str = "") -> list[Message]:
    """Copies of the messages; content becomes a str (None becomes "", a picture's place `place`, if there is one)."""
    if not isinstance(messages, (list, tuple)) or not messages:
        raise RequestError(f"messages: expected a list with at least one message, got {str(messages)[:60]!r}")
    return [_check_one(i, message, place) for i, message in enumerate(messages)]


def _check_one(i: int, message: Any, place: str) -> Message:
    if not isinstance(message, dict):
        raise RequestError(f"messages[{i}]: expected a dict, got {type(message).__name__}")
    if message.get("role") not in ROLES:
        raise RequestError(f"messages[{i}].role: {message.get('role')!r} is not one of {', '.join(ROLES)}")
    calls = message.get("tool_calls")
    if calls is not None and not (isinstance(calls, list) and all(isinstance(call, dict) for call in calls)):
        raise RequestError(f"messages[{i}].tool_calls: expected a list of dicts, got {str(calls)[:60]!r}")
    content = message.get("content")
    if content is None:
        if message["role"] != "assistant" or not message.get("tool_calls"):
            raise RequestError(f"messages[{i}].content: missing")
        content = ""
    elif isinstance(content, list):
        content = "".join(_part(i, part, place) for part in content)
    elif not isinstance(content, str):
        raise RequestError(f"messages[{i}].content: expected a string, got {type(content).__name__}")
    return {**message, "content": content}


def _part(i: int, part: Any, place: str) -> str:
    if place and part == PLACE:
        return place
    if isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str):
        return part["text"]
    raise RequestError(f"messages[{i}].content: only parts of type 'text' are text, got {str(part)[:60]!r}")


def check_tools(tools: Any) -> list[dict] | None:
    """The tools (JSON schema functions) as a list, or None."""
    if not tools:
        return None
    if not isinstance(tools, (list, tuple)) or not all(isinstance(tool, dict) for tool in tools):
        raise RequestError(f"tools: expected a list of dicts, got {str(tools)[:60]!r}")
    return list(tools)


def fold_system(messages: list[Message]) -> list[Message]:
    """System text goes before the text of the user turn that follows it (or becomes a user turn)."""
    out: list[Message] = []
    waiting: list[str] = []
    for message in messages:
        if message["role"] == "system":
            waiting.append(message["content"])
            continue
        if waiting and message["role"] == "user":
            message = {**message, "content": "\n\n".join([*waiting, message["content"]])}
            waiting = []
        out.append(message)
    if waiting:
        out.append({"role": "user", "content": "\n\n".join(waiting)})
    return out


def fold_tools(messages: list[Message]) -> list[Message]:
    """Tool calls become JSON in the assistant's text, tool results user turns; neighbours of one role are joined."""
    out: list[Message] = []
    for message in messages:
        role, content = message["role"], message["content"]
        if role == "tool":
            name = message.get("name")
            role, content = "user", f"Result of {name}:\n{content}" if name else f"Result:\n{content}"
        elif message.get("tool_calls"):
            calls = [call.get("function", call) for call in message["tool_calls"]]
            content = "\n".join([*([content] if content else []), *(json.dumps(c, ensure_ascii=False) for c in calls)])
        else:
            out.append(message)
            continue
        if out and out[-1]["role"] == role:
            out[-1] = {**out[-1], "content": f"{out[-1]['content']}\n\n{content}"}
        else:
            out.append({"role": role, "content": content})
    return out


def describe_tools(messages: list[Message], tools: list[dict]) -> list[Message]:
    """The tools as text in the system turn, for a template that takes no `tools`."""
    text = "You can call these functions:\n" + "\n".join(json.dumps(tool, ensure_ascii=False) for tool in tools)
    text += '\nTo call one, answer with JSON only: {"name": the function\'s name, "arguments": {its arguments}}'
    if messages[0]["role"] == "system":
        return [{**messages[0], "content": f"{messages[0]['content']}\n\n{text}"}, *messages[1:]]
    return [{"role": "system", "content": text}, *messages]
