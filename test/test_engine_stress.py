"""Many requests at once: the same text as alone, whatever is mixed, held or cancelled; and who is served when."""

import random
import threading
from itertools import count

import pytest
from fake_runner import FakeRunner, FakeTokenizer, fake_parts

from llm_core import Engine, Grammar, SamplingParams
from llm_core.engine.batch import build_batch
from llm_core.engine.cache import ROOT, BlockCache
from llm_core.engine.scheduler import Scheduler

WORDS = ["the robot ", "goes ", "to the kitchen ", "and brings ", "a glass ", "of water ", "hello ", "é ", "。 "]
GRAMMARS = [None, None, None, Grammar.regex("[a-f]{3,30}"), Grammar.json({"enum": ["robot", "kitchen", "the glass"]})]


def random_params(rng: random.Random) -> SamplingParams:
    return SamplingParams(
        max_tokens=rng.randint(1, 40),
        temperature=rng.choice([0, 0.7, 1.5]),
        top_k=rng.choice([0, 5, 40]),
        top_p=rng.choice([0.5, 0.95, 1.0]),
        repeat_penalty=rng.choice([1.0, 1.2]),
        seed=rng.randrange(2**32),
        logprobs=rng.choice([None, None, 2]),
        stop=rng.choice([[], ["e"], ["the", "x"]]),
        ignore_eos=rng.random() < 0.5,
        grammar=rng.choice(GRAMMARS),
    )


def random_request(rng: random.Random) -> tuple[str, SamplingParams, int]:
    prefix = WORDS[0] * rng.randint(0, 4)  # often shared
    return prefix + "".join(rng.choices(WORDS, k=rng.randint(1, 8))), random_params(rng), rng.randint(-2, 2)


def fact(completion):
    return completion.text, completion.tokens, completion.finish_reason, completion.stop, completion.logprobs


@pytest.mark.parametrize("seed", range(3))
def test_many_requests_give_the_texts_they_give_alone(seed):
    rng = random.Random(seed)
    requests = [random_request(rng) for _ in range(60)]
    # 20 blocks of 8: a few requests fill them, so that blocks run out, requests are put on hold and computed again.
    runner = FakeRunner(n_blocks=20, n_ctx=160)
    runner.gate = threading.Event()
    with Engine(fake_parts(runner), max_requests=8, max_queue=100) as engine:
        handles = []
        for prompt, params, priority in requests:
            handles.append(engine.submit(prompt, params, priority=priority))
            assert runner.held.wait(30)  # the first one is being computed until all others are there
        runner.gate.set()
        together = [fact(handle.result(60)) for handle in handles]
        assert engine.drain(10)
        stats = engine.stats()
        engine._loop._scheduler.cache.check([])
    assert stats.preemptions > 0 and stats.kv_blocks_used == 0 and stats.cached_prompt_tokens > 0
    for (prompt, params, _), wanted in zip(requests, together, strict=True):
        with Engine(fake_parts(n_blocks=20, n_ctx=160)) as engine:
            assert fact(engine.generate(prompt, params)) == wanted


def test_submitting_and_cancelling_from_many_threads_loses_nothing():
    runner = FakeRunner(n_blocks=24, n_ctx=160, max_rows=16)
    ended = []

    def caller(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(25):
            prompt, params, priority = random_request(rng)
            handle = engine.submit(prompt, params, priority=priority)
            if rng.random() < 0.4:
                for event, _ in zip(handle, range(rng.randint(0, 5)), strict=False):
                    assert event.tokens or event.finish_reason
                handle.cancel()
            ended.append(handle.result(60).finish_reason)

    with Engine(fake_parts(runner), max_requests=6, max_queue=100) as engine:
        threads = [threading.Thread(target=caller, args=(seed,)) for seed in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert engine.drain(10)
        stats = engine.stats()
        engine._loop._scheduler.cache.check([])
    assert len(ended) == 200 == sum(stats.finished.values()) and stats.kv_blocks_used == 0
    assert {"cancelled", "stop", "length"} <= set(ended) <= {"cancelled", "stop", "length", "context_full"}
    assert max(rows for rows, _ in runner.batches) == 16


class FakeRequest:
    """What the scheduler sees of a request, without text: it draws token 7 until it has `total` tokens."""

    _arrivals = count()

    def __init__(self, tokens, total, priority=0):
        self.arrival, self.priority = next(self._arrivals), priority
        self.tokens, self.total, self.generated = list(tokens), total, 0
        self.computed, self.table, self.registered, self.root, self.last_turn = 0, [], 0, ROOT, 0
        self.serial = self.root
        self.cached, self.draft, self.spots, self.adapters = 0, [], (), ()

    @property
    def pending(self):
        return len(self.tokens) - self.computed

    def whole(self, rows):
        return rows

    def started(self, cached):
        self.cached = cached

    def skipped(self, cached):
        self.cached += cached


def step(scheduler):
    """One step with a runner that always draws 7; returns the plan and checks every invariant."""
    plan = scheduler.schedule()
    cache = scheduler.cache
    cache.check([request.table for request in scheduler.running])
    assert sum(rows for _, rows in plan) <= scheduler.max_rows and len({id(r) for r, _ in plan}) == len(plan)
    writes = set()
    for request, rows in plan:
        assert 0 < rows <= request.pending
        for position in range(request.computed, request.computed + rows):
            block = request.table[position // cache.block_size]
            writes.add((block, position % cache.block_size))
            assert cache._keys[block] is None, "a registered block is written to"
    assert len(writes) == sum(rows for _, rows in plan), "two requests write to one place"
    if plan:
        build_batch(plan)
    scheduler.done(plan)
    for request, _ in plan:
        if request.pending == 0:
            request.tokens.append(7)
            request.generated += 1
            if len(request.tokens) >= request.total:
                scheduler.remove(request)
    return plan


@pytest.mark.parametrize("seed", range(8))
def test_the_scheduler_serves_everybody_with_few_blocks_and_rows(seed):
    rng = random.Random(seed)
    cache = BlockCache(rng.randint(8, 16), 4)
    scheduler = Scheduler(cache, max_rows=rng.choice([1, 3, 16]), max_running=rng.randint(1, 6))
    limit = cache.n_blocks * 4
    requests = []
    for _ in range(300):
        if rng.random() < 0.3 and len(requests) < 40:
            prompt = [1] * rng.randint(0, 12) + rng.choices([1, 2], k=rng.randint(1, limit // 2))
            request = FakeRequest(prompt, rng.randint(len(prompt) + 1, limit), rng.randint(-1, 1))
            requests.append(request)
            scheduler.add(request)
        if rng.random() < 0.03 and not scheduler.idle:
            victim = rng.choice(scheduler.running + scheduler.waiting)
            victim.total = len(victim.tokens)
            scheduler.remove(victim)
        step(scheduler)
    for _ in range(20_000):
        if scheduler.idle:
            break
        assert step(scheduler), "work is left, but nothing is scheduled"
    assert scheduler.idle and all(len(request.tokens) >= request.total for request in requests)
    cache.check([])
    assert cache.n_used == 0


def test_drawing_requests_go_first_and_prompts_share_the_rest_alike():
    scheduler = Scheduler(BlockCache(100, 4), max_rows=16, max_running=8)
    drawing = FakeRequest([1, 2], 50)
    scheduler.add(drawing)
    step(scheduler)
    long, longer, short = FakeRequest([3] * 100, 120), FakeRequest([4] * 100, 120), FakeRequest([5] * 3, 120)
    for request in (long, longer, short):
        scheduler.add(request)
    assert dict(step(scheduler)) == {drawing: 1, short: 3, long: 6, longer: 6}


def test_higher_priority_prompts_come_first():
    scheduler = Scheduler(BlockCache(100, 4), max_rows=16, max_running=8)
    low, high = FakeRequest([3] * 100, 120), FakeRequest([4] * 20, 60, priority=1)
    scheduler.add(low)
    scheduler.add(high)
    assert dict(step(scheduler)) == {high: 16}
    assert dict(step(scheduler)) == {high: 4, low: 12}


def test_a_higher_priority_takes_the_place_of_a_lower_one():
    scheduler = Scheduler(BlockCache(100, 4), max_rows=16, max_running=1)
    low = FakeRequest([3] * 8, 30)
    scheduler.add(low)
    step(scheduler)
    high = FakeRequest([4] * 8, 10, priority=1)
    scheduler.add(high)
    assert dict(step(scheduler)) == {high: 8} and scheduler.waiting == [low]
    step(scheduler)
    assert scheduler.idle is False and dict(step(scheduler)) == {low: 1}  # 8 tokens were found again
    assert low.cached == 8 and scheduler.preemptions == 1


def test_with_fewer_rows_than_requests_everybody_gets_a_turn():
    scheduler = Scheduler(BlockCache(100, 4), max_rows=2, max_running=5)
    requests = [FakeRequest([token], 41) for token in range(5)]
    for request in requests:
        scheduler.add(request)
    for _ in range(25):
        step(scheduler)
        drawn = [request.generated for request in requests]
        assert max(drawn) - min(drawn) <= 1


def test_the_first_is_never_put_on_hold_by_a_later_one():
    scheduler = Scheduler(BlockCache(6, 4), max_rows=16, max_running=4)
    first, second = FakeRequest([1] * 8, 24), FakeRequest([2] * 6, 24)
    scheduler.add(first)
    scheduler.add(second)
    while first.generated < 16:
        assert first in dict(step(scheduler))
    assert scheduler.preemptions >= 1
    while not scheduler.idle:
        step(scheduler)
    assert len(second.tokens) == 24


def test_the_vocabulary_of_the_fake_is_sound():
    tokenizer = FakeTokenizer()
    text = "hello the robot: é。 \x00"
    assert tokenizer.decode(tokenizer.encode(text)) == text
