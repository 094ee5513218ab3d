"""numba's names for the kernels, or stand-ins for them in a process that has nothing to compile.

Importing numba takes a quarter of a start, and a process whose operations are on disk needs only their addresses and
the constants beside them. So kernels take numba's names from here: its own where numba was imported before or is told
by its settings how to compile, else stand-ins that leave functions as they are. What has to be compiled is then
compiled by helper processes (`compiler.py`) or, where there are none, by a second copy of the kernels' modules in this
process (`find_compiled_here`).
"""

import importlib
import os
import sys
import threading
from pathlib import Path

# What numba compiles for may be set from outside; only numba itself knows how.
_SETTINGS = ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES", "NUMBA_ENABLE_AVX")
HERE = "numba" in sys.modules or any(name in os.environ for name in _SETTINGS) or Path(".numba_config.yaml").exists()

if HERE:
    from numba import njit, types
    from numba.core import cgutils
    from numba.core.ccallback import CFunc
    from numba.core.imputils import lower_constant
    from numba.core.typing.templates import AbstractTemplate, infer_global, signature
    from numba.extending import intrinsic, lower_builtin, models, overload, register_model, typeof_impl
else:

    def _leave(function):
        return function

    def _decorator(*_args, **_options):
        return _leave

    class _Type:
        """A type of numba's: it has a name, and as a function's result it takes those of the arguments."""

        def __init__(self, name):
            self.name = name

        def __call__(self, *_arguments):
            return self

    class _Types:
        Type = _Type

        def __getattr__(self, name):
            made = _Type(name)
            setattr(self, name, made)
            return made

    class models:  # noqa: N801 - numba's name
        """Base classes of data models."""

        OpaqueModel = PrimitiveModel = object

    class typeof_impl:  # noqa: N801 - numba's name
        """The registry of `typeof`."""

        register = staticmethod(_decorator)

    types = _Types()
    intrinsic = _leave
    njit = infer_global = lower_builtin = lower_constant = overload = register_model = _decorator
    AbstractTemplate = object
    cgutils = CFunc = signature = None  # for what runs while something is compiled

__all__ = [
    "HERE",
    "AbstractTemplate",
    "CFunc",
    "cgutils",
    "find_compiled_here",
    "infer_global",
    "intrinsic",
    "lower_builtin",
    "lower_constant",
    "models",
    "njit",
    "overload",
    "register_model",
    "signature",
    "typeof_impl",
    "types",
]

_PACKAGE = __name__.rpartition(".")[0]
_lock = threading.Lock()
_copy: dict = {}  # the modules' second copy, by name


def find_compiled_here(module: str, name: str):
    """The operation `name` of `module`, of a copy of the kernels' modules that numba compiles; numba is imported."""
    with _lock:
        own = _take_modules()
        sys.modules.update(_copy)
        try:
            importlib.import_module("numba")
            importlib.import_module(module)
            return sys.modules[f"{_PACKAGE}.jit"].find(name)
        finally:
            _copy.update(_take_modules())
            sys.modules.update(own)
            parent, _, attribute = _PACKAGE.rpartition(".")
            setattr(sys.modules[parent], attribute, own[_PACKAGE])


def _take_modules() -> dict:
    """The kernels' modules, taken out of those that are imported."""
    names = [name for name in sys.modules if name == _PACKAGE or name.startswith(_PACKAGE + ".")]
    return {name: sys.modules.pop(name) for name in names}
