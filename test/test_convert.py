"""`llm-core convert`: every architecture's folder against transformers' logits and GGUF's conventions; bad folders."""

import json
import struct

import numpy as np
import pytest
from hf_folders import (
    CONFIGS,
    TOKENIZER_CONFIG,
    hf_tensors,
    tokenizer_json,
    write_folder,
    write_safetensors,
)  # fmt: skip
from naive import naive_logits
from tiny_models import CASES, GOLDEN_ROWS, case_tokens, tiny_metadata, tiny_tensors

from llm_core.cli.main import main
from llm_core.convert import convert_folder
from llm_core.convert.safetensors import open_safetensors
from llm_core.convert.sentencepiece import read_pieces
from llm_core.convert.vocabulary import vocabulary_keys
from llm_core.errors import ModelError
from llm_core.gguf import GGMLType, open_gguf
from llm_core.tokenizer import Tokenizer

GOLDEN = __file__.replace("test_convert.py", "data/tiny_logits.npz")
# the tiny models leave these out, or write them where a converter does not need them
OWN_KEYS = {"general.name", "vocab_size", "attention.key_length", "attention.value_length", "rope.freq_base"}


@pytest.mark.parametrize("case", CASES)
def test_a_converted_folder_computes_what_transformers_computes(case, tmp_path):
    folder, path = write_folder(tmp_path / "tiny", case), tmp_path / "out.gguf"
    done = convert_folder(folder, path, "F32")
    file, config = open_gguf(path), CASES[case]
    expected = tiny_tensors(config)
    assert set(file.tensors) == set(expected) and done.tensors == len(expected) and done.type == "F32"
    for name, values in expected.items():
        np.testing.assert_allclose(file.tensors[name].dequantize(), values, rtol=2e-6, atol=1e-7, err_msg=name)
    arch = config.arch
    for key, value in tiny_metadata(config).items():
        if key.removeprefix(f"{arch}.") not in OWN_KEYS or key in file.metadata:
            assert file.metadata[key] == (pytest.approx(value) if isinstance(value, float) else value) or (
                key == "general.name"
            ), key
    logits = naive_logits(file, case_tokens(config))
    with np.load(GOLDEN) as golden:
        np.testing.assert_allclose(logits[GOLDEN_ROWS], golden[case], atol=1e-4)


def test_types_follow_the_source_or_the_option(tmp_path, capsys):
    expected = tiny_tensors(CASES["llama"])
    for dtype, arguments, kind in (
        ("F16", [], "F16"), ("BF16", [], "BF16"), ("F32", [], "BF16"), ("F32", ["--type", "q8_0"], "Q8_0"),
    ):  # fmt: skip
        folder, path = write_folder(tmp_path / "tiny", "llama", dtype), tmp_path / "out.gguf"
        assert main(["convert", str(folder), str(path), "--json", *arguments]) == 0
        assert json.loads(capsys.readouterr().out)["type"] == kind
        file = open_gguf(path)
        assert file.metadata["general.file_type"] == {"F16": 1, "BF16": 32, "Q8_0": 7}[kind]
        for name, values in expected.items():
            tensor = file.tensors[name]
            assert tensor.type is (GGMLType[kind] if values.ndim == 2 else GGMLType.F32)
            np.testing.assert_allclose(tensor.dequantize(), values, rtol=8e-3, atol=2e-3)
    assert main(["convert", str(folder), str(path)]) == 0
    assert capsys.readouterr().out.startswith("llama, BF16: 21 tensors, ")


def test_shards_and_the_older_spelling_of_rope(tmp_path):
    whole, split = write_folder(tmp_path / "whole", "llama-llama3"), write_folder(tmp_path / "split", "llama-llama3")
    config = dict(CONFIGS["llama-llama3"])
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    config["rope_scaling"] = rope
    (split / "config.json").write_text(json.dumps(config))
    (split / "model.safetensors").unlink()
    tensors = list(hf_tensors("llama-llama3").items())
    index = {}
    for number in (0, 1):
        part = dict(tensors[number::2])
        write_safetensors(split / f"model-{number}.safetensors", part)
        index |= dict.fromkeys(part, f"model-{number}.safetensors")
    (split / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    first, second = tmp_path / "first.gguf", tmp_path / "second.gguf"
    convert_folder(whole, first)
    convert_folder(split, second)
    a, b = open_gguf(first), open_gguf(second)
    assert {**b.metadata, "general.name": ""} == {**a.metadata, "general.name": ""}
    assert all(bytes(b.tensors[name].data) == bytes(tensor.data) for name, tensor in a.tensors.items())

    index["model.norm.weight"] = "../model-0.safetensors"
    (split / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    with pytest.raises(ModelError, match="not the name of a file in the folder"):
        convert_folder(split, second)


BAD_CONFIGS = [
    ("llama", {"architectures": ["MambaForCausalLM"]}, "architectures = .*MambaForCausalLM.* is not supported"),
    ("llama", {"hidden_act": "gelu"}, "hidden_act = 'gelu' is not supported"),
    ("llama", {"hidden_size": "wide"}, "hidden_size = 'wide' is not a whole number"),
    ("llama", {"num_hidden_layers": None}, "num_hidden_layers is missing"),
    ("llama", {"num_hidden_layers": 3}, "blk.2."),
    ("llama", {"num_hidden_layers": 1}, "model.layers.1.*is not one of llama's"),
    ("llama", {"rms_norm_eps": float("nan")}, "rms_norm_eps = nan"),
    ("llama", {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0}}, "rope_type = 'dynamic' is not supported"),
    ("llama", {"num_attention_heads": 7}, "rows are not 7 heads"),
    ("llama", {"vocab_size": 100}, "has id 100|added token|not one of 100"),
    ("llama", {"quantization_config": {"quant_method": "gptq"}}, "quantization_config"),
    ("gemma3", {"layer_types": ["full_attention"] * 7}, "layer_types = .*every layer 6"),
    ("gemma2", {"query_pre_attn_scalar": 100}, "query_pre_attn_scalar = 100"),
    ("qwen2", {"use_sliding_window": True}, "use_sliding_window = True"),
    ("phi3-longrope-long", {"rope_parameters": {"rope_type": "longrope", "rope_theta": 1e4, "long_factor": [1.0],
     "original_max_position_embeddings": 16}}, "long_factor = .*is no list of 48 numbers"),
]  # fmt: skip


@pytest.mark.parametrize(("case", "changes", "message"), BAD_CONFIGS)
def test_what_would_be_computed_otherwise_is_refused_by_name(case, changes, message, tmp_path):
    folder = write_folder(tmp_path / "tiny", case, **changes)
    with pytest.raises(ModelError, match=message):
        convert_folder(folder, tmp_path / "out.gguf")
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]


def test_unknown_tensors_and_types_are_refused_by_name(tmp_path):
    folder = write_folder(tmp_path / "tiny", "llama")
    tensors = hf_tensors("llama")
    write_safetensors(folder / "model.safetensors", tensors | {"model.layers.0.mlp.up_proj.bias_2": np.ones(3, "f4")})
    with pytest.raises(ModelError, match="'model.layers.0.mlp.up_proj.bias_2' is not one of llama's"):
        convert_folder(folder, tmp_path / "out.gguf")
    path = write_safetensors(folder / "model.safetensors", tensors)
    path.write_bytes(path.read_bytes().replace(b'"F32"', b'"I32"'))
    with pytest.raises(ModelError, match="type I32 cannot be read"):
        convert_folder(folder, tmp_path / "out.gguf")


def safetensors_bytes(header: object, size: int = 64) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(size)


def entry(dtype="F32", shape=(4, 4), offsets=(0, 64)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


@pytest.mark.parametrize(("data", "message"), [
    (b"", "not a safetensors file"),
    (b"\xff" * 8 + b"{}", "not a safetensors file"),
    (struct.pack("<Q", 1 << 40) + b"{}", "not a safetensors file"),
    (safetensors_bytes([]), "holds no JSON object"),
    (safetensors_bytes(b'{"a": ' + b"[" * 200000), "not JSON"),
    (safetensors_bytes(b'{"a": 1, "a": 2}'), "stands twice"),
    (safetensors_bytes(b'{"\xff": 1}'), "not JSON"),
    (safetensors_bytes({"a": 1}), "'a': its entry is no object"),
    (safetensors_bytes({"a": entry("F3")}), "'a': unknown type 'F3'"),
    (safetensors_bytes({"a": entry(["F32"])}), "unknown type"),
    (safetensors_bytes({"a": entry(shape=(-4, 4))}), "is no list of at most"),
    (safetensors_bytes({"a": entry(shape=(True, 16))}), "is no list of at most"),
    (safetensors_bytes({"a": entry(shape=(1,) * 9)}), "is no list of at most"),
    (safetensors_bytes({"a": entry(shape=(1 << 61, 8))}), "do not hold F32"),
    (safetensors_bytes({"a": entry(offsets=(0, 65))}), "do not lie in"),
    (safetensors_bytes({"a": entry(offsets=(64, 0))}), "do not lie in"),
    (safetensors_bytes({"a": entry(shape=(4, 3))}), "64 bytes do not hold F32"),
    (safetensors_bytes({"a": entry(), "b": entry(shape=(4,), offsets=(8, 24))}), "overlaps"),
])  # fmt: skip
def test_hostile_safetensors(data, message, tmp_path):
    path = tmp_path / "bad.safetensors"
    path.write_bytes(data)
    with pytest.raises(ModelError, match=f"bad.safetensors: .*{message}"):
        open_safetensors(path)


def test_every_cut_of_a_file_is_refused(tmp_path):
    path = write_safetensors(tmp_path / "cut.safetensors", {"a": np.ones((4, 4), np.float32)})
    whole = path.read_bytes()
    assert open_safetensors(path)["a"].read(slice(1, 3)).tolist() == [[1.0] * 4] * 2
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(ModelError, match="cut.safetensors"):
            open_safetensors(path)


def write_json(folder, **files):
    for name, value in files.items():
        (folder / f"{name}.json").write_text(json.dumps(value))
    return folder


def test_a_pre_tokenizer_is_known_by_its_rules(tmp_path):
    tokenizer = tokenizer_json(291)
    write_json(tmp_path, tokenizer=tokenizer, tokenizer_config=TOKENIZER_CONFIG)
    keys = vocabulary_keys(tmp_path, 293, "llama", {"bos_token_id": 2, "pad_token_id": 0})
    assert keys["tokenizer.ggml.pre"] == "smollm" and keys["tokenizer.ggml.tokens"][291:] == ["[PAD291]", "[PAD292]"]
    assert keys["tokenizer.ggml.token_type"][:4] == [3, 3, 3, 1] and keys["tokenizer.ggml.token_type"][291:] == [5, 5]
    ids = {name: keys[f"tokenizer.ggml.{name}_token_id"] for name in ("bos", "eos", "padding")}
    assert ids == {"bos": 1, "eos": 2, "padding": 0} and keys["tokenizer.ggml.add_bos_token"] is False

    words = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    words += r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    split = {"type": "Split", "pattern": {"Regex": words}, "behavior": "Isolated", "invert": False}
    tokenizer["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [split, byte_level]}
    write_json(tmp_path, tokenizer=tokenizer)
    assert vocabulary_keys(tmp_path, 291, "qwen2", {})["tokenizer.ggml.pre"] == "qwen2"

    split["pattern"] = {"Regex": r"\w+|\W+"}
    write_json(tmp_path, tokenizer=tokenizer)
    with pytest.raises(ModelError, match=r"unknown pre-tokenizer: .*\\\\w\+\|\\\\W\+"):
        vocabulary_keys(tmp_path, 291, "qwen2", {})


def test_a_tokenizer_that_cuts_text_otherwise_here_is_refused(tmp_path):
    tokenizer = tokenizer_json(291)
    tokenizer["normalizer"] = {"type": "Lowercase"}
    write_json(tmp_path, tokenizer=tokenizer)
    with pytest.raises(ModelError, match="as pre-tokenizer 'smollm' a probe text gives other tokens"):
        vocabulary_keys(tmp_path, 291, "llama", {})
    with pytest.raises(ModelError, match="holds neither tokenizer.model nor tokenizer.json"):
        vocabulary_keys(tmp_path / "nowhere", 291, "llama", {})
    tokenizer["model"]["byte_fallback"] = True
    write_json(tmp_path, tokenizer=tokenizer)
    with pytest.raises(ModelError, match="SentencePiece one needs its tokenizer.model"):
        vocabulary_keys(tmp_path, 291, "llama", {})


def piece(text: str, score: float, kind: int) -> bytes:
    raw = text.encode()
    body = bytes([0x0A, len(raw)]) + raw + b"\x15" + struct.pack("<f", score) + bytes([0x18, kind])
    return bytes([0x0A, len(body)]) + body


def sentencepiece_bytes(model_type: int = 2) -> bytes:
    """A vocabulary: control pieces, bytes, letters and two merges."""
    pieces = [piece("<unk>", 0, 2), piece("<s>", 0, 3), piece("</s>", 0, 3)]
    pieces += [piece(f"<0x{byte:02X}>", 0, 6) for byte in range(256)]
    pieces += [piece("▁a", -0.0, 1), piece("ab", -1.0, 1)]
    pieces += [piece(letter, -2.0 - i, 1) for i, letter in enumerate("▁abc")]
    trainer = bytes([0x18, model_type, 0x98, 0x02, 1])  # and byte_fallback
    return b"".join(pieces) + bytes([0x12, len(trainer)]) + trainer


def test_a_sentencepiece_vocabulary(tmp_path):
    (tmp_path / "tokenizer.model").write_bytes(sentencepiece_bytes())
    decoder = {"2": {"content": "</s>", "special": True}, "265": {"content": "<tool>▁", "special": False}}
    write_json(tmp_path, tokenizer_config={"bos_token": "<s>", "add_bos_token": True, "added_tokens_decoder": decoder})
    keys = vocabulary_keys(tmp_path, 267, "gemma3", {"bos_token_id": 1, "eos_token_id": 2})
    assert keys["tokenizer.ggml.model"] == "llama" and keys["tokenizer.ggml.add_space_prefix"] is False
    assert keys["tokenizer.ggml.tokens"][-3:] == ["c", "<tool> ", "[PAD266]"]
    assert keys["tokenizer.ggml.token_type"][:4] == [2, 3, 3, 6] and keys["tokenizer.ggml.token_type"][-3:] == [1, 4, 5]
    assert keys["tokenizer.ggml.scores"][-3:] == [-5.0, -1000.0, -10000.0]
    tokenizer = Tokenizer.from_metadata(keys)
    assert tokenizer.encode("ab c") == [1, 260, 261, 264]

    path = tmp_path / "tokenizer.model"
    for data in (sentencepiece_bytes(1), sentencepiece_bytes()[:-4], b"", b"\x0a\xff", b"\x0a" + b"\xff" * 11, b"\x0b"):
        path.write_bytes(data)
        with pytest.raises(ModelError, match="tokenizer.model: (not a SentencePiece|no BPE) vocabulary"):
            read_pieces(path)
