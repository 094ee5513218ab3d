"""An mmproj file that holds an adapter for the language model: it works where pictures are, and only there."""

import numpy as np
import pytest
from vision_folders import cases, picture, write_vision_folder

from llm_core import Engine, SamplingParams
from llm_core.convert import convert_folder
from llm_core.errors import ModelError
from llm_core.gguf import GGMLType, GGUFWriter, open_gguf
from llm_core.quants import quantize

PARAMS = SamplingParams(temperature=0, max_tokens=8, logprobs=0)
ALPHA, RANK = 8.0, 4


def copied(source, target, added=None, keys=(), changed=None):
    """A GGUF file with more keys and tensors, and values added to some matrices."""
    with open_gguf(source) as file, GGUFWriter(target) as writer:
        for key in file.metadata:
            kind, item = file.metadata.types[key]
            writer.add(key, file.metadata[key], kind, item)
        for key, value in dict(keys).items():
            writer.add(key, value)
        for name, tensor in file.tensors.items():
            writer.add_tensor(name, np.array(tensor.dequantize()) + (changed or {}).get(name, np.float32(0)))
        for name, values in (added or {}).items():
            kind = GGMLType.Q8_0 if values.shape[1] % 32 == 0 else GGMLType.F16
            writer.add_tensor(name, quantize(values, kind).reshape(-1), kind, values.shape)
    return target


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """(model, mmproj, mmproj with an adapter, model that the adapter is merged into)."""
    folder = tmp_path_factory.mktemp("adapter")
    source = write_vision_folder(folder / "llava", cases()["llava"])
    model, mmproj = folder / "model.gguf", folder / "mmproj.gguf"
    convert_folder(source, model, "F32", mmproj=mmproj)
    rng = np.random.default_rng(0)
    added, changed = {}, {}
    with open_gguf(model) as file:
        for name, tensor in file.tensors.items():
            if name.startswith("blk.") and len(tensor.shape) == 2:
                n, k = tensor.shape
                a = rng.standard_normal((RANK, k)).astype(np.float16).astype(np.float32) / 4
                b = rng.standard_normal((n, RANK)).astype(np.float16).astype(np.float32) / 8
                added |= {f"{name}.lora_a": a, f"{name}.lora_b": b}
                changed[name] = np.float32(ALPHA / RANK) * b @ a
    keys = {"adapter.type": "lora", "adapter.lora.alpha": ALPHA}
    both = copied(mmproj, folder / "both.gguf", added, keys)
    merged = copied(model, folder / "merged.gguf", changed=changed)
    return model, mmproj, both, merged


def said(engine, **images):
    done = engine.generate("USER: <image> x ASSISTANT:" if images else "USER: x ASSISTANT:", PARAMS, **images)
    return done.tokens, np.array([item.logprob for item in done.logprobs])


def test_the_adapter_of_an_mmproj_file_works_with_pictures_and_only_there(files):
    model, mmproj, both, merged = files
    shown = {"images": [picture(40)]}
    with Engine(merged, mmproj=mmproj, n_ctx=256, n_threads=1) as engine:
        expected = said(engine, **shown)
    with Engine(model, mmproj=mmproj, n_ctx=256, n_threads=1) as engine:
        before, text = said(engine, **shown), said(engine)
    with Engine(model, mmproj=both, n_ctx=256, n_threads=1) as engine:
        found, found_text = said(engine, **shown), said(engine)
        assert engine.adapters == ()  # it is no choice
    assert expected[0] != before[0]  # it matters
    assert found[0] == expected[0]
    np.testing.assert_allclose(found[1], expected[1], atol=0.05)
    assert found_text[0] == text[0]
    np.testing.assert_array_equal(found_text[1], text[1])


def test_an_adapter_that_is_not_the_models_is_refused_by_name(files, tmp_path):
    model, mmproj = files[:2]
    wrong = {"blk.0.attn_q.weight.lora_a": np.zeros((4, 8), np.float32)}
    wrong["blk.0.attn_q.weight.lora_b"] = np.zeros((8, 4), np.float32)
    keys = {"adapter.type": "lora", "adapter.lora.alpha": 4.0}
    for extra, why in (({}, "adapter.type"), (keys, "blk.0.attn_q.weight.lora_a")):
        bad = copied(mmproj, tmp_path / f"{len(extra)}.gguf", wrong, extra)
        with pytest.raises(ModelError, match=why):
            Engine(model, mmproj=bad, n_ctx=256, n_threads=1)
