"""Spoken answers through a program: `espeak-ng` reads its standard input aloud. Without it there is only text.

In: texts, spoken one after the other in a thread. `busy` says when the microphone must not be listened to. Knows no
sound device: the program finds its own.
"""

from __future__ import annotations

import queue
import shutil
import subprocess
import threading
import time
from collections.abc import Callable

MAX_CHARS = 600  # a longer text is cut: nobody listens to more, and "stop" is not heard meanwhile
_PATIENCE_S = 120.0


class Speaker:
    """See the module. Thread-safe."""

    def __init__(
        self,
        program: str = "espeak-ng",
        voice: str = "en-us",
        speed: int = 160,
        tail: float = 0.3,
        on_problem: Callable[[str], None] = lambda text: None,
    ):
        """`program`: empty: be silent; `speed`: words a minute; `tail`: seconds after speaking that still count as
        busy (the room's echo, the sound card's buffer); `on_problem`: told why something could not be said."""
        path = shutil.which(program) if program else None
        self.available = path is not None
        self._command = [path, "--stdin", "-v", voice, "-s", str(speed)]
        self._tail, self._on_problem = tail, on_problem
        self._texts: queue.SimpleQueue[tuple[str, Callable] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._waiting = 0
        self._quiet_since = -1e9
        self._process: subprocess.Popen | None = None
        self._closed = False
        if self.available:
            self._thread = threading.Thread(target=self._work, name="llm_ros.speaker", daemon=True)
            self._thread.start()

    @property
    def busy(self) -> bool:
        """Whether something is being said or has just been."""
        with self._lock:
            return self._waiting > 0 or time.monotonic() - self._quiet_since < self._tail

    def say(self, text: str, then: Callable[[], None] = lambda: None) -> None:
        """Speaks the text after those before it; returns at once. `then()` is called when it has been said."""
        if self.available and text.strip():
            with self._lock:
                self._waiting += 1
            self._texts.put((text[:MAX_CHARS], then))
        else:
            then()

    def hush(self) -> None:
        """Stops speaking and forgets what was still to be said."""
        while True:
            try:
                self._texts.get_nowait()
            except queue.Empty:
                break
            with self._lock:
                self._waiting -= 1
        with self._lock:
            process = self._process
        if process is not None:
            process.terminate()

    def close(self) -> None:
        """Falls silent for good."""
        if self.available and not self._closed:
            self._closed = True
            self.hush()
            self._texts.put(None)
            self._thread.join(5.0)

    def _work(self):
        while (item := self._texts.get()) is not None:
            text, then = item
            try:
                self._speak(text)
            except (OSError, subprocess.SubprocessError) as error:
                self._on_problem(f"{self._command[0]}: {error}")
            finally:
                with self._lock:
                    self._process = None
                    self._waiting -= 1
                    self._quiet_since = time.monotonic()
                then()

    def _speak(self, text: str) -> None:
        process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        with self._lock:
            self._process = process
        if self._closed:
            process.terminate()
        try:
            _, problem = process.communicate(text.encode(), timeout=_PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        if process.returncode > 0:
            why = problem.decode(errors="replace").strip()[:200]
            self._on_problem(f"{self._command[0]} ended with code {process.returncode}: {why}")
