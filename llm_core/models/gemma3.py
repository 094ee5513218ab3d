"""gemma3: Gemma 3 (Gemma Team, 2025): five layers with a sliding window and a rope of their own to one that sees
everything."""

from dataclasses import replace

from llm_core.models import rope
from llm_core.models.blocks import sandwich_decoder, windowed_layers
from llm_core.models.gemma2 import embedding_scale, query_scale
from llm_core.program.graph import AttentionSpec

INTERLEAVED_ROPE = False
WIDE_QUERY_LAYERS = 62
LOCAL_BASE = 10000.0

__all__ = ["INTERLEAVED_ROPE", "embedding_scale", "record", "rope_configs"]


def rope_configs(model):
    """Sliding-window layers turn at their own base and are never scaled."""
    base = model.file.metadata.float("{arch}.rope.freq_base_swa", min=1.001, max=1e12, default=LOCAL_BASE)
    return {"global": model.config.rope, "local": rope.local(model.config.rope, base)}


def record(g, model):
    """GELU gates, head norms; embeddings scaled as in Gemma 2."""
    c = model.config
    full = AttentionSpec(query_scale(c, WIDE_QUERY_LAYERS), soft_cap=c.attn_soft_cap)
    sandwich_decoder(g, model, windowed_layers(model, 6, replace(full, window=c.window, rope="local"), full), "gelu")
