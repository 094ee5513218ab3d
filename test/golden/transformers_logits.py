"""Records what `transformers` computes, in float32, for every case of tiny_models: test/data/tiny_logits.npz.

The weights come from the case's seed in GGUF conventions and are turned back into each Hugging Face model's own; so the
file holds logits only, and the test, which has neither torch nor transformers, rebuilds the weights. Run from the
checkout: `python test/golden/transformers_logits.py` (needs torch and transformers 5).
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
import transformers

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent)]

from hf_folders import hf_name, hf_values  # noqa: E402
from tiny_models import (  # noqa: E402
    CASES,
    GOLDEN_ROWS,
    LLAMA3_HIGH,
    LLAMA3_LOW,
    TinyConfig,
    case_tokens,
    rope_tensors,
    tiny_tensors,
)

MODELS = {
    "llama": (transformers.LlamaConfig, transformers.LlamaForCausalLM),
    "qwen2": (transformers.Qwen2Config, transformers.Qwen2ForCausalLM),
    "qwen3": (transformers.Qwen3Config, transformers.Qwen3ForCausalLM),
    "gemma2": (transformers.Gemma2Config, transformers.Gemma2ForCausalLM),
    "gemma3": (transformers.Gemma3TextConfig, transformers.Gemma3ForCausalLM),
    "phi3": (transformers.Phi3Config, transformers.Phi3ForCausalLM),
}


def rope_parameters(config: TinyConfig) -> dict:
    """The model's `rope_parameters`, in the nested form where an architecture has two kinds of layers."""
    scaling: dict[str, object] = {"rope_type": "default"}
    if config.rope_scaling:
        scaling = {"rope_type": config.rope_scaling, "factor": config.rope_factor}
    if config.rope_scaling in ("yarn", "llama3", "longrope"):
        scaling["original_max_position_embeddings"] = config.rope_original
    if config.rope_scaling == "llama3":
        scaling |= {"low_freq_factor": LLAMA3_LOW, "high_freq_factor": LLAMA3_HIGH}
    if config.rope_scaling == "longrope":
        del scaling["factor"]  # follows from the two context lengths, as in the released models
        factors = rope_tensors(config)
        scaling["long_factor"] = factors["rope_factors_long.weight"].tolist()
        scaling["short_factor"] = factors["rope_factors_short.weight"].tolist()
    scaling["rope_theta"] = config.rope_base
    if config.rope_dim:
        scaling["partial_rotary_factor"] = config.rope_dim / config.head_dim
    if config.arch == "gemma3":
        local = {"rope_type": "default", "rope_theta": config.rope_base_local}
        return {"full_attention": scaling, "sliding_attention": local}
    return scaling


def hf_config(config: TinyConfig):
    """The Hugging Face configuration of a case."""
    options: dict[str, object] = dict(
        vocab_size=config.n_vocab, hidden_size=config.n_embd, intermediate_size=config.n_ff,
        num_hidden_layers=config.n_layers, num_attention_heads=config.n_heads, num_key_value_heads=config.n_kv_heads,
        max_position_embeddings=config.n_ctx, rms_norm_eps=config.eps, tie_word_embeddings=config.tied,
        rope_parameters=rope_parameters(config), attn_implementation="eager", pad_token_id=None,
    )  # fmt: skip
    if config.arch != "phi3":
        options["head_dim"] = config.head_dim
    if config.arch == "llama":
        options["attention_bias"] = config.qkv_bias
    if config.arch == "phi3":
        options["original_max_position_embeddings"] = config.rope_original
    if config.arch in ("gemma2", "gemma3", "phi3"):
        options["sliding_window"] = config.window or None
    if config.arch.startswith("gemma"):
        options |= {"query_pre_attn_scalar": config.head_dim}
        options |= {"attn_logit_softcapping": config.attn_softcap or None}
        options |= {"final_logit_softcapping": config.final_softcap or None}
    return MODELS[config.arch][0](**options)


def case_model(config: TinyConfig) -> torch.nn.Module:
    """The case's model of transformers."""
    model = MODELS[config.arch][1](hf_config(config)).eval().float()
    rope_names = set(rope_tensors(config))
    state = {
        hf_name(config.arch, name): torch.from_numpy(hf_values(config, name, values).copy())
        for name, values in tiny_tensors(config).items()
        if name not in rope_names
    }
    missing, unexpected = model.load_state_dict(state, strict=False)
    absent = {"lm_head.weight"} if config.tied else set()
    # llama's attention_bias adds a bias behind the output projection, which our case has not
    zero = {name for name in missing if name.endswith("o_proj.bias")}
    if unexpected or set(missing) - absent - zero:
        raise SystemExit(f"{config.arch}: weights do not fit: missing {missing}, unexpected {unexpected}")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in zero:
                parameter.zero_()
    return model


def logits_of(model: torch.nn.Module, config: TinyConfig) -> np.ndarray:
    """Logits [n, n_vocab] of the case's tokens."""
    with torch.no_grad():
        tokens = torch.from_numpy(case_tokens(config).astype(np.int64))[None]
        return model(input_ids=tokens, use_cache=False).logits[0].numpy()


if __name__ == "__main__":
    golden = {name: logits_of(case_model(config), config)[GOLDEN_ROWS] for name, config in CASES.items()}
    path = HERE.parent / "data" / "tiny_logits.npz"
    np.savez_compressed(path, **golden)
    print(f"{path}: {len(golden)} cases, {path.stat().st_size / 1e3:.0f} kB, transformers {transformers.__version__}")
