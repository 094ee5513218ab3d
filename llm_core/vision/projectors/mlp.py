"""mlp: LLaVA 1.5 (Liu et al., 2023): two layers with a GELU between, on every patch of the last but one layer. With
grid pinpoints LLaVA 1.6 (2024): the picture whole, and again in tiles, whose rows of patches end in `image_newline`.
"""

import numpy as np

from llm_core.errors import ModelError
from llm_core.vision import preprocess
from llm_core.vision.layout import Embeddings, Layout

SPELLING = "<image>"
HIDDEN_NAMES = ("mm.1.weight", "mm.3.weight", "mm.4.weight")


def record(g, model, x):
    """linear(gelu(linear(patches)))"""
    for name in HIDDEN_NAMES:
        if model.find(name):
            raise ModelError(f"tensor {name!r}: a projector with norms or more layers is not supported")
    x = two_layers(g, model, g.patches(x), "mm.0", "mm.2")
    if model.find("v.image_newline"):
        model.find("v.image_newline").expect(x.width)
    return x


def two_layers(g, model, x, first: str, second: str):
    """linear(gelu(linear(x)))"""
    x = g.activate("exact_gelu", g.linear(x, model.param(f"{first}.weight"), bias=model.find(f"{first}.bias")))
    return g.linear(x, model.param(f"{second}.weight"), bias=model.find(f"{second}.bias"))


def look(model, image) -> Layout:
    """One tile; with pinpoints the whole picture and its tiles."""
    c = model.config
    colour = tuple(round(255 * m) for m in c.mean)
    whole = preprocess.pad(image, c.image_size, colour)
    if not c.pinpoints:
        return Layout([whole], [Embeddings(0)])
    wide, high = preprocess.best_size(image.size, c.pinpoints)
    if wide % c.image_size or high % c.image_size:
        raise ModelError(f"{model.source}: 'clip.vision.image_grid_pinpoints': {wide} x {high} is no grid of tiles")
    whole = preprocess.stretch(image, (c.image_size, c.image_size), "bicubic")
    tiles = preprocess.cut(preprocess.fit(image, (wide, high), "bicubic"), c.image_size)
    grid = (high // c.image_size, wide // c.image_size)

    newline = model.newline

    def join(features: list[np.ndarray]) -> np.ndarray:
        end = None if newline is None else newline[: features[0].shape[1]]
        return join_tiles(features, grid, c.side, image.size, end, c.unpad)

    count = len(join([np.empty((c.n_patches, 0), np.float32)] * (1 + len(tiles))))
    return Layout([whole, *tiles], [Embeddings(join=join, count=count)])


def join_tiles(features, grid, side, size, newline, unpad: bool) -> np.ndarray:
    """Embeddings of the whole picture, then those of all tiles row by row over the picture, without the rows or columns
    that are padding, each row ended by `newline`."""
    rows, columns = grid
    whole = np.stack(features[1:]).reshape(rows, columns, side, side, features[0].shape[1]).transpose(0, 2, 1, 3, 4)
    whole = whole.reshape(rows * side, columns * side, features[0].shape[1])
    if unpad:
        whole = unpadded(whole, size)
    if newline is not None:
        ends = np.broadcast_to(newline, (len(whole), 1, len(newline)))
        whole = np.concatenate([whole, ends], axis=1)
    return np.concatenate([features[0], whole.reshape(whole.shape[0] * whole.shape[1], -1 if whole.size else 0)])


def unpadded(patches: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """[rows, columns, width] without what is outside a picture of `size` (width, height) fitted into it."""
    high, wide = patches.shape[:2]
    if size[0] / size[1] > wide / high:
        inner = round(size[1] * (wide / size[0]), 7)
        margin = (high - int(inner)) // 2
        return patches[margin : high - margin]
    inner = round(size[0] * (high / size[1]), 7)
    margin = (wide - int(inner)) // 2
    return patches[:, margin : wide - margin]
