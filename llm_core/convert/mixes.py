"""Which type each tensor of a quantized model gets: `Q4_K_M` and its kind, as llama.cpp chooses them.

A `Mix` is a base type and exceptions per kind of tensor: attn_v and ffn_down get more bits in some layers, the
output matrix (or the embedding that serves as one) always. Rules of the user come last and win. A row that is no
multiple of a type's block falls back to a type of blocks of 32, and to F16 when that does not fit either.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from llm_core.errors import RequestError
from llm_core.gguf import GGMLType, GGUFFile
from llm_core.quants import FORMATS

T = GGMLType


@dataclass(frozen=True)
class Facts:
    """What a mix looks at: the number of layers, query heads per key head, whether an importance matrix is there."""

    n_layer: int
    heads_per_kv: int
    has_imatrix: bool
    tied: bool
    """No output.weight: the embedding is used twice."""


Choice = Callable[[int, Facts], "GGMLType | None"]
"""Layer and facts to a type, or None for the mix's base."""


def always(kind: GGMLType) -> Choice:
    """That type in every layer."""
    return lambda layer, facts: kind


def first(count: int, kind: GGMLType, then: GGMLType | None = None) -> Choice:
    """That type in so many first layers."""
    return lambda layer, facts: kind if layer < count else then


def first_part(parts: int, kind: GGMLType, then: GGMLType | None = None, unless_imatrix: bool = False) -> Choice:
    """That type in the first one of so many equal parts of the layers."""
    return lambda layer, facts: (
        kind if layer < facts.n_layer // parts and not (unless_imatrix and facts.has_imatrix) else then
    )


def more_bits(kind: GGMLType) -> Choice:
    """That type in the first and last eighth of the layers and in every third one between."""

    def choose(layer: int, facts: Facts) -> GGMLType | None:
        eighth = facts.n_layer // 8
        return kind if layer < eighth or layer >= 7 * facts.n_layer // 8 or (layer - eighth) % 3 == 2 else None

    return choose


def shared_heads(kind: GGMLType, otherwise: GGMLType | None = None) -> Choice:
    """That type where four or more query heads share a value head, so that the tensor is small."""
    return lambda layer, facts: kind if facts.heads_per_kv >= 4 else otherwise


def with_imatrix(choice: Choice) -> Choice:
    """That choice when there is an importance matrix."""
    return lambda layer, facts: choice(layer, facts) if facts.has_imatrix else None


@dataclass(frozen=True)
class Mix:
    """A base type, `general.file_type`, the type of the output matrix (None: the base), and exceptions by kind."""

    base: GGMLType
    file_type: int
    output: GGMLType | None = T.Q6_K
    choices: dict[str, Choice] = field(default_factory=dict)


def _mix(base: GGMLType, file_type: int, output: GGMLType | None = T.Q6_K, **choices: Choice) -> Mix:
    return Mix(base, file_type, output, choices)


_IQ4 = {"attn_v": shared_heads(T.Q5_K), "ffn_down": first_part(8, T.Q5_K, unless_imatrix=True)}
MIXES: dict[str, Mix] = {
    "F32": _mix(T.F32, 0, None),
    "F16": _mix(T.F16, 1, None),
    "BF16": _mix(T.BF16, 32, None),
    "Q4_0": _mix(T.Q4_0, 2, ffn_down=with_imatrix(first_part(8, T.Q4_1))),
    "Q4_1": _mix(T.Q4_1, 3),
    "Q5_0": _mix(T.Q5_0, 8, ffn_down=with_imatrix(first_part(8, T.Q5_1))),
    "Q5_1": _mix(T.Q5_1, 9),
    "Q8_0": _mix(T.Q8_0, 7, None),
    "Q2_K": _mix(
        T.Q2_K, 10, attn_v=shared_heads(T.Q4_K, T.Q3_K), ffn_down=always(T.Q3_K), attn_output=always(T.Q3_K)
    ),
    "Q2_K_S": _mix(T.Q2_K, 21, attn_v=shared_heads(T.Q4_K), ffn_down=first_part(8, T.Q4_K)),
    "Q3_K_S": _mix(T.Q3_K, 11),
    "Q3_K_M": _mix(
        T.Q3_K, 12, attn_v=first(2, T.Q5_K, T.Q4_K), ffn_down=first_part(16, T.Q5_K, T.Q4_K), attn_output=always(T.Q4_K)
    ),
    "Q3_K_L": _mix(T.Q3_K, 13, attn_v=always(T.Q5_K), ffn_down=always(T.Q5_K), attn_output=always(T.Q5_K)),
    "Q4_K_S": _mix(T.Q4_K, 14, attn_v=first(4, T.Q5_K), ffn_down=first_part(8, T.Q5_K)),
    "Q4_K_M": _mix(T.Q4_K, 15, attn_v=more_bits(T.Q6_K), ffn_down=more_bits(T.Q6_K)),
    "Q5_K_S": _mix(T.Q5_K, 16),
    "Q5_K_M": _mix(T.Q5_K, 17, attn_v=more_bits(T.Q6_K), ffn_down=more_bits(T.Q6_K)),
    "Q6_K": _mix(T.Q6_K, 18),
    "IQ4_NL": _mix(T.IQ4_NL, 25, **_IQ4),
    "IQ4_XS": _mix(T.IQ4_XS, 30, **_IQ4),
    "MXFP4": _mix(T.MXFP4, 38, T.Q8_0),
    "TQ1_0": _mix(T.TQ1_0, 36, token_embd=always(T.Q4_K)),
    "TQ2_0": _mix(T.TQ2_0, 37, token_embd=always(T.Q4_K)),
}
# what llama.cpp's file names leave out
ALIASES = {"Q3_K": "Q3_K_M", "Q4_K": "Q4_K_M", "Q5_K": "Q5_K_M"}

# blocks of 256 to the blocks of 32 that come next in size
FALLBACKS = {
    T.Q2_K: T.Q4_0, T.Q3_K: T.Q4_0, T.Q4_K: T.Q5_0, T.Q5_K: T.Q5_1, T.Q6_K: T.Q8_0, T.IQ4_XS: T.IQ4_NL,
    T.TQ1_0: T.Q4_0, T.TQ2_0: T.Q4_0,
}  # fmt: skip
# matrices that stay as they are: small, and far from linear in their effect
_KEPT = ("_norm.weight", "ffn_gate_inp", "ssm_conv1d", "shortconv.conv", "position_embd", "token_types", "attn_rel_b")
_NAME = re.compile(r"(?:blk\.(\d+)\.)?(\w+)\.weight")
_HUGE_LAYERS = 80  # the 70B models: eight heads share a value matrix, which then gets five bits at least


def find_mix(name: str) -> tuple[str, Mix]:
    """The mix of a name, whatever its case; RequestError lists the known ones."""
    key = ALIASES.get(name.upper(), name.upper())
    if key not in MIXES:
        raise RequestError(f"type {name!r} cannot be written; possible: {', '.join([*MIXES, *ALIASES])}")
    return key, MIXES[key]


@dataclass(frozen=True)
class Rule:
    """`pattern=TYPE`: tensors whose name the regular expression is found in get that type."""

    pattern: re.Pattern[str]
    type: GGMLType

    @staticmethod
    def parse(text: str) -> Rule:
        """RequestError names what is wrong with the text."""
        pattern, equals, name = text.rpartition("=")
        if not equals or not pattern:
            raise RequestError(f"--tensor-type {text!r}: expected PATTERN=TYPE, e.g. attn_v=Q6_K")
        try:
            return Rule(re.compile(pattern), writable_type(name))
        except re.error as error:
            raise RequestError(f"--tensor-type {text!r}: not a regular expression: {error}") from None


def writable_type(name: str) -> GGMLType:
    """The tensor type of a name; RequestError when it does not exist or cannot be written."""
    kind = GGMLType.__members__.get(name.upper())
    if kind is None or kind not in FORMATS or not FORMATS[kind].can_quantize:
        writable = ", ".join(form.name for form in FORMATS.values() if form.can_quantize)
        raise RequestError(f"tensor type {name!r} cannot be written; possible: {writable}")
    return kind


def plan(file: GGUFFile, mix: Mix, rules: Iterable[Rule], has_imatrix: bool) -> dict[str, GGMLType]:
    """Every tensor's type in the new file. RequestError for a rule that fits no tensor, and for mixtures of experts."""
    rules = list(rules)
    facts = _facts(file, has_imatrix)
    used: set[int] = set()
    types = {}
    for name, tensor in file.tensors.items():
        types[name] = tensor.type
        if not name.endswith("weight") or len(tensor.shape) < 2 or any(kept in name for kept in _KEPT):
            continue
        kind = _chosen(name, tensor.columns, mix, facts)
        for index, rule in enumerate(rules):
            if rule.pattern.search(name):
                kind = rule.type
                used.add(index)
        types[name] = fitting(kind, tensor.columns)
    for index, rule in enumerate(rules):
        if index not in used:
            raise RequestError(f"--tensor-type {rule.pattern.pattern}={rule.type.name}: no matrix has such a name")
    return types


def fitting(kind: GGMLType, columns: int) -> GGMLType:
    """`kind`, or the type to fall back to for rows of that length."""
    while columns % kind.block:
        kind = FALLBACKS.get(kind, T.F16)
    return kind


def _facts(file: GGUFFile, has_imatrix: bool) -> Facts:
    m = file.metadata
    if m.int("{arch}.expert_count", min=0, default=0) > 1:
        raise m.error(m.key("{arch}.expert_count"), "mixtures of experts cannot be quantized here")
    heads = m.int("{arch}.attention.head_count", min=1, default=1)
    return Facts(
        n_layer=m.int("{arch}.block_count", min=1, max=4096),
        heads_per_kv=heads // m.int("{arch}.attention.head_count_kv", min=1, default=heads),
        has_imatrix=has_imatrix,
        tied="output.weight" not in file.tensors,
    )


def _chosen(name: str, columns: int, mix: Mix, facts: Facts) -> GGMLType:
    """What the mix says about a matrix."""
    if name == "output.weight" or (facts.tied and name == "token_embd.weight"):
        if mix.output is not None and columns % mix.base.block:
            return T.Q8_0
        return mix.output or mix.base
    match = _NAME.fullmatch(name)
    if match is None:
        return mix.base
    tensor = "attn_v" if match[2] == "attn_qkv" else match[2]
    choice = mix.choices.get(tensor)
    kind = (choice and choice(int(match[1] or 0), facts)) or mix.base
    if tensor == "attn_v" and facts.n_layer == _HUGE_LAYERS and kind in (T.Q3_K, T.Q4_K):
        return T.Q5_K
    return kind
