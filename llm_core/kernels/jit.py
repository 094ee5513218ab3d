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
from importlib.metadata import version
from pathlib import Path

import llvmlite

from llm_core.kernels import cpu, deferred, objects
from llm_core.kernels.deferred import CFunc, lower_constant, models, overload, register_model, typeof_impl, types
from llm_core.paths import cache_dir, sources_digest

# error_model="numpy": no division checks. `contract` lets LLVM fuse a*b+c; NaN and infinity keep their meaning.
OPTIONS = {"error_model": "numpy", "fastmath": {"contract"}}
OP_SIGNATURE = types.void(types.int64, types.int64, types.int64, types.int64)

inline = deferred.njit(nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True, **OPTIONS)


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


_lock = threading.Lock()
_ops: dict[str, "Op"] = {}


@functools.cache
def cache_folder() -> Path:
    """The folder of compiled kernels for these sources on this machine."""
    digest = hashlib.sha256(f"{version('numba')}|{llvmlite.__version__}|{cpu.fingerprint()}".encode())
    digest.update(sources_digest(Path(__file__).parent))
    return cache_dir() / "kernels" / digest.hexdigest()[:20]


class Op:
    """An operation of a program, with a name of its own: compiled when its `address` is first asked for, or linked
    from disk."""

    def __init__(self, function):
        self.function = function
        self.name = function.__name__
        self.__doc__ = function.__doc__
        self._address: int | None = None
        _ops[self.name] = self

    @property
    def address(self) -> int:
        """The C function's address."""
        with _lock:
            if self._address is None and not self._load():
                self._compile()
            return self._address

    def on_disk(self) -> bool:
        """Is it there without being compiled?"""
        with _lock:
            return self._address is not None or self._load()

    @property
    def _path(self) -> Path:
        return cache_folder() / f"{self.name}.op"

    def _load(self) -> bool:
        self._address = objects.load(self._path)
        return self._address is not None

    def _compile(self) -> None:
        if not deferred.HERE:
            self._address = deferred.find_compiled_here(self.function.__module__, self.name).address
            return
        compiled = CFunc(self.function, (OP_SIGNATURE.args, OP_SIGNATURE.return_type), {}, dict(OPTIONS))
        compiled.compile()
        _, _, (code, _) = compiled._library.serialize_using_object_code()
        try:
            objects.save(self._path, compiled.native_name, code)
        except OSError:
            pass  # no writable cache folder: the next process compiles again
        self._address = compiled.address


def op(function) -> Op:
    """Decorator: make `function(op, ctx, tid, n_threads)` an operation of a program. Its name must be its own."""
    return Op(function)


def find(name: str) -> Op:
    """The operation of that name, of the modules that were imported."""
    return _ops[name]
