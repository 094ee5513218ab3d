"""Tiny vision-language models as Hugging Face folders, from a seed: weights, configuration, preprocessing, one picture.

`test/data/vision_cases.json` holds what `transformers` says of each case (golden/vision.py): its config.json, the
names and shapes of its tensors, the prompt and the greedy answer; `vision_features.npz` the picture's embeddings.
"""

from __future__ import annotations

import json
import math
import zlib
from pathlib import Path

import numpy as np
from hf_folders import TOKENIZER_CONFIG, tokenizer_json, write_safetensors

DATA = Path(__file__).parent / "data"
N_VOCAB = 291
MEAN, STD = [0.48, 0.45, 0.41], [0.27, 0.26, 0.28]


def weights(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Float32 that depend on the name only: norms near 1 (Gemma's near 0), matrices that keep activations near 1."""
    bits = np.random.PCG64([7, zlib.crc32(name.encode())]).random_raw(math.prod(shape))
    values = ((bits >> np.uint64(40)).astype(np.float64) / 2.0**23 - 1.0).astype(np.float32).reshape(shape)
    if name.endswith("bias") or len(shape) == 1 and "norm" not in name:
        return values * np.float32(0.2)
    if len(shape) == 1:
        gemma = "soft_emb_norm" in name or "layers" in name and ("feedforward" in name or "q_norm" in name)
        return values * np.float32(0.3) + np.float32(0 if gemma else 1)
    if "mm_input_projection" in name:
        return values * np.float32(1.7 / math.sqrt(shape[0]))
    if "position_embedding" in name:
        return values * np.float32(0.5)
    return values * np.float32(2.5 / math.sqrt(math.prod(shape[1:])))


def picture(side: int, wide: int = 0) -> np.ndarray:
    """A picture, uint8 [side, wide or side, 3], with something different everywhere."""
    y, x = np.mgrid[:side, : wide or side]
    return np.stack([x * 5 + y, y * 7 + x * x // 9, (x ^ y) * 3], axis=-1).astype(np.uint8)


def cases() -> dict:
    """Everything recorded, by case."""
    return json.loads((DATA / "vision_cases.json").read_text())


def write_vision_folder(folder: Path, case: dict, rename=lambda name: name) -> Path:
    """The folder of a case as `save_pretrained` would write it; `rename`: other names for tensors."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(case["config"]))
    (folder / "preprocessor_config.json").write_text(json.dumps(case["preprocessor"]))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer_json(N_VOCAB)))
    (folder / "tokenizer_config.json").write_text(json.dumps(TOKENIZER_CONFIG))
    tensors = {rename(name): weights(name, tuple(shape)) for name, shape in case["tensors"].items()}
    write_safetensors(folder / "model.safetensors", tensors)
    return folder
