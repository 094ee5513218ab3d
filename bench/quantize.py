"""How fast we quantize, beside llama.cpp's quantizer and the `gguf` package, as ratios of neighbouring turns.

From a real model, first dequantized to F16: each format on the values of its `ffn_down` matrices, one thread each
(ours, ggml's `ggml_quantize_chunk`, and `gguf.quants` where it can write the format); then whole files, F16 → mix, with
`--threads` threads each (ours and `llama_model_quantize`). `python bench/quantize.py [--model M] [--rounds N]
[--formats F,…] [--mixes M,…] [--json]`; needs llama-cpp-python and gguf. The errors are in docs/quantize.md.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import gguf
import llama_cpp
import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent)]

from llm_core.bench.peer import import_llama_cpp  # noqa: E402
from llm_core.catalog import DEFAULT_MODEL  # noqa: E402
from llm_core.convert import MIXES, quantize_model  # noqa: E402
from llm_core.gguf import GGMLType, open_gguf  # noqa: E402
from llm_core.hub import resolve  # noqa: E402
from llm_core.quants import quantize  # noqa: E402

FORMATS = (
    "F16 BF16 Q8_0 Q4_0 Q4_1 Q5_0 Q5_1 Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_NL IQ4_XS MXFP4 TQ1_0 TQ2_0".split()
)  # fmt: skip
FILES = "Q8_0 Q4_0 Q4_1 Q5_0 Q5_1 Q2_K Q3_K_M Q4_K_M Q5_K_M Q6_K IQ4_NL IQ4_XS".split()
COLUMNS = 256  # a row must be whole blocks of every format


def values_of(path: Path, limit: int) -> np.ndarray:
    """Float32 [rows, columns], at most `limit` values, of the model's ffn_down matrices."""
    found, size = [], 0
    with open_gguf(path) as file:
        for name, tensor in file.tensors.items():
            if name.endswith("ffn_down.weight") and tensor.columns % COLUMNS == 0 and size < limit:
                found.append(tensor.dequantize())
                size += tensor.size
    if not found:
        raise SystemExit(f"{path}: rows of ffn_down are no whole number of blocks of {COLUMNS}")
    whole = np.concatenate(found)
    return np.ascontiguousarray(whole[: max(1, limit // whole.shape[1])])


def ggml_chunk() -> Callable[[np.ndarray, GGMLType], None]:
    """ggml's own quantization of rows, one thread."""
    folder = Path(llama_cpp.__file__).parent / "lib"
    ggml = ctypes.CDLL(str(next(folder.glob("libggml-base.so"))))

    def run(values: np.ndarray, kind: GGMLType) -> None:
        rows, columns = values.shape
        out = np.empty((rows, columns // kind.block * kind.nbytes), np.uint8)
        ggml.ggml_quantize_chunk(
            ctypes.c_int(kind), ctypes.c_void_p(values.ctypes.data), ctypes.c_void_p(out.ctypes.data),
            ctypes.c_int64(0), ctypes.c_int64(rows), ctypes.c_int64(columns), None,
        )  # fmt: skip

    return run


def gguf_package(values: np.ndarray, kind: GGMLType) -> None:
    """The reference package; NotImplementedError for a format that it only reads."""
    gguf.quants.quantize(values, gguf.GGMLQuantizationType[kind.name])


def llama_quantize(source: Path, target: Path, mix: str, threads: int) -> None:
    """llama.cpp's quantizer on a file."""
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype, params.nthread = MIXES[mix].file_type, threads
    if llama_cpp.llama_model_quantize(str(source).encode(), str(target).encode(), ctypes.byref(params)):
        raise SystemExit(f"llama.cpp refused {mix}")


def turns(rounds: int, sides: dict[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Seconds of each side in each round, one after the other."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, run in sides.items():
            started = time.perf_counter()
            run()
            found[name].append(time.perf_counter() - started)
    return found


def row(name: str, seconds: dict[str, list[float]], amount: float) -> dict[str, object]:
    """Rates of all sides (amount a second) and how many times faster we are than each, medians over turns."""
    found: dict[str, object] = {"name": name, "seconds": seconds, "rate": {}, "ratio": {}}
    for side, times in seconds.items():
        found["rate"][side] = amount / statistics.median(times)
        if side != "ours":
            ratios = [theirs / ours for theirs, ours in zip(times, seconds["ours"], strict=True)]
            found["ratio"][side] = statistics.median(ratios)
    return found


def measure_formats(path: Path, names: list[str], limit: int, rounds: int) -> list[dict]:
    """One row a format, M values a second."""
    values, chunk, rows = values_of(path, limit), ggml_chunk(), []
    for name in names:
        print(f"format {name}", file=sys.stderr, flush=True)
        kind = GGMLType[name]
        sides = {"ours": lambda k=kind: quantize(values, k), "llama_cpp": lambda k=kind: chunk(values, k)}
        try:
            gguf_package(values[:1], kind)
            sides["gguf"] = lambda k=kind: gguf_package(values, k)
        except NotImplementedError:
            pass
        turns(1, sides)  # to warm up
        rows.append(row(name, turns(rounds, sides), values.size / 1e6))
    return rows


def measure_files(path: Path, folder: Path, names: list[str], threads: int, rounds: int) -> list[dict]:
    """One row a mix, MB of the F16 file a second."""
    ours, theirs, rows = folder / "ours.gguf", folder / "theirs.gguf", []
    for name in names:
        print(f"file {name}", file=sys.stderr, flush=True)
        sides = {
            "ours": lambda n=name: quantize_model(path, ours, n, threads=threads),
            "llama_cpp": lambda n=name: llama_quantize(path, theirs, n, threads),
        }
        rows.append(row(name, turns(rounds, sides), path.stat().st_size / 1e6))
    return rows


def table(rows: list[dict], unit: str) -> str:
    """The rows as a Markdown table."""
    lines = [f"| type | ours, {unit} | llama.cpp | ratio | gguf | ratio |", "| --- | --- | --- | --- | --- | --- |"]
    for found in rows:
        cells = [found["name"], f"{found['rate']['ours']:.3g}"]
        for side in ("llama_cpp", "gguf"):
            known = side in found["rate"]
            cells += [f"{found['rate'][side]:.3g}", f"{found['ratio'][side]:.2f}"] if known else ["", ""]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=DEFAULT_MODEL, help="path or name of a GGUF model (default: %(default)s)")
    parser.add_argument("--formats", default=",".join(FORMATS), help="formats to measure on values; empty: none")
    parser.add_argument("--mixes", default=",".join(FILES), help="mixes to measure on whole files; empty: none")
    parser.add_argument("--values", type=float, default=4.0, help="million values a turn (default 4)")
    parser.add_argument("--threads", type=int, default=2, help="threads for whole files (default 2)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each (default 3)")
    parser.add_argument("--folder", type=Path, help="where files are written (default: the system's temporary folder)")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    import_llama_cpp()  # silenced
    formats, mixes = ([name for name in text.split(",") if name] for text in (args.formats, args.mixes))
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        source = Path(folder) / "f16.gguf"
        quantize_model(resolve(args.model), source, "F16")
        result = {
            "formats": measure_formats(source, formats, int(args.values * 1e6), args.rounds),
            "files": measure_files(source, Path(folder), mixes, args.threads, args.rounds),
        }
    if args.json:
        print(json.dumps(result))
    else:
        print(table(result["formats"], "M values/s"), "", table(result["files"], "MB of F16/s"), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
