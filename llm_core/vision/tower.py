"""The vision transformer of CLIP (Radford et al., 2021) and SigLIP (Zhai et al., 2023), as one recorder: what the file
holds decides over class token, first and last norm, biases, fused projections and gates.
"""

import math

import numpy as np

from llm_core.errors import ModelError
from llm_core.program.graph import Value
from llm_core.vision.graph import VisionGraph


def vit(g: VisionGraph, model) -> Value:
    """Rows of pixels → rows of features, one a patch, and the class token's before them if there is one."""
    x = _embed(g, model)
    if model.find("v.pre_ln.weight"):
        x = g.layer_norm(x, model.param("v.pre_ln.weight"), model.find("v.pre_ln.bias"))
    for layer in range(model.n_layer):
        x = _layer(g, model, f"v.blk.{layer}.", x)
    if model.find("v.post_ln.weight"):
        x = g.layer_norm(x, model.param("v.post_ln.weight"), model.find("v.post_ln.bias"))
    return x


def patches(pixels: np.ndarray, patch: int, first: int = 0) -> np.ndarray:
    """Pixels float32 [height, width, 3] → rows [first + patches, 3 * patch * patch], colour by colour, row by row; the
    first rows are zeros."""
    high, wide = pixels.shape[0] // patch, pixels.shape[1] // patch
    cut = pixels[: high * patch, : wide * patch].reshape(high, patch, wide, patch, 3)
    out = np.zeros((first + high * wide, 3 * patch * patch), np.float32)
    out[first:] = cut.transpose(0, 2, 4, 1, 3).reshape(high * wide, -1)
    return out


def _embed(g: VisionGraph, model) -> Value:
    """A patch times the kernel of the convolution, plus its position (and bias); the class token's row of pixels is
    zeros, so that its sum is what the constant holds."""
    c = model.config
    constant = np.zeros((g.n_rows, c.n_embd), np.float32)
    bias = model.find("v.patch_embd.bias")
    if bias is not None:
        bias.expect(c.n_embd)
        constant[model.first :] += bias.tensor.dequantize().reshape(-1)
    if model.first:
        constant[0] += model.class_token
    constant += model.values("v.position_embd.weight", g.n_rows, c.n_embd)
    weight = model.patch_embedding()
    return g.linear(g.input(3 * c.patch_size**2), weight, c.n_embd, residual=g.constant("v.positions", constant))


def _layer(g: VisionGraph, model, prefix: str, x: Value) -> Value:
    """x += attention(norm(x)); x += ffn(norm(x))"""
    c = model.config

    def linear(name: str, value: Value, width: int, residual: Value | None = None) -> Value:
        weight, bias = model.param(f"{prefix}{name}.weight"), model.find(f"{prefix}{name}.bias")
        return g.linear(value, weight, width, bias=bias, residual=residual)

    def norm(name: str, value: Value) -> Value:
        return g.layer_norm(value, model.param(f"{prefix}{name}.weight"), model.find(f"{prefix}{name}.bias"))

    for name in ("attn_q_norm", "attn_k_norm", "ls1", "ls2"):
        if model.find(f"{prefix}{name}.weight"):
            raise ModelError(f"tensor '{prefix}{name}.weight' is not supported")
    h = norm("ln1", x)
    if model.find(f"{prefix}attn_qkv.weight"):
        q, k, v = g.split(linear("attn_qkv", h, 3 * c.n_embd), *[c.n_embd] * 3)
    else:
        q, k, v = (linear(name, h, c.n_embd) for name in ("attn_q", "attn_k", "attn_v"))
    x = linear("attn_out", g.attend_all(q, k, v, 1 / math.sqrt(c.head_dim)), c.n_embd, residual=x)
    h = norm("ln2", x)
    up, down = model.feed_forward(prefix)
    n_ff = model.param(f"{prefix}{up}.weight").rows
    if c.n_ff and n_ff != c.n_ff:
        raise ModelError(f"tensor '{prefix}{up}.weight': {n_ff} rows, but the feed-forward length is {c.n_ff}")
    if model.find(f"{prefix}ffn_gate.weight"):
        h = g.gate(c.act, linear("ffn_gate", h, n_ff), linear(up, h, n_ff))
    else:
        h = g.activate(c.act, linear(up, h, n_ff))
    return linear(down, h, c.n_embd, residual=x)
