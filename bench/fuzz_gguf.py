#!/usr/bin/env python
"""Opens GGUF files with damaged headers, thousands: each must open or be one GGUFError, soon, in little memory.

    python bench/fuzz_gguf.py model.gguf [more.gguf ...] [--mutations 2000] [--seed 1] [--seconds 120] [--condense]

Each file's header is copied into a sparse file of the full size (the weights are holes), damaged in place, opened and
inspected, and restored. Damage: flipped and random bytes, edge values over 4 or 8 bytes, zeroed runs, bytes copied
from elsewhere, a cut; half of it near the ends of the header, where the structure is. With --condense, a copy with
the same keys and tensor names is damaged whose arrays and tensors are short: a hundred times as many a second. Prints
one line per file; exits 1 with the damage in hand at the first exception that is no GGUFError, at an open that takes
1 s and 10 times as long as the undamaged file's, or at a growth of memory beyond 512 MB.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import sys
import tempfile
import time
from pathlib import Path

from llm_core.cli.inspect import report
from llm_core.gguf import GGUFError, GGUFWriter, open_gguf

EDGES = (0, 1, 127, 128, 255, 256, 2**15, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**62, 2**63 - 1, 2**63, 2**64 - 1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--mutations", type=int, default=2000, help="per file (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=120, help="at most this long per file (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--condense", action="store_true", help="damage a copy with short arrays and tensors")
    args = parser.parse_args()
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        for path in map(Path, args.files):
            used = condense(path, Path(folder) / f"condensed-{path.name}") if args.condense else path
            bad |= fuzz(used, args.mutations, args.seconds, args.seed)
    return bad


def condense(path: Path, copy: Path) -> Path:
    """Writes `copy` with the keys of `path`, arrays of at most 16 elements, and tensors of one block."""
    with open_gguf(path) as file, GGUFWriter(copy) as writer:
        for key, value in file.metadata.items():
            writer.add(key, value[:16] if isinstance(value, list) else value, *file.metadata.types[key])
        for tensor in file.tensors.values():
            writer.add_tensor(tensor.name, bytes(tensor.type.nbytes), tensor.type, (1, tensor.type.block))
    return copy


def fuzz(path: Path, mutations: int, seconds: float, seed: int) -> int:
    """Damages one file's header up to `mutations` times within `seconds`; 0 if nothing bad happened."""
    chance = random.Random(f"{seed} {path.name}")
    start = time.perf_counter()
    with open_gguf(path) as file:
        usual = time.perf_counter() - start
        length = min((tensor.offset for tensor in file.tensors.values()), default=file.size)
    with open(path, "rb") as source:
        head = source.read(length)
    size, memory = os.path.getsize(path), peak_memory()
    outcomes, slowest, done = {"opened": 0, "refused": 0}, 0.0, 0
    with tempfile.NamedTemporaryFile(suffix=".gguf") as copy:
        os.pwrite(copy.fileno(), head, 0)
        os.truncate(copy.name, size)
        began = time.perf_counter()
        for done in range(1, mutations + 1):
            at, damage, cut = mutate(chance, head, size)
            os.pwrite(copy.fileno(), damage, at)
            if cut is not None:
                os.truncate(copy.name, cut)
            start = time.process_time()
            try:
                with open_gguf(copy.name) as file:
                    report(file, tensors=True)
                outcomes["opened"] += 1
            except GGUFError:
                outcomes["refused"] += 1
            except BaseException as error:
                print(
                    f"{path.name}: mutation {done} (byte {at}: {damage.hex()}, cut {cut}): {error!r}", file=sys.stderr
                )
                return 1
            took = time.process_time() - start
            slowest = max(slowest, took)
            if took > max(1.0, 10 * usual) or peak_memory() - memory > 512 << 20:
                print(f"{path.name}: mutation {done} (byte {at}: {damage.hex()}): {took:.2f} s", file=sys.stderr)
                return 1
            if cut is not None:
                os.pwrite(copy.fileno(), head[min(cut, length) :], min(cut, length))
                os.truncate(copy.name, size)
            os.pwrite(copy.fileno(), head[at : at + len(damage)], at)
            if time.perf_counter() - began > seconds:
                break
    grown = (peak_memory() - memory) >> 20
    print(
        f"{path.name}: {done} mutations of {length:,} bytes: {outcomes['opened']} opened, "
        f"{outcomes['refused']} refused, "
        f"slowest {slowest:.2f} s of CPU, memory +{grown} MB",
        flush=True,
    )
    return 0


def mutate(chance: random.Random, head: bytes, size: int) -> tuple[int, bytes, int | None]:
    """Where, which bytes, and where to cut the file (None: nowhere)."""
    span = min(len(head), 8192)
    at = chance.choice(
        (
            chance.randrange(span),
            len(head) - 1 - chance.randrange(span),
            chance.randrange(len(head)),
            chance.randrange(len(head)),
        )
    )
    kind = chance.randrange(7)
    if kind == 6:
        return at, b"", chance.choice((at, chance.randrange(size), size - 1))
    damage = (
        lambda: bytes([head[at] ^ 1 << chance.randrange(8)]),
        lambda: bytes([chance.randrange(256)]),
        lambda: (chance.choice(EDGES) & 0xFFFFFFFF).to_bytes(4, "little"),
        lambda: chance.choice(EDGES).to_bytes(8, "little"),
        lambda: bytes(chance.randrange(1, 64)),
        lambda: (lambda other: head[other : other + chance.randrange(1, 64)])(chance.randrange(len(head))),
    )[kind]()
    return at, damage[: len(head) - at], None


def peak_memory() -> int:
    """The most resident memory that this process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


if __name__ == "__main__":
    sys.exit(main())
