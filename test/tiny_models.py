"""Tiny random models as GGUF files: every architecture, any weight format, from a seed.

`write_tiny(path, arch, type, **overrides)` writes a whole model (weights in GGUF conventions, hyperparameters, a
byte-level BPE vocabulary and a ChatML template), small enough that a forward pass takes milliseconds. The weights
depend on the seed and the tensor's name only and come from the raw PCG64 stream, which numpy keeps stable, so files
and golden logits can be rebuilt anywhere. The default sizes hit edges on purpose: a vocabulary that is no multiple of
16, grouped heads, head sizes from 32 to 256, heads * head size != embedding, odd multiples of 32.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from llm_core.gguf import GGMLType, GGUFWriter
from llm_core.quants import FORMATS, quantize

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
CONTROL, NORMAL = 3, 1  # tokenizer.ggml.token_type


@dataclass(frozen=True)
class TinyConfig:
    """Hyperparameters of one tiny model. Zero or "" means: absent from the file."""

    arch: str
    n_embd: int
    n_heads: int
    n_kv_heads: int
    head_dim: int
    n_ff: int
    n_layers: int = 2
    n_vocab: int = 291  # 18 * 16 + 3
    n_ctx: int = 512
    eps: float = 1e-5
    rope_base: float = 10000.0
    rope_base_local: float = 0.0  # gemma3: base of the sliding-window layers
    rope_dim: int = 0  # rotated dimensions of a head when not all of them
    rope_scaling: str = ""  # "linear", "yarn", "llama3", "longrope"
    rope_factor: float = 4.0
    rope_original: int = 64  # context length before scaling
    window: int = 0
    attn_softcap: float = 0.0
    final_softcap: float = 0.0
    fused: bool = False  # attn_qkv, and gate and up in one ffn_up
    qkv_bias: bool = False
    qk_norm: bool = False
    post_norms: bool = False
    tied: bool = False  # no output.weight: the embedding is used twice
    seed: int = 1


TINY_CONFIGS = {
    "llama": TinyConfig("llama", n_embd=96, n_heads=6, n_kv_heads=2, head_dim=32, n_ff=160),
    "qwen2": TinyConfig(
        "qwen2", n_embd=192, n_heads=3, n_kv_heads=1, head_dim=64, n_ff=224, rope_base=1e6, qkv_bias=True, tied=True
    ),
    "qwen3": TinyConfig(
        "qwen3", n_embd=96, n_heads=4, n_kv_heads=1, head_dim=128, n_ff=160, rope_base=1e6, qk_norm=True, eps=1e-6
    ),
    "gemma2": TinyConfig(
        "gemma2", n_embd=96, n_heads=4, n_kv_heads=2, head_dim=80, n_ff=160, n_layers=4, window=8, attn_softcap=5.0,
        final_softcap=8.0, post_norms=True, tied=True, eps=1e-6,
    ),
    "gemma3": TinyConfig(
        "gemma3", n_embd=64, n_heads=2, n_kv_heads=1, head_dim=256, n_ff=96, n_layers=7, window=8, rope_base=1e6,
        rope_base_local=10000.0, qk_norm=True, post_norms=True, tied=True, eps=1e-6,
    ),
    "phi3": TinyConfig("phi3", n_embd=192, n_heads=2, n_kv_heads=1, head_dim=96, n_ff=96, window=16, fused=True),
}  # fmt: skip


def tiny_config(arch: str, **overrides) -> TinyConfig:
    """The default configuration of `arch` with some fields replaced."""
    return replace(TINY_CONFIGS[arch], **overrides)


def uniform(config: TinyConfig, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Float32 in [-1, 1) that depend on the seed and the tensor name only (raw PCG64 bits: stable over numpy
    versions).
    """
    bits = np.random.PCG64([config.seed, zlib.crc32(name.encode())]).random_raw(math.prod(shape))
    return ((bits >> np.uint64(40)).astype(np.float64) / 2.0**23 - 1.0).astype(np.float32).reshape(shape)


def tiny_tensors(config: TinyConfig) -> dict[str, np.ndarray]:
    """All tensors of the model, float32, in GGUF names, layouts and conventions (gemma's norm weights include the 1).
    """
    c = config
    q, kv = c.n_heads * c.head_dim, c.n_kv_heads * c.head_dim
    matrices = {"token_embd": (c.n_vocab, c.n_embd)}
    norms = {"output_norm": c.n_embd}
    biases: dict[str, int] = {}
    if not c.tied:
        matrices["output"] = (c.n_vocab, c.n_embd)
    for i in range(c.n_layers):
        blk = f"blk.{i}."
        norms |= {blk + "attn_norm": c.n_embd, blk + "ffn_norm": c.n_embd}
        if c.fused:
            matrices |= {blk + "attn_qkv": (q + 2 * kv, c.n_embd), blk + "ffn_up": (2 * c.n_ff, c.n_embd)}
        else:
            matrices |= {blk + "attn_q": (q, c.n_embd), blk + "attn_k": (kv, c.n_embd), blk + "attn_v": (kv, c.n_embd)}
            matrices |= {blk + "ffn_gate": (c.n_ff, c.n_embd), blk + "ffn_up": (c.n_ff, c.n_embd)}
        matrices |= {blk + "attn_output": (c.n_embd, q), blk + "ffn_down": (c.n_embd, c.n_ff)}
        if c.qkv_bias:
            biases |= {blk + "attn_q": q, blk + "attn_k": kv, blk + "attn_v": kv}
        if c.qk_norm:
            norms |= {blk + "attn_q_norm": c.head_dim, blk + "attn_k_norm": c.head_dim}
        if c.post_norms:
            norms |= {blk + "post_attention_norm": c.n_embd, blk + "post_ffw_norm": c.n_embd}

    tensors = {}
    for name, shape in matrices.items():
        # rows of length about sqrt(3) keep activations near 1 and logits spread over several nats
        tensors[name + ".weight"] = uniform(c, name + ".weight", shape) * np.float32(3.0 / math.sqrt(shape[1]))
    for name, size in norms.items():
        tensors[name + ".weight"] = np.float32(1.0) + np.float32(0.3) * uniform(c, name + ".weight", (size,))
    for name, size in biases.items():
        tensors[name + ".bias"] = np.float32(0.5) * uniform(c, name + ".bias", (size,))
    return tensors | rope_tensors(c)


def rope_tensors(config: TinyConfig) -> dict[str, np.ndarray]:
    """Frequency divisors that converters store as tensors: Llama 3's, and phi3's longrope pair."""
    half = (config.rope_dim or config.head_dim) // 2
    if config.rope_scaling == "llama3":
        return {"rope_freqs.weight": llama3_factors(config, half)}
    if config.rope_scaling == "longrope":
        return {
            "rope_factors_long.weight": 3.0 + 2.0 * uniform(config, "rope_factors_long.weight", (half,)),
            "rope_factors_short.weight": 1.5 + 0.5 * uniform(config, "rope_factors_short.weight", (half,)),
        }
    return {}


LLAMA3_LOW, LLAMA3_HIGH = 1.0, 4.0


def llama3_factors(config: TinyConfig, half: int) -> np.ndarray:
    """Llama 3.1: long wavelengths are stretched by the factor, short ones kept, a linear blend of frequencies between.
    """
    wavelength = 2 * np.pi * config.rope_base ** (np.arange(half) / half)
    blend = np.clip((config.rope_original / wavelength - LLAMA3_LOW) / (LLAMA3_HIGH - LLAMA3_LOW), 0.0, 1.0)
    return (1.0 / ((1.0 - blend) / config.rope_factor + blend)).astype(np.float32)


def longrope_attention_factor(config: TinyConfig) -> float:
    """The magnitude that phi3's converter writes: sqrt(1 + ln(scale) / ln(original context))."""
    return math.sqrt(1.0 + math.log(config.n_ctx / config.rope_original) / math.log(config.rope_original))


def tiny_metadata(config: TinyConfig) -> dict[str, object]:
    """Every metadata key of the model as the usual converters write them."""
    c = config
    a = c.arch
    metadata: dict[str, object] = {
        "general.architecture": a,
        "general.name": "tiny",
        f"{a}.context_length": c.n_ctx,
        f"{a}.embedding_length": c.n_embd,
        f"{a}.block_count": c.n_layers,
        f"{a}.feed_forward_length": c.n_ff,
        f"{a}.attention.head_count": c.n_heads,
        f"{a}.attention.head_count_kv": c.n_kv_heads,
        f"{a}.attention.layer_norm_rms_epsilon": float(c.eps),
        f"{a}.rope.freq_base": float(c.rope_base),
        f"{a}.vocab_size": c.n_vocab,
    }
    if c.n_heads * c.head_dim != c.n_embd:
        metadata |= {f"{a}.attention.key_length": c.head_dim, f"{a}.attention.value_length": c.head_dim}
    if c.rope_dim or a in ("llama", "phi3"):
        metadata[f"{a}.rope.dimension_count"] = c.rope_dim or c.head_dim
    optional = {
        "attention.sliding_window": c.window,
        "attn_logit_softcapping": float(c.attn_softcap),
        "final_logit_softcapping": float(c.final_softcap),
        "rope.freq_base_swa": float(c.rope_base_local),
    }
    metadata |= {f"{a}.{key}": value for key, value in optional.items() if value}
    if c.rope_scaling in ("linear", "yarn"):
        metadata |= {f"{a}.rope.scaling.type": c.rope_scaling, f"{a}.rope.scaling.factor": float(c.rope_factor)}
    if c.rope_scaling in ("yarn", "longrope"):
        metadata[f"{a}.rope.scaling.original_context_length"] = c.rope_original
    if c.rope_scaling == "longrope":
        metadata[f"{a}.rope.scaling.attn_factor"] = longrope_attention_factor(c)
    return metadata | tiny_tokenizer(c.n_vocab)


def byte_characters() -> list[str]:
    """GPT-2's printable stand-in for each byte: itself where printable, else the next free character from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = iter(range(0x100, 0x200))
    return [chr(byte) if byte in printable else chr(next(others)) for byte in range(256)]


def tiny_tokenizer(n_vocab: int) -> dict[str, object]:
    """A byte-level BPE vocabulary of `n_vocab` tokens: 3 control tokens, 256 bytes, then two-letter merges."""
    n_merges = n_vocab - len(SPECIAL_TOKENS) - 256
    letters = "etaoinshrdlucmfwypvbgkjqxz"
    pairs = [(a, b) for a in letters for b in letters]
    if not 0 <= n_merges <= len(pairs):
        raise ValueError(f"n_vocab={n_vocab}: must be {259}..{259 + len(pairs)}")
    tokens = [*SPECIAL_TOKENS, *byte_characters(), *("".join(pair) for pair in pairs[:n_merges])]
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "smollm",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [CONTROL] * len(SPECIAL_TOKENS) + [NORMAL] * (n_vocab - len(SPECIAL_TOKENS)),
        "tokenizer.ggml.merges": [f"{a} {b}" for a, b in pairs[:n_merges]],
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.chat_template": CHAT_TEMPLATE,
    }


# Where a format keeps its scale and its offset scale (float16), and how many offsets centre the mean quantized value.
# Random bits around chosen scales try every bit of these blocks, and need no search.
RANDOM_BLOCKS = {
    "Q2_K": (80, 82, 1.5),
    "Q3_K": (108, None, 0.0),
    "Q4_K": (0, 2, 7.5),
    "Q5_K": (0, 2, 15.5),
    "Q6_K": (208, None, 0.0),
    "IQ4_NL": (0, None, 0.0),
    "IQ4_XS": (0, None, 0.0),
    "Q1_0": (0, None, 0.0),
    "IQ1_S": (0, None, 0.0),
    "IQ1_M": ((49, 51, 53, 55), None, 0.0),
    "IQ2_XXS": (0, None, 0.0),
    "IQ2_XS": (0, None, 0.0),
    "IQ2_S": (0, None, 0.0),
    "IQ3_XXS": (0, None, 0.0),
    "IQ3_S": (0, None, 0.0),
}


def put_half(blocks: np.ndarray, at: int | tuple[int, ...], values: np.ndarray | float) -> None:
    """Set the float16 at byte `at` of each block [..., nbytes]; with four places, its four bits in the upper half of
    each, lowest first."""
    halves = np.broadcast_to(np.asarray(values, "<f2"), blocks.shape[:-1]).copy()
    if isinstance(at, int):
        blocks[..., at : at + 2] = halves[..., None].view(np.uint8)
        return
    for i, place in enumerate(at):
        nibble = (halves.view("<u2") >> (4 * i)).astype(np.uint8) << 4
        blocks[..., place] = (blocks[..., place] & 15) | nibble


def random_blocks(config: TinyConfig, name: str, shape: tuple[int, int], type: GGMLType) -> np.ndarray:
    """Random valid blocks, uint8 [rows, bytes per row], scaled so that the weights' spread suits a row of that length.
    """
    form = FORMATS[type]
    scale_at, offset_at, ratio = RANDOM_BLOCKS[type.name]
    n = shape[0] * shape[1] // form.block
    bits = np.random.PCG64([config.seed, zlib.crc32(name.encode())]).random_raw(n * form.nbytes)
    blocks = (bits >> np.uint64(56)).astype(np.uint8).reshape(n, form.nbytes)

    def put_scales(scale: float) -> None:
        put_half(blocks, scale_at, scale)
        if offset_at is not None:
            put_half(blocks, offset_at, scale * ratio)

    put_scales(1.0)
    spread = float(np.std(form.dequantize(blocks)))
    put_scales(math.sqrt(3.0 / shape[1]) / spread)
    return blocks.reshape(shape[0], -1)


def encode(config: TinyConfig, name: str, values: np.ndarray, type: GGMLType) -> tuple[np.ndarray, GGMLType]:
    """One tensor as (data, type): vectors stay F32; a row that is no whole number of blocks falls back to Q8_0 or F16.
    """
    if values.ndim == 1 or type == GGMLType.F32:
        return values, GGMLType.F32
    columns = values.shape[1]
    if columns % FORMATS[type].block:
        type = GGMLType.Q8_0 if columns % 32 == 0 else GGMLType.F16
    if type.name in RANDOM_BLOCKS:
        return random_blocks(config, name, values.shape, type), type
    return quantize(values, type), type


def write_config(
    path: str | Path,
    config: TinyConfig,
    type: GGMLType = GGMLType.F32,
    metadata: dict[str, object] | None = None,
    tensors: dict[str, np.ndarray | None] | None = None,
) -> Path:
    """Write the model of a configuration and return its path; see `write_tiny`."""
    with GGUFWriter(path) as writer:
        for key, value in (tiny_metadata(config) | (metadata or {})).items():
            if value is not None:
                writer.add(key, value)
        for name, values in (tiny_tensors(config) | (tensors or {})).items():
            if values is not None:
                writer.add_tensor(name, *encode(config, name, values, type))
    return Path(path)


def write_tiny(
    path: str | Path,
    arch: str = "llama",
    type: GGMLType = GGMLType.F32,
    metadata: dict[str, object] | None = None,
    tensors: dict[str, np.ndarray | None] | None = None,
    **overrides,
) -> Path:
    """Write a tiny model and return its path.

    `type`: format of the matrices. `overrides`: fields of TinyConfig. `metadata` and `tensors` replace or add single
    entries under their full names ("blk.0.attn_q.weight", float32 arrays); None leaves the entry out. Both are for
    spoiling a file.
    """
    return write_config(path, tiny_config(arch, **overrides), type, metadata, tensors)


# One per architecture and rotary variant: what transformers is asked about (golden/transformers_logits.py) and every
# implementation is held against (test_models.py).
CASES = {
    "llama": tiny_config("llama"),
    "llama-bias": tiny_config("llama", qkv_bias=True, tied=True),
    "llama-head-80": tiny_config("llama", n_heads=4, n_kv_heads=4, head_dim=80),
    "llama-linear": tiny_config("llama", rope_scaling="linear"),
    "llama-llama3": tiny_config("llama", rope_scaling="llama3"),
    "llama-yarn": tiny_config("llama", rope_scaling="yarn"),
    "qwen2": tiny_config("qwen2"),
    "qwen2-yarn": tiny_config("qwen2", rope_scaling="yarn"),
    "qwen3": tiny_config("qwen3"),
    "gemma2": tiny_config("gemma2"),
    "gemma3": tiny_config("gemma3"),
    "gemma3-linear": tiny_config("gemma3", rope_scaling="linear"),
    "phi3": tiny_config("phi3"),
    "phi3-longrope-long": tiny_config("phi3", rope_scaling="longrope", rope_original=16),
    "phi3-longrope-short": tiny_config("phi3", rope_scaling="longrope"),
    "phi3-partial": tiny_config("phi3", rope_dim=72, window=0),
}
GOLDEN_ROWS = slice(2, None, 3)  # the positions whose logits are recorded


def case_tokens(config: TinyConfig) -> np.ndarray:
    """24 token ids, int32: three times the smallest window, spread over the vocabulary."""
    return (np.arange(1, 25) * 89 % config.n_vocab).astype(np.int32)
