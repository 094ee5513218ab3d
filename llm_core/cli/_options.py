"""Options that several verbs share: the model, how to sample, the grammar; and what they become."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from llm_core.catalog import DEFAULT_MODEL
from llm_core.errors import RequestError

# option, type, field of SamplingParams, help
_SAMPLING = (
    ("--max-tokens", int, "max_tokens", "tokens to generate at most; 0: until the model stops or the context is full"),
    ("--temp", float, "temperature", "temperature; 0: always the most probable token"),
    ("--top-k", int, "top_k", "keep the K most probable tokens; 0: off"),
    ("--top-p", float, "top_p", "keep the most probable tokens up to this probability together; 1: off"),
    ("--min-p", float, "min_p", "keep tokens at least this probable, relative to the best; 0: off"),
    ("--typical", float, "typical_p", "locally typical sampling up to this probability; 1: off"),
    ("--repeat-penalty", float, "repeat_penalty", "divide the logits of recent tokens by this; 1: off"),
    ("--frequency-penalty", float, "frequency_penalty", "subtract this once for every recent occurrence; 0: off"),
    ("--presence-penalty", float, "presence_penalty", "subtract this once for every recent token; 0: off"),
    ("--repeat-last-n", int, "penalty_last_n", "how many last tokens are recent; -1: all"),
    ("--seed", int, "seed", "same seed, same text; without it every run differs"),
)
_GRAMMAR_KINDS = {".lark": "lark", ".gbnf": "gbnf"}


def add_model_options(parser: argparse.ArgumentParser, engine: bool = True) -> None:
    """--model, --threads; for who loads the model as they say also --ctx, --kv-type and --pin."""
    parser.add_argument(
        "--model", default=DEFAULT_MODEL, metavar="M", help="path or name of a model (default: %(default)s)"
    )
    if engine:
        parser.add_argument(
            "--ctx", type=int, default=4096, metavar="N", help="context: tokens of prompt and answer (4096)"
        )
        parser.add_argument(
            "--kv-type",
            default="f16",
            metavar="T",
            help="numbers of the KV cache: f16, or q8_0 for half the memory (f16)",
        )
        parser.add_argument("--pin", action="store_true", help="keep every thread on a CPU of its own")
    parser.add_argument("--threads", type=int, metavar="N", help="threads that compute (default: one a CPU)")


def add_vision_options(parser: argparse.ArgumentParser) -> None:
    """--mmproj."""
    parser.add_argument(
        "--mmproj",
        metavar="P",
        help="path or name of the model's vision tower (GGUF); default: the one that comes with this package for the "
        "model, if there is one",
    )


def add_lora_option(parser: argparse.ArgumentParser) -> None:
    """--lora."""
    parser.add_argument(
        "--lora",
        action="append",
        default=[],
        metavar="[NAME=]F[:S]",
        help="path or name of a LoRA adapter (GGUF), and how much of it (1); may be given several times",
    )


def lora_files(args: argparse.Namespace) -> dict[str, tuple[str, float]]:
    """What `--lora` says: {name: (path or name of the file, scale)}. Raises RequestError."""
    from llm_core.lora import adapter_files

    return adapter_files(args.lora, "--lora")


def add_text_options(parser: argparse.ArgumentParser) -> None:
    """A text to evaluate a model on: FILE, --model, --ctx, --stride, --chunks, --threads, --compare, --json."""
    parser.add_argument("file", metavar="FILE", help='the text, UTF-8; "-": standard input')
    parser.add_argument(
        "--model", default=DEFAULT_MODEL, metavar="M", help="path or name of a model (default: %(default)s)"
    )
    parser.add_argument("--ctx", type=int, default=512, metavar="N", help="tokens of a chunk, computed alone (512)")
    parser.add_argument(
        "--stride", type=int, metavar="N", help="a chunk every N tokens, the last N scored (default: no overlap, half)"
    )
    parser.add_argument("--chunks", type=int, metavar="N", help="so many chunks at most (default: the whole text)")
    parser.add_argument("--threads", type=int, metavar="N", help="threads that compute (default: one a physical core)")
    parser.add_argument("--compare", choices=["llama-cpp"], help="the same by llama-cpp-python")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def text_chunks(args: argparse.Namespace, path: Path, text: str) -> list[list[int]]:
    """The chunks of the text of `add_text_options`, as the model at `path` reads it."""
    from llm_core.evaluate import cut
    from llm_core.gguf import open_gguf
    from llm_core.models import check_config
    from llm_core.tokenizer import Tokenizer

    with open_gguf(path) as file:
        check_config(file)
        tokenizer = Tokenizer.from_metadata(file.metadata)
    return cut(tokenizer, text, args.ctx, args.chunks, args.stride)


def add_speculation_options(parser: argparse.ArgumentParser) -> None:
    """--no-speculate, --draft-model."""
    parser.add_argument(
        "--no-speculate",
        action="store_false",
        dest="speculate",
        help="never guess tokens ahead (the answer is the same; it is done only where it is faster)",
    )
    parser.add_argument(
        "--draft-model", metavar="M", help="path or name of a smaller model with the same vocabulary that guesses too"
    )


def add_sampling_options(parser: argparse.ArgumentParser) -> None:
    """One option a field of SamplingParams; unset ones keep its defaults."""
    for option, kind, field, text in _SAMPLING:
        parser.add_argument(option, type=kind, dest=field, metavar="N" if kind is int else "X", help=text)
    parser.add_argument("--stop", action="append", metavar="S", help="end before this text; may be given several times")
    parser.add_argument("--ignore-eos", action="store_true", help="never let the model end by itself")


def add_grammar_options(parser: argparse.ArgumentParser) -> None:
    """--json-schema, --grammar, --grammar-kind, --regex."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--json-schema", metavar="F", help="the answer is JSON that this schema (file, or text in braces) allows"
    )
    group.add_argument("--grammar", metavar="F", help="the answer matches this grammar file, .lark or .gbnf")
    group.add_argument("--regex", metavar="R", help="the whole answer matches this regular expression")
    parser.add_argument(
        "--grammar-kind", choices=sorted(_GRAMMAR_KINDS.values()), help="what --grammar is, whatever its name"
    )


def sampling_params(args: argparse.Namespace, **more):
    """SamplingParams of the options; RequestError names the field that is wrong."""
    from llm_core import SamplingParams

    chosen = {field: getattr(args, field) for _, _, field, _ in _SAMPLING if getattr(args, field) is not None}
    if chosen.get("max_tokens") == 0:
        chosen["max_tokens"] = None
    return SamplingParams(**chosen, stop=args.stop or (), ignore_eos=args.ignore_eos, **more)


def grammar(args: argparse.Namespace):
    """The Grammar of the options, or None."""
    from llm_core import Grammar

    if args.grammar_kind is not None and args.grammar is None:
        raise RequestError("--grammar-kind says what --grammar is, which is not given")
    if args.json_schema is not None:
        text = args.json_schema
        return Grammar.json(text if text.lstrip().startswith("{") else read_text(text))
    if args.regex is not None:
        return Grammar.regex(args.regex)
    if args.grammar is None:
        return None
    kind = args.grammar_kind or _GRAMMAR_KINDS.get(Path(args.grammar).suffix.lower())
    if kind is None:
        raise RequestError(
            f"--grammar {args.grammar}: the name ends neither in .lark nor in .gbnf; give --grammar-kind"
        )
    return Grammar(kind, read_text(args.grammar))


def read_text(path: str) -> str:
    """The UTF-8 text of a file; "-" is stdin. OSError or RequestError."""
    data = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RequestError(f"{path}: not UTF-8 text (byte {error.start})") from None


def read_json(path: str):
    """The value in a JSON file; "-" is stdin."""
    try:
        return json.loads(read_text(path))
    except ValueError as error:
        if isinstance(error, RequestError):
            raise
        raise RequestError(f"{path}: not JSON ({error})") from None
    except RecursionError:
        raise RequestError(f"{path}: JSON nested too deeply") from None


def progress_line():
    """A callback (what, share done) that keeps one line on a terminal's stderr; None when stderr is no terminal."""

    def progress(what: str, fraction: float) -> None:
        end = "\r\033[K" if fraction >= 1 else f"\r\033[K{100 * fraction:3.0f} % {what}"
        print(end, end="", file=sys.stderr, flush=True)

    return progress if sys.stderr.isatty() else None


def open_engine(args: argparse.Namespace):
    """The engine that the options describe; a line on a terminal's stderr tells how far loading is."""
    from llm_core import Engine

    files = lora_files(args)
    return Engine(
        args.model,
        n_ctx=args.ctx,
        n_threads=args.threads,
        pin=args.pin,
        kv_type=args.kv_type,
        speculate=args.speculate,
        draft_model=args.draft_model,
        mmproj=getattr(args, "mmproj", None),
        adapters=files,
        default_adapters=list(files),
        progress=progress_line(),
    )


def note(completion) -> None:
    """Say on stderr why an answer is not whole."""
    if completion.finish_reason in ("context_full", "deadline"):
        print(f"note: {completion.detail}", file=sys.stderr, flush=True)
