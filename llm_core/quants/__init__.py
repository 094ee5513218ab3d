"""Storage formats of weights: block layouts and their numpy reference, one file per family (importing registers it)."""

from llm_core.quants import codebook, floats, iquants, kquants, legacy, ternary  # noqa: F401
from llm_core.quants.format import FORMATS, Format, dequantize, format_of, quantize

__all__ = ["FORMATS", "Format", "dequantize", "format_of", "quantize"]
