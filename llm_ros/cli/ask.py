"""`llm-ros ask "…"`: asks the running llm_node, about a picture if one is given, and prints the answer as it comes."""

from __future__ import annotations

import argparse

from llm_core.errors import RequestError
from llm_core.lora import adapter_scales
from llm_ros.cli._client import cancelled_by_interrupt, wait_for_llm

SUMMARY = "ask the running llm_node a question, about a picture or a camera's frame if wanted"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The question, and how to sample."""
    parser.add_argument("question", help="what to ask")
    parser.add_argument("--system", metavar="TEXT", help="what the model should know or be beforehand")
    parser.add_argument(
        "--image", action="append", default=[], metavar="F", help="a picture that it is about; several times"
    )
    parser.add_argument("--image-topic", metavar="TOPIC", help="a camera whose newest frame it is about")
    parser.add_argument(
        "--image-wait", type=float, default=5.0, metavar="S", help="seconds to wait for that frame (%(default)g)"
    )
    parser.add_argument(
        "--lora", action="append", default=[], metavar="NAME[:S]", help="an adapter of the node to use; several times"
    )
    parser.add_argument("--max-tokens", type=int, metavar="N", help="most tokens of the answer (default: the node's)")
    parser.add_argument("--temp", type=float, metavar="X", help="temperature; 0: no randomness (default: the node's)")
    parser.add_argument("--seed", type=int, metavar="N", help="same seed, same answer (default: the node's)")
    parser.add_argument("--node", default="llm_node", metavar="NAME", help="which node to ask (%(default)s)")
    parser.add_argument(
        "--wait", type=float, default=10.0, metavar="S", help="seconds to wait for the node (%(default)g)"
    )
    parser.add_argument(
        "--timeout", type=float, default=300.0, metavar="S", help="seconds for the answer (%(default)g)"
    )


def run(args: argparse.Namespace) -> int:
    """0 when the answer is whole. CallError or RequestError otherwise."""
    from llm_ros.client import LLMClient, connect
    from llm_ros.conversions import FINISH_NAMES
    from llm_ros.images import picture_to_ros
    from llm_ros.msg import Response

    if not args.question.strip():
        raise RequestError("the question is empty")
    messages = [{"role": "system", "content": args.system}] if args.system else []
    messages.append({"role": "user", "content": args.question})
    pictures = [picture_to_ros(path) for path in args.image]
    sampling = {name: getattr(args, name) for name in ("max_tokens", "temp", "seed") if getattr(args, name) is not None}
    lora = adapter_scales(args.lora, "--lora")
    with connect() as node:
        client = LLMClient(node, args.node)
        wait_for_llm(client, args.wait)
        if args.image_topic:
            pictures.append(_newest(node, args.image_topic, args.image_wait))
        call = client.chat(messages, images=pictures, lora=lora, **sampling)
        with cancelled_by_interrupt(call):
            for piece in call.text(args.timeout):
                print(piece, end="", flush=True)
        print(flush=True)
        reason = call.result().response.finish_reason
        if reason != Response.FINISH_STOP:
            print(f"({FINISH_NAMES[reason]}: the answer is cut off here)")
    return 0


def _newest(node, topic: str, wait: float):
    """A frame that comes now. Raises CameraError."""
    from llm_ros.camera import Camera

    camera = Camera(node, topic, use_stamps=False)
    try:
        return camera.frame(max_age=wait, wait=wait).message
    finally:
        camera.close()
