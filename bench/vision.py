"""How long a picture takes: CLIP ViT-L/14-336 with random F16 weights, ours and llama.cpp's mtmd in turns in one run.

`python bench/vision.py [--threads 2] [--rounds 5] [--peer-python P]` prints seconds for each turn, the median of the
turns' ratios and how far the embeddings are apart. P: an interpreter that has llama-cpp-python (default: this one).
mtmd needs a language model of the tower's width: SmolLM2-135M-Instruct, which the embeddings are made as wide as.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
MODEL, WIDTH = "smollm2-135m-instruct", 576
LAYERS, N_EMBD, N_FF, HEADS, SIDE, PATCH = 23, 1024, 4096, 16, 336, 14
# Products of a picture: weights times patches, and attention.
FLOP = 2 * (
    577 * LAYERS * (12 * N_EMBD**2 + 2 * 577 * N_EMBD) + 576 * N_EMBD * (3 * PATCH**2 + WIDTH + WIDTH**2 / N_EMBD)
)


def picture() -> np.ndarray:
    """The same noise for both sides."""
    return np.random.default_rng(1).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)


def write_tower(path: Path) -> None:
    """A LLaVA 1.5 mmproj file with random weights."""
    from llm_core.gguf import GGMLType, GGUFWriter

    rng = np.random.default_rng(0)
    with GGUFWriter(path) as writer:
        writer.add("general.architecture", "clip").add("general.file_type", 1)
        writer.add("clip.has_vision_encoder", True).add("clip.has_llava_projector", True)
        writer.add("clip.projector_type", "mlp").add("clip.use_gelu", False)
        sizes = {"image_size": SIDE, "patch_size": PATCH, "embedding_length": N_EMBD, "feed_forward_length": N_FF}
        for key, value in (sizes | {"projection_dim": 768, "block_count": LAYERS}).items():
            writer.add(f"clip.vision.{key}", value)
        writer.add("clip.vision.attention.head_count", HEADS)
        writer.add("clip.vision.attention.layer_norm_epsilon", 1e-5)
        writer.add("clip.vision.feature_layer", [LAYERS])
        writer.add("clip.vision.image_mean", [0.48145466, 0.4578275, 0.40821073])
        writer.add("clip.vision.image_std", [0.26862954, 0.26130258, 0.27577711])

        def matrix(name: str, *shape: int) -> None:
            values = rng.standard_normal(shape, dtype=np.float32) / np.sqrt(np.prod(shape[1:]))
            writer.add_tensor(name, values, GGMLType.F16)

        def vector(name: str, size: int, middle: float = 0.0) -> None:
            writer.add_tensor(name, (middle + 0.1 * rng.standard_normal(size)).astype(np.float32))

        matrix("v.patch_embd.weight", N_EMBD, 3, PATCH, PATCH)
        vector("v.class_embd", N_EMBD)
        positions = 0.3 * rng.standard_normal(((SIDE // PATCH) ** 2 + 1, N_EMBD))
        writer.add_tensor("v.position_embd.weight", positions.astype(np.float32))
        for name in ("v.pre_ln", *(f"v.blk.{i}.ln{n}" for i in range(LAYERS) for n in (1, 2))):
            vector(f"{name}.weight", N_EMBD, 1.0)
            vector(f"{name}.bias", N_EMBD)
        matrices = {
            f"v.blk.{i}.{name}": (N_EMBD, N_EMBD) for i in range(LAYERS) for name in ("attn_q", "attn_k", "attn_v")
        }
        matrices |= {f"v.blk.{i}.attn_out": (N_EMBD, N_EMBD) for i in range(LAYERS)}
        matrices |= {f"v.blk.{i}.ffn_up": (N_FF, N_EMBD) for i in range(LAYERS)}
        matrices |= {f"v.blk.{i}.ffn_down": (N_EMBD, N_FF) for i in range(LAYERS)}
        for name, shape in (matrices | {"mm.0": (WIDTH, N_EMBD), "mm.2": (WIDTH, WIDTH)}).items():
            matrix(f"{name}.weight", *shape)
            vector(f"{name}.bias", shape[0])


def ours(path: Path, threads: int):
    """encode() → embeddings, by us."""
    sys.path.insert(0, str(ROOT))
    from PIL import Image

    from llm_core.vision import VisionRunner, load_vision
    from llm_core.vision.preprocess import normalised

    model = load_vision(path)
    runner = VisionRunner(model, n_threads=threads)
    pixels = normalised(Image.fromarray(picture()), model.config.mean, model.config.std)
    return lambda: runner.encode(pixels)


def theirs(path: Path, threads: int, language_model: str):
    """encode() → embeddings, by mtmd."""
    import ctypes

    import llama_cpp
    from llama_cpp import mtmd_cpp as mtmd

    llama_cpp.llama_backend_init()
    options = llama_cpp.llama_model_default_params()
    options.n_gpu_layers = 0
    model = llama_cpp.llama_model_load_from_file(language_model.encode(), options)
    params = mtmd.mtmd_context_params_default()
    params.use_gpu, params.n_threads, params.print_timings = False, threads, False
    context = mtmd.mtmd_init_from_file(str(path).encode(), model, params)
    pixels = picture()
    bitmap = mtmd.mtmd_bitmap_init(SIDE, SIDE, pixels.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8)))
    chunks, text = mtmd.mtmd_input_chunks_init(), mtmd.mtmd_input_text()
    text.text = mtmd.mtmd_default_marker()
    text.text_len, text.add_special, text.parse_special = len(text.text), False, True
    bitmaps = (mtmd.mtmd_bitmap_p_ctypes * 1)(bitmap)
    if mtmd.mtmd_tokenize(context, chunks, ctypes.byref(text), bitmaps, 1) != 0:
        raise SystemExit("mtmd does not take the picture")
    count = mtmd.mtmd_input_chunks_size(chunks)
    chunk = next(c for c in (mtmd.mtmd_input_chunks_get(chunks, i) for i in range(count))
                 if mtmd.mtmd_input_chunk_get_type(c) == 1)  # fmt: skip

    def encode() -> np.ndarray:
        if mtmd.mtmd_encode_chunk(context, chunk) != 0:
            raise SystemExit("mtmd does not encode the picture")
        out = mtmd.mtmd_get_output_embd(context)
        n = mtmd.mtmd_input_chunk_get_n_tokens(chunk)
        return np.ctypeslib.as_array(out, (n * WIDTH,)).reshape(n, WIDTH).copy()

    return encode


def serve(encode, out: Path) -> None:
    """Encode once a line of stdin and say how long it took; embeddings go to `out`."""
    np.save(out, encode())
    print("ready", flush=True)
    for _ in sys.stdin:
        started = time.perf_counter()
        encode()
        print(f"seconds {time.perf_counter() - started}", flush=True)


class Side:
    """A process that encodes when asked."""

    def __init__(self, python: str, arguments: list[str]) -> None:
        self._process = subprocess.Popen(
            [python, __file__, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True,
        )  # fmt: skip
        self._line("ready")

    def _line(self, start: str) -> str:
        for line in self._process.stdout:
            if line.startswith(start):
                return line
        raise SystemExit("a side has ended early; run it alone to see why: " + " ".join(self._process.args))

    def turn(self) -> float:
        """Seconds of one picture, when the other side's threads have gone to sleep."""
        time.sleep(0.4)
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        return float(self._line("seconds").split()[1])

    def close(self) -> None:
        """End the process."""
        self._process.stdin.close()
        self._process.wait()


def main() -> None:
    """Take turns and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peer-python", default=sys.executable)
    parser.add_argument("--serve", nargs=4, help=argparse.SUPPRESS)  # side, tower, language model, file of embeddings
    args = parser.parse_args()
    if args.serve:
        side, path, language_model, out = args.serve
        make = ours(Path(path), args.threads) if side == "ours" else theirs(Path(path), args.threads, language_model)
        serve(make, Path(out))
        return
    sys.path.insert(0, str(ROOT))
    from llm_core.hub import resolve

    with tempfile.TemporaryDirectory() as folder:
        tower, files = Path(folder) / "vit-l.gguf", [Path(folder) / f"{name}.npy" for name in ("ours", "theirs")]
        write_tower(tower)
        language_model = str(resolve(MODEL))
        threads = ["--threads", str(args.threads), "--serve"]
        us = Side(sys.executable, [*threads, "ours", str(tower), language_model, str(files[0])])
        them = Side(args.peer_python, [*threads, "theirs", str(tower), language_model, str(files[1])])
        turns = []
        for _ in range(args.rounds):
            turns.append((us.turn(), them.turn()))
            print(f"ours {turns[-1][0]:.3f} s, mtmd {turns[-1][1]:.3f} s", flush=True)
        us.close()
        them.close()
        best = min(t[0] for t in turns)
        print(f"median ratio {statistics.median(b / a for a, b in turns):.2f}; best {FLOP / best / 1e9:.0f} GFLOP/s")
        a, b = (np.load(path) for path in files)
        print(f"embeddings differ by {np.linalg.norm(a - b) / np.linalg.norm(b):.1e} of their length")


if __name__ == "__main__":
    main()
