"""The ISA levels: each gives the same products (`isa_matrix.py`; here with a few formats), each becomes the
instructions that it is named for, and half precision without instructions for it is numpy's."""

import contextlib
import ctypes
import platform
import sys

import isa_matrix
import llvmlite.binding as llvm
import numpy as np
import pytest
from llvmlite import ir

from llm_core.kernels import cpu, dot, halves
from llm_core.kernels.matmul import words16
from llm_core.kernels.vectors import I16, I32, I64, load_at, store_at

# One per way of multiplying: 4-bit and 6-bit unsigned weights, signed bytes, signed bytes by a table.
CHOSEN = ("Q4_1", "Q6_K", "Q8_0", "IQ4_NL")


if platform.machine() in cpu.ARM and sys.platform == "linux":

    def test_level_is_what_arm_linux_tells():
        """Whichever module came first, numba compiles for the features that LLVM overlooks."""
        told = cpu._linux_arm_features()
        assert cpu.isa().name == ("generic" if not told["dotprod"] else "neon_i8mm" if told["i8mm"] else "neon")


def test_levels_agree(tmp_path):
    """Every level of this machine, each compiled for a CPU that has no more than the level needs."""
    isa_matrix.run_levels(("quantize", *CHOSEN), tmp_path)
    found = isa_matrix.results(tmp_path)
    assert list(found) == [isa_matrix.label(level) for level in isa_matrix.levels()]
    assert all(len(by_name) == 1 + len(CHOSEN) for by_name in found.values())
    assert isa_matrix.faults(found) == []


def test_products_of_16_bit_integers_at_every_level():
    """Where there are none a level is passed over; an error ends its process with one."""
    lines = (
        "import sys",
        "sys.path.insert(0, 'test')",
        "import test_vision_kernels as own",
        "own.int16.AVAILABLE and own.check_products_of_16_bit_integers(37, 40, 588)",
        "own.int16.AVAILABLE and own.check_attention(own.full_attention16, 150, 2, 40, (64, 65, 129), 1.5e-3)",
    )
    isa_matrix.at_every_level("-c", "\n".join(lines))


def test_the_matrix_sees_faults():
    """One wrong bit in one level's result, a result that depends on the step, and inputs that differ."""
    good = isa_matrix.Result(np.ones((2, 2), np.float32), 1e-7, True, "inputs", "sources")
    bad = {
        "Q4_1": isa_matrix.Result(np.float32([[1, 1], [1, 1 + 2**-23]]), 1e-7, True, "inputs", "sources"),
        "Q8_0": isa_matrix.Result(good.out * 2, 1e-5, False, "inputs", "sources"),
        "F16": isa_matrix.Result(good.out, 1e-7, True, "others", "sources"),
    }
    faults = isa_matrix.faults({"generic": dict.fromkeys(bad, good), "avx512vnni": bad})
    for name, count in (("Q4_1", 1), ("Q8_0", 3), ("F16", 1)):
        assert sum(f"avx512vnni {name}:" in fault for fault in faults) == count, faults


def function(emit, name="f"):
    """A module of one function `void(int64, int64)`; `emit(builder, a, b)` writes its body."""
    module = ir.Module()
    made = ir.Function(module, ir.FunctionType(ir.VoidType(), [I64, I64]), name=name)
    builder = ir.IRBuilder(made.append_basic_block())
    emit(builder, *made.args)
    builder.ret_void()
    return module


def assembly(level, emit):
    """What LLVM makes of a function for a plain CPU of the level's family with the level's features: its words."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    triple = f"{cpu.LEVELS[level].machines[0]}-unknown-linux-gnu"
    features = ",".join(f"+{feature}" for feature in cpu.LEVELS[level].features)
    machine = llvm.Target.from_triple(triple).create_target_machine(cpu="generic", features=features, opt=3)
    module = function(emit)
    module.triple, module.data_layout = triple, str(machine.target_data)
    return machine.emit_assembly(llvm.parse_assembly(str(module))).split()


INSTRUCTIONS = {"avx2": "vpmaddubsw", "avxvnni": "vpdpbusd", "avx512vnni": "vpdpbusd", "neon": "sdot"}
INSTRUCTIONS |= {"neon_i8mm": "smmla", "amx": "tdpbsud"}
COUNTS = {"avx2": 64, "avxvnni": 64, "avx512vnni": 32, "amx": 1, "neon": 128, "neon_i8mm": 64}


@pytest.mark.parametrize("peak", [15, 0], ids=["unsigned", "signed"])
@pytest.mark.parametrize("level, count", COUNTS.items())
def test_levels_become_their_instructions(level, count, peak):
    """32 values of 16 rows times some columns: 512 products each, so many an instruction; no others multiply bytes."""
    made = dot.LEVELS[level]()

    def emit(builder, units, x):
        if cpu.LEVELS[level].wide_columns:
            made.start(builder, 0, 8, units, x, I64(576), builder.add(x, I64(4096)))
            return
        rows = [builder.add(x, I64(576 * c)) for c in range(4)]
        for c, lanes in enumerate(made.tile_dots(builder, peak, 8, [units], rows)[0]):
            store_at(builder, builder.add(x, I64(4096 + 64 * c)), lanes)

    words = assembly(level, emit)
    assert words.count(INSTRUCTIONS[level]) == count
    others = set(INSTRUCTIONS.values()) | {"mul", "mla", "smull", "smlal", "vpmulld", "vpmullw"}
    assert not (others - {INSTRUCTIONS[level]}) & set(words)


@contextlib.contextmanager
def compiled(emit, features=""):
    """A function of two addresses, compiled for this machine with `features` as far as it has them."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(features=features, opt=2)
    module = llvm.parse_assembly(str(function(emit)))
    with llvm.create_mcjit_compiler(module, machine) as engine:
        engine.finalize_object()
        yield ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64)(engine.get_function_address("f"))


def run_halves(convert, source, out, source_type):
    """Convert 16 numbers at a time, compiled for this machine."""

    def emit(builder, a, b):
        store_at(builder, b, convert(builder, load_at(builder, a, ir.VectorType(source_type, 16))))

    with compiled(emit) as call:
        for i in range(0, len(source), 16):
            call(source[i:].ctypes.data, out[i:].ctypes.data)
    return out


def test_halves_without_instructions_are_numpys(monkeypatch):
    """Every half as a float; and as a half every float that is one, lies between two, or is next to such a one."""
    monkeypatch.setattr(halves, "NATIVE", False)
    words = np.arange(65536, dtype=np.uint16)
    with np.errstate(invalid="ignore"):
        expected = words.view(np.float16).astype(np.float32)
    ours = run_halves(halves.to_floats, words, np.zeros(65536, np.float32), I16)
    real = ~np.isnan(expected)
    assert np.array_equal(ours.view(np.uint32)[real], expected.view(np.uint32)[real]) and np.isnan(ours[~real]).all()

    exact = np.sort(expected[np.isfinite(expected)])
    between = exact[:-1] + np.diff(exact) / 2
    floats = np.concatenate([exact, between, [65520, -65520, 65536, 1e30, -1e30, np.inf, -np.inf, np.nan, 1e-40]])
    floats = floats.astype(np.float32)
    floats = np.concatenate(
        [floats, np.nextafter(floats, np.float32(np.inf)), np.nextafter(floats, np.float32(-np.inf))]
    )
    floats = np.concatenate([floats, np.zeros(-len(floats) % 16, np.float32)])
    with np.errstate(over="ignore"):
        expected = floats.astype(np.float16)
    ours = run_halves(halves.to_halves, floats, np.zeros(len(floats), np.uint16), ir.FloatType()).view(np.float16)
    real = ~np.isnan(expected)
    assert np.array_equal(ours.view(np.uint16)[real], expected.view(np.uint16)[real]) and np.isnan(ours[~real]).all()


PMADDWD = ("llvm.x86.avx2.pmadd.wd", 8, False)  # what every x86-64 level has


def words_of(words, n):
    """int16 [16, chunk] that `words` takes as weights, zeros behind n values of each row; and the tile of activations
    that it makes of the first rows (of all, again and again)."""
    values = np.random.default_rng(n).random((16, words.chunk)) - 0.5
    values[:, n:] = 0
    norm, peak = np.linalg.norm(values, axis=1, keepdims=True), np.abs(values).max(1, keepdims=True)
    q = np.rint(values / np.maximum(norm / words.norms[0], peak / words.peak)).astype(np.int16)
    rows, tile = q.astype(np.int32), np.full(words.tile_bytes, 0xFF, np.uint8)
    for c in range(words.columns):

        def store(builder, source, out, c=c):
            for i in range(0, -(-n // words16.SPAN) * words16.SPAN, 16):
                row = load_at(builder, builder.add(source, I64(4 * i)), ir.VectorType(I32, 16))
                words.store(builder, out, I64(c), I64(i), row)
            words.stored(builder, out, I64(c), I64(n))

        with compiled(store, "+avx2") as call:
            call(rows[c % 16].ctypes.data, tile.ctypes.data)
    return q, tile


if platform.machine() in cpu.X86 and "avx2" in cpu.host_features():
    PAIRS, CROSSED, PLANES = words16.Pairs(*PMADDWD), words16.Crossed(*PMADDWD), words16.Planes()

    @pytest.mark.parametrize("words", [PAIRS, CROSSED, PLANES], ids=lambda words: type(words).__name__)
    def test_16_bit_integers_become_the_panels_that_arrange_makes(words):
        """Row by row from a tile, and four values of all rows at a time: the same bytes as far as there are values."""
        n = words.chunk - words16.SPAN - 5
        q, tile = words_of(words, n)
        panel = np.zeros((2, words.panel_bytes), np.uint8)

        def turn(builder, source, out):
            for lane in range(words.columns):
                words.turn(builder, source, I64(lane), builder.add(out, I64(4 * lane)), I64(n))

        def four(builder, source, out):
            for i in range(0, n + 1, 4):
                at = builder.add(source, I64(64 * i))
                rows = [load_at(builder, builder.add(at, I64(64 * j)), ir.VectorType(I32, 16)) for j in range(4)]
                words.four(builder, out, I64(i), rows)

        by_row = np.ascontiguousarray(q.T.astype(np.int32))
        for emit, source, out in ((turn, tile, panel[0]), (four, by_row, panel[1])):
            with compiled(emit, "+avx2") as call:
                call(source.ctypes.data, out.ctypes.data)
        assert np.array_equal(panel[1], words.arrange(q[None, :, None])[0, 0])
        q[words.columns :] = 0  # a tile has no more rows
        assert np.array_equal(panel[0], words.arrange(q[None, :, None])[0, 0])

    @pytest.mark.parametrize("n", [8, 100, 123, 128])
    @pytest.mark.parametrize("words", [PAIRS, CROSSED], ids=lambda words: type(words).__name__)
    def test_16_bit_sums_are_exact(words, n):
        """Also where half of the products is saved and what is between the sums wraps around."""
        q, tile = words_of(words, n)
        panels = np.concatenate([words.arrange(part[None, :, None])[0, 0] for part in (q, q[::-1])])
        out = np.zeros((2, words.columns, 16), np.float32)

        def sums(builder, source, at):
            tile_at, panels_at = (load_at(builder, builder.add(source, I64(8 * i)), I64) for i in (0, 1))
            bases = [panels_at, builder.add(panels_at, I64(words.panel_bytes))]
            found = words.sums(builder, bases, tile_at, I64(n))
            for p in range(2):
                for c in range(words.columns):
                    store_at(builder, builder.add(at, I64(64 * (p * words.columns + c))), found(p, c))

        places = np.array([tile.ctypes.data, panels.ctypes.data])
        with compiled(sums, "+avx2") as call:
            call(places.ctypes.data, out.ctypes.data)
        exact = (q[: words.columns].astype(np.int64) @ q.T.astype(np.int64)).astype(np.float32)
        assert np.array_equal(out[0], exact) and np.array_equal(out[1], exact[:, ::-1])
