"""Broken and hostile files: one GGUFError that says what and where, soon, and without memory; never anything else."""

import os
import random
import re
import struct
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from gguf_helpers import ARCHITECTURE, array, gguf, scalar, string, tensor, u32, u64

from llm_core.errors import ModelError
from llm_core.gguf import GGMLType, GGUFError, GGUFWriter, ValueType, open_gguf
from llm_core.gguf import types as limits
from llm_core.gguf.header import Budget, read_header
from llm_core.gguf.tensor import Mapping

HUGE = (2**31, 2**32, 2**63 - 1, 2**63, 2**64 - 1)
DATA = bytes(4096)


def attempt(path: Path) -> GGUFError | None:
    """Opens the file and looks at all that is in it: what it raised (only ModelError may), within time and memory."""
    tracemalloc.start()
    start = time.process_time()
    try:
        with open_gguf(path) as file:
            repr(dict(file.metadata))
            for each in file.tensors.values():
                assert each.data.nbytes == each.nbytes
                each.release()
        return None
    except ModelError as error:
        assert "\n" not in str(error) and str(path.parent) in str(error)
        return error
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert time.process_time() - start < 1, "took too long"
        assert peak < (8 << 20), f"allocated {peak:,} bytes"


def nested(depth: int) -> bytes:
    body = u32(ValueType.ARRAY) + u64(1)
    return string("deep") + u32(ValueType.ARRAY) + body * (depth - 1) + u32(ValueType.UINT8) + u64(1) + b"\x07"


ATTACKS = {
    "empty file": (b"", "the file is empty"),
    "other file": (b"PK\x03\x04" + DATA, "not a GGUF file.*zip"),
    "short magic": (b"GG", "not a GGUF file"),
    "old format": (b"tjgg" + DATA, "GGJT"),
    "lfs pointer": (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
    "magic only": (b"GGUF", "header at byte 4: the version needs 4 bytes"),
    "version 0": (gguf(version=0), "version 0 is not supported"),
    "version 1": (gguf(version=1), "version 1 is not supported"),
    "version 4": (gguf(version=4), "version 4 is not supported"),
    "big endian": (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), r"big-endian GGUF \(version 3\)"),
    "tensor count": (gguf(n_tensors=60_000), "60,000 tensors announced, which cannot fit"),
    "key count": (gguf(n_pairs=60_000), "60,000 keys announced, which cannot fit"),
    **{f"tensor count {n}": (gguf(n_tensors=n), "tensors announced, at most") for n in HUGE},
    **{f"key count {n}": (gguf(n_pairs=n), "keys announced, at most") for n in HUGE},
    "fewer keys than said": (gguf([ARCHITECTURE], n_pairs=3, data=DATA), "key number 1 at byte .*: its name is empty"),
    **{
        f"key length {n}": (gguf([u64(n) + bytes(40)]), rf"key number 0 at byte 24: its name is said to be {n:,} bytes")
        for n in HUGE
    },
    "long key": (gguf([scalar("k" * 1025, ValueType.UINT8, 1)]), "its name is 1,025 bytes long, at most 1,024"),
    "empty key": (gguf([scalar("", ValueType.UINT32, 1)]), "key number 0.*its name is empty"),
    "key twice": (gguf([ARCHITECTURE, ARCHITECTURE]), "key 'general.architecture' at byte .*: is there twice"),
    "key not UTF-8": (gguf([scalar(b"a\xff\xfe", ValueType.UINT32, 1)]), r"its name is not UTF-8 \(byte 33\)"),
    "hostile key": (gguf([scalar("\x1b[31m\n\u202e", ValueType.UINT8, 1)] * 2), r"key '\\x1b\[31m\\n\\u202e' at byte"),
    "value type 13": (gguf([string("k") + u32(13) + bytes(8)]), "key 'k' at byte 33: the value type 13 is unknown"),
    "value type 2^32-1": (gguf([string("k") + u32(2**32 - 1) + bytes(8)]), "the value type 4294967295 is unknown"),
    "bool 2": (gguf([string("k") + u32(7) + b"\x02"]), "a bool must be 0 or 1, found 2"),
    "bool array": (gguf([array("k", 7, 3, b"\x00\x01\x09")]), "key 'k' at byte 51: element 2: a bool must be 0 or 1"),
    **{
        f"string length {n}": (gguf([string("k") + u32(8) + u64(n)]), f"the string is said to be {n:,} bytes long")
        for n in HUGE
    },
    "string not UTF-8": (
        gguf([string("k") + u32(8) + string(b"ab\xc3")]),
        r"key 'k'.*the string is not UTF-8 \(byte 47\)",
    ),
    "surrogate": (gguf([string("k") + u32(8) + string(b"\xed\xa0\x80")]), "the string is not UTF-8"),
    **{
        f"array of {n} × type {kind}": (gguf([array("k", kind, n, bytes(64))]), f"array of {n:,} ×")
        for n in HUGE
        for kind in (0, 6, 7, 8, 9, 12)
    },
    "array element type": (gguf([array("k", 13, 1, bytes(64))]), "the array's element type 13 is unknown"),
    "array of too many": (
        gguf([array("k", 0, limits.MAX_ELEMENTS + 1, bytes(limits.MAX_ELEMENTS + 1))]),
        "an array of 2,097,153 × UINT8 is more than",
    ),
    "string in array": (
        gguf([array("k", 8, 2, string("a") + u64(2**63))]),
        "string 1 of 2 is said to be .* bytes long",
    ),
    "strings past the end": (
        gguf([array("k", 8, 3, string("a" * 9) + string(""))]),
        "string 2 of 3 begins past the end",
    ),
    "string in array not UTF-8": (
        gguf([array("k", 8, 2, string("a") + string(b"\x80"))]),
        "string 1 of 2 is not UTF-8",
    ),
    "nesting": (gguf([nested(5)]), "arrays are nested more than 4 deep"),
    "deep nesting": (gguf([nested(20_000)]), "arrays are nested more than 4 deep"),
    "many arrays": (
        gguf([array("k", 9, 70_000, (u32(0) + u64(0)) * 70_000)]),
        "an array of 70,000 × ARRAY is more than",
    ),
    "many huge arrays": (
        gguf([array("k", 9, 60_000, (u32(9) + u64(2**30)) * 60_000)]),
        "an array of 1,073,741,824 × ARRAY is announced",
    ),
    "alignment 0": (gguf([scalar("general.alignment", ValueType.UINT32, 0)]), "must be a power of two, found 0"),
    "alignment 48": (gguf([scalar("general.alignment", ValueType.UINT32, 48)]), "must be a power of two, found 48"),
    "alignment u64": (
        gguf([scalar("general.alignment", ValueType.UINT64, 32)]),
        "must be of type UINT32, found UINT64",
    ),
    "alignment string": (gguf([scalar("general.alignment", ValueType.STRING, "32")]), "must be of type UINT32"),
    "alignment 2^31": (
        gguf([scalar("general.alignment", ValueType.UINT32, 2**31)], [tensor("t")], DATA),
        "tensor 't' at byte .*: its data .* runs past the end",
    ),
    "empty tensor name": (gguf([], [tensor("")], DATA), "tensor number 0 at byte 24: its name is empty"),
    "long tensor name": (gguf([], [tensor("t" * 1025)], DATA), "its name is 1,025 bytes long"),
    "tensor name not UTF-8": (gguf([], [tensor(b"\xff")], DATA), "tensor number 0.*its name is not UTF-8"),
    "tensor twice": (gguf([], [tensor("t"), tensor("t", offset=128)], DATA), "tensor 't' at byte 57: is there twice"),
    "5 dimensions": (gguf([], [tensor("t", (1,) * 5)], DATA), "has 5 dimensions, at most 4"),
    "2^32-1 dimensions": (gguf([], [tensor("t", n_dims=2**32 - 1)], DATA), "has 4,294,967,295 dimensions"),
    "dimension 0": (gguf([], [tensor("t", (32, 0))], DATA), "dimension 1 is 0"),
    **{
        f"dimension {n}": (
            gguf([], [tensor("t", (n,), 24)], DATA),
            f"tensor 't' at byte .*: {n} values of I8 take {n:,} bytes",
        )
        for n in HUGE
    },
    "product 2^64": (gguf([], [tensor("t", (2**32, 2**32))], DATA), "4294967296 × 4294967296 values of F32"),
    "product 2^256": (gguf([], [tensor("t", (2**64 - 1,) * 4)], DATA), "values of F32 take"),
    "product wraps to 32": (gguf([], [tensor("t", (2**63, 2, 2, 32), 24)], DATA), "values of I8 take"),
    "row of 33 Q8_0": (
        gguf([], [tensor("t", (33,), 8)], DATA),
        "a row of 33 values is not a multiple of Q8_0's block of 32",
    ),
    "row of 32 Q4_K": (gguf([], [tensor("t", (32, 8), 12)], DATA), "a row of 32 values is not a multiple of Q4_K"),
    "tensor type 4": (
        gguf([], [tensor("t", kind=4)], DATA),
        r"tensor type 4 \(Q4_2, which ggml has removed\) is unknown",
    ),
    "tensor type 31": (gguf([], [tensor("t", kind=31)], DATA), r"tensor type 31 \(Q4_0_4_4"),
    "tensor type 99": (gguf([], [tensor("t", kind=99)], DATA), "tensor 't' at byte .*: tensor type 99 is unknown"),
    "tensor type 2^32-1": (gguf([], [tensor("t", kind=2**32 - 1)], DATA), "tensor type 4294967295 is unknown"),
    "offset unaligned": (gguf([], [tensor("t", offset=33)], DATA), "offset 33 is not a multiple of the alignment 32"),
    "offset past the end": (gguf([], [tensor("t", offset=4096)], DATA), "runs past the end of the file"),
    "offset by one block": (gguf([], [tensor("t", offset=4000)], DATA), "runs past the end of the file"),
    **{f"offset {n}": (gguf([], [tensor("t", offset=n & -32)], DATA), "runs past the end of the file") for n in HUGE},
    "same bytes": (
        gguf([], [tensor("a"), tensor("b")], DATA),
        "tensor 'b' at byte .*: its data overlaps that of tensor 'a'",
    ),
    "overlap": (gguf([], [tensor("a", offset=64), tensor("b")], DATA), "'a' at byte .* overlaps that of tensor 'b'"),
    "no data": (gguf([], [tensor("t")]), "32 values of F32 take 128 bytes, the file has 57"),
    "fewer tensors than said": (gguf([], [tensor("t")], DATA, n_tensors=2), "tensor number 1 at byte"),
    "split count string": (gguf([scalar("split.count", ValueType.STRING, "2")]), "'split.count': '2' is not a count"),
    "split count huge": (
        gguf([scalar("split.count", ValueType.UINT64, 2**64 - 1)]),
        "'split.count': 18446744073709551615",
    ),
    "split count negative": (gguf([scalar("split.count", ValueType.INT32, -1)]), "'split.count': -1"),
    "split count bool": (gguf([scalar("split.count", ValueType.BOOL, True)]), "'split.count': True"),
    "split, not named so": (gguf([scalar("split.count", ValueType.UINT16, 2)]), "one of 2 parts, but not named like"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_one_clear_error(tmp_path, name):
    content, match = ATTACKS[name]
    path = tmp_path / "bad.gguf"
    path.write_bytes(content)
    assert len(content) < 1 << 23
    with pytest.raises(GGUFError, match=match) as caught:
        open_gguf(path)
    assert str(caught.value).startswith(f"{path}: ") and str(caught.value).isprintable()
    assert len(str(caught.value)) < len(str(path)) + 400
    if len(content) < 1 << 20:
        assert isinstance(attempt(path), GGUFError)


def test_a_file_that_is_not_quite_hostile_opens(tmp_path):
    path = tmp_path / "good.gguf"
    path.write_bytes(
        gguf(
            [
                ARCHITECTURE,
                nested(4),
                array("e", 9, 0, b""),
                scalar("general.alignment", ValueType.UINT32, 8),
                scalar("nan", ValueType.FLOAT32, float("nan")),
                scalar("split.count", ValueType.UINT16, 1),
            ],
            [tensor("b", (1024,), 24, 1024), tensor("a", (2**0, 1, 2, 512), 24, 0)],
            bytes(2048),
            alignment=8,
        )
    )
    assert attempt(path) is None
    with open_gguf(path) as file:
        assert file.metadata["deep"] == [[[[7]]]] and file.tensors["a"].shape == (512, 2, 1, 1)


def test_special_files_are_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "fifo.gguf")
    (tmp_path / "directory.gguf").mkdir()
    (tmp_path / "dangling.gguf").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop.gguf").symlink_to(tmp_path / "loop.gguf")
    for path, match in (
        (tmp_path / "fifo.gguf", "is a named pipe, not a regular file"),
        (tmp_path / "directory.gguf", "is a directory, not a regular file"),
        (Path("/dev/null"), "is a character device, not a regular file"),
        (Path("/dev/zero"), "is a character device, not a regular file"),
        (tmp_path / "dangling.gguf", "cannot be opened: No such file"),
        (tmp_path / "loop.gguf", "cannot be opened: Too many levels"),
        (tmp_path / "absent.gguf", "cannot be opened: No such file"),
        (tmp_path / ("x" * 300), "cannot be opened: File name too long"),
        (tmp_path / "nul\0.gguf", r"nul\\x00.gguf: cannot be opened"),
        (tmp_path / "surrogate\ud800.gguf", r"surrogate\\ud800.gguf: cannot be opened"),
    ):
        with pytest.raises(GGUFError, match=match) as caught:
            open_gguf(path)
        assert "\n" not in str(caught.value) and "\0" not in str(caught.value)


def test_a_huge_sparse_file_costs_nothing(tmp_path):
    path = tmp_path / "sparse.gguf"
    for head, match in (
        (gguf([string("k") + u32(8) + u64(2**39)]), "the string is 549,755,813,888 bytes long, at most"),
        (gguf([array("k", 0, 2**39, b"")]), "an array of 549,755,813,888 × UINT8 is more than"),
        (gguf([array("k", 8, 2**36, b"")]), "an array of 68,719,476,736 × STRING is more than"),
        (gguf([array("k", 8, 2, u64(2**38))]), "string 0 of 2 is 274,877,906,944 bytes long, at most"),
        (gguf([array("k", 9, 2**35, b"")]), "an array of 34,359,738,368 × ARRAY is more than"),
        (gguf(n_pairs=2**36), "68,719,476,736 keys announced, at most"),
        (gguf(n_tensors=2**36), "68,719,476,736 tensors announced, at most"),
        (gguf(n_pairs=60_000), "key number 0 at byte 24: its name is empty"),
        (gguf(n_tensors=60_000), "tensor number 0 at byte 24: its name is empty"),
    ):
        path.write_bytes(head)
        os.truncate(path, 1 << 40)
        error = attempt(path)
        assert error is not None and re.search(match, str(error)), error


def test_a_file_that_shrinks_while_it_is_opened(tmp_path):
    path = tmp_path / "short.gguf"
    path.write_bytes(gguf([ARCHITECTURE], n_pairs=2))
    with open(path, "rb") as file:
        with pytest.raises(GGUFError, match="short.gguf: .* shrank from 5,000 bytes while being read"):
            read_header(file.fileno(), 5000, str(path), Budget())
        with pytest.raises(GGUFError, match="short.gguf: cannot be mapped"):
            Mapping(file.fileno(), 5000, str(path))


def test_the_header_is_bounded(tmp_path):
    path = tmp_path / "sparse.gguf"
    with open(path, "wb") as out:
        out.write(gguf(n_pairs=20))
        for index in range(20):
            out.write(string(f"k{index}") + u32(8) + u64(limits.MAX_STRING_BYTES))
            out.seek(limits.MAX_STRING_BYTES, os.SEEK_CUR)
        out.write(b"\0")
    with pytest.raises(GGUFError, match="the header is longer than 67,108,864 bytes"):
        open_gguf(path)


@pytest.fixture(scope="module")
def valid(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("valid") / "valid.gguf"
    rng = np.random.default_rng(11)
    with GGUFWriter(path) as writer:
        writer.add("general.architecture", "llama").add("general.alignment", 32).add("llama.block_count", 2)
        writer.add("eps", 1e-5).add("flag", True).add("nested", [[1, 2], [3]])
        writer.add("tokens", [f"token {i} é" for i in range(20)]).add("scores", [float(i) for i in range(20)])
        writer.add_tensor("token_embd.weight", rng.standard_normal((20, 32)).astype(np.float32), GGMLType.Q8_0)
        writer.add_tensor("blk.0.attn_q.weight", rng.standard_normal((4, 32)).astype(np.float32))
        writer.add_tensor("blk.0.attn_k.weight", bytes(144), GGMLType.Q4_K, shape=(1, 256))
    return path.read_bytes()


def test_a_file_cut_anywhere_is_an_error(tmp_path, valid):
    path = tmp_path / "cut.gguf"
    padded = -144 % 32  # the last tensor's padding may be missing, its data may not
    for length in (*range(0, 600), *range(600, len(valid) - padded, 13), len(valid) - padded - 1):
        path.write_bytes(valid[:length])
        with pytest.raises(GGUFError):
            open_gguf(path)
    path.write_bytes(valid[: len(valid) - padded])
    assert attempt(path) is None


def test_changed_bytes_give_a_file_or_an_error(tmp_path, valid):
    path = tmp_path / "changed.gguf"
    header = valid.index(b"blk.0.attn_k.weight") + 60
    random_bytes = random.Random(20)
    opened = 0
    for _ in range(700):
        content = bytearray(valid)
        for _ in range(random_bytes.choice((1, 1, 1, 2, 8))):
            at = random_bytes.randrange(header)
            content[at] = random_bytes.choice((0, 1, 0x7F, 0x80, 0xFF, random_bytes.randrange(256), content[at] ^ 1))
        path.write_bytes(content)
        opened += attempt(path) is None
    assert 50 < opened < 650


def test_changed_counts_and_lengths_give_a_file_or_an_error(tmp_path, valid):
    path = tmp_path / "changed.gguf"
    header = valid.index(b"blk.0.attn_k.weight") + 60
    refused = 0
    for at in range(4, header, 4):
        for number in (2**16, 2**32 - 1, 2**63):
            path.write_bytes(valid[:at] + u64(number) + valid[at + 8 :])
            refused += attempt(path) is not None
    assert refused > 300


def test_inserted_and_removed_bytes_give_a_file_or_an_error(tmp_path, valid):
    path = tmp_path / "changed.gguf"
    for at in range(0, 900, 7):
        for content in (valid[:at] + valid[at + 1 :], valid[:at] + b"\0" + valid[at:], valid[:at] + valid[at + 8 :]):
            path.write_bytes(content)
            attempt(path)


def test_a_full_vocabulary_opens_fast(tmp_path):
    tokens = [f"token{i}é" for i in range(262_144)]
    with GGUFWriter(tmp_path / "big.gguf") as writer:
        writer.add("tokens", tokens).add("scores", np.zeros(len(tokens), np.float32)).add("types", [1] * len(tokens))
    start = time.process_time()
    with open_gguf(tmp_path / "big.gguf") as file:
        assert time.process_time() - start < 1
        assert file.metadata["tokens"] == tokens and len(file.metadata.ints("types", min=0, max=6)) == len(tokens)
