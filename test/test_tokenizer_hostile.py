"""Broken and hostile tokenizer metadata: one ModelError each, which names the key and what is wrong with it."""

from __future__ import annotations

import logging
import math
import struct

import pytest
from tokenizer_helpers import tiny_bpe, tiny_spm, tiny_unigram, tiny_wordpiece

from llm_core.errors import ModelError
from llm_core.tokenizer import Tokenizer

P = "tokenizer.ggml."
BPE, SPM, BERT, T5 = tiny_bpe("gpt-2"), tiny_spm(), tiny_wordpiece(), tiny_unigram(True)
N = len(BPE[P + "tokens"])


def changed(base, key, value):
    out = {k: (list(v) if isinstance(v, list) else v) for k, v in base.items()}
    if value is None:
        out.pop(P + key)
    else:
        out[P + key] = value(out[P + key]) if callable(value) else value
    return out


CASES = [
    ({}, "model: missing"),
    (changed(BPE, "model", "gpt3"), "model: unknown tokenizer 'gpt3'"),
    (changed(BPE, "model", 7), "model: expected str"),
    (changed(BPE, "pre", "no-such"), "pre: unknown pre-tokenizer 'no-such'"),
    (changed(BPE, "pre", ["gpt-2"]), "pre: expected str"),
    (changed(BPE, "tokens", None), "tokens: missing"),
    (changed(BPE, "tokens", []), "tokens: missing or empty"),
    (changed(BPE, "tokens", "abc"), "tokens: expected a list"),
    (changed(BPE, "tokens", lambda t: [*t[:-1], 5]), rf"tokens\[{N - 1}\]: expected str"),
    (changed(BPE, "tokens", lambda t: [*t[:-1], t[3]]), "appears twice"),
    (changed(BPE, "token_type", lambda t: t[:-1]), f"token_type: {N - 1} entries for {N} tokens"),
    (changed(BPE, "token_type", lambda t: [9, *t[1:]]), r"token_type\[0\]: 9 is not a token type"),
    (changed(BPE, "token_type", lambda t: [True, *t[1:]]), r"token_type\[0\]: expected int"),
    (changed(BPE, "merges", None), "merges: missing"),
    (changed(BPE, "merges", "a b"), "merges: expected a list"),
    (changed(BPE, "merges", lambda m: [*m, "t qqqq"]), "names 'qqqq', which is not a token"),
    (changed(BPE, "merges", lambda m: [*m, "Q Z"]), "names 'QZ', which is not a token"),
    (changed(BPE, "merges", lambda m: ["th", *m]), r"merges\[0\]: 'th' is not two tokens"),
    (changed(BPE, "merges", lambda m: ["t h e", *m]), r"merges\[0\]: 't h e' is not two tokens"),
    (changed(BPE, "merges", lambda m: [" ", *m]), r"merges\[0\]: ' ' is not two tokens"),
    (changed(BPE, "eos_token_id", N), f"eos_token_id: {N} is not a token id"),
    (changed(BPE, "bos_token_id", -5), "bos_token_id: -5 is not a token id"),
    (changed(BPE, "eos_token_id", 1.0), "eos_token_id: expected int"),
    (changed(BPE, "eos_token_id", True), "eos_token_id: expected int"),
    (changed(BPE, "add_bos_token", 1), "add_bos_token: expected bool"),
    (changed({**BPE, P + "add_eos_token": True}, "eos_token_id", None), None),
    (changed(SPM, "scores", None), "scores: missing"),
    (changed(SPM, "scores", lambda s: s[1:]), "scores: .* entries for"),
    (changed(SPM, "scores", lambda s: [*s[:-1], math.nan]), "nan is not a usable score"),
    (changed(SPM, "scores", lambda s: [math.inf, *s[1:]]), r"scores\[0\]: inf is not"),
    (changed(SPM, "scores", lambda s: ["1", *s[1:]]), r"scores\[0\]: expected float or int"),
    (changed(SPM, "unknown_token_id", 1 << 31), "unknown_token_id: 2147483648 is not a token id"),
    (changed(SPM, "add_space_prefix", "yes"), "add_space_prefix: expected bool"),
    (changed(T5, "unknown_token_id", 0xFFFFFFFF), "unknown_token_id: missing"),
    ({**T5, P + "precompiled_charsmap": [1, 2]}, "precompiled_charsmap: 2 bytes"),
    ({**T5, P + "precompiled_charsmap": [255] * 8}, "precompiled_charsmap: trie of"),
    ({**T5, P + "precompiled_charsmap": [300] * 8}, "precompiled_charsmap: values are not bytes"),
    ({**T5, P + "precompiled_charsmap": "x"}, "precompiled_charsmap: expected a list"),
    (changed(BERT, "seperator_token_id", 0xFFFFFFFF), "add_sep_token: true, but the file names no sep token"),
]
CASES = [case for case in CASES if case[1]]


@pytest.mark.parametrize(("metadata", "message"), CASES, ids=[message for _, message in CASES])
def test_wrong_metadata_is_refused_by_name(metadata, message):
    with pytest.raises(ModelError, match=message) as caught:
        Tokenizer.from_metadata(metadata)
    assert len(str(caught.value)) < 2000 and "\n" not in str(caught.value)


def charsmap(at, replacements=b"x\0", units=256):
    """A trie of empty units but for those `at` some indices; 0 is the root."""
    units = [at.get(i, 0) for i in range(units)]
    return struct.pack("<I", 4 * len(units)) + struct.pack(f"<{len(units)}I", *units) + replacements


A_HAS_VALUE = 0x61 | 0x100 | 1 << 10  # label "a", a value follows, at unit 0x61 ^ 1


@pytest.mark.parametrize(
    ("units", "message"),
    [
        ({0: 0xFFFFFFFF}, "trie index"),
        ({0x61: 0x61 | 0x100 | 400 << 10}, "trie index"),
        ({0x61: A_HAS_VALUE, 0x60: 0x7FFFFFF0}, "replacement at 2147483632 does not end"),
        ({0x61: A_HAS_VALUE, 0x60: 2}, "replacement at 2 does not end"),
    ],
)
def test_a_hostile_character_table_ends_in_an_error(units, message):
    tokenizer = Tokenizer.from_metadata({**T5, P + "precompiled_charsmap": charsmap(units)})
    with pytest.raises(ModelError, match=message):
        tokenizer.encode("banana")


def test_a_character_table_cannot_blow_a_text_up():
    table = charsmap({0x61: A_HAS_VALUE, 0x60: 0}, b"x" * 1000 + b"\0")
    with pytest.raises(ModelError, match="replacement at 0 does not end within 256 bytes"):
        Tokenizer.from_metadata({**T5, P + "precompiled_charsmap": table}).encode("a")


def test_a_character_table_replaces_the_longest_prefix():
    table = charsmap({0x61: A_HAS_VALUE, 0x60: 0}, b"the\0")
    tokenizer = Tokenizer.from_metadata({**T5, P + "precompiled_charsmap": table})
    assert tokenizer.encode("a water, abc") == Tokenizer.from_metadata(T5).encode("the wtheter, thebc")


def test_a_missing_pre_tokenizer_is_default_with_a_warning(caplog):
    with caplog.at_level(logging.WARNING):
        tokenizer = Tokenizer.from_metadata(tiny_bpe(None))
    assert "pre: missing, using 'default'" in caplog.text
    assert tokenizer.encode("a.b") == Tokenizer.from_metadata(tiny_bpe("default")).encode("a.b")


def test_minus_one_means_no_such_token():
    for none in (0xFFFFFFFF, -1):
        assert Tokenizer.from_metadata(changed(BPE, "bos_token_id", none)).bos_id is None


def test_empty_tokens_match_nothing():
    metadata = changed(BPE, "tokens", lambda t: [*t, "", ""])
    metadata[P + "token_type"] += [1, 4]
    tokenizer = Tokenizer.from_metadata(metadata)
    assert tokenizer.encode("the water") == Tokenizer.from_metadata(BPE).encode("the water")


def test_of_two_equal_merges_the_first_counts():
    twice = changed(BPE, "merges", lambda m: [*m, *m[:50]])
    for text in ("the robot brings", "water  the  water"):
        assert Tokenizer.from_metadata(twice).encode(text) == Tokenizer.from_metadata(BPE).encode(text)


def test_tokens_the_library_cannot_take_are_no_crash():
    metadata = changed(SPM, "tokens", lambda t: [*t[:-1], "x" * 100_000])
    assert Tokenizer.from_metadata(metadata).encode("x" * 1000, add_special=False)
