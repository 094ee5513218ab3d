"""The engine's embeddings beside PyTorch's: `python -m training.vision.compare OUT/eyes.pt eyes.gguf PICTURE…`."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from llm_core.vision.model import load_vision
from llm_core.vision.preprocess import open_image
from llm_core.vision.runner import VisionRunner
from training.vision.data import MEAN, STD
from training.vision.export import load


def main() -> None:
    """Print the relative distance for each picture."""
    checkpoint, file, *images = sys.argv[1:]
    tower, projector = load(Path(checkpoint))
    model = load_vision(Path(file))
    runner = VisionRunner(model, n_threads=1)
    for image in images:
        tile = np.asarray(model.projector.look(model, open_image(image, image)).tiles[0], np.float32)
        x = ((tile / 255 - np.array(MEAN, np.float32)) / np.array(STD, np.float32)).astype(np.float32)
        with torch.no_grad():
            wanted = projector(tower(torch.from_numpy(x).permute(2, 0, 1)[None]))[0].numpy()
        found = runner.encode(x)
        print(f"{image}: {np.linalg.norm(found - wanted) / np.linalg.norm(wanted):.2e}")
    runner.close()


if __name__ == "__main__":
    main()
