"""gemma3: Gemma 3 (Gemma Team, 2025): squares of patches are averaged, normalised and projected; the language model
reads an image's tokens all at once.
"""

from llm_core.vision import preprocess
from llm_core.vision.config import expect_merge
from llm_core.vision.layout import Embeddings, Layout, squares

SPELLING = "<start_of_image>"
SEES_WHOLE = True
MERGE = 4


def record(g, model, x):
    """projection(norm(mean of merge * merge patches))"""
    c = model.config
    merge = c.merge or MERGE
    expect_merge(c, model.source, merge)
    x = g.mean_rows(x, "squares", squares(c.side, merge, model.first))
    x = g.rms_norm(x, model.param("mm.soft_emb_norm.weight"))
    return g.linear(x, model.transposed("mm.input_projection.weight"))


def look(model, image) -> Layout:
    """One tile, whatever the picture's shape."""
    c = model.config
    tile = preprocess.stretch(image, (c.image_size, c.image_size), "bilinear")
    return Layout([tile], ["\n\n<start_of_image>", Embeddings(0), "<end_of_image>\n\n"])
