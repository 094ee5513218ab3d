"""Pictures of any kind as RGB, resizing, and clear errors for what is no picture; Pillow made the files."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from vision_folders import picture

from llm_core.errors import RequestError
from llm_core.vision import open_image, preprocess
from llm_core.vision.layout import squares, windows
from llm_core.vision.projectors import idefics3, ldp, mlp
from llm_core.vision.tower import patches

RGB = picture(24)


def encoded(image, kind="PNG", **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def test_a_picture_may_come_as_path_bytes_image_or_array(tmp_path):
    image = Image.fromarray(RGB)
    image.save(tmp_path / "a.png")
    for source in (tmp_path / "a.png", str(tmp_path / "a.png"), encoded(image), bytearray(encoded(image)), image, RGB):
        np.testing.assert_array_equal(np.asarray(open_image(source)), RGB)


@pytest.mark.parametrize(
    "array",
    [
        RGB, RGB.astype(np.uint16) * 257, (RGB / 255).astype(np.float32),
        np.dstack([RGB, np.full((24, 24), 255, np.uint8)]),
        np.asfortranarray(RGB), np.ascontiguousarray(RGB[::-1])[::-1],
    ],
)  # fmt: skip
def test_arrays_of_any_type_are_the_same_picture(array):
    np.testing.assert_array_equal(np.asarray(open_image(array)), RGB)


def test_grey_palette_alpha_and_deep_pictures():
    grey = RGB[..., 0]
    three = np.repeat(grey[..., None], 3, axis=2)
    deep = Image.fromarray(grey.astype(np.uint16) * 256)
    for source in (
        grey, grey[..., None], encoded(Image.fromarray(grey)), deep, encoded(deep),
        Image.fromarray(three).convert("CMYK"),
    ):  # fmt: skip
        np.testing.assert_allclose(np.asarray(open_image(source)).astype(int), three, atol=1)
    np.testing.assert_array_equal(np.asarray(open_image(grey > 99)), np.where(three > 99, 255, 0))
    palette = Image.fromarray(RGB).quantize(16)
    np.testing.assert_array_equal(np.asarray(open_image(encoded(palette))), np.asarray(palette.convert("RGB")))
    clear = np.dstack([RGB, np.zeros((24, 24), np.uint8)])
    for source in (clear, encoded(Image.fromarray(clear)), encoded(Image.fromarray(clear), "WEBP", lossless=True)):
        assert np.asarray(open_image(source)).min() == 255  # what is transparent shows white


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_camera_that_was_held_otherwise(orientation):
    image = Image.fromarray(RGB[:16])
    turned = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}.get(orientation)
    exif = Image.Exif()
    exif[274] = orientation
    found = open_image(encoded(image, exif=exif))
    expected = image if turned is None else image.transpose(Image.Transpose(turned))
    assert found.size == expected.size and np.array_equal(np.asarray(found), np.asarray(expected))


def bomb(width, height):
    """A PNG that promises so many pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")


def test_what_is_no_picture_is_one_clear_error(tmp_path):
    whole = encoded(Image.fromarray(RGB))
    text = tmp_path / "a.png"
    text.write_text("no picture")
    for source, message in (
        (b"", "no picture"), (b"junk" * 99, "no picture"), (whole[: len(whole) // 2], "broken"),
        (encoded(Image.fromarray(picture(64)), "JPEG")[:500], "broken"),
        (text, "a.png' is no picture"), (tmp_path / "none.png", "is no file"), (tmp_path, "is no file"),
        ("nul\0byte", "cannot be read|no file"), (None, "a NoneType"), (3, "a int"), ([1], "a list"),
        (bomb(60000, 60000), "pixels"), (bomb(20000, 15000), "pixels"), (np.zeros((0, 4), np.uint8), "pixels"),
        (np.zeros((4, 4, 2), np.uint8), "shape"), (np.zeros(4, np.uint8), "shape"),
            (np.zeros((4, 4), np.int64), "int64"),
        (np.full((4, 4), np.nan), "floats outside"), (np.full((4, 4), 2.0), "floats outside"),
        (np.zeros((1, 4000), np.uint8), "too narrow"),
    ):  # fmt: skip
        with pytest.raises(RequestError, match=message):
            open_image(source)


def test_resizing_is_pillows_and_padding_is_in_the_middle():
    image = Image.fromarray(RGB[:12])
    fitted = np.asarray(preprocess.pad(image, 48, (1, 2, 3)))
    np.testing.assert_array_equal(fitted[12:36], np.asarray(image.resize((48, 24), Image.Resampling.BICUBIC)))
    assert (fitted[:12] == (1, 2, 3)).all() and (fitted[36:] == (1, 2, 3)).all()
    pixels = preprocess.normalised(Image.fromarray(RGB), (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
    np.testing.assert_allclose(pixels, (RGB / 255 - (0.5, 0.4, 0.3)) / (0.2, 0.3, 0.4), atol=1e-6)


def test_patches_are_what_a_convolution_sees():
    pixels = np.random.default_rng(0).standard_normal((12, 12, 3)).astype(np.float32)
    kernel = np.random.default_rng(1).standard_normal((5, 3, 4, 4)).astype(np.float32)
    rows = patches(pixels, 4)
    for i in range(9):
        tile = pixels[i // 3 * 4 : i // 3 * 4 + 4, i % 3 * 4 : i % 3 * 4 + 4]
        np.testing.assert_allclose(rows[i] @ kernel.reshape(5, -1).T, np.einsum("yxc,ncyx->n", tile, kernel), atol=1e-5)


def test_squares_and_windows_of_patches():
    assert squares(4, 4, 2).tolist() == [[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]]
    assert squares(2, 4, 2).tolist() == [[0, 1, 4, 5], [2, 3, 6, 7]]
    order, starts = windows((3, 5), 2)
    assert starts == [0, 4, 8, 10, 12, 14, 15]
    assert order.tolist() == [0, 1, 5, 6, 2, 3, 7, 8, 4, 9, 10, 11, 12, 13, 14]
    assert windows((3, 5), 5)[1] == [0, 15] and windows((3, 5), 5)[0].tolist() == list(range(15))


def test_neighbours_of_patches():
    assert ldp.neighbours((2, 3), 1)[4].tolist() == [0, 1, 2, 3, 4, 5, -1, -1, -1]
    assert ldp.neighbours((3, 3), 2).tolist()[3] == [4, 5, -1, 7, 8, -1, -1, -1, -1]
    assert ldp.neighbours((6, 6), 2).shape == (9, 9) and ldp.neighbours((24, 24), 2).shape == (144, 9)


@pytest.mark.parametrize(
    "size, best",
    [((500, 300), (672, 336)), ((300, 500), (336, 672)), ((900, 900), (672, 672)), ((2000, 400), (1008, 336))],
)
def test_the_grid_that_keeps_most_of_a_picture(size, best):
    candidates = [(336, 672), (672, 336), (672, 672), (1008, 336), (336, 1008)]
    assert preprocess.best_size(size, candidates) == best


@pytest.mark.parametrize(
    "size, edge, grid",
    [((640, 480), (2048, 1536), (2048, 1536)), ((480, 640), (1536, 2048), (1536, 2048)),
     ((1000, 1000), (2048,) * 2, (2048,) * 2),
     ((1000, 333), (2048, 682), (2048, 1024)), ((100, 7), (2048, 144), (2048, 512))],
)  # fmt: skip
def test_idefics_grids(size, edge, grid):
    assert idefics3.edge_size(size, 2048) == edge and idefics3.grid_size(size, 2048, 512) == grid


@pytest.mark.parametrize(
    "size, shape", [((200, 100), (24, 48)), ((100, 200), (48, 24)), ((100, 100), (48, 48)), ((300, 100), (16, 48))]
)
def test_padding_of_tiles_is_left_out(size, shape):
    assert mlp.unpadded(np.zeros((48, 48, 1)), size).shape[:2] == shape
