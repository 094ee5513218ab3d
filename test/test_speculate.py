"""Guessed tokens: found where they stood before, taken along when they pay, and never seen in what comes out."""

import json
import random
import threading

import numpy as np
import pytest
from fake_runner import FakeRunner, FakeTokenizer, fake_parts
from test_engine_stress import fact, random_request
from tiny_models import write_tiny

from llm_core import Engine, Grammar, ModelError, RequestError, SamplingParams
from llm_core.engine import speculate
from llm_core.engine.ngrams import NgramIndex
from llm_core.engine.speculate import Speculator, StepTimes, best_rows
from llm_core.gguf import GGMLType

ECHO = "the robot goes to the hall and the robot goes to the kitchen and the robot goes to the hall. hello hello hello"


@pytest.fixture
def free_rows(monkeypatch):
    """Every step takes a second, whatever its rows: all guesses are worth it."""
    monkeypatch.setattr(StepTimes, "__call__", lambda self, rows: 1.0)


def speculator(engine) -> Speculator:
    return engine._loop._speculator


# --- guesses


def test_guesses_follow_the_longest_then_the_latest_match():
    index, tokens = NgramIndex(), [1, 2, 3, 40, 0, 9, 2, 3, 50, 0, 2, 3, 60, 0, 1, 2, 3]
    index.follow(tokens)
    assert index.guess(tokens, 3)[0] == [40, 0, 9]  # three tokens match there, two at the later places
    tokens += [40, 0, 7, 2, 3]
    index.follow(tokens)
    assert index.guess(tokens, 2)[0] == [40, 0]  # two tokens match everywhere: the latest place


def test_a_guess_goes_on_in_circles():
    index, tokens = NgramIndex(), [5, 6, 7, 5, 6]
    index.follow(tokens)
    assert index.guess(tokens, 7)[0] == [7, 5, 6, 7, 5, 6, 7]


@pytest.mark.parametrize("tokens", [[1], [1, 2], [1, 2, 3], [1, 1], [3, 1, 2, 4, 2, 1]])
def test_without_a_match_of_two_tokens_nothing_is_guessed(tokens):
    index = NgramIndex()
    index.follow(tokens)
    assert index.guess(tokens, 8) == ([], [])


def test_chances_fall_and_learn_from_what_came():
    def chance_after(right):
        index, tokens = NgramIndex(), [1, 2, 3] * 4
        index.follow(tokens)
        first = index.guess(tokens, 4)[1]
        assert first == sorted(first, reverse=True) and 0 < first[-1] < first[0] < 1
        for i in range(12):
            tokens.append(index.guess(tokens, 1)[0][0] if right else 100 + i)
            index.follow(tokens)
            if not right:
                tokens += [1, 2, 3] * 4
                index.follow(tokens)
        return first[0], index.guess(tokens, 1)[1][0]

    before, after = chance_after(right=True)
    assert after > before
    before, after = chance_after(right=False)
    assert after < before


# --- decisions


def line(first, slope):
    return lambda rows: first + slope * (rows - 1)


def test_as_many_rows_as_pay():
    sure, likely = [0.99**n for n in range(1, 9)], [0.5**n for n in range(1, 9)]
    assert best_rows(sure, 1, 32, line(1.0, 0.1)) == 8
    assert best_rows(likely, 1, 32, line(1.0, 0.15)) == 2  # 1.75 tokens in 1.3 s; a third one: 1.875 in 1.45
    assert best_rows(likely, 1, 32, line(1.0, 0.6)) == 0
    assert best_rows(sure, 1, 4, line(1.0, 0.1)) == 3  # rows of the step
    assert best_rows(sure, 16, 32, line(1.0, 0.05)) == 8 and best_rows(likely, 16, 32, line(1.0, 0.05)) == 0
    assert best_rows(sure, 40, 32, line(1.0, 0.1)) == 0
    assert best_rows(sure, 1, 32, StepTimes()) == 0  # nothing is known yet


def test_step_times_are_medians_with_lines_between_and_are_forgotten():
    times = StepTimes()
    assert times(1) is None
    for seconds in (1.0, 9.0, 1.0):
        times.learn(1, seconds)
    assert times(1) == 1.0 and times(3) == pytest.approx(1.0 + 2 * speculate.SLOPE)
    times.learn(5, 3.0)
    assert times(5) == 3.0 and times(3) == pytest.approx(2.0) and times(7) == pytest.approx(4.0)
    for _ in range(speculate.STALE + 1):
        times.learn(2, 1.5)
    assert times(1) is None and times(5) == pytest.approx(1.5 * (1 + 3 * speculate.SLOPE))


class Talker:
    """What the speculator sees of a request; `say` decides what it draws after `tokens`."""

    room = 8

    def __init__(self, say):
        self.say, self.tokens, self.ngrams, self.draft, self.pending = say, [1, 2, 3] * 3, NgramIndex(), [], 1

    def allowed(self, draft):
        return len(draft)

    def take(self):
        """Draw as Request.take does; how many tokens."""
        drawn = 0
        while True:
            self.tokens.append(self.say(self.tokens))
            drawn += 1
            if drawn > len(self.draft) or self.tokens[-1] != self.draft[drawn - 1]:
                return drawn


def seconds_of(talker, cost, steps=600):
    """(seconds that the steps took, seconds that as many tokens take one by one)"""
    decisions, spent, drawn = Speculator(32), 0.0, 0
    for _ in range(steps):
        plan = [(talker, 1)]
        decisions.prepare(plan, lambda request, n: n)
        seconds, tokens = cost(1 + len(talker.draft)), talker.take()
        decisions.learn(plan, seconds, tokens)
        spent, drawn = spent + seconds, drawn + tokens
    return spent, drawn * cost(1)


def test_a_text_that_repeats_itself_is_several_times_as_fast_when_rows_are_cheap():
    spent, plain = seconds_of(Talker(lambda tokens: tokens[-3]), line(0.01, 0.001))
    assert spent < plain / 3


@pytest.mark.parametrize("slope", [0.001, 0.004, 0.01])
def test_guesses_that_go_wrong_cost_next_to_nothing(slope):
    def contrary(tokens):  # repeats itself just long enough to be believed
        return tokens[-3] if rng.random() < 0.5 else rng.choice([1, 2, 3])

    for seed in range(5):
        rng = random.Random(seed)
        spent, plain = seconds_of(Talker(contrary), line(0.01, slope))
        assert spent < plain * (1 + speculate.INCOME)


def test_the_account_bounds_what_wrong_estimates_can_lose(monkeypatch):
    def gullible(chances, base, max_rows, times):
        return 0 if times(base) is None else len(chances)

    monkeypatch.setattr(speculate, "best_rows", gullible)
    wrong = random.Random(3)
    spent, plain = seconds_of(Talker(lambda tokens: wrong.choice([1, 2, 3])), line(0.01, 0.01))
    worst = 9 * 0.01  # one step may overdraw it
    assert plain * 1.01 < spent < plain * (1 + speculate.INCOME) + speculate.CREDIT + worst


# --- the engine with guesses says what it says without


def test_speculation_is_refused_by_name():
    with pytest.raises(RequestError, match="speculate is 'often'"):
        Engine(fake_parts(), speculate="often")


def test_a_text_that_repeats_itself_needs_fewer_steps(free_rows):
    def run(speculate):
        runner = FakeRunner(replies={"weather": ECHO})
        with Engine(fake_parts(runner), speculate=speculate) as engine:
            handle = engine.submit("weather", SamplingParams(temperature=0, max_tokens=200))
            events = list(handle)
            assert "".join(event.text for event in events) == handle.result().text == ECHO
            assert tuple(t for event in events for t in event.tokens) == handle.result().tokens
            return len(runner.batches), fact(handle.result())

    steps, answer = run(False)
    fewer, same = run(True)
    assert same == answer and fewer < steps / 2


def many(seed, speculate, replies):
    rng = random.Random(seed)
    requests = [random_request(rng) for _ in range(60)]
    runner = FakeRunner(n_blocks=12, n_ctx=96, max_rows=24, replies=replies)
    runner.gate = threading.Event()
    with Engine(fake_parts(runner), max_requests=9, max_queue=100, speculate=speculate) as engine:
        handles = []
        for prompt, params, priority in requests:
            handles.append(engine.submit(prompt, params, priority=priority))
            assert runner.held.wait(30)  # the first one is being computed until all others are there
        runner.gate.set()
        found = [fact(handle.result(60)) for handle in handles]
        assert engine.drain(10)
        engine._loop._scheduler.cache.check([])
        return found, speculator(engine), engine.stats()


@pytest.mark.parametrize("seed", range(3))
def test_many_requests_say_with_guesses_what_they_say_without(seed, free_rows):
    replies = {"kitchen": ECHO, "glass": "of water, of water; of water, of water. " * 3}
    wanted, none, _ = many(seed, False, replies)
    found, decisions, stats = many(seed, True, replies)
    assert found == wanted and none is None
    assert decisions.guessed > decisions.accepted > 50 and stats.preemptions > 0


def test_only_what_was_drawn_is_found_again(free_rows):
    runner = FakeRunner(replies={"weather": ECHO})
    with Engine(fake_parts(runner)) as engine:
        answer = engine.generate("weather", SamplingParams(temperature=0, max_tokens=200))
        decisions = speculator(engine)
        assert 0 < decisions.accepted < decisions.guessed
        told = FakeTokenizer().encode("weather") + list(answer.tokens)
        # FakeRunner answers from the tokens that it reads in its cache, and asserts their positions.
        longer = engine.generate(told, SamplingParams(seed=1, max_tokens=1))
        assert longer.usage.cached_prompt_tokens >= len(told) - 2 * runner.block_size
        size = runner.block_size
        keys = {tokens for _, tokens in engine._loop._scheduler.cache._block_of}
        assert keys == {tuple(told[i : i + size]) for i in range(0, len(told) - size + 1, size)}


@pytest.mark.parametrize("options", [
    {"max_tokens": 17}, {"stop": ["kitchen"]}, {"stop_ids": [ord("k")]}, {"logprobs": 2}, {"repeat_penalty": 1.1},
    {"grammar": Grammar.regex("(?s:.)+")}, {"grammar": Grammar.regex("(?s:.){60}!(?s:.)*")}, {"max_tokens": None},
    {"grammar": Grammar.regex("(?s:.){60}!(?s:.)*"), "logprobs": 1}, {"temperature": 3.0},
])  # fmt: skip
def test_every_end_and_option_is_as_without_guesses(options, free_rows):
    def run(speculate):
        with Engine(fake_parts(replies={"weather": ECHO}), speculate=speculate) as engine:
            params = SamplingParams(**{"temperature": 0.5, "seed": 4, "max_tokens": 200, **options})
            return fact(engine.generate("weather", params)), speculator(engine)

    (wanted, _), (found, decisions) = run(False), run(True)
    assert found == wanted
    assert decisions.guessed


def test_guesses_stop_where_cache_blocks_do(free_rows):
    runner = FakeRunner(n_ctx=64, n_blocks=8, replies={"weather": ECHO * 3})
    with Engine(fake_parts(runner)) as engine:
        completion = engine.generate("weather", SamplingParams(temperature=0, max_tokens=None))
        assert completion.finish_reason == "context_full" and speculator(engine).accepted
        assert len(completion.tokens) + completion.usage.prompt_tokens == 64


def test_an_error_in_the_middle_of_guesses_tells_what_was_said_before(free_rows):
    runner = FakeRunner(replies={"weather": ECHO})
    step = runner.step

    def broken(batch):
        logits = step(batch)
        if len(logits) > 3:
            logits[2] = np.nan
        return logits

    runner.step = broken
    with Engine(fake_parts(runner)) as engine:
        handle = engine.submit("weather", SamplingParams(temperature=0, max_tokens=200))
        shown = []
        with pytest.raises(Exception, match="not finite"):
            shown += [event for event in handle]
        assert ECHO.startswith(handle.completion.text) and len(handle.completion.text) > 20
        assert handle.completion.text == FakeTokenizer().decode(handle.completion.tokens)
        assert engine.generate("hi", SamplingParams(max_tokens=2, seed=1)).tokens


# --- a small model that guesses


def quiz(draft, prompts=("weather", "weather, please", "weather")):
    """Answers with a draft model on fake runners (ngrams find nothing in them), its runner, the big one, and the
    speculator."""
    big = FakeRunner(replies={"weather": "".join(map(chr, range(40, 120)))})
    options = {} if draft is None else {"draft_model": fake_parts(draft)}
    with Engine(fake_parts(big), **options) as engine:
        answers = [engine.generate(p, SamplingParams(temperature=0.3, seed=2, max_tokens=100)) for p in prompts]
        return [fact(answer) for answer in answers], big, speculator(engine)


def test_a_draft_model_that_is_right_saves_steps_and_a_wrong_one_changes_nothing(free_rows):
    wanted, alone, _ = quiz(None)
    right = FakeRunner(replies={"weather": "".join(map(chr, range(40, 120)))})
    found, big, decisions = quiz(right)
    assert found == wanted and len(big.batches) < len(alone.batches) / 3
    assert decisions.accepted > 0.9 * decisions.guessed and right.closed
    wrong = FakeRunner(replies={"weather": "".join(map(chr, range(41, 121)))})
    found, big, decisions = quiz(wrong)
    assert found == wanted and decisions.guessed > 0


def test_a_draft_model_takes_up_what_it_has_in_common_with_the_next_request(free_rows):
    draft = FakeRunner(replies={"weather": "".join(map(chr, range(40, 120)))})
    prompt = "x" * 100 + "weather"
    wanted, _, _ = quiz(None, [prompt, prompt + "!"])
    found, _, _ = quiz(draft, [prompt, prompt + "!"])
    assert found == wanted
    assert draft.rows < 2 * 80 + len(prompt) + 60  # the prompt once, both answers, a few guesses that were not used


def test_a_draft_model_for_one_request_alone(free_rows):
    draft = FakeRunner(replies={"weather": ECHO})
    with Engine(fake_parts(runner := FakeRunner()), draft_model=fake_parts(draft)) as engine:
        runner.gate = threading.Event()
        params = SamplingParams(seed=1, max_tokens=30, ignore_eos=True)
        handles = [engine.submit(prompt, params) for prompt in ("first", "second")]
        runner.gate.set()
        texts = [handle.result(30).tokens for handle in handles]
    with Engine(fake_parts(), speculate=False) as engine:
        assert texts == [engine.generate(prompt, params).tokens for prompt in ("first", "second")]


def test_a_draft_model_with_another_vocabulary_is_refused():
    class Other(FakeTokenizer):
        def token_bytes(self, token):
            return b"other" if token == 65 else super().token_bytes(token)

    big, draft = FakeRunner(), FakeRunner()
    with pytest.raises(ModelError, match="draft_model fake: .* token 65 is b'other', the model's b'A'"):
        Engine(fake_parts(big), draft_model=fake_parts(draft)._replace(tokenizer=Other()))
    assert big.closed and draft.closed
    draft = FakeRunner()
    draft.n_vocab += 16
    with pytest.raises(ModelError, match="285 logits"):
        Engine(fake_parts(), draft_model=fake_parts(draft))
    with pytest.raises(RequestError, match="draft_model is .* speculate is False"):
        Engine(fake_parts(), draft_model=fake_parts(), speculate=False)


def test_a_draft_model_that_fails_fails_the_step(free_rows):
    draft = FakeRunner()
    draft.fail = lambda batch: (_ for _ in ()).throw(ValueError("no luck"))
    with Engine(fake_parts(), draft_model=fake_parts(draft)) as engine:
        with pytest.raises(ModelError, match="no luck"):
            engine.generate("ab", SamplingParams(seed=1, max_tokens=9, ignore_eos=True))
        draft.fail = None
        assert len(engine.generate("ab", SamplingParams(seed=1, max_tokens=9, ignore_eos=True)).tokens) == 9


@pytest.mark.parametrize("seed, right", [(1, 30), (2, 0)])
def test_a_draft_model_from_a_file_works_on_the_same_threads(seed, right, tmp_path, free_rows):
    big = write_tiny(tmp_path / "big.gguf", "llama", GGMLType.Q4_0)
    small = write_tiny(tmp_path / "small.gguf", "llama", GGMLType.Q4_0, seed=seed)
    params = [SamplingParams(max_tokens=40, seed=3, temperature=t, ignore_eos=True) for t in (0, 0.2)]

    def answers(**options):
        with Engine(big, n_ctx=128, n_threads=2, **options) as engine:
            found = [fact(engine.generate("hello", p)) for p in params]
            if options.get("draft_model"):
                assert speculator(engine)._model._runner.pool is engine._loop._runner.pool
            return found, engine.stats()

    (wanted, none), (found, stats) = answers(speculate=False), answers(draft_model=small)
    assert found == wanted and none.guessed_tokens == 0
    assert stats.guessed_tokens > stats.right_guesses >= right


def test_the_default_model_says_the_same_with_guesses(default_engine, free_rows, monkeypatch):
    records = [{"id": i, "name": name, "state": "idle"} for i, name in enumerate(["alpha", "bravo", "charlie"])]
    messages = [{"role": "user", "content": "Repeat this JSON exactly:\n" + json.dumps(records, indent=1)}]
    schema = Grammar.json({"type": "array", "items": {"type": "object"}})
    requests = [
        SamplingParams(max_tokens=60, seed=5, temperature=t, grammar=grammar, logprobs=n)
        for t, grammar, n in ((0, None, 0), (0.8, None, None), (1.5, None, 3), (0, schema, None), (0.8, schema, None))
    ]

    def answers():
        handles = [default_engine.submit(messages, params) for params in requests]
        return [fact(handle.result(300)) for handle in handles]

    default_engine.drain()
    decisions = Speculator(32)
    monkeypatch.setattr(default_engine._loop, "_speculator", decisions)
    guessed = answers()
    alone = fact(default_engine.generate(messages, requests[1]))
    assert decisions.accepted > 50
    monkeypatch.setattr(default_engine._loop, "_speculator", None)
    assert answers() == guessed and alone == guessed[1]
