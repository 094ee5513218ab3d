"""Model files made from other model files: quantized ones from GGUF files, GGUF files from Hugging Face folders, LoRA
adapters from PEFT folders.
"""

from llm_core.convert.folder import convert_folder
from llm_core.convert.imatrix import read_imatrix
from llm_core.convert.lora import convert_adapter, is_adapter_folder
from llm_core.convert.mixes import MIXES
from llm_core.convert.quantize import quantize_model

__all__ = ["MIXES", "convert_adapter", "convert_folder", "is_adapter_folder", "quantize_model", "read_imatrix"]
