"""The adapters of an engine by name, and what requests may say about them. Any thread may use it.

A request names adapters and, if it likes, how much of each; what comes out is the runner's adapters with their scales,
in one order whatever the request's, so that equal choices are equal: the cache of prefixes goes by them.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from llm_core.engine.loader import attach
from llm_core.errors import RequestError
from llm_core.hub import resolve
from llm_core.lora import check_scale

AdapterFiles = Mapping[str, "str | Path | tuple[str | Path, float]"]  # name → path or name of the file; usual scale
Choice = str | Sequence[str] | Mapping[str, float]  # names, or how much of each


@dataclass(frozen=True)
class AdapterInfo:
    """What a client may want to know of a loaded adapter."""

    name: str
    path: str
    scale: float  # what a request gets that does not say how much
    default: bool  # used by requests that name no adapters
    size_bytes: int


class Adapters:
    """`runner`: of the model that they belong to; `default`: what requests use that do not choose."""

    def __init__(self, runner) -> None:
        self._runner = runner
        self._loaded: dict[str, tuple[object, AdapterInfo]] = {}
        self._default: tuple = ()
        self._lock = threading.Lock()

    def add(self, name: str, path: str | Path, scale: float, lora) -> None:
        """Make an adapter that the runner has attached known by a name that is not taken."""
        with self._lock:
            self.check_name(name)
            self._loaded[name] = lora, AdapterInfo(name, str(path), scale, False, lora.nbytes)

    def check_name(self, name: str) -> None:
        """Raise RequestError for what cannot be the name of another adapter."""
        if not isinstance(name, str) or not name or len(name) > 200:
            raise RequestError(f"adapters has the name {name!r}: a text of 1 to 200 characters wanted")
        if name in self._loaded:
            raise RequestError(f"adapters: the name {name!r} is taken")

    def load(self, name: str, path: str | Path, scale: float) -> None:
        """Load and attach one more. Raises RequestError, ModelError."""
        self.check_name(name)
        path, scale = check_files({name: (path, scale)})[name]
        self.add(name, path, scale, self._attached(path))

    def remove(self, name: str) -> None:
        """Forget an adapter; requests that use it already go on. Raises RequestError for an unknown name."""
        with self._lock:
            lora, _ = self._find(name, "adapters")
            if any(lora is one for one, _ in self._default):
                raise RequestError(f"adapters: {name!r} is among the default adapters")
            del self._loaded[name]
        self._runner.detach(lora)

    def close(self) -> None:
        """Let go of all."""
        self._loaded, self._default = {}, ()

    def set_default(self, choice: Choice) -> None:
        """What requests use from now on that do not choose. Raises RequestError."""
        self._default = self._chosen(choice, "default_adapters")

    def choose(self, choice: Choice | None) -> tuple:
        """((lora, scale), …) of a request, scales of 0 left out; None: the default. Raises RequestError."""
        return self._default if choice is None else self._chosen(choice, "adapters")

    def infos(self) -> tuple[AdapterInfo, ...]:
        """All that are loaded."""
        default = [lora for lora, _ in self._default]
        return tuple(
            AdapterInfo(info.name, info.path, info.scale, lora in default, info.size_bytes)
            for lora, info in list(self._loaded.values())
        )

    def _attached(self, path: Path):
        from llm_core.models.adapter import load_adapter

        return attach(self._runner, load_adapter(path, self._runner.model))

    def _chosen(self, choice: Choice, field: str) -> tuple:
        if isinstance(choice, str):
            choice = [choice]
        if isinstance(choice, bytes) or not isinstance(choice, (Mapping, Sequence)):
            raise RequestError(f"{field} is {choice!r}: names of adapters, or a mapping from names to scales, wanted")
        found = {}
        for name in choice:
            lora, info = self._find(name, field)
            if lora in found:
                raise RequestError(f"{field} has {name!r} twice")
            scale = choice[name] if isinstance(choice, Mapping) else info.scale
            found[lora] = check_scale(f"{field}[{name!r}]", scale)
        pairs = sorted(found.items(), key=lambda pair: pair[0].number)
        return tuple((lora, scale) for lora, scale in pairs if scale != 0.0)

    def _find(self, name, field: str) -> tuple:
        entry = self._loaded.get(name) if isinstance(name, str) else None
        if entry is None:
            known = ", ".join(map(repr, self._loaded)) or "none"
            raise RequestError(f"{field} has {name!r}: no such adapter is loaded; loaded: {known}")
        return entry


def check_files(files: AdapterFiles) -> dict[str, tuple[Path, float]]:
    """Names → (path, usual scale) of what an engine is given. Raises RequestError, ModelError."""
    if not isinstance(files, Mapping):
        raise RequestError(f"adapters is a {type(files).__name__}: a mapping from names to files wanted")
    return {name: _file(name, value) for name, value in files.items()}


def _file(name, value) -> tuple[Path, float]:
    path, scale = value if isinstance(value, (tuple, list)) and len(value) == 2 else (value, 1.0)
    if not isinstance(path, (str, Path)) or not str(path):
        raise RequestError(f"adapters[{name!r}] is {value!r}: a path, or a path and a scale, wanted")
    return resolve(path, what="adapter"), check_scale(f"adapters[{name!r}]", scale)
