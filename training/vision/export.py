"""A checkpoint as an mmproj GGUF file: `python -m training.vision.export OUT/eyes.pt tabletop.gguf [--type Q8_0]`.

With the LoRA of the language model if the checkpoint has one: matrices `<weight>.lora_a` and `.lora_b`, keys
`adapter.type` and `adapter.lora.alpha`, as in a file of their own.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from llm_core.gguf import GGMLType, GGUFWriter, open_gguf
from llm_core.gguf.fingerprint import BASE, fingerprint
from llm_core.hub import resolve
from llm_core.quants import quantize
from training.vision.data import MEAN, STD
from training.vision.tower import Projector, Tower, TowerConfig

FILE_TYPES = {"F32": 0, "F16": 1, "Q8_0": 7}


def write(
    path: Path, tower: Tower, projector: Projector, kind: str, lora: dict[str, np.ndarray], base: str = ""
) -> None:
    """Matrices as `kind`, the patches' kernel and what `kind` has no whole blocks for as F16 at most, vectors,
    positions and the projector's kernel as F32. base: the fingerprint of the language model that it is for."""
    c = tower.config
    with GGUFWriter(path) as writer:
        writer.add("general.architecture", "clip").add("general.type", "mmproj").add("general.name", path.stem)
        writer.add("general.license", "apache-2.0")
        if base:
            writer.add(BASE, base)
        writer.add("general.file_type", FILE_TYPES[kind]).add("general.quantization_version", 2)
        for key, value in {
            "clip.has_vision_encoder": True,
            "clip.projector_type": "conv_mlp",
            "clip.use_gelu": True,
            "clip.vision.image_size": c.image_size,
            "clip.vision.patch_size": c.patch_size,
            "clip.vision.embedding_length": c.n_embd,
            "clip.vision.feed_forward_length": c.n_ff,
            "clip.vision.projection_dim": c.width,
            "clip.vision.attention.head_count": c.n_head,
            "clip.vision.attention.layer_norm_epsilon": c.eps,
            "clip.vision.image_mean": list(MEAN),
            "clip.vision.image_std": list(STD),
            "clip.vision.block_count": c.n_layer,
            "clip.vision.feature_layer": [c.n_layer],
        }.items():
            writer.add(key, value)
        for name, values in {**_named(tower, "v."), **_named(projector, "mm.")}.items():
            if values.ndim == 1 or name == "v.position_embd.weight" or ".conv." in name:
                writer.add_tensor(name, values.reshape(len(values), 3, 3) if values.ndim == 4 else values)
                continue
            shape = values.shape
            chosen = GGMLType[kind]
            if name == "v.patch_embd.weight":
                shape = (len(values), 3, c.patch_size, c.patch_size)
                chosen = GGMLType.F32 if kind == "F32" else GGMLType.F16
            writer.add_tensor(name, quantize(values, chosen).reshape(-1), chosen, shape)
        if lora:
            rank = next(len(a) for name, a in lora.items() if name.endswith("lora_a"))
            writer.add("adapter.type", "lora").add("adapter.lora.alpha", float(rank))
        for name, values in lora.items():
            chosen = GGMLType[kind] if values.shape[1] % 32 == 0 or kind == "F32" else GGMLType.F16
            writer.add_tensor(name, quantize(values, chosen).reshape(-1), chosen, values.shape)


def parameters(module: torch.nn.Module, prefix: str) -> dict[str, torch.nn.Parameter]:
    """A tower's or a projector's, by their names in GGUF."""
    return {
        (prefix + name).replace("mlp_", "").replace("v.position_embd", "v.position_embd.weight"): parameter
        for name, parameter in module.named_parameters()
    }


def _named(module: torch.nn.Module, prefix: str) -> dict[str, np.ndarray]:
    return {n: np.ascontiguousarray(p.detach().float().numpy()) for n, p in parameters(module, prefix).items()}


def load_lora(path: Path) -> dict[str, np.ndarray]:
    """The LoRA's matrices of a checkpoint by their names in GGUF."""
    found = {}
    for key, value in torch.load(path).get("lora", {}).items():
        _, layer, *name, _, part = key.split("_")
        found[f"blk.{layer}.{'_'.join(name)}.weight.lora_{part}"] = value.float().numpy()
    return found


def load(path: Path) -> tuple[Tower, Projector]:
    """Tower and projector of a checkpoint."""
    state = torch.load(path)
    config = TowerConfig(**state["config"])
    tower, projector = Tower(config), Projector(config)
    tower.load_state_dict(state["tower"])
    projector.load_state_dict(state["projector"])
    return tower.eval(), projector.eval()


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", default="smollm2-135m-instruct", help="the language model that it was trained for")
    parser.add_argument("--type", choices=FILE_TYPES, default="Q8_0")
    args = parser.parse_args()
    base = fingerprint(open_gguf(resolve(args.model)))
    write(args.out, *load(args.checkpoint), args.type, load_lora(args.checkpoint), base)
    print(f"{args.out}: {args.out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
