"""Pictures as embeddings: an mmproj file's tower and projector, preprocessing, and where they enter a prompt.

The public names are loaded on first use: whoever only opens pictures needs no kernels.
"""

from importlib import import_module

_HOME = {
    "VisionModel": "llm_core.vision.model",
    "VisionRunner": "llm_core.vision.runner",
    "load_vision": "llm_core.vision.model",
    "open_image": "llm_core.vision.preprocess",
}
__all__ = sorted(_HOME)


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value
