"""The two halves of a transformer layer, as most architectures share them; what a file holds decides over biases and
head norms."""

import math

from llm_core.errors import ModelError
from llm_core.models.model import Model
from llm_core.program.graph import AttentionSpec, Graph, Value


def default_spec(model: Model) -> AttentionSpec:
    """Scores divided by the square root of the head's size, over every earlier position."""
    return AttentionSpec(scale=1 / math.sqrt(model.config.head_dim))


def project_qkv(g: Graph, model: Model, layer: int, x: Value) -> list[Value]:
    """Queries, keys and values: one fused tensor or three, with biases where the file has them."""
    c, b = model.config, model.block(layer)
    widths = (c.n_head * c.head_dim, c.n_kv * c.head_dim, c.n_kv * c.head_dim)
    if b.get("attn_qkv"):
        return g.split(g.linear(x, b.attn_qkv, sum(widths), bias=b.get("attn_qkv", "bias")), *widths)
    return [
        g.linear(x, getattr(b, name), width, bias=b.get(name, "bias"))
        for name, width in zip(("attn_q", "attn_k", "attn_v"), widths, strict=True)
    ]


def self_attention(g: Graph, model: Model, layer: int, x: Value, spec: AttentionSpec, residual: Value | None) -> Value:
    """The attention half without its norms: project, attend, project back (+ residual)."""
    b = model.block(layer)
    q, k, v = project_qkv(g, model, layer, x)
    q_norm = b.get("attn_q_norm")
    attended = g.attention(q, k, v, layer, spec, q_norm=q_norm, k_norm=b.attn_k_norm if q_norm else None)
    return g.linear(attended, b.attn_output, model.config.n_embd, bias=b.get("attn_output", "bias"), residual=residual)


def feed_forward(g: Graph, model: Model, layer: int, x: Value, act: str, residual: Value | None) -> Value:
    """down(act(gate(x)) * up(x)) (+ residual); gate and up may be one tensor, gate first."""
    c, b = model.config, model.block(layer)
    if b.get("ffn_gate"):
        gate, up = g.linear(x, b.ffn_gate, c.n_ff), g.linear(x, b.ffn_up, c.n_ff)
    else:
        if b.ffn_up.rows == c.n_ff:
            blk, rows = f"blk.{layer}.", c.n_ff
            raise ModelError(f"tensor '{blk}ffn_gate.weight' is missing, and '{blk}ffn_up.weight' has {rows:,} rows")
        gate, up = g.split(g.linear(x, b.ffn_up, 2 * c.n_ff), c.n_ff, c.n_ff)
    return g.linear(g.gate(act, gate, up), b.ffn_down, c.n_embd, residual=residual)


def pre_norm_decoder(g: Graph, model: Model, spec: AttentionSpec, act: str = "silu") -> None:
    """x += attention(norm(x)); x += ffn(norm(x)), layer after layer; then the output norm and the output matrix."""
    x = g.input(model.config.n_embd)
    for layer in range(model.config.n_layer):
        b = model.block(layer)
        x = self_attention(g, model, layer, g.rms_norm(x, b.attn_norm), spec, residual=x)
        x = feed_forward(g, model, layer, g.rms_norm(x, b.ffn_norm), act, residual=x)
    finish(g, model, x)


def sandwich_decoder(g: Graph, model: Model, specs: list[AttentionSpec], act: str) -> None:
    """Norms before and after each half: x += norm(attention(norm(x))); x += norm(ffn(norm(x)))."""
    x = g.input(model.config.n_embd)
    for layer, spec in enumerate(specs):
        b = model.block(layer)
        h = self_attention(g, model, layer, g.rms_norm(x, b.attn_norm), spec, residual=None)
        x = g.rms_norm(h, b.post_attention_norm, residual=x)
        h = feed_forward(g, model, layer, g.rms_norm(x, b.ffn_norm), act, residual=None)
        x = g.rms_norm(h, b.post_ffw_norm, residual=x)
    finish(g, model, x)


def finish(g: Graph, model: Model, x: Value) -> None:
    """The output norm, the output matrix and the soft cap of logits, for the rows that want them."""
    h = g.rms_norm(g.outputs(x), model.param("output_norm.weight"))
    logits = g.precise_linear(h, model.output, model.config.n_vocab, bias=model.find("output.bias"))
    cap = model.config.final_soft_cap
    g.logits = g.soft_cap(logits, cap) if cap else logits


def windowed_layers(model: Model, every: int, local: AttentionSpec, full: AttentionSpec) -> list[AttentionSpec]:
    """One spec per layer: of each `every` layers the last attends to everything, the others to the sliding window.

    The metadata key `attention.sliding_window_pattern` (an integer, or a list of booleans per layer) overrides `every`.
    """
    c, m = model.config, model.file.metadata
    key = m.key("{arch}.attention.sliding_window_pattern")
    if isinstance(m.get(key), list):
        is_local = m.bools(key, length=c.n_layer)
    else:
        every = m.int(key, min=1, max=c.n_layer + 1, default=every)
        is_local = [layer % every < every - 1 for layer in range(c.n_layer)]
    return [local if windowed and c.window else full for windowed in is_local]
