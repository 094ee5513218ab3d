"""From a tower's features to a language model's embeddings: one short file a projector, by the name in the file.

A module has `SPELLING` (how chat templates write an image), `record(graph, model, features)`, which
records the projector, and `look(model, image)`, which cuts a picture into tiles and says how text and embeddings of the
tiles follow each other (`vision/layout.py`).
"""

from llm_core.vision.projectors.table import PROJECTORS, find_projector

__all__ = ["PROJECTORS", "find_projector"]
