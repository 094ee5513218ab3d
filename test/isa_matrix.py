#!/usr/bin/env python3
"""Every weight format's product at every ISA level, against numpy and against one another.

    isa_matrix.py [FORMAT ...]                       the levels of this machine, each in a process of its own;
                                                     amx by amx_emulator.c where there is AVX-512 VNNI only
    isa_matrix.py --keep FOLDER --here [FORMAT ...]  the level in use, in this process (an emulated machine)
    isa_matrix.py --keep FOLDER --table              compare what FOLDER holds, from whatever machines

A level's process compiles for a CPU that has what the level needs and nothing else (NUMBA_CPU_NAME, _FEATURES): for a
bigger CPU the compiler would use its own instructions around the level's. Ends with status 1 if a bound is broken.

The bounds. Products of bytes are whole numbers below 2^24, and every level adds the same floats in the same order with
fused multiply-adds: so levels agree bit for bit. One thing differs: where the machine only multiplies unsigned by
signed bytes (VNNI), weights that are signed bytes are raised by 128, and 128 times the sum of the activations comes off
in a rounding of its own. There, levels agree to NEAR times the largest result. All come as near as EXACT to
numpy in double precision.
"""

import argparse
import hashlib
import os
import platform
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "test")]

from kernel_helpers import multiply, packed, quantized, random_weights  # noqa: E402
from naive import quantize_rows  # noqa: E402

from llm_core.gguf import GGMLType  # noqa: E402
from llm_core.kernels import cpu  # noqa: E402
from llm_core.kernels.matmul import PANEL_FORMATS  # noqa: E402
from llm_core.paths import sources_digest  # noqa: E402
from llm_core.quants import format_of  # noqa: E402

EXACT, NEAR = 3e-6, 1e-6
SHIFTED = ("avxvnni", "avx512vnni", "amx")  # levels that raise signed weights
SIGNED = ("Q8_0", "IQ4_NL", "IQ4_XS")  # formats whose packed weights are signed bytes
FLOATS = ("F32", "F16", "BF16")
N_ROWS = 67  # of activations: a whole group that shares an expanded chunk, and a part of a tile
N_WEIGHTS = 40  # rows: the last panel is half empty


@dataclass
class Result:
    """What one level made of one format: float32 [N_ROWS, N_WEIGHTS]; its error against numpy, relative to the largest
    result; does each row come out the same in steps of 1, 2 and N_ROWS rows?"""

    out: np.ndarray
    error: float
    steady: bool
    inputs: str
    sources: str


def sources() -> str:
    """Of the kernels: results of different sources are not compared."""
    return sources_digest(ROOT / "llm_core" / "kernels").hex()


def measure(kind: GGMLType) -> Result:
    """One format at the level in use."""
    rng = np.random.default_rng(kind)
    k = 512 if kind.name in FLOATS else 512 + format_of(kind).block  # the last chunk is not a whole one
    raw, values = random_weights(kind, N_WEIGHTS, k, rng)
    x = rng.uniform(-2, 2, (N_ROWS, k)).astype(np.float32)
    rows, x_read = quantize_rows(x) if PANEL_FORMATS[kind].quantized else (x, x)
    weights = packed(kind, raw)
    out = multiply(kind, weights, k, rows, n_threads=2)
    steady = all(np.array_equal(multiply(kind, weights, k, rows[5 : 5 + n]), out[5 : 5 + n]) for n in (1, 2, 3))
    expected = x_read.astype(np.float64) @ values.T.astype(np.float64)
    out = out[:, :N_WEIGHTS]
    error = np.abs(out - expected).max() / np.abs(expected).max()
    inputs = hashlib.sha256(raw.tobytes() + rows.tobytes()).hexdigest()
    return Result(out, float(error), steady, inputs, sources())


def measure_quantization() -> Result:
    """The activations' own kernel: its bytes must be numpy's, and its floats within two roundings."""
    x = np.random.default_rng(7).uniform(-2, 2, (5, 544)).astype(np.float32)
    ours, wanted = quantized(x)[0], quantize_rows(x)[0]
    k = x.shape[1]
    same = np.array_equal(ours[:, :k], wanted[:, :k])
    floats, expected = (np.ascontiguousarray(a[:, k : k + k // 2]).view(np.float32) for a in (ours, wanted))
    error = np.abs(floats - expected).max() / np.abs(expected).max()
    return Result(floats, float(error), same, hashlib.sha256(x.tobytes()).hexdigest(), sources())


MEASURES = {"quantize": measure_quantization} | {kind.name: (lambda kind=kind: measure(kind)) for kind in PANEL_FORMATS}


def label(level: cpu.Level) -> str:
    """The name of a level's results: one for each family of processors."""
    return level.name if level.machines else f"{level.name}-{platform.machine()}"


def run_here(names, folder: Path) -> None:
    """Measure `names` at the level in use and keep the results."""
    own = folder / label(cpu.isa())
    own.mkdir(parents=True, exist_ok=True)
    for name in names:
        np.savez(own / f"{name}.npz", **vars(MEASURES[name]()))
        print(own.name, name, flush=True)


def levels() -> list[cpu.Level]:
    """Those that run here; level amx also by emulation of what it has more than avx512vnni."""
    emulated = ("amx",) if cpu.available(cpu.LEVELS["avx512vnni"]) else ()
    return [level for level in cpu.LEVELS.values() if cpu.available(level) or level.name in emulated]


def environment(level: cpu.Level, folder: Path) -> dict[str, str]:
    """A process's, whose compiler knows of nothing but what the level needs; `folder`: for an emulator."""
    features = ",".join(f"+{feature}" for feature in level.features)
    told = {"LLM_CORE_ISA": level.name, "NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": features}
    if not cpu.available(level):
        source, library = Path(__file__).with_name("amx_emulator.c"), folder / "amx_emulator.so"
        compiler = os.environ.get("CC", "cc")
        subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
        told["LD_PRELOAD"] = str(library)
    return os.environ | told


def at_every_level(*arguments: str) -> None:
    """Run Python with `arguments` at every level of this machine, in as many processes at a time as there are CPUs.
    Raises CalledProcessError."""

    def run(level):
        with tempfile.TemporaryDirectory() as passing:
            told = environment(level, Path(passing))
            subprocess.run([sys.executable, *arguments], env=told, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)

    with ThreadPoolExecutor(cpu.default_threads()) as pool:
        list(pool.map(run, levels()))


def run_levels(names, folder: Path) -> None:
    """Measure `names` at every level. Raises CalledProcessError."""
    at_every_level(__file__, "--here", "--keep", str(folder), *names)


def results(folder: Path) -> dict[str, dict[str, Result]]:
    """What a folder holds: label → name → result. Results of other sources are left out."""
    found, order = {}, list(cpu.LEVELS)
    for own in sorted(folder.iterdir(), key=lambda own: (order.index(own.name.split("-")[0]), own.name)):
        for path in sorted(own.glob("*.npz")):
            with np.load(path) as kept:
                result = Result(**{name: kept[name] if name == "out" else kept[name].item() for name in kept})
            if result.sources == sources():
                found.setdefault(own.name, {})[path.stem] = result
    return found


def faults(found: dict[str, dict[str, Result]]) -> list[str]:
    """What breaks a bound, in words; empty if all is well."""
    broken = []
    for level, by_name in found.items():
        for name, result in by_name.items():
            if not result.error < EXACT:
                broken.append(f"{level} {name}: {result.error:.1e} of the largest result away from numpy")
            if not result.steady:
                broken.append(f"{level} {name}: not the same in steps of other sizes")
    for name in MEASURES:
        group = {level: by_name[name] for level, by_name in found.items() if name in by_name}
        first = next(iter(group), None)
        for level in list(group)[1:]:
            if group[level].inputs != group[first].inputs:
                broken.append(f"{level} {name}: not the inputs of {first}")
            elif not (difference := distance(group[first], group[level])) <= allowed(name, first, level):
                broken.append(f"{level} {name}: {difference:.1e} of the largest result away from {first}")
    return broken


def distance(a: Result, b: Result) -> float:
    """The largest difference, relative to the largest result."""
    return float(np.abs(a.out - b.out).max() / np.abs(a.out).max())


def allowed(name: str, *levels: str) -> float:
    """How far two levels' results may be apart."""
    if name == "quantize":
        return 2**-23  # sums may be taken with or without a fused multiply-add
    return NEAR if name in SIGNED and any(level in SHIFTED for level in levels) else 0.0


def table(found: dict[str, dict[str, Result]]) -> str:
    """Markdown: errors against numpy, and `=` where a level has the bits of the first one."""
    lines = [f"| format | {' | '.join(found)} |", f"| --- |{' --- |' * len(found)}"]
    for name in MEASURES:
        group = {level: by_name[name] for level, by_name in found.items() if name in by_name}
        if not group:
            continue
        first, cells = next(iter(group.values())), []
        for level in found:
            if level not in group:
                cells.append("")
            elif group[level] is first:
                cells.append(f"{first.error:.1e}")
            elif np.array_equal(group[level].out, first.out):
                cells.append("=")
            else:
                cells.append(f"{group[level].error:.1e} (± {distance(first, group[level]):.0e})")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(arguments=None) -> int:
    """Run as the module says; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("formats", nargs="*", metavar="FORMAT", help=f"default: all of {', '.join(MEASURES)}")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where results are kept")
    parser.add_argument("--here", action="store_true", help="only the level in use, in this process")
    parser.add_argument("--table", action="store_true", help="measure nothing")
    options = parser.parse_args(arguments)
    if unknown := set(options.formats) - set(MEASURES):
        parser.error(f"unknown FORMAT {', '.join(sorted(unknown))}; one of {', '.join(MEASURES)}")
    if (options.here or options.table) and options.keep is None:
        parser.error("--here and --table need --keep FOLDER")
    names = options.formats or list(MEASURES)
    if options.here:
        run_here(names, options.keep)
        return 0
    with tempfile.TemporaryDirectory() as passing:
        folder = options.keep or Path(passing)
        if not options.table:
            run_levels(names, folder)
        found = results(folder)
    print(table(found))
    broken = faults(found)
    print(*broken, sep="\n", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
