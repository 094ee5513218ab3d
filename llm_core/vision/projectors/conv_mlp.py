"""conv_mlp: the projector of our own small towers (docs/vision.md), which begin with stages of convolutions: two layers
with a GELU between, on every row that the tower leaves. llama.cpp does not know the name and refuses the file.
"""

from llm_core.vision.projectors.ldp import refuse_tiles
from llm_core.vision.projectors.mlp import SPELLING, look, two_layers
from llm_core.vision.tower import Tower

__all__ = ["SPELLING", "TOWER", "look", "record"]
TOWER = Tower(stages=True)


def record(g, model, x):
    """linear(gelu(linear(rows)))"""
    refuse_tiles(model)
    return two_layers(g, model, x, "mm.0", "mm.2")
