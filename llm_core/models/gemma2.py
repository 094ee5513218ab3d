"""gemma2: Gemma 2 (Gemma Team, 2024): norms around both halves, soft caps, every second layer with a sliding window."""

import math
from dataclasses import replace

from llm_core.models.blocks import sandwich_decoder, windowed_layers
from llm_core.program.graph import AttentionSpec

INTERLEAVED_ROPE = False
# The 27B model, known by its depth, scales scores by its embedding width per head.
WIDE_QUERY_LAYERS = 46


def embedding_scale(config):
    """Embeddings are multiplied by the square root of their width."""
    return math.sqrt(config.n_embd)


def query_scale(config, wide_query_layers):
    """1 / sqrt(head size), but for the 27B models."""
    return 1 / math.sqrt(config.n_embd // config.n_head if config.n_layer == wide_query_layers else config.head_dim)


def record(g, model):
    """GELU gates; attention scores and logits are capped."""
    c = model.config
    full = AttentionSpec(query_scale(c, WIDE_QUERY_LAYERS), soft_cap=c.attn_soft_cap)
    sandwich_decoder(g, model, windowed_layers(model, 2, replace(full, window=c.window), full), "gelu")
