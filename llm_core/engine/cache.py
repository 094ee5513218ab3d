"""Which KV block belongs to whom: reference counts, reuse of equal prefixes, and eviction. Holds no tensors.

A full block is *registered* under (serial of the block before it, its tokens): an exact key, so two different
prefixes can never be taken for each other. A registered block that nobody uses any more stays findable until its
place is needed, the least recently used first. Every block is in exactly one state: blank (free, no content), idle
(free, registered), or in use. Where no block is equal, `nearest` names one that begins alike, whose beginning can be
copied.
What comes before the first block is not nothing but the adapters that a sequence is computed with (`Request.root`), so
a prefix is found only by requests with the same ones, at the same scales.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

ROOT = ()  # the "serial" before the first block of a sequence: the adapters that it is computed with


class BlockCache:
    """`n_blocks` blocks of `block_size` positions. Used by the engine thread only."""

    def __init__(self, n_blocks: int, block_size: int) -> None:
        self.n_blocks = n_blocks
        self.block_size = block_size
        self._blank = list(range(n_blocks - 1, -1, -1))
        self._idle: OrderedDict[int, None] = OrderedDict()  # least recently used first
        self._users = [0] * n_blocks
        self._keys: list[tuple | None] = [None] * n_blocks
        self._serials = [0] * n_blocks
        self._block_of: dict[tuple, int] = {}
        self._after: dict[int | tuple, set[int]] = {}  # serial → the blocks that are registered after it
        self._next_serial = 1

    @property
    def n_free(self) -> int:
        """Blocks that `allocate` could hand out now."""
        return len(self._blank) + len(self._idle)

    @property
    def n_used(self) -> int:
        """Blocks held by some request."""
        return self.n_blocks - self.n_free

    @property
    def n_idle(self) -> int:
        """Free blocks whose content can still be reused."""
        return len(self._idle)

    def blocks_for(self, n_tokens: int) -> int:
        """Blocks that `n_tokens` positions fill."""
        return -(-n_tokens // self.block_size)

    def find(self, serial: int | tuple, tokens: Sequence[int]) -> int | None:
        """Take the registered block that holds `tokens` (one block's worth) after the block `serial`."""
        block = self._block_of.get((serial, tuple(tokens)))
        if block is not None:
            self._take(block)
        return block

    def match(self, tokens: Sequence[int], root: tuple = ROOT) -> tuple[list[int], int | tuple]:
        """Take the longest registered prefix of `tokens`, whole blocks only; (blocks, serial of the last one, or
        `root`).

        The last token is never covered, because its logits have to be computed.
        """
        blocks: list[int] = []
        serial = root
        for start in range(0, len(tokens) - self.block_size, self.block_size):
            block = self.find(serial, tokens[start : start + self.block_size])
            if block is None:
                break
            blocks.append(block)
            serial = self._serials[block]
        return blocks, serial

    def nearest(self, serial: int | tuple, tokens: Sequence[int]) -> tuple[int, int]:
        """The block registered after the block `serial` that shares the longest beginning with `tokens`, and how many;
        (0, 0) when that is less than a quarter of a block, which a copy is not worth. The block is not taken."""
        best, most = 0, 0
        for block in self._after.get(serial, ()):
            shared = 0
            for ours, theirs in zip(tokens, self._keys[block][1], strict=False):
                if ours != theirs:
                    break
                shared += 1
            if shared > most:
                best, most = block, shared
        return (best, most) if most >= max(1, self.block_size // 4) else (0, 0)

    def serial(self, block: int) -> int:
        """The serial of a registered block: what the block after it is registered under."""
        return self._serials[block]

    def allocate(self, n: int) -> list[int] | None:
        """n blocks without content, or None when fewer are free."""
        if n > self.n_free:
            return None
        blocks = []
        for _ in range(n):
            block = self._blank.pop() if self._blank else self._evict()
            self._users[block] = 1
            blocks.append(block)
        return blocks

    def register(self, serial: int | tuple, tokens: Sequence[int], block: int) -> int:
        """Make a block that was just filled findable; returns the block to use from now on.

        When an equal block exists already, that one is taken and `block` is given back: content is held once. So
        whoever uses a block also uses every block before it, and chains lose their ends first.
        """
        key = (serial, tuple(tokens))
        twin = self._block_of.get(key)
        if twin is not None:
            self._take(twin)
            self.release([block])
            return twin
        self._block_of[key] = block
        self._after.setdefault(serial, set()).add(block)
        self._keys[block] = key
        self._serials[block] = self._next_serial
        self._next_serial += 1
        return block

    def release(self, blocks: Sequence[int]) -> None:
        """Give up one use of each block of a sequence, in sequence order."""
        for block in reversed(blocks):
            if self._users[block] < 1:
                raise RuntimeError(f"KV block {block} is released more often than it was taken")
            self._users[block] -= 1
            if self._users[block] == 0:
                if self._keys[block] is None:
                    self._blank.append(block)
                else:
                    self._idle[block] = None

    def clear(self) -> None:
        """Forget the content of all idle blocks."""
        while self._idle:
            self._blank.append(self._evict())

    def check(self, tables: Sequence[Sequence[int]]) -> None:
        """Raise RuntimeError unless the books are in order for the sequences that hold `tables`. For tests."""
        users = [0] * self.n_blocks
        for table in tables:
            for block in table:
                users[block] += 1
        if users != self._users:
            raise RuntimeError(f"KV blocks: counted users {users}, booked {self._users}")
        free = list(self._blank) + list(self._idle)
        if len(set(free)) != len(free) or set(free) != {b for b in range(self.n_blocks) if not users[b]}:
            raise RuntimeError("KV blocks: the free ones are not those without users")
        registered = {b: k for b, k in enumerate(self._keys) if k is not None}
        if {k: b for b, k in registered.items()} != self._block_of:
            raise RuntimeError("KV blocks: the index does not mirror the registered blocks")
        if {(k[0], b) for b, k in registered.items()} != {(k, b) for k, after in self._after.items() for b in after}:
            raise RuntimeError("KV blocks: the index of what comes after a block does not mirror the registered ones")
        if any(self._keys[b] is not None for b in self._blank) or any(self._keys[b] is None for b in self._idle):
            raise RuntimeError("KV blocks: a blank block has content, or an idle one has none")
        reachable = {self._serials[b] for b in registered}
        if any(not isinstance(key[0], tuple) and key[0] not in reachable for key in registered.values()):
            raise RuntimeError("KV blocks: a registered block cannot be reached any more")

    def _take(self, block: int) -> None:
        if self._users[block] == 0:
            del self._idle[block]
        self._users[block] += 1

    def _evict(self) -> int:
        block, _ = self._idle.popitem(last=False)
        key = self._keys[block]
        del self._block_of[key]
        self._after[key[0]].remove(block)
        if not self._after[key[0]]:
            del self._after[key[0]]
        self._keys[block] = None
        return block
