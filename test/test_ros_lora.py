"""LoRA adapters in requests of llm_node, over real DDS, with a tiny random model and tiny random adapters: the answers
are those of llm_core with the same ones.
"""

from __future__ import annotations

import pytest
from lora_helpers import matrices, write_adapter
from ros_helpers import DEADLINE_S, Ros
from tiny_models import tiny_config, write_tiny

from llm_core import Engine, SamplingParams
from llm_core.errors import RequestError
from llm_ros.client import CallError, LLMClient
from llm_ros.nodes.llm_node import LLMNode

PROMPT = "somewhere"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Paths of a model and of two adapters; the folder is one in which names are looked up."""
    folder = tmp_path_factory.mktemp("lora")
    config = tiny_config("llama")
    write_tiny(folder / "m.gguf")
    for seed, name in enumerate(("far", "near")):
        write_adapter(folder / f"{name}.gguf", config, matrices(config), seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLM_CORE_MODEL_PATH", str(folder))
        yield folder


@pytest.fixture(scope="module")
def client(files):
    """A client of an llm_node with the adapters "far", by name, and "close", of which half is used."""
    ros = Ros(__name__)
    lora = f"far, close={files / 'near.gguf'}:0.5"
    values = dict(model__name="m", model__lora=lora, context__n_ctx=256, cpu__n_threads=2)
    assert ros.add(LLMNode, **values).start()
    client = LLMClient(ros.client_node())
    client.wait_ready(DEADLINE_S)
    yield client
    ros.close()


@pytest.fixture(scope="module")
def engine(files):
    with Engine(files / "m.gguf", n_ctx=256, n_threads=2, adapters={"a": "far", "b": "near"}) as engine:
        yield engine


def test_a_request_is_answered_with_the_adapters_that_it_names(client, engine):
    def ours(lora):
        call = client.generate(PROMPT, lora=lora, temp=0.0, max_tokens=8, ignore_eos=True)
        return list(call.result(DEADLINE_S).response.tokens)

    def expected(adapters):
        params = SamplingParams(temperature=0, max_tokens=8, ignore_eos=True)
        return list(engine.generate(PROMPT, params, adapters=adapters).tokens)

    answers = [
        (ours(lora), expected(adapters))
        for lora, adapters in (
            ((), {"a": 1.0, "b": 0.5}),
            ({"far": 0.0}, ()),
            ("far", "a"),
            ({"far": -0.3}, {"a": -0.3}),
            (["far", "close"], {"a": 1.0, "b": 0.5}),
            ({"close": 1.0}, "b"),
        )
    ]
    assert all(got == wanted for got, wanted in answers)
    assert len({tuple(got) for got, _ in answers}) == len(answers) - 1  # none named: both of them
    reply = client.generate_now(PROMPT, lora="far", temp=0.0, max_tokens=8, ignore_eos=True)
    assert list(reply.tokens) == answers[2][0]
    talk = client.chat("hi", lora="far", temp=0.0, max_tokens=8, ignore_eos=True).result(DEADLINE_S)
    assert talk.response.tokens != client.chat("hi", temp=0.0, max_tokens=8, ignore_eos=True).result(10).response.tokens


def test_the_node_tells_which_adapters_there_are(client):
    info = client.model_info()
    assert [(adapter.name, adapter.scale) for adapter in info.lora] == [("far", 1.0), ("close", 0.5)]
    assert info.lora_applied == ["far", "close"]


@pytest.mark.parametrize(
    "lora, words",
    [
        ("near", "lora[0].name is 'near': no such adapter is loaded; loaded: 'far', 'close'"),
        (["far", "far"], "lora[1].name is 'far', which is there already"),
        ({"far": 1, "": 1}, "lora[1].name is ''"),
    ],
)
def test_a_bad_choice_is_aborted_with_the_reason(client, lora, words):
    with pytest.raises(CallError) as error:
        client.generate(PROMPT, lora=lora).result(DEADLINE_S)
    assert error.value.status == "aborted" and words in str(error.value)


def test_what_cannot_be_sent_is_refused_before(client):
    for lora, words in (({"far": float("nan")}, "nan"), ({"far": "much"}, "'much'"), ([7], "7")):
        with pytest.raises(RequestError, match=words):
            client.generate(PROMPT, lora=lora)
