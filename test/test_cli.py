"""The command line frame and its verbs generate and chat, on the fake model: output, exit codes, one-line errors."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fake_runner import END, FakeTokenizer, fake_parts
from tiny_models import write_tiny

import llm_core.engine.engine as engine_module
from llm_core.cli.main import main, verbs

ROOT = Path(__file__).parents[1]
REPLY = "It rains in Paris."


@pytest.fixture
def fake(monkeypatch):
    """Every model is the fake one; returns the arguments of the last load."""
    loaded = {}

    def load(model, n_ctx, n_blocks, max_rows, n_threads, pin, progress, kv_type, adapters):
        loaded.update(model=model, n_ctx=n_ctx, n_threads=n_threads, pin=pin, kv_type=kv_type)
        return fake_parts(n_ctx=min(n_ctx, 256), replies={"weather": REPLY, "pirate": "Arr."})

    monkeypatch.setattr(engine_module, "load_parts", load)
    return loaded


@pytest.fixture
def stdin(monkeypatch):
    def give(data: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))

    return give


def fails(capsys, *argv: str) -> str:
    """Run a command that must fail as bad input; returns its error line."""
    assert main(argv) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and err.endswith("\n") and err.count("\n") == 1
    return err


def test_every_verb_says_what_it_does(capsys):
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert {"generate", "chat", "inspect"} <= set(verbs())
    for verb in verbs():
        assert f"  {verb} " in out
        assert main([verb, "--help"]) == 0
        assert f"llm-core {verb}" in capsys.readouterr().out


def test_no_command_is_bad_input_that_names_the_commands(capsys):
    assert "generate, inspect" in fails(capsys)


@pytest.mark.parametrize(
    "argv, message",
    [
        (["frobnicate"], "frobnicate"), (["generate"], "--prompt"), (["generate", "--nonsense"], "--"),
        (["generate", "--prompt", "a", "--temp", "warm"], "--temp"),
        (["generate", "--prompt", "a", "--temp", "nan"], "temperature"),
        (["generate", "--prompt", "a", "--top-p", "7"], "top_p is 7.0"),
        (["generate", "--prompt", "a", "--max-tokens", "-3"], "-3"),
        (["generate", "--prompt", "a", "--prompt-file", "b"], "not allowed"),
        (["generate", "--prompt", "a", "--ctx", "0"], "n_ctx"),
        (["generate", "--prompt-file", "/no/such/file"], "/no/such/file: No such file"),
        (["generate", "--prompt-file", "/"], "/: "), (["generate", "--prompt", "a", "--logprobs", "2"], "--json"),
        (["generate", "--prompt", "a", "--system", "b"], "--chat"),
        (["generate", "--prompt", "a", "--grammar", "x.txt"], "--grammar-kind"),
        (["generate", "--prompt", "a", "--regex", "("], "regex"),
        (["generate", "--prompt", "a", "--grammar-kind", "lark"], "--grammar"),
        (["generate", "--prompt", "a", "--seed", "-1"], "seed"),
        (["generate", "--prompt", "a", "--json-schema", "{"], "not JSON"),
        (["generate", "--prompt", "x" * 999], "1000 tokens"),
        (["generate", "--prompt", "a", "--deadline", "0"], "deadline_s"),
        (["generate", "--prompt", "a", "--stop", ""], "stop"),
        (["generate", "--prompt", "a", "--stop", "\udcff"], "stop has '\\udcff'"),
        (["chat", "--temp", "-1"], "temperature"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_and_exit_2(fake, capsys, argv, message):
    assert message in fails(capsys, *argv)


def test_a_model_that_is_not_there_is_bad_input(capsys):
    for model in ("/no/model.gguf", "~nobody/model.gguf"):
        assert model in fails(capsys, "generate", "--model", model, "--prompt", "a")


def test_options_of_the_other_verbs_are_checked_too(capsys):
    assert "--tokens" in fails(capsys, "logits", "--tokens", "[" * 100_000, "--out", "x.npy")
    assert "/no.gguf" in fails(capsys, "bench", "--model", "/no.gguf")
    assert "--case : unknown" in fails(capsys, "bench", "--case", "")
    assert "--rounds 1000000" in fails(capsys, "bench", "--rounds", "1000000")


def test_a_closed_stream_is_no_bug():
    shell = f"{sys.executable} -m llm_core.cli.main"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "LLM_CORE_MODEL_PATH": ""}

    def redirected(command: str):
        return subprocess.run(
            ["sh", "-c", f"{shell} {command}"], capture_output=True, text=True, timeout=60, env=environment, check=False
        )

    done = redirected("models >&-")
    assert (done.returncode, done.stderr) == (2, "error: Bad file descriptor\n")
    done = redirected("models 2>&- <&-")
    assert done.returncode == 0 and "smollm2" in done.stdout
    assert redirected("nonsense 2>&-").returncode == 2
    done = redirected("models >/dev/full")
    assert (done.returncode, done.stderr) == (2, "error: No space left on device\n")


def test_what_is_no_file_is_not_replaced_by_one(capsys, tmp_path):
    source, pipe = write_tiny(tmp_path / "in.gguf"), tmp_path / "pipe"
    os.mkfifo(pipe)
    for target in (pipe, tmp_path):
        message = fails(capsys, "quantize", str(source), str(target), "Q8_0")
        assert f"{target}: is there and is no regular file" in message
    assert pipe.is_fifo()


def test_an_error_of_many_lines_is_told_in_one(fake, capsys, tmp_path):
    bad = tmp_path / "bad.lark"
    bad.write_text("start: a\na: b\x07\n")
    assert "lark" in fails(capsys, "generate", "--prompt", "a", "--grammar", str(bad))


def test_generate_prints_the_text_and_a_newline(fake, capsys):
    options = "--model m --ctx 128 --threads 2 --pin --kv-type q8_0 --prompt weather --temp 0"
    assert main(["generate", *options.split()]) == 0
    assert capsys.readouterr().out == REPLY + "\n"
    assert fake == {"model": "m", "n_ctx": 128, "n_threads": 2, "pin": True, "kv_type": "q8_0"}


def test_generate_reads_files_and_stdin(fake, capsys, tmp_path, stdin):
    prompt = tmp_path / "prompt.txt"
    prompt.write_text("weather")
    assert main(["generate", "--prompt-file", str(prompt), "--temp", "0"]) == 0
    stdin(b"weather")
    assert main(["generate", "--prompt-file", "-", "--temp", "0"]) == 0
    messages = tmp_path / "messages.json"
    messages.write_text(json.dumps([{"role": "user", "content": "weather"}]))
    assert main(["generate", "--messages", str(messages), "--temp", "0"]) == 0
    assert capsys.readouterr().out == (REPLY + "\n") * 3
    prompt.write_bytes(b"ab\xff")
    assert "not UTF-8" in fails(capsys, "generate", "--prompt-file", str(prompt))
    messages.write_text('{"role": "user"}')
    assert "list of messages" in fails(capsys, "generate", "--messages", str(messages))
    messages.write_text("[" * 100_000)
    assert "JSON" in fails(capsys, "generate", "--messages", str(messages))


def test_generate_chat_uses_the_template(fake, capsys):
    assert main(["generate", "--chat", "--system", "You.", "--prompt", "weather", "--temp", "0", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    ids = FakeTokenizer().encode("system: You.<|turn|>user: weather<|turn|>assistant: ", parse_special=True)
    assert report["usage"]["prompt_tokens"] == len(ids)


def test_generate_json_is_one_object(fake, capsys):
    argv = [
        "generate",
        "--prompt",
        "weather",
        "--temp",
        "0",
        "--seed",
        "4",
        "--stop",
        "Paris",
        "--logprobs",
        "1",
        "--json",
    ]
    assert main(argv) == 0
    out = capsys.readouterr().out
    report = json.loads(out)
    assert out.count("\n") == 1
    assert report["text"] == "It rains in " and report["finish_reason"] == "stop" and report["stop"] == "Paris"
    assert report["seed"] == 4 and report["model"] == "fake"
    assert report["usage"] == {"prompt_tokens": 8, "cached_prompt_tokens": 0, "completion_tokens": 17}
    assert report["timings"]["ttft_s"] > 0 and len(report["logprobs"]) == 17
    assert report["logprobs"][0]["text"] == "I" and report["logprobs"][0]["top"][0]["token"] == ord("I")


def test_generate_with_grammars(fake, capsys, tmp_path):
    schema, gbnf = tmp_path / "schema.json", tmp_path / "g.gbnf"
    schema.write_text('{"enum": ["yes", "no"]}')
    gbnf.write_text('root ::= "left" | "right"')
    assert main(["generate", "--prompt", "a", "--json-schema", str(schema)]) == 0
    assert main(["generate", "--prompt", "a", "--json-schema", '{"enum": ["yes", "no"]}']) == 0
    assert main(["generate", "--prompt", "a", "--grammar", str(gbnf)]) == 0
    assert (
        main(["generate", "--prompt", "a", "--grammar", str(gbnf.rename(tmp_path / "g.txt")), "--grammar-kind", "gbnf"])
        == 0
    )
    assert main(["generate", "--prompt", "a", "--regex", "up|down"]) == 0
    lines = capsys.readouterr().out.split()
    assert (
        {lines[0], lines[1]} <= {'"yes"', '"no"'}
        and {lines[2], lines[3]} <= {"left", "right"}
        and lines[4] in ("up", "down")
    )


def test_a_full_context_is_told_on_stderr(fake, capsys):
    assert main(["generate", "--prompt", "x" * 250, "--max-tokens", "0", "--ignore-eos", "--seed", "1"]) == 0
    assert "context of 256 tokens is full" in capsys.readouterr().err


def test_zero_max_tokens_means_until_the_end(fake, capsys):
    assert main(["generate", "--prompt", "weather", "--max-tokens", "0", "--temp", "0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["stop"] == END


def test_chat_from_a_pipe(fake, capsys, stdin):
    stdin(b"how is the weather\n\n/system Be a pirate\nhello\n/reset\n/exit\nnever read\n")
    assert main(["chat", "--temp", "0", "--max-tokens", "30"]) == 0
    assert capsys.readouterr().out == f"{REPLY}\nArr.\n"


def test_chat_remembers_its_turns(fake, capsys, stdin, monkeypatch):
    seen = []
    encode = engine_module.Engine.encode
    monkeypatch.setattr(
        engine_module.Engine, "encode", lambda self, p, tools=None: seen.append(list(p)) or encode(self, p, tools)
    )
    stdin(b"weather\nand now?\n")
    assert main(["chat", "--system", "S", "--temp", "0", "--max-tokens", "5"]) == 0
    assert [m["role"] for m in seen[1]] == ["system", "user", "assistant", "user"]
    assert seen[1][2]["content"] == "It ra"


def test_chat_from_a_pipe_stops_at_the_first_error(fake, capsys, stdin):
    stdin(b"/nonsense\nweather\n")
    assert "/nonsense" in fails(capsys, "chat")
    stdin(b"\xff\xfe\n")
    assert "UTF-8" in fails(capsys, "chat")


def test_an_interrupt_is_130(fake, capsys, monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(engine_module.Engine, "submit", interrupt)
    assert main(["generate", "--prompt", "weather"]) == 130


def test_a_bug_is_1_and_one_line(fake, capsys, monkeypatch):
    def bug(*args, **kwargs):
        raise ZeroDivisionError("oops\nmore")

    monkeypatch.setattr(engine_module.Engine, "submit", bug)
    monkeypatch.delenv("LLM_CORE_DEBUG", raising=False)
    assert main(["generate", "--prompt", "weather"]) == 1
    err = capsys.readouterr().err
    assert "internal error: ZeroDivisionError: oops more" in err and err.count("\n") == 1


def test_too_little_memory_is_told_like_bad_input(fake, capsys, monkeypatch):
    def starve(*args, **kwargs):
        raise MemoryError("Unable to allocate 9 GiB")

    monkeypatch.setattr(engine_module.Engine, "submit", starve)
    assert "not enough memory: Unable to allocate 9 GiB" in fails(capsys, "generate", "--prompt", "weather")


def run(*argv: str, **options) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *argv], capture_output=True, text=True, timeout=60, env=environment, **options
    )


def test_a_closed_pipe_is_quiet():
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as closed:
        code = "import sys; from llm_core.cli.main import main; sys.exit(main(['models']))"
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-c", code],
            stdout=closed,
            stderr=subprocess.PIPE,
            timeout=60,
            env=environment,
            check=False,
        )
    assert done.returncode == 141 and done.stderr == b""


def test_imports_are_light():
    done = run(
        "-c",
        "import sys, llm_core; assert 'numpy' not in sys.modules; print(sorted(llm_core.__all__)[0], dir(llm_core)[0])",
    )
    assert done.returncode == 0, done.stderr
    code = (
        "import sys; from llm_core.cli.main import main; main(['inspect', '/no/file']); main(['generate', '--help'])\n"
        "assert not {'numba', 'llguidance', 'tokenizers', 'jinja2'} & set(sys.modules), sorted(sys.modules)"
    )
    done = run("-c", code)
    assert done.returncode == 0, done.stderr


def test_public_names_exist():
    import llm_core

    for name in llm_core.__all__:
        assert getattr(llm_core, name) is not None
    with pytest.raises(AttributeError, match="nothing_like_it"):
        llm_core.nothing_like_it  # noqa: B018
