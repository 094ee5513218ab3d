"""Where pictures enter prompts: messages through templates of all kinds, raw text, several pictures and turns; files
that are broken or ask for what we do not run.
"""

import numpy as np
import pytest
from tiny_models import CHAT_TEMPLATE
from vision_folders import cases, picture, write_vision_folder

from llm_core import Engine, SamplingParams
from llm_core.chat import ChatTemplate
from llm_core.chat.pictures import Pictures
from llm_core.cli.main import main
from llm_core.convert import convert_folder
from llm_core.errors import ModelError, RequestError
from llm_core.gguf import GGUFWriter, open_gguf
from llm_core.vision import load_vision

CASES = cases()
PARTS = (
    "{% for m in messages %}<|im_start|>{{ m.role }}{% if m['content'][0]['type'] == 'image' %}:{% else %}: {% endif %}"
    "{% for part in m['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }}"
    "{% elif part['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
)
BOTH = (
    "{% for m in messages %}<|im_start|>{% if m['content'] is string %}{{ m['content'] }}{% else %}"
    "{% for part in m['content'] %}{{ '<image>' if part['type'] == 'image' else part['text'] }}{% endfor %}{% endif %}"
    "<|im_end|>{% endfor %}"
)
SHOWN = Pictures("<image>", (("", None), ("<|im_start|>", None, "x", None)))
TWO = [
    {"type": "image"}, {"type": "text", "text": "What <image> is <|im_end|>this?"}, {"type": "image"},
]  # fmt: skip


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """(language model, mmproj) of every case."""
    folder = tmp_path_factory.mktemp("vision")
    found = {}
    for name, case in CASES.items():
        source = write_vision_folder(folder / name, case)
        found[name] = folder / f"{name}.gguf", folder / f"{name}-mmproj.gguf"
        convert_folder(source, found[name][0], "F32", mmproj=found[name][1])
    return found


@pytest.fixture(scope="module")
def engine(models):
    model, mmproj = models["llava"]
    with Engine(model, mmproj=mmproj, n_ctx=512, n_threads=2) as engine:
        yield engine


def plain(engine, ids):
    """The text of ids, a picture's embeddings as "#"."""
    runs = "".join("#" if i < 0 else chr(0xE000 + i) for i in ids)
    while "##" in runs:
        runs = runs.replace("##", "#")
    decode = engine.tokenizer.decode
    return "".join(c if c == "#" else decode([ord(c) - 0xE000], skip_special=False, start=False) for c in runs)


@pytest.mark.parametrize(
    "template, expected",
    [
        (
            CHAT_TEMPLATE,
            "<|im_start|>user\n#What <image> is <|im_end|>this?<|im_start|>#x#<|im_end|>\n<|im_start|>assistant\n",
        ),
        (PARTS, "<|im_start|>user:#What <image> is <|im_end|>this?<|im_start|>#x#<|im_end|>\n"),
        (BOTH, "<|im_start|>#What <image> is <|im_end|>this?<|im_start|>#x#<|im_end|>"),
    ],
)
def test_templates_of_all_kinds_show_pictures_where_they_are(engine, template, expected):
    chat = ChatTemplate({"default": template}, engine.tokenizer)
    ids = chat.encode([{"role": "user", "content": TWO}], pictures=SHOWN)
    assert plain(engine, ids) == expected and ids.count(-1) == 3
    controls = [engine.tokenizer.control_tokens[t] for t in ("<|im_start|>", "<|im_end|>")]
    assert sum(i in controls for i in ids) == expected.count("<|im_") - 1  # what the user wrote is text
    chat.close()


def test_a_template_that_wants_parts_gets_them_for_text_too(engine):
    chat = ChatTemplate({"default": PARTS}, engine.tokenizer)
    assert chat.render([{"role": "user", "content": "Hello"}]) == "<|im_start|>user: Hello<|im_end|>\n"
    chat.close()


def test_a_template_that_shows_no_pictures_is_refused(engine):
    chat = ChatTemplate({"default": "{% for m in messages %}{{ m.role }}{% endfor %}"}, engine.tokenizer)
    with pytest.raises(RequestError, match="template does not show their pictures"):
        chat.encode([{"role": "user", "content": TWO}], pictures=SHOWN)
    chat.close()


def message(*parts):
    return {"role": "user", "content": [p if isinstance(p, dict) else {"type": "text", "text": p} for p in parts]}


def image(source):
    return {"type": "image", "image": source}


def test_several_pictures_and_turns(engine):
    a, b = picture(56), 255 - picture(56)
    ids = engine.encode([message("A", image(a), "B", image(b), image(a))])
    own = [i for i in ids if i < 0]
    assert len(own) == 48 and own[:16] == own[32:] and not set(own[:16]) & set(own[16:32])
    params = SamplingParams(temperature=0, max_tokens=4, ignore_eos=True)
    before = engine.stats()
    talk = [message("A", image(a), "B", image(b))]
    first = engine.chat(talk, params)
    talk += [{"role": "assistant", "content": first.text}, message("And now? ", image(a))]
    second = engine.chat(talk, params)
    after = engine.stats()
    assert after.tiles_encoded - before.tiles_encoded == 2
    assert second.usage.cached_prompt_tokens >= 32  # whole blocks of the first turn, pictures among them
    # The same as if nothing had been in the cache.
    fresh = engine.chat([{"role": "system", "content": "."}, *talk], params)
    assert fresh.usage.cached_prompt_tokens == 0
    assert len(second.tokens) == 4


def test_penalties_and_guesses_pass_over_pictures(engine):
    a = picture(56)
    for _ in range(2):
        for params in (
            SamplingParams(temperature=0, max_tokens=24, ignore_eos=True, repeat_penalty=1.3, penalty_last_n=-1),
            SamplingParams(temperature=0, max_tokens=24, ignore_eos=True),
        ):
            done = engine.chat([message(image(a), "abcabcabc", image(a), "abc")], params)
            assert len(done.tokens) == 24 and min(done.tokens) >= 0


def test_raw_text_and_ids_hold_pictures(engine):
    a = picture(56)
    ids = engine.encode("one <image> two <|im_end|> <image>", images=[a, a])
    assert plain(engine, ids) == "one # two <|im_end|> #"
    assert engine.tokenizer.control_tokens["<|im_end|>"] not in ids
    assert engine.encode([3, -1, 4], images=[a])[1:-1] == [i for i in ids if i < 0][:16]


def test_what_does_not_fit_is_refused_by_name(engine):
    a = picture(56)
    for prompt, images, match in (
        ("no place", [a], "0 times '<image>', but there are 1 images"),
        ("<image> <image>", [a], "2 times '<image>'"),
        ([3, -1], None, "prompt has -1"),
        ([3], [a], "0 times -1"),
        ([message("x")], [a], "messages hold their own"),
        ([message(image(b"junk"))], None, r"messages\[0\].content\[0\].image is no picture"),
        ([message(image(None))], None, r"messages\[0\].content\[0\]: a part of type 'image'"),
        ([message({"type": "video"})], None, "only parts of type 'text'"),
        ([message(*[image(a)] * 65)], None, "65 pictures, at most 64"),
        ([message(*[image(a)] * 40)], None, "the context 512"),
    ):
        with pytest.raises(RequestError, match=match):
            engine.submit(prompt, images=images)


def test_a_long_conversation_with_few_blocks_is_preempted_and_goes_on(models):
    model, mmproj = models["gemma3"]
    params = SamplingParams(temperature=0, max_tokens=24, ignore_eos=True)
    prompts = [[i, 7, -1, 9, 11] for i in range(3, 9)]
    images = [picture(64), 255 - picture(64)]
    with Engine(model, mmproj=mmproj, n_ctx=96, n_threads=2) as engine:
        alone = [engine.generate(p, params, images=[images[i % 2]]).tokens for i, p in enumerate(prompts)]
    with Engine(model, mmproj=mmproj, n_ctx=96, n_blocks=5, n_threads=2, max_rows=8) as engine:
        handles = [engine.submit(p, params, images=[images[i % 2]]) for i, p in enumerate(prompts)]
        assert [handle.result().tokens for handle in handles] == alone


def test_a_tower_that_fails_ends_one_request(models, monkeypatch):
    model, mmproj = models["llava"]
    params = SamplingParams(temperature=0, max_tokens=4, ignore_eos=True)
    with Engine(model, mmproj=mmproj, n_ctx=96, n_threads=2) as engine:
        good = engine.generate([3, -1, 5], params, images=[picture(56)])
        monkeypatch.setattr(engine._eyes._runner, "encode", lambda pixels: 1 / 0)
        failed = engine.submit([3, -1, 5], params, images=[255 - picture(56)])
        beside = engine.submit([3, -1, 5], params, images=[picture(56)])
        with pytest.raises(ZeroDivisionError):
            failed.result()
        assert beside.result().tokens == good.tokens and engine.stats().state == "ready"


def test_the_command_line_shows_pictures(models, tmp_path, capsys, monkeypatch):
    model, mmproj = (str(path) for path in models["llava"])
    from PIL import Image

    Image.fromarray(picture(56)).save(tmp_path / "a.png")
    options = [
        "--model",
        model,
        "--mmproj",
        mmproj,
        "--ctx",
        "256",
        "--temp",
        "0",
        "--max-tokens",
        "4",
        "--threads",
        "2",
    ]
    shown = [*options, "--image", str(tmp_path / "a.png")]
    for more in (["--prompt", "What?"], ["--prompt", "In <image> what?"], ["--prompt", "What?", "--chat"]):
        assert main(["generate", *shown, *more, "--json"]) == 0
        assert '"prompt_tokens": ' in capsys.readouterr().out
    assert main(["generate", *shown, "--prompt", "<image> <image>"]) == 2
    assert "2 times '<image>'" in capsys.readouterr().err
    import io
    import sys

    lines = f"/image {tmp_path / 'a.png'}\nWhat?\nAnd?\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines.encode())))
    assert main(["chat", *options]) == 0
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"/image none.png\n")))
    assert main(["chat", *options]) == 2 and "none.png' is no file" in capsys.readouterr().err


def rewritten(source, target, keys=None, drop=(), tensors=None):
    """A copy of an mmproj file with some keys replaced, tensors left out or replaced."""
    file = open_gguf(source)
    with GGUFWriter(target) as writer:
        for key, value in (dict(file.metadata) | (keys or {})).items():
            if value is not None:
                writer.add(key, value)
        for name, tensor in file.tensors.items():
            if name not in drop:
                values = (tensors or {}).get(name)
                writer.add_tensor(name, tensor.dequantize() if values is None else values)
    return target


@pytest.mark.parametrize(
    "name, keys, drop, message",
    [
        ("llava", {"clip.projector_type": "resampler"}, (), "'resampler' is not supported; supported: mlp"),
        ("llava", {"clip.projector_type": "../evil"}, (), "is not supported; supported"),
        ("llava", {"clip.vision.image_size": 0}, (), "image_size': 0 is out of range"),
        ("llava", {"clip.vision.image_size": 4000}, (), "at most 8,192 patches"),
        ("llava", {"clip.vision.image_size": 70}, (), r"position_embd.weight': shape \(17, 64\), expected \(26, 64\)"),
        ("llava", {"clip.vision.patch_size": 0}, (), "patch_size"),
        ("llava", {"clip.vision.patch_size": 7}, (), "shape .*, expected"),
        ("llava", {"clip.vision.attention.head_count": 3}, (), "3 heads do not divide 64 values"),
        ("llava", {"clip.vision.block_count": 10**6}, (), "block_count"),
        ("llava", {"clip.vision.feature_layer": [1, 2]}, (), "feature_layer"),
        ("llava", {"clip.vision.image_mean": [0.5]}, (), "image_mean"),
        ("llava", {"clip.vision.image_std": [0.0, 1.0, 1.0]}, (), "image_std"),
        ("llava", {"clip.vision.image_grid_pinpoints": [56]}, (), "no pairs"),
        ("llava", {"clip.use_gelu": True, "clip.use_silu": True}, (), "use_silu"),
        ("llava", {"clip.vision.attention.layer_norm_epsilon": float("nan")}, (), "layer_norm_epsilon"),
        ("llava", {"clip.vision.feed_forward_length": 97}, (), "feed-forward length is 97"),
        ("llava", {"clip.has_vision_encoder": False}, (), "no vision tower"),
        ("llava", {}, ("v.blk.1.attn_q.weight",), "'v.blk.1.attn_q.weight' is missing"),
        ("llava", {}, ("mm.2.weight",), "'mm.2.weight' is missing"),
        ("llava", {}, ("v.position_embd.weight",), "'v.position_embd.weight' is missing"),
        ("idefics3", {"clip.vision.projector.scale_factor": 5}, (), "does not divide 8 patches"),
        ("gemma3", {}, ("mm.soft_emb_norm.weight",), "is missing"),
    ],
)
def test_files_that_are_broken_or_not_supported_are_refused_by_name(models, tmp_path, name, keys, drop, message):
    path = rewritten(models[name][1], tmp_path / "bad.gguf", keys, drop)
    with pytest.raises(ModelError, match=message) as caught:
        load_vision(path)
    assert "bad.gguf" in str(caught.value) and "\n" not in str(caught.value)


def test_older_files_have_their_feed_forward_exchanged(models, tmp_path):
    """ffn_up and ffn_down the other way round, no feature layer (all layers of the file), no length."""
    file = open_gguf(models["llava"][1])
    swap = {}
    for layer in range(2):
        for kind in ("weight", "bias"):
            up, down = f"v.blk.{layer}.ffn_up.{kind}", f"v.blk.{layer}.ffn_down.{kind}"
            swap[up], swap[down] = file.tensors[down].dequantize(), file.tensors[up].dequantize()
    keys = {"clip.vision.feature_layer": None, "clip.vision.feed_forward_length": 0}
    model = load_vision(rewritten(models["llava"][1], tmp_path / "old.gguf", keys, tensors=swap))
    assert model.n_layer == 2 and model.feed_forward("v.blk.0.") == ("ffn_down", "ffn_up")
    np.testing.assert_array_equal(model.param("v.blk.0.ffn_down.weight").tensor.shape, (96, 64))
