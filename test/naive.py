"""Slow, readable numpy twins of what llm_core computes, written from the papers and the GGUF conventions alone.

`naive_logits(file, tokens)` is the float32 reference of every architecture: it dequantizes one matrix at a time, keeps
no cache, and reads metadata with plain dictionary look-ups, so it shares no code with the engine beyond the GGUF
reader and `dequantize`. The test compares each fast path with its twin here, and bench/accuracy.py measures errors
against it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Array = np.ndarray


def rms_norm(x: Array, weight: Array, eps: float) -> Array:
    """x / sqrt(mean(x^2) + eps) * weight over the last axis (Zhang & Sennrich 2019)."""
    return x / np.sqrt(np.mean(np.square(x), axis=-1, keepdims=True) + np.float32(eps)) * weight


def silu(x: Array) -> Array:
    """x * sigmoid(x)."""
    return x / (np.float32(1) + np.exp(-x))


def gelu(x: Array) -> Array:
    """The tanh form of GELU (Hendrycks & Gimpel 2016), as Gemma was trained with."""
    return np.float32(0.5) * x * (1 + np.tanh(np.float32(math.sqrt(2 / math.pi)) * (x + np.float32(0.044715) * x**3)))


def quantize_rows(x: Array) -> tuple[Array, Array]:
    """float32 [m, k] → rows of int8 q, scales, sums over 32 and over 16 values (uint8 [m, bytes], the record of
    `kernels/quantize.py`), and the values that q stands for. q = x / scale to the nearest even, scale = peak / 127."""
    m, k = x.shape
    blocks = x.reshape(m, -1, 32)
    scale = np.abs(blocks).max(axis=2) * np.float32(1 / 127)
    q = np.rint(blocks * (np.float32(1) / scale)[..., None])
    sum16 = scale[..., None] * q.reshape(m, -1, 2, 16).sum(axis=3)
    parts = [q.reshape(m, k).astype(np.int8), scale, sum16.sum(axis=2), sum16.reshape(m, -1)]
    record = np.concatenate([np.ascontiguousarray(part).view(np.uint8) for part in parts], axis=1)
    padding = np.zeros((m, ((record.shape[1] + 63) // 64 | 1) * 64 - record.shape[1]), np.uint8)
    return np.concatenate([record, padding], axis=1), (q * scale[..., None]).reshape(m, k)


def soft_cap(x: Array, cap: float) -> Array:
    """cap * tanh(x / cap): keeps |x| below the cap; 0 means no cap."""
    return np.float32(cap) * np.tanh(x / np.float32(cap)) if cap else x


def softmax(x: Array) -> Array:
    """Softmax over the last axis; a row needs one finite entry."""
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


@dataclass(frozen=True)
class Family:
    """What an architecture's name alone decides; the rest follows from metadata and from which tensors exist."""

    interleaved_rope: bool = False  # pairs (2i, 2i+1) rather than (i, i + half)
    activation: Callable[[Array], Array] = silu
    scale_embedding: bool = False  # multiply the embedding by sqrt(n_embd)
    full_every: int = 1  # of so many layers the last attends to everything, the others to the window
    window_everywhere: bool = False  # every layer is limited to the window
    wide_query_layers: int = 0  # with so many layers, scores are divided by sqrt(n_embd / n_heads): the 27B Gemmas


FAMILIES = {
    "llama": Family(interleaved_rope=True),
    "qwen2": Family(),
    "qwen3": Family(),
    "gemma2": Family(activation=gelu, scale_embedding=True, full_every=2, wide_query_layers=46),
    "gemma3": Family(activation=gelu, scale_embedding=True, full_every=6, wide_query_layers=62),
    "phi3": Family(window_everywhere=True),
}


class NaiveModel:
    """Hyperparameters of one GGUF file and access to its tensors as float32."""

    def __init__(self, file, adapters=()):
        self.file, self.adapters = file, adapters
        self.arch = arch = file.metadata["general.architecture"]
        self.family = FAMILIES[arch]

        def get(key, default=None):
            return file.metadata.get(f"{arch}.{key}", default)

        self.n_layers, self.n_embd = get("block_count"), get("embedding_length")
        self.n_heads = get("attention.head_count")
        self.n_kv_heads = get("attention.head_count_kv", self.n_heads)
        self.head_dim = get("attention.key_length", self.n_embd // self.n_heads)
        self.eps = get("attention.layer_norm_rms_epsilon")
        self.window = get("attention.sliding_window", 0)
        self.window_pattern = get("attention.sliding_window_pattern", self.family.full_every)
        self.attn_softcap, self.final_softcap = get("attn_logit_softcapping", 0.0), get("final_logit_softcapping", 0.0)
        self.rope_dim = get("rope.dimension_count", self.head_dim)
        self.rope_base = get("rope.freq_base", 10000.0)
        self.rope_base_local = get("rope.freq_base_swa", 10000.0 if arch == "gemma3" else self.rope_base)
        self.scaling = get("rope.scaling.type", "linear")
        self.scaling_factor = get("rope.scaling.factor", 0.0) or get("rope.scale_linear", 0.0) or 1.0
        self.n_ctx_original = get("rope.scaling.original_context_length", get("context_length"))
        self.attn_factor = get("rope.scaling.attn_factor", 1.0)
        self.yarn_betas = get("rope.scaling.yarn_beta_fast", 32.0), get("rope.scaling.yarn_beta_slow", 1.0)

    def tensor(self, name: str, rows=None) -> Array | None:
        """A tensor's values by GGUF name, or None if the file has none."""
        tensor = self.file.tensors.get(name)
        if tensor is None:
            return None
        values = np.asarray(tensor.dequantize(rows), np.float32)
        return values.reshape(-1) if len(tensor.shape) == 1 else values

    def linear(self, x: Array, name: str) -> Array:
        """x @ W.T (+ bias where the file has one) in float32; `name` without ".weight"."""
        y = x @ self.tensor(name + ".weight").T
        for adapter, scale in self.adapters:
            pair = adapter.pairs.get(name + ".weight")
            if pair is not None:
                y = y + np.float32(scale * pair.scale) * (x @ pair.a.dequantize().T) @ pair.b.dequantize().T
        bias = self.tensor(name + ".bias")
        return y if bias is None else y + bias

    def norm(self, x: Array, name: str) -> Array:
        """RMS norm with the named weight; x itself if the file has no such weight."""
        weight = self.tensor(name + ".weight")
        return x if weight is None else rms_norm(x, weight, self.eps)

    def is_local(self, layer: int) -> bool:
        """Whether a layer attends to a sliding window only."""
        if not self.window:
            return False
        if self.family.window_everywhere:
            return True
        if isinstance(self.window_pattern, int):
            return layer % self.window_pattern < self.window_pattern - 1
        return bool(self.window_pattern[layer])


def yarn_angles(model: NaiveModel, plain: Array, base: float) -> tuple[Array, float]:
    """YaRN (Peng et al. 2023): slow dimensions are interpolated, fast ones kept, a ramp between; and the magnitude."""
    n, factor = model.rope_dim, model.scaling_factor

    def dimension(turns: float) -> float:  # the dimension that makes so many turns over the original context
        return n * math.log(model.n_ctx_original / (turns * 2 * math.pi)) / (2 * math.log(base))

    fast, slow = model.yarn_betas
    low, high = max(math.floor(dimension(fast)), 0), min(math.ceil(dimension(slow)), n - 1)
    interpolate = np.clip((np.arange(n // 2) - low) / max(high - low, 0.001), 0.0, 1.0)
    frequencies = plain * (1 - interpolate) + plain / factor * interpolate
    return frequencies, 0.1 * math.log(factor) + 1.0 if factor > 1 else 1.0


def rope_frequencies(model: NaiveModel, local: bool, n_ctx: int) -> tuple[Array, float]:
    """Radians per position of every rotated pair, float64 [rope_dim / 2], and the factor on cos and sin.

    The sliding-window layers of gemma3 have a base of their own and are never scaled.
    """
    base = model.rope_base_local if local and not model.family.window_everywhere else model.rope_base
    half = model.rope_dim // 2
    plain = base ** (-np.arange(half, dtype=np.float64) / half)
    if local and model.arch == "gemma3":
        return plain, 1.0
    long = n_ctx > model.n_ctx_original
    divisors = model.tensor("rope_freqs.weight")
    if divisors is None:
        divisors = model.tensor("rope_factors_long.weight" if long else "rope_factors_short.weight")
    if divisors is not None:
        plain = plain / divisors
    if model.scaling == "yarn":
        frequencies, magnitude = yarn_angles(model, plain, base)
        return frequencies, magnitude * model.attn_factor
    if model.scaling == "linear":
        return plain / model.scaling_factor, model.attn_factor
    return plain, model.attn_factor


def rope(x: Array, positions: Array, frequencies: Array, magnitude: float, interleaved: bool) -> Array:
    """Rotate the first 2 * len(frequencies) dimensions of every head (Su et al. 2021). x: [n, heads, head_dim]."""
    half = len(frequencies)
    angle = positions[:, None] * frequencies
    cos = (np.cos(angle) * magnitude).astype(np.float32)[:, None, :]
    sin = (np.sin(angle) * magnitude).astype(np.float32)[:, None, :]
    first, second = slice(0, half), slice(half, 2 * half)
    if interleaved:
        first, second = slice(0, 2 * half, 2), slice(1, 2 * half, 2)
    y = x.copy()
    y[..., first] = x[..., first] * cos - x[..., second] * sin
    y[..., second] = x[..., second] * cos + x[..., first] * sin
    return y


def attend(q: Array, k: Array, v: Array, scale: float, window: int = 0, cap: float = 0.0) -> Array:
    """Causal attention of one sequence: q [n, heads, d], k and v [n, kv_heads, d] to [n, heads * d].

    window: how many positions a row sees, its own included; 0: everything before it.
    """
    n, n_heads, _ = q.shape
    row, column = np.arange(n)[:, None], np.arange(n)
    seen = (column <= row) & ((column > row - window) if window else True)
    out = np.empty_like(q)
    for head in range(n_heads):
        shared = head // (n_heads // k.shape[1])  # grouped-query attention: neighbours share a K/V head
        scores = soft_cap(q[:, head] @ k[:, shared].T * np.float32(scale), cap)
        out[:, head] = softmax(np.where(seen, scores, np.float32(-np.inf))) @ v[:, shared]
    return out.reshape(n, -1)


def naive_attention(model: NaiveModel, layer: int, x: Array, n_ctx: int) -> Array:
    """One attention layer on normed rows: projections, head norms, RoPE, attention, output projection."""
    blk = f"blk.{layer}."
    d, h, g = model.head_dim, model.n_heads, model.n_kv_heads
    if blk + "attn_qkv.weight" in model.file.tensors:
        q, k, v = np.split(model.linear(x, blk + "attn_qkv"), [h * d, (h + g) * d], axis=1)
    else:
        q, k, v = (model.linear(x, blk + name) for name in ("attn_q", "attn_k", "attn_v"))
    q, k, v = q.reshape(-1, h, d), k.reshape(-1, g, d), v.reshape(-1, g, d)
    q, k = model.norm(q, blk + "attn_q_norm"), model.norm(k, blk + "attn_k_norm")

    local = model.is_local(layer)
    frequencies, magnitude = rope_frequencies(model, local, n_ctx)
    positions = np.arange(len(x))
    q = rope(q, positions, frequencies, magnitude, model.family.interleaved_rope)
    k = rope(k, positions, frequencies, magnitude, model.family.interleaved_rope)
    wide = model.n_layers == model.family.wide_query_layers
    scale = 1 / math.sqrt(model.n_embd // h if wide else d)
    return model.linear(attend(q, k, v, scale, model.window if local else 0, model.attn_softcap), blk + "attn_output")


def naive_ffn(model: NaiveModel, layer: int, x: Array) -> Array:
    """The gated feed-forward layer: down(activation(gate(x)) * up(x)); a file may fuse gate and up (gate first)."""
    blk = f"blk.{layer}."
    if blk + "ffn_gate.weight" in model.file.tensors:
        gate, up = model.linear(x, blk + "ffn_gate"), model.linear(x, blk + "ffn_up")
    else:
        gate, up = np.split(model.linear(x, blk + "ffn_up"), 2, axis=1)
    return model.linear(model.family.activation(gate) * up, blk + "ffn_down")


def naive_logits(file, tokens, n_ctx: int | None = None, rows=None, adapters=()) -> Array:
    """Float32 logits [n, n_vocab] of one sequence from position 0.

    file: an open GGUF file. n_ctx: the context length that longrope chooses its factors by (default: the sequence's
    own). rows: the positions whose logits are wanted (default all), to spare memory with big vocabularies. adapters:
    LoRA adapters (`models.adapter.Adapter`) and how much of each.
    """
    model = NaiveModel(file, adapters)
    tokens = np.asarray(tokens)
    x = model.tensor("token_embd.weight", tokens)
    if model.family.scale_embedding:
        x = x * np.float32(math.sqrt(model.n_embd))
    for layer in range(model.n_layers):
        blk = f"blk.{layer}."
        h = naive_attention(model, layer, model.norm(x, blk + "attn_norm"), n_ctx or len(tokens))
        x = x + model.norm(h, blk + "post_attention_norm")
        h = naive_ffn(model, layer, model.norm(x, blk + "ffn_norm"))
        x = x + model.norm(h, blk + "post_ffw_norm")
    x = model.norm(x if rows is None else x[rows], "output_norm")
    head = "output" if "output.weight" in file.tensors else "token_embd"
    return soft_cap(model.linear(x, head), model.final_softcap)
