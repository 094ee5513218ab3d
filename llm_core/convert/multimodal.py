"""A Hugging Face folder of a model that sees, taken apart: its language model's configuration and tensors, and its
vision tower's, under one naming whichever version of `transformers` wrote them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from llm_core.convert.hyperparameters import HFConfig
from llm_core.errors import ModelError
from llm_core.gguf import escape

# What a nested configuration leaves out has the value of its `model_type`'s class.
_LLAMA = {
    "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32,
    "max_position_embeddings": 2048, "rms_norm_eps": 1e-6, "vocab_size": 32000, "rope_theta": 10000.0,
}  # fmt: skip
_GEMMA3 = {
    "hidden_size": 2304, "intermediate_size": 9216, "num_hidden_layers": 26, "num_attention_heads": 8,
    "num_key_value_heads": 4, "head_dim": 256, "max_position_embeddings": 131072, "rms_norm_eps": 1e-6,
    "vocab_size": 262208, "query_pre_attn_scalar": 256, "sliding_window": 4096, "rope_theta": 1e6,
    "rope_local_base_freq": 1e4, "tie_word_embeddings": True,
}  # fmt: skip
# model_type of the text configuration → (architecture of the language model alone, values it may leave out)
_TEXT: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("LlamaForCausalLM", _LLAMA),
    "mistral": ("MistralForCausalLM", {}),
    "qwen2": ("Qwen2ForCausalLM", {}),
    "gemma3_text": ("Gemma3ForCausalLM", _GEMMA3),
}
_QWEN = {
    "max_position_embeddings": 32768, "rms_norm_eps": 1e-6, "rope_theta": 1e6,
}  # fmt: skip
_TEXT |= dict.fromkeys(("qwen2_vl", "qwen2_vl_text", "qwen2_5_vl", "qwen2_5_vl_text"), ("Qwen2VLTextModel", _QWEN))
_WHOLE = ("LlavaForConditionalGeneration", "LlavaNextForConditionalGeneration", "Gemma3ForConditionalGeneration")
# architecture → name in `clip.projector_type`
PROJECTORS = dict.fromkeys(_WHOLE[:2], "mlp") | {_WHOLE[2]: "gemma3"}
PROJECTORS |= dict.fromkeys(("Idefics3ForConditionalGeneration", "SmolVLMForConditionalGeneration"), "idefics3")
PROJECTORS |= {
    "Qwen2VLForConditionalGeneration": "qwen2vl_merger",
    "Qwen2_5_VLForConditionalGeneration": "qwen2.5vl_merger",
}
# Prefixes of tensor names, longest first, and what they become: "text." and "vision." tell the two halves.
_PREFIXES = (
    ("language_model.model.", "text.model."),
    ("language_model.lm_head.", "text.lm_head."),
    ("model.language_model.", "text.model."),
    ("model.text_model.", "text.model."),
    ("lm_head.", "text.lm_head."),
    ("model.vision_tower.", "vision.tower."),
    ("vision_tower.", "vision.tower."),
    ("model.vision_model.", "vision.tower."),
    ("model.multi_modal_projector.", "vision.projector."),
    ("multi_modal_projector.", "vision.projector."),
    ("model.connector.", "vision.projector."),
    ("model.image_newline", "vision.image_newline"),
    ("image_newline", "vision.image_newline"),
    ("model.visual.", "vision.visual."),
    ("visual.", "vision.visual."),
    ("model.layers.", "text.model.layers."),
    ("model.embed_tokens.", "text.model.embed_tokens."),
    ("model.norm.", "text.model.norm."),
)
_INNER = re.compile(r"^vision\.tower\.vision_model\.")


@dataclass(frozen=True)
class Parts:
    """`text`: configuration of the language model alone. `vision`: of the tower; `whole`: the folder's own."""

    projector: str
    text: HFConfig
    vision: HFConfig
    whole: HFConfig


def split_config(config: HFConfig) -> Parts | None:
    """The parts of a model that sees, None for one that does not. Raises ModelError."""
    names = config.get("architectures")
    name = names[0] if isinstance(names, list) and len(names) == 1 else None
    if name not in PROJECTORS:
        return None
    text, vision = config.get("text_config"), config.get("vision_config")
    if text is None and PROJECTORS[name].startswith("qwen2"):  # before transformers 5 all is in one place
        text = {key: value for key, value in config.values.items() if key not in ("vision_config", "architectures")}
    for key, value in (("text_config", text), ("vision_config", vision)):
        if not isinstance(value, dict):
            raise config.error(key, value, "is no object")
    kind = text.get("model_type", "llama")
    if kind not in _TEXT:
        raise config.error("text_config.model_type", kind, f"is not supported (possible: {', '.join(_TEXT)})")
    architecture, defaults = _TEXT[kind]
    given = {key: value for key, value in text.items() if value is not None}
    tied = {"tie_word_embeddings": config.get("tie_word_embeddings")}
    tied = {key: value for key, value in tied.items() if value is not None}
    values = defaults | tied | given | {"architectures": [architecture]}
    source = config.source
    return Parts(PROJECTORS[name], HFConfig(values, source), HFConfig(dict(vision), source), config)


def split_tensors(tensors: dict, source: str) -> tuple[dict, dict]:
    """(the language model's tensors as it names them alone, the tower's and projector's). Raises ModelError for a name
    that is neither's."""
    text, vision = {}, {}
    for name, tensor in tensors.items():
        own = next((new + name[len(old) :] for old, new in _PREFIXES if name.startswith(old)), None)
        if own is None:
            raise ModelError(f"{escape(source)}: tensor '{escape(name, 120)}' is not known")
        own = _INNER.sub("vision.tower.", own)
        half, _, rest = own.partition(".")
        (text if half == "text" else vision)[rest] = tensor
    return text, vision
