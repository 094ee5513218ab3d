"""How kernels are compiled: `inline` for device functions, `op` for the operations that a program calls.

An operation is a C function `void(op, ctx, tid, n_threads)`: `op` is the address of its row in the program (int64
words), `ctx` the address of the step's header, and it writes only the slice of its output that belongs to thread
`tid`. It is compiled when a program first uses it, so that a model pays only for the formats it holds, and kept on
disk in a folder named by a hash of every kernel source, the numba and llvmlite versions and the CPU: numba alone
would not see an edit in another file.
"""

import functools
import hashlib
import threading
import time
from collections.abc import Callable
from pathlib import Path

import llvmlite
import numba
from numba import types
from numba.core import config
from numba.core.ccallback import CFunc
from numba.core.imputils import lower_constant
from numba.extending import models, overload, register_model, typeof_impl

from llm_core.kernels import cpu
from llm_core.paths import cache_dir

# error_model="numpy": no division checks. `contract` lets LLVM fuse a*b+c; NaN and infinity keep their meaning.
OPTIONS = {"error_model": "numpy", "fastmath": {"contract"}}
OP_SIGNATURE = types.void(types.int64, types.int64, types.int64, types.int64)

inline = numba.njit(nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True, **OPTIONS)


class Static:
    """A device function as a compile-time value: numba cannot keep kernels on disk that take plain functions as
    arguments."""

    def __init__(self, function):
        self.name, self.function = function.__name__, inline(function)


class _StaticType(types.Type):
    def __init__(self, static):
        self.static = static
        super().__init__(name=f"Static({static.name})")


register_model(_StaticType)(models.OpaqueModel)


@typeof_impl.register(Static)
def _typeof_static(value, _context):
    return _StaticType(value)


@lower_constant(_StaticType)
def _constant_static(context, _builder, _type, _value):
    return context.get_dummy_value()


def static(function) -> Static:
    """Decorator: a device function that other device functions take as an argument and call with `apply`."""
    return Static(function)


def apply(function, *arguments):
    """Call a `static` function."""
    return function.function(*arguments)


@overload(apply)
def _apply(function, *arguments):
    target = function.static.function
    return lambda function, *arguments: target(*arguments)


@inline
def share(count, tid, n_threads):
    """The slice (first, last) of `count` items that belongs to thread `tid`."""
    return count * tid // n_threads, count * (tid + 1) // n_threads


_compiled: list[tuple[str, float]] = []
# Called with an operation's name before it is compiled (not when it is loaded from disk).
on_compile: list[Callable[[str], None]] = []
_lock = threading.Lock()


@functools.cache
def cache_folder() -> Path:
    """The folder of compiled kernels for these sources on this machine."""
    digest = hashlib.sha256(f"{numba.__version__}|{llvmlite.__version__}|{cpu.fingerprint()}".encode())
    for source in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(source.read_bytes())
    return cache_dir() / "kernels" / digest.hexdigest()[:20]


class _Kernel(CFunc):
    """A C function that says so before it is compiled, and remembers how long that took."""

    def _compile_uncached(self):
        for listener in list(on_compile):
            listener(self.__name__)
        started = time.perf_counter()
        result = super()._compile_uncached()
        _compiled.append((self.__name__, time.perf_counter() - started))
        return result


class Op:
    """An operation of a program: compiled (or loaded from disk) when its `address` is first asked for."""

    def __init__(self, function):
        self.function = function
        self.name = function.__name__
        self.__doc__ = function.__doc__
        self._compiled = None

    @property
    def address(self) -> int:
        """The C function's address."""
        with _lock:
            if self._compiled is None:
                self._compiled = self._compile()
        return self._compiled.address

    def _compile(self) -> _Kernel:
        callback = _Kernel(self.function, (OP_SIGNATURE.args, OP_SIGNATURE.return_type), {}, dict(OPTIONS))
        previous, config.CACHE_DIR = config.CACHE_DIR, str(cache_folder())
        try:
            callback.enable_caching()
        except RuntimeError:
            pass  # no writable cache folder: compile in memory
        finally:
            config.CACHE_DIR = previous
        callback.compile()
        return callback


def op(function) -> Op:
    """Decorator: make `function(op, ctx, tid, n_threads)` an operation of a program."""
    return Op(function)


def compile_times() -> list[tuple[str, float]]:
    """(operation, seconds) of what this process had to compile because the disk did not have it."""
    return list(_compiled)
