"""Attention and the KV cache: every shape against the formula in numpy, and the same bits whatever shares the step.

Keys and values go into the cache through `rope_and_store` with angles of zero, so that no test knows how they lie
there.
"""

import numpy as np
import pytest
from naive import attend

from llm_core.errors import RequestError
from llm_core.kernels import attention, kv, rope, step
from llm_core.kernels.threads import ROW_WORDS, entry


def float_bits(value):
    """A float32 as a word of a program."""
    return int(np.float32(value).view(np.uint32))


class Cache:
    """One layer's cache of some sequences, and q, k and v (float32 [n, heads * head_dim]) of each."""

    def __init__(self, lengths, n_head, n_kv, head_dim, window=0, cap=0.0, kv_type="f16"):
        rng = np.random.default_rng(0)
        self.kv_type, self.head_bytes = kv_type, kv.head_bytes(kv_type, head_dim)
        self.shape, self.lengths, self.window, self.cap = (n_head, n_kv, head_dim), lengths, window, cap
        self.scale = head_dim**-0.5
        self.q, self.k, self.v = (
            [rng.standard_normal((n, heads * head_dim)).astype(np.float32) for n in lengths]
            for heads in (n_head, n_kv, n_kv)
        )
        self.q = [4 * q for q in self.q]  # sharp enough for single positions to matter
        blocks = [-(-n // kv.BLOCK) for n in lengths]
        self.tables = np.zeros((len(lengths), max(blocks)), np.int32)
        free = rng.permutation(sum(blocks)).tolist()
        for table, count in zip(self.tables, blocks, strict=True):
            table[:count] = [free.pop() for _ in range(count)]
        self.piece = n_kv * self.head_bytes
        self.memory = np.full(sum(blocks) * 2 * self.piece, 0xFF, np.uint8)  # NaN: what was never written must not show

    def held(self, x):
        """What the cache makes of keys or values: halves, or bytes with a scale per 32."""
        if self.kv_type == "f16":
            return x.astype(np.float16).astype(np.float64)
        groups = x.reshape(-1, 32)
        scales = np.abs(groups).max(axis=1, keepdims=True) * np.float32(1 / 127)
        return (np.rint(groups / scales) * scales.astype(np.float16).astype(np.float64)).reshape(x.shape)

    def expected(self, i):
        """The formula in double precision, on the numbers that the cache holds."""
        n_head, n_kv, d = self.shape
        k, v = (self.held(x[i]).reshape(-1, n_kv, d) for x in (self.k, self.v))
        return attend(self.q[i].astype(np.float64).reshape(-1, n_head, d), k, v, self.scale, self.window, self.cap)

    def step(self, parts, n_threads=1):
        """Store and attend for parts = [(sequence, first position, end), …] in one step; the outputs of each part."""
        n_head, n_kv, d = self.shape
        q, k, v = (np.concatenate([x[i][a:b] for i, a, b in parts]) for x in (self.q, self.k, self.v))
        counts = [b - a for _, a, b in parts]
        positions = np.concatenate([np.arange(a, b) for _, a, b in parts]).astype(np.int32)
        starts, sequences = np.cumsum([0, *counts]).astype(np.int32), np.repeat(np.arange(len(parts)), counts)
        tables, sequences = self.tables[[i for i, _, _ in parts]], sequences.astype(np.int32)
        angles = np.zeros((max(self.lengths), d), np.float32)
        angles[:, : d // 2] = 1  # cosines
        out = np.full_like(q, np.nan)
        per_thread, per_strip = attention.scratch_bytes(d), attention.records_bytes(d, max(self.lengths))
        scratch, records = (np.full(n, 0xFF, np.uint8) for n in (per_thread * n_threads, per_strip * n_threads))
        header = np.zeros(step.N_WORDS, np.int64)
        for at, value in (
            (step.ROWS, len(q)),
            (step.N_SEQUENCES, len(parts)),
            (step.STARTS, starts.ctypes.data),
            (step.POSITIONS, positions.ctypes.data),
            (step.SEQUENCES, sequences.ctypes.data),
            (step.TABLES, tables.ctypes.data),
            (step.TABLE_STRIDE, tables.strides[0]),
        ):
            header[at // 8] = value
        address = self.memory.ctypes.data
        cache = {"K_CACHE": address, "V_CACHE": address + self.piece, "BLOCK_BYTES": 2 * self.piece}
        shared = {"Q": q.ctypes.data, "Q_STRIDE": q.strides[0], "N_HEAD": n_head, "N_KV": n_kv, "HEAD_DIM": d}
        shared |= cache | {"HEAD_BYTES": self.head_bytes}
        store = shared | {"K": k.ctypes.data, "V": v.ctypes.data, "K_STRIDE": k.strides[0], "V_STRIDE": v.strides[0]}
        store |= {"TABLE": angles.ctypes.data, "N_ROT": d}
        look = shared | {"OUT": out.ctypes.data, "OUT_STRIDE": out.strides[0], "SCALE": float_bits(self.scale)}
        look |= {"WINDOW": self.window, "SOFT_CAP": float_bits(self.cap)}
        look |= {"SCRATCH": scratch.ctypes.data, "SCRATCH_BYTES": per_thread}
        look |= {"RECORDS": records.ctypes.data, "RECORDS_BYTES": per_strip}
        for module, op, words in (
            (rope, rope.ROPE_AND_STORE[self.kv_type], store),
            (attention, attention.ATTENTION[self.kv_type], look),
            (attention, attention.combine, look),
        ):
            row = np.zeros(ROW_WORDS, np.int64)
            for name, value in words.items():
                row[getattr(module, name) // 8] = value
            for tid in range(n_threads):
                entry(op)(row.ctypes.data, header.ctypes.data, tid, n_threads)
        return np.split(out, starts[1:-1])


# n_head, n_kv, head_dim, window, cap, type of the cache
SHAPES = {
    "alone": (2, 2, 64, 0, 0.0),
    "groups of 3": (9, 3, 64, 0, 0.0),
    "groups of 7": (14, 2, 64, 0, 0.0),
    "one kv head": (4, 1, 256, 0, 0.0),
    "odd heads": (3, 1, 48, 0, 0.0),
    "window": (4, 1, 64, 150, 0.0),
    "narrow window": (4, 2, 32, 5, 0.0),
    "capped": (8, 4, 32, 170, 20.0),
    "bytes": (9, 3, 64, 0, 0.0, "q8_0"),
    "bytes, window": (4, 1, 256, 150, 0.0, "q8_0"),
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_attention_is_numpys(shape):
    n = 2 * attention.CHUNK + 45
    cache = Cache([n], *shape)
    ours = cache.step([(0, 0, n)], n_threads=3)[0]
    np.testing.assert_allclose(ours, cache.expected(0), atol=2e-5)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_row_has_the_same_bits_alone_in_any_batch_and_on_any_threads(shape):
    n = 3 * attention.CHUNK + 40
    lengths = [n, 70, n - 100]
    cache = Cache(lengths, *shape)
    whole = [cache.step([(i, 0, length)])[0] for i, length in enumerate(lengths)]
    # One row decoding alone: split over 1, 2, 3 and 7 threads, fewer and more than there are chunks.
    for n_threads in (1, 2, 3, 7):
        assert np.array_equal(cache.step([(0, n - 1, n)], n_threads)[0], whole[0][-1:])
    # Prompt chunks and single rows of three sequences in one step.
    parts = [(2, 200, lengths[2]), (0, n - 1, n), (1, 69, 70), (0, 130, 137)]
    for n_threads in (1, 2, 5):
        for (i, a, b), rows in zip(parts, cache.step(parts, n_threads), strict=True):
            assert np.array_equal(rows, whole[i][a:b])


def test_a_prompt_written_in_pieces_reads_the_same():
    n = attention.CHUNK + 50
    whole = Cache([n], 4, 2, 64).step([(0, 0, n)])[0]
    cache = Cache([n], 4, 2, 64)
    pieces = [cache.step([(0, a, b)], 2)[0] for a, b in ((0, 1), (1, 33), (33, 150), (150, n))]
    assert np.array_equal(np.concatenate(pieces), whole)


@pytest.mark.parametrize("kv_type", kv.KV_TYPES)
def test_what_is_broken_shows(kv_type):
    cache = Cache([200], 4, 2, 64, kv_type=kv_type)
    cache.q[0][150, :64] = np.nan
    cache.v[0][180, 64:] = np.inf
    out = cache.step([(0, 0, 200)], 2)[0]
    assert np.isnan(out[150, :64]).all() and np.isfinite(out[150, 64:]).all()
    # A strip's earlier rows may see the infinite value, times zero; rows of other strips do not.
    assert np.isfinite(np.delete(out, 150, axis=0)[:160]).all() and np.isfinite(out[180:, :128]).all()
    assert not np.isfinite(out[180:, 128:]).any()


def test_a_type_that_cannot_be_is_refused_by_name():
    with pytest.raises(RequestError, match="kv_type = 'q4_0': one of f16, q8_0 wanted"):
        kv.kv_type("q4_0", 64)
    with pytest.raises(RequestError, match="kv_type = 'q8_0'.*heads of 48 values.*multiple of 32"):
        kv.kv_type("q8_0", 48)
