"""Every format, bit for bit against the gguf package: all bit patterns, scales that are NaN, infinite or subnormal."""

import tracemalloc

import gguf as reference
import numpy as np
import pytest

from llm_core.errors import ModelError
from llm_core.gguf.types import BLOCK_SIZES, GGMLType
from llm_core.quants import FORMATS, dequantize, format_of, quantize

RUN = [
    "F32",
    "F16",
    "BF16",
    "Q4_0",
    "Q4_1",
    "Q5_0",
    "Q5_1",
    "Q8_0",
    "Q2_K",
    "Q3_K",
    "Q4_K",
    "Q5_K",
    "Q6_K",
    "IQ4_NL",
    "IQ4_XS",
    "MXFP4",
    "IQ1_S",
    "IQ1_M",
    "IQ2_XXS",
    "IQ2_XS",
    "IQ2_S",
    "IQ3_XXS",
    "IQ3_S",
    "TQ1_0",
    "TQ2_0",
]
SEARCHED = ["Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS"]  # the package only reads these
WRITTEN = ["F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "MXFP4", "TQ1_0", "TQ2_0"]
# MXFP4's scale is a power of two; IQ1_M's is cut in four
SCALED = [name for name in RUN if GGMLType[name].block > 1 and name not in ("MXFP4", "IQ1_M")]
BLOCKWISE = [name for name in WRITTEN if GGMLType[name].block > 1]


def theirs(function, array: np.ndarray, kind: GGMLType) -> np.ndarray:
    with np.errstate(all="ignore"):
        return function(array, reference.GGMLQuantizationType(kind))


def assert_same_bits(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.dtype == np.float32 and found.shape == expected.shape
    np.testing.assert_array_equal(found.view(np.uint32), expected.view(np.uint32))


def test_the_tables_are_complete_and_agree_with_the_gguf_package():
    assert set(FORMATS) == {GGMLType[name] for name in RUN} | {GGMLType.Q1_0}
    assert {name for name in RUN if FORMATS[GGMLType[name]].can_quantize} == {*WRITTEN, *SEARCHED}
    assert set(BLOCK_SIZES) == set(GGMLType)
    for kind, sizes in reference.GGML_QUANT_SIZES.items():
        # ggml's block_q8_1 is two halves and 32 bytes; the package still has the two floats of an older one
        expected = (32, 36) if kind.name == "Q8_1" else sizes
        assert BLOCK_SIZES[GGMLType[kind.name]] == expected and GGMLType[kind.name] == kind


@pytest.mark.parametrize("name", RUN)
def test_random_blocks(name):
    kind = GGMLType[name]
    blocks = np.random.default_rng(kind).integers(0, 256, (3001, kind.nbytes), np.uint8)
    assert_same_bits(FORMATS[kind].dequantize(blocks), theirs(reference.dequantize, blocks, kind))


@pytest.mark.parametrize("name", RUN)
def test_every_byte_pattern_in_every_place(name):
    kind = GGMLType[name]
    # column p of each round is another permutation of 0 to 255, so every byte value stands once in every place
    places, rounds = np.arange(kind.nbytes), np.arange(1, 17, 2)[:, None, None]
    blocks = (np.arange(256)[:, None] * rounds + places * (rounds * 5 + 2)).astype(np.uint8).reshape(-1, kind.nbytes)
    assert all(len(np.unique(blocks[:256, place])) == 256 for place in places)
    uniform = np.repeat(np.arange(256, dtype=np.uint8)[:, None], kind.nbytes, axis=1)
    for each in (blocks, uniform):
        assert_same_bits(FORMATS[kind].dequantize(each), theirs(reference.dequantize, each, kind))


@pytest.mark.parametrize("name", SCALED)
def test_every_half_precision_scale(name):
    form = FORMATS[GGMLType[name]]
    step = 1 if form.block < 256 else 11
    patterns = np.arange(0, 65536, step, dtype=np.uint32).astype("<u2")
    rng = np.random.default_rng(5)
    scales = [offset for dtype, offset in form.layout.fields.values() if dtype.str == "<f2"]
    assert scales
    for offset in scales:
        blocks = rng.integers(0, 256, (len(patterns), form.nbytes), np.uint8)
        blocks[:, offset : offset + 2] = patterns[:, None].view(np.uint8)
        assert_same_bits(form.dequantize(blocks), theirs(reference.dequantize, blocks, form.type))


@pytest.mark.parametrize("name", ["F32", "F16", "BF16"])
def test_floats_of_every_kind_survive(name):
    kind = GGMLType[name]
    bits = np.arange(65536, dtype=np.uint32)
    values = np.concatenate([bits << 16, (bits << 16) | 0x8000, (bits << 16) | 0x7FFF, (bits << 16) | 0x8001]).view(
        np.float32
    )
    packed = quantize(values.reshape(16, -1), kind)
    np.testing.assert_array_equal(packed, theirs(reference.quantize, values.reshape(16, -1), kind).view(np.uint8))
    assert_same_bits(dequantize(packed, kind), theirs(reference.dequantize, packed, kind))


def test_one_bit_says_the_sign():
    """The gguf package knows only the size of Q1_0; this is ggml's own dequantize_row_q1_0, a block by hand."""
    form = FORMATS[GGMLType.Q1_0]
    block = np.frombuffer(np.float16(-1.5).tobytes() + bytes([0b00000101, *range(1, 16)]), np.uint8)
    values = form.dequantize(block[None])[0]
    assert values.dtype == np.float32 and values.tolist()[:9] == [-1.5, 1.5, -1.5, 1.5, 1.5, 1.5, 1.5, 1.5, -1.5]
    bits = [byte >> i & 1 for byte in block[2:].tolist() for i in range(8)]
    assert values.tolist() == [-1.5 if bit else 1.5 for bit in bits]


def adversarial_values(block: int) -> np.ndarray:
    """Finite blocks with something awkward about each: zeros, one sign, ties, subnormals, the largest float."""
    rng = np.random.default_rng(9)
    normal = rng.standard_normal((64, block)).astype(np.float32)
    tiny, largest = np.float32(1e-45), np.finfo(np.float32).max
    ramp = np.linspace(-1, 1, block, dtype=np.float32)
    return np.concatenate(
        [
            np.zeros((1, block), np.float32),
            np.full((1, block), -0.0, np.float32),
            np.full((1, block), 3.0, np.float32),
            np.full((1, block), -3.0, np.float32),
            np.full((1, block), tiny),
            ramp[None],
            ramp[None] * tiny * 40,
            ramp[None] * largest,
            np.sign(ramp[None]) * largest,
            ramp[None] * 65504 * 8,
            np.round(ramp[None] * 16),
            np.round(ramp[None] * 127),
            np.round(ramp[None] * 254) / 2,
            np.round(ramp[None] * 15) / 2,
            np.eye(8, block, dtype=np.float32),
            normal,
            normal * np.float32(1e-38),
            normal * np.float32(1e-42),
            normal * np.float32(1e30),
            np.abs(normal),
            -np.abs(normal),
            normal * np.exp2(rng.integers(-40, 40, (64, 1))).astype(np.float32),
            np.exp2(np.round(normal * 8)).astype(np.float32),
        ]
    ).astype(np.float32)


@pytest.mark.parametrize("name", BLOCKWISE)
def test_quantizing_is_equal_bit_for_bit(name):
    kind = GGMLType[name]
    values = np.random.default_rng(2).standard_normal((2000, kind.block)).astype(np.float32)
    for each in (values, values[:, ::-1] * 1e-3, adversarial_values(kind.block)):
        each = np.ascontiguousarray(each)
        np.testing.assert_array_equal(FORMATS[kind].quantize(each), theirs(reference.quantize, each, kind))


@pytest.mark.parametrize("name", BLOCKWISE)
def test_quantizing_is_close(name):
    kind = GGMLType[name]
    values = np.random.default_rng(2).standard_normal((64, 8 * kind.block)).astype(np.float32)
    error = np.abs(dequantize(quantize(values, kind), kind) - values).max() / np.abs(values).max()
    # half a step, but where the far end is cut off (_0: one step; MXFP4: 8 becomes 6); plus the scale's rounding
    ternary = 0.501
    assert error < {
        "Q8_0": 0.0041, "Q5_0": 0.063, "Q5_1": 0.033, "Q4_0": 0.126, "Q4_1": 0.067, "MXFP4": 0.251,
        "TQ1_0": ternary, "TQ2_0": ternary,
    }[name]  # fmt: skip


@pytest.mark.parametrize("name", SEARCHED)
def test_awkward_values_are_written_as_finite_ones(name):
    form = FORMATS[GGMLType[name]]
    values = adversarial_values(form.block)
    found = form.dequantize(form.quantize(values))
    assert np.isfinite(found).all()
    # what half-precision scales can express comes back with an error of a step at most
    peak = np.abs(values).max(axis=1, keepdims=True)
    fits = ((peak > 0.01) & (peak < 60000))[:, 0]
    step = {"Q2_K": 0.5, "Q3_K": 0.26, "IQ4_NL": 0.2, "IQ4_XS": 0.2}.get(name, 0.13)
    assert fits.sum() > 200 and (np.abs(found - values) <= step * peak)[fits].all()
    np.testing.assert_array_equal(found[:2], 0)


@pytest.mark.parametrize("name", [*SEARCHED, "Q4_0", "Q4_1", "Q5_0", "Q5_1"])
def test_weights_move_the_error_to_where_it_counts_less(name):
    kind = GGMLType[name]
    values = np.random.default_rng(3).standard_normal((40, 512)).astype(np.float32)
    weights = np.where(np.arange(512) % 8 == 0, 100, 1).astype(np.float32)
    plain, weighted = ((dequantize(quantize(values, kind, w), kind) - values) ** 2 for w in (None, weights))
    assert (weighted * weights).sum() < 0.95 * (plain * weights).sum()


@pytest.mark.parametrize("name", RUN)
def test_chunks_rows_and_strides_change_nothing(name):
    kind = GGMLType[name]
    rows = 3 * (1 << 18) // (4 * kind.block) + 5
    data = np.random.default_rng(8).integers(0, 256, (rows, 4 * kind.nbytes), np.uint8)
    whole = dequantize(data, kind)
    assert whole.shape == (rows, 4 * kind.block)
    assert_same_bits(whole.reshape(-1, kind.block), FORMATS[kind].dequantize(data.reshape(-1, kind.nbytes)))
    assert_same_bits(dequantize(data[::3], kind), whole[::3])
    assert dequantize(data[:0], kind).shape == (0, 4 * kind.block)


@pytest.mark.parametrize("name", ["IQ1_S", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S"])
def test_grids_hold_the_points_of_the_gguf_package(name):
    """Random blocks name most points; this names all of them, in order."""
    theirs = getattr(reference.quants, name)
    theirs.init_grid()
    form = FORMATS[GGMLType[name]]
    levels = form.grid.astype(np.float32) - 1 if name == "IQ1_S" else form.magnitudes.astype(np.float32)[form.grid]
    np.testing.assert_array_equal(levels, theirs.grid[0, 0])


def test_dequantizing_needs_no_large_temporaries():
    data = np.zeros((1024, 16 * GGMLType.Q4_K.nbytes), np.uint8)
    tracemalloc.start()
    out = dequantize(data, GGMLType.Q4_K)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < out.nbytes + (8 << 20)


def test_what_is_not_possible_is_said():
    with pytest.raises(ModelError, match="type Q8_K is not supported"):
        format_of(GGMLType.Q8_K)
    with pytest.raises(ModelError, match="IQ2_XS cannot be quantized to .*MXFP4"):
        quantize(np.zeros((1, 256), np.float32), GGMLType.IQ2_XS)
    with pytest.raises(ModelError, match=r"Q8_0 cannot hold nan \(block 1, value 2\)"):
        values = np.zeros((2, 32), np.float32)
        values[1, 2] = np.nan
        FORMATS[GGMLType.Q8_0].quantize(values)
    with pytest.raises(ModelError, match="Q4_0 cannot hold -inf"):
        quantize(np.full((1, 32), -np.inf, np.float32), GGMLType.Q4_0)
    q8_0 = FORMATS[GGMLType.Q8_0]
    for call, array in (
        (lambda array: quantize(array, q8_0.type), np.zeros((1, 33), np.float32)),
        (lambda array: quantize(array, q8_0.type), np.zeros(32, np.float32)),
        (lambda array: dequantize(array, q8_0.type), np.zeros((1, 33), np.uint8)),
        (lambda array: dequantize(array, q8_0.type), np.zeros((1, 34), np.int8)),
        (q8_0.dequantize, np.zeros((1, 33), np.uint8)),
        (q8_0.quantize, np.zeros((1, 32), np.float64)),
    ):
        with pytest.raises(ModelError, match="Q8_0"):
            call(array)
