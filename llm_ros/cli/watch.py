"""`llm-ros watch "…"`: asks the running vqa_node again and again and prints each answer that is another one."""

from __future__ import annotations

import argparse
import sys

from llm_core.errors import RequestError
from llm_ros.cli._client import cancelled_by_interrupt, wait_for_llm

SUMMARY = "ask about the camera's picture again and again, and tell when the answer changes"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The question, when to ask it again, when to end."""
    parser.add_argument("question", help="what to ask, such as 'Is there a mug?'")
    parser.add_argument(
        "--choice", action="append", default=[], metavar="TEXT", help="a possible answer; several times"
    )
    parser.add_argument(
        "--period", type=float, default=5.0, metavar="S", help="seconds between questions; 0: at changes (%(default)g)"
    )
    parser.add_argument(
        "--change", type=float, default=-1.0, metavar="X", help="ask when this share of the picture changed; 0: never"
    )
    parser.add_argument("--until", default="", metavar="TEXT", help="end at this answer")
    parser.add_argument("--max-answers", type=int, default=0, metavar="N", help="end after so many answers")
    parser.add_argument("--duration", type=float, default=0.0, metavar="S", help="end after so many seconds")
    parser.add_argument("--all", action="store_true", help="print every answer, not only other ones")
    parser.add_argument("--node", default="vqa_node", metavar="NAME", help="which node to ask (%(default)s)")
    parser.add_argument(
        "--wait", type=float, default=10.0, metavar="S", help="seconds to wait for the node (%(default)g)"
    )


def run(args: argparse.Namespace) -> int:
    """0 when it ended as it was told. CallError or RequestError otherwise."""
    from llm_ros.client import VQAClient, connect

    if not args.question.strip():
        raise RequestError("the question is empty")
    if not 0 <= args.max_answers < 2**32:
        raise RequestError(f"--max-answers = {args.max_answers}: out of range [0, {2**32 - 1}]")
    with connect() as node:
        client = VQAClient(node, args.node)
        wait_for_llm(client, args.wait)
        call = client.watch(
            args.question,
            choices=args.choice,
            period=args.period,
            change=args.change,
            until=args.until,
            max_answers=args.max_answers,
            duration=args.duration,
        )
        with cancelled_by_interrupt(call):
            for found in call:
                if found.problem:
                    print(f"no answer: {found.problem}", file=sys.stderr, flush=True)
                elif found.changed or args.all:
                    print(f"{found.answer.answer} ({100 * found.answer.confidence:.0f} %)", flush=True)
        call.result(timeout=5.0)
    return 0
