"""Where sound comes from when it comes by no topic: a WAV file, or a microphone of this computer.

`open_source(kind, …)` gives an object to iterate over for pieces of float32 at 16 kHz; `close()`, from any thread, ends
the iteration. A microphone is read through the package sounddevice, an extra, or through the program `arecord` of ALSA.
"""

from __future__ import annotations

import importlib
import importlib.util
import queue
import shutil
import subprocess
from collections.abc import Callable

from llm_ros.voice.audio import RATE, AudioError, from_s16le, read_wav

PIECE = RATE // 20  # samples: 50 ms
_BACKLOG = 200  # pieces that wait before the oldest is lost


class WavSource:
    """The sound of a WAV file, as fast as it is taken."""

    def __init__(self, path: str):
        self._path, self._closed = path, False

    def __iter__(self):
        for piece in read_wav(self._path):
            if self._closed:
                return
            yield piece

    def close(self) -> None:
        """Ends the iteration."""
        self._closed = True


class ArecordSource:
    """The program `arecord`, read through its pipe. Raises AudioError if it is not there or ends with an error."""

    def __init__(self, device: str = ""):
        program = shutil.which("arecord")
        if program is None:
            raise AudioError("arecord is not installed (Debian, Ubuntu: apt install alsa-utils)")
        command = [program, "-q", "-t", "raw", "-f", "S16_LE", "-c", "1", "-r", str(RATE)]
        self._closed = False
        self._process = subprocess.Popen(
            [*command, *(["-D", device] if device else [])],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def __iter__(self):
        while data := self._process.stdout.read(2 * PIECE):
            yield from_s16le(data[: len(data) // 2 * 2])
        if not self._closed and self._process.wait() != 0:
            why = self._process.stderr.read().decode(errors="replace").strip()
            raise AudioError(f"arecord ended with code {self._process.returncode}: {why[:300]}")

    def close(self) -> None:
        """Ends the recording and the iteration."""
        self._closed = True
        self._process.terminate()
        self._process.wait()


class SounddeviceSource:
    """The package sounddevice. Raises AudioError if there is no such microphone."""

    def __init__(self, device: str = "", load: Callable = importlib.import_module):
        self._pieces: queue.Queue[bytes | None] = queue.Queue(_BACKLOG)
        try:
            library = load("sounddevice")
            self._stream = library.RawInputStream(
                samplerate=RATE,
                channels=1,
                dtype="int16",
                blocksize=PIECE,
                device=int(device) if device.isdigit() else device or None,
                callback=self._take,
            )
            self._stream.start()
        except (ImportError, OSError) as error:
            raise AudioError(f"sounddevice: {error}; install it with `pip install '.[microphone]'`") from error
        except Exception as error:  # PortAudioError cannot be named before the package is imported
            raise AudioError(f"sounddevice: device {device!r}: {error}") from error

    def _take(self, data, _frames, _time, _status):
        self._put(bytes(data))

    def _put(self, piece):
        while True:
            try:
                self._pieces.put_nowait(piece)
                return
            except queue.Full:
                try:
                    self._pieces.get_nowait()
                except queue.Empty:
                    continue

    def __iter__(self):
        while (piece := self._pieces.get()) is not None:
            yield from_s16le(piece)

    def close(self) -> None:
        """Ends the recording and the iteration."""
        self._stream.close()
        self._put(None)


def _microphone(device: str):
    found = importlib.util.find_spec("sounddevice") is not None
    return SounddeviceSource(device) if found else ArecordSource(device)


_MICROPHONES = {"microphone": _microphone, "arecord": ArecordSource, "sounddevice": SounddeviceSource}
SOURCES = ("topic", "wav", *_MICROPHONES)


def open_source(kind: str, device: str = "", file: str = ""):
    """The source of a kind but "topic"; `device`: which microphone, `file`: which WAV. Raises AudioError."""
    return WavSource(file) if kind == "wav" else _MICROPHONES[kind](device)
