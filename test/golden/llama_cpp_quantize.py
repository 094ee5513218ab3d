"""Records what llama.cpp's quantizer does: the type it gives each matrix, and the error it leaves in each format.

Writes test/data/quantized.json. Run from the checkout: `python test/golden/llama_cpp_quantize.py` (needs
llama-cpp-python).
"""

from __future__ import annotations

import ctypes
import json
import sys
import tempfile
from pathlib import Path

import llama_cpp
import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent)]

from quantize_cases import ERROR_FORMATS, MIX_CASES, bell, importances, relative_error, write_case  # noqa: E402

from llm_core.convert.mixes import MIXES  # noqa: E402
from llm_core.gguf import GGMLType, open_gguf  # noqa: E402


def types_of(source: Path, target: Path, file_type: int, weights: dict[str, np.ndarray]) -> dict[str, str | list[str]]:
    """Kind of matrix → its type, or where layers differ each layer's, as llama.cpp quantizes the file."""
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype, params.nthread = file_type, 2
    if weights:
        entries = (llama_cpp.llama_cpp.llama_model_imatrix_data * (len(weights) + 1))()
        for entry, (name, values) in zip(entries, weights.items(), strict=False):
            entry.name, entry.size = name.encode(), values.size
            entry.data = values.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        params.imatrix = ctypes.cast(entries, type(params.imatrix))
    if llama_cpp.llama_model_quantize(str(source).encode(), str(target).encode(), ctypes.byref(params)):
        raise SystemExit(f"llama.cpp refused file type {file_type}")
    found: dict[str, list[str]] = {}
    for name, tensor in open_gguf(target).tensors.items():
        if len(tensor.shape) == 2:
            found.setdefault(name.split(".")[-2], []).append(tensor.type.name)
    return {kind: types if len(set(types)) > 1 else types[0] for kind, types in found.items()}


def error_of(values: np.ndarray, kind: GGMLType) -> float:
    """The relative error that llama.cpp's quantization to `kind` leaves."""
    library = next((Path(llama_cpp.__file__).parent / "lib").glob("libggml-base.so"))
    ggml = ctypes.CDLL(str(library))
    out = np.empty((len(values), values.shape[1] // kind.block * kind.nbytes), np.uint8)
    ggml.ggml_quantize_chunk(
        ctypes.c_int(kind), ctypes.c_void_p(values.ctypes.data), ctypes.c_void_p(out.ctypes.data), ctypes.c_int64(0),
        ctypes.c_int64(len(values)), ctypes.c_int64(values.shape[1]), None,
    )  # fmt: skip
    return relative_error(values, out, kind)


if __name__ == "__main__":
    types: dict[str, dict] = {}
    with tempfile.TemporaryDirectory() as folder:
        for case in MIX_CASES:
            source = write_case(Path(folder) / f"{case}.gguf", case)
            for suffix, weights in (("", {}), ("+imatrix", importances(open_gguf(source)))):
                types[case + suffix] = {
                    name: types_of(source, Path(folder) / "out.gguf", mix.file_type, weights)
                    for name, mix in MIXES.items()
                    if name != "MXFP4" and (name != "Q2_K_S" or weights)  # llama.cpp wants importances for Q2_K_S
                }
    errors = {name: round(error_of(bell(64, 1024), GGMLType[name]), 6) for name in ERROR_FORMATS}
    path = HERE.parent / "data" / "quantized.json"
    record = {"llama_cpp_python": llama_cpp.__version__, "types": types, "errors": errors}
    path.write_text(json.dumps(record, separators=(",", ":")) + "\n")
    print(f"{path}: {path.stat().st_size / 1e3:.0f} kB")
