"""llama: Llama 2 and 3, Mistral, SmolLM2 and their many fine-tunes (Touvron et al., 2023)."""

from llm_core.models.blocks import default_spec, pre_norm_decoder

# The GGUF converter permutes q and k, so that pairs are neighbours.
INTERLEAVED_ROPE = True


def record(g, model):
    """Pre-norm decoder with SiLU gates."""
    pre_norm_decoder(g, model, default_spec(model))
