"""idefics3: Idefics 3 and SmolVLM (Laurençon et al., 2024): squares of patches become one token ("pixel shuffle"); a
picture is cut into tiles, which are told apart by tokens that name row and column, and shown whole after them.
"""

import math

from llm_core.vision import preprocess
from llm_core.vision.layout import Embeddings, Layout

SPELLING = "<image>"
AROUND, WHOLE = "<fake_token_around_image>", "<global-img>"
EDGE_TILES = 4  # tiles along the longer side, where the file does not say (all published models)


def record(g, model, x):
    """linear(merge * merge patches side by side)"""
    x = g.concat_rows(x, "squares", g.squares(model.merge))
    return g.linear(x, model.param("mm.model.fc.weight"))


def look(model, image) -> Layout:
    """The picture's tiles and the whole, or only the whole if one tile holds it."""
    c = model.config
    tile = c.image_size
    size = grid_size(image.size, c.longest_edge or EDGE_TILES * tile, tile)
    resized = preprocess.stretch(image, edge_size(image.size, c.longest_edge or EDGE_TILES * tile), "lanczos")
    resized = preprocess.stretch(resized, size, "lanczos")
    if size == (tile, tile):
        return Layout([resized], [AROUND + WHOLE, Embeddings(0), AROUND])
    tiles = preprocess.cut(resized, tile)
    columns = size[0] // tile
    parts = []
    for i in range(len(tiles)):
        row, column = i // columns + 1, i % columns + 1
        parts += [f"{AROUND}<row_{row}_col_{column}>", Embeddings(i), "\n" if column == columns else ""]
    whole = preprocess.stretch(resized, (tile, tile), "lanczos")
    return Layout([*tiles, whole], [*parts, f"\n{AROUND}{WHOLE}", Embeddings(len(tiles)), AROUND])


def edge_size(size: tuple[int, int], edge: int) -> tuple[int, int]:
    """(width, height) with the longer side `edge` and the other one even, as the published processor rounds."""
    wide, high = size
    ratio = wide / high
    if wide >= high:
        other = int(edge / ratio)
        return edge, max(other + other % 2, 1)
    other = int(edge * ratio)
    return max(other + other % 2, 1), edge


def grid_size(size: tuple[int, int], edge: int, tile: int) -> tuple[int, int]:
    """The size in whole tiles that a picture is resized to at last."""
    wide, high = edge_size(size, edge)
    ratio = wide / high
    if wide >= high:
        wide = math.ceil(wide / tile) * tile
        return wide, max(1, math.ceil(int(wide / ratio) / tile)) * tile
    high = math.ceil(high / tile) * tile
    return max(1, math.ceil(int(high * ratio) / tile)) * tile, high
