"""Renders an untrusted Jinja template with bounded time, memory and output: `Sandbox(source).render(variables) -> str`.

A template comes with the model file, from anyone. Jinja's sandbox keeps it from Python's objects but not from `'a' *
10**9` or endless loops inside one C call, so it runs in a small process of its own (sandbox_worker.py) whose limits
the kernel enforces. The process starts at the first rendering, is kept for the next, and ends with this object.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llm_core.errors import ModelError, RequestError

CPU_S = 0.5
MEMORY_MB = 256
MAX_CHARS = 4 << 20
WALL_S = 15.0  # the last resort, when the machine is too busy for the process to use its second
_WORKER = Path(__file__).with_name("sandbox_worker.py")


class TemplateRefused(RequestError):
    """The template itself said no to the conversation (`raise_exception`): the caller's roles, not a broken model."""


class Sandbox:
    """One template. Thread safe: renderings wait for each other."""

    def __init__(self, source: str, cpu_s: float = CPU_S, memory_mb: int = MEMORY_MB, max_chars: int = MAX_CHARS):
        self.source = source
        self.cpu_s, self.memory_mb, self.max_chars = cpu_s, memory_mb, max_chars
        self._lock = threading.Lock()
        self._closed = False
        self._process: subprocess.Popen[bytes] | None = None
        self._finalizer: weakref.finalize | None = None

    def render(self, variables: Mapping[str, Any]) -> str:
        """The text.

        RequestError: variables that are not JSON, or the sandbox is closed. TemplateRefused: see there. ModelError: a
        template that is broken or takes too much.
        """
        try:
            sent = json.dumps(dict(variables))
        except (TypeError, ValueError, RecursionError) as error:
            raise RequestError(f"messages: not plain data ({error})") from None
        # a long conversation may take its own length several times over
        limit = self.max_chars + 4 * len(sent)
        request = json.dumps({"cpu_s": self.cpu_s + len(sent) / 4e6, "max_chars": limit})
        request = f'{request[:-1]}, "variables": {sent}}}\n'
        with self._lock:
            reply = self._exchange(request.encode())
        if "text" in reply:
            return reply["text"]
        kind = TemplateRefused if reply["raised"] else ModelError
        raise kind(f"chat template: {reply['error']}")

    def close(self) -> None:
        """End the process, after the rendering that it may be at; no other starts."""
        with self._lock:
            self._closed = True
            self._stop()

    def _exchange(self, request: bytes) -> dict[str, Any]:
        if self._closed:
            raise RequestError("chat template: closed, it renders no more")
        if self._process is not None and self._process.poll() is not None:
            self._stop()  # something else ended it between two renderings
        if self._process is None:
            self._start()
        process = self._process
        try:
            process.stdin.write(request)
            process.stdin.flush()
            line = self._read_line(process, time.monotonic() + WALL_S)
        except BrokenPipeError:
            line = b""
        if line.endswith(b"\n"):
            return json.loads(line)
        self._stop()
        return {"error": self._cause_of_death(process.returncode), "raised": False}

    def _start(self) -> None:
        # no shell, no arguments from the file; the source goes through the pipe
        process = subprocess.Popen(
            [sys.executable, str(_WORKER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self._process = process
        self._finalizer = weakref.finalize(self, _end, process)
        setup = {"source": self.source, "memory_mb": self.memory_mb}
        process.stdin.write(json.dumps(setup).encode() + b"\n")

    def _stop(self) -> None:
        if self._finalizer is not None:
            self._finalizer()
        self._process = self._finalizer = None

    def _cause_of_death(self, code: int | None) -> str:
        if code == -signal.SIGPROF:
            return f"took more than {self.cpu_s:g} s of computing"
        if code == -signal.SIGKILL:
            return f"gave no answer within {WALL_S:g} s"
        return f"its process ended with status {code}"

    @staticmethod
    def _read_line(process: subprocess.Popen[bytes], deadline: float) -> bytes:
        """One line, or what there was when the process ended or the time was up (then it is killed)."""
        fd = process.stdout.fileno()
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        chunks: list[bytes] = []
        while not (chunks and chunks[-1].endswith(b"\n")):
            left = deadline - time.monotonic()
            if left <= 0:
                process.kill()
                break
            if poll.poll(left * 1000):
                chunk = os.read(fd, 1 << 20)
                if not chunk:
                    process.wait()
                    break
                chunks.append(chunk)
        return b"".join(chunks)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Close the pipes and end the process."""
    for pipe in (process.stdin, process.stdout):
        try:
            pipe.close()
        except OSError:  # unsent bytes of a process that is gone
            continue
    if process.poll() is None:
        process.kill()
    process.wait()
