"""Linking: buffers get addresses, operations get barriers, and a recorded graph becomes int64 rows that threads replay.

Buffers whose values are no longer read are given to later ones, so scratch memory does not grow with depth. A barrier
is set only where an operation touches what another one wrote, or writes what another one reads, since the last
barrier: q, k and v products run without one between them.
"""

from collections.abc import Callable, Mapping

import numpy as np

from llm_core.kernels.matmul import PANEL_FORMATS, panels
from llm_core.kernels.threads import ROW_WORDS
from llm_core.program.graph import Address, Buffer, Graph, Step, Value
from llm_core.program.params import Param

ALIGNMENT = 64


class Slots:
    """Pieces of scratch memory that buffers take in turn."""

    def __init__(self, rows: Mapping[int, int]):
        self._rows = rows
        self._free: list[tuple[int, int]] = []
        self.slot_of: dict[Buffer, int] = {}
        self.sizes: list[int] = []

    def take(self, buffer: Buffer) -> None:
        """Give `buffer` the smallest free slot that holds it, or a new one."""
        size = buffer.stride * self._rows[buffer.count] + ALIGNMENT
        fitting = [s for s in self._free if s[0] >= size]
        if fitting:
            chosen = min(fitting)
            self._free.remove(chosen)
            self.slot_of[buffer] = chosen[1]
        else:
            self.slot_of[buffer] = len(self.sizes)
            self.sizes.append(size)

    def give_back(self, buffer: Buffer) -> None:
        """The buffer's value is dead."""
        slot = self.slot_of[buffer]
        self._free.append((self.sizes[slot], slot))


class Placed:
    """A recorded graph in memory: every buffer has an address, and buffers of which one is dead when the other begins
    share a slot. `rows`: how many rows there are at most, by the header's word that counts them."""

    def __init__(self, graph: Graph, rows: Mapping[int, int]):
        self._rows = dict(rows)
        self._slot_of, sizes = _slots(graph, rows)
        starts = np.cumsum([0] + [-(-size // ALIGNMENT) * ALIGNMENT for size in sizes])
        self._memory = np.zeros(int(starts[-1]) + ALIGNMENT, np.uint8)
        base = -(-self._memory.ctypes.data // ALIGNMENT) * ALIGNMENT
        self._addresses = {b: base + int(starts[s]) for b, s in self._slot_of.items()}

    def rows_of(self, value: Value) -> np.ndarray:
        """The rows of a value, float32 [rows at most, floats a row with padding]: a view, which keeps the memory."""
        start = self._addresses[value.floats_at.target] + value.floats_at.offset - self._memory.ctypes.data
        rows = self._rows[value.count]
        return self._memory[start : start + rows * value.stride].view(np.float32).reshape(rows, value.stride // 4)

    def encode(self, parts: list[list[Step]], named: Mapping[object, int]) -> np.ndarray:
        """The program (`encode`), with the packed weights and the places of what is `named`."""

        def resolve(address: Address) -> int:
            target = address.target
            if isinstance(target, Param):
                return target.packed.ctypes.data + address.offset
            return (named[target] if target in named else self._addresses[target]) + address.offset

        return encode(parts, self._slot_of, resolve)


def _slots(graph: Graph, rows: Mapping[int, int]) -> tuple[dict[Buffer, int], list[int]]:
    """The slot of each buffer, and the slots' bytes."""
    steps = graph.body + graph.head
    kept = {graph.embedding.floats_at.target, graph.logits.floats_at.target}
    last_use = {}
    for i, step in enumerate(steps):
        for item in (*step.reads, *step.writes):
            last_use[item] = i
    slots = Slots(rows)
    slots.take(graph.embedding.floats_at.target)
    # The head runs again for each slice of outputs, so what it reads from the body must outlive it.
    crossing = {item for step in graph.head for item in step.reads} & {
        item for step in graph.body for item in step.writes
    }
    for i, step in enumerate(steps):
        for item in step.writes:
            if isinstance(item, Buffer) and item not in slots.slot_of:
                slots.take(item)
        for item in {*step.reads, *step.writes}:
            if isinstance(item, Buffer) and last_use[item] == i and item not in kept and item not in crossing:
                slots.give_back(item)
    return slots.slot_of, slots.sizes


def barriers(steps: list[Step], slot_of: Mapping[Buffer, int]) -> list[bool]:
    """Is a barrier needed after each step? Always after the last."""
    after = [False] * len(steps)
    read: set = set()
    written: set = set()
    for i, step in enumerate(steps):
        reads = {slot_of.get(item, item) for item in step.reads}
        writes = {slot_of.get(item, item) for item in step.writes}
        if reads & written or writes & (written | read):
            after[i - 1] = True
            read, written = set(), set()
        read |= reads
        written |= writes
    after[-1] = True
    return after


def encode(parts: list[list[Step]], slot_of: Mapping[Buffer, int], resolve: Callable[[Address], int]) -> np.ndarray:
    """int64 [steps, ROW_WORDS], one part after the other, each of which can be run alone: addresses of compiled
    operations, barrier flags, words.

    Each product is told which one comes next, after the last the first, so that it asks for those weights early.
    """
    steps = [step for part in parts for step in part]
    program = np.zeros((len(steps), ROW_WORDS), np.int64)
    after = [barrier for part in parts for barrier in barriers(part, slot_of)]
    for row, step, barrier in zip(program, steps, after, strict=True):
        row[0], row[1] = step.op.address, barrier
        for at, word in step.words.items():
            row[at // 8] = resolve(word) if isinstance(word, Address) else word
    product_ops = {layout.op for layout in PANEL_FORMATS.values()}
    products = [row for row, step in zip(program, steps, strict=True) if step.op in product_ops]
    for row, following in zip(products, products[1:] + products[:1], strict=True):
        for at in (panels.WEIGHT, panels.PANEL_BYTES, panels.N_PANELS):
            row[(panels.NEXT + at - panels.WEIGHT) // 8] = following[at // 8]
    return program


def parameters(graph: Graph) -> list[Param]:
    """Every parameter that the program reads, once, in the order of first use."""
    found: dict[Param, None] = {}
    for step in graph.body + graph.head:
        for word in step.words.values():
            if isinstance(word, Address) and isinstance(word.target, Param):
                found[word.target] = None
    return list(found)
