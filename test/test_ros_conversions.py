"""Messages and parameters against the engine's types: pairs that round-trip, defaults that agree, errors that name the
field.
"""

from __future__ import annotations

import dataclasses

import pytest
from llm_ros.msg import LoraAdapter, Plan, Response, SamplingConfig

from llm_core.engine import FINISH_REASONS, AdapterInfo, Completion, Usage
from llm_core.errors import RequestError
from llm_core.sampling import SamplingParams, TokenLogprob
from llm_ros import conversions as convert
from llm_ros import params
from llm_ros.plan_conversions import plan_from_ros, plan_lines, plan_to_ros
from llm_ros.planner import Plan as PlannerPlan
from llm_ros.planner import Step

DEFAULTS = params.SamplingDefaults(seed=7)


def test_an_empty_message_means_the_nodes_parameters():
    sampling = convert.sampling_from_ros(SamplingConfig(), DEFAULTS)
    assert sampling == SamplingParams(seed=7)  # the parameters' defaults are the engine's
    changed = dataclasses.replace(DEFAULTS, temp=0.25, top_k=3, penalty_freq=-1.0, max_tokens=9)
    sampling = convert.sampling_from_ros(SamplingConfig(), changed)
    assert (sampling.temperature, sampling.top_k, sampling.frequency_penalty, sampling.max_tokens) == (0.25, 3, -1.0, 9)


def test_a_random_seed_is_drawn_anew_each_time():
    random = dataclasses.replace(DEFAULTS, seed=-1)
    assert (
        convert.sampling_from_ros(SamplingConfig(), random).seed
        != convert.sampling_from_ros(SamplingConfig(), random).seed
    )


@pytest.mark.parametrize(
    "field, core_field, value",
    [
        ("max_tokens", "max_tokens", 5),
        ("temp", "temperature", 0.0),
        ("temp", "temperature", 0.3),
        ("top_k", "top_k", 0),
        ("top_p", "top_p", 0.9),
        ("min_p", "min_p", 0.0),
        ("typical_p", "typical_p", 0.5),
        ("penalty_last_n", "penalty_last_n", 0),
        ("penalty_repeat", "repeat_penalty", 1.3),
        ("penalty_freq", "frequency_penalty", -1.0),
        ("penalty_present", "presence_penalty", -1.5),
        ("seed", "seed", 0),
        ("n_probs", "logprobs", 0),
        ("ignore_eos", "ignore_eos", True),
    ],
)
def test_every_field_arrives_as_it_was_meant(field, core_field, value):
    message = convert.sampling_to_ros(**{field: value})
    assert getattr(convert.sampling_from_ros(message, DEFAULTS), core_field) == value


@pytest.mark.parametrize(
    "field, kind, text",
    [
        ("grammar", "gbnf", 'root ::= "a"'),
        ("grammar_schema", "json_schema", "{}"),
        ("grammar_regex", "regex", "a+"),
        ("grammar_lark", "lark", 'start: "a"'),
    ],
)
def test_grammars(field, kind, text):
    grammar = convert.sampling_from_ros(convert.sampling_to_ros(**{field: text}), DEFAULTS).grammar
    assert (grammar.kind, grammar.text) == (kind, text)


LOADED = [AdapterInfo(name, f"{name}.gguf", scale, True, 1) for name, scale in (("polite", 1.0), ("terse", 0.25))]


@pytest.mark.parametrize(
    "lora, chosen",
    [
        ((), None),
        ("terse", {"terse": 0.25}),
        (["terse", "polite"], {"terse": 0.25, "polite": 1.0}),
        ({"polite": -0.5, "terse": None}, {"polite": -0.5, "terse": 0.25}),
        ({"polite": 0}, {"polite": 0.0}),
    ],
)
def test_adapters_round_trip(lora, chosen):
    assert convert.lora_from_ros(convert.lora_to_ros(lora), LOADED) == chosen


@pytest.mark.parametrize(
    "adapter, words",
    [
        (dict(name="curt"), r"lora\[0\].name is 'curt': no such adapter is loaded; loaded: 'polite', 'terse'"),
        (dict(name="terse", scale=2000.0), r"lora\[0\].scale is 2000.0: a number from -1000 to 1000"),
        (dict(name="terse", scale=float("nan")), r"lora\[0\].scale is nan"),
    ],
)
def test_adapters_that_cannot_be_used_name_the_field(adapter, words):
    with pytest.raises(RequestError, match=words):
        convert.lora_from_ros([LoraAdapter(**adapter)], LOADED)


def test_every_finish_reason_of_the_engine_has_a_constant():
    assert set(FINISH_REASONS) == set(convert.FINISH)
    names = [name for name in dir(Response) if name.startswith("FINISH_")]
    assert len({getattr(Response, name) for name in names}) == len(names) == len(convert.FINISH_NAMES)


def test_a_completion_becomes_a_response_with_sendable_text():
    class Tokenizer:
        def token_bytes(self, token):
            return [b"\xc3", b"\xa9", b"\0"][token]

    logprobs = (TokenLogprob(0, -0.5, ((0, -0.5), (2, -1.0))),)
    completion = Completion("a\0b", (0,), "stop", Usage(5, 2, 1, 0.1, 0.2, 0.3), 1, logprobs=logprobs)
    response = convert.response_to_ros(completion, Response.FINISH_STOP, Tokenizer())
    assert response.text == "a\ufffdb" and list(response.tokens) == [0]
    assert [prob.token_text for prob in response.probs[0].data] == ["\ufffd", "\ufffd"]
    assert (response.usage.total_tokens, response.usage.cached_tokens) == (6, 2)
    assert convert.response_to_ros(None, Response.FINISH_UNKNOWN, None).text == ""


@pytest.mark.parametrize(
    "plan, shape",
    [
        (
            PlannerPlan("plan", (Step("wait", {"seconds": 2.5}), Step("go_to", {"location": "hall"}, inserted=True))),
            [{"skill": "wait", "args": {"seconds": "2.5"}}, {"skill": "go_to", "args": {"location": "hall"}}],
        ),
        (PlannerPlan("refuse", reason="unsafe", message="no"), {"refuse": "unsafe: no"}),
        (PlannerPlan("clarify", message="which one?"), {"clarify": "which one?"}),
    ],
)
def test_plans_round_trip(plan, shape):
    message = plan_to_ros(plan, "do it")
    assert message.command == "do it" and plan_from_ros(message) == shape
    assert [step.inserted for step in message.steps] == [step.inserted for step in plan.steps]
    assert plan_lines(message)


def test_a_plan_that_failed_has_no_status():
    assert Plan().status == Plan.UNKNOWN and plan_lines(Plan()) == ["no plan"]


@pytest.mark.parametrize(
    "values, expected",
    [
        (dict(temp=float("nan")), "sampling.temp = nan"),
        (dict(top_p=0.0), r"sampling.top_p = 0.0: out of range \(0.0, 1.0\]"),
        (dict(top_k=1.5), "sampling.top_k = 1.5: needs a int"),
        (dict(seed=-2), "sampling.seed = -2"),
        (dict(max_tokens=True), "sampling.max_tokens = True"),
    ],
)
def test_parameter_groups_check_themselves(values, expected):
    with pytest.raises(params.ParameterError, match=expected):
        params.SamplingDefaults(**values)


def test_adapters_in_parameters():
    model = params.ModelParams(lora="polite.gguf, t=a/b=c.gguf:0.5,hf:o/r/x.gguf:-1")
    assert model.adapters() == {"polite": ("polite.gguf", 1.0), "t": ("a/b=c.gguf", 0.5), "x": ("hf:o/r/x.gguf", -1.0)}
    assert params.PlannerParams(lora="a:2, b").adapters() == {"a": 2.0, "b": None}
    for group, lora, words in (
        (params.ModelParams, "x=", r"model.lora 'x=': \[NAME=\]FILE\[:SCALE\] wanted"),
        (params.ModelParams, "a/x.gguf,b/x", "model.lora 'b/x': the name 'x' is taken"),
        (params.ModelParams, "x.gguf:1e9", "model.lora 'x.gguf:1e9': the scale is 1000000000.0"),
        (params.PlannerParams, "a,a:2", "lora 'a:2'"),
    ):
        with pytest.raises(params.ParameterError, match=words):
            group(lora=lora)


def test_messages():
    messages = [{"role": "system", "content": "be kind"}, {"role": "user", "content": "<|im_end|>"}]
    assert convert.messages_from_ros(convert.messages_to_ros(messages)) == messages
    assert convert.messages_from_ros(convert.messages_to_ros("hi")) == [{"role": "user", "content": "hi"}]
    with pytest.raises(RequestError, match="NUL"):
        convert.messages_to_ros("a\0")
