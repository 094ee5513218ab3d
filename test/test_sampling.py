"""Sampling: parameters are checked by name, filters equal their definitions, seeds repeat, masks and penalties hold."""

import math

import numpy as np
import pytest

from llm_core.errors import ModelError, RequestError
from llm_core.grammar import Grammar
from llm_core.sampling import (
    Candidates,
    Sampler,
    SamplingParams,
    min_p,
    penalize,
    temperature,
    token_logprob,
    top_k,
    top_p,
    typical,
)

N = 40_000
ROWS = [np.random.default_rng(seed).normal(0, 3, N).astype(np.float32) for seed in range(4)]
BIG = Candidates(np.arange(N), ROWS[0], False)


def softmax(x):
    x = x.astype(np.float64)
    p = np.exp(x - x.max())
    return p / p.sum()


@pytest.mark.parametrize(
    "field, value",
    [
        ("max_tokens", 0), ("max_tokens", 2**31), ("max_tokens", 1.5), ("max_tokens", True), ("temperature", -0.1),
        ("temperature", math.nan), ("temperature", math.inf), ("temperature", "1"), ("temperature", None),
        ("top_k", -1), ("top_k", 2.0), ("top_p", 0), ("top_p", 1.01), ("min_p", -1e-9), ("typical_p", 0.0),
        ("repeat_penalty", 0), ("frequency_penalty", math.nan), ("presence_penalty", 1e9), ("penalty_last_n", -2),
        ("seed", -1), ("seed", 2**64), ("logprobs", 101), ("logprobs", -1), ("ignore_eos", 1),
        ("grammar", "start: /a/"), ("stop", [""]), ("stop", [3]), ("stop", 3), ("stop", ["x"] * 65), ("stop_ids", [-1]),
        ("stop_ids", ["1"]), ("stop_ids", "12"), ("logit_bias", [1]), ("logit_bias", {"1": 1.0}),
        ("logit_bias", {1: math.nan}), ("logit_bias", {1: math.inf}), ("logit_bias", {-1: 0.0}),
    ],
)  # fmt: skip
def test_a_bad_parameter_is_named_with_its_value(field, value):
    with pytest.raises(RequestError) as error:
        SamplingParams(**{field: value})
    assert field in str(error.value)


def test_good_parameters_are_normalised():
    params = SamplingParams(
        stop="END", stop_ids=np.array([3]), temperature=np.float32(0.5), logit_bias={np.int64(2): -math.inf}
    )
    assert params.stop == ("END",) and params.stop_ids == (3,) and type(params.temperature) is float
    assert params.logit_bias == {2: -math.inf}
    assert SamplingParams(max_tokens=None, grammar=Grammar.regex("a")).max_tokens is None
    with pytest.raises(AttributeError):
        params.top_k = 3
    with pytest.raises(RequestError, match="logit_bias has the id 9"):
        SamplingParams(logit_bias={9: 1.0}).check_vocabulary(9)
    with pytest.raises(RequestError, match="stop_ids has the id 9"):
        SamplingParams(stop_ids=[9]).check_vocabulary(9)


@pytest.mark.parametrize("k", [1, 2, 40, 150, 1000, 39_999, 50_000])
def test_top_k_keeps_the_best(k):
    kept = top_k(BIG, k)
    best = np.argsort(-ROWS[0], kind="stable")[:k]
    assert sorted(kept.ids) == sorted(best)
    if kept.best_first:
        assert (kept.ids == best).all() and (kept.logits == ROWS[0][best]).all()


def test_top_k_breaks_ties_by_id():
    row = np.zeros(N, dtype=np.float32)
    row[[70, 7_000, 39_999]] = 1
    assert top_k(Candidates(np.arange(N), row, False), 5).ids.tolist() == [70, 7_000, 39_999, 0, 1]


@pytest.mark.parametrize("p", [0.01, 0.3, 0.9, 0.999])
@pytest.mark.parametrize("row", ROWS[:2])
def test_top_p_is_the_smallest_sufficient_set(row, p):
    kept = top_p(Candidates(np.arange(N), row, False), p)
    order = np.argsort(-row, kind="stable")
    mass = np.cumsum(softmax(row)[order])
    wanted = min(int((mass < p).sum()) + 1, N)
    assert abs(len(kept.ids) - wanted) <= max(2, wanted // 1000)  # float32 exponentials round the border
    assert set(kept.ids) == set(order[: len(kept.ids)])
    again = top_p(top_k(Candidates(np.arange(N), row, False), 100), p)
    mass = np.cumsum(softmax(row[order[:100]]))
    assert abs(len(again.ids) - ((mass < p).sum() + 1)) <= 1


def test_min_p_and_temperature():
    kept = min_p(BIG, 0.1)
    p = softmax(ROWS[0])
    assert set(kept.ids) == set(np.flatnonzero(p >= 0.1 * p.max()))
    assert np.allclose(temperature(BIG, 0.5).logits, ROWS[0] * 2)


def test_typical_keeps_what_is_near_the_entropy():
    p = np.array([0.5, 0.2, 0.15, 0.1, 0.05])
    row = np.log(p).astype(np.float32)
    distance = np.abs(-np.log(p) + (p * np.log(p)).sum())
    order = np.argsort(distance)  # 0.2, 0.15 are typical; 0.5 is too sure, 0.05 too rare
    kept = typical(Candidates(np.arange(5), row, True), 0.3)
    assert kept.ids.tolist() == sorted(order[:2]) and 0 not in kept.ids
    assert typical(Candidates(np.arange(5), row, True), 0.9999).ids.size == 5


def test_penalties_follow_their_formulas():
    row = np.array([2.0, -2.0, 1.0, 0.0], dtype=np.float32)
    penalize(row, [0, 1, 0], SamplingParams(repeat_penalty=2.0, frequency_penalty=0.5, presence_penalty=0.25))
    assert row.tolist() == [2 / 2 - 2 * 0.5 - 0.25, -2 * 2 - 0.5 - 0.25, 1.0, 0.0]


def test_penalty_looks_at_the_last_n_only():
    row = np.array([3.0, 2.0, 1.0], dtype=np.float32)
    for last_n, wanted in ((0, 0), (1, 0), (2, 1), (-1, 2)):
        params = SamplingParams(temperature=0, presence_penalty=5, penalty_last_n=last_n)
        # history 1 0 2: with 2 tokens back, 0 and 2 pay; with all, every one pays and 0 is the best again
        token = Sampler(params, 3).sample(row, [1, 0, 2])
        assert token == {0: 0, 1: 0, -1: 0}.get(last_n, wanted)


def test_greedy_is_argmax_and_leaves_the_row_alone():
    row = ROWS[1].copy()
    sampler = Sampler(SamplingParams(temperature=0, logit_bias={5: 100.0}, repeat_penalty=1.3), N)
    assert sampler.sample(row, [1, 2, 3]) == 5
    assert (row == ROWS[1]).all()
    assert Sampler(SamplingParams(temperature=0), N).sample(row, []) == ROWS[1].argmax()


def test_a_mask_leaves_only_what_it_allows():
    mask = np.zeros((N + 31) // 32, dtype=np.int32)
    for token in (3, 31, 32, N - 1):
        mask[token // 32] = np.int32(np.uint32(mask[token // 32]) | np.uint32(1 << (token % 32)))
    for params in (
        SamplingParams(temperature=0),
        SamplingParams(seed=1),
        SamplingParams(seed=1, top_k=0, top_p=1, min_p=0),
    ):
        sampler = Sampler(params, N)
        assert {sampler.sample(row, [], mask) for row in ROWS for _ in range(10)} <= {3, 31, 32, N - 1}
    wide = np.random.default_rng(1).integers(-(2**31), 2**31, mask.size).astype(np.int32)  # every second token
    allowed = np.unpackbits(wide.view(np.uint8), count=N, bitorder="little").astype(bool)
    for row in ROWS:
        masked = np.where(allowed, row, -np.inf).astype(np.float32)
        for params in (SamplingParams(temperature=0), SamplingParams(seed=2, temperature=2.0)):
            assert Sampler(params, N).sample(row, [], wide) == Sampler(params, N).sample(masked, [])
    empty = np.zeros_like(mask)
    with pytest.raises(RequestError, match="no token"):
        Sampler(SamplingParams(), N).sample(ROWS[0], [], empty)


def test_banned_tokens_and_bad_logits():
    row = np.array([1.0, 2.0], dtype=np.float32)
    assert Sampler(SamplingParams(logit_bias={1: -math.inf}), 2).sample(row, []) == 0
    with pytest.raises(RequestError, match="bans every token"):
        Sampler(SamplingParams(logit_bias={0: -math.inf, 1: -math.inf}), 2).sample(row, [])
    for bad in (math.nan, math.inf):
        for params in (SamplingParams(temperature=0), SamplingParams()):
            with pytest.raises(ModelError, match="not finite"):
                Sampler(params, 2).sample(np.array([0.0, bad], dtype=np.float32), [])
            with pytest.raises(ModelError, match="not finite"):
                Sampler(params, 2).sample(np.array([0.0, bad], dtype=np.float32), [], np.array([3], dtype=np.int32))
    with pytest.raises(ModelError, match="not finite.*-inf"):
        Sampler(SamplingParams(), 2).sample(np.array([-math.inf, -math.inf], dtype=np.float32), [])


def test_a_seed_repeats_and_its_absence_does_not():
    def run(seed):
        sampler = Sampler(SamplingParams(seed=seed, temperature=1.5), N)
        return [sampler.sample(row, []) for row in ROWS * 5], sampler.seed

    assert run(11) == run(11)
    assert run(11)[0] != run(12)[0]
    free, told = run(None)
    assert run(told)[0] == free


def test_draws_follow_the_distribution():
    row = np.log(np.array([0.1, 0.2, 0.7], dtype=np.float32))
    sampler = Sampler(SamplingParams(seed=3, temperature=1, top_k=0, top_p=1, min_p=0), 3)
    counts = np.bincount([sampler.sample(row, []) for _ in range(5000)], minlength=3) / 5000
    assert np.abs(counts - [0.1, 0.2, 0.7]).max() < 0.03


def test_logprobs_are_of_the_raw_distribution():
    entry = token_logprob(ROWS[2], 17, 3)
    p = np.log(softmax(ROWS[2]))
    best = np.argsort(-ROWS[2])[:3]
    assert entry.logprob == pytest.approx(p[17], abs=1e-4)
    assert [i for i, _ in entry.top] == best.tolist()
    assert [q for _, q in entry.top] == pytest.approx(p[best].tolist(), abs=1e-4)
    assert token_logprob(ROWS[2], 17, 0).top == ()
