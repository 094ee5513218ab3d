"""A deterministic stand-in for runner, tokenizer and chat template: the whole engine runs, no model is needed.

`FakeRunner` keeps a real KV cache of tokens, addressed through the block tables it is given, and makes its logits
from the tokens it reads back from there: a wrong table, position or shared block changes the text or raises.
`fake_parts()` is what `Engine` takes; with `replies` the model says given texts:
`Engine(fake_parts(replies={"weather": "It rains."}))` answers any prompt whose text contains "weather" with "It
rains." and the end-of-turn token.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping

import numpy as np

from llm_core.engine import ModelInfo, Parts

BOS, EOS, TURN, END = 256, 257, 258, 259
_WORDS = ["the ", " is", "ing", "hello", "robot", '{"', '":', "é", "。"]
VOCABULARY = (
    [bytes([i]) for i in range(256)] + [b"<s>", b"</s>", b"<|turn|>", b"<|end|>"] + [w.encode() for w in _WORDS]
)
CONTROL = frozenset({BOS, EOS, TURN, END})


class FakeTokenizer:
    """Bytes, a few words, four control tokens: <s> </s> <|turn|> <|end|>."""

    n_vocab = len(VOCABULARY)
    bos_id, eos_id = BOS, EOS
    stop_ids = frozenset({EOS, END})
    control_ids = CONTROL

    def encode(self, text: str, add_special: bool = True, parse_special: bool = False) -> list[int]:
        data = text.encode("utf-8", errors="replace")
        ids, at = [BOS] if add_special else [], 0
        words = [(VOCABULARY[i], i) for i in range(260, self.n_vocab)]
        if parse_special:
            words += [(VOCABULARY[i], i) for i in sorted(CONTROL)]
        while at < len(data):
            word, token = max(
                ((w, i) for w, i in words if data.startswith(w, at)), default=(data[at : at + 1], data[at])
            )
            ids.append(token)
            at += len(word)
        return ids

    def token_bytes(self, token: int) -> bytes:
        return VOCABULARY[token]

    def decode(self, ids, skip_special: bool = True) -> str:
        return b"".join(VOCABULARY[i] for i in ids if not (skip_special and i in CONTROL)).decode(errors="replace")

    def stream(self, skip_special: bool = True, start: bool = True) -> FakeStream:
        return FakeStream()


class FakeStream:
    """Whole characters only."""

    def __init__(self) -> None:
        self._bytes = b""

    def push(self, token: int) -> str:
        self._bytes += b"" if token in CONTROL else VOCABULARY[token]
        for size in range(4):
            try:
                text = self._bytes[: len(self._bytes) - size].decode()
            except UnicodeDecodeError:
                continue
            self._bytes = self._bytes[len(self._bytes) - size :]
            return text
        return self.flush()

    def flush(self) -> str:
        text, self._bytes = self._bytes.decode(errors="replace"), b""
        return text


class FakeChatTemplate:
    """<s>role: content<|turn|> … assistant:"""

    def encode(self, messages, tools=None, add_generation_prompt: bool = True) -> list[int]:
        tokenizer, ids = FakeTokenizer(), [BOS]
        for message in messages:
            ids += tokenizer.encode(f"{message['role']}: {message['content']}", add_special=False) + [TURN]
        return ids + (tokenizer.encode("assistant: ", add_special=False) if add_generation_prompt else [])

    def close(self) -> None:
        """It has no process."""


class FakeRunner:
    """`Runner`'s interface. Without `replies` the logits are a hash of all the tokens so far.

    `rows` counts computed rows, `batches` keeps (rows, sequences) of every step, `panels` what each step that made
    logits was asked for: the others are NaN. `fail`: called with each batch, may
    raise. `gate`: an Event that each step waits for, to hold the engine in a step; `held`: it waits.
    """

    def __init__(
        self, n_ctx=256, block_size=8, n_blocks=None, max_rows=64, replies: Mapping[str, str] | None = None
    ) -> None:
        self.n_vocab = FakeTokenizer.n_vocab
        self.n_ctx, self.block_size, self.max_rows = n_ctx, block_size, max_rows
        self.n_blocks = n_blocks or 4 * -(-n_ctx // block_size)
        self.replies = dict(replies or {})
        self.rows = 0
        self.batches: list[tuple[int, int]] = []
        self.panels: list[np.ndarray | None] = []
        self.closed = self.dead = False
        self.fail = None
        self.gate: threading.Event | None = None
        self.held = threading.Event()
        self.stepped = threading.Semaphore(0)
        self._tokens = np.full((self.n_blocks, block_size), -1, dtype=np.int64)
        self._positions = np.full((self.n_blocks, block_size), -1, dtype=np.int64)
        noise = np.random.default_rng(7)
        self._weights = noise.integers(1, 2**62, size=n_ctx + 1, dtype=np.uint64)
        self._ids = noise.integers(1, 2**62, size=self.n_vocab, dtype=np.uint64)

    def pin_caller(self) -> None:
        self.owner = threading.current_thread()

    def step(self, batch) -> np.ndarray:
        assert threading.current_thread() is self.owner, "a step in another thread than the one that said it would"
        assert not self.closed, "step after close"
        self.stepped.release()
        if self.gate is not None:
            self.held.set()
            assert self.gate.wait(30), "the test forgot the gate"
        if self.fail is not None:
            self.fail(batch)
        n = len(batch.tokens)
        assert 0 < n <= self.max_rows, f"{n} rows, max_rows {self.max_rows}"
        assert batch.starts[0] == 0 and batch.starts[-1] == n and (np.diff(batch.starts) > 0).all()
        assert batch.tables.shape[0] == len(batch.starts) - 1
        self.rows += n
        self.batches.append((n, len(batch.starts) - 1))
        written = []
        for s, (first, end) in enumerate(zip(batch.starts[:-1], batch.starts[1:], strict=True)):
            positions = batch.positions[first:end]
            assert (np.diff(positions) == 1).all() and positions[-1] < self.n_ctx
            blocks = batch.tables[s][positions // self.block_size]
            self._tokens[blocks, positions % self.block_size] = batch.tokens[first:end]
            self._positions[blocks, positions % self.block_size] = positions
            written += zip(blocks.tolist(), (positions % self.block_size).tolist(), strict=True)
        assert len(set(written)) == n, "two rows of one step share a KV slot"
        if not len(batch.outputs):
            return self._nothing()
        logits = np.stack([self._logits(batch, row) for row in batch.outputs])
        if batch.panels is not None:
            assert (np.diff(batch.panels) > 0).all() and 0 <= batch.panels[0] <= batch.panels[-1] <= self.n_vocab // 16
            unwanted = ~np.isin(np.arange(self.n_vocab) // 16, batch.panels)
            logits[:, unwanted] = np.nan
        self.panels.append(batch.panels)
        return logits

    def copy_block(self, source: int, target: int) -> None:
        assert threading.current_thread() is self.owner, "a copy in another thread than the one that said it would"
        self._tokens[target], self._positions[target] = self._tokens[source], self._positions[source]

    def close(self) -> None:
        self.closed = True

    def _nothing(self) -> np.ndarray:
        return np.empty((0, self.n_vocab), dtype=np.float32)

    def _logits(self, batch, row: int) -> np.ndarray:
        s = int(np.searchsorted(batch.starts, row, side="right")) - 1
        positions = np.arange(batch.positions[row] + 1)
        blocks = batch.tables[s][positions // self.block_size]
        tokens = self._tokens[blocks, positions % self.block_size]
        assert (self._positions[blocks, positions % self.block_size] == positions).all(), (
            "a KV block holds other positions"
        )
        reply = self._reply(tokens.tolist())
        if reply is not None:
            logits = np.zeros(self.n_vocab, dtype=np.float32)
            logits[reply] = 20.0
            return logits
        key = np.sum((tokens.astype(np.uint64) + np.uint64(1)) * self._weights[: len(tokens)], dtype=np.uint64)
        noise = (self._ids * (key | np.uint64(1))) >> np.uint64(40)
        logits = noise.astype(np.float32) / np.float32(2**24) * 8.0
        logits[list(CONTROL)] -= 6.0  # rarely the end
        return logits

    def _reply(self, tokens: list[int]) -> int | None:
        text = FakeTokenizer().decode(tokens)
        for key, reply in self.replies.items():
            at = text.rfind(key)
            if at >= 0 and (start := self._answer_start(text, at + len(key), reply)) is not None:
                said = len(text.encode()) - start
                data = reply.encode()
                return data[said] if said < len(data) else END
        return None

    @staticmethod
    def _answer_start(text: str, after: int, reply: str) -> int | None:
        """Where the answer begins, in bytes: the last place after which the text is a beginning of the reply."""
        data, reply_data = text.encode(), reply.encode()
        for start in range(len(text[:after].encode()), len(data) + 1):
            if reply_data.startswith(data[start:]):
                return start
        return None


def fake_info(n_ctx: int = 256) -> ModelInfo:
    """Facts about the fake model."""
    return ModelInfo("fake", "fake", "/fake.gguf", n_ctx, n_ctx, FakeTokenizer.n_vocab, 1000, "Q4_1", 640, True)


def fake_parts(runner: FakeRunner | None = None, **options) -> Parts:
    """What `Engine` takes in place of a path; `options` go to FakeRunner."""
    runner = runner or FakeRunner(**options)
    return Parts(runner, FakeTokenizer(), FakeChatTemplate(), fake_info(runner.n_ctx))
