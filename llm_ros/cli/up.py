"""`llm-ros up`: llm_node, planner_node and, with a camera, vqa_node, without `ros2 launch`, until Ctrl-C."""

from __future__ import annotations

import argparse

from llm_core.cli.main import report
from llm_ros.cli._nodes import STOPPED, NodeGroup, check_config, ending

SUMMARY = "start the nodes and keep them until Ctrl-C"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """--config, --mock, --model, --mmproj, --camera."""
    parser.add_argument(
        "--config",
        action="append",
        default=[],
        metavar="F.yaml",
        help="ROS parameter file, applied on top of the installed ones; may be given several times",
    )
    parser.add_argument("--mock", action="store_true", help="also start mock_robot, a simulated robot")
    parser.add_argument("--model", metavar="M", help="path or name of a model; stronger than model.name in a file")
    parser.add_argument("--mmproj", metavar="P", help="path or name of the vision tower that belongs to the model")
    parser.add_argument("--camera", metavar="TOPIC", help="answer questions about this camera's pictures (vqa_node)")


def run(args: argparse.Namespace) -> int:
    """0 after Ctrl-C or SIGTERM; the code of a node that ended by itself otherwise (1 if that code was 0)."""
    configs = [check_config(path) for path in args.config]
    print("starting the nodes; Ctrl-C stops them", flush=True)
    with NodeGroup(configs, args.model, mmproj=args.mmproj, camera=args.camera, mock=args.mock) as group:
        ended = group.wait()
        if ended[0] == STOPPED:
            print("stopping", flush=True)
            return 0
        report(f"{ending(ended)}; stopping the others")
        return ended[1] if ended[1] > 0 else 1
