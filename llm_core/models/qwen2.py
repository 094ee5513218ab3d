"""qwen2: Qwen 2 and 2.5 (Yang et al., 2024): llama with biases on q, k and v."""

from llm_core.models.blocks import default_spec, pre_norm_decoder

INTERLEAVED_ROPE = False


def record(g, model):
    """Pre-norm decoder with SiLU gates; the biases are there because the file has them."""
    pre_norm_decoder(g, model, default_spec(model))
