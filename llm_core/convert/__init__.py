"""Model files made from other model files: quantized ones from GGUF files, GGUF files from Hugging Face folders."""

from llm_core.convert.folder import convert_folder
from llm_core.convert.imatrix import read_imatrix
from llm_core.convert.mixes import MIXES
from llm_core.convert.quantize import quantize_model

__all__ = ["MIXES", "convert_folder", "quantize_model", "read_imatrix"]
