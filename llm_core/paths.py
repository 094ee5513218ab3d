"""Where llm_core keeps files that it can make again (fetched models, compiled kernels, packed weights), and where it
writes none.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from llm_core.errors import RequestError


def cache_dir() -> Path:
    """`LLM_CORE_CACHE` if set, else `llm_core` in the user's cache folder (XDG_CACHE_HOME, by default ~/.cache)."""
    explicit = os.environ.get("LLM_CORE_CACHE")
    if explicit:
        return Path(os.path.expanduser(explicit))
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "llm_core"


def check_output(path: Path) -> None:
    """Raise RequestError for a path at which a whole new file cannot take the place of what is there: a folder, or a
    device or pipe, which would be gone for everybody.
    """
    if path.exists() and not path.is_file():
        raise RequestError(f"{path}: is there and is no regular file, so no file is written in its place")


@contextlib.contextmanager
def unfinished(target: Path) -> Iterator[Path]:
    """A path to write a file at that takes `target`'s place when all is well with it, and goes when anything is raised.
    Raises RequestError as `check_output`.
    """
    check_output(target)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp")
    try:
        yield temporary
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def sources_digest(*sources: Path) -> bytes:
    """SHA-256 of Python files and of all that are in folders: what is kept on disk depends on them."""
    digest = hashlib.sha256()
    for source in sources:
        for path in sorted(source.rglob("*.py")) if source.is_dir() else [source]:
            digest.update(path.read_bytes())
    return digest.digest()
