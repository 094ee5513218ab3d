"""What a step computes: rows of several sequences, as the arrays that kernels read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from llm_core.program.lora import Lora


@dataclass(frozen=True)
class Batch:
    """Any mix of prompt chunks and single tokens; int32 arrays. Rows are grouped by sequence, positions inside one
    are consecutive.

    tokens, positions [rows]; starts [n + 1] (rows starts[s]:starts[s + 1] belong to sequence s); tables [n, blocks]
    (KV block ids: entry b holds positions b * block_size …); outputs [m] (rows whose logits are wanted); panels [p]
    (ascending: the logits 16 * panel … 16 * panel + 15 are wanted and no others; None: all).

    embeddings float32 [e, width]: what a row enters the model with that has no token; its token is -1 - i for row i of
    these. sees [2, rows]: first and last position of the group that a row belongs to and sees as a whole, before and
    after itself (an image, for a model that reads images so); its own position twice: none. The rows of a group that
    are not computed yet come in one step. None: no row has a group. places [3, rows]: the positions by which the
    sections of a row's heads turn, none behind the row's own (for a model with `sections`). None: all turn by their
    position.

    adapters [n]: for each sequence the adapters that its rows take and how much of each, ((lora, scale), …), with what
    the runner's `attach` gave. None: no row takes any.
    """

    tokens: np.ndarray
    positions: np.ndarray
    starts: np.ndarray
    tables: np.ndarray
    outputs: np.ndarray
    panels: np.ndarray | None = None
    embeddings: np.ndarray | None = None
    sees: np.ndarray | None = None
    places: np.ndarray | None = None
    adapters: Sequence[tuple[tuple[Lora, float], ...]] | None = None
