"""GGUF files: bytes to metadata and named tensors, and back."""

from llm_core.gguf.metadata import Metadata
from llm_core.gguf.reader import GGUFFile, open_gguf
from llm_core.gguf.tensor import Tensor
from llm_core.gguf.types import GGMLType, GGUFError, ValueType, escape
from llm_core.gguf.writer import GGUFWriter

__all__ = ["GGMLType", "GGUFError", "GGUFFile", "GGUFWriter", "Metadata", "Tensor", "ValueType", "escape", "open_gguf"]
