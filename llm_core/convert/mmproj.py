"""The vision half of a Hugging Face folder as an mmproj GGUF file, with llama.cpp's keys and names.

What would be computed differently here is refused by field and value. The new file must load as a vision model before
it takes its name.
"""

from __future__ import annotations

import re
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
from llm_core.paths import unfinished
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
    "visual.merger.ln_q.weight": "v.post_ln.weight",
    "visual.merger.ln_q.bias": "v.post_ln.bias",
    "visual.merger.mlp.0.weight": "mm.0.weight",
    "visual.merger.mlp.0.bias": "mm.0.bias",
    "visual.merger.mlp.2.weight": "mm.2.weight",
    "visual.merger.mlp.2.bias": "mm.2.bias",
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
    "mlp.fc2": "ffn_down", "norm1": "ln1", "norm2": "ln2", "attn.qkv": "attn_qkv", "attn.proj": "attn_out",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}  # fmt: skip
_LAYER = re.compile(r"(?:tower\.encoder\.layers|visual\.blocks)\.(\d{1,4})\.(.+)\.(weight|bias)")
_UNUSED = re.compile(r"tower\.(head\..*|embeddings\.position_ids)")


def write_mmproj(folder: Path, target: Path, name: str, parts: Parts, tensors: dict[str, SafeTensor]) -> None:
    """Write the tower and projector whose `tensors` (names of `multimodal.split_tensors`) lie in `folder` as `target`,
    matrices in the mix `name`. Raises ModelError."""
    keys, n_layer = (qwen_keys if parts.projector.startswith("qwen2") else vision_keys)(parts, _preprocessor(folder))
    with unfinished(target) as temporary:
        with GGUFWriter(temporary) as writer:
            writer.add("general.architecture", "clip").add("general.type", "mmproj")
            writer.add("general.name", folder.resolve().name)
            writer.add("general.file_type", MIXES[name].file_type)
            writer.add("general.quantization_version", QUANTIZATION_VERSION)
            for key, value in keys.items():
                writer.add(key, value)
            for own, tensor in tensors.items():
                if not tensor.size:
                    raise ModelError(f"tensor '{escape(tensor.name, 120)}' is empty")
                values = tensor.read(slice(None)).reshape(tensor.shape)
                for placed, piece in _pieces(own, values, n_layer, parts.projector == "mlp"):
                    _write(writer, placed, piece, MIXES[name].base)
        from llm_core.vision.model import load_vision  # needs the kernels, which nothing else in here does

        with open_gguf(temporary) as file:
            load_vision(file)


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


def qwen_keys(parts: Parts, preprocessor: HFConfig) -> tuple[dict[str, Any], int]:
    """`vision_keys` for Qwen2-VL and Qwen2.5-VL."""
    v, newer = parts.vision, parts.projector == "qwen2.5vl_merger"
    v.must("in_channels", (None, 3))
    v.must("in_chans", (None, 3))
    v.must("temporal_patch_size", (None, 2))
    v.must("hidden_act", (None, "silu" if newer else "quick_gelu"))
    width, n_layer, patch = v.int("hidden_size" if newer else "embed_dim"), v.int("depth", 32), v.int("patch_size", 14)
    keys: dict[str, Any] = {
        "clip.has_vision_encoder": True,
        "clip.projector_type": parts.projector,
        "clip.vision.image_size": 40 * patch,
        "clip.vision.patch_size": patch,
        "clip.vision.embedding_length": width,
        "clip.vision.feed_forward_length": v.int("intermediate_size") if newer else width * v.int("mlp_ratio", 4),
        "clip.vision.projection_dim": parts.text.int("hidden_size"),
        "clip.vision.attention.head_count": v.int("num_heads", 16),
        "clip.vision.attention.layer_norm_epsilon": 1e-6,
        "clip.vision.image_mean": _colours(preprocessor, "image_mean"),
        "clip.vision.image_std": _colours(preprocessor, "image_std"),
        "clip.vision.spatial_merge_size": v.int("spatial_merge_size", 2),
        "clip.vision.block_count": n_layer,
    }
    size = preprocessor.get("size")
    size = size if isinstance(size, dict) else {}
    for key, short, edge in (("image_min_pixels", "min_pixels", "shortest_edge"),
                             ("image_max_pixels", "max_pixels", "longest_edge")):  # fmt: skip
        pixels = preprocessor.get(short) or size.get(edge)
        if type(pixels) is int and pixels > 0:
            keys[f"clip.vision.{key}"] = pixels
    if newer:
        whole = v.get("fullatt_block_indexes") or [7, 15, 23, 31]
        every = whole[0] + 1 if isinstance(whole, list) and whole and type(whole[0]) is int else 0
        if every < 1 or whole != list(range(every - 1, n_layer, every)):
            raise v.error("fullatt_block_indexes", whole, f"is not supported (every n-th of {n_layer} layers)")
        keys |= {"clip.use_silu": True, "clip.vision.n_wa_pattern": every}
        keys["clip.vision.window_size"] = v.int("window_size", 112)
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


def _pieces(own: str, values: np.ndarray, n_layer: int, drops_last: bool) -> list[tuple[str, np.ndarray]]:
    """[(GGUF name, values)] of a tensor: none for what is not used; one kernel a frame; q, k and v apart."""
    if own == "visual.patch_embed.proj.weight":
        if values.ndim != 5:
            raise ModelError(f"tensor '{own}': shape {values.shape} is no convolution over frames")
        return [(f"v.patch_embd.weight.{i}" if i else "v.patch_embd.weight", values[:, :, i])
                for i in range(values.shape[2])]  # fmt: skip
    placed = _place(own, n_layer, drops_last)
    if placed is None:
        return []
    if ".attn_qkv." in placed and len(values) % 3 == 0:
        return [(placed.replace("qkv", one), part) for one, part in zip("qkv", np.split(values, 3), strict=True)]
    return [(placed, values)]


def _write(writer: GGUFWriter, name: str, values: np.ndarray, kind: GGMLType) -> None:
    """Vectors and positions as F32, the convolution's kernel without blocks, matrices as `kind`."""
    if name == "mm.soft_emb_norm.weight":
        values = values + np.float32(1)
    if values.ndim == 1 or name in ("v.position_embd.weight", "v.class_embd"):
        writer.add_tensor(name, values)
        return
    if kind.block > 1 and name.startswith(("v.patch_embd.weight", "mm.input_projection.weight")):
        kind = GGMLType.F16
    columns = values.shape[-1]
    kind = fitting(kind, columns)
    data = quantize(np.ascontiguousarray(values).reshape(-1, columns), kind)
    writer.add_tensor(name, data.reshape(-1), kind, values.shape)
