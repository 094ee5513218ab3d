"""Renders scenes into shards: `python -m training.vision.render OUT --split train --count 20000`.

A shard is `NNNN.npz` of SHARD scenes: `images` uint8 [n, SIDE, SIDE, 3], `covered` float16 [n, things, cells] (part of
a thing's seen pixels that are in a cell), `facts` (JSON, see `llm_ros.sim.facts`). Shards that are there are kept, so
that an interrupted run goes on; `--worker 0/2` renders every second shard.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import asdict
from pathlib import Path

import numpy as np

from llm_ros.sim import draw
from llm_ros.sim.facts import Fact, Facts
from llm_ros.sim.scene import MAX_THINGS
from llm_ros.sim.studio import Studio, View

SIDE, CELLS = 192, 8
SHARD = 250
PADDING = (123, 117, 104)  # the mean colour, as `projectors/mlp.py` pads
SPLITS = {  # first seed, arguments of draw
    "train": (1_000_000, {}),
    "valid": (5_000_000, {}),
    "seen": (7_000_000, {}),
    "heldout": (9_000_000, {"unseen_pairs": True, "poses": "new"}),
}


class Camera:
    """Square pictures, and every fourth one 4:3 with bars, as the engine pads it."""

    def __init__(self):
        self.square, self.wide = Studio(SIDE, SIDE), Studio(SIDE, SIDE * 3 // 4)

    def take(self, seed: int, **draw_args) -> tuple[np.ndarray, np.ndarray, Facts]:
        """(image, mask, facts) of a seed, image and mask [SIDE, SIDE]."""
        studio = self.wide if seed % 4 == 3 else self.square
        view = studio.look(draw(seed, **draw_args))
        bar = (SIDE - studio.height) // 2
        image = np.empty((SIDE, SIDE, 3), np.uint8)
        image[:] = PADDING
        mask = np.zeros((SIDE, SIDE), np.uint8)
        image[bar : bar + studio.height], mask[bar : bar + studio.height] = view.image, view.mask
        return image, mask, facts_of(view, bar)


def facts_of(view: View, bar: int = 0) -> Facts:
    """What questions are asked about; places as parts of the padded picture's side."""
    scene, things = view.scene, []
    high, wide = view.mask.shape
    for thing in scene.things:
        x, y, _ = scene.camera.project(thing.centre, wide, high)
        distance = float(np.linalg.norm(np.array(thing.centre) - scene.camera.position))
        things.append(
            Fact(
                thing.shape, thing.colour, float(x / wide), float((y + bar) / wide),
                scene.camera.ahead(thing.centre), distance, thing.support, thing.base, thing.under_table,
            )
        )  # fmt: skip
    return Facts(scene.seed, scene.kind, scene.table is not None, tuple(things))


def cover(mask: np.ndarray) -> np.ndarray:
    """float16 [MAX_THINGS, CELLS * CELLS] of a mask."""
    cells = mask.reshape(CELLS, SIDE // CELLS, CELLS, SIDE // CELLS).transpose(0, 2, 1, 3).reshape(CELLS * CELLS, -1)
    counts = np.stack([(cells == i + 1).sum(1) for i in range(MAX_THINGS)]).astype(np.float32)
    return (counts / np.maximum(counts.sum(1, keepdims=True), 1)).astype(np.float16)


def main() -> None:
    """Render one split."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--split", choices=SPLITS, default="train")
    parser.add_argument("--count", type=int, default=20000)
    parser.add_argument("--worker", default="0/1")
    args = parser.parse_args()
    index, of = map(int, args.worker.split("/"))
    first, draw_args = SPLITS[args.split]
    folder = args.out / args.split
    folder.mkdir(parents=True, exist_ok=True)
    camera = Camera()
    for shard in range(index, -(-args.count // SHARD), of):
        path = folder / f"{shard:04}.npz"
        if path.exists():
            continue
        images, covered, facts = [], [], []
        for seed in range(first + shard * SHARD, first + (shard + 1) * SHARD):
            image, mask, fact = camera.take(seed, **draw_args)
            images.append(image)
            covered.append(cover(mask))
            facts.append(asdict(fact))
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        with open(temporary, "wb") as file:
            np.savez(file, images=np.stack(images), covered=np.stack(covered), facts=np.array(json.dumps(facts)))
        os.replace(temporary, path)
        print(f"{path} done", flush=True)


if __name__ == "__main__":
    main()
