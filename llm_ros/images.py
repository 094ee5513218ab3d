"""sensor_msgs/Image and CompressedImage <-> RGB pictures, in pairs: `*_from_ros` checks, `*_to_ros` makes a message.

What a message cannot mean is a RequestError that names the message's field and its value. All encodings become 8 bits a
channel (of 16 bits the upper 8 count). Knows no node, no engine and no OpenCV; the maths is in llm_core.vision.
"""

from __future__ import annotations

import array
import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image as Pillow
from sensor_msgs.msg import CompressedImage, Image

from llm_core.errors import RequestError
from llm_core.vision.preprocess import MAX_PIXELS, open_image
from llm_core.vision.sensor import BAYER, YUV422, demosaic, yuv422

MAX_IMAGES = 64  # of one request; the engine takes no more
MARK = "<image>"  # where a picture goes in a text, as in the engine's raw text
LEVEL = 0.08  # of brightness: a field of a thumbnail that differs by more has changed
THUMBNAIL = 32  # sides of what `thumbnail` gives


@dataclass(frozen=True)
class Encoding:
    """How pixels lie in a message: `channels` samples a pixel, of 2 bytes where `wide`. `order`: where R, G, B are
    among the channels, or a function of the samples; `grey`: the channel that is most like brightness; a row has a
    multiple of `group` pixels, both sides have `least` of them."""

    channels: int
    order: tuple[int, ...] | Callable[[np.ndarray], np.ndarray]
    wide: bool = False
    grey: int = 0
    group: int = 1
    least: int = 1

    @property
    def pixel_bytes(self) -> int:
        """Bytes of a pixel."""
        return self.channels << self.wide


def _bayer(pattern: str) -> Callable[[np.ndarray], np.ndarray]:
    return lambda samples: demosaic(samples[..., 0], pattern)


def _yuv(order: str) -> Callable[[np.ndarray], np.ndarray]:
    return lambda samples: yuv422(samples.reshape(len(samples), -1, 4), order)


_CHANNELS = {
    "mono": (1, (0, 0, 0), 0),
    "rgb": (3, (0, 1, 2), 1),
    "bgr": (3, (2, 1, 0), 1),
    "rgba": (4, (0, 1, 2), 1),
    "bgra": (4, (2, 1, 0), 1),
}
ENCODINGS = {
    f"{name}{bits}": Encoding(channels, order, bits == 16, grey)
    for name, (channels, order, grey) in _CHANNELS.items()
    for bits in (8, 16)
}
PAINTED = tuple(ENCODINGS)  # what `image_to_ros` writes
ENCODINGS |= {
    f"bayer_{pattern}{bits}": Encoding(1, _bayer(pattern), bits == 16, least=2) for pattern in BAYER for bits in (8, 16)
}
ENCODINGS |= {
    name: Encoding(2, _yuv(order), grey=YUV422[order][0], group=2)
    for name, order in (("yuv422", "uyvy"), ("uyvy", "uyvy"), ("yuv422_yuy2", "yuyv"), ("yuyv", "yuyv"))
}
# The first bytes of a file; others (EPS, which runs a program, among them) are not opened for a message.
_FILES = {b"\xff\xd8\xff": "jpeg", b"\x89PNG\r\n\x1a\n": "png", b"RIFF": "webp"}


def image_from_ros(message: Image, name: str = "image") -> np.ndarray:
    """The picture, uint8 [height, width, 3]. Raises RequestError, which calls the message `name`."""
    encoding, samples = _samples(message, name)
    return samples[..., list(encoding.order)] if isinstance(encoding.order, tuple) else encoding.order(samples)


def image_to_ros(pixels: np.ndarray, encoding: str = "rgb8", *, bigendian: bool = False) -> Image:
    """RGB pixels, uint8 [height, width, 3], in one of PAINTED; a mono picture has their green. Header left empty."""
    if encoding not in PAINTED:
        raise RequestError(f"encoding is {encoding!r}: one of {', '.join(PAINTED)} wanted")
    pixels = np.asarray(pixels)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise RequestError(f"pixels are {pixels.dtype} {pixels.shape}: uint8 [height, width, 3] wanted")
    how = ENCODINGS[encoding]
    samples = np.full((*pixels.shape[:2], how.channels), 255, np.uint8)
    for colour, channel in enumerate(how.order):
        if how.channels > 1 or colour == 1:
            samples[..., channel] = pixels[..., colour]
    if how.wide:
        samples = (samples.astype(np.uint16) * 257).astype(">u2" if bigendian else "<u2")
    message = Image(height=pixels.shape[0], width=pixels.shape[1], encoding=encoding, is_bigendian=int(bigendian))
    message.step = message.width * how.pixel_bytes
    message.data = array.array("B", samples.tobytes())
    return message


def compressed_from_ros(message: CompressedImage, name: str = "compressed_image") -> Pillow.Image:
    """The RGB picture of a JPEG, PNG or WebP message. Raises RequestError, which calls the message `name`."""
    return open_image(_file(message, name), f"{name}.data")


def compressed_to_ros(data: bytes) -> CompressedImage:
    """A JPEG, PNG or WebP file's bytes as they are. Header left empty. Raises RequestError for other files."""
    message = CompressedImage(data=array.array("B", data))
    message.format = _kind(data, "picture")
    return message


def pictures_from_ros(images: Iterable[Image], compressed: Iterable[CompressedImage]) -> list[Pillow.Image]:
    """The pictures of a request's fields `images` and `compressed_images`, in this order. Raises RequestError."""
    images, compressed = list(images), list(compressed)
    count = len(images) + len(compressed)
    if count > MAX_IMAGES:
        raise RequestError(f"images and compressed_images have {count} pictures, at most {MAX_IMAGES} are taken")
    found = [open_image(image_from_ros(image, f"images[{i}]"), f"images[{i}]") for i, image in enumerate(images)]
    return found + [compressed_from_ros(image, f"compressed_images[{i}]") for i, image in enumerate(compressed)]


def picture_to_ros(source) -> Image | CompressedImage:
    """A message of whatever is a picture: a message, the path or the bytes of a file, a PIL image, an array.

    A JPEG, PNG or WebP file travels as it is. Raises RequestError.
    """
    if isinstance(source, (Image, CompressedImage)):
        return source
    data = source
    if not isinstance(source, (np.ndarray, Pillow.Image, bytes, bytearray, memoryview)):
        try:
            data = Path(source).read_bytes()
        except (OSError, TypeError, ValueError) as error:
            raise RequestError(f"picture {source!r} cannot be read ({error})") from None
    if isinstance(data, (bytes, bytearray, memoryview)) and _kind_or_none(bytes(data)):
        return compressed_to_ros(bytes(data))
    return image_to_ros(np.asarray(open_image(data, "picture")))


def pictures_to_ros(sources: Iterable) -> tuple[list[Image], list[CompressedImage]]:
    """The fields `images` and `compressed_images` for pictures in order (each as in `picture_to_ros`).

    A raw picture behind a compressed one would come before it, so then all are sent raw. Raises RequestError.
    """
    messages = [picture_to_ros(source) for source in sources]
    raw = [isinstance(message, Image) for message in messages]
    if raw != sorted(raw, reverse=True):
        messages = [
            message if is_raw else image_to_ros(np.asarray(compressed_from_ros(message, f"picture {i}")))
            for i, (message, is_raw) in enumerate(zip(messages, raw, strict=True))
        ]
        raw = [True] * len(messages)
    return messages[: sum(raw)], messages[sum(raw) :]


def in_text(text: str, pictures: list) -> str:
    """A prompt that has a MARK for each picture: `text`, or all marks before it where it has none."""
    return text if MARK in text else MARK * len(pictures) + text


def in_messages(messages: list[dict], pictures: list) -> list[dict]:
    """llm_core's messages of texts with `pictures` as parts: at the MARKs of the users' turns, or before the last one's
    text where there are none. Raises RequestError for another number of marks, and where no user says anything."""
    turns = [i for i, message in enumerate(messages) if message["role"] == "user"]
    marks = sum(messages[i]["content"].count(MARK) for i in turns)
    if not turns:
        raise RequestError(f"messages: {len(pictures)} pictures, but no user's turn to put them in")
    if marks not in (0, len(pictures)):
        raise RequestError(f"messages have {marks} times {MARK!r}, but there are {len(pictures)} pictures")
    texts = {i: messages[i]["content"] for i in turns}
    if not marks:
        texts = {turns[-1]: in_text(texts[turns[-1]], pictures)}
    following = iter(pictures)
    return [
        {**message, "content": _parts(texts[i], following)} if i in texts else message
        for i, message in enumerate(messages)
    ]


def _parts(text: str, pictures: Iterator) -> str | list[dict]:
    first, *others = text.split(MARK)
    if not others:
        return text
    parts = [{"type": "text", "text": first}]
    for rest in others:
        parts += [{"type": "image", "image": next(pictures)}, {"type": "text", "text": rest}]
    return [part for part in parts if part.get("text") != ""]


def thumbnail(message: Image | CompressedImage) -> np.ndarray:
    """Brightness, float32 [THUMBNAIL, THUMBNAIL] in 0…1: means over the fields of a grid. Raises RequestError.

    A cheap look: colours are not computed, a JPEG is decoded at a fraction of its size.
    """
    if isinstance(message, CompressedImage):
        data = _file(message, "image")
        try:
            picture = Pillow.open(io.BytesIO(data))
            if picture.width * picture.height > MAX_PIXELS:
                raise ValueError(f"{picture.width} x {picture.height} pixels")
            picture.draft("L", (2 * THUMBNAIL, 2 * THUMBNAIL))
            picture = picture.convert("L")
        except Exception as error:  # Pillow's readers raise whatever they meet in a broken file
            raise RequestError(f"image.data is a broken picture ({error})") from None
    else:
        encoding, samples = _samples(message, "image")
        picture = Pillow.fromarray(np.ascontiguousarray(samples[..., encoding.grey]), "L")
    small = picture.resize((THUMBNAIL, THUMBNAIL), Pillow.Resampling.BOX)
    return np.asarray(small, np.float32) / np.float32(255)


def changed_share(before: np.ndarray, after: np.ndarray) -> float:
    """The share, 0…1, of the fields of two thumbnails whose brightness differs by more than LEVEL of the whole range,
    beyond what all have in common (the camera's exposure)."""
    difference = after - before
    return float(np.mean(np.abs(difference - np.median(difference)) > LEVEL))


def _samples(message: Image, name: str) -> tuple[Encoding, np.ndarray]:
    """(encoding, uint8 [height, width, channels]) of a message whose fields fit each other."""
    encoding = ENCODINGS.get(message.encoding)
    if encoding is None:
        raise RequestError(f"{name}.encoding is {message.encoding!r}: one of {', '.join(ENCODINGS)} wanted")
    height, width, step = message.height, message.width, message.step
    if not height or not width or height * width > MAX_PIXELS:
        raise RequestError(f"{name}: {width} x {height} pixels (width x height), 1 to {MAX_PIXELS:,} wanted")
    if width % encoding.group:
        raise RequestError(f"{name}.width is {width}: {message.encoding} has groups of {encoding.group} pixels")
    if min(height, width) < encoding.least:
        raise RequestError(
            f"{name}: {width} x {height} pixels: {message.encoding} has sides of {encoding.least} or more"
        )
    row = width * encoding.pixel_bytes
    if step < row:
        raise RequestError(f"{name}.step is {step}: {width} pixels of {message.encoding} take {row} bytes")
    if len(message.data) != step * height:
        raise RequestError(
            f"{name}.data has {len(message.data)} bytes: {height} rows of {step} (height, step) are {step * height}"
        )
    if message.is_bigendian not in (0, 1):
        raise RequestError(f"{name}.is_bigendian is {message.is_bigendian}: 0 or 1 wanted")
    samples = np.frombuffer(message.data, np.uint8).reshape(height, step)[:, :row]
    if encoding.wide:
        samples = samples[:, 0 if message.is_bigendian else 1 :: 2]
    return encoding, samples.reshape(height, width, encoding.channels)


def _file(message: CompressedImage, name: str) -> bytes:
    if "compressedDepth" in message.format:
        raise RequestError(f"{name}.format is {message.format!r}: a picture of depths, JPEG, PNG or WebP wanted")
    data = bytes(message.data)
    _kind(data, f"{name}.data")
    return data


def _kind(data: bytes, name: str) -> str:
    found = _kind_or_none(data)
    if found is None:
        begins = f"begins with {data[:8].hex(' ')}" if data else "is empty"
        raise RequestError(f"{name} {begins}: a JPEG, PNG or WebP file wanted")
    return found


def _kind_or_none(data: bytes) -> str | None:
    return next((kind for begin, kind in _FILES.items() if data.startswith(begin)), None)
