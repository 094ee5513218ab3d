"""Pictures as callers have them (a path, bytes, a PIL image, an array) → RGB, and the resizing that towers ask for.

`open_image` takes anything and gives an RGB `PIL.Image` that is upright and opaque, or a RequestError that says what is
wrong: no picture, cut off, of no size, or larger than MAX_PIXELS (a bomb is refused before it is unpacked).
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from llm_core.errors import RequestError

MAX_PIXELS = 100_000_000
MAX_BYTES = 256 << 20  # of a file
MAX_RATIO = 200  # between the sides
FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def open_image(source: Any, name: str = "image") -> Image.Image:
    """An RGB picture of a path, a file's bytes, a PIL image or an array (`from_array`). Raises RequestError, which
    calls the picture `name`."""
    if isinstance(source, np.ndarray):
        picture = from_array(source, name)
    elif isinstance(source, Image.Image):
        picture = _decoded(source, name)
    elif isinstance(source, (bytes, bytearray, memoryview)):
        picture = _decoded(_opened(io.BytesIO(bytes(source)), name), name)
    elif isinstance(source, (str, os.PathLike)):
        picture = _decoded(_opened(_file(source, name), f"{name} {os.fspath(source)!r}"), name)
    else:
        raise RequestError(f"{name} is a {type(source).__name__}: a path, bytes, a PIL image or an array wanted")
    if max(picture.size) > MAX_RATIO * min(picture.size):
        raise RequestError(f"{name}: {picture.width} x {picture.height} pixels are too narrow (at most 1:{MAX_RATIO})")
    return picture


def from_array(array: np.ndarray, name: str = "image") -> Image.Image:
    """An array [height, width] (grey) or [height, width, 1, 3 or 4] of uint8, uint16 (the upper 8 bits count), bool or
    floats in 0…1 → RGB."""
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4):
        raise RequestError(f"{name}: an array of shape {array.shape}, [height, width] or [height, width, 1|3|4] wanted")
    if not array.size or array.shape[0] * array.shape[1] > MAX_PIXELS:
        raise RequestError(f"{name}: {array.shape[1]} x {array.shape[0]} pixels, 1 to {MAX_PIXELS:,} wanted")
    if array.dtype.kind == "f":
        if not np.isfinite(array).all() or array.min() < 0 or array.max() > 1:
            raise RequestError(f"{name}: floats outside 0…1")
        array = np.rint(array * 255).astype(np.uint8)
    elif array.dtype == bool:
        array = array.astype(np.uint8) * 255
    elif array.dtype == np.uint16:
        array = (array >> 8).astype(np.uint8)
    elif array.dtype != np.uint8:
        raise RequestError(f"{name}: an array of {array.dtype}, uint8, uint16, bool or floats in 0…1 wanted")
    modes = {1: "L", 3: "RGB", 4: "RGBA"}
    count = array.shape[2]
    pixels = np.ascontiguousarray(array[..., 0] if count == 1 else array)
    return _rgb(Image.fromarray(pixels, modes[count]))


def normalised(tile: Image.Image, mean: Sequence[float], std: Sequence[float]) -> np.ndarray:
    """Pixels float32 [height, width, 3]: (x / 255 - mean) / std."""
    pixels = np.asarray(tile, np.float32) / np.float32(255)
    return (pixels - np.asarray(mean, np.float32)) / np.asarray(std, np.float32)


def stretch(image: Image.Image, size: tuple[int, int], resample: str) -> Image.Image:
    """The picture in `size` (width, height), whatever its shape was."""
    return image if image.size == tuple(size) else image.resize(size, FILTERS[resample])


def fit(image: Image.Image, size: tuple[int, int], resample: str, colour=(0, 0, 0)) -> Image.Image:
    """The picture in its shape in the middle of `size`, `colour` around it."""
    wide, high = size
    scale = min(wide / image.width, high / image.height)
    inner = (min(wide, -int(-image.width * scale // 1)), min(high, -int(-image.height * scale // 1)))
    out = Image.new("RGB", (wide, high), colour)
    out.paste(stretch(image, inner, resample), ((wide - inner[0]) // 2, (high - inner[1]) // 2))
    return out


def pad(image: Image.Image, side: int, colour: tuple[int, int, int]) -> Image.Image:
    """The picture padded to a square with `colour`, then resized to side * side."""
    return fit(image, (side, side), "bicubic", colour)


def cut(image: Image.Image, tile: int) -> list[Image.Image]:
    """Tiles row by row; the picture's sides are multiples of `tile`."""
    wide, high = image.size
    return [image.crop((x, y, x + tile, y + tile)) for y in range(0, high, tile) for x in range(0, wide, tile)]


def best_size(size: tuple[int, int], candidates: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """The candidate (width, height) that keeps most of a picture's pixels, and of those the one that wastes least."""

    def gain(candidate: tuple[int, int]) -> tuple[int, int]:
        scale = min(candidate[0] / size[0], candidate[1] / size[1])
        kept = min(int(size[0] * scale) * int(size[1] * scale), size[0] * size[1])
        return kept, kept - candidate[0] * candidate[1]

    return max(candidates, key=gain)


def _file(path: str | os.PathLike, name: str) -> io.BytesIO:
    try:
        if not Path(path).is_file():
            raise RequestError(f"{name}: {os.fspath(path)!r} is no file")
        size = Path(path).stat().st_size
        if size > MAX_BYTES:
            raise RequestError(f"{name}: {os.fspath(path)!r} has {size:,} bytes, at most {MAX_BYTES:,} are read")
        return io.BytesIO(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        raise RequestError(f"{name}: {os.fspath(path)!r} cannot be read ({error})") from None


def _opened(file: io.BytesIO, name: str) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Image.open(file)
    except Image.DecompressionBombError as error:
        raise RequestError(f"{name}: {error}") from None
    except Exception:  # Pillow's readers raise whatever they meet in a broken file
        raise RequestError(f"{name} is no picture of a known format, or a broken one") from None


def _decoded(picture: Image.Image, name: str) -> Image.Image:
    if not 0 < picture.width * picture.height <= MAX_PIXELS:
        raise RequestError(f"{name}: {picture.width} x {picture.height} pixels, 1 to {MAX_PIXELS:,} wanted")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            picture.load()
            return _rgb(ImageOps.exif_transpose(picture))
    except MemoryError:
        raise
    except Exception as error:  # as above
        raise RequestError(f"{name} is broken or cut off ({error})") from None


def _rgb(picture: Image.Image) -> Image.Image:
    """Grey, palette, CMYK, 16 bits: as RGB; what is transparent shows white."""
    if picture.mode.startswith("I") or picture.mode == "F":
        values = np.asarray(picture, np.float64)
        if picture.mode == "F":
            values = values * (255 if values.max(initial=0) <= 1 else 1)
        else:
            values = values / 256 if values.max(initial=0) > 255 else values
        picture = Image.fromarray(np.clip(values, 0, 255).astype(np.uint8), "L")
    if picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        ground = Image.new("RGBA", picture.size, (255, 255, 255, 255))
        return Image.alpha_composite(ground, picture).convert("RGB")
    return picture.convert("RGB")
