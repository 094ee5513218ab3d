"""phi3: Phi-3 and 3.5 mini (Abdin et al., 2024): fused projections, LongRoPE, a sliding window in every layer."""

from dataclasses import replace

from llm_core.models.blocks import default_spec, pre_norm_decoder

INTERLEAVED_ROPE = False


def record(g, model):
    """Pre-norm decoder with SiLU gates."""
    pre_norm_decoder(g, model, replace(default_spec(model), window=model.config.window))
