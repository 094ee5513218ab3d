"""`llm-core quantize` and its parts: mixes and errors beside llama.cpp's, rules, importances, atomic output."""

import json
import re
import struct
from pathlib import Path

import numpy as np
import pytest
from quantize_cases import ERROR_FORMATS, MIX_CASES, bell, importances, relative_error, write_case
from tiny_models import case_tokens, tiny_config, write_tiny

from llm_core.cli.main import main
from llm_core.convert import MIXES, mixes, quantize_model, read_imatrix
from llm_core.errors import ModelError, RequestError
from llm_core.gguf import GGMLType, GGUFWriter, open_gguf
from llm_core.models import load_model
from llm_core.program import Batch, Runner
from llm_core.quants import quantize

RECORDED = json.loads((Path(__file__).parent / "data" / "quantized.json").read_text())


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """The F16 models of MIX_CASES."""
    folder = tmp_path_factory.mktemp("mixes")
    return {case: write_case(folder / f"{case}.gguf", case) for case in MIX_CASES}


@pytest.mark.parametrize("case", RECORDED["types"])
def test_every_mix_gives_every_matrix_the_type_that_llama_cpp_gives_it(case, sources):
    name, _, imatrix = case.partition("+")
    file = open_gguf(sources[name])
    for mix, expected in RECORDED["types"][case].items():
        found = {}
        for tensor, kind in mixes.plan(file, MIXES[mix], [], bool(imatrix)).items():
            if len(file.tensors[tensor].shape) == 2:
                found.setdefault(tensor.split(".")[-2], []).append(kind.name)
        found = {kind: types if len(set(types)) > 1 else types[0] for kind, types in found.items()}
        assert found == expected, mix


@pytest.mark.parametrize("name", ERROR_FORMATS)
def test_our_search_leaves_no_more_error_than_llama_cpp_s(name):
    values, kind = bell(64, 1024), GGMLType[name]
    assert relative_error(values, quantize(values, kind), kind) <= 1.002 * RECORDED["errors"][name]


def all_logits(path):
    runner = Runner(load_model(path), n_ctx=64, max_rows=32, n_threads=1)
    try:
        tokens = case_tokens(tiny_config("llama", n_vocab=260))
        rows = np.arange(len(tokens), dtype=np.int32)
        starts, table = np.array([0, len(tokens)], np.int32), np.arange(runner.max_blocks, dtype=np.int32)[None]
        return runner.step(Batch(tokens, rows, starts, table, rows)).copy()
    finally:
        runner.close()


def test_a_quantized_model_runs_and_keeps_what_it_was_told(sources, tmp_path, capsys):
    out = tmp_path / "out.gguf"
    arguments = ["quantize", str(sources["llama"]), str(out), "q8_0", "--json", "--threads", "2"]
    assert main([*arguments, "--tensor-type", "blk.[34].ffn_=Q4_0", "--tensor-type", "blk.3.ffn_up=F32"]) == 0
    report = json.loads(capsys.readouterr().out)
    before, after = open_gguf(sources["llama"]), open_gguf(out)
    types = {name: tensor.type.name for name, tensor in after.tensors.items()}
    assert (types["blk.3.ffn_up.weight"], types["blk.4.ffn_up.weight"]) == ("F32", "Q4_0")
    assert types["blk.3.attn_v.weight"] == types["output.weight"] == "Q8_0" and types["output_norm.weight"] == "F32"
    assert report["type"] == "Q8_0" and report["bytes"] == sum(tensor.nbytes for tensor in after.tensors.values())
    assert report["types"]["F32"]["tensors"] == sum(name == "F32" for name in types.values())
    changed = {"general.file_type": 7, "general.quantization_version": 2}
    assert dict(after.metadata) == dict(before.metadata) | changed
    assert {key: after.metadata.types[key] for key in before.metadata} == before.metadata.types
    # 17 layers of random weights, two of them with four bits
    assert np.corrcoef(all_logits(out).ravel(), all_logits(sources["llama"]).ravel())[0, 1] > 0.97


def test_a_matrix_of_that_type_is_copied_and_another_one_is_noted(tmp_path, capsys):
    first, second, third = (tmp_path / f"{name}.gguf" for name in ("f16", "q8_0", "q4_0"))
    write_tiny(first, "llama", GGMLType.F16)
    quantize_model(first, second, "Q8_0")
    again = quantize_model(second, tmp_path / "again.gguf", "Q8_0")
    assert not again.requantized and (tmp_path / "again.gguf").read_bytes() == second.read_bytes()
    assert main(["quantize", str(second), str(third), "Q4_0"]) == 0
    captured = capsys.readouterr()
    assert "quantized before" in captured.err and "Q4_0:" in captured.out and "bits a value" in captured.out


def test_threads_and_pieces_change_nothing(sources, tmp_path, monkeypatch):
    weights = importances(open_gguf(sources["llama"]))
    quantize_model(sources["llama"], tmp_path / "a.gguf", "Q4_K_M", imatrix=weights, threads=1)
    monkeypatch.setattr("llm_core.convert.quantize.PIECE", 1000)
    quantize_model(sources["llama"], tmp_path / "b.gguf", "Q4_K_M", imatrix=weights, threads=3)
    assert (tmp_path / "a.gguf").read_bytes() == (tmp_path / "b.gguf").read_bytes()


def write_imatrix(path, importances):
    """The GGUF form, as llama-imatrix writes it: sums over so many calls."""
    with GGUFWriter(path) as writer:
        writer.add("general.type", "imatrix").add("imatrix.chunk_count", 3)
        for name, values in importances.items():
            writer.add_tensor(f"{name}.in_sum2", (values * 4)[None])
            writer.add_tensor(f"{name}.counts", np.array([[4]], np.float32))
    return path


def write_old_imatrix(path, importances):
    """The binary form."""
    parts = [struct.pack("<i", len(importances))]
    for name, values in importances.items():
        parts.append(struct.pack(f"<i{len(name)}sii", len(name), name.encode(), 5, len(values)))
        parts.append((values * 5).astype("<f4").tobytes())
    path.write_bytes(b"".join(parts) + struct.pack("<i", 3))
    return path


@pytest.mark.parametrize("write", [write_imatrix, write_old_imatrix])
def test_importances_weigh_the_errors(write, sources, tmp_path):
    source, plain, weighted = sources["llama"], tmp_path / "plain.gguf", tmp_path / "weighted.gguf"
    file = open_gguf(source)
    given = importances(file)
    del given["blk.0.attn_q.weight"]
    read = read_imatrix(write(tmp_path / "imatrix", given))
    for name, values in given.items():
        np.testing.assert_allclose(read[name], values, rtol=1e-6)
    rules = [mixes.Rule.parse("^(?!blk.0.(attn_q|ffn_up))=F16")]  # two matrices are enough
    quantize_model(source, plain, "Q4_K_S", rules=rules)
    report = quantize_model(source, weighted, "Q4_K_S", rules=rules, imatrix=read)
    assert report.unweighted == ["blk.0.attn_q.weight"]
    plain, weighted = open_gguf(plain), open_gguf(weighted)

    def error(of, name):
        return float(((of.tensors[name].dequantize() - file.tensors[name].dequantize()) ** 2 @ given[name]).sum())

    assert error(weighted, "blk.0.ffn_up.weight") < 0.97 * error(plain, "blk.0.ffn_up.weight")
    assert bytes(weighted.tensors["blk.0.attn_q.weight"].data) == bytes(plain.tensors["blk.0.attn_q.weight"].data)


def test_bad_importances_are_refused_by_name(sources, tmp_path):
    good = {"blk.0.ffn_up.weight": np.ones(256, np.float32)}
    path = write_old_imatrix(tmp_path / "cut", good)
    whole = path.read_bytes()
    for size in range(0, 1000, 37):
        path.write_bytes(whole[:size])
        with pytest.raises(ModelError, match="cut: .*importance matrix"):
            read_imatrix(path)
    with pytest.raises(ModelError, match="general.type"):
        read_imatrix(sources["llama"])
    with pytest.raises(ModelError, match="blk.0.ffn_up.weight: importances must be finite"):
        read_imatrix(write_imatrix(tmp_path / "nan", {"blk.0.ffn_up.weight": np.full(256, np.nan, np.float32)}))
    with pytest.raises(ModelError, match="blk.0.ffn_up.weight has 96 columns, the model's 256"):
        wrong = {"blk.0.ffn_up.weight": np.ones(96, np.float32)}
        quantize_model(sources["llama"], tmp_path / "out.gguf", "Q4_K_S", imatrix=wrong)


@pytest.mark.parametrize(("arguments", "message"), [
    (["Q4_K_X"], "'Q4_K_X' cannot be written; possible: F32, F16"),
    (["Q4_K_M", "--tensor-type", "attn_v"], "attn_v'?: expected PATTERN=TYPE"),
    (["Q4_K_M", "--tensor-type", "attn_v=IQ2_XS"], "'IQ2_XS' cannot be written; possible: .*Q4_0"),
    (["Q4_K_M", "--tensor-type", "(=Q8_0"], "not a regular expression"),
    (["Q4_K_M", "--tensor-type", "attn_w=Q8_0"], "attn_w=Q8_0: no matrix has such a name"),
    (["Q4_K_M", "--output-tensor-type", "Q9"], "'Q9' cannot be written"),
    (["Q4_K_M", "--threads", "0"], "threads = 0: must be from 1"),
])  # fmt: skip
def test_what_cannot_be_done_is_said_and_leaves_no_file(arguments, message, sources, tmp_path, capsys):
    out = tmp_path / "out.gguf"
    assert main(["quantize", str(sources["llama"]), str(out), *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    assert re.search(message, error)
    assert not list(tmp_path.iterdir())


def test_the_input_is_never_overwritten_and_a_failure_leaves_what_was_there(tmp_path):
    source = write_tiny(tmp_path / "in.gguf", tensors={"blk.1.ffn_up.weight": np.full((160, 96), np.nan, np.float32)})
    (tmp_path / "link.gguf").symlink_to(source)
    for target in (source, tmp_path / "link.gguf"):
        with pytest.raises(RequestError, match="is the input itself"):
            quantize_model(source, target, "Q8_0")
    out = tmp_path / "out.gguf"
    out.write_bytes(b"old")
    with pytest.raises(ModelError, match="blk.1.ffn_up.weight: Q8_0 cannot hold nan"):
        quantize_model(source, out, "Q8_0")
    assert out.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.gguf", "link.gguf", "out.gguf"]


def test_mixtures_of_experts_are_refused(tmp_path):
    source = write_tiny(tmp_path / "in.gguf", metadata={"llama.expert_count": 8})
    with pytest.raises(ModelError, match="llama.expert_count.*experts"):
        quantize_model(source, tmp_path / "out.gguf", "Q8_0")
