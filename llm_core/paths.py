"""Where llm_core keeps files that it can make again: fetched models, compiled kernels, packed weights."""

from __future__ import annotations

import os
from pathlib import Path


def cache_dir() -> Path:
    """`LLM_CORE_CACHE` if set, else `llm_core` in the user's cache folder (XDG_CACHE_HOME, by default ~/.cache)."""
    explicit = os.environ.get("LLM_CORE_CACHE")
    if explicit:
        return Path(os.path.expanduser(explicit))
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "llm_core"
