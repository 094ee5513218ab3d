"""A plan of the scheduler as the arrays that the runner takes (docs/architecture.md, "program, models, runner")."""

from __future__ import annotations

import numpy as np

from llm_core.program.batch import Batch


def draws(request, rows: int) -> bool:
    """Whether a request with that many rows of its own in a step draws a token after it."""
    return rows == request.pending


def union(wanted: list[np.ndarray | None]) -> np.ndarray | None:
    """The panels of ids that some of the drawing requests want, ascending; None: all."""
    if not wanted or any(panels is None for panels in wanted):
        return None
    return wanted[0] if len(wanted) == 1 else np.unique(np.concatenate(wanted))


def build_batch(plan: list[tuple], panels: np.ndarray | None = None) -> tuple[Batch, list]:
    """The batch of [(request, rows)], and the requests whose last row's logits come out, in their order; those of a
    request's guesses (`draft`) follow it."""
    tokens: list[int] = []
    positions: list[int] = []
    starts = [0]
    outputs: list[int] = []
    drawing = []
    tables = np.zeros((len(plan), max(len(request.table) for request, _ in plan)), dtype=np.int32)
    for at, (request, rows) in enumerate(plan):
        first = request.computed
        tokens += request.tokens[first : first + rows]
        tables[at, : len(request.table)] = request.table
        if draws(request, rows):
            last = len(tokens) - 1
            outputs += range(last, last + 1 + len(request.draft))
            tokens += request.draft
            rows += len(request.draft)
            drawing.append(request)
        positions += range(first, first + rows)
        starts.append(len(tokens))
    arrays = (np.array(values, dtype=np.int32) for values in (tokens, positions, starts))
    return Batch(*arrays, tables, np.array(outputs, dtype=np.int32), panels), drawing
