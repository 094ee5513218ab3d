"""How a picture enters a prompt: its tiles, and the text and embeddings that follow each other where it stands."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image


@dataclass(frozen=True)
class Embeddings:
    """Embeddings of tile number `tile`, or the `count` that `join` makes of all tiles' (a list of [tokens, width] →
    [count, width])."""

    tile: int = 0
    join: Callable[[list[np.ndarray]], np.ndarray] | None = None
    count: int = 0


@dataclass(frozen=True)
class Layout:
    """`tiles`: RGB pictures of the tower's size; `parts`: text (with control tokens) and embeddings, in order."""

    tiles: list[Image.Image]
    parts: list[str | Embeddings]


def squares(side: int, merge: int, first: int = 0) -> np.ndarray:
    """int [tokens, merge * merge]: the numbers of the patches of each square, row by row, where a tile has side * side
    patches and `first` rows come before them."""
    numbers = first + np.arange(side * side).reshape(side // merge, merge, side // merge, merge)
    return numbers.transpose(0, 2, 1, 3).reshape(-1, merge * merge)
