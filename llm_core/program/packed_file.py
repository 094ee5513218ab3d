"""The cache of packed weights on disk: one file for each model file, written whole or not at all.

A file is named by its model's path and begins with a key: a hash of what the packed bytes depend on (the model file,
the packers' sources, the ISA level, the layout). A file with another key is out of date. Behind the key stands a sum
of each CHUNK of the weights, so that a file that lost pages, in a power cut for instance, is noticed and made again.
Nothing that goes wrong here stops a model from being loaded.

`LLM_CORE_WEIGHT_CACHE` is how many gigabytes all files may take (default 20; 0: keep none); the least recently used
ones go first.
"""

from __future__ import annotations

import hashlib
import json
import logging
import mmap
import os
import shutil
import struct
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from llm_core import paths
from llm_core.errors import RequestError
from llm_core.gguf import GGUFFile

log = logging.getLogger(__name__)

VARIABLE, DEFAULT_GB = "LLM_CORE_WEIGHT_CACHE", 20.0
SUFFIX, UNFINISHED = ".weights", ".part"
# What is smaller is packed in less time than it is worth.
MIN_BYTES = 16 << 20
CHUNK = 8 << 20
HUGE_PAGE = 2 << 20  # the weights begin on the border of one, in the file as in memory
UNFINISHED_SECONDS = 24 * 3600  # an unfinished file as old as this was left behind by a process that died

_HEADER = struct.Struct("<24s32sQ")
_MAGIC = b"llm_core packed weights1"

Each = Callable[[str, Callable, list], list]  # (what is being done, work, items) → results, by several threads


def folder() -> Path:
    """Where the files are."""
    return paths.cache_dir() / "weights"


def limit_bytes() -> int:
    """How much all files may take. Raises RequestError when LLM_CORE_WEIGHT_CACHE is no size."""
    text = os.environ.get(VARIABLE, "")
    try:
        gigabytes = float(text) if text else DEFAULT_GB
    except ValueError:
        gigabytes = -1.0
    if not 0 <= gigabytes < 1e9:
        raise RequestError(f"{VARIABLE}={text!r}: a number of gigabytes wanted (0: no cache)")
    return int(gigabytes * 1e9)


def packed_file(file: GGUFFile, size: int, depends_on: list) -> PackedFile | None:
    """The cache's file for `size` bytes of packed weights of this model; None: not to be kept.

    depends_on: what else the packed bytes depend on, as plain data. Raises RequestError (`limit_bytes`).
    """
    limit = limit_bytes()
    if not MIN_BYTES <= size <= limit:
        return None
    digest = hashlib.sha256(json.dumps([size, CHUNK, depends_on]).encode())
    for path in file.parts:
        try:
            found = path.stat()
        except OSError:
            return None  # the file was removed after it was opened
        digest.update(json.dumps([os.path.realpath(path), found.st_size, found.st_mtime_ns]).encode())
    for mapping, end in _headers(file):
        digest.update(mapping.view(0, end))
    name = hashlib.sha256(os.path.realpath(file.path).encode()).hexdigest()[:20]
    return PackedFile(folder() / (name + SUFFIX), digest.digest(), size, limit)


def _headers(file: GGUFFile) -> list[tuple]:
    """(mapping, where its first tensor begins) of each part."""
    starts: dict = {}
    for tensor in file.tensors.values():
        starts[tensor.mapping] = min(tensor.offset, starts.get(tensor.mapping, tensor.offset))
    return list(starts.items())


class PackedFile:
    """One file of the cache: `load` what it holds, or `write` it."""

    def __init__(self, path: Path, key: bytes, size: int, limit: int):
        self.path, self.key, self.size, self.limit = path, key, size, limit
        self._chunks = [slice(start, min(start + CHUNK, size)) for start in range(0, size, CHUNK)]
        self._data_at = -(-(_HEADER.size + 8 * len(self._chunks)) // HUGE_PAGE) * HUGE_PAGE

    def load(self, each: Each) -> np.ndarray | None:
        """The weights, uint8 [size]: mapped, where the system maps files in huge pages, else read into memory that
        is. None when there is no such file, or it is not whole."""
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return None
        try:
            if not self._is_ours(fd):
                return None
            sums = os.pread(fd, 8 * len(self._chunks), _HEADER.size)
            memory = self._map(fd)
            if maps_in_huge_pages(memory[self._chunks[0]]):
                found = each("reading weights", lambda chunk: _sum(memory[chunk]), self._chunks)
            else:
                memory = huge_pages(self.size)
                found = each("reading weights", lambda chunk: self._read(fd, memory, chunk), self._chunks)
            if np.array(found, np.uint64).tobytes() != sums:
                raise OSError("it is damaged")
            _touch(fd)
            return memory
        except (OSError, ValueError) as error:
            log.warning("%s cannot be read (%s): packing the weights again", self.path, error)
            return None
        finally:
            os.close(fd)

    def _is_ours(self, fd: int) -> bool:
        header = os.pread(fd, _HEADER.size, 0)
        return header == _HEADER.pack(_MAGIC, self.key, self.size) and os.fstat(fd).st_size == self._data_at + self.size

    def _map(self, fd: int) -> np.ndarray:
        mapped = mmap.mmap(fd, self._data_at + self.size, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ)
        _ask_for_huge_pages(mapped)
        return np.frombuffer(mapped, np.uint8, self.size, self._data_at)

    def _read(self, fd: int, memory: np.ndarray, chunk: slice) -> int:
        view, done = memory[chunk], 0
        while done < len(view):
            n = os.preadv(fd, [view[done:]], self._data_at + chunk.start + done)
            if n == 0:
                raise OSError("it has become shorter")
            done += n
        return _sum(view)

    def write(self, memory: np.ndarray, each: Each) -> None:
        """Keep `memory` for the next start; says in the log when that is not possible."""
        part = None
        try:
            self._make_room()
            fd, part = tempfile.mkstemp(UNFINISHED, self.path.stem + "-", self.path.parent)
            try:
                found = each("keeping packed weights", lambda chunk: self._write(fd, memory, chunk), self._chunks)
                _write_all(fd, _HEADER.pack(_MAGIC, self.key, self.size) + np.array(found, np.uint64).tobytes(), 0)
            finally:
                os.close(fd)
            os.replace(part, self.path)
            part = None
        except OSError as error:
            log.warning("packed weights are not kept in %s (%s): the next start packs again", self.path.parent, error)
        finally:
            if part is not None:
                _remove(Path(part))

    def _write(self, fd: int, memory: np.ndarray, chunk: slice) -> int:
        view = memory[chunk]
        _write_all(fd, view, self._data_at + chunk.start)
        return _sum(view)

    def _make_room(self) -> None:
        """Remove what is out of date, then the least recently used, until this file fits; OSError: the disk is
        full."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        _remove(self.path)
        for path in self.path.parent.glob("*" + UNFINISHED):
            if time.time() - _stat(path)[0] > UNFINISHED_SECONDS:
                _remove(path)
        used = sorted((*_stat(path), path) for path in self.path.parent.glob("*" + SUFFIX))
        total = self._data_at + self.size + sum(size for _, size, _ in used)
        for _, size, path in used:
            if total > self.limit:
                _remove(path)
                total -= size
        free = shutil.disk_usage(self.path.parent).free
        if 2 * self.size > free:
            raise OSError(f"{self.size / 1e9:.1f} GB would be more than half of the {free / 1e9:.1f} GB that are free")


def huge_pages(size: int) -> np.ndarray:
    """uint8 [size] of zeros on a huge page's border, in huge pages if the system has them. MemoryError."""
    try:
        memory = mmap.mmap(-1, size + HUGE_PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError as error:
        raise MemoryError(f"{size / 1e9:.1f} GB of packed weights: {error}") from error
    _ask_for_huge_pages(memory)
    start = -np.frombuffer(memory, np.uint8).ctypes.data % HUGE_PAGE
    return np.frombuffer(memory, np.uint8, size, start)


def _ask_for_huge_pages(memory: mmap.mmap) -> None:
    try:
        memory.madvise(mmap.MADV_HUGEPAGE)
    except (AttributeError, OSError):
        pass  # a system without them: plain pages


def maps_in_huge_pages(view: np.ndarray) -> bool:
    """Does the system map (at least part of) this view of a file in huge pages? Reads it to find out."""
    _sum(view)
    address, inside = view.ctypes.data, False
    try:
        lines = Path("/proc/self/smaps").read_text().splitlines()
    except OSError:
        return False
    for line in lines:
        name, _, value = line.partition(":")
        if "-" in name:  # "7f12…-7f34… r--s …": the next mapping
            first, _, last = line.split()[0].partition("-")
            inside = int(first, 16) <= address < int(last, 16)
        elif inside and name == "FilePmdMapped":
            return int(value.split()[0]) > 0
    return False


def _sum(view: np.ndarray) -> int:
    """The sum of the 8-byte words, modulo 2^64 (weights are whole cache lines)."""
    return int(np.add.reduce(view.view(np.uint64)))


def _write_all(fd: int, data, at: int) -> None:
    view, done = memoryview(data), 0
    while done < len(view):
        done += os.pwrite(fd, view[done:], at + done)


def _stat(path: Path) -> tuple[float, int]:
    """(last use, size); of a file that another process has just removed, nothing."""
    try:
        found = path.stat()
        return found.st_mtime, found.st_size
    except OSError:
        return 0.0, 0


def _touch(fd: int) -> None:
    """The file was used now."""
    try:
        os.utime(fd)
    except OSError:
        pass  # a read-only folder


def _remove(path: Path) -> None:
    try:
        path.unlink()
    except OSError:
        pass  # gone already, or not ours to remove
