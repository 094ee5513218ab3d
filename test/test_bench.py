"""The bench: its arithmetic, that both sides are asked for the same, and what it says when something is missing. No
figure of time is looked at but for being there."""

import importlib
import json
import math
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from lora_helpers import matrices, write_adapter
from tiny_models import tiny_config, write_tiny

import llm_core.bench.bench as bench_module
from llm_core.bench import Bench, Goal, Options, case_names, fresh, measure_cases, table
from llm_core.bench.contender import Answer, token_ids
from llm_core.bench.ours import MAX_ROWS, Ours
from llm_core.bench.report import figure
from llm_core.bench.row import row
from llm_core.cli.main import main
from llm_core.errors import RequestError

IN_PROCESS = ["decode", "context", "prefill", "streams", "grammar", "prefix"]
OPTIONS = Options(n_threads=2, prompt_tokens=(40, 24), gen_tokens=4, context=40, rounds=2, compare=True)


class FakePeer:
    """llama.cpp's side, which computes nothing and remembers what it was asked."""

    name, load_s, n_vocab = "llama_cpp", 1.0, 291

    def __init__(self, path, n_threads, n_positions, adapters):
        self.steps, self.texts, self.rooms = [], [], []
        self.closed = False

    def begin(self, n_sequences, length):
        self.rooms.append((n_sequences, length))

    def step(self, pieces):
        assert all(s < self.rooms[-1][0] and start + len(ids) <= self.rooms[-1][1] for s, start, ids in pieces)
        self.steps.append([(s, start, list(ids)) for s, start, ids in pieces])
        return np.zeros(self.n_vocab, np.float32)

    def generate(self, prompt, max_tokens, schema=None):
        self.texts.append((list(prompt), max_tokens, schema))
        return Answer(0.5, 10, 2.0)

    def close(self):
        self.closed = True


class WatchedOurs(Ours):
    """Our side, which remembers what it was asked."""

    def __init__(self, *arguments):
        self.steps, self.texts, self.rooms = [], [], []
        super().__init__(*arguments)

    def begin(self, n_sequences, length):
        self.rooms.append((n_sequences, length))
        super().begin(n_sequences, length)

    def step(self, pieces):
        self.steps.append([(s, start, list(ids)) for s, start, ids in pieces])
        return super().step(pieces)

    def generate(self, prompt, max_tokens, schema=None):
        self.texts.append((list(prompt), max_tokens, schema))
        return super().generate(prompt, max_tokens, schema)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_tiny(tmp_path_factory.mktemp("bench") / "tiny.gguf", n_ctx=2048)


@contextmanager
def watched():
    """Both sides of a bench that is made inside, by name, watched; without the pauses between turns."""
    made = {}
    facts = {"version": "0.0", "system_info": "FAKE = 1"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench_module, "SETTLE_S", 0)
        patch.setattr(bench_module, "import_llama_cpp", lambda: None)
        patch.setattr(bench_module, "LlamaCpp", lambda *a: made.setdefault("llama_cpp", FakePeer(*a)))
        patch.setattr("llm_core.bench.ours.Ours", lambda *a: made.setdefault("ours", WatchedOurs(*a)))
        patch.setattr("llm_core.bench.report.llama_cpp_facts", lambda: facts)
        yield made


class Measured(NamedTuple):
    result: dict
    said: list
    sides: dict


@pytest.fixture(scope="module")
def measured(model):
    """All cases that run in this process: their JSON, what was said meanwhile, both sides."""
    said = []
    with watched() as sides:
        return Measured(measure_cases(model, OPTIONS, IN_PROCESS, said.append), said, sides)


def test_a_ratio_is_the_median_over_turns_and_says_how_much_better_we_are():
    turns = {"ours": [10.0, 40.0, 30.0], "llama_cpp": [5.0, 10.0, 30.0]}
    faster = row("c", "n", "tokens/s", turns, floors=[20.0, 50.0, 60.0], goal=Goal(ratio=2, share=0.4))
    assert (faster.ours, faster.theirs, faster.ratio, faster.floor, faster.floor_share) == (30, 10, 2, 50, 0.5)
    assert faster.as_json()["met"] is True and faster.as_json()["goal"] == "≥ 2 x llama.cpp, ≥ 40 % of the floor"
    less = row("c", "n", "s", turns, floors=[5.0, 20.0, 15.0], lower_is_better=True, goal=Goal(at_most=29))
    assert (less.ratio, less.floor_share, less.as_json()["met"]) == (0.5, 0.5, False)


def test_what_was_not_measured_is_none_and_no_goal_is_met_by_it():
    alone = row("c", "n", "tokens/s", {"ours": [10.0]}, goal=Goal(ratio=2))
    assert (alone.theirs, alone.ratio, alone.floor, alone.floor_share, alone.as_json()["met"]) == (None,) * 5
    noisy = row("c", "n", "GB/s", {"ours": [math.nan, 6.0], "llama_cpp": [1.0, 3.0]}, floors=[8.0, 8.0])
    assert (noisy.ours, noisy.ratio, noisy.floor_share) == (6, 2, 0.75)
    assert json.loads(json.dumps(noisy.as_json(), allow_nan=False))["turns"] == {"ours": [6], "llama_cpp": [1, 3]}
    assert row("c", "n", "ms", {"ours": []}).ours is None


def test_both_sides_compute_the_same(measured):
    ours, theirs = measured.sides["ours"], measured.sides["llama_cpp"]
    assert len(theirs.steps) > 100 and ours.steps == theirs.steps
    assert len(theirs.texts) > 10 and ours.texts == theirs.texts
    assert ours.rooms[1:] == theirs.rooms  # the first is made by Ours itself
    assert theirs.closed and ours.runner._pool is None


def test_every_row_is_there_with_ours_theirs_and_ratio(measured):
    result, said, _ = measured
    rows = {row["name"]: row for row in result["rows"]}
    assert [row["case"] for row in result["rows"]] == [
        "decode", "context", "context", "prefill", "prefill", "streams", "streams", "grammar", "grammar", "grammar",
        "prefix", "prefix",
    ]  # fmt: skip
    for name, found in rows.items():
        if "attention" not in name and "beyond" not in name:  # differences, which noise may turn around
            assert min(found["ours"], found["theirs"], found["ratio"]) > 0, name
    for name in ("decode, one stream", "decode at 40 tokens", "16 streams together", "text under a tight schema"):
        assert rows[name]["floor"] > 0 and rows[name]["floor_share"] > 0 and rows[name]["goal"], name
    assert rows["8 streams together"]["floor_is"].endswith("of 8 tokens at the bandwidth of this run")
    assert len(rows["prefill, 24 tokens"]["turns"]["ours"]) == OPTIONS.rounds
    assert rows["text without a schema"]["theirs"] == 5.0  # ten tokens in two seconds
    assert "decode: llama.cpp, round 2 of 2" in said


def test_the_short_keys_of_the_quick_cases(measured):
    result = measured.result
    numbers = ("prefill_tps", "decode_tps", "ttft_s", "load_s", "peak_rss_mb", "read_gbps", "floor_gbps", "floor_share")
    assert all(result[key] > 0 for key in numbers)
    assert result["ttft_s"] == pytest.approx(40 / result["prefill_tps"])
    assert result["read_gbps"] == pytest.approx(result["weight_mb"] * result["decode_tps"] / 1e3)
    peer = result["llama_cpp"]
    assert all(peer[k] > 0 for k in ("prefill_tps", "decode_tps", "ttft_s", "load_s", "prefill_ratio", "decode_ratio"))
    assert (peer["version"], peer["system_info"]) == ("0.0", "FAKE = 1")
    assert result["settings"] == {"prompt_tokens": [40, 24], "gen_tokens": 4, "context": 40, "rounds": 2, "lora": []}
    json.dumps(result, allow_nan=False)
    text = table(result)
    assert all(row["name"] in text for row in result["rows"]) and "FAKE = 1" in text


def test_bare_steps_of_several_sequences_and_text_do_not_disturb_each_other(model):
    ours = Ours(model, 2, 300)
    try:
        a, b = token_ids(291, 40), token_ids(291, 40, 50)
        ours.begin(1, 100)
        ours.step([(0, 0, a)])
        alone = ours.step([(0, 40, [7])]).copy()
        ours.begin(2, 100)
        ours.step([(1, 0, b)])
        ours.step([(0, 0, a)])
        assert ours.generate(b, 40).tokens > 0
        np.testing.assert_array_equal(ours.step([(1, 40, [9]), (0, 40, [7])]), alone)
        long = token_ids(291, MAX_ROWS + 5)
        ours.begin(1, MAX_ROWS + 6)
        whole = ours.step([(0, 0, long)]).copy()
        ours.step([(0, 0, long[:-1])])
        np.testing.assert_array_equal(ours.step([(0, len(long) - 1, long[-1:])]), whole)
        with pytest.raises(RequestError, match="do not fit"):
            ours.begin(4, 100)
    finally:
        ours.close()


def test_steps_text_and_fresh_processes_take_the_adapters(model, tmp_path):
    config = tiny_config("llama")
    write_adapter(tmp_path / "a.gguf", config, matrices(config))
    bare, ours = Ours(model, 2, 300), Ours(model, 2, 300, [(tmp_path / "a.gguf", 0.5)])
    try:
        tokens = token_ids(291, 40)
        assert not np.array_equal(bare.step([(0, 0, tokens)]), ours.step([(0, 0, tokens)]))
        assert ours.weight_bytes > bare.weight_bytes == bare.runner.weight_bytes
        seen = []
        submit = ours.engine.submit
        ours.engine.submit = lambda *a, **options: seen.append(options["adapters"]) or submit(*a, **options)
        ours.generate(tokens, 4)
        assert [(info.path, info.scale) for info in ours.engine.adapters if info.name in seen[0]] == [
            (str(tmp_path / "a.gguf"), 0.5)
        ]
    finally:
        bare.close()
        ours.close()
    with pytest.raises(RequestError, match=r"none\.gguf"):
        fresh.run("ours", model, 2, prompt=20, adapters=[(tmp_path / "none.gguf", 1.0)])


def test_the_floor_counts_the_positions_that_a_row_attends_to(tmp_path):
    config = tiny_config("gemma3")  # 7 layers, of each 6 the last sees everything; the others 8 positions
    ours = Ours(write_tiny(tmp_path / "gemma3.gguf", "gemma3"), 1, 64)
    per_layer = 2 * config.n_kv_heads * config.head_dim * 2
    assert ours.kv_bytes_per_token() == 7 * per_layer
    assert ours.runner.kv_read_bytes(100) == per_layer * (6 * 8 + 100)
    assert ours.runner.kv_read_bytes(5) == per_layer * 7 * 5
    ours.close()


def test_a_fresh_process_tells_what_it_took(model):
    found = fresh.run("ours", model, 2, prompt=20, gen=3, idle_s=0.01)
    assert found.first_token_s > 0 and found.peak_rss > 10e6 and found.idle_cpu_s >= 0 and found.awake_s >= 0
    assert found.kv_bytes_per_token == 2 * 2 * 2 * 32 * 2  # k and v, layers, heads, values, bytes


def test_a_fresh_process_that_fails_says_why(tmp_path):
    with pytest.raises(RequestError, match=r"ours in a fresh process: .*none\.gguf"):
        fresh.run("ours", tmp_path / "none.gguf", 2, prompt=20)


def test_cases_in_fresh_processes(model, monkeypatch):
    asked = []

    def run(side, path, n_threads, prompt, gen=1, idle_s=0, cache=None, adapters=()):
        asked.append((side, cache is not None and cache.is_dir()))
        ours = side == "ours"
        return fresh.Fresh(2.0 if ours else 1.0, 400_000_000, 100.0, 0.004, 0.0009 if ours else None)

    monkeypatch.setattr(fresh, "run", run)
    with watched() as loaded:
        result = measure_cases(model, OPTIONS, ["start", "first-start", "memory", "idle"])
    rows = {row["name"]: row for row in result["rows"]}
    assert rows["process start to first token"]["ratio"] == 0.5 and not rows["process start to first token"]["met"]
    assert rows["very first start to first token"]["met"] and ("ours", True) in asked
    memory = rows["peak memory"]
    assert memory["floor"] == pytest.approx((result["file_mb"] * 1e6 + 576 * 100) / 1e6) and not memory["met"]
    assert rows["CPU in 5 s without work"]["ours"] == 4 and rows["a thread awake after a step"]["met"]
    assert not loaded and "load_s" not in result and {side for side, _ in asked} == {"ours", "llama_cpp"}


def fails(capsys, *argv):
    assert main(["bench", *argv]) == 2
    out, err = capsys.readouterr()
    line = err.splitlines()[-1]
    assert out == "" and line.startswith("error: ") and err.count("error:") == 1
    return line


def test_a_missing_llama_cpp_is_one_clear_line(capsys, model, monkeypatch):
    monkeypatch.setitem(sys.modules, "llama_cpp", None)
    said = fails(capsys, "--model", str(model), "--compare", "llama-cpp")
    assert "--compare llama-cpp" in said and "pip install llama-cpp-python" in said


@pytest.mark.parametrize(
    "argv, message",
    [
        (["--case", "decode,speed"], "--case speed: unknown; one of decode, context"),
        (["--prompt-tokens", "0"], "--prompt-tokens 0"), (["--prompt-tokens", "5,"], "--prompt-tokens"),
        (["--prompt-tokens", "512,-1"], "--prompt-tokens -1"), (["--gen-tokens", "1"], "--gen-tokens 1"),
        (["--context", "0"], "--context 0"), (["--rounds", "0"], "--rounds 0"), (["--threads", "0"], "--threads 0"),
        (["--model", "/none.gguf"], "/none.gguf"), (["--compare", "ollama"], "--compare"),
        (["--lora", "/no.gguf:2"], "adapter file '/no.gguf' does not exist"),
    ],
)  # fmt: skip
def test_bad_options_are_one_line(capsys, argv, message):
    assert message in fails(capsys, *argv)


def test_every_case_says_what_it_is_and_help_names_it(capsys):
    assert main(["bench", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert ", ".join(case_names()) in text
    assert f"(default: {','.join(case_names(quick=True))})" in text
    for name in case_names():
        assert importlib.import_module(f"llm_core.bench.cases.{name.replace('-', '_')}").SUMMARY


def test_a_busy_machine_is_told(capsys, model, monkeypatch):
    monkeypatch.setattr(bench_module.os, "getloadavg", lambda: (99.0, 0.0, 0.0))
    monkeypatch.setattr(bench_module, "SETTLE_S", 0)
    argv = ["--model", str(model), "--case", "prefill", "--prompt-tokens", "8", "--rounds", "1", "--threads", "1"]
    assert main(["bench", *argv]) == 0
    out, err = capsys.readouterr()
    assert "load average 99.0" in err and "the figures are doubtful" in out and "prefill, 8 tokens" in out


def test_a_bench_loads_nothing_before_it_is_asked(model):
    bench = Bench(model, OPTIONS.__class__(n_threads=1))
    assert bench.file_bytes > 0 and not {"ours", "peer"} & set(vars(bench))
    bench.close()


def test_the_published_tables_are_made_of_the_json(measured, tmp_path):
    results = tmp_path / "tiny.json"
    results.write_text(json.dumps(measured.result))
    script = Path(__file__).parents[1] / "bench" / "table.py"
    made = subprocess.run([sys.executable, script, results], capture_output=True, text=True, check=True).stdout
    lines = made.splitlines()
    assert lines[0].startswith("**tiny**, ") and "FAKE = 1" in lines[0]
    rows = [line for line in lines if line.startswith("| ")][2:]
    assert [line.split(" | ")[0][2:] for line in rows] == [row["name"] for row in measured.result["rows"]]
    assert all(line.count(" | ") == 8 for line in rows) and f" {figure(measured.result['decode_tps'])} " in rows[0]
