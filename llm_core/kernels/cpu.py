"""Which instruction set the kernels are written for: one ISA level, chosen once per process.

The level is the best one that this CPU has, or the one named by the environment variable LLM_CORE_ISA (so that each can
be tested on a bigger CPU; naming one that the CPU lacks is a ModelError). It decides how `dot.py` spells the few
operations that plain LLVM vectors cannot say (integer dot products, byte table look-ups) and how many activation
columns a kernel takes at once. Everything else is left to LLVM, which splits 16-lane values into the registers that
exist.
"""

import ctypes
import functools
import hashlib
import os
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import llvmlite.binding as llvm

from llm_core.errors import ModelError
from llm_core.kernels import deferred

_CPUS = Path("/sys/devices/system/cpu")
X86, ARM = ("x86_64", "AMD64"), ("aarch64", "arm64")


def _linux_grants_tiles() -> bool:
    """Ask Linux for the tile registers of AMX, which a process has to do before it uses them (arch_prctl(2):
    ARCH_REQ_XCOMP_PERM of XFEATURE_XTILEDATA). Refused where it does not know them, or where a thread's signal stack
    is too small to save them."""
    return sys.platform == "linux" and ctypes.CDLL(None).syscall(158, 0x1023, 18) == 0


@dataclass(frozen=True)
class Level:
    """One instruction-set level: what it needs, the widest tile of activation columns that its registers hold, how many
    panels of weights a tile of expanded ones has (each then takes its part of the columns), the columns of a wide tile
    (0: there is none) that takes one expanded panel, and whether the system lets this process use it."""

    name: str
    machines: tuple[str, ...]
    features: tuple[str, ...]
    max_columns: int
    tile_panels: int = 1
    wide_columns: int = 0
    granted: Callable[[], bool] = lambda: True


_AVX512_VNNI = ("avx512f", "avx512bw", "avx512vl", "avx512vnni", "f16c")

# Best last. "generic" has no needs: plain LLVM vectors on any machine.
LEVELS = {
    level.name: level
    for level in (
        Level("generic", (), (), 2),
        Level("avx2", X86, ("avx2", "fma", "f16c"), 4),
        Level("avxvnni", X86, ("avx2", "fma", "f16c", "avxvnni"), 4),
        Level("avx512vnni", X86, _AVX512_VNNI, 8, tile_panels=2),
        Level("amx", X86, (*_AVX512_VNNI, "amx-tile", "amx-int8"), 8, 2, wide_columns=16, granted=_linux_grants_tiles),
        Level("neon", ARM, ("dotprod",), 4),
        Level("neon_i8mm", ARM, ("dotprod", "i8mm"), 4),
    )
}


# Linux tells an ARM program its CPU's features in words of bits (AT_HWCAP 16, AT_HWCAP2 26; asm/hwcap.h of the kernel).
# LLVM looks for fewer: it finds neither of these by itself, unless it knows the CPU by name.
_LINUX_ARM = {"dotprod": (16, 20), "i8mm": (26, 13)}


def _linux_arm_features() -> dict[str, bool]:
    getauxval = ctypes.CDLL(None).getauxval
    getauxval.restype, getauxval.argtypes = ctypes.c_ulong, [ctypes.c_ulong]
    return {name: bool(getauxval(word) >> bit & 1) for name, (word, bit) in _LINUX_ARM.items()}


def _features() -> llvm.FeatureMap:
    """This CPU's features: those that LLVM finds and those that it overlooks."""
    features = llvm.get_host_cpu_features()
    if sys.platform == "linux" and platform.machine() in ARM:
        features.update(_linux_arm_features())
    return features


def _tell_numba() -> None:
    """Tell numba of the features that LLVM overlooks. It sets its compiler up once in a process, when the first
    function is decorated; every module of kernels imports this one before it decorates."""
    from numba.core import config

    if config.CPU_FEATURES is None and sys.platform == "linux" and platform.machine() in ARM:
        config.CPU_FEATURES = _features().flatten()


if deferred.HERE:
    _tell_numba()


def _compiler() -> tuple[str, str, str]:
    """The machine, the CPU's name and its features that numba compiles for, or would if it were imported."""
    if not deferred.HERE:
        return llvm.get_default_triple(), llvm.get_host_cpu_name(), _features().flatten()
    from numba.core.registry import cpu_target

    return cpu_target.target_context.codegen().magic_tuple()


@functools.cache
def host_features() -> frozenset[str]:
    """The CPU features, by LLVM's names, that numba compiles for: this machine's, or those of NUMBA_CPU_FEATURES.

    A process that used numba before it imported this module has to do without the ones that LLVM overlooks.
    """
    _, _, enabled = _compiler()
    return frozenset(feature[1:] for feature in enabled.split(",") if feature.startswith("+"))


def available(level: Level) -> bool:
    """Can this machine run `level`?"""
    if level.machines and platform.machine() not in level.machines:
        return False
    return host_features().issuperset(level.features) and level.granted()


def is_zen4() -> bool:
    """Is this an AMD processor with AVX-512 (Zen 4 or later)? Only AMD's have SSE4a."""
    return "sse4a" in host_features() and available(LEVELS["avx512vnni"])


@functools.cache
def isa() -> Level:
    """The level in use. Raises ModelError when LLM_CORE_ISA names one that does not exist or that this CPU lacks."""
    wanted = os.environ.get("LLM_CORE_ISA", "")
    if not wanted:
        return [level for level in LEVELS.values() if available(level)][-1]
    if wanted not in LEVELS:
        raise ModelError(f"LLM_CORE_ISA={wanted!r}: unknown level; one of {', '.join(LEVELS)}")
    if not available(LEVELS[wanted]):
        raise ModelError(f"LLM_CORE_ISA={wanted!r}: this CPU lacks it (needs {', '.join(LEVELS[wanted].features)})")
    return LEVELS[wanted]


def fingerprint() -> str:
    """A short hash of what compiled kernels depend on besides their sources: the level, and numba's compiler."""
    text = "|".join([isa().name, *_compiler()])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def usable_cpus() -> list[int]:
    """The numbers of the CPUs that this process may run on."""
    try:
        return sorted(os.sched_getaffinity(0))
    except AttributeError:
        return list(range(os.cpu_count() or 1))


def cpus_by_core() -> list[int]:
    """The same, one of each physical core first, then the cores' further hardware threads."""
    taken: dict[str, int] = {}
    order = []
    for number in usable_cpus():
        try:
            core = (_CPUS / f"cpu{number}" / "topology" / "thread_siblings_list").read_text()
        except OSError:
            core = str(number)
        order.append((taken.setdefault(core, 0), number))
        taken[core] += 1
    return [number for _, number in sorted(order)]


def default_threads() -> int:
    """How many kernel threads to use when nobody says: the CPUs that this process may run on."""
    return len(usable_cpus())
