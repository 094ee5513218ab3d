"""A checked mmproj file: configuration, parameters by their GGUF names, and the program of its tower and projector.

`load_vision` finds the projector's module by `clip.projector_type` and records the program once, which checks every
tensor's presence, type and shape. It reads no weights and compiles nothing. Raises ModelError with the key or tensor
that is wrong.
"""

from pathlib import Path

import numpy as np

from llm_core import memory
from llm_core.errors import ModelError
from llm_core.gguf import GGMLType, GGUFFile, open_gguf
from llm_core.program.params import Param
from llm_core.vision.config import VisionConfig, layers_run, read_config
from llm_core.vision.graph import VisionGraph
from llm_core.vision.projectors import find_projector
from llm_core.vision.tensors import ArrayTensor, flat_rows, transposed
from llm_core.vision.tower import vit

# The class token's tensor, and the names that older files give to tensors.
CLASS = "v.class_embd"
OTHER_NAMES = {"v.image_newline": "model.image_newline"}


class VisionModel:
    """A vision tower with its projector. `record()` gives its program; `projector` is its module."""

    def __init__(self, file: GGUFFile):
        self.file = file
        self._params: dict[str, Param] = {}
        self.config: VisionConfig = read_config(file)
        self.projector = find_projector(self)
        self.n_layer = layers_run(file, self.config)
        self.first = int(CLASS in file.tensors)  # rows before the patches
        self.graph = self.record()
        self.width = self.graph.logits.width  # of the language model that it was made for
        self.n_tokens = self.graph.n_outputs  # of a tile

    @property
    def source(self) -> str:
        """What errors call the file."""
        return self.file.metadata.source

    @property
    def sees_whole(self) -> bool:
        """Do a picture's rows see each other in the language model?"""
        return getattr(self.projector, "SEES_WHOLE", False)

    def find(self, name: str) -> Param | None:
        """The parameter of this GGUF name, or None."""
        if name not in self._params:
            tensor = self.file.tensors.get(name) or self.file.tensors.get(OTHER_NAMES.get(name, name))
            if tensor is None:
                return None
            self._params[name] = Param(tensor)
        return self._params[name]

    def param(self, name: str) -> Param:
        """The parameter of this GGUF name. Raises ModelError when the file has none."""
        found = self.find(name)
        if found is None:
            raise ModelError(f"{self.source}: tensor {name!r} is missing (projector {self.config.projector} needs it)")
        return found

    def made(self, tensor: ArrayTensor) -> Param:
        """A parameter that is no tensor of the file as it lies there."""
        return self._params.setdefault(tensor.name, Param(tensor))

    def transposed(self, name: str) -> Param:
        """A matrix of the file, columns as rows."""
        if f"{name}.transposed" not in self._params:
            self.made(transposed(self.param(name).tensor))
        return self._params[f"{name}.transposed"]

    def values(self, name: str, *shape: int) -> np.ndarray:
        """A tensor's values, float32 of this shape. Raises ModelError when it has another."""
        tensor = self.param(name).tensor
        if tuple(tensor.shape) != shape:
            raise ModelError(f"tensor {name!r}: shape {tuple(tensor.shape)}, expected {shape}")
        return tensor.dequantize()

    @property
    def class_token(self) -> np.ndarray:
        """The class token, float32 [width]."""
        tensor = self.param(CLASS).tensor
        if tensor.size != self.config.n_embd:
            raise ModelError(f"tensor {CLASS!r}: shape {tuple(tensor.shape)}, expected ({self.config.n_embd},)")
        return tensor.dequantize().reshape(-1)

    @property
    def newline(self) -> np.ndarray | None:
        """What ends a row of patches where tiles are joined, float32 [width], or None."""
        found = self.find("v.image_newline")
        return None if found is None else found.tensor.dequantize().reshape(-1)

    def patch_embedding(self) -> Param:
        """The kernel of the first convolution as a matrix [n_embd, 3 * patch * patch]."""
        name, c = "v.patch_embd.weight", self.config
        tensor = self.param(name).tensor
        expected = (c.n_embd, 3, c.patch_size, c.patch_size)
        if tuple(tensor.shape) != expected:
            raise ModelError(f"tensor {name!r}: shape {tuple(tensor.shape)}, expected {expected}")
        if tensor.type not in (GGMLType.F32, GGMLType.F16, GGMLType.BF16):
            raise ModelError(f"tensor {name!r}: type {tensor.type.name} is not supported (F32, F16, BF16 are)")
        if "v.patch_embd.weight.1" in self.file.tensors:
            raise ModelError("tensor 'v.patch_embd.weight.1': patches of several frames are not supported")
        if not isinstance(tensor, ArrayTensor):
            self._params[f"{name}.flat"] = self._params.get(f"{name}.flat") or Param(flat_rows(tensor))
        return self._params[f"{name}.flat"]

    def feed_forward(self, prefix: str) -> tuple[str, str]:
        """Names of the tensors that widen and narrow: older files have them exchanged."""
        up = self.param(f"{prefix}ffn_up.weight").tensor
        exchanged = up.shape[-1] != self.config.n_embd and up.shape[0] == self.config.n_embd
        return ("ffn_down", "ffn_up") if exchanged else ("ffn_up", "ffn_down")

    def record(self, exact: bool = False) -> VisionGraph:
        """The program for one tile; `exact`: half-precision weights meet floats."""
        c = self.config
        graph = VisionGraph(self.first + c.n_patches, c.n_head, c.head_dim, c.eps, exact)
        try:
            graph.logits = self.projector.record(graph, self, vit(graph, self))
        except ModelError as error:  # a parameter knows its name, but not its file
            raise error if str(error).startswith(self.source) else ModelError(f"{self.source}: {error}") from None
        return graph

    def check_memory(self) -> None:
        """Raise ModelError when the weights cannot be held in the memory that is there."""
        size = sum(tensor.nbytes for tensor in self.file.tensors.values())
        limit = memory.available_bytes()
        if limit is not None and size > limit:
            raise ModelError(
                f"{self.source}: the weights take {size / 1e9:.1f} GB of memory, there are {limit / 1e9:.1f} GB"
            )


def load_vision(source: str | Path | GGUFFile) -> VisionModel:
    """A checked tower and projector, from a path or an opened file. Raises ModelError (GGUFError for what is wrong with
    the file)."""
    model = VisionModel(source if isinstance(source, GGUFFile) else open_gguf(source))
    model.check_memory()
    return model
