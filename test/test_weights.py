"""Packed weights in memory and on disk: the same logits with and without the cache, and whatever befalls its files."""

import errno
import os
import threading

import numpy as np
import pytest
from tiny_models import case_tokens, tiny_config, tiny_tensors, write_tiny

from llm_core.errors import RequestError
from llm_core.gguf import GGMLType
from llm_core.kernels.matmul import PANEL_FORMATS
from llm_core.models import load_model
from llm_core.program import Batch, Runner, packed_file, params

TOKENS = case_tokens(tiny_config("llama"))


@pytest.fixture(params=["mapped", "read"])
def folder(request, tmp_path, monkeypatch):
    """A cache of its own, in which tiny models are kept too, on a system that maps files in huge pages or does not."""
    monkeypatch.setattr(packed_file, "maps_in_huge_pages", lambda view: request.param == "mapped")
    monkeypatch.setattr(packed_file, "folder", lambda: tmp_path / "weights")
    monkeypatch.setattr(packed_file, "MIN_BYTES", 0)
    monkeypatch.setattr(packed_file, "CHUNK", 4096)  # several, the last one not full
    monkeypatch.delenv(packed_file.VARIABLE, raising=False)
    return tmp_path / "weights"


@pytest.fixture
def packings(monkeypatch):
    """The parameters that were packed, one name for each piece."""
    names, pack = [], params.Param.pack

    def counted(self, panels):
        names.append(self.tensor.name)
        pack(self, panels)

    monkeypatch.setattr(params.Param, "pack", counted)
    return names


@pytest.fixture
def model(tmp_path):
    """A model whose tensors have different layouts; the rows of the last panel are not full."""
    return write_tiny(tmp_path / "model.gguf", "llama", GGMLType.Q8_0)


def logits(path):
    """Of all tokens in one step, by a runner made for this."""
    runner = Runner(load_model(path), n_ctx=64, max_rows=32, n_threads=2)
    try:
        n = np.arange(len(TOKENS), dtype=np.int32)
        batch = Batch(TOKENS, n, np.array([0, len(n)], np.int32), np.zeros((1, 1), np.int32), n)
        return runner.step(batch).copy()
    finally:
        runner.close()


def kept(folder):
    """The cache's files."""
    return sorted(folder.iterdir()) if folder.is_dir() else []


def test_pieces_packed_apart_are_the_matrix_packed_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(params, "PIECE_BYTES", 3 * 16 * 34)
    path = write_tiny(tmp_path / "model.gguf", "llama", GGMLType.Q8_0)
    matrix = load_model(path).param("blk.0.ffn_down.weight")
    assert len(matrix.pieces()) > 1
    matrix.packed = np.empty(matrix.packed_shape, np.uint8)
    for panels in reversed(matrix.pieces()):
        matrix.pack(panels)
    data = matrix.tensor.data
    padded = np.concatenate([data, np.zeros((-len(data) % 16, data.shape[1]), np.uint8)])
    np.testing.assert_array_equal(matrix.packed, PANEL_FORMATS[GGMLType.Q8_0].pack(padded))


def test_the_second_start_reads_what_the_first_has_packed(folder, model, packings):
    first = logits(model)
    assert packings and len(kept(folder)) == 1
    packings.clear()
    np.testing.assert_array_equal(logits(model), first)
    assert not packings


def test_the_cache_can_be_switched_off(folder, model, monkeypatch):
    expected = logits(model)
    for path in kept(folder):
        path.unlink()
    monkeypatch.setenv(packed_file.VARIABLE, "0")
    np.testing.assert_array_equal(logits(model), expected)
    assert not kept(folder)


@pytest.mark.parametrize("text", ["much", "-1", "nan"])
def test_a_size_that_is_none_is_refused(folder, model, monkeypatch, text):
    monkeypatch.setenv(packed_file.VARIABLE, text)
    with pytest.raises(RequestError, match=f"{packed_file.VARIABLE}='{text}'"):
        logits(model)


def spoil_sum(data):
    data[100] ^= 1


def spoil_key(data):
    data[30] ^= 1


def spoil_last_byte(data):
    data[-1] ^= 1


def lose_a_page(data):
    first = packed_file.HUGE_PAGE
    data[first + 4096 : first + 8192] = bytes(4096)


def cut_short(data):
    del data[-4096:]


def cut_to_nothing(data):
    data.clear()


def someone_elses(data):
    data[:] = b"GGUF" * 1000


@pytest.mark.parametrize(
    "spoil", [spoil_sum, spoil_key, spoil_last_byte, lose_a_page, cut_short, cut_to_nothing, someone_elses]
)
def test_a_damaged_file_is_made_again(folder, model, packings, spoil):
    expected = logits(model)
    (path,) = kept(folder)
    whole = path.read_bytes()
    data = bytearray(whole)
    spoil(data)
    path.write_bytes(data)
    packings.clear()
    np.testing.assert_array_equal(logits(model), expected)
    assert packings
    assert kept(folder) == [path] and path.read_bytes() == whole


def test_a_changed_model_is_noticed(folder, model, tmp_path):
    before = logits(model)
    size, times = model.stat().st_size, model.stat().st_mtime_ns
    name = "blk.0.ffn_up.weight"
    other = {name: -tiny_tensors(tiny_config("llama"))[name]}
    write_tiny(model, "llama", GGMLType.Q8_0, tensors=other)
    os.utime(model, ns=(times, times + 1))
    assert model.stat().st_size == size
    after = logits(model)
    np.testing.assert_array_equal(after, logits(write_tiny(tmp_path / "b.gguf", "llama", GGMLType.Q8_0, tensors=other)))
    assert not np.array_equal(before, after)
    assert len(kept(folder)) == 2  # one for each path


def test_another_instruction_set_is_another_layout(folder, model, packings, monkeypatch):
    logits(model)
    packings.clear()
    monkeypatch.setattr("llm_core.program.weights.cpu.isa", lambda: type("Level", (), {"name": "other"}))
    logits(model)
    assert packings


def test_a_full_disk_stops_nothing(folder, model, monkeypatch, caplog):
    expected = logits(model)
    for path in kept(folder):
        path.unlink()

    def full(fd, data, at):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(packed_file.os, "pwrite", full)
    np.testing.assert_array_equal(logits(model), expected)
    assert not kept(folder)
    assert "No space left on device" in caplog.text


def test_a_nearly_full_disk_is_left_alone(folder, model, monkeypatch, caplog):
    monkeypatch.setattr(packed_file.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 10_000}))
    logits(model)
    assert not kept(folder)
    assert "are free" in caplog.text


def test_a_folder_that_cannot_be_made_stops_nothing(folder, model, caplog):
    folder.write_text("a file where the folder should be")
    logits(model)
    assert "packed weights are not kept" in caplog.text


def test_the_least_recently_used_go_first(folder, tmp_path, monkeypatch):
    paths = [write_tiny(tmp_path / f"{name}.gguf", "llama", GGMLType.Q8_0) for name in "abc"]
    logits(paths[0])
    (a,) = kept(folder)
    logits(paths[1])
    (b,) = set(kept(folder)) - {a}
    for path, age in ((a, 1_000), (b, 2_000)):
        os.utime(path, (age, age))
    logits(paths[0])  # used again: now the younger one
    monkeypatch.setenv(packed_file.VARIABLE, str(2.5 * a.stat().st_size / 1e9))
    logits(paths[2])
    assert a in kept(folder) and b not in kept(folder) and len(kept(folder)) == 2


def test_what_a_dead_process_left_is_swept(folder, model):
    folder.mkdir()
    old, new = folder / "old.part", folder / "new.part"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (1_000, 1_000))
    logits(model)
    assert new in kept(folder) and old not in kept(folder)


def test_two_starts_at_once_agree(folder, model):
    results = []
    threads = [threading.Thread(target=lambda: results.append(logits(model))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(*results)
    (path,) = kept(folder)
    assert path.suffix == packed_file.SUFFIX


def test_a_start_that_fails_stops_its_threads(folder, model, monkeypatch):
    def fail(self, say):
        raise RequestError("no kernels today")

    monkeypatch.setattr(Runner, "_load_kernels", fail)
    with pytest.raises(RequestError, match="no kernels today"):
        Runner(load_model(model), n_ctx=64)
    assert not [t.name for t in threading.enumerate() if t.name.startswith("llm_core-weights")]


def test_a_model_cut_short_while_it_is_packed_is_an_error(folder, model):
    loaded = load_model(model)
    os.truncate(model, model.stat().st_size - 4096)
    with pytest.raises(Exception, match="shrank"):
        Runner(loaded, n_ctx=64)
    assert not kept(folder)
