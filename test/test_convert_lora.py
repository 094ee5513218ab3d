"""`llm-core convert` of PEFT folders: what the file makes of the model is what PEFT makes of it; bad folders."""

import json

import numpy as np
import pytest
from hf_folders import (
    ADAPTERS,
    adapter_tensors,
    write_adapter_folder,
    write_folder,
    write_safetensors,
)  # fmt: skip
from naive import naive_logits
from tiny_models import CASES, GOLDEN_ROWS, case_tokens, tiny_tensors, write_config, write_tiny

from llm_core.cli.main import main
from llm_core.convert import convert_adapter
from llm_core.errors import ModelError, RequestError
from llm_core.gguf import GGMLType, open_gguf
from llm_core.models import load_model
from llm_core.models.adapter import load_adapter

GOLDEN = __file__.replace("test_convert_lora.py", "data/peft_logits.npz")


@pytest.mark.parametrize("case", ADAPTERS)
def test_a_converted_adapter_does_what_it_does_in_peft(case, tmp_path):
    model, fields, kinds = ADAPTERS[case]
    config, path = CASES[model], tmp_path / "adapter.gguf"
    base = write_config(tmp_path / "base.gguf", config)
    done = convert_adapter(write_adapter_folder(tmp_path / "peft", case), path, base)
    adapter = load_adapter(path, load_model(base))
    assert {name.split(".")[-2] for name in adapter.pairs} == set(kinds) and done.tensors == 2 * len(adapter.pairs)
    tensors = tiny_tensors(config)
    for name, pair in adapter.pairs.items():
        tensors[name] = tensors[name] + np.float32(pair.scale) * pair.b.dequantize() @ pair.a.dequantize()
    logits = naive_logits(
        open_gguf(write_config(tmp_path / "merged.gguf", config, tensors=tensors)), case_tokens(config)
    )
    with np.load(GOLDEN) as golden:
        np.testing.assert_allclose(logits[GOLDEN_ROWS], golden[case], atol=1e-4)

    other = tmp_path / "of_folder.gguf"
    convert_adapter(tmp_path / "peft", other, write_folder(tmp_path / "tiny", model))
    assert other.read_bytes() == path.read_bytes()


def test_keys_and_types(tmp_path, capsys):
    base = write_tiny(tmp_path / "base.gguf")
    for dtype, arguments, kind in (("F32", [], "F32"), ("BF16", [], "BF16"), ("F16", ["--type", "f32"], "F32")):
        folder, path = write_adapter_folder(tmp_path / "polite", "llama", dtype), tmp_path / "out.gguf"
        assert main(["convert", str(folder), str(path), "--base", str(base), "--json", *arguments]) == 0
        assert json.loads(capsys.readouterr().out)["type"] == kind
        file = open_gguf(path)
        assert {tensor.type for tensor in file.tensors.values()} == {GGMLType[kind]}
    assert file.metadata == {
        "general.architecture": "llama",
        "general.type": "adapter",
        "adapter.type": "lora",
        "adapter.lora.alpha": 8.0,
        "general.name": "polite",
        "general.base_model.count": 1,
        "general.base_model.0.name": "Tiny-1B",
        "general.base_model.0.organization": "somebody",
        "general.base_model.0.repo_url": "https://huggingface.co/somebody/Tiny-1B",
        "general.quantization_version": 2,
    }


def test_the_base_may_be_the_folder_that_the_adapter_names(tmp_path):
    folder = write_adapter_folder(
        tmp_path / "peft", "llama", base_model_name_or_path=str(write_folder(tmp_path / "b", "llama"))
    )
    convert_adapter(folder, tmp_path / "out.gguf")
    metadata = open_gguf(tmp_path / "out.gguf").metadata
    assert metadata["general.base_model.0.name"] == "b" and str(tmp_path) not in str(dict(metadata))
    with pytest.raises(RequestError, match="--base: .*'somebody/Tiny-1B' is no folder here"):
        convert_adapter(write_adapter_folder(folder, "llama"), tmp_path / "out.gguf")
    assert main(["convert", str(tmp_path / "b"), str(tmp_path / "x.gguf"), "--base", "b"]) == 2
    assert main(["convert", str(folder), str(tmp_path / "x.gguf"), "--base", str(tmp_path / "b"), "--mmproj", "y"]) == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"peft_type": "IA3"}, "peft_type = 'IA3' is not supported"),
        ({"use_dora": True}, "use_dora = True is not supported"),
        ({"bias": "all"}, "bias = 'all' is not supported"),
        ({"lora_bias": True}, "lora_bias = True"),
        ({"modules_to_save": ["lm_head"]}, r"modules_to_save = \['lm_head'\] is not supported"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights = 'pissa'"),
        ({"layer_replication": [[0, 2]]}, "layer_replication"),
        ({"lora_alpha": None}, "lora_alpha is missing"),
        ({"lora_alpha": float("nan")}, "lora_alpha = nan is not a number"),
        ({"alpha_pattern": {".*q_proj": 2}}, r"alpha_pattern = '\.\*q_proj' is not supported"),
        ({"alpha_pattern": {"q_proj": "2"}}, "q_proj = '2' is not a number"),
        ({"alpha_pattern": [2]}, "alpha_pattern = .* is no object"),
    ],
)
def test_what_the_file_cannot_say_is_refused_by_field(changes, message, tmp_path):
    folder, base = write_adapter_folder(tmp_path / "peft", "llama", **changes), write_folder(tmp_path / "b", "llama")
    with pytest.raises(ModelError, match=f"adapter_config.json: {message}"):
        convert_adapter(folder, tmp_path / "out.gguf", base)
    assert not (tmp_path / "out.gguf").exists()


NAME = "base_model.model.model.layers.0.self_attn.q_proj"
OTHER = NAME.replace("q_proj", "x")
WIDE, TALL = np.ones((4, 96), np.float32), np.ones((192, 4), np.float32)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({f"{NAME}.lora_magnitude_vector.weight": TALL}, "only .* of linear layers are supported"),
        ({"base_model.model.model.embed_tokens.lora_embedding_A": WIDE}, "lora_embedding_A': only"),
        ({f"{OTHER}.lora_A.weight": WIDE}, "self_attn.x.lora_A.weight': there is no other half"),
        ({f"{NAME}.lora_A.weight": WIDE, f"{NAME}.lora_B.weight": TALL[:, :3]}, "are not those of A and B"),
        ({f"{NAME}.lora_A.weight": WIDE, f"{NAME}.lora_B.weight": TALL[:190]}, "190 rows are not 6 heads"),
        ({f"{NAME}.lora_A.weight": WIDE, f"{NAME}.lora_B.weight": TALL[:96]}, "lora_b.*expected"),
        ({f"{OTHER}.lora_A.weight": WIDE, f"{OTHER}.lora_B.weight": TALL}, "self_attn.x.*is not one of llama's"),
        (
            {f"base_model.model.lm_head.lora_{half}.weight": values for half, values in (("A", WIDE), ("B", TALL))},
            "lm_head.*has no linear layer of its own there",
        ),
        (
            {f"base_model.model.visual.x.lora_{half}.weight": values for half, values in (("A", WIDE), ("B", TALL))},
            "the vision tower takes no adapter",
        ),
    ],
)  # fmt: skip
def test_tensors_that_are_not_an_adapters(tensors, message, tmp_path):
    folder, base = write_adapter_folder(tmp_path / "peft", "llama"), write_tiny(tmp_path / "b.gguf", tied=True)
    write_safetensors(folder / "adapter_model.safetensors", adapter_tensors("llama") | tensors)
    with pytest.raises(ModelError, match=message):
        convert_adapter(folder, tmp_path / "out.gguf", base)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.gguf", "peft"]
