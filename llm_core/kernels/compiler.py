"""Compiling the operations of a program that are not on disk yet: helpers take one after the other, and so does this
process if numba is imported here anyway.

numba holds the interpreter's lock while it compiles, so helpers are processes that read "module name" lines, compile
that operation into the cache folder and answer with a line. A helper that fails is given up; what it had taken is
compiled here.
"""

import importlib
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path

from llm_core.kernels import cpu, deferred, jit

# A helper takes about as long to start as an operation takes to compile, and needs 200 MB while it works.
OPS_PER_PROCESS, MAX_HELPERS = 3, 3
_ROOT = Path(__file__).parents[2]
_HELP = f"import numba; from {__name__} import serve; serve()"  # numba first: see deferred.py


def compile_missing(ops: list[jit.Op], say: Callable[[str, float], None]) -> None:
    """Compile what is not on disk, telling say(what, fraction) which operation is on the way."""
    # The longest first, so that all end together: the largest kernels are in the largest files.
    missing = deque(sorted((op for op in ops if not op.on_disk()), key=_source_size, reverse=True))
    wanted = list(missing)

    def tell(op):
        say(f"compiling {op} (once on this machine)", max(len(wanted) - len(missing) - 1, 0) / len(wanted))

    helpers = _start_helpers(_helpers_for(len(wanted)), missing)
    try:
        while (deferred.HERE or not helpers) and (op := _take(missing)) is not None:
            tell(op.name)
            op.address  # noqa: B018 - asking is compiling
        for helper in helpers:
            while helper.thread.is_alive():
                tell(helper.at or wanted[0].name)
                helper.thread.join(0.5)
        for op in wanted:  # what a helper had taken when it failed
            op.address  # noqa: B018
    finally:
        for helper in helpers:
            helper.end()


def _helpers_for(n_ops: int) -> int:
    """How many helpers to start for so many operations: one for each CPU, this process counting as one if it
    compiles."""
    if not _can_keep():
        return 0
    if deferred.HERE:
        return min(n_ops // OPS_PER_PROCESS, cpu.default_threads() - 1, MAX_HELPERS)
    return min(-(-n_ops // OPS_PER_PROCESS), cpu.default_threads(), MAX_HELPERS)


def _start_helpers(count: int, missing: deque) -> list["_Helper"]:
    """`count` helpers, or fewer where no program can be started (an embedded or emulated Python)."""
    helpers = []
    try:
        for _ in range(count):
            helpers.append(_Helper(missing))
    except OSError:
        pass  # this process compiles alone
    return helpers


class _Helper:
    """A process that compiles, and the thread that tells it what; `at` is the operation on the way."""

    def __init__(self, missing: deque):
        self.at = ""
        self._missing = missing
        paths = filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")])
        self._process = subprocess.Popen(
            [sys.executable, "-c", _HELP],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )
        self.thread = threading.Thread(target=self._run, name="llm_core-compiler", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self._ask("")  # until it is ready, others may take the work
            while (op := _take(self._missing)) is not None:
                self.at = op.name
                self._ask(f"{op.function.__module__} {op.name}")
        except (OSError, EOFError):
            pass  # what it had taken is not on disk: it is compiled when its address is asked for

    def _ask(self, line: str) -> None:
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()
        if not self._process.stdout.readline():
            raise EOFError

    def end(self) -> None:
        """End the process and the thread."""
        self._process.kill()
        self.thread.join()
        self._process.stdout.close()
        try:
            self._process.stdin.close()
        except OSError:
            pass  # an unsent line of a process that is gone
        self._process.wait()


def _can_keep() -> bool:
    """Can helpers hand over what they compile?"""
    folder = jit.cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)


def _source_size(op: jit.Op) -> int:
    return Path(op.function.__code__.co_filename).stat().st_size


def _take(missing: deque) -> jit.Op | None:
    try:
        return missing.popleft()
    except IndexError:
        return None


def serve() -> None:
    """A helper's life: answer every line when it is done."""
    for line in sys.stdin:
        if line.strip():
            module, name = line.split()
            importlib.import_module(module)
            jit.find(name).address  # noqa: B018 - asking is compiling
        print("done", flush=True)
