"""Matrix products for every weight format that llm_core runs: `PANEL_FORMATS[type]` packs and multiplies."""

from llm_core.kernels.matmul import blocks32, floats, iquants, kquants, ternary
from llm_core.kernels.matmul.panels import ROWS, PanelFormat

PANEL_FORMATS = {**floats.FORMATS, **blocks32.FORMATS, **kquants.FORMATS, **iquants.FORMATS, **ternary.FORMATS}

__all__ = ["PANEL_FORMATS", "ROWS", "PanelFormat"]
