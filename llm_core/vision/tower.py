"""The vision transformer of CLIP (Radford et al., 2021), SigLIP (Zhai et al., 2023) and Qwen-VL (Wang et al., 2024), as
one recorder: what the file holds decides over class token, first and last norm, biases, fused projections and gates,
`Tower` over what its tensors do not show.
"""

import math
from dataclasses import dataclass

import numpy as np

from llm_core.errors import ModelError
from llm_core.program.graph import Value
from llm_core.vision.convolution import stages
from llm_core.vision.graph import VisionGraph

AXIAL_BASE = 10000.0


@dataclass(frozen=True)
class Tower:
    """`rms`: norms without a mean. `axial`: heads turn by their patch's row and column and no position is learned, so
    that a tile may have any shape. `frames`: kernels of the first convolution, all of which see a still picture.
    `says_n_ff`: is the metadata's feed-forward length that of the tensors? `stages`: of convolutions come first, and
    the transformer's rows are what they leave."""

    rms: bool = False
    axial: bool = False
    frames: int = 1
    says_n_ff: bool = True
    stages: bool = False


def vit(g: VisionGraph, model) -> Value:
    """Rows of pixels → rows of features, one a patch, and the class token's before them if there is one."""
    x = _embed(g, model)
    if model.tower.axial:
        g.lists["angles"] = angles(g)
    if model.find("v.pre_ln.weight"):
        x = _norm(g, model, "v.pre_ln", x)
    for layer in range(model.n_layer):
        x = _layer(g, model, layer, x)
    if model.find("v.post_ln.weight"):
        x = _norm(g, model, "v.post_ln", x)
    return x


def angles(g: VisionGraph) -> np.ndarray:
    """float32 [rows, head size]: cosines of all pairs, then sines; half of the pairs turn by the patch's row, the
    others by its column."""
    if g.head_dim % 4:
        raise ModelError(f"heads of {g.head_dim} values cannot turn by row and column (multiples of 4 can)")
    quarter = g.head_dim // 4
    speeds = AXIAL_BASE ** (-np.arange(quarter, dtype=np.float64) / quarter)
    turned = np.stack(np.divmod(g.order, g.grid[1]), axis=1)[:, :, None] * speeds
    turned = turned.reshape(len(g.order), 2 * quarter)
    return np.concatenate([np.cos(turned), np.sin(turned)], axis=1).astype(np.float32)


def _norm(g: VisionGraph, model, name: str, x: Value) -> Value:
    if model.tower.rms:
        return g.rms_norm(x, model.param(f"{name}.weight"))
    return g.layer_norm(x, model.param(f"{name}.weight"), model.find(f"{name}.bias"))


def patches(pixels: np.ndarray, patch: int) -> np.ndarray:
    """Pixels float32 [height, width, 3] → rows [patches, 3 * patch * patch], colour by colour, row by row."""
    high, wide = pixels.shape[0] // patch, pixels.shape[1] // patch
    cut = pixels[: high * patch, : wide * patch].reshape(high, patch, wide, patch, 3)
    return cut.transpose(0, 2, 4, 1, 3).reshape(high * wide, 3 * patch * patch)


def _embed(g: VisionGraph, model) -> Value:
    """A patch times the kernel of the convolution, plus its position (and bias); the class token's row of pixels is
    zeros, so that its sum is what the constant holds."""
    c = model.config
    if model.tower.axial:
        return g.linear(g.input(3 * c.patch_size**2), model.patch_embedding(), c.n_embd)
    if model.tower.stages:
        weight, bias = model.patch_embedding(), model.find("v.patch_embd.bias")
        return stages(g, model, g.linear(g.input(3 * c.patch_size**2), weight, bias=bias))
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


def _layer(g: VisionGraph, model, layer: int, x: Value) -> Value:
    """x += attention(norm(x)); x += ffn(norm(x))"""
    c, prefix = model.config, f"v.blk.{layer}."

    def linear(name: str, value: Value, width: int, residual: Value | None = None) -> Value:
        weight, bias = model.param(f"{prefix}{name}.weight"), model.find(f"{prefix}{name}.bias")
        return g.linear(value, weight, width, bias=bias, residual=residual)

    for name in ("attn_q_norm", "attn_k_norm", "ls1", "ls2"):
        if model.find(f"{prefix}{name}.weight"):
            raise ModelError(f"tensor '{prefix}{name}.weight' is not supported")
    h = _norm(g, model, f"{prefix}ln1", x)
    if model.find(f"{prefix}attn_qkv.weight"):
        q, k, v = g.split(linear("attn_qkv", h, 3 * c.n_embd), *[c.n_embd] * 3)
    else:
        q, k, v = (linear(name, h, c.n_embd) for name in ("attn_q", "attn_k", "attn_v"))
    if model.tower.axial:
        g.turn(q, "angles")
        g.turn(k, "angles")
    seen = g.starts if c.whole_every and (layer + 1) % c.whole_every else None
    x = linear("attn_out", g.attend(q, k, v, 1 / math.sqrt(c.head_dim), seen), c.n_embd, residual=x)
    h = _norm(g, model, f"{prefix}ln2", x)
    up, down = model.feed_forward(prefix)
    n_ff = model.param(f"{prefix}{up}.weight").rows
    if model.tower.says_n_ff and c.n_ff and n_ff != c.n_ff:
        raise ModelError(f"tensor '{prefix}{up}.weight': {n_ff} rows, but the feed-forward length is {c.n_ff}")
    if model.find(f"{prefix}ffn_gate.weight"):
        h = g.gate(c.act, linear("ffn_gate", h, n_ff), linear(up, h, n_ff))
    else:
        h = g.activate(c.act, linear(up, h, n_ff))
    return linear(down, h, c.n_embd, residual=x)
