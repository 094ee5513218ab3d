"""Public names of a package that are loaded on first use, so that importing the package costs nothing."""

from collections.abc import Callable, Mapping
from importlib import import_module


def lazy(package: str, namespace: dict, homes: Mapping[str, str]) -> tuple[list[str], Callable, Callable]:
    """`__all__`, `__getattr__` and `__dir__` of a package. `namespace`: its globals(); `homes`: module → its public
    names, separated by spaces."""
    home = {name: module for module, names in homes.items() for name in names.split()}

    def load(name: str):
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        namespace[name] = value = getattr(import_module(home[name]), name)
        return value

    return sorted(home), load, lambda: sorted({*namespace, *home})
