"""Pictures as embeddings: an mmproj file's tower and projector, preprocessing, and where they enter a prompt."""

from llm_core.vision.model import VisionModel, load_vision
from llm_core.vision.preprocess import open_image
from llm_core.vision.runner import VisionRunner

__all__ = ["VisionModel", "VisionRunner", "load_vision", "open_image"]
