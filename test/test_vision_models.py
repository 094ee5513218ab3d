"""Towers and projectors against `transformers`: folders converted by us, the same embeddings and greedy ids."""

import json

import numpy as np
import pytest
from vision_folders import DATA, MEAN, MOBILE, OWN, STD, cases, picture, write_mobile, write_own, write_vision_folder

from llm_core import Engine, SamplingParams
from llm_core.cli.main import main
from llm_core.convert import convert_folder
from llm_core.errors import ModelError, RequestError
from llm_core.gguf import GGMLType, open_gguf
from llm_core.vision import VisionRunner, load_vision, open_image
from llm_core.vision.preprocess import normalised

CASES = cases()
GREEDY = {"temperature": 0.0, "max_tokens": 10, "ignore_eos": True}


def convert(folder, case, type="F32", **changes):
    """(language model, mmproj) of a case, converted."""
    source = write_vision_folder(folder / "hf", case | changes)
    convert_folder(source, folder / "model.gguf", type, mmproj=folder / "mmproj.gguf")
    return folder / "model.gguf", folder / "mmproj.gguf"


def shown(case):
    """The case's picture."""
    return picture(*case["size"])


def encoded(model, case, n_threads=2):
    """The embeddings of the case's picture."""
    runner = VisionRunner(model, n_threads=n_threads)
    layout = model.projector.look(model, open_image(shown(case)))
    part = next(part for part in layout.parts if not isinstance(part, str))
    try:
        features = [runner.encode(normalised(tile, MEAN, STD)) for tile in layout.tiles]
        return part.join(features) if part.join else features[0]
    finally:
        runner.close()


def embeddings(mmproj, case, n_threads=2):
    return encoded(load_vision(mmproj), case, n_threads)


def difference(ours, expected):
    return np.linalg.norm(ours - expected) / np.linalg.norm(expected)


@pytest.mark.parametrize("name", CASES)
def test_embeddings_are_those_of_transformers(name, tmp_path):
    case = CASES[name]
    _, mmproj = convert(tmp_path, case)
    with np.load(DATA / "vision_features.npz") as golden:
        expected = golden[name]
    ours = embeddings(mmproj, case)
    assert ours.shape == expected.shape
    assert difference(ours, expected) < 1e-5 and np.abs(ours - expected).max() < 1e-4 * np.abs(expected).max()
    np.testing.assert_array_equal(embeddings(mmproj, case, n_threads=3), ours)


@pytest.mark.parametrize("name", CASES)
def test_the_greedy_answer_is_that_of_transformers(name, tmp_path):
    case = CASES[name]
    model, mmproj = convert(tmp_path, case)
    image = shown(case)
    params = SamplingParams(**GREEDY)
    with Engine(model, mmproj=mmproj, n_ctx=256, n_threads=2) as engine:
        first = engine.generate(case["prompt"], params, images=[image])
        assert list(first.tokens) == case["answer"]
        tiles = engine.stats().tiles_encoded
        assert tiles == (3 if name == "llava_next" else 1)
        # Again, and after other text: the tower does not run again.
        assert list(engine.generate(case["prompt"], params, images=[image]).tokens) == case["answer"]
        engine.generate([5, *case["prompt"]], params, images=[image])
        assert engine.stats().tiles_encoded == tiles
        other = engine.generate(case["prompt"], params, images=[255 - image])
        assert engine.stats().tiles_encoded == 2 * tiles and other.tokens != first.tokens


def test_a_prompt_in_small_steps_gives_the_same_answer(tmp_path):
    for name in CASES:
        (tmp_path / name).mkdir()
        model, mmproj = convert(tmp_path / name, CASES[name])
        with Engine(model, mmproj=mmproj, n_ctx=256, n_threads=2, max_rows=5) as engine:
            done = engine.generate(CASES[name]["prompt"], SamplingParams(**GREEDY), images=[shown(CASES[name])])
        assert list(done.tokens) == CASES[name]["answer"], name


@pytest.mark.parametrize("projector", ["ldp", "ldpv2"])
@pytest.mark.parametrize("type, bound", [("F32", 1e-5), ("F16", 2e-3)])
def test_embeddings_of_mobilevlm_are_those_of_its_definition(projector, type, bound, tmp_path):
    mmproj = write_mobile(tmp_path / "mmproj.gguf", projector, GGMLType[type])
    with np.load(DATA / "vision_features.npz") as golden:
        expected = golden[projector]
    case = {"size": (MOBILE["image_size"],) * 2}
    ours = embeddings(mmproj, case)
    assert ours.shape == expected.shape == (9, MOBILE["projection_dim"])
    assert difference(ours, expected) < bound
    np.testing.assert_array_equal(embeddings(mmproj, case, n_threads=3), ours)


@pytest.mark.parametrize("type, bound", [("F32", 1e-5), ("F16", 2e-3), ("Q8_0", 3e-2)])
def test_embeddings_of_a_tower_of_convolutions_are_those_of_its_definition(type, bound, tmp_path):
    mmproj = write_own(tmp_path / "mmproj.gguf", GGMLType[type])
    with np.load(DATA / "vision_features.npz") as golden:
        expected = golden["own"]
    case = {"size": (OWN["image_size"],) * 2}
    ours = embeddings(mmproj, case)
    assert ours.shape == expected.shape == (9, OWN["projection_dim"])
    assert difference(ours, expected) < bound
    np.testing.assert_array_equal(embeddings(mmproj, case, n_threads=3), ours)


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"v.stage.1.merge.weight": (64, 8 * 48)}, "'v.stage.1.merge.weight': 384 columns, expected squares of 48"),
        ({"v.stage.1.merge.weight": (64, 4 * 48)}, "'v.stage.1.merge.weight': 192 columns, expected squares of 48"),
        ({"v.stage.1.blk.1.conv.weight": (48, 5, 5)}, "'v.stage.1.blk.1.conv.weight': shape (48, 5, 5), expected"),
        ({"v.position_embd.weight": (10, 64)}, "'v.position_embd.weight': shape (10, 64), expected (9, 64)"),
        ({"v.stage.0.ln.weight": ()}, "'v.stage.0.ln.weight' is missing"),
        ({"v.stage.0.merge.weight": ()}, "'v.stage.0.merge.weight' is missing"),
        ({"v.class_embd": (64,)}, "'v.class_embd': a tower of convolutions has no row for it"),
    ],
)
def test_convolutions_that_do_not_fit_are_refused_by_name(changed, message, tmp_path):
    with pytest.raises(ModelError) as caught:
        load_vision(write_own(tmp_path / "mmproj.gguf", changed=changed))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "name, type, bound",
    [*((name, "F16", 2e-3) for name in CASES), *((name, "BF16", 2e-2) for name in CASES), ("llava", "Q8_0", 3e-2)],
)
def test_other_weights_are_close(name, type, bound, tmp_path):
    _, mmproj = convert(tmp_path, CASES[name], type)
    kinds = {tensor.type for tensor in open_gguf(mmproj).tensors.values()}
    assert GGMLType[type] in kinds
    with np.load(DATA / "vision_features.npz") as golden:
        assert difference(embeddings(mmproj, CASES[name]), golden[name]) < bound


def test_half_precision_weights_meet_floats_where_integers_are_slower(tmp_path):
    _, mmproj = convert(tmp_path, CASES["llava"], "F16")
    fast = embeddings(mmproj, CASES["llava"])
    model = load_vision(mmproj)
    model.graph = model.record(model.graph.grid, exact=True)
    exact = encoded(model, CASES["llava"])
    assert difference(fast, exact) < 1e-3


def test_names_of_older_folders_are_known(tmp_path):
    """As they were before transformers 5, in files that are published."""
    names = {
        "llava": lambda n: n.replace("model.language_model.", "language_model.model.")
        .replace("lm_head", "language_model.lm_head").replace("model.vision_tower.", "vision_tower.vision_model.")
        .replace("model.multi_modal", "multi_modal"),
        "llava_next": lambda n: n.replace("model.image_newline", "image_newline"),
        "idefics3": lambda n: n,
        "gemma3": lambda n: n.replace("model.language_model.", "language_model.model.")
        .replace("model.vision_tower.", "vision_tower.vision_model.").replace("model.multi_modal", "multi_modal"),
    }  # fmt: skip
    for name in ("qwen2vl", "qwen25vl"):
        names[name] = lambda n: n.replace("model.language_model.", "model.").replace("model.visual.", "visual.")
    for name, case in CASES.items():
        (tmp_path / name).mkdir()
        _, mmproj = convert(tmp_path / name, case)
        folder = tmp_path / name / "old"
        write_vision_folder(folder, case, names[name])
        convert_folder(folder, tmp_path / "lm.gguf", "F32", mmproj=tmp_path / "old.gguf")
        new, old = open_gguf(mmproj).tensors, open_gguf(tmp_path / "old.gguf").tensors
        assert set(new) == set(old)
        assert all(np.array_equal(new[n].data, old[n].data) for n in new)


def test_the_verb_writes_both_files(tmp_path, capsys):
    folder = write_vision_folder(tmp_path / "hf", CASES["llava"])
    model, mmproj = tmp_path / "m.gguf", tmp_path / "p.gguf"
    assert main(["convert", str(folder), str(model), "--mmproj", str(mmproj), "--type", "F16", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["architecture"] == "llama"
    assert open_gguf(mmproj).metadata["clip.projector_type"] == "mlp"
    assert main(["convert", str(folder), str(model)]) == 0


@pytest.mark.parametrize(
    "name, part, field, value, message",
    [
        ("llava", "config", "vision_feature_layer", [-2, -3], "vision_feature_layer = .* is not supported"),
        ("llava", "config", "vision_feature_select_strategy", "full", "vision_feature_select_strategy"),
        ("llava", "config", "projector_hidden_act", "relu", "projector_hidden_act = 'relu' is not supported"),
        ("idefics3", "config", "scale_factor", 3, "scale_factor' = 3 does not divide 8 patches"),
        ("gemma3", "config", "mm_tokens_per_image", 15, "mm_tokens_per_image = 15"),
        ("gemma3", "preprocessor", "image_mean", [0.5], "image_mean"),
    ],
)
def test_what_is_computed_otherwise_is_refused(name, part, field, value, message, tmp_path):
    case = CASES[name]
    with pytest.raises(ModelError, match=message):
        convert(tmp_path, case, **{part: case[part] | {field: value}})
    assert not (tmp_path / "mmproj.gguf").exists() and not (tmp_path / "model.gguf").exists()


def test_files_that_do_not_belong_together_are_refused(tmp_path):
    model, mmproj = convert(tmp_path, CASES["llava"])
    from tiny_models import write_tiny

    other = write_tiny(tmp_path / "other.gguf", "llama")
    with pytest.raises(ModelError, match="embeddings are 64 wide, those of .*other.gguf .*do not belong together"):
        Engine(other, mmproj=mmproj)
    with pytest.raises(ModelError, match="'llama' is no vision tower"):
        Engine(model, mmproj=model)
    with Engine(model, n_ctx=128) as engine, pytest.raises(RequestError, match="made without an mmproj"):
        engine.submit([3, -1], images=[picture(56)])
