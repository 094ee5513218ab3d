"""Runs the cases and says what they found: one JSON object, or a table for people."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import llm_core.bench.cases as cases
from llm_core.bench.bench import Bench, Options
from llm_core.bench.peer import llama_cpp_facts
from llm_core.bench.row import Row
from llm_core.errors import RequestError
from llm_core.kernels import cpu

# In the order of the table; a case that is not named here comes after them.
ORDER = ("decode", "context", "prefill", "streams", "grammar", "prefix", "start", "first-start", "memory", "idle")


def case_names(quick: bool = False) -> list[str]:
    """The cases there are, or those that are measured when nobody chooses."""
    found = [module.name.replace("_", "-") for module in iter_modules(cases.__path__)]
    found.sort(key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))
    return [name for name in found if _case(name).QUICK] if quick else found


def _case(name: str):
    return import_module(f"{cases.__name__}.{name.replace('-', '_')}")


def check_cases(names: Sequence[str]) -> None:
    """Raise RequestError when one does not exist."""
    known = case_names()
    for name in names:
        if name not in known:
            raise RequestError(f"--case {name}: unknown; one of {', '.join(known)}, all")


def measure_cases(
    path: Path, options: Options, names: Sequence[str], say: Callable[[str], None] = lambda text: None
) -> dict:
    """Measure the named cases on a file and return what is printed as JSON: machine, settings, `rows`, and the
    figures of the quick cases under short keys (ours at the top, llama.cpp's under `llama_cpp`). Raises RequestError,
    ModelError.
    """
    check_cases(names)
    bench = Bench(path, options, say)
    try:
        return _as_json(bench, [row for name in names for row in _case(name).measure(bench)])
    finally:
        bench.close()


def _as_json(bench: Bench, rows: Sequence[Row]) -> dict:
    options = bench.options
    result = {
        "model": str(bench.path), "file_mb": bench.file_bytes / 1e6, "threads": options.n_threads,
        "machine": {"cpu": _cpu_name(), "isa": cpu.isa().name, "load_average": bench.load_average, "busy": bench.busy},
        "settings": {
            "prompt_tokens": list(options.prompt_tokens), "gen_tokens": options.gen_tokens, "context": options.context,
            "rounds": options.rounds, "lora": [[str(path), scale] for path, scale in options.adapters],
        },
    }  # fmt: skip
    loaded = vars(bench).get("ours")
    if loaded is not None:
        weights = loaded.weight_bytes
        result |= {"load_s": loaded.load_s, "peak_rss_mb": bench.loaded_peak / 1e6, "weight_mb": weights / 1e6}
        result |= _short_keys(rows, "ours")
        if "decode_tps" in result:
            decode = next(row for row in rows if row.case == "decode")
            result["read_gbps"] = weights * result["decode_tps"] / 1e9
            result |= {"floor_gbps": weights * decode.floor / 1e9, "floor_share": decode.floor_share}
    if options.compare:
        result["llama_cpp"] = _short_keys(rows, "llama_cpp") | llama_cpp_facts()
        if vars(bench).get("peer") is not None:
            result["llama_cpp"]["load_s"] = bench.peer.load_s
    return result | {"rows": [row.as_json() for row in rows]}


def _short_keys(rows: Sequence[Row], side: str) -> dict:
    """decode_tps, prefill_tps and ttft_s (of the first prompt's length); for llama.cpp our ratios to it too."""
    found: dict = {}
    for row in rows:
        if row.case not in ("decode", "prefill") or f"{row.case}_tps" in found:
            continue
        found[f"{row.case}_tps"] = row.ours if side == "ours" else row.theirs
        if side != "ours":
            found[f"{row.case}_ratio"] = row.ratio
        if row.case == "prefill":
            found["ttft_s"] = row.n_tokens / found["prefill_tps"]
    return found


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


FORMATS = ("{:<{}}", *["{:>{}}"] * 5, "{:<{}}", "{:<{}}")
COLUMNS = ("", "ours", "llama.cpp", "ratio", "floor", "share", "goal", "")


def table(result: dict) -> str:
    """The result for people: a line for the machine, one for each row."""
    machine, peer = result["machine"], result.get("llama_cpp")
    lines = [
        f"{result['model']} ({result['file_mb']:.0f} MB), {result['threads']} threads, "
        f"{machine['cpu']} ({machine['isa']})"
    ]
    lines += [f"with {scale:g} times the adapter {path}" for path, scale in result["settings"]["lora"]]
    if peer:
        lines.append(f"llama.cpp: llama-cpp-python {peer['version']}, {peer['system_info']}")
    if machine["busy"]:
        lines.append(f"the load average was {machine['load_average']:.1f} at the start: the figures are doubtful")
    if "load_s" in result:
        lines.append(f"loaded in {result['load_s']:.2f} s, peak memory then {result['peak_rss_mb']:.0f} MB")
    cells = [COLUMNS, *(_cells(row) for row in result["rows"])]
    widths = [max(len(line[i]) for line in cells) for i in range(len(COLUMNS))]
    for line in cells:
        lines.append("  ".join(map(str.format, FORMATS, line, widths)).rstrip())
    return "\n".join(lines)


def _cells(row: dict) -> tuple[str, ...]:
    met = {True: "met", False: "missed", None: ""}[row["met"]]
    share = "" if row["floor_share"] is None else f"{100 * row['floor_share']:.0f} %"
    ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f} x"
    figures = (figure(row[key]) for key in ("ours", "theirs"))
    return f"{row['name']}, {row['unit']}", *figures, ratio, figure(row["floor"]), share, row["goal"], met


def figure(value: float | None) -> str:
    """Three digits that matter; empty for None."""
    if value is None:
        return ""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
