"""What tells a model from others of its shape, whatever the format of its weights.

In: an open file. Out: a text, the same for every file of the same model. An adapter may name the one that it was made
for (key `BASE`).
"""

from __future__ import annotations

import hashlib

import numpy as np

from llm_core.gguf.reader import GGUFFile

BASE = "llm_core.base.fingerprint"
_TENSOR = "output_norm.weight"  # float32 in files of every format


def fingerprint(file: GGUFFile) -> str:
    """The SHA-256 of the model's last norm; "" if it has none."""
    if _TENSOR not in file.tensors:
        return ""
    values = np.asarray(file.tensor(_TENSOR).dequantize(), dtype="<f4")
    return hashlib.sha256(values.tobytes()).hexdigest()
