"""What we write we read, and so does the gguf package; what it writes we read; split sets; the mapping's life."""

import math
import os
import stat

import gguf as reference
import numpy as np
import pytest
from gguf_helpers import ARCHITECTURE, gguf, tensor

from llm_core.errors import ModelError, RequestError
from llm_core.gguf import GGMLType, GGUFError, GGUFWriter, ValueType, open_gguf
from llm_core.quants import FORMATS

VALUES = {
    "general.architecture": ("llama", ValueType.STRING),
    "u8": (255, ValueType.UINT8),
    "i8": (-128, ValueType.INT8),
    "u16": (65535, ValueType.UINT16),
    "i16": (-32768, ValueType.INT16),
    "u32": (2**32 - 1, ValueType.UINT32),
    "i32": (-(2**31), ValueType.INT32),
    "u64": (2**64 - 1, ValueType.UINT64),
    "i64": (-(2**63), ValueType.INT64),
    "f32": (0.5, ValueType.FLOAT32),
    "f64": (0.1, ValueType.FLOAT64),
    "yes": (True, ValueType.BOOL),
    "no": (False, ValueType.BOOL),
    "text": ("hé \x00\n🙂", ValueType.STRING),
    "empty": ("", ValueType.STRING),
}
ARRAYS = {
    "strings": (["", "a", "é🙂"], ValueType.STRING),
    "bools": ([True, False, True], ValueType.BOOL),
    "ints": ([1, -2, 3], ValueType.INT32),
    "bytes": ([0, 255], ValueType.UINT8),
    "longs": ([2**63, 0], ValueType.UINT64),
    "floats": ([0.5, -1.25], ValueType.FLOAT32),
    "doubles": ([0.1], ValueType.FLOAT64),
    "none": ([], ValueType.STRING),
    "no_numbers": ([], ValueType.INT32),
}


def write_all(path):
    rng = np.random.default_rng(7)
    arrays = {
        "matrix": rng.standard_normal((3, 64)).astype(np.float32),
        "vector": rng.standard_normal(5).astype(np.float32),
        "half": rng.standard_normal((2, 8)).astype(np.float16),
        "cube": rng.standard_normal((2, 3, 4, 32)).astype(np.float32),
        "integers": np.arange(7, dtype=np.int32),
    }
    with GGUFWriter(path) as writer:
        for key, (value, kind) in VALUES.items():
            writer.add(key, value, kind)
        for key, (value, kind) in ARRAYS.items():
            writer.add(key, value, item_type=kind)
        writer.add("nested", [[[1, 2], []], [[3]]])
        for name, array in arrays.items():
            writer.add_tensor(name, array)
        writer.add_tensor("quantized", arrays["matrix"], GGMLType.Q8_0)
        writer.add_tensor("blocks", bytes(range(144)) * 2, GGMLType.Q4_K, shape=(2, 256))
    return arrays


def test_everything_written_is_read_back(tmp_path):
    arrays = write_all(tmp_path / "all.gguf")
    with open_gguf(tmp_path / "all.gguf") as file:
        for key, (value, kind) in VALUES.items():
            assert file.metadata[key] == value and type(file.metadata[key]) is type(value), key
            assert file.metadata.types[key] == (kind, None)
        for key, (value, kind) in ARRAYS.items():
            assert file.metadata[key] == value, key
            assert file.metadata.types[key] == (ValueType.ARRAY, kind)
        assert file.metadata["nested"] == [[[1, 2], []], [[3]]]
        assert (file.version, file.alignment, len(file.parts)) == (3, 32, 1)
        assert list(file.tensors) == [*arrays, "quantized", "blocks"]
        for name, array in arrays.items():
            found = file.tensors[name]
            assert found.shape == array.shape and found.offset % 32 == 0
            assert found.data.tobytes() == array.tobytes()
            assert found.data.shape == (math.prod(array.shape[:-1]), array.shape[-1] * array.itemsize)
        np.testing.assert_array_equal(file.tensors["cube"].dequantize(), arrays["cube"])
        np.testing.assert_array_equal(file.tensors["vector"].dequantize(), arrays["vector"])
        assert file.tensors["blocks"].data.tobytes() == bytes(range(144)) * 2
        near = file.tensors["quantized"].dequantize()
        assert 0 < np.abs(near - arrays["matrix"]).max() < 0.02


def test_the_gguf_package_reads_what_we_write(tmp_path):
    arrays = write_all(tmp_path / "all.gguf")
    found = reference.GGUFReader(tmp_path / "all.gguf")
    for key, (value, kind) in VALUES.items():
        assert found.fields[key].types == [kind] and found.fields[key].contents() == value
    for key, (value, kind) in ARRAYS.items():
        assert found.fields[key].contents() == value
        assert not value or found.fields[key].types == [reference.GGUFValueType.ARRAY, kind]
    ours = open_gguf(tmp_path / "all.gguf")
    for their in found.tensors:
        assert tuple(int(n) for n in their.shape[::-1]) == ours.tensors[their.name].shape
        assert int(their.tensor_type) == ours.tensors[their.name].type
        assert their.data.tobytes() == ours.tensors[their.name].data.tobytes()
    assert {their.name for their in found.tensors} == {*arrays, "quantized", "blocks"}


@pytest.mark.parametrize("alignment", [32, 64, 4096])
def test_we_read_what_the_gguf_package_writes(tmp_path, alignment):
    path = tmp_path / "theirs.gguf"
    rng = np.random.default_rng(3)
    matrix = rng.standard_normal((4, 256)).astype(np.float32)
    packed = reference.quantize(matrix, reference.GGMLQuantizationType.Q4_0)
    writer = reference.GGUFWriter(path, "qwen2")
    if alignment != 32:
        writer.add_custom_alignment(alignment)
    writer.add_uint32("qwen2.block_count", 2)
    writer.add_float32("qwen2.eps", 1e-6)
    writer.add_array("tokens", ["a", "b"])
    writer.add_bool("flag", True)
    writer.add_tensor("m", matrix)
    writer.add_tensor("v", matrix[0, :3])
    writer.add_tensor("q", packed, raw_dtype=reference.GGMLQuantizationType.Q4_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with open_gguf(path) as file:
        assert file.alignment == alignment
        assert file.metadata.int("{arch}.block_count") == 2
        assert file.metadata.float("{arch}.eps") == np.float32(1e-6)
        assert file.metadata.strings("tokens") == ["a", "b"] and file.metadata.bool("flag") is True
        np.testing.assert_array_equal(file.tensors["m"].dequantize(), matrix)
        np.testing.assert_array_equal(file.tensors["v"].dequantize(), matrix[0, :3])
        assert file.tensors["q"].shape == (4, 256) and file.tensors["q"].data.tobytes() == packed.tobytes()


def test_a_copy_through_reader_and_writer_is_equal_byte_for_byte(tmp_path):
    write_all(tmp_path / "a.gguf")
    with open_gguf(tmp_path / "a.gguf") as file, GGUFWriter(tmp_path / "b.gguf") as writer:
        for key, value in file.metadata.items():
            writer.add(key, value, *file.metadata.types[key])
        for each in file.tensors.values():
            writer.add_tensor(each.name, each.data, each.type, each.shape)
    assert (tmp_path / "a.gguf").read_bytes() == (tmp_path / "b.gguf").read_bytes()


def test_version_2_and_scalars_without_dimensions(tmp_path):
    path = tmp_path / "v2.gguf"
    path.write_bytes(
        gguf([ARCHITECTURE], [tensor("x", ()), tensor("y", (2, 3), 0, 32)], bytes(range(32 + 24)), version=2)
    )
    with open_gguf(path) as file:
        assert file.version == 2 and file.tensors["x"].shape == () and file.tensors["y"].shape == (3, 2)
        assert file.tensors["x"].data.shape == (1, 4) and file.tensors["x"].dequantize().shape == ()


def test_a_file_of_metadata_only(tmp_path):
    (tmp_path / "vocab.gguf").write_bytes(gguf([ARCHITECTURE]))
    with open_gguf(str(tmp_path / "vocab.gguf")) as file:
        assert not file.tensors and file.metadata.architecture == "llama"


def test_rows_of_a_tensor(tmp_path):
    rng = np.random.default_rng(1)
    whole = rng.standard_normal((6, 512)).astype(np.float32)
    with GGUFWriter(tmp_path / "t.gguf") as writer:
        writer.add_tensor("t", whole, GGMLType.Q5_1)
    with open_gguf(tmp_path / "t.gguf") as file:
        found = file.tensors["t"]
        everything = found.dequantize()
        np.testing.assert_array_equal(found.dequantize(slice(1, 5, 2)), everything[1:5:2])
        np.testing.assert_array_equal(found.dequantize(np.array([5, 0, 5])), everything[[5, 0, 5]])
        assert found.dequantize([]).shape == (0, 512)
        for rows in ([6], [-1], [0.5], [[0]]):
            with pytest.raises(RequestError, match="'t'"):
                found.dequantize(rows)


def test_a_type_that_we_do_not_run_is_refused_by_name_when_used(tmp_path):
    unused = sorted(set(GGMLType) - set(FORMATS))
    with GGUFWriter(tmp_path / "odd.gguf") as writer:
        for kind in unused:
            writer.add_tensor(kind.name, bytes(2 * kind.nbytes), kind, shape=(2, kind.block))
    with open_gguf(tmp_path / "odd.gguf") as file:
        for kind in unused:
            assert file.tensors[kind.name].data.shape == (2, kind.nbytes)
            with pytest.raises(GGUFError, match=rf"odd.gguf: tensor '{kind.name}': type {kind.name} is not supported"):
                file.tensors[kind.name].dequantize()


def test_missing_and_misshapen_tensors_are_named(tmp_path):
    with GGUFWriter(tmp_path / "t.gguf") as writer:
        writer.add_tensor("t", np.zeros((2, 3), np.float32))
    with open_gguf(tmp_path / "t.gguf") as file:
        assert file.tensor("t", (2, 3)) is file.tensors["t"]
        with pytest.raises(GGUFError, match=r"'t' has shape \(2, 3\), expected \(3, 2\)"):
            file.tensor("t", (3, 2))
        with pytest.raises(GGUFError, match="'absent' is missing"):
            file.tensor("absent")


def test_arrays_outlive_the_file_and_are_read_only(tmp_path):
    with GGUFWriter(tmp_path / "t.gguf") as writer:
        writer.add_tensor("t", np.arange(4096, dtype=np.float32))
    file = open_gguf(tmp_path / "t.gguf")
    found = file.tensors["t"]
    data = found.data
    os.unlink(tmp_path / "t.gguf")
    file.close()
    file.close()
    assert data.view(np.float32)[0, -1] == 4095
    with pytest.raises(ValueError, match="read-only"):
        data[0, 0] = 1
    with pytest.raises(GGUFError, match="closed"):
        _ = found.data


def test_a_tensor_keeps_its_mapping_without_the_file(tmp_path):
    with GGUFWriter(tmp_path / "t.gguf") as writer:
        writer.add_tensor("t", np.arange(64, dtype=np.float32))
    found = open_gguf(tmp_path / "t.gguf").tensors["t"]
    assert found.dequantize()[-1] == 63


def test_released_pages_come_back(tmp_path):
    values = np.arange(1 << 18, dtype=np.float32)
    with GGUFWriter(tmp_path / "t.gguf") as writer:
        writer.add_tensor("small", values[:3]).add_tensor("t", values)
    with open_gguf(tmp_path / "t.gguf") as file:
        file.tensors["t"].prefetch()
        before = file.tensors["t"].dequantize()
        file.tensors["t"].release()
        file.tensors["small"].release()
        np.testing.assert_array_equal(file.tensors["t"].dequantize(), before)
    file.tensors["t"].release()


def test_a_file_that_shrinks_is_an_error_and_not_a_crash(tmp_path):
    path = tmp_path / "t.gguf"
    with GGUFWriter(path) as writer:
        writer.add_tensor("t", np.zeros(1 << 16, np.float32))
    with open_gguf(path) as file:
        os.truncate(path, 1000)
        with pytest.raises(GGUFError, match=r"shrank from [\d,]+ to 1,000 bytes"):
            _ = file.tensors["t"].data


def write_split(path, **options):
    rng = np.random.default_rng(5)
    arrays = {f"blk.{i}.w": rng.standard_normal((4, 32)).astype(np.float32) for i in range(7)}
    with GGUFWriter(path, max_part_bytes=1100, **options) as writer:
        writer.add("general.architecture", "llama").add("tokens", ["a"] * 5)
        for name, array in arrays.items():
            writer.add_tensor(name, array)
    return writer.paths, arrays


@pytest.mark.parametrize("alignment", [32, 256])
def test_split_sets_open_from_any_part(tmp_path, alignment):
    paths, arrays = write_split(tmp_path / "big.gguf", alignment=alignment)
    assert [path.name for path in paths] == [f"big-0000{i}-of-00004.gguf" for i in (1, 2, 3, 4)]
    assert sorted(tmp_path.iterdir()) == paths
    for path in paths:
        with open_gguf(path) as file:
            assert file.parts == paths and file.metadata["tokens"] == ["a"] * 5
            assert file.size == sum(part.stat().st_size for part in paths)
            assert list(file.tensors) == list(arrays)
            for name, array in arrays.items():
                np.testing.assert_array_equal(file.tensors[name].dequantize(), array)
    assert len(reference.GGUFReader(paths[1]).tensors) == 2


def test_a_split_set_of_the_gguf_package(tmp_path):
    writer = reference.GGUFWriter(tmp_path / "theirs.gguf", "llama", split_max_tensors=2)
    arrays = {name: np.full((2, 32), i, np.float32) for i, name in enumerate("abcde")}
    for name, array in arrays.items():
        writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with open_gguf(tmp_path / "theirs-00002-of-00003.gguf") as file:
        assert file.metadata.architecture == "llama"
        for name, array in arrays.items():
            np.testing.assert_array_equal(file.tensors[name].dequantize(), array)


def test_broken_split_sets(tmp_path):
    paths, _ = write_split(tmp_path / "big.gguf")
    originals = [path.read_bytes() for path in paths]

    def refused(path, match):
        with pytest.raises(GGUFError, match=match):
            open_gguf(path)
        for each, content in zip(paths, originals, strict=True):
            each.write_bytes(content)

    paths[2].unlink()
    refused(paths[0], "part 3 of 4 is missing: .*big-00003-of-00004.gguf")
    paths[1].write_bytes(originals[2])
    refused(paths[0], r"00002-of-00004.gguf: key 'split.no': is 2, but the file's name says part 2 \(number 1\)")
    paths[3].write_bytes(originals[3].replace(b"blk.6.w", b"blk.0.w"))
    refused(paths[0], "tensor 'blk.0.w' is in another part too")
    paths[0].write_bytes(originals[0].replace(b"tensors.count\x05\0\0\0\x07", b"tensors.count\x05\0\0\0\x08"))
    refused(paths[3], "'split.tensors.count': is 8, but the parts hold 7")
    paths[1].write_bytes(originals[1].replace(b"split.count\x02\0\0\0\x04", b"split.count\x02\0\0\0\x05"))
    refused(paths[0], "'split.count': is 5, but 4 in big-00001-of-00004.gguf")
    paths[1].write_bytes(originals[1].replace(b"split.count\x02\0\0\0\x04", b"split.count\x02\0\0\0\x00"))
    refused(paths[0], "'split.count': is 0, but 4")
    paths[1].write_bytes(originals[1][:-40])
    refused(paths[0], "00002-of-00004.gguf: tensor 'blk.3.w'.*runs past the end")
    for name, match in (("alone.gguf", "not named like"), ("big-00001-of-00003.gguf", "name says 3 parts")):
        (tmp_path / name).write_bytes(originals[0])
        refused(tmp_path / name, match)


def test_the_writer_refuses_what_it_cannot_write(tmp_path):
    writer = GGUFWriter(tmp_path / "w.gguf")
    writer.add("a", 1).add_tensor("t", np.zeros(32, np.float32))
    for key, value, kind in (
        ("a", 2, None),
        ("", 1, None),
        ("b", 256, ValueType.UINT8),
        ("b", -1, ValueType.UINT64),
        ("b", 2**64, None),
        ("b", True, ValueType.UINT32),
        ("b", 1, ValueType.BOOL),
        ("b", 1.5, ValueType.INT32),
        ("b", "\ud800", None),
        ("b", [1, "x"], None),
        ("b", None, None),
        ("b", {}, None),
        ("b", "x", ValueType.FLOAT32),
        ("b", [1, True], None),
        ("b" * 1025, 1, None),
        ("general.alignment", 64, None),
        ("b", 1, 99),
        ("b", 1e39, ValueType.FLOAT32),
    ):
        with pytest.raises(ModelError):
            writer.add(key, value, kind)
    for name, data, kind, shape in (
        ("t", np.zeros(32, np.float32), None, None),
        ("", np.zeros(32, np.float32), None, None),
        ("u", np.zeros(31, np.float32), GGMLType.Q8_0, None),
        ("u", np.zeros((0, 32), np.float32), None, None),
        ("u", np.zeros((1,) * 5, np.float32), None, None),
        ("u", b"\0" * 33, GGMLType.Q8_0, (32,)),
        ("u", b"\0" * 34, GGMLType.Q8_0, None),
        ("u", np.zeros(4, np.complex64), None, None),
        ("u", np.zeros(35, np.uint8), GGMLType.Q8_0, None),
        ("u", np.zeros(256, np.float32), GGMLType.IQ2_XS, None),
        ("u", np.zeros(32, np.int32), GGMLType.Q8_0, None),
        ("u", np.full(32, np.nan, np.float32), GGMLType.Q8_0, None),
        ("u", np.zeros(34, np.uint8), None, None),
    ):
        with pytest.raises(ModelError):
            writer.add_tensor(name, data, kind, shape)
    writer.close()
    with pytest.raises(ModelError, match="closed"):
        writer.add("late", 1)
    with open_gguf(tmp_path / "w.gguf") as file:
        assert dict(file.metadata) == {"a": 1} and list(file.tensors) == ["t"]
    for options in ({"alignment": 48}, {"alignment": 0}, {"max_part_bytes": 0}):
        with pytest.raises(ModelError):
            GGUFWriter(tmp_path / "x.gguf", **options)


def test_the_writer_is_atomic(tmp_path):
    path = tmp_path / "w.gguf"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), GGUFWriter(path) as writer:
        writer.add_tensor("t", np.zeros(32, np.float32))
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]
    old_mask = os.umask(0o027)
    try:
        with GGUFWriter(path) as writer:
            writer.add_tensor("t", np.zeros(32, np.float32))
            assert path.read_bytes() == b"old"
    finally:
        os.umask(old_mask)
    assert list(tmp_path.iterdir()) == [path] and stat.S_IMODE(path.stat().st_mode) == 0o640
    writer.close()
    assert open_gguf(path).tensors["t"].size == 32
