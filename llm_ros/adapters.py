"""The LoRA adapters that come with llm_ros.

An adapter of ours says in its file for which model it was trained (`llm_core.gguf.fingerprint.BASE`); it is used with
that model, whatever the file's format or name, and with no other. Knows no ROS.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

FOLDER = Path(__file__).with_name("planner") / "adapters"
PLAIN = "plain-commands"  # puts commands into plain words: planner/rewrite.py


def shipped(fingerprint: str) -> dict[str, Path]:
    """Our adapters for the model of this fingerprint (`ModelInfo.fingerprint`), by name."""
    return {name: path for name, base, path in _known() if fingerprint and base == fingerprint}


def load_shipped(engine) -> None:
    """Loads our adapters for an engine's model into it; the requests choose. Raises ModelError."""
    taken = {info.name for info in engine.adapters}
    for name, path in shipped(engine.info.fingerprint if engine.info else "").items():
        if name not in taken:
            engine.load_adapter(name, path)


@cache
def _known() -> tuple[tuple[str, str, Path], ...]:
    """(name, the fingerprint of its model, file) of each adapter that is installed."""
    from llm_core.gguf import open_gguf
    from llm_core.gguf.fingerprint import BASE

    files = [(path, open_gguf(path).metadata) for path in sorted(FOLDER.glob("*.gguf"))]
    return tuple((metadata.str("general.name"), metadata.str(BASE), path) for path, metadata in files)
