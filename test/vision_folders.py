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

from llm_core.gguf import GGMLType, GGUFWriter

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


# The MobileVLM towers of golden/vision.py: sizes, and the projector's tensors.
MOBILE = {
    "image_size": 84, "patch_size": 14, "embedding_length": 64, "feed_forward_length": 96, "block_count": 2,
    "attention.head_count": 4, "projection_dim": 48, "attention.layer_norm_epsilon": 1e-5,
}  # fmt: skip
TOWER_NAMES = {
    "v.class_embd": "embeddings.class_embedding", "v.patch_embd.weight": "embeddings.patch_embedding.weight",
    "v.position_embd.weight": "embeddings.position_embedding.weight", "v.pre_ln": "pre_layrnorm",
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_out": "self_attn.out_proj", "ln1": "layer_norm1", "ln2": "layer_norm2", "ffn_up": "mlp.fc1",
    "ffn_down": "mlp.fc2",
}  # fmt: skip


def mobile_shapes(projector: str) -> dict[str, tuple[int, ...]]:
    """GGUF names and shapes of a MobileVLM file's tensors; `projector`: "ldp" or "ldpv2"."""
    width, n_ff, out = (MOBILE[key] for key in ("embedding_length", "feed_forward_length", "projection_dim"))
    patches = (MOBILE["image_size"] // MOBILE["patch_size"]) ** 2
    shapes: dict[str, tuple[int, ...]] = {
        "v.class_embd": (width,), "v.patch_embd.weight": (width, 3, 14, 14),
        "v.position_embd.weight": (patches + 1, width),
    }  # fmt: skip
    linear = {}
    norms = {"v.pre_ln": width}
    for i in range(MOBILE["block_count"]):
        linear |= {f"v.blk.{i}.{name}": (width, width) for name in ("attn_q", "attn_k", "attn_v", "attn_out")}
        linear |= {f"v.blk.{i}.ffn_up": (n_ff, width), f"v.blk.{i}.ffn_down": (width, n_ff)}
        norms |= {f"v.blk.{i}.ln1": width, f"v.blk.{i}.ln2": width}
    first, second = ("1", "3") if projector == "ldp" else ("0", "2")
    linear |= {f"mm.model.mlp.{first}": (out, width), f"mm.model.mlp.{second}": (out, out)}
    if projector == "ldp":
        for block in ("mm.model.mb_block.1.block.", "mm.model.mb_block.2.block."):
            linear |= {f"{block}1.fc1": (out // 4, out), f"{block}1.fc2": (out, out // 4)}
            norms |= {f"{block}0.1": out, f"{block}2.1": out}
            shapes |= {f"{block}0.0.weight": (out, 3, 3), f"{block}2.0.weight": (out, out)}
    else:
        shapes |= {"mm.model.peg.0.weight": (out, 1, 3, 3), "mm.model.peg.0.bias": (out,)}
    for name, shape in linear.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    for name, size in norms.items():
        shapes |= {f"{name}.weight": (size,), f"{name}.bias": (size,)}
    return shapes


# A tower of our own kind: sizes, and of each stage the width, the blocks, and the side of the squares that it joins.
OWN = MOBILE | {"image_size": 72, "patch_size": 4}
STAGES = ((32, 1, 2), (48, 2, 3))


def own_shapes() -> dict[str, tuple[int, ...]]:
    """GGUF names and shapes of the tensors of a tower that begins with convolutions."""
    width, n_ff, out = (OWN[key] for key in ("embedding_length", "feed_forward_length", "projection_dim"))
    shapes: dict[str, tuple[int, ...]] = {
        "v.patch_embd.weight": (STAGES[0][0], 3, 4, 4), "v.patch_embd.bias": STAGES[0][:1],
        "v.position_embd.weight": (9, width),
    }  # fmt: skip
    linear, norms = {"mm.0": (out, width), "mm.2": (out, out)}, {}
    for i, (wide, blocks, merge) in enumerate(STAGES):
        after = STAGES[i + 1][0] if i + 1 < len(STAGES) else width
        linear[f"v.stage.{i}.merge"] = (after, merge * merge * wide)
        norms[f"v.stage.{i}.ln"] = wide
        for block in range(blocks):
            name = f"v.stage.{i}.blk.{block}."
            shapes |= {f"{name}conv.weight": (wide, 3, 3), f"{name}conv.bias": (wide,)}
            linear |= {f"{name}ffn_up": (4 * wide, wide), f"{name}ffn_down": (wide, 4 * wide)}
            norms[f"{name}ln"] = wide
    for i in range(OWN["block_count"]):
        linear |= {f"v.blk.{i}.{name}": (width, width) for name in ("attn_q", "attn_k", "attn_v", "attn_out")}
        linear |= {f"v.blk.{i}.ffn_up": (n_ff, width), f"v.blk.{i}.ffn_down": (width, n_ff)}
        norms |= {f"v.blk.{i}.ln1": width, f"v.blk.{i}.ln2": width}
    for name, shape in linear.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    for name, size in norms.items():
        shapes |= {f"{name}.weight": (size,), f"{name}.bias": (size,)}
    return shapes


def write_own(path: Path, type: GGMLType = GGMLType.F32, changed: dict[str, tuple[int, ...]] | None = None) -> Path:
    """An mmproj file of a tower that begins with convolutions; `changed`: other shapes of tensors (): none."""
    with GGUFWriter(path) as writer:
        writer.add("general.architecture", "clip").add("clip.has_vision_encoder", True)
        writer.add("clip.projector_type", "conv_mlp").add("clip.use_gelu", True)
        for key, value in OWN.items():
            writer.add(f"clip.vision.{key}", value)
        writer.add("clip.vision.feature_layer", [OWN["block_count"]])
        writer.add("clip.vision.image_mean", MEAN).add("clip.vision.image_std", STD)
        for name, shape in (own_shapes() | (changed or {})).items():
            if shape:
                plain = len(shape) == 1 or shape[-1] % 32 or "position" in name
                writer.add_tensor(name, mobile_weights(name, shape), GGMLType.F32 if plain else type)
    return path


def mobile_weights(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """As `weights`, under names that tell it which vectors are a norm's weights."""
    is_norm = len(shape) == 1 and name.endswith(".weight")
    return weights(f"norm.{name}" if is_norm else name, shape)


def write_mobile(path: Path, projector: str, type: GGMLType = GGMLType.F32) -> Path:
    """A MobileVLM mmproj file, as llama.cpp's converter names its keys and tensors; matrices of `type`."""
    with GGUFWriter(path) as writer:
        writer.add("general.architecture", "clip").add("clip.has_vision_encoder", True)
        writer.add("clip.has_llava_projector", True).add("clip.projector_type", projector)
        for key, value in MOBILE.items():
            writer.add(f"clip.vision.{key}", value)
        writer.add("clip.vision.feature_layer", [MOBILE["block_count"]])
        writer.add("clip.vision.image_mean", MEAN).add("clip.vision.image_std", STD)
        for name, shape in mobile_shapes(projector).items():
            values, plain = mobile_weights(name, shape), len(shape) == 1 or "position" in name
            writer.add_tensor(name, values, GGMLType.F32 if plain else type)
    return path
