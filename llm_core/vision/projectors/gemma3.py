"""gemma3: Gemma 3 (Gemma Team, 2025): squares of patches are averaged, normalised and projected; the language model
reads an image's tokens all at once.
"""

from llm_core.vision import preprocess
from llm_core.vision.layout import Embeddings, Layout

SPELLING = "<start_of_image>"
SEES_WHOLE = True
MERGE = 4


def record(g, model, x):
    """projection(norm(mean of merge * merge patches))"""
    x = g.mean_rows(x, "squares", g.squares(model.merge))
    x = g.rms_norm(x, model.param("mm.soft_emb_norm.weight"))
    return g.linear(x, model.transposed("mm.input_projection.weight"))


def look(model, image) -> Layout:
    """One tile, whatever the picture's shape."""
    c = model.config
    tile = preprocess.stretch(image, (c.image_size, c.image_size), "bilinear")
    return Layout([tile], ["\n\n<start_of_image>", Embeddings(0), "<end_of_image>\n\n"])
