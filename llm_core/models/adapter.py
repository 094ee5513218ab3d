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
from typing import TYPE_CHECKING

from llm_core.errors import ModelError
from llm_core.gguf import GGUFFile, Tensor, escape, open_gguf
from llm_core.models.names import is_adapter

if TYPE_CHECKING:  # importing it imports the kernels, which takes a second
    from llm_core.models.model import Model

A, B = ".lora_a", ".lora_b"
MAX_ALPHA = 1e6


@dataclass(frozen=True)
class Pair:
    """What an adapter adds to one weight: scale * b · a; a [rank, k], b [n, rank]."""

    a: Tensor
    b: Tensor
    scale: float

    @property
    def rank(self) -> int:
        """Columns of b."""
        return self.b.shape[1]


@dataclass(frozen=True)
class Adapter:
    """A checked adapter: pairs by the GGUF name of the weight."""

    file: GGUFFile
    alpha: float
    pairs: dict[str, Pair]

    @property
    def source(self) -> str:
        """What errors call the file."""
        return self.file.metadata.source


def load_adapter(path: str | Path, model: Model) -> Adapter:
    """The adapter at `path`, checked against the model that it is for."""
    adapter = read_adapter(open_gguf(path))
    m = adapter.file.metadata
    if m.architecture != model.config.architecture:
        raise m.error(
            "general.architecture", f"the adapter is for {m.architecture!r}, the model is {model.config.architecture!r}"
        )
    return _checked(adapter, model)


def load_companion(file: GGUFFile, model: Model) -> Adapter | None:
    """The adapter that an mmproj file holds for the model beside its tower, checked against it, or None."""
    names = [name for name in file.tensors if name.endswith((A, B))]
    return _checked(_read(file, names), model) if names else None


def _checked(adapter: Adapter, model: Model) -> Adapter:
    """The adapter, if the model has weights of its names and shapes."""
    shapes = {linear.name: linear.shape for linear in model.record().linears}
    for name, pair in adapter.pairs.items():
        if name not in shapes:
            known = name in model.file.tensors
            why = "adapters of this tensor are not supported" if known else f"{model.source} has no such tensor"
            raise ModelError(f"{adapter.source}: tensor '{name}{A}': {why}")
        n, k = shapes[name]
        for tensor, expected in ((pair.a, (pair.rank, k)), (pair.b, (n, pair.rank))):
            if tuple(tensor.shape) != expected:
                raise _wrong_shape(adapter.file, tensor, f"{expected} for a weight of {n} x {k}")
    return adapter


def read_adapter(file: GGUFFile) -> Adapter:
    """The adapter in an opened file, checked as far as that goes without its model."""
    m = file.metadata
    if not is_adapter(m):
        kind = escape(str(m.get("general.type", "model")), 40)
        raise ModelError(
            f"{m.source}: this is no adapter: it has no key 'adapter.type' (general.type is '{kind}', "
            f"general.architecture {m.architecture!r})"
        )
    return _read(file, list(file.tensors))


def _read(file: GGUFFile, names: list[str]) -> Adapter:
    """The adapter that the tensors of these names are."""
    m = file.metadata
    m.str("adapter.type", choices=("lora",))
    if "adapter.alora.invocation_tokens" in m:
        raise m.error("adapter.alora.invocation_tokens", "adapters that begin inside a prompt are not supported")
    alpha = m.float("adapter.lora.alpha", min=0.0, max=MAX_ALPHA)
    return Adapter(file, alpha, {name: _pair(file, name, alpha) for name in _weights(file, names)})


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


def _pair(file: GGUFFile, name: str, alpha: float) -> Pair:
    a, b = file.tensor(name + A), file.tensor(name + B)
    for tensor in (a, b):
        if len(tensor.shape) != 2:
            raise _wrong_shape(file, tensor, "a matrix")
    rank = a.shape[0]
    if b.shape[1] != rank:
        raise _wrong_shape(file, b, f"{(b.shape[0], rank)} for rank {rank}")
    return Pair(a, b, alpha / rank if alpha else 1.0)


def _wrong_shape(file: GGUFFile, tensor: Tensor, wanted: str) -> ModelError:
    return ModelError(f"{file.metadata.source}: tensor {tensor.name!r}: shape {tuple(tensor.shape)}, expected {wanted}")
