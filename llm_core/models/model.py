"""A checked model file: configuration, parameters by their GGUF names, and the program that its architecture records.

`load_model` finds the architecture's module by `general.architecture` (`llm_core/models/<name>.py`, or an alias),
lets it record its program once, and so checks every tensor's presence, type and shape. It reads no weights and
compiles nothing; that is the runner's work. Raises ModelError with the key or tensor that is wrong.
"""

import importlib
import math
from pathlib import Path
from types import ModuleType

import numpy as np

from llm_core import memory
from llm_core.errors import ModelError, RequestError, naming
from llm_core.gguf import GGUFFile, open_gguf
from llm_core.kernels.kv import BLOCK, head_bytes
from llm_core.models import rope
from llm_core.models.config import Config, read_config
from llm_core.models.names import module_name
from llm_core.program.graph import Graph
from llm_core.program.params import Param


class Block:
    """The tensors of one layer: `block.attn_q` is `blk.<layer>.attn_q.weight`; a missing one raises ModelError."""

    def __init__(self, model: "Model", prefix: str):
        self._model, self._prefix = model, prefix

    def __getattr__(self, name: str) -> Param:
        if name.startswith("_"):
            raise AttributeError(name)
        return self._model.param(f"{self._prefix}{name}.weight")

    def get(self, name: str, suffix: str = "weight") -> Param | None:
        """The tensor if the file has it, else None."""
        return self._model.find(f"{self._prefix}{name}.{suffix}")


class Model:
    """A model file and its architecture. `record()` gives its program, `rope_tables(n_ctx)` its angle tables."""

    def __init__(self, file: GGUFFile, architecture: ModuleType):
        self.file = file
        self.architecture = architecture
        self.config: Config = read_config(file)
        self._params: dict[str, Param] = {}
        with naming(self.source):
            self.param("token_embd.weight").type  # noqa: B018 - refuses a type that does not run

    @property
    def source(self) -> str:
        """What errors call the file."""
        return self.file.metadata.source

    def find(self, name: str) -> Param | None:
        """The parameter of this GGUF name, or None."""
        if name not in self._params:
            tensor = self.file.tensors.get(name)
            if tensor is None:
                return None
            self._params[name] = Param(tensor)
        return self._params[name]

    def param(self, name: str) -> Param:
        """The parameter of this GGUF name. Raises ModelError when the file has none."""
        found = self.find(name)
        if found is None:
            raise ModelError(f"{self.source}: tensor {name!r} is missing ({self.config.architecture} needs it)")
        return found

    def block(self, layer: int) -> Block:
        """The tensors of one layer."""
        return Block(self, f"blk.{layer}.")

    @property
    def output(self) -> Param:
        """The output matrix: its own tensor, or the token embedding when the two are tied."""
        return self.find("output.weight") or self.param("token_embd.weight")

    @property
    def embedding_scale(self) -> float:
        """What embeddings are multiplied by."""
        scale = getattr(self.architecture, "embedding_scale", None)
        return scale(self.config) if scale else 1.0

    @property
    def sections(self) -> tuple[int, ...]:
        """Rotated pairs that turn by a token's time, row and column; empty: all turn by its position."""
        return getattr(self.architecture, "rope_sections", lambda model: ())(self)

    def record(self, kv_type: str = "f16") -> Graph:
        """The program, for a KV cache of this type."""
        c = self.config
        interleaved = self.architecture.INTERLEAVED_ROPE
        graph = Graph(c.n_head, c.n_kv, c.head_dim, c.eps, c.rope.n_rot, interleaved, kv_type, self.sections)
        with naming(self.source):  # a parameter knows its name, but not its file
            self.architecture.record(graph, self)
        return graph

    @property
    def _rope_configs(self) -> dict[str, rope.RopeConfig]:
        """Rope configuration per table name that the program uses ("global", and "local" where layers differ)."""
        return getattr(self.architecture, "rope_configs", lambda model: {"global": model.config.rope})(self)

    def rope_tables(self, n_ctx: int, kv_type: str = "f16") -> dict[str, rope.Table]:
        """The angle table for each name. Raises RequestError for a context that memory could never hold, with a KV
        cache of this type."""
        self._check_context(n_ctx, kv_type)
        try:
            return {
                name: rope.Table(config, self._rope_factors(config, n_ctx > config.n_ctx_original), n_ctx)
                for name, config in self._rope_configs.items()
            }
        except OSError as error:
            raise RequestError(f"n_ctx = {n_ctx}: memory for its rope tables cannot be reserved ({error})") from error

    def _check_context(self, n_ctx: int, kv_type: str) -> None:
        """KV cache and tables are written only as the context fills: they must fit the machine, not what is free."""
        c = self.config
        kv = -(-n_ctx // BLOCK) * 2 * c.n_layer * c.n_kv * head_bytes(kv_type, c.head_dim)
        size = 4 * n_ctx * c.rope.n_rot * len(self._rope_configs) + kv
        limit = memory.total_bytes()
        if limit is not None and size > limit:
            raise RequestError(
                f"n_ctx = {n_ctx}: its KV cache and rope tables would take {size / 1e9:.1f} GB of {limit / 1e9:.1f} GB"
            )

    def check_memory(self) -> None:
        """Raise ModelError when the weights cannot be held in the memory that is there."""
        size = sum(math.prod(param.packed_shape) for param in self._params.values())
        limit = memory.available_bytes()
        if limit is not None and size > limit:
            raise ModelError(
                f"{self.source}: the weights take {size / 1e9:.1f} GB of memory, there are {limit / 1e9:.1f} GB"
            )

    def check_rope(self) -> None:
        """Raise ModelError when the factors for short or for long contexts are missing, misshapen or no divisors."""
        for config in self._rope_configs.values():
            for long in (False, True):
                rope.frequencies(config, self._rope_factors(config, long))

    def _rope_factors(self, config: rope.RopeConfig, long: bool) -> np.ndarray | None:
        """Per-pair divisors: Llama 3's list, or LongRoPE's long list beyond the original context, else its short
        one."""
        name = {"longrope": "rope_factors_long.weight" if long else "rope_factors_short.weight"}.get(
            config.scaling, "rope_freqs.weight"
        )
        tensor = self.file.tensors.get(name)
        if tensor is None:
            if config.scaling == "longrope":
                raise ModelError(f"{self.source}: tensor {name!r} is missing (longrope needs it)")
            return None
        half = config.n_rot // 2
        if tuple(tensor.shape) != (half,):
            raise ModelError(f"{self.source}: tensor {name!r}: shape {tuple(tensor.shape)}, expected ({half},)")
        values = tensor.dequantize()
        if not (np.isfinite(values).all() and (values > 0).all()):
            raise ModelError(f"{self.source}: tensor {name!r}: divisors must be positive numbers")
        return values


def load_model(source: str | Path | GGUFFile) -> Model:
    """A checked model, from a path or an opened file. Raises ModelError (GGUFError for what is wrong with the file)."""
    file = source if isinstance(source, GGUFFile) else open_gguf(source)
    model = Model(file, importlib.import_module(module_name(file.metadata)))
    model.record()  # recording is the check
    model.check_rope()
    model.check_memory()
    return model
