"""Records what llama.cpp makes of test/golden/texts.py, and compares us with it. Needs llama-cpp-python; CI does not.

python test/golden/tokens.py record MODEL.gguf      writes test/data/tokens_smollm2.json and tokens_tiny.json
python test/golden/tokens.py compare N MODEL.gguf…  all texts and N random ones on each model; prints differences
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
from pathlib import Path

import llama_cpp

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "test"), str(Path(__file__).parent)]

from texts import BROKEN, TEXTS  # noqa: E402
from tokenizer_helpers import PRE_NAMES, PRE_TEXTS, TINY_TEXTS, random_text, tiny_bpe, tiny_vocabs, write_vocab  # noqa: E402

from llm_core.gguf import open_gguf  # noqa: E402
from llm_core.tokenizer import Tokenizer  # noqa: E402

DATA = ROOT / "test" / "data"
quiet = llama_cpp.llama_log_callback(lambda *_: None)
llama_cpp.llama_log_set(quiet, None)


class Peer:
    """llama.cpp's tokenizer of one file."""

    def __init__(self, path: Path | str):
        self.model = llama_cpp.Llama(str(path), vocab_only=True, verbose=False)

    def encode(self, text: str | bytes, special: bool = False) -> list[int]:
        data = text.encode() if isinstance(text, str) else text
        return self.model.tokenize(data, add_bos=True, special=special)

    def stop_ids(self) -> list[int]:
        vocab = self.model._model.vocab
        n = llama_cpp.llama_vocab_n_tokens(vocab)
        return [i for i in range(n) if llama_cpp.llama_vocab_is_eog(vocab, i)]


def record_model(path: str) -> None:
    peer = Peer(path)
    rng = random.Random(2)
    cases = []
    for text in [*TEXTS, *BROKEN, *(random_text(rng) for _ in range(150))]:
        case = {"text": text} if isinstance(text, str) else {"bytes": text.hex()}
        case["ids"] = peer.encode(text)
        special = peer.encode(text, special=True)
        cases.append(case if special == case["ids"] else {**case, "special": special})
    write("tokens_smollm2.json", {"stop_ids": peer.stop_ids(), "cases": cases})


def record_tiny() -> None:
    recorded = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, metadata in tiny_vocabs().items():
            peer = Peer(write_vocab(Path(folder) / f"{name}.gguf", metadata))
            texts = PRE_TEXTS if name.startswith("bpe") else TINY_TEXTS
            recorded[name] = [[peer.encode(text), peer.encode(text, special=True)] for text in texts]
        for pre in PRE_NAMES:
            peer = Peer(write_vocab(Path(folder) / "bpe.gguf", tiny_bpe(pre)))
            recorded[f"pre {pre}"] = [peer.encode(text) for text in PRE_TEXTS]
    write("tokens_tiny.json", recorded)


def write(name: str, value: object) -> None:
    path = DATA / name
    path.write_text(json.dumps(value, separators=(",", ":")) + "\n")
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size} bytes")


def compare(n: int, paths: list[str]) -> int:
    wrong = 0
    for path in paths:
        peer = Peer(path)
        with open_gguf(path) as file:
            ours = Tokenizer.from_metadata(file.metadata)
        rng = random.Random(n)
        texts = [*TEXTS, *BROKEN, *(random_text(rng) for _ in range(n))]
        bad = [
            (text, special)
            for text in texts
            for special in (False, True)
            if ours.encode(text, parse_special=special) != peer.encode(text, special)
        ]
        stop = ours.stop_ids == frozenset(peer.stop_ids())
        print(f"{Path(path).name}: {len(bad)} of {2 * len(texts)} differ, stop ids {'equal' if stop else 'DIFFER'}")
        for text, special in bad[:10]:
            print("  ", special, ascii(text)[:200])
        wrong += len(bad) + (not stop)
    return 1 if wrong else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["record"] and len(sys.argv) == 3:
        record_model(sys.argv[2])
        record_tiny()
    elif sys.argv[1:2] == ["compare"] and len(sys.argv) > 3:
        sys.exit(compare(int(sys.argv[2]), sys.argv[3:]))
    else:
        sys.exit(__doc__)
