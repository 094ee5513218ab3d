"""Rows that bring their own embeddings, and groups of rows that see each other: what an image is to the engine core."""

import numpy as np
import pytest
from tiny_models import case_tokens, tiny_config, write_tiny

from llm_core.errors import RequestError
from llm_core.gguf import open_gguf
from llm_core.models import load_model
from llm_core.program import Batch, Runner

ROWS = 24


@pytest.fixture
def make(tmp_path):
    """(runner, embeddings of the case's tokens as the model enters them) of a tiny model."""
    runners = []

    def build(arch, **options):
        path = write_tiny(tmp_path / f"{arch}.gguf", arch)
        runners.append(Runner(load_model(path), **{"n_ctx": 256, "max_rows": 64, "n_threads": 2, **options}))
        rows = open_gguf(path).tensor("token_embd.weight").dequantize(case_tokens(tiny_config(arch)))
        return runners[-1], rows * np.float32(runners[-1].model.embedding_scale)

    yield build
    for runner in runners:
        runner.close()


def run(runner, tokens, first=0, embeddings=None, groups=(), block=0):
    """All logits of rows at positions first…; groups: (first, last) positions that see each other."""
    n = len(tokens)
    positions = np.arange(first, first + n, dtype=np.int32)
    sees = np.array([positions, positions])
    for low, high in groups:
        inside = (positions >= low) & (positions <= high)
        sees[0, inside], sees[1, inside] = low, high
    table = np.arange(block, block + 4, dtype=np.int32)[None]
    batch = Batch(
        np.asarray(tokens, np.int32), positions, np.array([0, n], np.int32), table, np.arange(n, dtype=np.int32),
        embeddings=embeddings, sees=sees if groups else None,
    )  # fmt: skip
    return runner.step(batch).copy()


@pytest.mark.parametrize("arch", ["llama", "gemma3", "phi3"])
def test_a_row_with_its_tokens_embedding_is_that_token_bit_for_bit(arch, make):
    runner, rows = make(arch)
    tokens = case_tokens(tiny_config(arch))
    expected = run(runner, tokens)
    mixed = tokens.copy()
    mixed[3:10] = -1 - np.arange(7)[::-1]  # in any order
    np.testing.assert_array_equal(run(runner, mixed, embeddings=rows[3:10][::-1]), expected)
    np.testing.assert_array_equal(run(runner, -1 - np.arange(ROWS), embeddings=rows), expected)
    np.testing.assert_array_equal(run(runner, tokens), expected)  # nothing stays behind


@pytest.mark.parametrize("arch", ["llama", "gemma3"])
def test_a_group_is_seen_whole_and_changes_nothing_before_it(arch, make):
    runner, _ = make(arch)
    tokens = case_tokens(tiny_config(arch))
    causal = run(runner, tokens)
    seen = run(runner, tokens, groups=[(6, 14)])
    np.testing.assert_array_equal(seen[:6], causal[:6])
    assert not np.allclose(seen[6:], causal[6:], atol=1e-2)
    # What a row sees of its group does not depend on the order: the first row of a group knows its last.
    other = tokens.copy()
    other[14] = (other[14] + 7) % runner.n_vocab
    assert not np.array_equal(run(runner, other, groups=[(6, 14)])[6], seen[6])
    # In two steps, the group in one of them: the same.
    first = run(runner, tokens[:15], groups=[(6, 14)], block=4)
    second = run(runner, tokens[15:], first=15, block=4)
    np.testing.assert_array_equal(np.concatenate([first, second]), seen)


@pytest.mark.parametrize("kv_type", ["f16", "q8_0"])
def test_a_groups_end_is_the_same_when_its_start_is_in_the_cache(kv_type, make):
    runner, _ = make("gemma3", kv_type=kv_type)
    tokens = np.tile(case_tokens(tiny_config("gemma3")), 2)
    whole = run(runner, tokens, groups=[(10, 45)])
    again = run(runner, tokens[32:], first=32, groups=[(10, 45)])
    np.testing.assert_allclose(again, whole[32:], atol=5e-3)


def test_text_beside_a_group_has_the_same_bits(make):
    runner, _ = make("gemma3")
    tokens = case_tokens(tiny_config("gemma3"))
    alone = run(runner, tokens)
    positions = np.tile(np.arange(ROWS, dtype=np.int32), 2)
    sees = np.array([positions, positions])
    sees[0, 5:9], sees[1, 5:9] = 5, 8
    batch = Batch(
        np.tile(tokens, 2), positions, np.array([0, ROWS, 2 * ROWS], np.int32), np.array([[0], [1]], np.int32),
        np.arange(ROWS, 2 * ROWS, dtype=np.int32), sees=sees,
    )  # fmt: skip
    np.testing.assert_array_equal(runner.step(batch), alone)


def test_what_cannot_be_is_refused(make):
    runner, rows = make("llama")
    with pytest.raises(RequestError, match="token -3 is not in the vocabulary of 291, nor one of 2 embeddings"):
        run(runner, [5, -3], embeddings=rows[:2])
    with pytest.raises(RequestError, match=r"embeddings of shape \(2, 3\)"):
        run(runner, [-1], embeddings=rows[:2, :3])
    for groups, message in (([(1, 7)], "outside its sequence"), ([(0, 4), (3, 5)], "overlap|outside")):
        with pytest.raises(RequestError, match=message):
            run(runner, [5] * 6, groups=groups)
