"""Random LoRA adapters of the tiny models."""

import numpy as np
from tiny_models import tiny_tensors

from llm_core.gguf import GGMLType, GGUFWriter

RANK, ALPHA = 5, 10.0


def write_adapter(path, config, weights, seed=0, type=GGMLType.F32, **metadata):
    """An adapter of some weights; returns what it adds to each, scale included."""
    rng = np.random.default_rng(seed)
    shapes = {name: values.shape for name, values in tiny_tensors(config).items()}
    keys = {
        "general.type": "adapter",
        "adapter.type": "lora",
        "general.architecture": config.arch,
        "adapter.lora.alpha": ALPHA,
    }
    added = {}
    with GGUFWriter(path) as writer:
        for key, value in (keys | metadata).items():
            writer.add(key, value)
        for name in weights:
            n, k = shapes[name]
            a = rng.standard_normal((RANK, k)).astype(np.float32) / k**0.5
            b = rng.standard_normal((n, RANK)).astype(np.float32) * np.float32(0.1)
            writer.add_tensor(f"{name}.lora_a", a, type)
            writer.add_tensor(f"{name}.lora_b", b, type)
            added[name] = (b.astype(np.float64) @ a * (ALPHA / RANK)).astype(np.float32)
    return added


def matrices(config):
    """The names of the weights in the layers."""
    return [
        name
        for name, values in tiny_tensors(config).items()
        if name.startswith("blk.") and values.ndim == 2 and name.endswith(".weight")
    ]
