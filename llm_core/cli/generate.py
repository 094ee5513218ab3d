"""`llm-core generate`: one prompt in, one answer out, as it comes; or one JSON object with --json.

`--prompt` and `--prompt-file` are continued as they are (raw text), or with `--chat` taken as a user's message;
`--messages` is a conversation in a JSON file, for the model's chat template. With `--mmproj` each `--image` is a
picture: where raw text says `<image>`, before it otherwise, or in front of a user's message.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from llm_core.cli import _options
from llm_core.errors import RequestError

IMAGE = "<image>"  # as in llm_core.engine.prompt, which is not imported for --help

SUMMARY = "continue a prompt, or answer a message"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    _options.add_model_options(parser)
    _options.add_speculation_options(parser)
    _options.add_lora_option(parser)
    _options.add_vision_options(parser)
    parser.add_argument(
        "--image", action="append", default=[], metavar="F", help="file of a picture; may be given several times"
    )
    prompt = parser.add_mutually_exclusive_group(required=True)
    prompt.add_argument("--prompt", metavar="T", help="text to continue")
    prompt.add_argument("--prompt-file", metavar="F", help="file with the text to continue; -: stdin")
    prompt.add_argument("--messages", metavar="F", help='JSON file with messages [{"role": …, "content": …}]; -: stdin')
    style = parser.add_mutually_exclusive_group()
    style.add_argument(
        "--chat", action="store_true", help="the prompt is a user's message, answered with the chat template"
    )
    style.add_argument("--raw", action="store_true", help="the prompt is continued as it is (the default)")
    parser.add_argument("--system", metavar="T", help="system message before the prompt; needs --chat")
    _options.add_sampling_options(parser)
    _options.add_grammar_options(parser)
    parser.add_argument("--deadline", type=float, metavar="S", help="end after so many seconds with what is there")
    parser.add_argument(
        "--logprobs", type=int, metavar="N", help="log probabilities of the N best tokens too; needs --json"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")


def run(args: argparse.Namespace) -> int:
    """Generate and print; raises RequestError or ModelError."""
    if args.logprobs is not None and not args.json:
        raise RequestError("--logprobs needs --json")
    prompt = _prompt(args)
    params = _options.sampling_params(args, logprobs=args.logprobs, grammar=_options.grammar(args))
    if args.mmproj is None and args.image:
        args.mmproj = "auto"
    with _options.open_engine(args) as engine:
        handle = engine.submit(prompt, params, images=_images(args), deadline_s=args.deadline)
        if not args.json:
            for event in handle:
                print(event.text, end="", flush=True)
        completion = handle.result()
        if args.json:
            print(json.dumps(_report(engine, completion), ensure_ascii=False))
        else:
            print(flush=True)
            _options.note(completion)
    return 0


def _prompt(args: argparse.Namespace):
    if args.messages is not None:
        if args.chat or args.raw or args.system is not None or args.image:
            raise RequestError("--messages is a whole conversation: --chat, --raw, --system, --image do not go with it")
        messages = _options.read_json(args.messages)
        if not isinstance(messages, list) or not messages or not all(isinstance(m, dict) for m in messages):
            raise RequestError(f"{args.messages}: a list of messages (objects with role and content) wanted")
        return messages
    text = args.prompt if args.prompt is not None else _options.read_text(args.prompt_file)
    if args.chat:
        system = [] if args.system is None else [{"role": "system", "content": args.system}]
        pictures = [{"type": "image", "image": path} for path in args.image]
        return [*system, {"role": "user", "content": [*pictures, {"type": "text", "text": text}] if pictures else text}]
    if args.system is not None:
        raise RequestError("--system needs --chat")
    missing = len(args.image) - text.count(IMAGE)
    return f"{IMAGE}\n" * missing + text


def _images(args: argparse.Namespace) -> list[str] | None:
    """The pictures that raw text has places for."""
    return None if args.chat or not args.image else args.image


def _report(engine, completion) -> dict:
    usage = asdict(completion.usage)
    timings = {key: round(usage.pop(key), 6) for key in list(usage) if key.endswith("_s")}
    timings["decode_tps"] = round(completion.usage.decode_tps, 3)
    found = {
        "model": engine.info.name if engine.info else None,
        "text": completion.text,
        "tokens": list(completion.tokens),
        "finish_reason": completion.finish_reason,
        "stop": completion.stop,
        "detail": completion.detail,
        "seed": completion.seed,
        "usage": usage,
        "timings": timings,
    }
    if completion.logprobs is not None:
        token_text = engine.tokenizer.decode
        found["logprobs"] = [
            {
                "token": entry.token,
                "text": token_text([entry.token], skip_special=False),
                "logprob": entry.logprob,
                "top": [{"token": i, "text": token_text([i], skip_special=False), "logprob": p} for i, p in entry.top],
            }
            for entry in completion.logprobs
        ]
    return found
