"""What a step computes: rows of several sequences, as the arrays that kernels read."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Batch:
    """Any mix of prompt chunks and single tokens; int32 arrays. Rows are grouped by sequence, positions inside one
    are consecutive.

    tokens, positions [rows]; starts [n + 1] (rows starts[s]:starts[s + 1] belong to sequence s); tables [n, blocks]
    (KV block ids: entry b holds positions b * block_size …); outputs [m] (rows whose logits are wanted); panels [p]
    (ascending: the logits 16 * panel … 16 * panel + 15 are wanted and no others; None: all).
    """

    tokens: np.ndarray
    positions: np.ndarray
    starts: np.ndarray
    tables: np.ndarray
    outputs: np.ndarray
    panels: np.ndarray | None = None
