"""Who computes which rows next. Knows requests and blocks, no tensors, no threads, no sampling.

A request has tokens, of which the first `computed` are in the KV cache; the rest are pending: a prompt, one drawn
token, or a few tokens that a grammar forced. Each step every request that draws gets its row first, then prompt
chunks share what is left of `max_rows`, higher priorities before lower ones, equals alike. When blocks run out, the
lowest and latest running request gives its blocks back and waits: its text stays, its cache is found again or
recomputed. The first request in order is never the victim of another, and each fits alone (checked at submit), so
there is always progress.
"""

from __future__ import annotations

from bisect import insort
from itertools import groupby

from llm_core.engine.cache import BlockCache


def _rank(request) -> tuple:
    return (-request.priority, request.arrival)


class Scheduler:
    """Requests in, plans out. Used by the engine thread only."""

    def __init__(self, cache: BlockCache, max_rows: int, max_running: int) -> None:
        self.cache = cache
        self.max_rows = max_rows
        self.max_running = max_running
        self.waiting: list = []  # best first
        self.running: list = []  # best first
        self.preemptions = 0
        self._copies: list[tuple[int, int]] = []
        self._turn = 0

    @property
    def idle(self) -> bool:
        """Nobody waits and nobody runs."""
        return not self.waiting and not self.running

    def add(self, request) -> None:
        """Queue a new request (no tokens computed)."""
        insort(self.waiting, request, key=_rank)

    def remove(self, request) -> None:
        """Forget a request, wherever it is, and free its blocks."""
        if request in self.running:
            self.running.remove(request)
            self._free(request)
        else:
            self.waiting.remove(request)

    def schedule(self) -> list[tuple]:
        """The next step: [(request, rows)], rows > 0 in all and at most max_rows together."""
        self._secure_blocks()
        self._admit()
        plan = self._split_rows()
        for request, _ in plan:
            self._turn += 1
            request.last_turn = self._turn
        return plan

    def copies(self) -> list[tuple[int, int]]:
        """(from, to): the blocks whose content is to be copied, in this order, before the next step is computed."""
        copies, self._copies = self._copies, []
        return copies

    def extend(self, request, n: int) -> int:
        """Make room for up to `n` tokens after a request's own, if no other has to pay; for how many there is room."""
        missing = self.cache.blocks_for(len(request.tokens) + n) - len(request.table)
        if 0 < missing <= self.cache.n_free - len(self.running):
            request.table += self.cache.allocate(missing)
        return min(n, len(request.table) * self.cache.block_size - len(request.tokens))

    def done(self, plan: list[tuple]) -> None:
        """The step was computed: book it and make full blocks findable."""
        size = self.cache.block_size
        for request, rows in plan:
            request.computed += rows
            while (request.registered + 1) * size <= request.computed:
                at = request.registered
                tokens = request.tokens[at * size : (at + 1) * size]
                block = self.cache.register(request.serial, tokens, request.table[at])
                self._advance(request, block)

    def _secure_blocks(self) -> None:
        """Give every running request the blocks its pending tokens need; the last ones in rank pay."""
        at = 0
        while at < len(self.running):
            request = self.running[at]
            missing = self.cache.blocks_for(len(request.tokens)) - len(request.table)
            blocks = self.cache.allocate(missing) if missing > 0 else []
            if blocks is None:
                self._preempt(self.running[-1])
            else:
                request.table += blocks
                at += 1

    def _admit(self) -> None:
        while self.waiting:
            request = self.waiting[0]
            while not self._start(request):
                if not self.running or self.running[-1].priority >= request.priority:
                    return
                self._preempt(self.running[-1])

    def _start(self, request) -> bool:
        """Move the first waiting request to the running ones if a slot and its blocks are there."""
        if len(self.running) >= self.max_running:
            return False
        found, serial = self.cache.match(request.tokens, request.root)
        start, size = len(found) * self.cache.block_size, self.cache.block_size
        source, shared = self.cache.nearest(serial, request.tokens[start : min(start + size, len(request.tokens) - 1)])
        missing = self.cache.blocks_for(len(request.tokens)) - len(found)
        # Room for everyone's next block: without it the newcomer would soon be thrown out again.
        spare = len(self.running) + 1 if self.running else 0
        blocks = self.cache.allocate(missing) if missing + spare <= self.cache.n_free else None
        if blocks is None:
            self.cache.release(found)
            return False
        self.waiting.remove(request)
        request.table = found + blocks
        request.registered, request.serial = len(found), serial
        request.computed = len(found) * self.cache.block_size + shared
        if shared:  # even if `source` has just been given away: nothing is overwritten before the copy
            self._copies.append((source, blocks[0]))
        request.started(request.computed)
        insort(self.running, request, key=_rank)
        return True

    def _preempt(self, request) -> None:
        self.preemptions += 1
        self.running.remove(request)
        self._free(request)
        insort(self.waiting, request, key=_rank)

    def _free(self, request) -> None:
        self.cache.release(request.table)
        request.table, request.computed, request.registered, request.serial = [], 0, 0, request.root

    def _split_rows(self) -> list[tuple]:
        left = self.max_rows
        plan = []
        drawing = [r for r in self.running if r.pending == 1]
        # Least recently served first, in case there are more requests than rows.
        for request in sorted(drawing, key=lambda r: (-r.priority, r.last_turn, r.arrival))[:left]:
            plan.append((request, 1))
            left -= 1
        shared: set[tuple] = set()
        for _, group in groupby((r for r in self.running if r.pending > 1), key=lambda r: r.priority):
            equals = [r for r in group if not self._wait_for_twin(r, shared)]
            equals.sort(key=lambda r: (r.pending, r.last_turn, r.arrival))
            for at, request in enumerate(equals):
                # Smallest first, each at most an equal share of what is left.
                rows = min(request.pending, -(-left // (len(equals) - at)))
                rows = request.whole(rows) if rows > 0 else 0  # this may take more rows than are left
                if rows > 0:
                    plan.append((request, rows))
                    left -= rows
        return plan

    def _wait_for_twin(self, request, shared: set[tuple]) -> bool:
        """Skip over blocks that others have computed since; true if another request computes the next one right now.

        `shared`: (serial before, tokens) of the blocks that are being computed.
        """
        size = self.cache.block_size
        while True:
            first = request.registered * size
            tokens = tuple(request.tokens[first : first + size])
            key = (request.serial, tokens)
            if request.computed > first or request.pending <= size:  # begun already, or too short to be shared
                shared.add(key)
                return False
            block = self.cache.find(*key)
            if block is None:
                waits = key in shared
                shared.add(key)
                return waits
            self.cache.release([request.table[request.registered]])
            self._advance(request, block)
            request.computed += size
            request.skipped(size)

    def _advance(self, request, block: int) -> None:
        request.table[request.registered] = block
        request.registered += 1
        request.serial = self.cache.serial(block)
