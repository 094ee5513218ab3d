"""LoRA adapters as llama.cpp publishes them: a GGUF file with two small matrices for each weight that it changes.

`general.type` is "adapter", `adapter.type` "lora", `general.architecture` the model's. For a weight W [n, k] there are
`<name of W>.lora_a` [rank, k] and `.lora_b` [n, rank], of any weight format; the weight becomes W + scale * B A, with a
scale of `adapter.lora.alpha` / rank (1 where alpha is 0) times what the user asks for. Everything is checked against
the model before a value is read. Raises ModelError (GGUFError) that names the file and the key or tensor.

An mmproj file may hold such matrices too, with the same two keys: what the language model has to learn to read its
pictures.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from llm_core.errors import ModelError
from llm_core.gguf import GGUFFile, Tensor, open_gguf
from llm_core.models.model import Model

A, B = ".lora_a", ".lora_b"
MAX_ALPHA = 1e6


@dataclass(frozen=True)
class Pair:
    """What an adapter adds to one weight: scale * b · a; a [rank, k], b [n, rank]."""

    a: Tensor
    b: Tensor
    scale: float


@dataclass(frozen=True)
class Adapter:
    """A checked adapter: pairs by the GGUF name of the weight."""

    file: GGUFFile
    pairs: dict[str, Pair]

    @property
    def source(self) -> str:
        """What errors call the file."""
        return self.file.metadata.source


def is_adapter(file: GGUFFile) -> bool:
    """Does the file say that it is an adapter, of whatever kind?"""
    return file.metadata.get("general.type") == "adapter" or "adapter.type" in file.metadata


def load_adapter(path: str | Path, model: Model) -> Adapter:
    """The adapter at `path`, checked against the model that it is for."""
    file = open_gguf(path)
    m = file.metadata
    if not is_adapter(file):
        raise ModelError(f"{m.source}: this is no adapter: it has no key 'adapter.type'")
    m.str("adapter.type", choices=("lora",))
    if m.architecture != model.config.architecture:
        raise m.error(
            "general.architecture", f"the adapter is for {m.architecture!r}, the model is {model.config.architecture!r}"
        )
    if "adapter.alora.invocation_tokens" in m:
        raise m.error("adapter.alora.invocation_tokens", "adapters that begin inside a prompt are not supported")
    return _checked(file, list(file.tensors), model)


def load_companion(file: GGUFFile, model: Model) -> Adapter | None:
    """The adapter that an mmproj file holds for the model beside its tower, checked against it, or None."""
    names = [name for name in file.tensors if name.endswith((A, B))]
    if not names:
        return None
    file.metadata.str("adapter.type", choices=("lora",))
    return _checked(file, names, model)


def _checked(file: GGUFFile, names: list[str], model: Model) -> Adapter:
    m = file.metadata
    alpha = m.float("adapter.lora.alpha", min=0.0, max=MAX_ALPHA)
    shapes = {linear.name: linear.shape for linear in model.record().linears}
    pairs = {}
    for name in _weights(file, names):
        if name not in shapes:
            known = name in model.file.tensors
            why = "adapters of this tensor are not supported" if known else f"{model.source} has no such tensor"
            raise ModelError(f"{m.source}: tensor '{name}{A}': {why}")
        pairs[name] = _pair(file, name, shapes[name], alpha)
    return Adapter(file, pairs)


def _weights(file: GGUFFile, names: list[str]) -> list[str]:
    """The names of the weights that the tensors of these names are for, each pair once."""
    found: dict[str, None] = {}
    for name in names:
        base, dot, _ = name.rpartition(".lora_")
        if not dot or name not in (base + A, base + B):
            raise ModelError(
                f"{file.metadata.source}: tensor {name!r}: an adapter holds tensors '….lora_a' and '….lora_b' only"
            )
        found[base] = None
    if not found:
        raise ModelError(f"{file.metadata.source}: the adapter holds no tensors")
    return list(found)


def _pair(file: GGUFFile, name: str, shape: tuple[int, int], alpha: float) -> Pair:
    a, b = file.tensor(name + A), file.tensor(name + B)
    for tensor in (a, b):
        if len(tensor.shape) != 2:
            raise ModelError(
                f"{file.metadata.source}: tensor {tensor.name!r}: shape {tuple(tensor.shape)}, but it is a matrix"
            )
    rank = a.shape[0]
    for tensor, expected in ((a, (rank, shape[1])), (b, (shape[0], rank))):
        if tuple(tensor.shape) != expected:
            raise ModelError(
                f"{file.metadata.source}: tensor {tensor.name!r}: shape {tuple(tensor.shape)}, expected {expected} "
                f"for a weight of {shape[0]} x {shape[1]} and rank {rank}"
            )
    return Pair(a, b, alpha / rank if alpha else 1.0)
