"""The errors that llm_core raises on purpose: each message names what was wrong, where, and the value seen.

`ModelError`: a model file or model name (GGUF bytes, metadata, tensors, architecture, template).
`RequestError`: something that a caller asked for (a sampling value, a prompt, a grammar); the engine goes on.
Anything else that escapes llm_core is a bug.
"""

from collections.abc import Iterator
from contextlib import contextmanager


class LLMCoreError(Exception):
    """Base of every error raised on purpose."""


class ModelError(LLMCoreError, ValueError):
    """A model that cannot be used: says which file, key or tensor, and why."""


class RequestError(LLMCoreError, ValueError):
    """A request that cannot be served: says which field, its value, and what is allowed."""


@contextmanager
def naming(source: str | None) -> Iterator[None]:
    """Put `source`, a file's name, before the message of any ModelError that does not begin with it yet."""
    try:
        yield
    except ModelError as error:
        if source is None or str(error).startswith(source):
            raise
        raise ModelError(f"{source}: {error}") from None
