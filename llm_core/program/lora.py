"""Adapters in a program: their matrices packed for the kernels, and the operations that a recorded graph gets for them.

A runner packs an adapter once (`Lora`). The program of a step whose rows use adapters is the model's own with, for each
of them, one operation before the products that read the same activations (A x) and one after each product that the
adapter changes (B of that; `kernels/lora.py`). Programs of steps without adapters have none of this.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain, count, groupby

import numpy as np

from llm_core.errors import ModelError
from llm_core.gguf import Tensor
from llm_core.kernels import lora
from llm_core.kernels.matmul import ROWS
from llm_core.models.adapter import Adapter
from llm_core.program.graph import Address, Graph, Linear, Step, float_bits, padded
from llm_core.program.packed_file import huge_pages

LINE = 64
MAX_FACTOR = 2.0**100  # beyond this nothing is left of the model


@dataclass(eq=False)
class Lora:
    """An adapter as one runner's programs read it. `changes`: [(a group of `groups`, its packed weights)]; `number`: of
    its own."""

    source: str
    changes: list[tuple[int, _Change]]
    memory: np.ndarray
    """What the addresses in `changes` point to: the weights, and room for A x of a group's rows."""
    number: int = field(default_factory=count().__next__)

    @property
    def nbytes(self) -> int:
        """Bytes of the packed weights."""
        return sum(change.nbytes for _, change in self.changes)


@dataclass(eq=False)
class _Change:
    """What an adapter adds to the linears of a group. `ranks` of all together, `down`: address of their A; `ups`:
    [(linear, its first rank, ranks, factor, address of B)]."""

    ranks: int
    down: int
    ups: list[tuple[Linear, int, int, float, int]]
    nbytes: int


def groups(graph: Graph) -> list[list[Linear]]:
    """The graph's linears, neighbours that read the same activations together."""
    return [list(group) for _, group in groupby(graph.linears, key=lambda one: (id(one.x), one.quantized))]


def pack(adapter: Adapter, graph: Graph, max_rows: int) -> Lora:
    """Pack an adapter for the programs of `graph`. Raises ModelError for values that are not finite, MemoryError."""
    packed, widest = [], 0
    for at, group in enumerate(groups(graph)):
        pieces = [(linear, *_packed(adapter, linear)) for linear in group if linear.name in adapter.pairs]
        if pieces:
            packed.append((at, pieces))
            widest = max(widest, sum(a.shape[0] * lora.FOUR for _, a, _, _ in pieces))
    weights = [array for _, pieces in packed for array in (*(p[1] for p in pieces), *(p[2] for p in pieces))]
    scratch = padded(widest) * max_rows
    memory = huge_pages(sum(_lines(array.nbytes) for array in weights) + scratch)
    base = memory.ctypes.data
    changes, used = [], scratch

    def put(arrays: list[np.ndarray]) -> list[int]:
        """Where they are now: one after the other, from a new line on."""
        nonlocal used
        places = []
        for array in arrays:
            memory[used : used + array.nbytes] = array.reshape(-1).view(np.uint8)
            places.append(base + used)
            used += array.nbytes
        used = _lines(used)
        return places

    for at, pieces in packed:
        down = put([a for _, a, _, _ in pieces])[0]
        bs = put([b for _, _, b, _ in pieces])
        ups, rank = [], 0
        for (linear, a, _, factor), place in zip(pieces, bs, strict=True):
            ranks = a.shape[0] * lora.FOUR
            ups.append((linear, rank, ranks, factor, place))
            rank += ranks
        changes.append((at, _Change(rank, down, ups, sum(a.nbytes + b.nbytes for _, a, b, _ in pieces))))
    return Lora(adapter.source, changes, memory)


def splice(graph: Graph, loras: Sequence[Lora]) -> list[list[Step]]:
    """The steps of body and head with the operations of these adapters; a step's table has a row for each, in this
    order."""
    before: dict[Step, list[Step]] = {}
    after: dict[Step, list[Step]] = {}
    own = groups(graph)
    for slot, one in enumerate(loras):
        for at, change in one.changes:
            group = own[at]
            before.setdefault(group[0].first, []).append(_down(group[0], change, slot, one))
            after.setdefault(group[-1].last, []).extend(_up(change, up, slot, one) for up in change.ups)
    return [
        list(chain.from_iterable((*before.get(step, ()), step, *after.get(step, ())) for step in steps))
        for steps in (graph.body, graph.head)
    ]


def _down(linear: Linear, change: _Change, slot: int, one: Lora) -> Step:
    x = linear.x
    at, stride = (x.quantized_at, x.quantized_at.stride) if linear.quantized else (x.floats_at, x.stride)
    words = {
        lora.X: at if isinstance(at, Address) else Address(at),
        lora.X_STRIDE: stride,
        lora.OUT: one.memory.ctypes.data,
        lora.OUT_STRIDE: padded(change.ranks),
        lora.WEIGHT: change.down,
        lora.K: x.width,
        lora.RANKS: change.ranks,
        lora.SLOT: slot,
        lora.ROW_COUNT: x.count,
    }
    op = lora.lora_down_quantized if linear.quantized else lora.lora_down
    return Step(op, words, (words[lora.X].target,), (one,))


def _up(change: _Change, up: tuple[Linear, int, int, float, int], slot: int, one: Lora) -> Step:
    linear, first, ranks, factor, weight = up
    out = linear.out
    words = {
        lora.X: one.memory.ctypes.data + first * 4,
        lora.X_STRIDE: padded(change.ranks),
        lora.OUT: out.floats_at,
        lora.OUT_STRIDE: out.stride,
        lora.WEIGHT: weight,
        lora.RANKS: ranks,
        lora.SLOT: slot,
        lora.ROW_COUNT: out.count,
        lora.N_PANELS: -(-out.width // ROWS),
        lora.FACTOR: float_bits(factor),
    }
    target = out.floats_at.target
    return Step(lora.lora_up, words, (one, target), (target,))


def _packed(adapter: Adapter, linear: Linear) -> tuple[np.ndarray, np.ndarray, float]:
    """A and B of a pair as the kernels take them, and the factor that belongs to them."""
    pair = adapter.pairs[linear.name]
    (a, from_a), (b, from_b) = (_halves(adapter, tensor) for tensor in (pair.a, pair.b))
    rank = -(-a.shape[0] // lora.FOUR) * lora.FOUR
    a = np.pad(a, ((0, rank - a.shape[0]), (0, -a.shape[1] % lora.LANES)))
    b = np.pad(b, ((0, -b.shape[0] % ROWS), (0, rank - b.shape[1])))
    a = a.reshape(rank // lora.FOUR, lora.FOUR, -1, lora.LANES).transpose(0, 2, 1, 3)
    b = b.reshape(-1, ROWS, rank).transpose(0, 2, 1)
    factor = pair.scale * from_a * from_b
    if factor > MAX_FACTOR:
        raise ModelError(f"{adapter.source}: tensor {pair.a.name!r}: its product with '….lora_b' is too large")
    return np.ascontiguousarray(a), np.ascontiguousarray(b), factor


def _halves(adapter: Adapter, tensor: Tensor) -> tuple[np.ndarray, float]:
    """The tensor as float16 with a largest value of 1 to 2, and the power of two that it is to be multiplied by."""
    values = tensor.dequantize()
    peak = float(np.abs(values).max())
    if not np.isfinite(peak):
        raise ModelError(f"{adapter.source}: tensor {tensor.name!r} holds values that are not finite")
    power = float(2.0 ** np.floor(np.log2(peak))) if peak > 0 else 1.0
    return (values / np.float32(power)).astype(np.float16), power


def _lines(size: int) -> int:
    return -(-size // LINE) * LINE
