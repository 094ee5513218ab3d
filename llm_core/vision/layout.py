"""How a picture enters a prompt: its tiles, and the text and embeddings that follow each other where it stands."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image


@dataclass(frozen=True)
class Embeddings:
    """Embeddings of tile number `tile`, or the `count` that `join` makes of all tiles' (a list of [tokens, width] →
    [count, width]). `count` 0: as many as every tile has. `grid`: rows and columns that they lie in, where the language
    model turns them by these."""

    tile: int = 0
    join: Callable[[list[np.ndarray]], np.ndarray] | None = None
    count: int = 0
    grid: tuple[int, int] | None = None


@dataclass(frozen=True)
class Layout:
    """`tiles`: RGB pictures of a size that the tower takes; `parts`: text (with control tokens) and embeddings, in
    order."""

    tiles: list[Image.Image]
    parts: list[str | Embeddings]


def squares(high: int, wide: int, merge: int) -> np.ndarray:
    """int [tokens, merge * merge]: the numbers of the patches of each square, row by row, in a grid of high * wide."""
    numbers = np.arange(high * wide).reshape(high // merge, merge, wide // merge, merge)
    return numbers.transpose(0, 2, 1, 3).reshape(-1, merge * merge)


def windows(grid: tuple[int, int], side: int) -> tuple[np.ndarray, list[int]]:
    """(the numbers of the patches, window by window; where each window begins, and the end), for windows of side * side
    patches, smaller at the right and at the bottom."""
    numbers = np.arange(grid[0] * grid[1]).reshape(grid)
    found = [
        numbers[y : y + side, x : x + side].ravel() for y in range(0, grid[0], side) for x in range(0, grid[1], side)
    ]
    return np.concatenate(found), [0, *np.cumsum([len(window) for window in found]).tolist()]
