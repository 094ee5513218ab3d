"""Hyperparameters of a model, read from GGUF metadata: typed, ranged, and checked against each other.

Nothing here depends on a file's name. What the metadata leaves out follows from which tensors exist or from the
format's documented defaults. Raises GGUFError (a ModelError) that names the key and its value.
"""

from dataclasses import dataclass

from llm_core.errors import ModelError
from llm_core.gguf import GGUFFile
from llm_core.models.names import module_name

MAX_LAYERS = 1024
MAX_WIDTH = 1 << 18
MAX_CONTEXT = 1 << 26
SCALING_TYPES = ("none", "linear", "yarn", "longrope")


@dataclass(frozen=True)
class RopeConfig:
    """How positions become angles: base, rotated dimensions, and the scaling of long contexts."""

    base: float
    n_rot: int
    scaling: str
    factor: float
    n_ctx_original: int
    attn_factor: float
    beta_fast: float
    beta_slow: float


@dataclass(frozen=True)
class Config:
    """What every transformer of the supported family shares. Widths in values, contexts in tokens."""

    architecture: str
    n_layer: int
    n_embd: int
    n_ff: int
    n_head: int
    n_kv: int
    head_dim: int
    n_vocab: int
    n_ctx_train: int
    eps: float
    rope: RopeConfig
    window: int
    attn_soft_cap: float
    final_soft_cap: float


def check_config(file: GGUFFile) -> None:
    """Raise GGUFError or ModelError for an architecture or for hyperparameters that do not run. Looks at no layer."""
    module_name(file.metadata)
    read_config(file)


def read_config(file: GGUFFile) -> Config:
    """The configuration of an opened file. Raises GGUFError or ModelError."""
    m = file.metadata
    n_embd = m.int("{arch}.embedding_length", min=16, max=MAX_WIDTH)
    n_head = m.int("{arch}.attention.head_count", min=1, max=4096)
    n_kv = m.int("{arch}.attention.head_count_kv", min=1, max=4096, default=n_head)
    if n_head % n_kv:
        raise m.error(m.key("{arch}.attention.head_count"), f"{n_head} is not a multiple of the {n_kv} kv heads")
    head_dim = m.int("{arch}.attention.key_length", min=1, max=1024, default=0)
    if not head_dim:
        if n_embd % n_head:
            raise m.error(m.key("{arch}.embedding_length"), f"{n_embd} is not a multiple of the {n_head} heads")
        head_dim = n_embd // n_head
    if head_dim % 16:
        raise m.error(
            m.key("{arch}.attention.key_length"), f"heads of {head_dim} values are not supported (multiples of 16 are)"
        )
    v_dim = m.int("{arch}.attention.value_length", min=1, max=1024, default=head_dim)
    if v_dim != head_dim:
        raise m.error(
            m.key("{arch}.attention.value_length"), f"{v_dim} differs from the key length {head_dim}: not supported"
        )
    n_ctx_train = m.int("{arch}.context_length", min=1, max=MAX_CONTEXT)
    embedding = file.tensors.get("token_embd.weight")
    if embedding is None:
        raise ModelError(f"{m.source}: tensor 'token_embd.weight' is missing")
    if len(embedding.shape) != 2 or embedding.shape[1] != n_embd:
        raise ModelError(
            f"{m.source}: tensor 'token_embd.weight': shape {tuple(embedding.shape)}, expected (vocabulary, {n_embd})"
        )
    n_vocab = embedding.shape[0]
    m.int("{arch}.vocab_size", min=1, max=n_vocab, default=n_vocab)  # the rows count; more cannot be promised
    if m.int("{arch}.expert_count", min=0, max=1 << 16, default=0) > 1:
        raise m.error(m.key("{arch}.expert_count"), "mixtures of experts are not supported")
    if not m.bool("{arch}.attention.causal", default=True):
        raise m.error(m.key("{arch}.attention.causal"), "attention to later tokens is not supported")
    tokens = m.get("tokenizer.ggml.tokens")
    if isinstance(tokens, list) and len(tokens) > n_vocab:
        raise m.error("tokenizer.ggml.tokens", f"{len(tokens):,} tokens, but token_embd.weight has {n_vocab:,} rows")
    return Config(
        architecture=m.architecture,
        n_layer=m.int("{arch}.block_count", min=1, max=MAX_LAYERS),
        n_embd=n_embd,
        n_ff=m.int("{arch}.feed_forward_length", min=16, max=MAX_WIDTH * 8),
        n_head=n_head,
        n_kv=n_kv,
        head_dim=head_dim,
        n_vocab=n_vocab,
        n_ctx_train=n_ctx_train,
        eps=m.float("{arch}.attention.layer_norm_rms_epsilon", min=1e-12, max=1.0),
        rope=_read_rope(file, head_dim, n_ctx_train),
        window=m.int("{arch}.attention.sliding_window", min=0, max=MAX_CONTEXT, default=0),
        attn_soft_cap=m.float("{arch}.attn_logit_softcapping", min=0.0, max=1e4, default=0.0),
        final_soft_cap=m.float("{arch}.final_logit_softcapping", min=0.0, max=1e4, default=0.0),
    )


def _read_rope(file: GGUFFile, head_dim: int, n_ctx_train: int) -> RopeConfig:
    m = file.metadata
    n_rot = m.int("{arch}.rope.dimension_count", min=2, max=head_dim, default=head_dim)
    if n_rot % 2:
        raise m.error(m.key("{arch}.rope.dimension_count"), f"{n_rot} is odd")
    factor = m.float("{arch}.rope.scaling.factor", min=0.0, max=1e6, default=0.0)
    factor = factor or m.float("{arch}.rope.scale_linear", min=0.0, max=1e6, default=0.0) or 1.0
    scaling = m.str("{arch}.rope.scaling.type", choices=SCALING_TYPES, default="linear")
    if "rope_factors_long.weight" in file.tensors or "rope_factors_short.weight" in file.tensors:
        scaling = "longrope"
    return RopeConfig(
        base=m.float("{arch}.rope.freq_base", min=1.001, max=1e12, default=10000.0),
        n_rot=n_rot,
        scaling=scaling,
        factor=factor if scaling != "none" else 1.0,
        n_ctx_original=m.int(
            "{arch}.rope.scaling.original_context_length", min=1, max=MAX_CONTEXT, default=n_ctx_train
        ),
        attn_factor=m.float("{arch}.rope.scaling.attn_factor", min=0.0, max=1e3, default=1.0),
        beta_fast=m.float("{arch}.rope.scaling.yarn_beta_fast", min=1e-3, max=1e4, default=32.0),
        beta_slow=m.float("{arch}.rope.scaling.yarn_beta_slow", min=1e-3, max=1e4, default=1.0),
    )
