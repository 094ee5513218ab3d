"""Rendered shards in memory, and what the tower alone is taught about each cell of a picture."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import repeat
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
# Columns of a cell's labels. A thing is told as a text would: the cell of its middle says its shape (SECOND), the cell
# before it says its colour (FIRST).
CELL_LABELS = ("part_shape", "part_colour", "shape", "colour", "support", "under", "same_shape", "same_colour", "rank",
               "order", "below")  # fmt: skip
CELL_CLASSES = (len(SHAPES) + 1, len(COLOURS) + 1, len(SHAPES) + 1, len(COLOURS) + 1, 3, 2, 6, 6, 6, 6, len(COLOURS))
FIRST, SECOND = [3, 4, 7, 9], [2, 5, 6, 8, 10]
NOTHING = {0: len(SHAPES), 1: len(COLOURS), 2: len(SHAPES), 3: len(COLOURS)}  # labels of what is not there
PLACES = 3  # x and y in the cell, distance ahead
WHOLE_CLASSES = (7,) + (7,) * len(SHAPES) + (7,) * len(COLOURS) + (2, 2)  # counts of all, each shape, each colour


@dataclass(frozen=True)
class Pictures:
    """images uint8 [n, side, side, 3] with their facts, and which parts of cells things cover [n, things, cells]."""

    images: np.ndarray
    facts: list[Facts]
    covered: np.ndarray

    def __len__(self) -> int:
        return len(self.facts)

    def labels(self, chosen: Iterable[int], turned: Iterable[bool] | None = None) -> tuple[np.ndarray, ...]:
        """(cells, places, whole) of pictures, those that are `turned` as in a mirror."""
        made = []
        for i, turn in zip(chosen, repeat(False) if turned is None else turned, strict=False):
            covered = self.covered[i].astype(np.float32)
            if turn:
                covered = covered.reshape(-1, CELLS, CELLS)[:, :, ::-1].reshape(len(covered), -1)
            made.append(labels(self.facts[i].mirrored() if turn else self.facts[i], covered))
        return tuple(np.stack(part) for part in zip(*made, strict=True))


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
    return Pictures(pictures, facts, np.concatenate(covered))


def labels(facts: Facts, covered: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels of cells int16 [cells, CELL_LABELS], of places float32 [cells, PLACES], and of the whole int16."""
    things = facts.things
    shapes = [SHAPES.index(t.shape) for t in things]
    colours = [COLOUR_NAMES.index(t.colour) for t in things]
    cells = np.full((CELLS * CELLS, len(CELL_LABELS)), NONE, np.int16)
    places = np.zeros((CELLS * CELLS, PLACES), np.float32)
    for label, nothing in NOTHING.items():
        cells[:, label] = nothing
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
        column = max(1, column)
        at = row * CELLS + column
        told = {
            2: shapes[i], 3: colours[i], 4: SUPPORTS.index(thing.support), 5: thing.under_table,
            6: shapes.count(shapes[i]) - 1, 7: colours.count(colours[i]) - 1,
            8: int(np.where(near == i)[0][0]), 9: int(np.where(left == i)[0][0]),
            10: colours[thing.base] if thing.base >= 0 else NONE,
        }  # fmt: skip
        cells[at - 1, FIRST] = [told[label] for label in FIRST]
        cells[at, SECOND] = [told[label] for label in SECOND]
        places[at] = thing.x * CELLS - column - 0.5, thing.y * CELLS - row - 0.5, (thing.ahead - 0.8) * 3
    counts = [len(things), *(shapes.count(s) for s in range(len(SHAPES)))]
    counts += [*(colours.count(c) for c in range(len(COLOURS))), facts.kind == "room", facts.has_table]
    return cells, places, np.array(counts, np.int16)


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
