"""The vision half of a Hugging Face folder as an mmproj GGUF file, with llama.cpp's keys and names.

What would be computed differently here is refused by field and value. The new file must load as a vision model before
it takes its name.
"""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path
from typing import Any

import numpy as np

from llm_core.convert.hyperparameters import HFConfig
from llm_core.convert.mixes import MIXES, fitting
from llm_core.convert.multimodal import Parts
from llm_core.convert.quantize import QUANTIZATION_VERSION
from llm_core.convert.safetensors import SafeTensor, read_json
from llm_core.errors import ModelError
from llm_core.gguf import GGMLType, GGUFWriter, escape, open_gguf
from llm_core.quants import quantize

_ACTIVATIONS = {"quick_gelu": {}, "gelu_pytorch_tanh": {"clip.use_gelu": True}, "silu": {"clip.use_silu": True}}
# model_type → (epsilon, activation) where the configuration says neither
_TOWERS = {
    "clip_vision_model": (1e-5, "quick_gelu"),
    "siglip_vision_model": (1e-6, "gelu_pytorch_tanh"),
    "idefics3_vision": (1e-6, "gelu_pytorch_tanh"),
    "smolvlm_vision": (1e-6, "gelu_pytorch_tanh"),
}
_TOP = {
    "tower.embeddings.class_embedding": "v.class_embd",
    "tower.embeddings.patch_embedding.weight": "v.patch_embd.weight",
    "tower.embeddings.patch_embedding.bias": "v.patch_embd.bias",
    "tower.embeddings.position_embedding.weight": "v.position_embd.weight",
    "tower.pre_layrnorm.weight": "v.pre_ln.weight",
    "tower.pre_layrnorm.bias": "v.pre_ln.bias",
    "tower.post_layernorm.weight": "v.post_ln.weight",
    "tower.post_layernorm.bias": "v.post_ln.bias",
    "image_newline": "v.image_newline",
    "projector.linear_1.weight": "mm.0.weight",
    "projector.linear_1.bias": "mm.0.bias",
    "projector.linear_2.weight": "mm.2.weight",
    "projector.linear_2.bias": "mm.2.bias",
    "projector.modality_projection.proj.weight": "mm.model.fc.weight",
    "projector.mm_input_projection_weight": "mm.input_projection.weight",
    "projector.mm_soft_emb_norm.weight": "mm.soft_emb_norm.weight",
}
_NAMES = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.out_proj": "attn_out", "layer_norm1": "ln1", "layer_norm2": "ln2", "mlp.fc1": "ffn_up",
    "mlp.fc2": "ffn_down",
}  # fmt: skip
_LAYER = re.compile(r"tower\.encoder\.layers\.(\d{1,4})\.(.+)\.(weight|bias)")
_UNUSED = re.compile(r"tower\.(head\..*|embeddings\.position_ids)")


def write_mmproj(folder: Path, target: Path, name: str, parts: Parts, tensors: dict[str, SafeTensor]) -> None:
    """Write the tower and projector whose `tensors` (names of `multimodal.split_tensors`) lie in `folder` as `target`,
    matrices in the mix `name`. Raises ModelError."""
    keys, n_layer = vision_keys(parts, _preprocessor(folder))
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp")
    try:
        with GGUFWriter(temporary) as writer:
            writer.add("general.architecture", "clip").add("general.type", "mmproj")
            writer.add("general.name", folder.resolve().name)
            writer.add("general.file_type", MIXES[name].file_type)
            writer.add("general.quantization_version", QUANTIZATION_VERSION)
            for key, value in keys.items():
                writer.add(key, value)
            for own, tensor in tensors.items():
                placed = _place(own, n_layer, parts.projector == "mlp")
                if placed is not None:
                    _write(writer, placed, tensor, MIXES[name].base)
        from llm_core.vision.model import load_vision  # needs the kernels, which nothing else in here does

        with open_gguf(temporary) as file:
            load_vision(file)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def vision_keys(parts: Parts, preprocessor: HFConfig) -> tuple[dict[str, Any], int]:
    """(GGUF keys, layers of the tower that are kept)."""
    v, whole = parts.vision, parts.whole
    kind = v.get("model_type") or "clip_vision_model"
    if kind not in _TOWERS:
        raise whole.error("vision_config.model_type", kind, f"is not supported (possible: {', '.join(_TOWERS)})")
    eps, act = _TOWERS[kind]
    act = v.get("hidden_act") or act
    if act not in _ACTIVATIONS:
        raise whole.error("vision_config.hidden_act", act, f"is not supported (possible: {', '.join(_ACTIVATIONS)})")
    n_layer = v.int("num_hidden_layers", 12)
    keys: dict[str, Any] = {
        "clip.has_vision_encoder": True,
        "clip.projector_type": parts.projector,
        "clip.vision.image_size": v.int("image_size", 224),
        "clip.vision.patch_size": v.int("patch_size"),
        "clip.vision.embedding_length": v.int("hidden_size", 768),
        "clip.vision.feed_forward_length": v.int("intermediate_size", 3072),
        "clip.vision.projection_dim": parts.text.int("hidden_size"),
        "clip.vision.attention.head_count": v.int("num_attention_heads", 12),
        "clip.vision.attention.layer_norm_epsilon": v.float("layer_norm_eps", eps),
        "clip.vision.image_mean": _colours(preprocessor, "image_mean"),
        "clip.vision.image_std": _colours(preprocessor, "image_std"),
    } | _ACTIVATIONS[act]
    if parts.projector == "mlp":
        whole.must("projector_hidden_act", (None, "gelu"))
        has_class = kind == "clip_vision_model"
        whole.must("vision_feature_select_strategy", (None, "default") if has_class else ("full",))
        layer = whole.get("vision_feature_layer")
        layer = -2 if layer is None else layer
        if type(layer) is not int or not -n_layer <= layer <= n_layer or layer in (0, -n_layer - 1):
            raise whole.error("vision_feature_layer", layer, f"is not supported (a layer of {n_layer})")
        n_layer = layer if layer > 0 else n_layer + 1 + layer
        keys["clip.vision.feature_layer"] = [n_layer]
        pinpoints = whole.get("image_grid_pinpoints") or preprocessor.get("image_grid_pinpoints")
        if pinpoints:
            try:  # there (height, width)
                keys["clip.vision.image_grid_pinpoints"] = [int(n) for high, wide in pinpoints for n in (wide, high)]
            except (TypeError, ValueError):
                raise whole.error("image_grid_pinpoints", pinpoints, "is no list of pairs") from None
            keys["clip.vision.mm_patch_merge_type"] = "spatial_unpad"
    elif parts.projector == "idefics3":
        keys["clip.vision.projector.scale_factor"] = whole.int("scale_factor", 2)
        size = preprocessor.get("size")
        if isinstance(size, dict) and type(size.get("longest_edge")) is int:
            keys["clip.vision.preproc_image_size"] = size["longest_edge"]
    else:
        side = v.int("image_size", 224) // v.int("patch_size")
        tokens = whole.int("mm_tokens_per_image", 256)
        merge = side // int(tokens**0.5)
        if tokens != (side // max(merge, 1)) ** 2 or side % max(merge, 1):
            raise whole.error("mm_tokens_per_image", tokens, f"does not come of {side} x {side} patches")
        keys["clip.vision.projector.scale_factor"] = merge
    keys["clip.vision.block_count"] = n_layer
    return keys, n_layer


def _preprocessor(folder: Path) -> HFConfig:
    path = folder / "preprocessor_config.json"
    try:
        return HFConfig(read_json(path), str(path))
    except FileNotFoundError:
        raise ModelError(f"{escape(str(folder))}: 'preprocessor_config.json' is missing") from None


def _colours(preprocessor: HFConfig, key: str) -> list[float]:
    values = preprocessor.get(key)
    if not isinstance(values, list) or len(values) != 3 or not all(type(v) in (int, float) for v in values):
        raise preprocessor.error(key, values, "is no list of 3 numbers")
    return [float(v) for v in values]


def _place(own: str, n_layer: int, drops_last: bool) -> str | None:
    """A tensor's GGUF name; None for what is not used."""
    if own in _TOP:
        return None if drops_last and own.startswith("tower.post_layernorm") else _TOP[own]
    match = _LAYER.fullmatch(own)
    if match is not None and match[2] in _NAMES:
        layer = int(match[1])
        return f"v.blk.{layer}.{_NAMES[match[2]]}.{match[3]}" if layer < n_layer else None
    if _UNUSED.fullmatch(own):
        return None
    raise ModelError(f"tensor '{escape(own, 120)}' of the vision tower or projector is not known")


def _write(writer: GGUFWriter, name: str, tensor: SafeTensor, kind: GGMLType) -> None:
    """Vectors and positions as F32, the convolution's kernel without blocks, matrices as `kind`."""
    if not tensor.size:
        raise ModelError(f"tensor '{escape(tensor.name, 120)}' is empty")
    values = tensor.read(slice(None)).reshape(tensor.shape)
    if name == "mm.soft_emb_norm.weight":
        values = values + np.float32(1)
    if len(tensor.shape) == 1 or name in ("v.position_embd.weight", "v.class_embd"):
        writer.add_tensor(name, values)
        return
    if kind.block > 1 and name in ("v.patch_embd.weight", "mm.input_projection.weight"):
        kind = GGMLType.F16
    kind = fitting(kind, tensor.columns)
    data = quantize(values.reshape(-1, tensor.columns), kind)
    writer.add_tensor(name, data.reshape(-1), kind, tensor.shape)
