"""`llm-core inspect`: the whole file at a glance, whatever is in it, and nothing that a terminal would obey."""

import argparse
import json
import math
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from gguf_helpers import ARCHITECTURE, gguf, scalar, tensor
from lora_helpers import ALPHA, RANK, matrices, write_adapter
from tiny_models import tiny_config, write_tiny

from llm_core.cli import inspect
from llm_core.cli.main import main
from llm_core.errors import ModelError, RequestError
from llm_core.gguf import GGMLType, GGUFWriter, ValueType

TEMPLATE = "{% for m in messages %}\n{{ m.content }}\x1b[31m{% endfor %}{{ ''.__class__ }}"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.gguf"
    rng = np.random.default_rng(0)
    with GGUFWriter(path) as writer:
        writer.add("general.architecture", "llama").add("general.name", "Évil \x1b[2J\u202ename").add("x\n\x07", 1)
        writer.add("llama.context_length", 2048).add("llama.block_count", 2).add("llama.embedding_length", 64)
        writer.add("llama.attention.head_count", 4).add("llama.attention.head_count_kv", [2, 2])
        writer.add("eps", math.nan).add("more", [math.inf, 1.0]).add("nested", [["a\n"], ["b"]])
        writer.add("tokenizer.ggml.model", "gpt2").add("tokenizer.ggml.tokens", [f"t{i}" for i in range(50)])
        writer.add("tokenizer.chat_template", TEMPLATE)
        writer.add_tensor("token_embd.weight", rng.standard_normal((50, 64)).astype(np.float32), GGMLType.Q8_0)
        writer.add_tensor("odd\x1b.weight", bytes(292), GGMLType.Q8_K, shape=(1, 256))
        writer.add_tensor("output_norm.weight", np.ones(64, np.float32))
    return path


def run(capsys, *arguments) -> str:
    """What is shown, of a model that cannot be right too."""
    parser = argparse.ArgumentParser()
    inspect.add_arguments(parser)
    try:
        assert inspect.run(parser.parse_args([str(a) for a in arguments])) == 0
    except ModelError:
        shown = capsys.readouterr().out
        if not shown:
            raise
        return shown
    return capsys.readouterr().out


def test_tables(capsys, model):
    text = run(capsys, model, "--tensors")
    for line in (
        r"architecture +llama$",
        r"name +Évil \\x1b\[2J\\u202ename$",
        r"parameters +3,520 in 3 tensors, 3.948 kB, 8.973 bits",
        r"context +2048$",
        r"layers +2$",
        r"key/value heads +2$",
        r"vocabulary +50 tokens, model gpt2, pre-tokenizer -$",
        rf"chat template +{len(TEMPLATE)} characters",
        r"not supported +tensor types Q8_K$",
        r"  Q8_0 +1 +3,200 +3.4 kB$",
        r"  x\\n\\x07 +UINT32 +1$",
        r"  eps +FLOAT32 +nan$",
        r"t7, … 50 in all\]$",
        r"  odd\\x1b.weight +Q8_K +1 x 256 +292 B$",
    ):
        assert re.search(line, text, re.MULTILINE), line
    assert all(part.isprintable() for part in text.split("\n"))
    assert "odd" not in run(capsys, model)


def test_json(capsys, model):
    text = run(capsys, model, "--json")

    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    found = json.loads(text, parse_constant=refuse)
    assert text.isascii() and "\x1b" not in text
    assert found["architecture"] == "llama" and found["version"] == 3 and found["name"] == "Évil \x1b[2J\u202ename"
    assert found["parameters"] == 50 * 64 + 256 + 64 and found["tensor_count"] == 3
    assert found["types"]["Q8_0"] == {"tensors": 1, "parameters": 3200, "bytes": 3400}
    assert found["unsupported_types"] == ["Q8_K"]
    assert (found["context_length"], found["block_count"], found["head_count"], found["head_count_kv"]) == (
        2048,
        2,
        4,
        2,
    )
    assert found["feed_forward_length"] is None
    assert found["vocabulary"] == {"model": "gpt2", "pre": None, "size": 50}
    assert found["chat_template"] is True and found["chat_template_characters"] == len(TEMPLATE)
    assert found["metadata"]["eps"] == {"type": "FLOAT32", "value": "NaN"}
    assert found["metadata"]["more"] == {"type": "ARRAY[FLOAT32]", "value": ["Infinity", 1.0]}
    assert found["metadata"]["tokenizer.ggml.tokens"]["length"] == 50 and "tensors" not in found
    assert json.loads(run(capsys, model, "--json", "--tensors"))["tensors"][2] == {
        "name": "output_norm.weight",
        "type": "F32",
        "shape": [64],
        "bytes": 256,
        "offset": found["file_bytes"] - 256,
        "file": str(model),
    }


def test_one_value(capsys, model):
    assert run(capsys, model, "--metadata", "tokenizer.chat_template") == TEMPLATE.replace("\x1b", "\\x1b") + "\n"
    assert json.loads(run(capsys, model, "--metadata", "tokenizer.chat_template", "--json")) == TEMPLATE
    assert run(capsys, model, "--metadata", "llama.block_count") == "2\n"
    assert run(capsys, model, "--metadata", "tokenizer.ggml.tokens").split() == [f"t{i}" for i in range(50)]
    assert run(capsys, model, "--metadata", "nested") == "['a\\n']\n['b']\n"
    with pytest.raises(RequestError, match=r"no key 'none\\x1b'"):
        run(capsys, model, "--metadata", "none\x1b")


@pytest.mark.parametrize(
    "pairs",
    [
        [],
        [scalar("general.architecture", ValueType.UINT32, 3), scalar("general.name", ValueType.BOOL, 1)],
        [
            scalar("general.architecture", ValueType.STRING, "../../x\x1b"),
            scalar("../../x\x1b.block_count", ValueType.INT8, -1),
        ],
        [
            ARCHITECTURE,
            scalar("llama.block_count", ValueType.FLOAT32, math.inf),
            scalar("{arch}.x", ValueType.UINT8, 0),
        ],
        [
            ARCHITECTURE,
            scalar("tokenizer.ggml.tokens", ValueType.STRING, "x"),
            scalar("llama.context_length", ValueType.STRING, "\n"),
        ],
        [ARCHITECTURE, scalar("tokenizer.chat_template", ValueType.UINT64, 2**64 - 1)],
    ],
)
def test_metadata_that_make_no_sense_are_shown(capsys, tmp_path, pairs):
    path = tmp_path / "odd.gguf"
    path.write_bytes(gguf(pairs, [tensor("t", ())], bytes(4)))
    assert all(part.isprintable() for part in run(capsys, path, "--tensors").split("\n"))
    assert json.loads(run(capsys, path, "--json"))["tensor_count"] == 1
    path.write_bytes(gguf(pairs))
    assert json.loads(run(capsys, path, "--json"))["parameters"] == 0
    assert "types" in run(capsys, path)


@pytest.mark.parametrize(
    ("arch", "key", "value", "reason"),
    [
        ("llama", "llama.attention.head_count", 0, "llama.attention.head_count"),
        ("gemma3", "gemma3.block_count", 2**32, "gemma3.block_count.*4294967296"),
        ("qwen2", "qwen2.attention.layer_norm_rms_epsilon", math.nan, "layer_norm_rms_epsilon.*nan"),
        ("llama", "tokenizer.ggml.eos_token_id", 291, "eos_token_id.*291"),
        ("llama", "tokenizer.ggml.tokens", [], "tokenizer.ggml.tokens"),
    ],
)
def test_a_model_that_cannot_be_right_is_shown_and_is_an_error(capsys, tmp_path, arch, key, value, reason):
    path = write_tiny(tmp_path / "odd.gguf", arch, metadata={key: value})
    assert main(["inspect", str(path), "--json"]) == 2
    out, err = capsys.readouterr()
    assert re.fullmatch(f"error: .*odd.gguf: .*{reason}.*\n", err)
    found = json.loads(out)
    assert key.split(".")[-1] in found["problem"] and key in found["metadata"]
    assert run(capsys, path, "--metadata", "general.architecture") == f"{arch}\n"


def test_what_is_no_model_of_ours_is_no_error(capsys, tmp_path):
    tower = {"general.architecture": "clip", "general.type": "mmproj", "adapter.type": "lora"}  # with an adapter inside
    for keys in ({"general.type": "imatrix"}, {"general.architecture": "clip"}, tower):
        path = write_tiny(tmp_path / "other.gguf", "llama", metadata=keys | {"llama.attention.head_count": 0})
        assert json.loads(run(capsys, path, "--json"))["problem"] is None


def test_an_adapter(capsys, tmp_path):
    config = tiny_config("llama")
    names = [name for name in matrices(config) if "attn" in name]
    write_adapter(tmp_path / "a.gguf", config, names, **{"general.base_model.0.name": "Tiny 1B"})
    found = json.loads(run(capsys, tmp_path / "a.gguf", "--json"))
    assert found["architecture"] == "llama" and found["problem"] is None
    assert found["adapter"] == {
        "type": "lora",
        "alpha": ALPHA,
        "ranks": [RANK],
        "base_model": "Tiny 1B",
        "weights": 8,
        "targets": {"attn_q": 2, "attn_k": 2, "attn_v": 2, "attn_output": 2},
    }
    text = run(capsys, tmp_path / "a.gguf")
    assert "8 weights: 2 attn_q, 2 attn_k, 2 attn_v, 2 attn_output" in text and "vocabulary" not in text
    write_adapter(tmp_path / "a.gguf", config, names, **{"adapter.lora.alpha": -1.0})
    assert main(["inspect", str(tmp_path / "a.gguf")]) == 2
    shown = capsys.readouterr()
    assert "adapter.lora.alpha" in shown.err and "types" in shown.out


def test_a_broken_file_is_a_model_error(capsys, tmp_path):
    (tmp_path / "bad.gguf").write_bytes(b"GGUF\3\0\0\0")
    with pytest.raises(ModelError, match="bad.gguf: header at byte 8"):
        run(capsys, tmp_path / "bad.gguf")


def test_it_needs_no_kernels_and_no_unicode_terminal(model):
    code = (
        "import argparse, sys; from llm_core.cli import inspect; p = argparse.ArgumentParser(); "
        "inspect.add_arguments(p); "
        "args = p.parse_args(); wrong = inspect.problem(inspect.open_gguf(args.file)); assert wrong; "
        "args.metadata = 'general.name'; inspect.run(args); "
        "heavy = {'numba', 'llvmlite', 'jinja2', 'tokenizers', 'gguf'} & set(sys.modules); assert not heavy, heavy"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(model)],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        check=True,
    )
    assert b"\\xc9vil \\x1b[2J" in done.stdout and done.stdout.isascii()
