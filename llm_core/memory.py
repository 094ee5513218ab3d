"""How much memory this process may still use, as the kernel and the container's limits say it (Linux).

Used to refuse what cannot fit before it is begun: a size in a file or an option is only a number, and the kernel ends a
process that believes it. A figure that the system does not give is None, and nothing is refused for it.
"""

from __future__ import annotations

import ctypes
import resource
from pathlib import Path

_MEMINFO = Path("/proc/meminfo")
_STATUS = Path("/proc/self/status")
_CGROUP = Path("/proc/self/cgroup")
_CGROUP_ROOT = Path("/sys/fs/cgroup")


def available_bytes() -> int | None:
    """Bytes that can be taken now without swapping: what is free or can be freed, within the limits of the cgroup."""
    known = [_field(_MEMINFO, "MemAvailable"), *(limit - used for limit, used in _cgroups()), _address_space()]
    return min((max(0, n) for n in known if n is not None), default=None)


def total_bytes() -> int | None:
    """Bytes that this process could ever have: RAM and swap, within the limits of the cgroup."""
    ram, swap = _field(_MEMINFO, "MemTotal"), _field(_MEMINFO, "SwapTotal")
    known = [None if ram is None else ram + (swap or 0), *(limit for limit, _ in _cgroups()), _address_space()]
    return min((n for n in known if n is not None), default=None)


def peak_bytes() -> int:
    """Most memory that this process has had resident. Not getrusage's figure, which a child takes over from its
    parent."""
    return _field(_STATUS, "VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def give_back() -> None:
    """Return what was freed to the kernel: after a model is closed, glibc would keep some tens of megabytes of it."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _field(path: Path, field: str) -> int | None:
    """Bytes of a line `field: n kB`."""
    for line in _read(path).splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024
    return None


def _cgroups() -> list[tuple[int, int]]:
    """(limit, bytes in use that cannot be freed) of this process's cgroup and those above it, version 2."""
    line = next((line for line in _read(_CGROUP).splitlines() if line.startswith("0::")), None)
    folder = _CGROUP_ROOT / (line[3:].lstrip("/") if line else "")
    found = []
    for group in (folder, *folder.parents):
        limit = _read(group / "memory.max").strip()
        if limit.isdigit():
            stat = dict(pair.split() for pair in _read(group / "memory.stat").splitlines())
            used = int(_read(group / "memory.current").strip() or 0) - int(stat.get("file", 0))
            found.append((int(limit), used))
        if group == _CGROUP_ROOT:
            break
    return found


def _address_space() -> int | None:
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
