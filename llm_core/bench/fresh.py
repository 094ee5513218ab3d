"""One side in a fresh process: `python -m llm_core.bench.fresh SIDE MODEL THREADS PROMPT GEN IDLE_S [LORA SCALE]…`.

The child loads the file, computes a prompt of PROMPT tokens and writes the line `first token`; then decodes GEN tokens,
waits IDLE_S seconds and writes a JSON object: peak memory, bytes of cache a token, CPU used while waiting, and (ours)
the CPU time of a helper thread after its last step. It imports nothing that its side does not need. `run` is the
parent's half.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

from llm_core import memory
from llm_core.bench.contender import Adapters, token_ids
from llm_core.errors import LLMCoreError, RequestError

FIRST_TOKEN = "first token"
SLEEP_TRIES = 20
TIMEOUT_S = 3600


class Fresh(NamedTuple):
    """What a fresh process showed."""

    first_token_s: float  # from starting the process
    peak_rss: int  # bytes
    kv_bytes_per_token: float
    idle_cpu_s: float
    awake_s: float | None  # CPU time of a helper thread after a step, before it sleeps


def run(
    side: str,
    path: Path,
    n_threads: int,
    prompt: int,
    gen: int = 1,
    idle_s: float = 0,
    cache: Path | None = None,
    adapters: Adapters = (),
) -> Fresh:
    """Start the child and read what it says; `cache`: another folder for what llm_core keeps on disk.

    Raises RequestError with the child's own words when it fails.
    """
    environment = os.environ | ({"LLM_CORE_CACHE": str(cache)} if cache else {})
    environment["PYTHONPATH"] = os.pathsep.join(p or os.getcwd() for p in sys.path)
    command = [sys.executable, "-m", __name__, side, str(path), *map(str, (n_threads, prompt, gen, idle_s))]
    command += [str(part) for adapter in adapters for part in adapter]
    started = time.perf_counter()
    child = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace"
    )
    timer = threading.Timer(TIMEOUT_S, child.kill)
    timer.start()
    try:
        line = child.stdout.readline()
        first = time.perf_counter() - started
        out, err = child.communicate()
    finally:
        timer.cancel()
        if child.poll() is None:
            child.kill()
            child.wait()
    if child.returncode or line.strip() != FIRST_TOKEN:
        said = err.strip().splitlines()[-1:] or [f"exit code {child.returncode}"]
        raise RequestError(f"bench: {side} in a fresh process: {said[0].removeprefix('error: ')}")
    return Fresh(first, **json.loads(out))


def main(argv: list[str]) -> int:
    """The child."""
    side, path, (n_threads, prompt, gen), idle_s = argv[0], Path(argv[1]), map(int, argv[2:5]), float(argv[5])
    if side == "ours":
        from llm_core.bench.ours import Ours as Side
    else:
        from llm_core.bench.peer import LlamaCpp as Side
    adapters = [(Path(file), float(scale)) for file, scale in zip(argv[6::2], argv[7::2], strict=True)]
    contender = Side(path, n_threads, prompt + gen + SLEEP_TRIES, adapters)
    tokens = token_ids(contender.n_vocab, prompt)
    token = int(contender.step([(0, 0, tokens)]).argmax())
    print(FIRST_TOKEN, flush=True)
    for at in range(prompt, prompt + gen):
        token = int(contender.step([(0, at, [token])]).argmax())
    peak, cpu = memory.peak_bytes(), time.process_time()
    time.sleep(idle_s)
    result = {"idle_cpu_s": time.process_time() - cpu, "peak_rss": peak}
    result["awake_s"] = _awake(contender, token, prompt + gen) if idle_s else None
    result["kv_bytes_per_token"] = contender.kv_bytes_per_token()
    print(json.dumps(result), flush=True)
    contender.close()
    return 0


def _awake(contender, token: int, position: int) -> float | None:
    """Median CPU time that a helper of our thread pool uses after a step; None where there is no such thread."""
    helpers = [thread for thread in threading.enumerate() if thread.name.startswith("llm_core-")]
    if not helpers:
        return None
    clock, spent = time.pthread_getcpuclockid(helpers[0].ident), []
    for at in range(position, position + SLEEP_TRIES):
        contender.step([(0, at, [token])])
        before = time.clock_gettime(clock)
        time.sleep(0.05)
        spent.append(time.clock_gettime(clock) - before)
    return statistics.median(spent)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except LLMCoreError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
