"""Sound as numbers: any PCM WAV or block of samples becomes mono float32 at 16 kHz, in pieces of bounded size.

In: a WAV file (8 to 32 bit PCM or 32 bit float, 1 to 8 channels, 4 to 192 kHz), or raw little-endian 16 bit samples.
Out: float32 in [-1, 1], one channel, `RATE` samples a second. Files are read as they are consumed, so a long one takes
no memory; what is malformed raises AudioError naming the file and the value.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from llm_core.errors import RequestError

RATE = 16000  # samples per second of everything behind this file
RATES = (4000, 192_000)
MAX_CHANNELS = 8
_BLOCK = 4096  # frames read at once
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE


class AudioError(RequestError):
    """Sound that cannot be used: names what is wrong with it, and the file if it came from one."""


def check_format(rate: int, channels: int, where: str = "") -> None:
    """Raises AudioError unless sample rate (1/s) and number of channels are ones that are understood."""
    prefix = f"{where}: " if where else ""
    if not RATES[0] <= rate <= RATES[1]:
        raise AudioError(f"{prefix}sample rate = {rate}: needs {RATES[0]} to {RATES[1]} samples per second")
    if not 1 <= channels <= MAX_CHANNELS:
        raise AudioError(f"{prefix}channels = {channels}: needs 1 to {MAX_CHANNELS}")


def from_s16le(data, channels: int = 1) -> np.ndarray:
    """Little-endian 16 bit samples, channels interleaved, as float32 mono (the channels' mean)."""
    if len(data) % (2 * channels):
        raise AudioError(f"data: {len(data)} bytes are no whole number of frames of {channels} 16 bit samples")
    return np.frombuffer(data, "<i2").reshape(-1, channels).mean(axis=1, dtype=np.float32) / np.float32(32768)


def decode(encoding: str, data: bytes, channels: int = 1) -> np.ndarray:
    """Interleaved samples of an encoding of Audio.msg, "s16le" or "f32le", as float32 mono. Raises AudioError."""
    if encoding == "s16le":
        return from_s16le(data, channels)
    if encoding != "f32le":
        raise AudioError(f"encoding = {encoding!r}: needs s16le or f32le")
    if len(data) % (4 * channels):
        raise AudioError(f"data: {len(data)} bytes are no whole number of frames of {channels} floats")
    values = np.nan_to_num(np.clip(np.frombuffer(data, "<f4"), -1, 1)).astype(np.float32)
    return values.reshape(-1, channels).mean(axis=1)


def to_s16le(samples: np.ndarray) -> bytes:
    """float32 in [-1, 1] as little-endian 16 bit samples; what is louder is clipped."""
    return np.clip(np.rint(samples * 32768.0), -32768, 32767).astype("<i2").tobytes()


class Resampler:
    """Changes the sample rate of a stream: a windowed-sinc low-pass evaluated at the new instants (polyphase).

    Output sample n is the input at time n / `rate_out`; the filter reaches 16 zero crossings to either side and cuts at
    92 % of the lower rate's half. `push` returns what is certain so far, `flush` the rest.
    """

    def __init__(self, rate_in: int, rate_out: int = RATE):
        common = math.gcd(rate_in, rate_out)
        self._up, self._down = rate_out // common, rate_in // common
        scale = max(1.0, rate_in / rate_out)  # a lower output rate needs a longer filter
        self._half = math.ceil(16 * scale)
        cutoff = 0.92 / scale  # of the input's half rate
        offsets = np.arange(-self._half + 1, self._half + 1)
        times = offsets[None, :] - np.arange(self._up)[:, None] / self._up  # [phase, tap], in input samples
        window = np.cos(np.clip(times / self._half, -1, 1) * math.pi / 2) ** 2
        bank = cutoff * np.sinc(cutoff * times) * window
        self._bank = (bank / bank.sum(axis=1, keepdims=True)).astype(np.float32)
        self._same = rate_in == rate_out
        self._buffer = np.zeros(self._half - 1, np.float32)  # the filter's past before the first sample
        self._first = -(self._half - 1)  # input index of the buffer's first sample
        self._next = 0  # index of the next output sample
        self._seen = 0  # input samples so far

    def push(self, samples: np.ndarray) -> np.ndarray:
        """The output that `samples` (float32) make certain."""
        self._seen += len(samples)
        if self._same:
            return samples
        self._buffer = np.concatenate([self._buffer, samples])
        # Output n needs inputs up to floor(n * down / up) + half.
        last = self._first + len(self._buffer) - 1 - self._half
        return self._evaluate(max(self._next, (last + 1) * self._up // self._down if last >= 0 else 0))

    def flush(self) -> np.ndarray:
        """The end of the stream: as many output samples as its duration holds."""
        if self._same:
            return np.zeros(0, np.float32)
        self._buffer = np.concatenate([self._buffer, np.zeros(self._half + 1, np.float32)])
        return self._evaluate(self._seen * self._up // self._down)

    def _evaluate(self, end: int) -> np.ndarray:
        """Output samples self._next to `end`, whose inputs are all in the buffer."""
        where = np.arange(self._next, max(end, self._next), dtype=np.int64) * self._down
        base, phase = where // self._up - self._first, where % self._up
        out = np.empty(len(where), np.float32)
        reach = np.arange(-self._half + 1, self._half + 1)
        for start in range(0, len(where), _BLOCK):
            part = slice(start, start + _BLOCK)
            windows = self._buffer[base[part, None] + reach[None, :]]
            out[part] = np.einsum("ij,ij->i", windows, self._bank[phase[part]])
        self._next += len(where)
        keep = max(0, self._next * self._down // self._up - self._half + 1 - self._first)
        self._buffer, self._first = self._buffer[keep:], self._first + min(keep, len(self._buffer))
        return out


def resample(samples: np.ndarray, rate_in: int, rate_out: int = RATE) -> np.ndarray:
    """A whole signal at another rate: float32 [n] to float32 [n * rate_out // rate_in]."""
    resampler = Resampler(rate_in, rate_out)
    return np.concatenate([resampler.push(np.asarray(samples, np.float32)), resampler.flush()])


def read_wav(path: str | Path) -> Iterator[np.ndarray]:
    """The sound of a WAV file in pieces of float32 at `RATE`. A file that is cut short gives what it holds.

    Raises AudioError, also for a file that cannot be opened, when the first piece is asked for.
    """
    try:
        with open(path, "rb") as file:
            decode, rate, frame, size = _header(file, str(path))
            resampler = Resampler(rate)
            while size > 0:
                data = file.read(min(size, _BLOCK * frame))
                data = data[: len(data) // frame * frame]
                if not data:
                    break
                size -= len(data)
                yield resampler.push(decode(data))
            yield resampler.flush()
    except OSError as error:
        raise AudioError(f"{path}: cannot be read: {error.strerror or error}") from None


def _header(file, name: str):
    """(bytes -> float32 mono, sample rate, bytes per frame, bytes of sound) with the file at its first sample."""
    head = file.read(12)
    if len(head) < 12 or head[:4] != b"RIFF" or head[8:] != b"WAVE":
        raise AudioError(f"{name}: no WAV file")
    layout = None
    while True:
        chunk = file.read(8)
        if len(chunk) < 8:
            raise AudioError(f"{name}: {'no sound in it' if layout else 'no format in it'}")
        kind, size = chunk[:4], struct.unpack("<I", chunk[4:])[0]
        if kind == b"fmt ":
            if not 16 <= size <= 4096:
                raise AudioError(f"{name}: format chunk of {size} bytes")
            layout = _layout(file.read(size + size % 2), name)
        elif kind == b"data":
            if layout is None:
                raise AudioError(f"{name}: no format in it")
            return *layout, size
        else:
            file.seek(size + size % 2, 1)


def _layout(fmt: bytes, name: str):
    if len(fmt) < 16:
        raise AudioError(f"{name}: ends in its format")
    encoding, channels, rate, _, _, bits = struct.unpack("<HHIIHH", fmt[:16])
    if encoding == _EXTENSIBLE and len(fmt) >= 26:
        encoding = struct.unpack("<H", fmt[24:26])[0]
    check_format(rate, channels, name)
    convert = {
        (_PCM, 8): lambda data: (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / 128,
        (_PCM, 16): lambda data: np.frombuffer(data, "<i2").astype(np.float32) / 32768,
        (_PCM, 24): _from_24,
        (_PCM, 32): lambda data: (np.frombuffer(data, "<i4") / 2**31).astype(np.float32),
        (_FLOAT, 32): lambda data: np.nan_to_num(np.clip(np.frombuffer(data, "<f4"), -1, 1)).astype(np.float32),
    }.get((encoding, bits))
    if convert is None:
        raise AudioError(f"{name}: encoding {encoding} with {bits} bits: needs PCM of 8, 16, 24 or 32 bits or float32")

    def decode(data: bytes) -> np.ndarray:
        return convert(data).reshape(-1, channels).mean(axis=1)

    return decode, rate, channels * bits // 8


def _from_24(data: bytes) -> np.ndarray:
    parts = np.frombuffer(data, np.uint8).reshape(-1, 3).astype(np.int32)
    value = parts[:, 0] << 8 | parts[:, 1] << 16 | parts[:, 2] << 24
    return (value / 2**31).astype(np.float32)
