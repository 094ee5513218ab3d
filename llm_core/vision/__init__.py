"""Pictures as embeddings: an mmproj file's tower and projector, preprocessing, and where they enter a prompt.

The public names are loaded on first use: whoever only opens pictures needs no kernels.
"""

from llm_core.lazy import lazy

_HOMES = {
    "llm_core.vision.model": "VisionModel load_vision",
    "llm_core.vision.runner": "VisionRunner",
    "llm_core.vision.preprocess": "open_image",
}
__all__, __getattr__, __dir__ = lazy(__name__, globals(), _HOMES)
