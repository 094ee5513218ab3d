"""Pictures in requests of llm_node, over real DDS, with a tiny random model that sees: what reaches the engine is what
was sent, wherever the text says that it stands.
"""

from __future__ import annotations

import io

import numpy as np
import pytest
from camera_helpers import write_seeing_model
from PIL import Image as Pillow
from ros_helpers import DEADLINE_S, FakeEngines, Ros
from vision_folders import picture

from llm_core import Engine, SamplingParams
from llm_core.errors import RequestError
from llm_ros import images
from llm_ros.client import CallError, LLMClient
from llm_ros.nodes.llm_node import LLMNode

A, B = picture(56), 255 - picture(56)
GREEDY = dict(temp=0.0, max_tokens=6, ignore_eos=True)


def png(pixels):
    out = io.BytesIO()
    Pillow.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_seeing_model(tmp_path_factory.mktemp("seeing"))


@pytest.fixture(scope="module")
def client(model):
    """A client of an llm_node that sees."""
    ros = Ros(__name__)
    values = dict(model__name=model[0], model__mmproj=model[1], context__n_ctx=512, cpu__n_threads=2)
    assert ros.add(LLMNode, **values).start()
    client = LLMClient(ros.client_node())
    client.wait_ready(DEADLINE_S)
    yield client
    ros.close()


@pytest.fixture(scope="module")
def engine(model):
    with Engine(model[0], mmproj=model[1], n_ctx=512, n_threads=2) as engine:
        yield engine


def chat(client, *args, **options):
    return list(client.chat(*args, **options, **GREEDY).result(DEADLINE_S).response.tokens)


def expected(engine, prompt, **options):
    return list(engine.generate(prompt, SamplingParams(temperature=0, max_tokens=6, ignore_eos=True), **options).tokens)


def user(*parts):
    return {"role": "user", "content": [part if isinstance(part, dict) else text(part) for part in parts]}


def text(words):
    return {"type": "text", "text": words}


def show(pixels):
    return {"type": "image", "image": pixels}


def test_a_picture_stands_before_the_last_users_text(client, engine):
    answer = expected(engine, [user(show(A), "What is it?")])
    for sent in (A, png(A), images.image_to_ros(A, "bgra8"), images.image_to_ros(A, "rgb16", bigendian=True)):
        assert chat(client, "What is it?", images=[sent]) == answer
    talk = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Yes <image>?"}]
    assert chat(client, [*talk, {"role": "user", "content": "What is it?"}], images=[A, png(B)]) == expected(
        engine, [*talk, user(show(A), show(B), "What is it?")]
    )


def test_pictures_stand_at_their_marks(client, engine):
    talk = [
        {"role": "user", "content": "This <image>"},
        {"role": "assistant", "content": "Yes"},
        {"role": "user", "content": "and <image> this?"},
    ]
    answer = expected(engine, [user("This ", show(A)), talk[1], user("and ", show(B), " this?")])
    for sent in ([A, B], [A, png(B)], [png(A), B]):
        assert chat(client, talk, images=sent) == answer


def test_raw_text_and_the_service_take_pictures(client, engine):
    for prompt, whole in (("one <image> two", "one <image> two"), ("two", "<image>two")):
        answer = expected(engine, whole, images=[A])
        assert list(client.generate(prompt, images=[A], **GREEDY).result(DEADLINE_S).response.tokens) == answer
        assert list(client.generate_now(prompt, images=[png(A)], **GREEDY).tokens) == answer
    answer = client.generate_now(messages="What is it?", images=[A], **GREEDY)
    assert list(answer.tokens) == expected(engine, [user(show(A), "What is it?")])


def test_what_the_node_says_of_its_eyes(client):
    assert client.model_info().projector == "mlp"


def test_text_that_looks_like_a_picture_is_text(client, engine):
    assert chat(client, "What is <image>?") == expected(engine, [{"role": "user", "content": "What is <image>?"}])


@pytest.mark.parametrize(
    "messages, sent, why",
    [
        ("<image> and <image>", [A], "messages have 2 times '<image>', but there are 1 pictures"),
        ([{"role": "system", "content": "x"}], [A], "no user's turn"),
        ("x", [images.image_to_ros(A), images.Image(encoding="rgb8", height=1, width=9)], r"images\[1\].step is 0"),
        ("x", [images.CompressedImage()], r"compressed_images\[0\].data is empty"),
        ("x", [np.full((1, 500, 3), 7, np.uint8)], "picture: 500 x 1 pixels are too narrow"),
        ("x", [images.image_to_ros(np.full((1, 500, 3), 7, np.uint8))], r"images\[0\]: 500 x 1 pixels are too narrow"),
        ("x", [A] * 65, "65 pictures, at most 64"),
    ],
)
def test_what_cannot_be_meant_is_named(client, messages, sent, why):
    with pytest.raises((CallError, RequestError), match=why):
        client.chat(messages, images=sent, **GREEDY).result(DEADLINE_S)


def test_a_model_without_eyes_says_so(request):
    ros = Ros(request.node.name)
    try:
        assert ros.add(lambda **options: LLMNode(make_engine=FakeEngines(), **options)).start()
        client = LLMClient(ros.client_node())
        client.wait_ready(DEADLINE_S)
        assert client.model_info().projector == ""
        why = "1 pictures, but llm_node's model takes none.*model.mmproj names no vision tower"
        with pytest.raises(CallError, match=why):
            client.chat("What is it?", images=[A]).result(DEADLINE_S)
        with pytest.raises(CallError, match="model.mmproj names no vision tower"):
            client.generate_now("What is it?", images=[png(A)])
    finally:
        ros.close()
