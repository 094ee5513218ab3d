"""A checked mmproj file: configuration, parameters by their GGUF names, and the program of its tower and projector.

`load_vision` finds the projector's module by `clip.projector_type` and records the program once, which checks every
tensor's presence, type and shape. It reads no weights and compiles nothing. Raises ModelError with the key or tensor
that is wrong.
"""

from pathlib import Path

import numpy as np

from llm_core import memory
from llm_core.errors import ModelError, RequestError
from llm_core.gguf import GGMLType, GGUFFile, open_gguf
from llm_core.program.params import Param
from llm_core.vision.config import MAX_PATCHES, VisionConfig, layers_run, read_config
from llm_core.vision.graph import Int16Param, VisionGraph
from llm_core.vision.projectors import find_projector
from llm_core.vision.tensors import ArrayTensor, flat_rows, matrix, transposed
from llm_core.vision.tower import Tower, vit

# The class token's tensor, and the names that older files give to tensors.
CLASS = "v.class_embd"
OTHER_NAMES = {"v.image_newline": "model.image_newline"}


class VisionModel:
    """A vision tower with its projector. `record(grid)` gives its program; `projector` is its module."""

    def __init__(self, file: GGUFFile):
        self.file = file
        self._params: dict[str, Param] = {}
        self.config: VisionConfig = read_config(file)
        self.projector = find_projector(self)
        self.tower: Tower = getattr(self.projector, "TOWER", Tower())
        self.n_layer = layers_run(file, self.config)
        self.first = int(CLASS in file.tensors)  # rows before the patches
        self._packed16: dict[Param, Int16Param] = {}
        # Of a tower for tiles of any shape: the smallest one that has a token.
        side = self.merge if self.tower.axial else self.config.side
        self.graph = self.record((side, side))
        self.width = self.graph.logits.width  # of the language model that it was made for
        self.n_tokens = self.graph.rows_of(self.graph.logits)  # of such a tile

    @property
    def source(self) -> str:
        """What errors call the file."""
        return self.file.metadata.source

    @property
    def sees_whole(self) -> bool:
        """Do a picture's rows see each other in the language model?"""
        return getattr(self.projector, "SEES_WHOLE", False)

    @property
    def merge(self) -> int:
        """Patches of a side that become one token."""
        return self.config.merge or getattr(self.projector, "MERGE", 1)

    def grid_of(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """Rows and columns of patches in a tile of this shape. Raises RequestError for one that the tower does not
        take."""
        c, unit = self.config, self.config.patch_size * self.merge
        if not self.tower.axial:
            if shape != (c.image_size, c.image_size, 3):
                raise RequestError(f"tile of shape {shape}, expected {(c.image_size, c.image_size, 3)}")
        elif len(shape) != 3 or shape[2] != 3 or not all(0 < n and n % unit == 0 for n in shape[:2]):
            raise RequestError(f"tile of shape {shape}, expected multiples of {unit}, and 3")
        grid = (shape[0] // c.patch_size, shape[1] // c.patch_size)
        if grid[0] * grid[1] > MAX_PATCHES:
            raise RequestError(f"tile of shape {shape}: at most {MAX_PATCHES:,} patches are taken")
        return grid

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
        """The kernel of the first convolution as a matrix [n_embd, 3 * patch * patch]; stages that follow begin as wide
        as it is."""
        name, c = "v.patch_embd.weight", self.config
        tensor = self.param(name).tensor
        expected = (tensor.shape[0] if self.tower.stages else c.n_embd, 3, c.patch_size, c.patch_size)
        if tuple(tensor.shape) != expected:
            raise ModelError(f"tensor {name!r}: shape {tuple(tensor.shape)}, expected {expected}")
        if self.tower.frames == 1 and f"{name}.1" in self.file.tensors:
            raise ModelError(f"tensor '{name}.1': projector {c.projector} knows no patches of several frames")
        if tensor.type not in (GGMLType.F32, GGMLType.F16, GGMLType.BF16):
            raise ModelError(f"tensor {name!r}: type {tensor.type.name} is not supported (F32, F16, BF16 are)")
        if f"{name}.flat" not in self._params:
            flat = flat_rows(tensor)
            if self.tower.frames > 1:
                frames = [self.values(f"{name}.{i}", *expected) for i in range(1, self.tower.frames)]
                flat = matrix(f"{name}.flat", sum(frames, tensor.dequantize()).reshape(flat.shape))
            self._params[f"{name}.flat"] = Param(flat)
        return self._params[f"{name}.flat"]

    def feed_forward(self, prefix: str) -> tuple[str, str]:
        """Names of the tensors that widen and narrow: older files have them exchanged."""
        up = self.param(f"{prefix}ffn_up.weight").tensor
        exchanged = up.shape[-1] != self.config.n_embd and up.shape[0] == self.config.n_embd
        return ("ffn_down", "ffn_up") if exchanged else ("ffn_up", "ffn_down")

    def record(self, grid: tuple[int, int], exact: bool = False) -> VisionGraph:
        """The program for a tile of so many rows and columns of patches; `exact`: half-precision weights meet
        floats."""
        c = self.config
        window = max(1, c.window_size // c.patch_size // self.merge) * self.merge if c.whole_every else 0
        graph = VisionGraph(c, grid, self.first, window, self._packed16, exact)
        try:
            graph.finish(self.projector.record(graph, self, vit(graph, self)))
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
