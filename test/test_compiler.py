"""Compiled operations on disk, and the helpers that compile them: what is kept, what is not believed, who fails."""

import copy
import ctypes
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from llm_core.kernels import compiler, jit, objects, threads
from llm_core.kernels.bandwidth import read_memory


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty cache folder, for this process and its helpers."""
    monkeypatch.setenv("LLM_CORE_CACHE", str(tmp_path))
    jit.cache_folder.cache_clear()
    yield jit.cache_folder()
    jit.cache_folder.cache_clear()


def fresh(op):
    """The operation, not yet compiled nor linked."""
    other = copy.copy(op)
    other._address = None
    return other


def adds(address):
    """Does the code at `address` sum a buffer as `read_memory` does?"""
    source, out = np.arange(512, dtype=np.uint8), np.zeros(256, np.uint8)
    row = np.zeros(threads.ROW_WORDS, np.int64)
    row[2:5] = source.ctypes.data, source.nbytes, out.ctypes.data
    call = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 4)(address)
    call(row.ctypes.data, 0, 0, 1)
    first, last = source[:128], source.reshape(-1, 128).sum(axis=0, dtype=np.uint8)
    expected = (first + last).reshape(2, 64).sum(axis=0, dtype=np.uint8)
    return (out[:64] == expected).all() and not out[64:].any()


def test_what_one_process_compiled_another_links(folder, monkeypatch):
    assert adds(fresh(read_memory).address)
    monkeypatch.setattr(jit, "CFunc", None)  # nothing can be compiled any more
    again = fresh(read_memory)
    assert again.on_disk() and adds(again.address)


@pytest.mark.parametrize("at", [0, 30, 60, -1])
def test_a_damaged_file_is_compiled_again(folder, at):
    fresh(read_memory).address  # noqa: B018 - asking is compiling
    (path,) = folder.iterdir()
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    again = fresh(read_memory)
    assert not again.on_disk()
    assert adds(again.address)
    assert fresh(read_memory).on_disk()


@pytest.mark.parametrize("data", [b"", objects.MAGIC, b"GGUF" * 100])
def test_a_foreign_file_is_not_believed(tmp_path, data):
    path = tmp_path / "x.op"
    path.write_bytes(data)
    assert objects.load(path) is None


def test_code_that_needs_what_is_not_here_is_not_linked(folder):
    fresh(threads.serve_steps).address  # noqa: B018 - asking is compiling
    symbol, _, code = next(folder.iterdir()).read_bytes()[len(objects.MAGIC) + objects.SHA_BYTES :].partition(b"\0")
    assert "clock_gettime" in objects.undefined_names(code)
    assert objects.link(symbol.decode(), code) is not None
    assert objects.link(symbol.decode(), code.replace(b"clock_gettime", b"clock_gettim_")) is None


def test_a_folder_that_cannot_be_made_stops_nothing(folder):
    folder.parent.parent.mkdir(exist_ok=True)
    folder.parent.write_text("a file where the folder should be")
    op = fresh(read_memory)
    compiler.compile_missing([op], lambda what, fraction: None)
    assert adds(op.address)


def test_helpers_compile_too_and_all_is_told(folder, monkeypatch):
    monkeypatch.setattr(compiler, "OPS_PER_PROCESS", 1)
    monkeypatch.setattr(compiler.cpu, "default_threads", lambda: 2)
    take = compiler._take

    def helpers_take(missing):
        return None if threading.current_thread() is threading.main_thread() else take(missing)

    monkeypatch.setattr(compiler, "_take", helpers_take)
    told = []
    ops = [fresh(op) for op in (read_memory, threads.run_step, threads.publish_step)]
    compiler.compile_missing(ops, lambda what, fraction: told.append((what, fraction)))
    monkeypatch.setattr(jit, "CFunc", None)  # the helper has done it all, or the next line fails
    assert all(op.on_disk() for op in ops) and adds(ops[0].address)
    assert all(0 <= fraction < 1 and what.startswith("compiling ") for what, fraction in told)


@pytest.mark.parametrize("python", ["/bin/false", "/no/such/python"])
def test_helpers_that_die_or_cannot_start_are_done_without(folder, monkeypatch, python):
    monkeypatch.setattr(compiler, "OPS_PER_PROCESS", 1)
    monkeypatch.setattr(compiler.cpu, "default_threads", lambda: 3)
    monkeypatch.setattr(compiler.sys, "executable", python)
    ops = [fresh(op) for op in (read_memory, threads.publish_step)]
    compiler.compile_missing(ops, lambda what, fraction: None)
    assert adds(ops[0].address) and all(op.on_disk() for op in ops)


def run_without_numba(script, *args, **environment):
    """What a process of its own prints that imports numba only if it has to."""
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, args)],
        env={**os.environ, **{name: str(value) for name, value in environment.items()}},
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


ANSWER = """
import sys
from llm_core import Engine, SamplingParams
with Engine(sys.argv[1], n_ctx=256, n_threads=2) as engine:
    print(engine.generate("The capital of France is", SamplingParams(temperature=0, max_tokens=1)).text)
print("numba" in sys.modules)
import numba  # and it still works

@numba.njit
def refuse(value):
    if value > 0:
        raise ValueError("refused")
    return [value]

try:
    print(refuse(0), refuse(1))
except ValueError as error:
    print(error)
"""


def test_where_all_is_compiled_numba_is_not_imported(default_engine, default_model_path):
    assert run_without_numba(ANSWER, default_model_path) == ["Paris", "False", "refused"]


COMPILE = """
import sys
from llm_core.kernels import bandwidth, compiler, jit, threads
compiler.OPS_PER_PROCESS = 1
if sys.argv[1] == "alone":
    compiler.sys.executable = "/no/such/python"
ops, told = [bandwidth.read_memory, threads.publish_step], []
compiler.compile_missing(ops, lambda what, fraction: told.append((what, fraction)))
print(all(op.address for op in ops), all(op.on_disk() for op in ops), "numba" in sys.modules)
print(len(told) > 0 and all(0 <= fraction < 1 for _, fraction in told))
import llm_core.kernels
print(sys.modules["llm_core.kernels.jit"] is jit is llm_core.kernels.jit)
pool = threads.ThreadPool(1)
print(bandwidth.read_bandwidth(1 << 20, pool) > 0)
"""


@pytest.mark.parametrize("who", ["helpers", "alone"])
def test_numba_is_imported_by_helpers_or_where_there_are_none(tmp_path, who):
    printed = run_without_numba(COMPILE, who, LLM_CORE_CACHE=tmp_path)
    assert printed == ["True", "True", str(who == "alone"), "True", "True", "True"]


def test_without_a_folder_a_process_compiles_for_itself(tmp_path):
    (tmp_path / "kernels").write_text("a file where the folder should be")
    printed = run_without_numba(COMPILE, "helpers", LLM_CORE_CACHE=tmp_path)
    assert printed == ["True", "True", "True", "True", "True", "True"]
