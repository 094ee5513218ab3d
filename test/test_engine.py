"""The engine's promises to one caller: streaming, ends, stop texts, refusals, cancellation, cache reuse, failures."""

import gc
import math
import threading
import time

import numpy as np
import pytest
from fake_runner import END, EOS, FakeRunner, FakeTokenizer, fake_parts

from llm_core import Engine, EngineClosed, ModelError, QueueFull, RequestError, SamplingParams
from llm_core.engine.stops import StopFilter

GREEDY = SamplingParams(temperature=0, max_tokens=20)
REPLY = "It rains in Paris, as ever."


@pytest.fixture
def runner():
    return FakeRunner(replies={"weather": REPLY})


@pytest.fixture
def engine(runner):
    with Engine(fake_parts(runner), max_requests=4, max_queue=4) as engine:
        yield engine


def test_a_text_prompt_streams_to_the_same_text_as_its_result(engine):
    handle = engine.submit("weather? ", SamplingParams(temperature=0))
    events = list(handle)
    completion = handle.result()
    assert "".join(event.text for event in events) == completion.text == REPLY
    assert tuple(t for event in events for t in event.tokens) == completion.tokens
    assert [event.finish_reason for event in events] == [None] * (len(events) - 1) + ["stop"]
    assert completion.finish_reason == "stop" and completion.stop == END
    assert completion.usage.prompt_tokens == len(FakeTokenizer().encode("weather? "))
    assert completion.usage.completion_tokens == len(completion.tokens)
    assert completion.usage.ttft_s > 0 and handle.done


def test_ids_and_messages_are_prompts_too(engine):
    ids = FakeTokenizer().encode("weather? ")
    assert engine.generate(ids, SamplingParams(temperature=0)).text == REPLY
    assert engine.chat([{"role": "user", "content": "weather"}], SamplingParams(temperature=0)).text == REPLY


@pytest.mark.parametrize(
    "prompt, message",
    [
        ([], "empty"), ([1, 10**6], "1000000"), ([-1], "-1"), ([True], "True"), ([1.5], "1.5"), (None, "NoneType"),
        (b"bytes", "bytes"), ({"role": "user"}, "dict"), (["text"], "text"), ("x" * 300, "301 tokens, the context 256"),
    ],
)  # fmt: skip
def test_bad_prompts_are_refused_at_submit(engine, runner, prompt, message):
    with pytest.raises(RequestError, match=message):
        engine.submit(prompt)
    assert runner.rows == 0 and engine.stats().submitted == 0


@pytest.mark.parametrize(
    "options",
    [{"priority": 1.5}, {"priority": 10**6}, {"deadline_s": 0}, {"deadline_s": math.nan}, {"deadline_s": "1"}],
)
def test_bad_options_are_refused_by_name(engine, options):
    with pytest.raises(RequestError, match=next(iter(options))):
        engine.submit("a", **options)


def test_bad_params_are_refused(engine):
    with pytest.raises(RequestError, match="params is a dict"):
        engine.submit("a", {"temperature": 0})
    with pytest.raises(RequestError, match="logit_bias has the id"):
        engine.submit("a", SamplingParams(logit_bias={10**6: 1.0}))


def test_bad_engine_sizes_are_refused_by_name():
    for options in ({"n_ctx": 0}, {"max_requests": 0}, {"max_queue": -1}, {"max_rows": "1"}, {"n_threads": 0}):
        with pytest.raises(RequestError, match=next(iter(options))):
            Engine(fake_parts(), **options)


def test_max_tokens_ends_with_length(engine):
    completion = engine.generate("abc", SamplingParams(seed=1, max_tokens=7, ignore_eos=True))
    assert completion.finish_reason == "length" and len(completion.tokens) == 7 and "7" in completion.detail


def test_a_full_context_says_so(engine):
    completion = engine.generate("x" * 250, SamplingParams(seed=1, max_tokens=None, ignore_eos=True))
    assert completion.finish_reason == "context_full"
    assert completion.usage.prompt_tokens + completion.usage.completion_tokens == 256
    assert "256" in completion.detail and "251" in completion.detail


def test_a_small_cache_bounds_the_context():
    with Engine(fake_parts(n_ctx=256, block_size=8, n_blocks=4)) as engine:
        assert engine.n_ctx == 32
        with pytest.raises(RequestError, match="41 tokens, the context 32"):
            engine.submit("x" * 40)
        completion = engine.generate("x" * 20, SamplingParams(seed=1, max_tokens=None, ignore_eos=True))
        assert completion.finish_reason == "context_full" and len(completion.tokens) == 11


def test_ignore_eos_never_draws_a_stop_id(engine):
    completion = engine.generate("weather", SamplingParams(temperature=0, max_tokens=60, ignore_eos=True))
    assert completion.finish_reason == "length"
    assert not {EOS, END} & set(completion.tokens) and completion.text.startswith(REPLY)


def test_a_stop_id_of_ones_own(engine):
    completion = engine.generate("weather", SamplingParams(temperature=0, stop_ids=[ord("n")]))
    assert completion.text == "It rai" and completion.stop == ord("n") and completion.finish_reason == "stop"


@pytest.mark.parametrize(
    "stop, text",
    [
        (["Paris"], "It rains in "),
        (["Par", "rains"], "It "),
        (["is,", "ris"], "It rains in Pa"),
        ([REPLY], ""),
        (["zzz"], REPLY),
    ],
)
def test_stop_texts_across_tokens_are_never_shown(engine, stop, text):
    handle = engine.submit("weather", SamplingParams(temperature=0, stop=stop))
    shown = "".join(event.text for event in handle)
    completion = handle.result()
    assert shown == completion.text == text
    assert completion.stop == (END if text == REPLY else next(s for s in stop if REPLY.startswith(text + s)))


def test_text_held_back_for_a_stop_that_does_not_come_is_shown_at_the_end(engine):
    completion = engine.generate("weather", SamplingParams(temperature=0, stop=["in Paris!"], max_tokens=17))
    assert completion.text == REPLY[:17] and completion.finish_reason == "length"
    completion = engine.generate("weather", SamplingParams(temperature=0, stop=["ever.!"]))
    assert completion.text == REPLY


def test_the_stop_filter_takes_the_earliest_then_the_longest():
    stops = StopFilter(["bc", "bcd", "abcdx"])
    assert stops.push("xxab") == "xx" and stops.found is None
    assert stops.push("cd") == "a" and stops.found == "bcd"
    assert stops.push("more") == "" and stops.flush() == ""


def test_logprobs_come_with_every_token(engine):
    handle = engine.submit("abc", SamplingParams(seed=5, logprobs=2, max_tokens=6, ignore_eos=True))
    streamed = [entry for event in handle for entry in event.logprobs]
    completion = handle.result()
    assert [entry.token for entry in streamed] == list(completion.tokens) and tuple(streamed) == completion.logprobs
    assert all(len(entry.top) == 2 and entry.logprob <= entry.top[0][1] <= 0 for entry in streamed)


def test_a_cancelled_request_ends_within_one_step_with_what_it_said(engine, runner):
    runner.gate = threading.Event()
    handle = engine.submit("weather", SamplingParams(temperature=0))
    assert runner.stepped.acquire(timeout=10)  # the first step is under way
    handle.cancel()
    runner.gate.set()
    completion = handle.result(timeout=10)
    assert completion.finish_reason == "cancelled" and completion.text == REPLY[0]
    assert len(runner.batches) == 1
    handle.cancel()  # harmless
    assert engine.drain(10) and engine.stats().kv_blocks_used == 0


def test_a_waiting_request_can_be_cancelled(engine, runner):
    runner.gate = threading.Event()
    others = [engine.submit("abc", GREEDY) for _ in range(4)]
    waiting = engine.submit("weather")
    waiting.cancel()
    runner.gate.set()
    completion = waiting.result(timeout=10)
    assert completion.finish_reason == "cancelled" and completion.text == "" and completion.usage.ttft_s == 0
    assert all(other.result(10).finish_reason for other in others)


def test_a_deadline_ends_a_request_with_what_it_has():
    runner = FakeRunner(replies={"weather": REPLY})
    runner.fail = lambda batch: time.sleep(0.02)  # a slow model
    with Engine(fake_parts(runner)) as engine:
        completion = engine.generate("weather", SamplingParams(temperature=0), deadline_s=0.15)
    assert completion.finish_reason == "deadline" and "deadline" in completion.detail
    assert 0 < len(completion.text) < len(REPLY) and REPLY.startswith(completion.text)


def test_result_can_time_out_and_the_request_goes_on(engine, runner):
    runner.gate = threading.Event()
    handle = engine.submit("weather", SamplingParams(temperature=0))
    with pytest.raises(TimeoutError):
        handle.result(timeout=0.01)
    runner.gate.set()
    assert handle.result(10).text == REPLY


def test_a_full_queue_refuses_and_says_how_full(engine, runner):
    runner.gate = threading.Event()
    handles = [engine.submit("abc", GREEDY) for _ in range(8)]
    with pytest.raises(QueueFull, match="8 requests are open, at most 8"):
        engine.submit("abc", GREEDY)
    runner.gate.set()
    texts = {handle.result(10).text for handle in handles}
    assert len(texts) == 1
    assert engine.generate("abc", GREEDY).text in texts and engine.stats().refused == 1


def test_equal_prompts_are_computed_once(engine, runner):
    prompt = "a long system prompt that everybody shares, " * 3
    first = engine.generate(prompt + "one", GREEDY)
    rows = runner.rows
    second = engine.generate(prompt + "one", GREEDY)
    n = first.usage.prompt_tokens
    assert second.text == first.text
    assert first.usage.cached_prompt_tokens == 0 and second.usage.cached_prompt_tokens == n - 1
    assert runner.rows - rows == 1 + 19  # the last of the 20 tokens is never computed
    third = engine.generate(prompt + "two", GREEDY)
    assert third.usage.cached_prompt_tokens == len(FakeTokenizer().encode(prompt))  # no whole number of blocks
    assert third.usage.cached_prompt_tokens % runner.block_size


def test_a_conversation_reuses_its_own_answers(engine):
    messages = [{"role": "user", "content": "weather"}]
    answer = engine.chat(messages, SamplingParams(temperature=0)).text
    longer = [*messages, {"role": "assistant", "content": answer}, {"role": "user", "content": "and now?"}]
    tokens = FakeTokenizer().encode("x")
    completion = engine.chat(longer, GREEDY)
    assert completion.usage.cached_prompt_tokens >= len(tokens) + 8 * 4


def test_simultaneous_equal_prompts_are_computed_once(runner):
    with Engine(fake_parts(runner), max_requests=4) as engine:
        prompt = "the same words for all of them, and quite a few of them, too. " * 3
        runner.gate = threading.Event()
        blocker = engine.submit("z", GREEDY)
        assert runner.stepped.acquire(timeout=10)
        handles = [engine.submit(prompt, GREEDY) for _ in range(3)]
        runner.gate.set()
        completions = [handle.result(10) for handle in handles]
        blocker.result(10)
    n = completions[0].usage.prompt_tokens
    assert len({completion.text for completion in completions}) == 1
    assert sorted(c.usage.cached_prompt_tokens for c in completions) == [0, (n - 1) // 8 * 8, (n - 1) // 8 * 8]


def test_a_callback_gets_every_event_and_its_failure_is_the_requests(engine):
    seen = []
    completion = engine.generate("weather", SamplingParams(temperature=0), on_event=seen.append)
    assert "".join(event.text for event in seen) == completion.text and seen[-1].finish_reason == "stop"

    def broken(event):
        raise KeyError("callback")

    bad, good = engine.submit("weather", GREEDY, on_event=broken), engine.submit("weather", GREEDY)
    with pytest.raises(KeyError):
        bad.result(10)
    assert bad.completion.finish_reason == "error"
    assert good.result(10).text == REPLY[:20]
    assert engine.generate("weather", GREEDY).text == REPLY[:20]


def test_an_error_in_one_request_reaches_it_alone_and_its_iterator(engine, runner):
    runner.gate = threading.Event()
    banned = SamplingParams(logit_bias={i: -math.inf for i in range(FakeTokenizer.n_vocab)})
    bad, good = engine.submit("abc", banned), engine.submit("weather", SamplingParams(temperature=0))
    runner.gate.set()
    with pytest.raises(RequestError, match="bans every token"):
        list(bad)
    assert good.result(10).text == REPLY
    assert engine.drain(10) and engine.stats().finished == {"error": 1, "stop": 1}
    assert engine.stats().kv_blocks_used == 0


def test_a_failed_step_fails_its_requests_and_the_engine_goes_on(engine, runner):
    def fail(batch):
        runner.fail = None
        raise ValueError("kernel tripped")

    runner.fail = fail
    with pytest.raises(ModelError, match="kernel tripped") as error:
        engine.generate("weather", GREEDY)
    assert isinstance(error.value.__cause__, ValueError)
    assert engine.generate("weather", SamplingParams(temperature=0)).text == REPLY
    assert engine.stats().state == "ready"


def test_a_model_that_keeps_failing_stops_the_engine_and_says_why(engine, runner):
    def fail(batch):
        raise ValueError("kernel broken")

    runner.fail = fail
    for _ in range(3):
        with pytest.raises(ModelError, match="kernel broken"):
            engine.generate("weather", GREEDY)
    with pytest.raises(EngineClosed, match="kernel broken"):
        engine.generate("weather", GREEDY)
    assert engine.stats().state == "failed"
    engine.close()
    assert runner.closed


def test_close_cancels_refuses_and_frees(runner):
    engine = Engine(fake_parts(runner))
    runner.gate = threading.Event()
    handle = engine.submit("weather")
    assert runner.stepped.acquire(timeout=10)
    closer = threading.Thread(target=engine.close)
    closer.start()
    runner.gate.set()
    completion = handle.result(10)
    closer.join(10)
    assert completion.finish_reason == "cancelled" and "closed" in completion.detail
    with pytest.raises(EngineClosed, match="closed"):
        engine.submit("weather")
    engine.close()
    assert runner.closed and engine.stats().state == "closed"


def test_an_engine_that_nobody_holds_closes_itself(runner):
    engine = Engine(fake_parts(runner))
    thread = engine._loop._thread
    handle = engine.submit("weather", SamplingParams(temperature=0))
    del engine
    assert handle.result(10).text == REPLY  # the handle keeps it while it runs
    del handle
    gc.collect()
    thread.join(10)
    assert runner.closed


def test_two_engines_in_one_process():
    with Engine(fake_parts(replies={"a": "first"})) as one, Engine(fake_parts(replies={"a": "second"})) as two:
        handles = [engine.submit("a", SamplingParams(temperature=0)) for engine in (one, two) * 5]
        assert [handle.result(10).text for handle in handles] == ["first", "second"] * 5


def test_stats_count(engine):
    engine.generate("weather", SamplingParams(temperature=0))
    assert engine.drain(10)
    stats = engine.stats()
    assert stats.state == "ready" and stats.running == stats.queued == 0 and stats.finished == {"stop": 1}
    assert stats.completion_tokens == len(REPLY) and stats.steps == len(REPLY) + 1
    assert stats.tokens_per_s > 0 and stats.prompt_tokens_per_s > 0
    assert stats.kv_blocks_total == 128 and 0 < stats.kv_blocks_idle < 128


def test_an_idle_engine_uses_no_processor(engine):
    engine.generate("weather", GREEDY)
    before = time.process_time()
    threading.Event().wait(0.3)
    assert time.process_time() - before < 0.05


def test_overflowing_logits_fail_their_request_without_a_warning(runner, engine, recwarn):
    step = runner.step

    def overflow(batch):
        return step(batch) * np.float32(1e38) * np.float32(1e38)

    runner.step = overflow
    with pytest.raises(ModelError, match="not finite"):
        engine.generate("ab", SamplingParams(max_tokens=3, temperature=0))
    assert not recwarn.list
