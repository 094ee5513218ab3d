"""`llm-core tokenize` and `detokenize`: ids as JSON, text back, bad input in one line."""

from __future__ import annotations

import io
import json
import sys

import pytest
from tokenizer_helpers import tiny_bpe, write_vocab

from llm_core.cli.main import main
from llm_core.tokenizer import Tokenizer

METADATA = tiny_bpe("qwen2")
TOKENIZER = Tokenizer.from_metadata(METADATA)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(write_vocab(tmp_path_factory.mktemp("model") / "tiny.gguf", METADATA))


@pytest.fixture
def llm_core(model, capsys, monkeypatch):
    def call(verb, *args, stdin=b""):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        code = main([verb, "--model", model, *args])
        out, err = capsys.readouterr()
        return code, out, err

    return call


def test_ids_as_json(llm_core):
    code, out, _ = llm_core("tokenize", "the water<|im_end|>")
    assert code == 0 and json.loads(out) == TOKENIZER.encode("the water<|im_end|>")
    code, out, _ = llm_core("tokenize", "the water<|im_end|>", "--special")
    assert json.loads(out)[-1] == TOKENIZER.control_tokens["<|im_end|>"]


def test_json_object(llm_core):
    shown = json.loads(llm_core("tokenize", "--json", "the Größe")[1])
    assert shown["count"] == len(shown["ids"]) == len(shown["tokens"])
    assert shown["ids"] == TOKENIZER.encode("the Größe")


@pytest.mark.parametrize("data", [b"the\nwater\n", b"", b"broken \xff\xe2\x82", "水🙂".encode()])
def test_standard_input_is_taken_byte_for_byte(llm_core, data):
    for args in ((), ("-",)):
        assert json.loads(llm_core("tokenize", *args, stdin=data)[1]) == TOKENIZER.encode(data)


def test_a_broken_argument_means_its_bytes(llm_core):
    assert json.loads(llm_core("tokenize", "a\udcffb")[1]) == TOKENIZER.encode(b"a\xffb")


def test_no_bos(tmp_path, capsys):
    path = write_vocab(tmp_path / "bos.gguf", {**METADATA, "tokenizer.ggml.add_bos_token": True})
    main(["tokenize", "--model", str(path), "the"])
    main(["tokenize", "--model", str(path), "the", "--no-bos"])
    with_bos, without = map(json.loads, capsys.readouterr().out.splitlines())
    assert with_bos == [TOKENIZER.bos_id, *without]


def test_detokenize_gives_the_text_back(llm_core):
    ids = TOKENIZER.encode("the Größe 水<|im_end|>", parse_special=True)
    for form in (json.dumps(ids), ",".join(map(str, ids)), " ".join(map(str, ids))):
        assert llm_core("detokenize", form)[:2] == (0, "the Größe 水\n")
        assert llm_core("detokenize", "-", stdin=form.encode())[1] == "the Größe 水\n"
    assert llm_core("detokenize", "--special", json.dumps(ids))[1] == "the Größe 水<|im_end|>\n"
    assert json.loads(llm_core("detokenize", "--json", json.dumps(ids))[1]) == "the Größe 水"
    assert llm_core("detokenize", "[]")[:2] == (0, "\n")


@pytest.mark.parametrize("ids", ["x", "1,,-2", "[1, 2", "1.5", "99999999", "9" * 40, '["1"]', "[[1]]"])
def test_wrong_ids_are_one_error_line(llm_core, ids):
    code, out, err = llm_core("detokenize", ids)
    assert code == 2 and out == "" and err.startswith("error: ") and err.count("\n") == 1


def test_a_model_without_a_tokenizer_is_one_error_line(tmp_path, capsys):
    path = write_vocab(tmp_path / "none.gguf", {})
    assert main(["tokenize", "--model", str(path), "x"]) == 2
    assert "tokenizer.ggml.model: missing" in capsys.readouterr().err
