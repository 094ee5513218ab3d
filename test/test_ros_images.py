"""Image messages against pictures: every encoding against numbers we did not write or a naive twin, clear errors for
messages whose fields do not fit each other.
"""

from __future__ import annotations

import array
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image as Pillow
from sensor_msgs.msg import CompressedImage, Image
from vision_folders import picture

from llm_core.errors import RequestError
from llm_core.vision.sensor import BAYER, demosaic
from llm_ros import images

RGB = picture(24)[:20]  # 20 rows of 24


def message(samples, encoding, pad=0, **fields):
    """An Image of bytes [height, row], each row with `pad` bytes of rubbish behind it."""
    rows = np.ascontiguousarray(samples).view(np.uint8).reshape(len(samples), -1)
    data = np.hstack([rows, np.full((len(rows), pad), 0xAB, np.uint8)])
    fields = {"height": len(rows), "step": data.shape[1]} | fields
    return Image(encoding=encoding, data=array.array("B", data.tobytes()), **fields)


def encoded(pixels, kind="PNG", **options):
    out = io.BytesIO()
    Pillow.fromarray(pixels).save(out, kind, **options)
    return out.getvalue()


@pytest.mark.parametrize("encoding", images.PAINTED)
@pytest.mark.parametrize("bigendian", [False, True])
def test_what_is_painted_is_read(encoding, bigendian):
    sent = images.image_to_ros(RGB, encoding, bigendian=bigendian)
    expected = np.repeat(RGB[..., 1:2], 3, axis=2) if encoding.startswith("mono") else RGB
    np.testing.assert_array_equal(images.image_from_ros(sent), expected)


@pytest.mark.parametrize(
    "encoding, samples, expected",
    [
        ("rgb8", [1, 2, 3], [1, 2, 3]),
        ("bgr8", [3, 2, 1], [1, 2, 3]),
        ("rgba8", [1, 2, 3, 77], [1, 2, 3]),
        ("bgra8", [3, 2, 1, 77], [1, 2, 3]),
        ("mono8", [9], [9, 9, 9]),
        ("mono16", np.array([0x1234], "<u2"), [0x12] * 3),
        ("bgr16", np.array([0x0300, 0x02FF, 0x0180], "<u2"), [1, 2, 3]),
    ],
)
@pytest.mark.parametrize("pad", [0, 5])
def test_channels_are_where_the_encoding_says(encoding, samples, expected, pad):
    samples = np.asarray(samples) if isinstance(samples, np.ndarray) else np.array(samples, np.uint8)
    sent = message(np.tile(samples, (3, 4)), encoding, pad, width=4)
    np.testing.assert_array_equal(images.image_from_ros(sent), np.tile(np.array(expected, np.uint8), (3, 4, 1)))
    if samples.dtype.itemsize == 2:
        swapped = message(np.tile(samples.astype(">u2"), (3, 4)), encoding, pad, width=4, is_bigendian=1)
        assert images.image_from_ros(swapped)[0, 0].tolist() == expected


# (Y, Cb, Cr) of the 100 % colour bars of Recommendation ITU-R BT.601, 8 bits.
BARS = {
    (235, 128, 128): (255, 255, 255),
    (210, 16, 146): (255, 255, 0),
    (170, 166, 16): (0, 255, 255),
    (145, 54, 34): (0, 255, 0),
    (106, 202, 222): (255, 0, 255),
    (81, 90, 240): (255, 0, 0),
    (41, 240, 110): (0, 0, 255),
    (16, 128, 128): (0, 0, 0),
}


@pytest.mark.parametrize("encoding, order", [("yuv422", "uyvy"), ("uyvy", "uyvy"), ("yuv422_yuy2", "yuyv")])
def test_colour_bars_of_video(encoding, order):
    pairs = [{"uyvy": [u, y, v, y], "yuyv": [y, u, y, v]}[order] for y, u, v in BARS]
    sent = message(np.tile(np.array(pairs, np.uint8).ravel(), (2, 1)), encoding, 3, width=16)
    expected = np.repeat(np.array([list(BARS.values())]), 2, axis=1).repeat(2, axis=0)
    np.testing.assert_allclose(images.image_from_ros(sent).astype(int), expected, atol=2)


def test_the_pixels_of_a_pair_keep_their_own_brightness():
    sent = message(np.array([[128, 16, 128, 235]], np.uint8), "yuv422", width=2)
    assert images.image_from_ros(sent)[0].tolist() == [[0, 0, 0], [255, 255, 255]]


def naive_demosaic(mosaic, pattern):
    """Each missing colour: the mean of those of the 8 neighbours that have it and are nearest (edges mirrored)."""
    height, width = mosaic.shape
    names = [pattern[:2], pattern[2:]]
    out = np.zeros((height, width, 3), int)
    for y in range(height):
        for x in range(width):
            for c, colour in enumerate("rgb"):
                found = {}
                for dy in (-1, 0, 1):
                    for dx in (-1, 0, 1):
                        yy, xx = y + dy, x + dx
                        if names[yy % 2][xx % 2] == colour:
                            yy, xx = abs(yy), abs(xx)
                            yy, xx = min(yy, 2 * (height - 1) - yy), min(xx, 2 * (width - 1) - xx)
                            found.setdefault(abs(dy) + abs(dx), []).append(int(mosaic[yy, xx]))
                near = found[min(found)]
                out[y, x, c] = (sum(near) + len(near) // 2) // len(near)
    return out


@pytest.mark.parametrize("pattern", BAYER)
@pytest.mark.parametrize("shape", [(2, 2), (6, 8), (7, 5), (2, 9)])
def test_mosaics_against_a_naive_twin(pattern, shape):
    mosaic = np.random.default_rng(len(pattern)).integers(0, 256, shape, dtype=np.uint8)
    np.testing.assert_array_equal(demosaic(mosaic, pattern), naive_demosaic(mosaic, pattern))


@pytest.mark.parametrize("pattern", BAYER)
def test_a_mosaic_of_one_colour_is_that_colour_everywhere(pattern):
    colour = {"r": 200, "g": 100, "b": 50}
    cell = np.array([[colour[pattern[0]], colour[pattern[1]]], [colour[pattern[2]], colour[pattern[3]]]])
    mosaic = np.tile(cell, (4, 5))[:7, :9]
    for encoding, samples in ((f"bayer_{pattern}8", mosaic.astype(np.uint8)), (f"bayer_{pattern}16", mosaic * 256)):
        samples = samples if encoding.endswith("8") else samples.astype("<u2")
        found = images.image_from_ros(message(samples, encoding, 1, width=9))
        assert (found == [200, 100, 50]).all()


GOOD = dict(height=2, width=2, step=6, encoding="rgb8", data=array.array("B", bytes(12)))


@pytest.mark.parametrize(
    "fields, expected",
    [
        (dict(encoding="jpeg"), "picture.encoding is 'jpeg': one of mono8"),
        (dict(encoding=""), "picture.encoding is ''"),
        (dict(height=0), "picture: 2 x 0 pixels"),
        (dict(width=0), "picture: 0 x 2 pixels"),
        (dict(height=2**32 - 1, width=2**32 - 1), r"picture: 4294967295 x 4294967295 pixels.*100,000,000"),
        (dict(step=5), "picture.step is 5: 2 pixels of rgb8 take 6 bytes"),
        (dict(step=0), "picture.step is 0"),
        (dict(step=2**32 - 1), r"picture.data has 12 bytes: 2 rows of 4294967295 .* are 8589934590"),
        (dict(step=7), r"picture.data has 12 bytes: 2 rows of 7 \(height, step\) are 14"),
        (dict(data=array.array("B")), "picture.data has 0 bytes"),
        (dict(is_bigendian=7), "picture.is_bigendian is 7"),
        (dict(encoding="yuv422", width=3), "picture.width is 3: yuv422 has groups of 2 pixels"),
        (dict(encoding="bayer_rggb8", height=1, step=12), "2 x 1 pixels: bayer_rggb8 has sides of 2"),
    ],
)
def test_fields_that_do_not_fit_are_named(fields, expected):
    images.image_from_ros(Image(**GOOD))
    with pytest.raises(RequestError, match=expected):
        images.image_from_ros(Image(**(GOOD | fields)), "picture")


def bomb(width, height):
    """A PNG file of a few bytes that says that it has so many pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    packed = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_compressed_pictures(kind):
    sent = images.compressed_to_ros(encoded(RGB, kind))
    assert sent.format == kind.lower()
    read = np.asarray(images.compressed_from_ros(sent)).astype(int)
    assert read.shape == RGB.shape and abs(read - RGB).mean() < (40 if kind != "PNG" else 1e-9)


@pytest.mark.parametrize(
    "data, form, expected",
    [
        (b"", "jpeg", "photo.data is empty"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "jpeg", "photo.data begins with 25 21 50 53"),
        (b"\xff\xd8\xff\xe0 nothing", "jpeg", "photo.data"),
        (encoded(RGB, "JPEG")[:200], "jpeg", "photo.data"),
        (encoded(RGB)[:-30], "png", "photo.data is broken"),
        (bomb(60000, 60000), "png", "photo.data"),
        (bomb(1, 50000), "png", "photo.data"),
        (encoded(RGB), "16UC1; compressedDepth png", "photo.format is '16UC1; compressedDepth png'"),
    ],
)
def test_broken_files_and_bombs(data, form, expected):
    with pytest.raises(RequestError, match=expected):
        images.compressed_from_ros(CompressedImage(format=form, data=array.array("B", data)), "photo")


def test_pictures_of_any_kind_become_messages_that_travel(tmp_path):
    (tmp_path / "a.jpg").write_bytes(encoded(RGB, "JPEG", quality=95))
    sent = images.picture_to_ros(tmp_path / "a.jpg")
    assert bytes(sent.data) == (tmp_path / "a.jpg").read_bytes()
    for source in (RGB, Pillow.fromarray(RGB), encoded(RGB, "BMP"), images.image_to_ros(RGB, "bgr8")):
        np.testing.assert_array_equal(images.image_from_ros(images.picture_to_ros(source)), RGB)
    for source, expected in (("/nowhere.png", "'/nowhere.png' cannot be read"), (b"text", "no picture"), (7, "7")):
        with pytest.raises(RequestError, match=expected):
            images.picture_to_ros(source)


def test_pictures_keep_their_order():
    other = 255 - RGB
    for sources, raw in (([RGB, other], 2), ([RGB, encoded(other)], 1), ([encoded(RGB), other], 2)):
        sent = images.pictures_to_ros(sources)
        assert len(sent[0]) == raw
        for found, expected in zip(images.pictures_from_ros(*sent), (RGB, other), strict=True):
            np.testing.assert_array_equal(np.asarray(found), expected)
    with pytest.raises(RequestError, match="70 pictures, at most 64"):
        images.pictures_from_ros([Image()] * 60, [CompressedImage()] * 10)
    with pytest.raises(RequestError, match=r"images\[1\].encoding is ''"):
        images.pictures_from_ros([Image(**GOOD), Image()], [])
    with pytest.raises(RequestError, match=r"compressed_images\[0\].data is empty"):
        images.pictures_from_ros([Image(**GOOD)], [CompressedImage()])


@pytest.mark.parametrize("encoding", ["rgb8", "bgra16", "mono8", "jpeg"])
def test_a_thumbnail_has_the_brightness_of_the_fields(encoding):
    scene = np.zeros((256, 512, 3), np.uint8)
    scene[64:128, 128:384] = 200
    sent = (
        images.compressed_to_ros(encoded(scene, "JPEG")) if encoding == "jpeg" else images.image_to_ros(scene, encoding)
    )
    found = images.thumbnail(sent)
    expected = np.zeros((32, 32))
    expected[8:16, 8:24] = 200 / 255
    np.testing.assert_allclose(found, expected, atol=0.05)


@pytest.mark.parametrize("encoding", ["bayer_grbg8", "yuv422", "yuv422_yuy2"])
def test_a_thumbnail_of_what_chips_deliver(encoding):
    bright = message(np.full((64, 128), 200, np.uint8), encoding, width=64 if encoding.startswith("yuv") else 128)
    np.testing.assert_allclose(images.thumbnail(bright), 200 / 255, atol=0.01)
    with pytest.raises(RequestError, match="image.data"):
        images.thumbnail(CompressedImage(data=array.array("B", encoded(RGB, "JPEG")[:200])))
