"""A tiny random model that sees, as files, and pictures for it."""

from __future__ import annotations

from pathlib import Path

from vision_folders import cases, write_vision_folder

from llm_core.convert import convert_folder


def write_seeing_model(folder: Path) -> tuple[str, str]:
    """Paths of a tiny random LLaVA: (language model, mmproj)."""
    model, mmproj = folder / "llava.gguf", folder / "llava-mmproj.gguf"
    source = write_vision_folder(folder / "llava", cases()["llava"])
    convert_folder(source, model, "F32", mmproj=mmproj)
    return str(model), str(mmproj)
