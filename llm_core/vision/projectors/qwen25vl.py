"""qwen2.5vl_merger: Qwen2.5-VL (Bai et al., 2025): as Qwen2-VL, with norms without a mean, gates, and windows of
patches in all but every eighth layer.
"""

from llm_core.vision.projectors import qwen2vl
from llm_core.vision.projectors.qwen2vl import MERGE, SPELLING, look
from llm_core.vision.tower import Tower

__all__ = ["MERGE", "SPELLING", "TOWER", "look", "record"]
TOWER = Tower(rms=True, axial=True, frames=2, says_n_ff=False)


def record(g, model, x):
    """As Qwen2-VL's; the file says which layers see the whole picture."""
    model.file.metadata.int("clip.vision.n_wa_pattern", min=0)
    return qwen2vl.record(g, model, x)
