"""Qwen2-VL and Qwen2.5-VL beyond what they share with other projectors: positions of pictures in the language model,
pictures of any shape, mixed batches, and files that are refused.
"""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from test_vision_models import convert
from test_vision_prompts import rewritten
from tiny_models import write_tiny
from vision_folders import cases, picture, write_vision_folder

from llm_core import Engine, SamplingParams
from llm_core.chat import ChatTemplate
from llm_core.chat.pictures import Pictures
from llm_core.convert import convert_folder
from llm_core.engine.batch import places_of
from llm_core.errors import ModelError, RequestError
from llm_core.gguf import open_gguf
from llm_core.models import load_model
from llm_core.program import Batch, Runner
from llm_core.vision import VisionRunner, load_vision
from llm_core.vision.projectors.qwen2vl import SPELLING, whole_squares

CASES = cases()
SECTIONS = [4, 6, 22, 0]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    found = {}
    for name in ("qwen2vl", "qwen25vl"):
        folder = tmp_path_factory.mktemp(name)
        found[name] = convert(folder, CASES[name])
    return found


def renamed(source, target, sections=SECTIONS):
    """A qwen2 file as qwen2vl."""
    file = open_gguf(source)
    keys = {key.replace("qwen2.", "qwen2vl."): value for key, value in file.metadata.items()}
    dropped = {key: None for key in file.metadata if key.startswith("qwen2.")}
    keys |= {"general.architecture": "qwen2vl", "qwen2vl.rope.dimension_sections": sections}
    return rewritten(source, target, keys | dropped)


def step(path, places=None):
    """Logits of six tokens."""
    n = 6
    positions = np.arange(n, dtype=np.int32)
    batch = Batch(
        np.arange(3, 3 + n, dtype=np.int32),
        positions,
        np.array([0, n], np.int32),
        np.zeros((1, 1), np.int32),
        positions,
    )
    runner = Runner(load_model(path), n_ctx=32, n_threads=2)
    try:
        return runner.step(batch if places is None else replace(batch, places=places)).copy()
    finally:
        runner.close()


def test_text_turns_as_without_sections(tmp_path):
    plain = write_tiny(tmp_path / "plain.gguf", "qwen2")
    model = renamed(plain, tmp_path / "sections.gguf")
    logits, own = step(plain), np.tile(np.arange(6, dtype=np.int32), (3, 1))
    np.testing.assert_array_equal(step(model), logits)
    np.testing.assert_array_equal(step(model, own), logits)
    for section in range(3):  # each of them counts
        other = own.copy()
        other[section, 4] = 1
        changed = step(model, other)
        np.testing.assert_array_equal(changed[:4], logits[:4])
        assert (changed[4:] != logits[4:]).any(axis=1).all()
    for places in (own[:2], own[:, :5], own + 1, own - 1):
        with pytest.raises(RequestError, match="places"):
            step(model, places)
    with pytest.raises(RequestError, match="heads of 0 sections"):
        step(plain, own)


@pytest.mark.parametrize("sections", [[4, 6, 21, 0], [4, 6, 20, 2], [16, 16], [32, 0, 0, 0, 0], [-1, 11, 22, 0]])
def test_sections_that_do_not_run_are_refused_by_name(tmp_path, sections):
    path = renamed(write_tiny(tmp_path / "plain.gguf", "qwen2"), tmp_path / "bad.gguf", sections)
    with pytest.raises(ModelError, match="qwen2vl.rope.dimension_sections"):
        load_model(path)


def test_places_of_pictures():
    spots = [SimpleNamespace(first=2, last=8, grid=(2, 3)), SimpleNamespace(first=9, last=11, grid=None),
             SimpleNamespace(first=11, last=15, grid=(4, 1))]  # fmt: skip
    expected = [
        [0, 1, 2, 2, 2, 2, 2, 2, 5, 6, 7, 8, 8, 8, 8, 12, 13],
        [0, 1, 2, 2, 2, 3, 3, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13],
        [0, 1, 2, 3, 4, 2, 3, 4, 5, 6, 7, 8, 8, 8, 8, 12, 13],
    ]
    for first in range(17):
        for last in range(first + 1, 18):
            assert places_of(spots, np.arange(first, last)).tolist() == [row[first:last] for row in expected]


def test_sizes_are_those_of_the_published_processor():
    for size, expected in (  # transformers 5.24, smart_resize
        ((640, 480), (644, 476)), ((10, 2000), (28, 812)), ((4000, 3000), (1148, 840)), ((20, 20), (56, 56)),
        ((98, 70), (112, 56)), ((5, 1000), (28, 812)), ((7000, 35), (7000, 28)),
    ):  # fmt: skip
        assert whole_squares(size, 28, 56 * 56, 28 * 28 * 1280) == expected, size


@pytest.mark.parametrize("name", ["qwen2vl", "qwen25vl"])
def test_shapes_in_turn_give_what_each_gives_alone(models, name):
    tower = load_vision(models[name][1])
    runner = VisionRunner(tower, n_threads=2)
    rng = np.random.default_rng(0)
    tiles = [
        rng.standard_normal((28 * high, 28 * wide, 3)).astype(np.float32) for high, wide in ((1, 1), (3, 5), (7, 2))
    ]
    first = [runner.encode(tile) for tile in tiles]
    assert [len(rows) for rows in first] == [1, 15, 14]
    for tile, rows in zip(tiles, first, strict=True):
        np.testing.assert_array_equal(runner.encode(tile), rows)
    for shape in ((28, 14, 3), (28, 28, 4), (0, 28, 3), (28, 28), (28 * 100, 28 * 100, 3)):
        with pytest.raises(RequestError, match="tile of shape"):
            runner.encode(np.zeros(shape, np.float32))
    runner.close()


@pytest.mark.parametrize("name", ["qwen2vl", "qwen25vl"])
def test_crowds_of_pictures_and_text_say_what_each_says_alone(models, name):
    """Chunks, prefix cache, guesses, requests that are put on hold: positions stay those of the request."""
    model, mmproj = models[name]
    params = SamplingParams(temperature=0, max_tokens=24, ignore_eos=True)
    shapes = [(60, 110), (110, 60), (56, 56)]
    work = [([7, 8, 9, 7, 8, 9, 7, 8], [])] + [
        ([i, 7, -1, 9, 11, *([-1, 7, 9] if i % 2 else [])], [picture(*shapes[i % 3])] * (1 + i % 2))
        for i in range(3, 8)
    ]
    with Engine(model, mmproj=mmproj, n_ctx=96, n_threads=2, speculate=False) as engine:
        alone = [engine.generate(prompt, params, images=images or None).tokens for prompt, images in work]
    with Engine(model, mmproj=mmproj, n_ctx=96, n_blocks=6, n_threads=2, max_rows=7) as engine:
        for _ in range(2):
            handles = [engine.submit(prompt, params, images=images or None) for prompt, images in work]
            assert [handle.result().tokens for handle in handles] == alone


def test_the_published_template_shows_pictures(models):
    """Its picture has three marks, which are the projector's."""
    template = (
        "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% if m['content'] is string %}{{ m['content'] }}"
        "{% else %}{% for c in m['content'] %}{% if c['type'] == 'image' or 'image' in c %}"
        "<|vision_start|><|image_pad|><|vision_end|>{% elif 'text' in c %}{{ c['text'] }}{% endif %}{% endfor %}"
        "{% endif %}<|im_end|>\n{% endfor %}"
    )
    model, mmproj = models["qwen2vl"]
    with Engine(model, mmproj=mmproj, n_ctx=128, n_threads=2) as engine:
        chat = ChatTemplate({"default": template}, engine.tokenizer)
        shown = Pictures(SPELLING, tuple(tuple(engine._eyes.picture(picture(56)).parts) for _ in range(2)))
        messages = [
            {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What?"}, {"type": "image"}]}
        ]
        ids = chat.encode(messages, pictures=shown)
        assert ids.count(-1) == 2
        text = [engine.tokenizer.decode([i], skip_special=False) if i >= 0 else "#" for i in ids]
        seen = "<|vision_start|>#<|vision_end|>"
        assert "".join(text) == f"<|im_start|>user\n{seen}What?{seen}<|im_end|>\n"
        chat.close()


def test_pictures_of_one_colour_differ_by_their_shape(models):
    model, mmproj = models["qwen2vl"]
    with Engine(model, mmproj=mmproj, n_ctx=96, n_threads=2) as engine:
        wide, high = (np.full(shape, 9, np.uint8) for shape in ((28, 112), (112, 28)))
        ids = [engine.encode([3, -1], images=[image]) for image in (wide, high, wide)]
        assert (
            ids[0] == ids[2] and len(ids[0]) == len(ids[1]) and not set(ids[0][-16:]) & set(i for i in ids[1] if i < 0)
        )


def test_folders_of_older_transformers_have_one_level(models, tmp_path):
    case = CASES["qwen25vl"]
    text = dict(case["config"]["text_config"])
    text.pop("rope_parameters")
    config = {key: value for key, value in case["config"].items() if key != "text_config"} | text
    config |= {"rope_theta": 1e4, "rope_scaling": {"type": "mrope", "mrope_section": [4, 6, 6]}}
    config |= {"model_type": "qwen2_5_vl", "architectures": case["config"]["architectures"]}
    source = write_vision_folder(tmp_path / "old", case | {"config": json.loads(json.dumps(config))})
    convert_folder(source, tmp_path / "old.gguf", "F32", mmproj=tmp_path / "mmproj.gguf")
    new, old = open_gguf(models["qwen25vl"][0]), open_gguf(tmp_path / "old.gguf")
    assert dict(new.metadata) | {"general.name": ""} == dict(old.metadata) | {"general.name": ""}
    assert set(new.tensors) == set(old.tensors)


@pytest.mark.parametrize(
    "name, keys, drop, message",
    [
        ("qwen2vl", {}, ("v.patch_embd.weight.1",), "'v.patch_embd.weight.1' is missing"),
        ("qwen2vl", {}, ("mm.2.weight",), "'mm.2.weight' is missing"),
        ("qwen2vl", {}, ("v.post_ln.weight",), "'v.post_ln.weight' is missing"),
        ("qwen2vl", {"clip.vision.spatial_merge_size": 0}, (), "spatial_merge_size"),
        ("qwen2vl", {"clip.vision.spatial_merge_size": 3}, (), r"mm.0.weight': shape \(256, 256\), expected"),
        ("qwen25vl", {"clip.vision.n_wa_pattern": None}, (), "clip.vision.n_wa_pattern"),
        ("qwen25vl", {"clip.vision.n_wa_pattern": -1}, (), "clip.vision.n_wa_pattern"),
        ("qwen25vl", {"clip.vision.window_size": 0}, (), "clip.vision.window_size"),
        ("qwen25vl", {"clip.vision.attention.head_count": 32}, (), "cannot turn by row and column"),
        ("qwen25vl", {"clip.vision.image_max_pixels": -1}, (), "image_max_pixels"),
    ],
)
def test_files_that_are_broken_are_refused_by_name(models, tmp_path, name, keys, drop, message):
    path = rewritten(models[name][1], tmp_path / "bad.gguf", keys, drop)
    with pytest.raises(ModelError, match=message) as caught:
        load_vision(path)
    assert "bad.gguf" in str(caught.value) and "\n" not in str(caught.value)


def test_a_language_model_without_sections_is_refused(models, tmp_path):
    other = convert(tmp_path, CASES["llava"])[0]
    with pytest.raises(ModelError, match="do not belong together"):
        Engine(other, mmproj=models["qwen2vl"][1])
