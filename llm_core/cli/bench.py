"""`llm-core bench`: speed of a model on this machine, beside its floor and beside llama.cpp on the same file in
the same run. What is measured, and how, is in `llm_core/bench`; this file has the options.
"""

import argparse
import json
import sys

from llm_core.cli import _options

SUMMARY = "measure speed on this machine, beside llama.cpp if asked"
ALL = "all"
PROMPTS, ALL_PROMPTS = (512,), (512, 2048)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    _options.add_model_options(parser, engine=False)
    _options.add_lora_option(parser)
    parser.add_argument(
        "--case", metavar="C[,C]", help="what to measure: decode, context, prefill, streams, grammar, prefix, start, "
        "first-start, memory, idle, or all (default: decode,prefill)",
    )  # fmt: skip
    parser.add_argument(
        "--prompt-tokens", type=_numbers, metavar="N[,N]", help="tokens of the prompts (512; with --case all 512,2048)"
    )
    parser.add_argument("--gen-tokens", type=int, default=64, metavar="N", help="tokens decoded in a turn (64)")
    parser.add_argument(
        "--context", type=int, default=4096, metavar="N", help="tokens before the ones decoded in case context (4096)"
    )
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="how often each is measured (5)")
    parser.add_argument("--compare", choices=["llama-cpp"], help="measure llama-cpp-python in turns with us")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))


_numbers.__name__ = "list of integers"  # what argparse calls it in its error


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    from llm_core.bench import Options, case_names, check_cases, machine_load, measure_cases, table
    from llm_core.engine.adapters import check_files
    from llm_core.gguf import open_gguf
    from llm_core.hub import resolve
    from llm_core.kernels import cpu
    from llm_core.models import check_config

    everything = args.case == ALL
    names = args.case.split(",") if args.case is not None and not everything else case_names(quick=not everything)
    check_cases(names)
    options = Options(
        n_threads=cpu.default_threads() if args.threads is None else args.threads,
        prompt_tokens=args.prompt_tokens or (ALL_PROMPTS if everything else PROMPTS),
        gen_tokens=args.gen_tokens,
        context=args.context,
        rounds=args.rounds,
        compare=args.compare is not None,
        adapters=tuple(check_files(_options.lora_files(args)).values()),
    )
    path = resolve(args.model)
    with open_gguf(path) as file:  # a model that does not run is told before anything is begun
        check_config(file)
    load, busy = machine_load()
    if busy:
        print(f"note: load average {load:.1f}: others are at work here, figures are doubtful", file=sys.stderr)
    result = measure_cases(path, options, names, _say)
    _say("")
    print(json.dumps(result) if args.json else table(result))
    return 0


def _say(text: str) -> None:
    """How far it is: one line of a terminal, or lines of a log."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
    elif text:
        print(text, file=sys.stderr, flush=True)
