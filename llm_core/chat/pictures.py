"""Pictures in messages: taken out, leaving a place that templates can show, and put back as what a tower makes of them.

A content part {"type": "image", "image": X} holds a picture. `take_pictures` gives the messages with `PLACE` parts
instead and the X; while a template is rendered each place is one character, or a part {"type": "image"} for templates
that want parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llm_core.errors import RequestError

MAX_PICTURES = 64
PLACE = {"type": "image"}


@dataclass(frozen=True)
class Pictures:
    """`spelling`: how templates write a picture ("<image>"); `parts`: for each picture the text that stands there, and
    None for every run of embeddings."""

    spelling: str
    parts: tuple[tuple[str | None, ...], ...]

    def text(self, i: int, tile: str) -> str:
        """What stands for picture i, with `tile` for its embeddings."""
        return "".join(tile if part is None else part for part in self.parts[i])


def take_pictures(messages: Sequence[Any]) -> tuple[list[Any], list[tuple[str, Any]]]:
    """(messages with places for pictures, [(name, picture)]). Raises RequestError."""
    out, found = [], []
    for i, message in enumerate(messages):
        content = message.get("content")
        if isinstance(content, list) and any(
            isinstance(part, dict) and part.get("type") == "image" for part in content
        ):
            parts = []
            for j, part in enumerate(content):
                if isinstance(part, dict) and part.get("type") == "image":
                    name = f"messages[{i}].content[{j}]"
                    if part.get("image") is None:
                        raise RequestError(f"{name}: a part of type 'image' holds the picture as 'image'")
                    found.append((f"{name}.image", part["image"]))
                    part = PLACE
                parts.append(part)
            message = {**message, "content": parts}
        out.append(message)
    if len(found) > MAX_PICTURES:
        raise RequestError(f"messages: {len(found)} pictures, at most {MAX_PICTURES} are taken")
    return out, found


def parted(content: str, mark: str) -> list[dict]:
    """Text with a mark for each picture → parts of text and places."""
    first, *others = content.split(mark)
    parts = [{"type": "text", "text": first}] if first else []
    for text in others:
        parts.append(dict(PLACE))
        if text:
            parts.append({"type": "text", "text": text})
    return parts
