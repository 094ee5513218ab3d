"""ldpv2: MobileVLM V2 (Chu et al., 2024): two layers with a GELU between, means of 2 * 2 patches, and a convolution
that tells them where they are.
"""

from llm_core.vision.convolution import kernel, neighbours
from llm_core.vision.projectors.ldp import refuse_tiles
from llm_core.vision.projectors.mlp import SPELLING, look, two_layers

__all__ = ["SPELLING", "look", "record"]
SIDE = 2


def record(g, model, x):
    """x + convolution(x) of x = means of linear(gelu(linear(patches)))"""
    refuse_tiles(model)
    x = two_layers(g, model, x, "mm.model.mlp.0", "mm.model.mlp.2")
    x = g.mean_rows(x, "squares", g.squares(SIDE))
    around = neighbours((g.grid[0] // SIDE, g.grid[1] // SIDE), 1)
    weight, bias = kernel(model, "mm.model.peg.0.weight", x.width), model.find("mm.model.peg.0.bias")
    return g.filter_rows(x, "around", around, weight, bias, residual=x)
