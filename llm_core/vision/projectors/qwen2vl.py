"""qwen2vl_merger: Qwen2-VL (Wang et al., 2024): a picture of any shape, squares of 2 * 2 patches side by side through
two layers with a GELU between; the language model knows row and column of each token.
"""

import math

from llm_core.vision import preprocess
from llm_core.vision.config import MAX_PATCHES
from llm_core.vision.layout import Embeddings, Layout
from llm_core.vision.projectors.mlp import two_layers
from llm_core.vision.tower import Tower

BEFORE, AFTER = "<|vision_start|>", "<|vision_end|>"
SPELLING = f"{BEFORE}<|image_pad|>{AFTER}"
MERGE = 2
TOWER = Tower(axial=True, frames=2, says_n_ff=False)  # llama.cpp's converter writes the language model's width there
MIN_TOKENS, MAX_TOKENS = 4, 1280  # of a picture, where the file does not say


def record(g, model, x):
    """linear(gelu(linear(merge * merge patches side by side)))"""
    model.param("v.post_ln.weight")  # the tower leaves out what is not there
    return two_layers(g, model, g.concat_rows(x, "squares", g.squares(model.merge)), "mm.0", "mm.2")


def look(model, image) -> Layout:
    """One tile, as large as the picture in whole squares of patches."""
    c, unit = model.config, model.config.patch_size * model.merge
    least = c.min_pixels or MIN_TOKENS * unit**2
    most = min(c.max_pixels or MAX_TOKENS * unit**2, MAX_PATCHES * c.patch_size**2)
    wide, high = whole_squares(image.size, unit, min(least, most), most)
    grid = (high // unit, wide // unit)
    tile = preprocess.stretch(image, (wide, high), "bicubic")
    return Layout([tile], [BEFORE, Embeddings(count=grid[0] * grid[1], grid=grid), AFTER])


def whole_squares(size: tuple[int, int], unit: int, least: int, most: int) -> tuple[int, int]:
    """(width, height) in multiples of `unit` close to a picture's size, of `least` to `most` pixels, as the published
    processor rounds."""
    wide, high = (round(n / unit) * unit for n in size)
    if wide * high > most:
        scale = math.sqrt(size[0] * size[1] / most)
        wide, high = (max(1, math.floor(n / scale / unit)) * unit for n in size)
    elif wide * high < least:
        scale = math.sqrt(least / (size[0] * size[1]))
        wide, high = (math.ceil(n * scale / unit) * unit for n in size)
    return wide, high
