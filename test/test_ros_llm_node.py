"""llm_node over real DDS with the fake model: life cycle, streaming, errors, cancelling, many clients, parameters,
diagnostics.
"""

from __future__ import annotations

import threading
from itertools import count

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from llm_ros.msg import Response
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.lifecycle import TransitionCallbackReturn
from ros_helpers import DEADLINE_S, FakeEngines, Ros, wait_until

from llm_core.errors import ModelError
from llm_ros.client import CallError, LLMClient
from llm_ros.nodes.llm_node import LLMNode
from llm_ros.params import ParameterError

SUCCESS = TransitionCallbackReturn.SUCCESS


@pytest.fixture
def ros(request):
    ros = Ros(request.node.name)
    yield ros
    ros.close()


class Robot:
    """An llm_node over the fake model, and a client."""

    def __init__(self, ros, active=True, engines=None, **values):
        self.engines = engines or FakeEngines(replies={"weather": "It rains. Take an umbrella."})
        self.node = ros.add(lambda **options: LLMNode(make_engine=self.engines, **options), **values)
        self.client_node = ros.client_node()
        self.client = LLMClient(self.client_node)
        if active:
            assert self.node.start()
            self.client.wait_ready(DEADLINE_S)

    @property
    def runner(self):
        return self.engines.runners[-1]

    @property
    def engine(self):
        return self.engines.made[-1]

    def idle(self):
        """Waits until the engine has nothing left to do."""
        assert self.engine.drain(DEADLINE_S)


def failure(call, timeout=DEADLINE_S):
    """The CallError of a call that must not succeed."""
    with pytest.raises(CallError) as caught:
        call.result(timeout)
    return caught.value


def test_a_chat_streams_token_by_token_and_ends_with_usage(ros):
    robot = Robot(ros)
    pieces, news, steps = [], threading.Condition(), count(1)

    def heard(piece):
        with news:
            pieces.append(piece)
            news.notify_all()

    def wait_for_the_client(_batch):  # before each step: all but the latest tokens have come
        with news:
            wanted = next(steps) - 2
            assert news.wait_for(lambda: len(pieces) >= wanted, DEADLINE_S)

    robot.runner.fail = wait_for_the_client
    call = robot.client.chat("How is the weather?", temp=0.0, n_probs=2, on_feedback=heard)
    result = call.result(DEADLINE_S)
    response = result.response
    assert response.text == result.message.content == "It rains. Take an umbrella."
    assert result.message.role == "assistant" and result.error == ""
    assert response.finish_reason == Response.FINISH_STOP
    assert len(pieces) > 5
    text = "".join(piece.partial_response.text for piece in pieces)
    assert response.text.startswith(text) and len(text) > 0
    assert len(response.tokens) == len(response.probs) == response.usage.completion_tokens
    assert [probs.chosen.token for probs in response.probs] == list(response.tokens)
    assert all(len(probs.data) == 2 and probs.data[0].logprob <= 0.0 for probs in response.probs)
    usage = response.usage
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens and usage.prompt_tokens > 10


def test_the_text_iterator_gives_the_whole_text(ros):
    robot = Robot(ros)
    for _ in range(5):
        assert "".join(robot.client.chat("the weather", temp=0.0).text(DEADLINE_S)) == "It rains. Take an umbrella."


def test_many_clients_at_once_get_what_each_gets_alone(ros):
    robot = Robot(ros)
    clients = [LLMClient(ros.client_node(f"client_{n}")) for n in range(4)]
    for client in clients:
        client.wait_ready(DEADLINE_S)
    asks = [
        (client, dict(prompt=f"tell {n} {m}", seed=10 * n + m, max_tokens=12, ignore_eos=True))
        for n, client in enumerate(clients)
        for m in range(4)
    ]
    together = [client.generate(**ask) for client, ask in asks]
    texts = [call.result(DEADLINE_S).response.text for call in together]
    alone = [robot.client.generate(**ask).result(DEADLINE_S).response.text for _, ask in asks]
    assert texts == alone and len(set(texts)) == len(texts)


BAD_REQUESTS = {
    "empty prompt": (dict(prompt=""), "prompt is empty"),
    "prompt longer than the context": (dict(prompt="x" * 5000), "prompt has 5001 tokens, the context 256"),
    "token id that the model does not have": (
        dict(prompt="a", stop_token_ids=[2**31 - 1]),
        "stop_ids has the id 2147483647",
    ),
    "negative token id": (dict(prompt="a", stop_token_ids=[-1]), "-1"),
    "empty stop": (dict(prompt="a", stop=[""]), "stop has an empty text"),
    "temperature": (dict(prompt="a", temp=-3.0), "sampling_config.temp = -3.0"),
    "not a number": (dict(prompt="a", top_p=float("nan")), "sampling_config.top_p = nan"),
    "infinite": (dict(prompt="a", penalty_repeat=float("inf")), "sampling_config.penalty_repeat = inf"),
    "max_tokens": (dict(prompt="a", max_tokens=0), "sampling_config.max_tokens = 0"),
    "top_k": (dict(prompt="a", top_k=-(2**31)), "sampling_config.top_k = -2147483648"),
    "n_probs": (dict(prompt="a", n_probs=1000), "sampling_config.n_probs = 1000"),
    "adapter": (dict(prompt="a", lora="polite"), "lora[0].name is 'polite': no such adapter is loaded; loaded: none"),
    "priority": (dict(prompt="a", priority=10**6), "priority = 1000000"),
    "deadline": (dict(prompt="a", deadline=-1.0), "deadline = -1"),
    "deadline that is no number": (dict(prompt="a", deadline=float("nan")), "deadline = nan"),
    "bias on no token": (dict(prompt="a", logit_bias={10**6: 1.0}), "logit_bias has the id 1000000"),
    "two grammars": (dict(prompt="a", grammar_regex="a+", grammar_schema="{}"), "only one of them"),
    "broken grammar": (dict(prompt="a", grammar_lark="start: ("), "lark"),
    "broken schema": (dict(prompt="a", grammar_schema='{"type": 7}'), "schema"),
    "every token banned": (
        dict(prompt="a", logit_bias={i: float("-inf") for i in range(269)}, ignore_eos=True),
        "no token",
    ),
}


def test_bad_requests_are_aborted_with_the_reason_and_harm_nobody(ros):
    robot = Robot(ros, context__n_ctx=256)
    calls = {name: robot.client.generate(**ask) for name, (ask, _) in BAD_REQUESTS.items()}
    for name, (_, expected) in BAD_REQUESTS.items():
        error = failure(calls[name])
        assert error.status == "aborted", name
        assert expected.lower() in str(error).lower(), name
        assert error.result.response.text == "", name
    for messages, expected in (
        ([], "messages is empty"),
        ([{"role": "wizard", "content": "x"}], "role is 'wizard'"),
        (
            [{"role": "system", "content": ""}, {"role": "user", "content": " "}],
            "messages have no text",
        ),
    ):
        assert expected in str(failure(robot.client.chat(messages)))
    assert robot.client.chat("the weather", temp=0.0).result(DEADLINE_S).message.content.startswith("It rains")
    assert robot.node.state == "active"


def test_what_ros_cannot_carry_is_refused_before_it_is_sent(ros):
    robot = Robot(ros, active=False)
    for ask, expected in (
        (dict(prompt="a\0b"), "NUL"),
        (dict(prompt="\udcff"), "UTF-8"),
        (dict(prompt=b"x"), "a text wanted"),
        (dict(prompt="a", max_tokens=2**40), "max_tokens"),
        (dict(prompt="a", tmep=1.0), "tmep"),
    ):
        with pytest.raises(ValueError, match=expected):
            robot.client.generate(**ask)


def test_cancelling_ends_the_goal_within_one_step(ros):
    robot = Robot(ros)
    call = robot.client.generate("go on", max_tokens=3000, ignore_eos=True)
    next(iter(call))
    robot.runner.gate = threading.Event()
    assert robot.runner.held.wait(DEADLINE_S), "the engine never came to its next step"
    call.cancel()
    wait_until(lambda: any(r.cancelled for r in robot.engine._loop._scheduler.running), "the cancel arrives")
    steps = robot.engine.stats().steps
    robot.runner.gate.set()
    error = failure(call)
    assert error.status == "cancelled" and error.result.response.finish_reason == Response.FINISH_CANCELLED
    assert error.result.response.text
    robot.idle()
    assert robot.engine.stats().steps <= steps + 1


def test_a_deadline_aborts_and_returns_what_there_is(ros):
    robot = Robot(ros)
    robot.runner.gate = threading.Event()
    call = robot.client.generate("go on", deadline=0.05, ignore_eos=True)
    assert not call.wait(0.1)
    robot.runner.gate.set()
    error = failure(call)
    assert error.status == "aborted" and "deadline" in str(error)
    assert error.result.response.finish_reason == Response.FINISH_DEADLINE


def test_a_full_queue_turns_away_with_a_reason(ros):
    robot = Robot(ros, context__max_requests=1, context__max_queue=1)
    robot.runner.gate = threading.Event()
    calls = [robot.client.generate("x", max_tokens=2, ignore_eos=True) for _ in range(3)]
    turned_away = wait_until(lambda: [call for call in calls if call.done()], "one is turned away")
    assert len(turned_away) == 1 and "queue is full" in str(failure(turned_away[0]))
    robot.runner.gate.set()
    assert sum(call.wait(DEADLINE_S) and call.status == "succeeded" for call in calls) == 2


def test_life_cycle_says_why_it_does_not_serve(ros):
    robot = Robot(ros, active=False)
    node, client = robot.node, robot.client
    client._wait_for_action(client._generate, DEADLINE_S)
    assert "unconfigured" in str(failure(client.generate("x")))
    with pytest.raises(CallError, match="no model is loaded"):
        client.tokenize("x")
    with pytest.raises(CallError, match="unconfigured, not active"):
        client.wait_ready(0.5)
    assert node.trigger_configure() == SUCCESS
    assert "inactive" in str(failure(client.generate("x")))
    assert client.detokenize(client.tokenize("weather")) == "weather"
    assert node.trigger_activate() == SUCCESS
    assert client.generate("weather", max_tokens=3).result(DEADLINE_S)
    assert node.trigger_deactivate() == SUCCESS
    assert node.trigger_cleanup() == SUCCESS
    assert robot.runner.closed
    assert node.start() and client.generate("weather", max_tokens=3).result(DEADLINE_S)


def test_deactivation_lets_requests_finish_then_aborts_them(ros):
    robot = Robot(ros, grace_period=0.3)
    quick = robot.client.generate("the weather", temp=0.0)
    next(iter(quick))
    gate = threading.Event()
    slow = robot.client.generate("go on", max_tokens=3000, ignore_eos=True)
    next(iter(slow))
    assert quick.result(DEADLINE_S)
    robot.runner.fail = lambda batch: gate.wait(0.02) and None  # so slow that it cannot finish in time
    assert robot.node.trigger_deactivate() == SUCCESS
    error = failure(slow)
    assert error.status == "aborted" and "deactivated" in str(error)
    assert error.result.response.finish_reason == Response.FINISH_ABORTED and error.result.response.text


def test_a_goal_ends_when_its_client_is_gone(ros):
    robot = Robot(ros)
    robot.client.destroy()  # the only other one that listens
    lonely = LLMClient(ros.client_node("lonely"))
    robot.runner.fail = lambda batch: threading.Event().wait(0.02) and None
    call = lonely.generate("go on", max_tokens=3000, ignore_eos=True)
    next(iter(call))
    lonely.destroy()
    robot.idle()
    assert robot.engine.stats().finished.get("cancelled") == 1


def test_services(ros):
    robot = Robot(ros)
    client = robot.client
    tokens = client.tokenize("<s>the weather")
    assert client.detokenize(tokens) == "<s>the weather" and 256 not in tokens
    assert client.tokenize("x", add_special=True)[0] == 256
    with pytest.raises(CallError, match="tokens has 999"):
        client.detokenize([1, 999])
    info = client.model_info()
    assert (info.name, info.architecture, info.n_vocab, info.bos_token_id) == ("fake", "fake", 269, 256)
    assert list(info.stop_token_ids) == [257, 259]
    assert client.generate_now("the weather", temp=0.0).text == "It rains. Take an umbrella."
    assert client.generate_now(messages="the weather", temp=0.0).text == "It rains. Take an umbrella."
    for ask in (dict(), dict(prompt="a", messages="b")):
        with pytest.raises(CallError, match="either prompt or messages"):
            client.generate_now(**ask)
    robot.runner.gate = threading.Event()
    slow = []
    thread = threading.Thread(target=lambda: slow.append(failure_of(lambda: client.generate_now("x", deadline=0.1))))
    thread.start()
    LLMClient(ros.client_node("other")).tokenize("others are served meanwhile")
    robot.runner.gate.set()
    thread.join(DEADLINE_S)
    assert "deadline" in str(slow[0])


def failure_of(work):
    """The CallError that `work` raises."""
    with pytest.raises(CallError) as caught:
        work()
    return caught.value


def test_a_model_that_cannot_be_loaded_leaves_the_node_unconfigured(ros):
    engines = FakeEngines()
    engines.fail = ModelError("the model is broken")
    robot = Robot(ros, active=False, engines=engines)
    assert robot.node.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert robot.node.state == "unconfigured"
    engines.fail = RuntimeError("a bug")
    assert robot.node.trigger_configure() == TransitionCallbackReturn.ERROR
    assert robot.node.state == "unconfigured"
    engines.fail = None
    assert robot.node.start()


def test_a_step_that_fails_aborts_its_goals_only(ros):
    robot = Robot(ros)

    def fail(batch):
        robot.runner.fail = None
        raise RuntimeError("kernel on fire")

    robot.runner.fail = fail
    assert "kernel on fire" in str(failure(robot.client.generate("x")))
    assert robot.client.generate("weather", max_tokens=3).result(DEADLINE_S)


def test_parameters_are_checked_at_start(ros):
    def start(**values):
        args = ros.parameters({name.replace("__", "."): value for name, value in values.items()})
        LLMNode(context=ros.context, cli_args=args)

    for values, expected in (
        (dict(sampling__tmep=1.0), "unknown parameter sampling.tmep"),
        (dict(sampling__temp=-1.0), "sampling.temp = -1.0"),
        (dict(sampling__temp="hot"), "sampling.temp = 'hot'"),
        (dict(sampling__top_p=0.0), "sampling.top_p = 0.0"),
        (dict(context__n_ctx=2), "context.n_ctx = 2"),
        (dict(context__kv_type="q4"), "context.kv_type = 'q4': needs f16 or q8_0"),
        (dict(model__name=" "), "model.name"),
        (dict(model__draft="small", model__speculate=False), "model.draft = 'small'"),
        (dict(model__speculate="often"), "model.speculate = 'often'"),
    ):
        with pytest.raises(ParameterError, match=expected):
            start(**values)


def test_parameters_change_when_they_may(ros):
    robot = Robot(ros)
    service = robot.client_node.create_client(SetParameters, "llm_node/set_parameters")
    assert service.wait_for_service(DEADLINE_S)

    def change(name, value):
        kind = {
            int: ("integer_value", ParameterType.PARAMETER_INTEGER),
            str: ("string_value", ParameterType.PARAMETER_STRING),
            float: ("double_value", ParameterType.PARAMETER_DOUBLE),
        }[type(value)]
        parameter = Parameter(name=name, value=ParameterValue(type=kind[1], **{kind[0]: value}))
        future, done = service.call_async(SetParameters.Request(parameters=[parameter])), threading.Event()
        future.add_done_callback(lambda _: done.set())
        assert done.wait(DEADLINE_S)
        return future.result().results[0]

    assert change("sampling.max_tokens", 3).successful
    assert len(robot.client.generate("x", ignore_eos=True).result(DEADLINE_S).response.tokens) == 3
    for name, value, expected in (
        ("sampling.temp", float("nan"), "sampling.temp"),
        ("sampling.top_p", 0.0, "sampling.top_p = 0.0"),
        ("model.name", "other", "deactivate it"),
        ("context.n_ctx", 512, "deactivate it"),
    ):
        refused = change(name, value)
        assert not refused.successful and expected in refused.reason, name
    assert robot.node.trigger_deactivate() == robot.node.trigger_cleanup() == SUCCESS
    assert change("context.n_ctx", 512).successful
    assert robot.node.start() and robot.engine.n_ctx == 512


def test_diagnostics_come_every_second(ros):
    robot = Robot(ros)
    seen, news = [], threading.Condition()

    def heard(message):
        with news:
            seen.append(
                {pair.key: pair.value for pair in message.status[0].values} | {"level": message.status[0].level}
            )
            news.notify_all()

    robot.client_node.create_subscription(DiagnosticArray, "/diagnostics", heard, 10)
    robot.client.generate("x", max_tokens=20, ignore_eos=True).result(DEADLINE_S)
    with news:
        assert news.wait_for(lambda: len(seen) >= 2, DEADLINE_S)
    assert seen[-1]["state"] == "active" and seen[-1]["model"] == "fake" and seen[-1]["level"] == DiagnosticStatus.OK
    assert float(seen[-1]["tokens_per_s"]) > 0 and float(seen[-1]["memory_rss_mb"]) > 10
    assert int(seen[-1]["requests"]) >= 2 and int(seen[-1]["kv_blocks_total"]) > 0
