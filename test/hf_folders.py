"""The tiny models as Hugging Face folders: names, conventions, safetensors and tokenizer files, without torch.

`write_folder(folder, case)` writes what `save_pretrained` would: config.json as recorded from transformers
(golden/hf_configs.py), the case's weights turned back into Hugging Face's conventions, a byte-level BPE tokenizer.json.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
from tiny_models import (
    CASES,
    CHAT_TEMPLATE,
    SPECIAL_TOKENS,
    TinyConfig,
    rope_tensors,
    tiny_tensors,
    tiny_tokenizer,
    uniform,
)

CONFIGS = json.loads((Path(__file__).parent / "data" / "hf_configs.json").read_text())
NAMES = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_qkv": "self_attn.qkv_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
GEMMA_NAMES = NAMES | {
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
}
PHI3_NAMES = NAMES | {"ffn_up": "mlp.gate_up_proj"}
ARCH_NAMES = {"gemma2": GEMMA_NAMES, "gemma3": GEMMA_NAMES, "phi3": PHI3_NAMES}
TOP = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}


def hf_name(arch: str, name: str) -> str:
    """The Hugging Face name of a GGUF tensor."""
    stem, kind = name.rsplit(".", 1)
    if stem in TOP:
        return f"{TOP[stem]}.{kind}"
    _, layer, tensor = stem.split(".")
    return f"model.layers.{layer}.{ARCH_NAMES.get(arch, NAMES)[tensor]}.{kind}"


def hf_values(config: TinyConfig, name: str, values: np.ndarray) -> np.ndarray:
    """Undo what GGUF converters do: llama's interleaved Q and K rows, and the 1 in gemma's norm weights."""
    if config.arch == "llama" and (".attn_q." in name or ".attn_k." in name):
        pairs = values.reshape(-1, config.head_dim // 2, 2, *values.shape[1:])
        return pairs.swapaxes(1, 2).reshape(values.shape)
    if config.arch.startswith("gemma") and name.endswith("norm.weight"):
        return values - np.float32(1)
    return values


def write_safetensors(path: Path, tensors: dict[str, np.ndarray], dtype: str = "F32") -> Path:
    """Header (length, JSON) and data; `dtype` F32, F16 or BF16 (by cutting off the lower half)."""
    entries, parts, at = {"__metadata__": {"format": "pt"}}, [], 0
    for name, values in tensors.items():
        if dtype == "BF16":
            data = (np.ascontiguousarray(values).view(np.uint32) >> 16).astype("<u2").tobytes()
        else:
            data = values.astype({"F32": "<f4", "F16": "<f2"}[dtype]).tobytes()
        entries[name] = {"dtype": dtype, "shape": list(values.shape), "data_offsets": [at, at + len(data)]}
        parts.append(data)
        at += len(data)
    header = json.dumps(entries).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"".join(parts))
    return path


def hf_tensors(case: str) -> dict[str, np.ndarray]:
    """The case's weights as transformers names and keeps them."""
    config = CASES[case]
    derived = set(rope_tensors(config))
    return {
        hf_name(config.arch, name): np.ascontiguousarray(hf_values(config, name, values))
        for name, values in tiny_tensors(config).items()
        if name not in derived
    }


def tokenizer_json(n_vocab: int) -> dict:
    """tokenizer.json of tiny_models' vocabulary."""
    keys = tiny_tokenizer(n_vocab)
    tokens = keys["tokenizer.ggml.tokens"]
    digits = {"type": "Digits", "individual_digits": True}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {
        "version": "1.0", "truncation": None, "padding": None, "normalizer": None, "post_processor": None,
        "added_tokens": [{"id": i, "content": text, **flags} for i, text in enumerate(SPECIAL_TOKENS)],
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [digits, byte_level]},
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
            "vocab": {text: i for i, text in enumerate(tokens)}, "merges": keys["tokenizer.ggml.merges"],
        },
    }  # fmt: skip


TOKENIZER_CONFIG = {
    "bos_token": "<|im_start|>", "eos_token": {"content": "<|im_end|>"}, "add_bos_token": False,
    "chat_template": CHAT_TEMPLATE,
}  # fmt: skip


def write_folder(folder: Path, case: str, dtype: str = "F32", **changes: object) -> Path:
    """The folder of a case; `changes` replace fields of config.json (None takes one away)."""
    folder.mkdir(exist_ok=True)
    config = {key: value for key, value in (CONFIGS[case] | changes).items() if key not in changes or value is not None}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer_json(CASES[case].n_vocab)))
    (folder / "tokenizer_config.json").write_text(json.dumps(TOKENIZER_CONFIG))
    write_safetensors(folder / "model.safetensors", hf_tensors(case), dtype)
    return folder


# Adapters: case → (case of the model, fields of adapter_config.json, GGUF kinds of the weights that are changed). What
# PEFT computes with them is recorded by golden/peft_logits.py.
EVERYTHING = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
ADAPTERS = {
    "llama": ("llama", {"r": 4, "lora_alpha": 8}, EVERYTHING),
    "llama-rslora": (
        "llama-bias",
        {"r": 4, "lora_alpha": 6, "use_rslora": True, "rank_pattern": {"mlp.down_proj": 9},
         "alpha_pattern": {"v_proj": 3, "layers.1.self_attn.q_proj": 1.5}},
        EVERYTHING,
    ),
    "qwen2": ("qwen2", {"r": 3, "lora_alpha": 16}, ("attn_q", "attn_v")),
    "gemma3": ("gemma3", {"r": 2, "lora_alpha": 4}, ("attn_k", "ffn_down")),
    "phi3": ("phi3", {"r": 4, "lora_alpha": 4}, ("attn_qkv", "attn_output", "ffn_up", "ffn_down")),
}  # fmt: skip


def adapter_tensors(case: str) -> dict[str, np.ndarray]:
    """The case's matrices as PEFT names and keeps them."""
    model, fields, kinds = ADAPTERS[case]
    config, tensors = CASES[model], {}
    for name, values in tiny_tensors(config).items():
        if name.split(".")[-2] not in kinds or not name.endswith(".weight"):
            continue
        module = hf_name(config.arch, name).removesuffix(".weight")
        ranks = {key: rank for key, rank in fields.get("rank_pattern", {}).items() if module.endswith(f".{key}")}
        rank = next(iter(ranks.values()), fields["r"])
        n, k = values.shape
        tensors[f"base_model.model.{module}.lora_A.weight"] = uniform(config, f"{name}.a", (rank, k)) / k**0.5
        tensors[f"base_model.model.{module}.lora_B.weight"] = uniform(config, f"{name}.b", (n, rank)) * np.float32(0.2)
    return tensors


def write_adapter_folder(folder: Path, case: str, dtype: str = "F32", **changes: object) -> Path:
    """The folder of an adapter as PEFT's `save_pretrained` writes it; `changes` replace fields of its configuration."""
    folder.mkdir(exist_ok=True)
    tensors = adapter_tensors(case)
    fields = {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "bias": "none", "use_dora": False, "use_rslora": False,
        "fan_in_fan_out": False, "init_lora_weights": True, "inference_mode": True, "lora_dropout": 0.0,
        "modules_to_save": None, "base_model_name_or_path": "somebody/Tiny-1B",
        "target_modules": sorted({name.split(".")[-3] for name in tensors}),
    }  # fmt: skip
    (folder / "adapter_config.json").write_text(json.dumps(fields | ADAPTERS[case][1] | changes))
    write_safetensors(folder / "adapter_model.safetensors", tensors, dtype)
    return folder
