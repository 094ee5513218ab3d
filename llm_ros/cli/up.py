"""`llm-ros up`: llm_node, planner_node and what is asked for beside them, without `ros2 launch`, until Ctrl-C."""

from __future__ import annotations

import argparse

from llm_core.cli.main import report
from llm_core.lora import adapter_files
from llm_ros.cli._nodes import STOPPED, NodeGroup, check_config, ending

SUMMARY = "start the nodes and keep them until Ctrl-C"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """--config, --mock, --chat, --model, --mmproj, --lora, --camera, --voice."""
    from llm_ros.voice.sources import SOURCES

    parser.add_argument(
        "--config",
        action="append",
        default=[],
        metavar="F.yaml",
        help="ROS parameter file, applied on top of the installed ones; may be given several times",
    )
    parser.add_argument("--mock", action="store_true", help="also start mock_robot, a simulated robot")
    parser.add_argument("--chat", action="store_true", help="also hold conversations (chat_node)")
    parser.add_argument("--model", metavar="M", help="path or name of a model; stronger than model.name in a file")
    parser.add_argument("--mmproj", metavar="P", help="path or name of the vision tower that belongs to the model")
    parser.add_argument(
        "--lora",
        action="append",
        default=[],
        metavar="[NAME=]F[:S]",
        help="path or name of a LoRA adapter of the model, and how much of it (1); may be given several times",
    )
    parser.add_argument("--camera", metavar="TOPIC", help="answer questions about this camera's pictures (vqa_node)")
    parser.add_argument("--voice", choices=SOURCES, help="obey spoken commands that come from there (voice_node)")


def run(args: argparse.Namespace) -> int:
    """0 after Ctrl-C or SIGTERM; the code of a node that ended by itself otherwise (1 if that code was 0)."""
    configs = [check_config(path) for path in args.config]
    lora = ",".join(args.lora)
    adapter_files(lora.split(",") if lora else (), "--lora")
    print("starting the nodes; Ctrl-C stops them", flush=True)
    chosen = {name: getattr(args, name) for name in ("mmproj", "camera", "voice", "mock", "chat")}
    with NodeGroup(configs, args.model, lora=lora, **chosen) as group:
        ended = group.wait()
        if ended[0] == STOPPED:
            print("stopping", flush=True)
            return 0
        report(f"{ending(ended)}; stopping the others")
        return ended[1] if ended[1] > 0 else 1
