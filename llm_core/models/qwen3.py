"""qwen3: Qwen 3 (Yang et al., 2025): every q and k head is normalised before it is turned."""

from llm_core.models.blocks import default_spec, pre_norm_decoder

INTERLEAVED_ROPE = False


def record(g, model):
    """Pre-norm decoder with SiLU gates and head norms."""
    for layer in range(model.config.n_layer):
        model.param(f"blk.{layer}.attn_q_norm.weight")
    pre_norm_decoder(g, model, default_spec(model))
