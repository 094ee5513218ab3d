"""The typed getters: what was asked for, or an error that names file, key, value and reason."""

import math

import pytest

from llm_core.gguf import GGUFError, Metadata

META = Metadata(
    {
        "general.architecture": "qwen2",
        "qwen2.block_count": 24,
        "qwen2.eps": 1e-6,
        "qwen2.heads": [4, 4, 8],
        "flag": True,
        "nan": math.nan,
        "inf": -math.inf,
        "text": "a\x1b[2J\nb",
        "zero": 0,
        "huge": 2**32,
        "floats": [0.0, 1.5, math.nan],
        "mixed": [1, True, 2.0],
        "nested": [[1], [2]],
        "strings": ["a", "b"],
        "bools": [True, False],
        "empty": [],
    },
    "model\n.gguf",
)


def test_values_that_are_as_asked():
    assert META.architecture == "qwen2"
    assert META.int("{arch}.block_count", min=1, max=24) == 24
    assert META.float("{arch}.eps", min=0.0) == 1e-6
    assert META.bool("flag") is True
    assert META.str("general.architecture", choices={"qwen2", "llama"}, max_length=5) == "qwen2"
    assert META.ints("{arch}.heads", length=3, min=1, max=8) == [4, 4, 8]
    assert META.ints("{arch}.block_count", length=3, broadcast=True) == [24, 24, 24]
    assert META.ints("{arch}.heads", length=3, broadcast=True) == [4, 4, 8]
    assert META.strings("strings", min_length=1, max_length=2) == ["a", "b"]
    assert META.bools("bools") == [True, False]
    assert META.floats("empty") == [] == META.strings("empty")
    assert math.isnan(META.float("nan", finite=False)) and len(META.floats("floats", finite=False)) == 3
    assert META["{arch}.eps"] == META["qwen2.eps"] and META.get("{arch}.none") is None and len(META) == len(list(META))


def test_a_missing_key_gives_the_default_unchecked():
    assert META.int("none", default=None, min=1) is None
    assert META.int("{arch}.none", default=-5, min=1) == -5
    assert META.float("none", default=7) == 7
    assert META.str("none", default="x", choices=()) == "x"
    assert META.ints("none", default=(), length=3) == ()


@pytest.mark.parametrize(
    ("getter", "key", "options", "problem"),
    [
        ("int", "none", {}, "key 'none': is missing"),
        ("int", "{arch}.none", {}, "key 'qwen2.none': is missing"),
        ("int", "flag", {}, r"key 'flag': expected an integer, found a bool \(True\)"),
        ("int", "{arch}.eps", {}, r"key 'qwen2.eps': expected an integer, found a float \(1e-06\)"),
        ("int", "text", {}, r"expected an integer, found a string \('a\\x1b\[2J\\nb'\)"),
        ("int", "{arch}.heads", {}, "expected an integer, found a list of 3"),
        ("int", "zero", {"min": 1}, r"key 'zero': 0 is out of range \(at least 1\)"),
        ("int", "huge", {"min": 1, "max": 4096}, r"4294967296 is out of range \(at least 1 and at most 4096\)"),
        ("int", "zero", {"min": 2, "max": 2}, r"0 is out of range \(exactly 2\)"),
        ("float", "zero", {}, "expected a float, found an integer"),
        ("float", "flag", {}, "expected a float, found a bool"),
        ("float", "nan", {}, "key 'nan': nan is not a finite number"),
        ("float", "nan", {"finite": False, "min": 0.0}, "nan is out of range"),
        ("float", "inf", {}, "-inf is not a finite number"),
        ("float", "{arch}.eps", {"min": 1e-5}, r"1e-06 is out of range \(at least 1e-05\)"),
        ("bool", "zero", {}, "expected a bool, found an integer"),
        ("str", "zero", {}, "expected a string, found an integer"),
        ("str", "text", {"choices": ("x", "y")}, r"'a\\x1b\[2J\\nb' is not one of: x, y"),
        ("str", "text", {"max_length": 3}, "a string of 7 characters, at most 3"),
        ("ints", "zero", {}, r"expected a list of integers, found an integer \(0\)"),
        ("ints", "mixed", {}, r"expected a list of integers, but element 1 is a bool \(True\)"),
        ("ints", "nested", {}, "element 0 is a list of 1"),
        ("ints", "{arch}.heads", {"length": 4}, r"has 3 elements \(exactly 4 are allowed\)"),
        ("ints", "{arch}.heads", {"max_length": 2}, r"has 3 elements \(at least 0 and at most 2 are allowed\)"),
        ("ints", "{arch}.heads", {"max": 4}, r"element 2 is 8, out of range \(at most 4\)"),
        ("ints", "{arch}.block_count", {"length": 2, "broadcast": True, "max": 5}, "24 is out of range"),
        ("ints", "flag", {"length": 2, "broadcast": True}, "expected a list of integers, found a bool"),
        ("floats", "floats", {}, "element 2 is nan, not a finite number"),
        ("floats", "{arch}.heads", {}, "expected a list of floats, but element 0 is an integer"),
        ("strings", "bools", {}, "expected a list of strings, but element 0 is a bool"),
        ("bools", "mixed", {}, "expected a list of bools, but element 0 is an integer"),
    ],
)
def test_anything_else_is_an_error_with_its_reason(getter, key, options, problem):
    with pytest.raises(GGUFError, match=problem) as caught:
        getattr(META, getter)(key, **options)
    assert str(caught.value).startswith(r"model\n.gguf: key '") and str(caught.value).isprintable()


@pytest.mark.parametrize(
    "name", ["", "../../etc/passwd", "llama/x", "Llama", "a" * 65, "llama\n", "ll ama", ".llama", 3, True]
)
def test_an_architecture_is_a_plain_name(name):
    with pytest.raises(GGUFError, match=r"key 'general.architecture': "):
        _ = Metadata({"general.architecture": name}).architecture


def test_a_key_that_looks_like_a_pattern_is_itself():
    meta = Metadata({"{arch}.x": 1, "a{b}": 2})
    assert meta["{arch}.x"] == 1 and meta.int("{arch}.x") == 1 and meta["a{b}"] == 2 and "c{d}" not in meta
    with pytest.raises(GGUFError, match="general.architecture"):
        meta.int("{arch}.y")
