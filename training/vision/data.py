"""Rendered shards in memory, and what the tower alone is taught about each cell of a picture."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from llm_ros.sim.facts import Facts
from llm_ros.sim.scene import COLOURS, MAX_THINGS, SHAPES

CELLS = 8
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
COLOUR_NAMES = tuple(COLOURS)
SUPPORTS = ("surface", "table", "thing")
NONE = -100  # a label that no loss is taken of
# Columns of a cell's labels
CELL_LABELS = ("part_shape", "part_colour", "shape", "colour", "support", "under", "same_shape", "same_colour", "rank",
               "order", "below")  # fmt: skip
CELL_CLASSES = (len(SHAPES) + 1, len(COLOURS) + 1, len(SHAPES) + 1, len(COLOURS), 3, 2, 6, 6, 6, 6, len(COLOURS))
PLACES = 3  # x and y in the cell, distance ahead
WHOLE_CLASSES = (7,) + (7,) * len(SHAPES) + (7,) * len(COLOURS) + (2, 2)  # counts of all, each shape, each colour


@dataclass(frozen=True)
class Pictures:
    """images uint8 [n, side, side, 3] with their facts and labels."""

    images: np.ndarray
    facts: list[Facts]
    cells: np.ndarray
    places: np.ndarray
    whole: np.ndarray

    def __len__(self) -> int:
        return len(self.facts)


def load(folder: Path, limit: int | None = None, minimum: int = 0, images: bool = True) -> Pictures:
    """All shards of a folder; waits until there are `minimum` pictures. images: else only what is known of them."""
    while True:
        paths = sorted(folder.glob("*.npz"))
        size = len(np.load(paths[0])["covered"]) if paths else 0
        if paths and size * len(paths) >= minimum:
            break
        time.sleep(10)
    paths = paths[: None if limit is None else -(-limit // size)]
    first = np.load(paths[0])["images"].shape[1:]
    pictures = np.empty((size * len(paths) if images else 0, *first), np.uint8)
    facts, covered = [], []
    for i, path in enumerate(paths):
        with np.load(path) as shard:
            if images:
                pictures[i * size : (i + 1) * size] = shard["images"]
            covered.append(shard["covered"])
            facts += [Facts.read(found) for found in json.loads(str(shard["facts"]))]
    made = [labels(f, c.astype(np.float32)) for f, c in zip(facts, np.concatenate(covered), strict=True)]
    cells, places, whole = (np.stack(part) for part in zip(*made, strict=True))
    return Pictures(pictures, facts, cells, places, whole)


def labels(facts: Facts, covered: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels of cells int16 [cells, CELL_LABELS], of places float32 [cells, PLACES], and of the whole int16."""
    things = facts.things
    shapes = [SHAPES.index(t.shape) for t in things]
    colours = [COLOUR_NAMES.index(t.colour) for t in things]
    cells = np.full((CELLS * CELLS, len(CELL_LABELS)), NONE, np.int16)
    places = np.zeros((CELLS * CELLS, PLACES), np.float32)
    cells[:, 0], cells[:, 1], cells[:, 2] = len(SHAPES), len(COLOURS), len(SHAPES)
    most = covered.max(0)
    owner = covered.argmax(0)
    for i, (shape, colour) in enumerate(zip(shapes, colours, strict=True)):
        mine = (owner == i) & (most > 0.06)
        cells[mine, 0], cells[mine, 1] = shape, colour
    near = np.argsort([t.distance for t in things])
    left = np.argsort([t.x for t in things])
    for i in near[::-1]:  # where two things have one cell, the nearer one counts
        thing = things[i]
        column, row = (min(CELLS - 1, max(0, int(v * CELLS))) for v in (thing.x, thing.y))
        at = row * CELLS + column
        cells[at, 2:] = (
            shapes[i], colours[i], SUPPORTS.index(thing.support), thing.under_table,
            shapes.count(shapes[i]) - 1, colours.count(colours[i]) - 1,
            int(np.where(near == i)[0][0]), int(np.where(left == i)[0][0]),
            colours[thing.base] if thing.base >= 0 else NONE,
        )  # fmt: skip
        places[at] = thing.x * CELLS - column - 0.5, thing.y * CELLS - row - 0.5, (thing.ahead - 0.8) * 3
    counts = [len(things), *(shapes.count(s) for s in range(len(SHAPES)))]
    counts += [*(colours.count(c) for c in range(len(COLOURS))), facts.kind == "room", facts.has_table]
    return cells, places, np.array(counts, np.int16)


def mirrored(cells: np.ndarray, places: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels of the mirror image of a picture with `count` things."""
    order = CELL_LABELS.index("order")
    cells = cells.reshape(CELLS, CELLS, -1)[:, ::-1].reshape(CELLS * CELLS, -1).copy()
    places = places.reshape(CELLS, CELLS, -1)[:, ::-1].reshape(CELLS * CELLS, -1).copy()
    known = cells[:, order] != NONE
    cells[known, order] = count - 1 - cells[known, order]
    places[:, 0] *= -1
    return cells, places


def pixels(images: np.ndarray) -> torch.Tensor:
    """uint8 [n, side, side, 3] → normalised float32 [n, 3, side, side]."""
    values = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 255
    return (values - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


def jittered(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Normalised pixels with another exposure, contrast, white balance and noise for each picture."""
    n = len(x)

    def uniform(low: float, high: float, *shape: int) -> torch.Tensor:
        return low + (high - low) * torch.rand(*shape, generator=generator)

    gain = uniform(0.85, 1.15, n, 1, 1, 1) * uniform(0.95, 1.05, n, 3, 1, 1)
    x = x * gain + uniform(-0.15, 0.15, n, 1, 1, 1)
    return x + uniform(0, 0.06, n, 1, 1, 1) * torch.randn(x.shape, generator=generator)


assert MAX_THINGS <= 6  # counts and ranks above have so many classes
