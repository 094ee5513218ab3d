"""The streaming decoder: whole characters only, and in the end the same text as decoding all at once."""

from __future__ import annotations

import random

import pytest
from tokenizer_helpers import random_text, tiny_bpe, tiny_spm, tiny_unigram, tiny_wordpiece

from llm_core.tokenizer import Tokenizer

VOCABS = {
    "bpe": tiny_bpe("qwen2"),
    "spm": tiny_spm(),
    "spm no prefix": tiny_spm(False),
    "wordpiece": tiny_wordpiece(),
    "unigram": tiny_unigram(True),
}


@pytest.fixture(scope="module", params=list(VOCABS))
def tokenizer(request):
    return Tokenizer.from_metadata(VOCABS[request.param])


@pytest.mark.parametrize("skip_special", [True, False])
@pytest.mark.parametrize("start", [True, False])
def test_pushes_and_flush_equal_decode(tokenizer, skip_special, start):
    rng = random.Random(11)
    for round_ in range(120):
        if round_ % 2:  # any ids at all, byte tokens in any order
            ids = [rng.randrange(tokenizer.n_vocab) for _ in range(rng.randrange(30))]
        else:
            ids = tokenizer.encode(random_text(rng))
        stream = tokenizer.stream(skip_special, start)
        streamed = "".join(map(stream.push, ids)) + stream.flush()
        assert streamed == tokenizer.decode(ids, skip_special, start)


def test_decode_equals_decoding_the_joined_bytes(tokenizer):
    rng = random.Random(12)
    for _ in range(100):
        ids = [rng.randrange(tokenizer.n_vocab) for _ in range(20)]
        data = b"".join(b"" if i in tokenizer.control_ids else tokenizer.token_bytes(i) for i in ids)
        assert tokenizer.decode(ids, start=False) == data.decode("utf-8", "replace")


def test_an_emoji_comes_out_whole_or_not_at_all():
    tokenizer = Tokenizer.from_metadata(tiny_spm(False))
    ids = tokenizer.encode("a👩‍🚀b", add_special=False)
    stream = tokenizer.stream()
    pieces = [stream.push(i) for i in ids]
    assert "".join(pieces) == "a👩‍🚀b" and stream.flush() == ""
    assert set("".join(pieces)) == set("a👩‍🚀b") and "" in pieces
    for piece in pieces:
        assert "\ufffd" not in piece


def test_an_invalid_byte_is_replaced_as_soon_as_that_is_certain():
    tokenizer = Tokenizer.from_metadata(tiny_spm(False))
    byte = {b: 3 + b for b in range(256)}
    stream = tokenizer.stream()
    assert stream.push(byte[0xE2]) == ""  # may become a character
    assert stream.push(byte[0x41]) == "\ufffdA"  # never will
    assert stream.push(byte[0x80]) == "\ufffd"
    assert stream.push(byte[0xF0]) == "" and stream.push(byte[0x9F]) == ""
    assert stream.flush() == "\ufffd" and stream.flush() == ""


def test_control_tokens_show_only_on_request():
    tokenizer = Tokenizer.from_metadata(tiny_bpe("gpt-2"))
    ids = tokenizer.encode("<|im_start|>the<|im_end|>", parse_special=True)
    assert tokenizer.decode(ids) == "the"
    assert tokenizer.decode(ids, skip_special=False) == "<|im_start|>the<|im_end|>"


def test_a_control_token_between_does_not_break_a_character():
    tokenizer = Tokenizer.from_metadata(tiny_spm(False))
    first, *rest = tokenizer.encode("🙂", add_special=False)
    assert tokenizer.decode([first, tokenizer.eos_id, *rest]) == "🙂"
