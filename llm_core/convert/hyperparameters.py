"""`config.json` of a Hugging Face model → GGUF keys, and what its tensors are called and turned into.

One `Family` an architecture that we run. Keys and values are those that llama.cpp's converter writes. What would be
computed differently here (another activation, another pattern of windows, …) is refused by field and value.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from llm_core.errors import ModelError
from llm_core.gguf import escape

_REQUIRED: Any = object()


class HFConfig:
    """A parsed config.json whose getters check types; `rope` is its rope section, whichever form the file has."""

    def __init__(self, values: dict[str, Any], source: str):
        self.values, self.source = values, source
        rope = values.get("rope_parameters") or values.get("rope_scaling") or {}
        if not isinstance(rope, dict):
            raise self.error("rope_scaling", rope, "is no object")
        local = values.get("rope_local_base_freq")
        if "full_attention" not in rope and "sliding_attention" not in rope:
            rope = {"full_attention": rope} | ({"sliding_attention": {"rope_theta": local}} if local else {})
        full = dict(rope.get("full_attention") or {})
        full.setdefault("rope_type", full.get("type", "default"))
        for key in ("rope_theta", "partial_rotary_factor", "original_max_position_embeddings"):
            if values.get(key) is not None:
                full.setdefault(key, values[key])
        self.rope = HFConfig.__new__(HFConfig)
        self.rope.values, self.rope.source = full, source
        self.rope_local = rope.get("sliding_attention") or {}

    def error(self, key: str, value: Any, problem: str) -> ModelError:
        """The error to raise about a field."""
        return ModelError(f"{escape(self.source)}: {escape(key, 60)} = {escape(repr(value), 80)} {problem}")

    def get(self, key: str) -> Any:
        """The field, or None."""
        return self.values.get(key)

    def int(self, key: str, default: Any = _REQUIRED) -> int:
        """A whole number > 0."""
        value = self._find(key, default)
        if type(value) is not int or not 0 < value < 1 << 31:
            raise self.error(key, value, "is not a whole number above 0")
        return value

    def float(self, key: str, default: Any = _REQUIRED) -> float:
        """A finite number > 0."""
        value = self._find(key, default)
        if type(value) not in (int, float) or not math.isfinite(value) or value <= 0:
            raise self.error(key, value, "is not a number above 0")
        return float(value)

    def floats(self, key: str, length: int) -> np.ndarray:
        """So many numbers > 0, float32."""
        values = self._find(key, _REQUIRED)
        if not isinstance(values, list) or len(values) != length or not all(
            type(v) in (int, float) and 0 < v < 1e30 for v in values
        ):  # fmt: skip
            raise self.error(key, values, f"is no list of {length} numbers above 0")
        return np.array(values, np.float32)

    def must(self, key: str, allowed: tuple[Any, ...]) -> None:
        """Refuse a value that our architecture does not compute."""
        if self.get(key) not in allowed:
            raise self.error(key, self.get(key), f"is not supported (possible: {', '.join(map(repr, allowed))})")

    def _find(self, key: str, default: Any) -> Any:
        value = self.values.get(key)
        if value is None:
            if default is _REQUIRED:
                raise ModelError(f"{escape(self.source)}: {key} is missing")
            return default
        return value

    @property
    def head_dim(self) -> int:
        """Values of a head."""
        return self.int("head_dim", self.int("hidden_size") // self.int("num_attention_heads"))


Keys = dict[str, Any]
Extra = dict[str, np.ndarray]
NAMES = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.qkv_proj": "attn_qkv", "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.gate_up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}  # fmt: skip
GEMMA_NAMES = NAMES | {
    "post_attention_layernorm": "post_attention_norm", "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}  # fmt: skip
_TOP = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
_LAYER = re.compile(r"model\.layers\.(\d{1,4})\.(.+)\.(weight|bias)")
# follow from the configuration, or are constants
_DERIVED = ("rotary_emb.inv_freq", "masked_bias", "attn.bias")


def common_keys(c: HFConfig) -> Keys:
    """What every architecture has; keys without the architecture's name."""
    keys: Keys = {
        "block_count": c.int("num_hidden_layers"),
        "context_length": c.int("max_position_embeddings"),
        "embedding_length": c.int("hidden_size"),
        "feed_forward_length": c.int("intermediate_size"),
        "attention.head_count": c.int("num_attention_heads"),
        "attention.head_count_kv": c.int("num_key_value_heads", c.int("num_attention_heads")),
        "attention.layer_norm_rms_epsilon": c.float("rms_norm_eps"),
    }
    if c.get("head_dim") is not None:
        keys |= {"attention.key_length": c.head_dim, "attention.value_length": c.head_dim}
    return keys


def rope_keys(c: HFConfig) -> Keys:
    """Base and scaling of the rotary embedding."""
    rope = c.rope
    rope.must("rope_type", ("default", "linear", "yarn", "llama3"))
    rope.must("partial_rotary_factor", (None, 1, 1.0))
    keys: Keys = {"rope.freq_base": rope.float("rope_theta")} if rope.get("rope_theta") is not None else {}
    if rope.get("rope_type") in ("linear", "yarn"):
        keys |= {"rope.scaling.type": rope.get("rope_type"), "rope.scaling.factor": rope.float("factor")}
    if rope.get("rope_type") == "yarn":
        for key in ("attention_factor", "attn_factor", "mscale", "mscale_all_dim", "extrapolation_factor"):
            rope.must(key, (None,))
        rope.must("truncate", (None, True))
        keys["rope.scaling.original_context_length"] = rope.int("original_max_position_embeddings")
        for key in ("beta_fast", "beta_slow"):
            if rope.get(key) is not None:
                keys[f"rope.scaling.yarn_{key}"] = rope.float(key)
    return keys


def llama3_factors(c: HFConfig) -> Extra:
    """Divisors of the frequencies as Llama 3.1 stretches them: long waves by the factor, short ones not at all."""
    rope = c.rope
    if rope.get("rope_type") != "llama3":
        return {}
    half = c.head_dim // 2
    waves = 2 * np.pi * rope.float("rope_theta", 10000.0) ** (np.arange(half) / half)
    low, high = rope.float("low_freq_factor", 1.0), rope.float("high_freq_factor", 4.0)
    if low >= high:
        raise rope.error("high_freq_factor", high, f"is not above low_freq_factor = {low}")
    kept = np.clip((rope.int("original_max_position_embeddings", 8192) / waves - low) / (high - low), 0, 1)
    return {"rope_freqs.weight": (1 / ((1 - kept) / rope.float("factor", 8.0) + kept)).astype(np.float32)}


def llama_keys(c: HFConfig) -> Keys:
    """Llama, Mistral."""
    c.must("hidden_act", (None, "silu"))
    return common_keys(c) | rope_keys(c) | {"vocab_size": c.int("vocab_size"), "rope.dimension_count": c.head_dim}


def qwen_keys(c: HFConfig) -> Keys:
    """Qwen 2 and 3."""
    c.must("hidden_act", (None, "silu"))
    c.must("use_sliding_window", (None, False))
    if c.rope.get("rope_type") == "llama3":
        raise c.rope.error("rope_type", "llama3", "is not supported")
    return common_keys(c) | rope_keys(c)


def qwen2vl_keys(c: HFConfig) -> Keys:
    """The language half of Qwen2-VL and Qwen2.5-VL."""
    if c.rope.get("rope_type") == "mrope":
        c.rope.values["rope_type"] = "default"
    sections = c.rope.get("mrope_section")
    if not isinstance(sections, list) or len(sections) != 3 or not all(type(n) is int and n >= 0 for n in sections):
        raise c.error("mrope_section", sections, "is no list of 3 numbers")
    return qwen_keys(c) | {"rope.dimension_sections": [*sections, 0]}


def _gemma_keys(c: HFConfig, pattern: int, wide_layers: int) -> Keys:
    c.must("hidden_activation", (None, "gelu_pytorch_tanh"))
    layers, heads = c.int("num_hidden_layers"), c.int("num_attention_heads")
    scalar = c.int("hidden_size") // heads if layers == wide_layers else c.head_dim
    if c.float("query_pre_attn_scalar", scalar) != scalar:
        raise c.error("query_pre_attn_scalar", c.get("query_pre_attn_scalar"), f"is not supported (possible: {scalar})")
    kinds = ["full_attention" if i % pattern == pattern - 1 else "sliding_attention" for i in range(layers)]
    if c.get("layer_types") not in (None, kinds):
        raise c.error("layer_types", c.get("layer_types"), f"is not supported (every layer {pattern} sees everything)")
    c.must("sliding_window_pattern", (None, pattern))
    keys = common_keys(c) | {"attention.sliding_window": c.int("sliding_window")}
    return keys | {"attention.key_length": c.head_dim, "attention.value_length": c.head_dim}


def gemma2_keys(c: HFConfig) -> Keys:
    """Gemma 2: its rope has the usual base, and no key."""
    c.rope.must("rope_type", ("default",))
    c.rope.must("rope_theta", (None, 10000, 10000.0))
    keys = _gemma_keys(c, 2, 46)
    for key, field_name in (("attn_logit_softcapping",) * 2, ("final_logit_softcapping",) * 2):
        if c.get(field_name) is not None:
            keys[key] = c.float(field_name)
    return keys


def gemma3_keys(c: HFConfig) -> Keys:
    """Gemma 3, text only: windowed layers turn at a base of their own."""
    c.must("attn_logit_softcapping", (None,))
    if c.rope.get("rope_type") == "llama3":
        raise c.rope.error("rope_type", "llama3", "is not supported")
    keys = _gemma_keys(c, 6, 62) | {"rope.freq_base": 1e6} | rope_keys(c)
    if c.rope_local.get("rope_type", "default") != "default":
        raise c.error("rope_parameters.sliding_attention", c.rope_local, "is not supported (rope_type: default)")
    if c.rope_local.get("rope_theta") is not None:
        keys["rope.freq_base_swa"] = float(c.rope_local["rope_theta"])
    if c.get("final_logit_softcapping") is not None:
        keys["final_logit_softcapping"] = c.float("final_logit_softcapping")
    return keys


def phi3_keys(c: HFConfig) -> Keys:
    """Phi 3 and 3.5."""
    c.must("hidden_act", (None, "silu"))
    c.rope.must("rope_type", ("default", "longrope", "su"))
    heads, original = c.int("num_attention_heads"), c.rope.int("original_max_position_embeddings")
    keys = common_keys(c) | {
        "rope.scaling.original_context_length": original,
        "rope.dimension_count": int(c.rope.float("partial_rotary_factor", 1.0) * c.int("hidden_size")) // heads,
        "rope.freq_base": c.rope.float("rope_theta"),
        "attention.sliding_window": c.int("sliding_window") if c.get("sliding_window") else 0,
    }
    if c.rope.get("rope_type") != "default":
        scale = c.int("max_position_embeddings") / original
        factor = math.sqrt(1 + math.log(scale) / math.log(original)) if scale > 1 else 1.0
        keys["rope.scaling.attn_factor"] = factor
    return keys


def phi3_factors(c: HFConfig) -> Extra:
    """LongRoPE's two lists of divisors."""
    if c.rope.get("rope_type") == "default":
        return {}
    half = phi3_keys(c)["rope.dimension_count"] // 2
    return {f"rope_factors_{kind}.weight": c.rope.floats(f"{kind}_factor", half) for kind in ("long", "short")}


@dataclass(frozen=True)
class Family:
    """How a Hugging Face architecture becomes one of ours."""

    architecture: str
    keys: Callable[[HFConfig], Keys]
    names: dict[str, str] = field(default_factory=lambda: NAMES)
    extra: Callable[[HFConfig], Extra] = lambda c: {}
    interleaved: bool = False
    """q and k rows are reordered, so that the two halves of a rotated pair are neighbours."""
    norm_shift: float = 0.0
    """Added to the norms' weights."""
    always_tied: bool = False


_LLAMA = Family("llama", llama_keys, extra=llama3_factors, interleaved=True)
FAMILIES = {
    "LlamaForCausalLM": _LLAMA,
    "MistralForCausalLM": _LLAMA,
    "Qwen2ForCausalLM": Family("qwen2", qwen_keys),
    "Qwen2VLTextModel": Family("qwen2vl", qwen2vl_keys),
    "Qwen3ForCausalLM": Family("qwen3", qwen_keys),
    "Gemma2ForCausalLM": Family("gemma2", gemma2_keys, GEMMA_NAMES, norm_shift=1.0, always_tied=True),
    "Gemma3ForCausalLM": Family("gemma3", gemma3_keys, GEMMA_NAMES, norm_shift=1.0),
    "Phi3ForCausalLM": Family("phi3", phi3_keys, extra=phi3_factors),
}


def find_family(c: HFConfig) -> Family:
    """The family of a configuration; ModelError names an architecture that is not supported."""
    names = c.get("architectures")
    name = names[0] if isinstance(names, list) and len(names) == 1 else names
    if not isinstance(name, str) or name not in FAMILIES:
        raise c.error("architectures", names, f"is not supported (possible: {', '.join(FAMILIES)})")
    if c.get("quantization_config") is not None:
        raise c.error("quantization_config", c.get("quantization_config"), "is not supported: give the full weights")
    return FAMILIES[name]


@dataclass(frozen=True)
class Placed:
    """Where a tensor goes: its GGUF name, the order of its rows (None: as they are), and what is added to it."""

    name: str
    order: np.ndarray | None = None
    shift: float = 0.0


def place(name: str, rows: int, family: Family, c: HFConfig) -> Placed | None:
    """The place of a tensor, None for one that GGUF has no use for; ModelError for a name that is not known."""
    if name.endswith(_DERIVED):
        return None
    stem, _, kind = name.rpartition(".")
    if stem == "lm_head" and (family.always_tied or c.get("tie_word_embeddings") is True):
        return None
    shift = family.norm_shift if name.endswith("norm.weight") else 0.0
    if stem in _TOP:
        return Placed(f"{_TOP[stem]}.{kind}", shift=shift)
    match = _LAYER.fullmatch(name)
    if match is None or match[2] not in family.names or int(match[1]) >= c.int("num_hidden_layers"):
        raise ModelError(f"{escape(c.source)}: tensor '{escape(name, 120)}' is not one of {family.architecture}'s")
    own = family.names[match[2]]
    order = None
    if family.interleaved and own in ("attn_q", "attn_k"):
        heads = c.int("num_attention_heads")
        heads = heads if own == "attn_q" else c.int("num_key_value_heads", heads)
        if rows % (2 * heads):
            raise ModelError(f"{escape(c.source)}: tensor '{escape(name, 120)}': {rows} rows are not {heads} heads")
        order = np.arange(rows).reshape(heads, 2, -1).swapaxes(1, 2).reshape(-1)
    return Placed(f"blk.{int(match[1])}.{own}.{match[3]}", order, shift)
