"""ldp: MobileVLM (Chu et al., 2023): two layers with a GELU between, then two blocks as in MobileNet v3 (Howard et al.,
2019), the second of which takes every other patch of every other row: a quarter of the patches become tokens.
"""

import numpy as np

from llm_core.errors import ModelError
from llm_core.vision.convolution import kernel, neighbours
from llm_core.vision.projectors.mlp import SPELLING, look, two_layers

__all__ = ["SPELLING", "look", "record"]


def record(g, model, x):
    """block(x + block(x)) of x = linear(gelu(linear(patches)))"""
    refuse_tiles(model)
    x = two_layers(g, model, g.patches(x), "mm.model.mlp.1", "mm.model.mlp.3")
    x = _block(g, model, x, 1, neighbours(g.grid, 1), residual=x)
    return _block(g, model, x, 2, neighbours(g.grid, 2), residual=None)


def refuse_tiles(model) -> None:
    """Raise ModelError for a file that wants pictures cut into tiles."""
    if model.config.pinpoints:
        raise ModelError(f"'clip.vision.image_grid_pinpoints': not supported with projector {model.config.projector}")


def _block(g, model, x, number: int, around: np.ndarray, residual):
    """norm(linear(h * gates(mean of h))) (+ residual), where h = hard_swish(norm(convolution(x)))"""
    prefix = f"mm.model.mb_block.{number}.block."

    def norm(name: str, value, residual=None):
        weight, bias = model.param(f"{prefix}{name}.weight"), model.find(f"{prefix}{name}.bias")
        return g.layer_norm(value, weight, bias, residual=residual)

    def linear(name: str, value):
        return g.linear(value, model.param(f"{prefix}{name}.weight"), bias=model.find(f"{prefix}{name}.bias"))

    h = g.filter_rows(x, f"{prefix}around", around, kernel(model, f"{prefix}0.0.weight", x.width), None)
    h = g.activate("hard_swish", norm("0.1", h))
    gates = g.mean_rows(h, f"{prefix}all", np.arange(g.rows_of(h))[None])
    gates = g.activate("hard_sigmoid", linear("1.fc2", g.activate("relu", linear("1.fc1", gates))))
    return norm("2.1", linear("2.0", g.scale_rows(h, gates)), residual)
