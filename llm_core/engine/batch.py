"""A plan of the scheduler as the arrays that the runner takes (docs/architecture.md, "program, models, runner")."""

from __future__ import annotations

from dataclasses import replace

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
    embeddings: list[np.ndarray] = []
    sees: list[np.ndarray] = []
    places: list[np.ndarray] = []
    in_grids = False
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
        own = np.arange(first, first + rows)
        sees.append(np.array([own, own], dtype=np.int32))
        places.append(places_of(request.spots, own))
        in_grids = in_grids or any(spot.grid is not None for spot in request.spots)
        for spot in request.spots:
            low, high = max(spot.first, first), min(spot.last, first + rows)
            if low >= high:
                continue
            row, brought = starts[-2] + low - first, sum(map(len, embeddings))
            tokens[row : row + high - low] = range(-1 - brought, -1 - brought - (high - low), -1)
            embeddings.append(spot.rows(low, high))
            if spot.whole:
                sees[-1][:, low - first : high - first] = [[spot.first], [spot.last - 1]]
    arrays = (np.array(values, dtype=np.int32) for values in (tokens, positions, starts))
    batch = Batch(*arrays, tables, np.array(outputs, dtype=np.int32), panels)
    if any(request.adapters for request, _ in plan):
        batch = replace(batch, adapters=[request.adapters for request, _ in plan])
    if embeddings:
        batch = replace(batch, embeddings=np.concatenate(embeddings), sees=np.concatenate(sees, axis=1))
    if in_grids:
        batch = replace(batch, places=np.concatenate(places, axis=1))
    return batch, drawing


def places_of(spots, positions: np.ndarray) -> np.ndarray:
    """int32 [3, n]: by which time, row and column tokens turn, given their ascending positions. Where a picture lies in
    a grid its tokens share the time at which it begins, rows and columns count from there; text goes on behind the
    larger of the two."""
    places = np.tile(positions.astype(np.int32), (3, 1))
    saved = 0  # positions that pictures before have not used up
    for spot in spots:
        if spot.grid is None:
            continue
        inside = (positions >= spot.first) & (positions < spot.last)
        row, column = np.divmod(positions[inside] - spot.first, spot.grid[1])
        start = spot.first - saved
        places[:, inside] = np.stack([np.full_like(row, start), start + row, start + column])
        saved += spot.last - spot.first - max(spot.grid)
        places[:, positions >= spot.last] = positions[positions >= spot.last] - saved
    return places
