"""The KV block books: sharing, reuse, eviction, and that nothing is ever lost or counted twice."""

import random

import pytest

from llm_core.engine.cache import ROOT, BlockCache


def fill(cache, tokens):
    """Compute `tokens` as a request would; returns its table and how many blocks were found."""
    found, serial = cache.match(tokens)
    table = found + cache.allocate(cache.blocks_for(len(tokens)) - len(found))
    for at in range(len(found), len(tokens) // cache.block_size):
        size = cache.block_size
        table[at] = cache.register(serial, tokens[at * size : (at + 1) * size], table[at])
        serial = cache.serial(table[at])
    return table, len(found)


def test_equal_prefixes_share_whole_blocks():
    cache = BlockCache(8, 4)
    a, _ = fill(cache, list(range(10)))
    b, found = fill(cache, [*range(8), 99, 98])
    assert found == 2 and a[:2] == b[:2] and a[2] != b[2]
    assert cache.n_used == 4
    cache.check([a, b])


def test_the_last_token_is_always_computed():
    cache = BlockCache(8, 4)
    table, _ = fill(cache, list(range(8)))
    cache.release(table)
    assert len(cache.match(list(range(8)))[0]) == 1
    assert len(BlockCache(8, 4).match([])[0]) == 0


def test_the_block_that_begins_alike_is_named():
    cache = BlockCache(8, 8)
    first, _ = fill(cache, list(range(16)))
    second, _ = fill(cache, [*range(8), 8, 9, 10, 99, 0, 0, 0, 0])
    serial = cache.serial(first[0])
    assert cache.nearest(serial, [8, 9, 10, 11, 12, 50, 0, 0]) == (first[1], 5)
    assert cache.nearest(serial, [8, 9, 10, 99]) == (second[1], 4)
    assert cache.nearest(serial, [8, 7]) == (0, 0), "one token is not worth a copy"
    assert cache.nearest(12345, [8, 9, 10]) == (0, 0)
    cache.release(first)
    cache.release(second)
    cache.clear()
    assert cache.nearest(serial, [8, 9, 10, 99]) == (0, 0)
    cache.check([])


def test_released_content_is_found_again_until_its_place_is_needed():
    cache = BlockCache(4, 2)
    table, _ = fill(cache, [1, 2, 3, 4, 5])
    cache.release(table)
    assert cache.n_free == 4 and cache.n_idle == 2
    blocks, _ = cache.match([1, 2, 3, 4, 9])
    assert blocks == table[:2]
    cache.release(blocks)
    cache.check([])
    rest = cache.allocate(3)  # one idle block has to go: the end of the chain
    assert cache.match([1, 2, 3, 4, 9])[0] == table[:1]
    cache.check([rest, table[:1]])


def test_least_recently_used_content_goes_first():
    cache = BlockCache(3, 1)
    for token in (1, 2, 3):
        table, _ = fill(cache, [token])
        cache.release(table)
    blocks, _ = cache.match([1, 0])
    cache.release(blocks)
    cache.release(cache.allocate(1))
    assert cache.find(ROOT, [2]) is None and cache.find(ROOT, [3]) is not None and cache.find(ROOT, [1]) is not None


def test_a_block_computed_twice_is_kept_once():
    cache = BlockCache(4, 2)
    first, second = cache.allocate(1), cache.allocate(1)
    kept = cache.register(ROOT, [1, 2], first[0])
    assert cache.register(ROOT, [1, 2], second[0]) == kept
    assert cache.n_used == 1
    cache.check([[kept], [kept]])


def test_tokens_are_compared_not_hashes():
    cache = BlockCache(4, 1)
    collisions = [-1, -2]  # hash(-1) == hash(-2) in CPython
    assert hash(tuple(collisions[:1])) == hash(tuple(collisions[1:]))
    block = cache.allocate(1)[0]
    cache.register(ROOT, [-1], block)
    assert cache.find(ROOT, [-2]) is None


def test_same_tokens_after_another_prefix_are_another_block():
    cache = BlockCache(8, 2)
    a, _ = fill(cache, [1, 1, 5, 5, 0])
    b, found = fill(cache, [2, 2, 5, 5, 0])
    assert found == 0 and not set(a) & set(b)


def test_too_many_are_refused_and_double_release_is_caught():
    cache = BlockCache(3, 2)
    blocks = cache.allocate(2)
    assert cache.allocate(2) is None
    cache.release(blocks)
    with pytest.raises(RuntimeError, match="released more often"):
        cache.release(blocks)


def test_clear_forgets_idle_content():
    cache = BlockCache(4, 2)
    table, _ = fill(cache, [1, 2, 3, 4])
    cache.release(table)
    cache.clear()
    assert cache.n_idle == 0 and cache.match([1, 2, 3, 4])[0] == []
    cache.check([])


@pytest.mark.parametrize("seed", range(5))
def test_random_use_keeps_the_books(seed):
    rng = random.Random(seed)
    cache = BlockCache(rng.randint(6, 30), rng.randint(1, 4))
    held = []
    for _ in range(400):
        if held and rng.random() < 0.5:
            cache.release(held.pop(rng.randrange(len(held))))
        else:
            tokens = [rng.randint(0, 1) for _ in range(rng.randint(1, 5 * cache.block_size))]
            found, serial = cache.match(tokens)
            missing = cache.blocks_for(len(tokens)) - len(found)
            if missing > cache.n_free:
                assert cache.allocate(missing) is None
                cache.release(found)
            else:
                cache.release(found)
                held.append(fill(cache, tokens)[0])
        cache.check(held)
    for table in held:
        cache.release(table)
    cache.check([])
    assert cache.n_free == cache.n_blocks
