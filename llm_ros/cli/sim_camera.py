"""`llm-ros sim-camera`: a camera that looks at simulated scenes, until Ctrl-C; or one of its pictures as a file."""

from __future__ import annotations

import argparse
from pathlib import Path

from llm_core.errors import RequestError
from llm_core.paths import check_output

SUMMARY = "publish pictures of simulated scenes as a camera does"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The node's parameters, and --save."""
    parser.add_argument("--topic", help="topic of the pictures (camera/image_raw)")
    parser.add_argument("--seed", type=int, help="seed of the first scene (0)")
    parser.add_argument("--kind", choices=("table", "room"), help="scenes on a table, or in a room")
    parser.add_argument("--size", metavar="WxH", help="pixels of a picture (320x240)")
    parser.add_argument("--rate", type=float, metavar="HZ", help="pictures a second (5)")
    parser.add_argument("--period", type=float, metavar="S", help="seconds until the next scene (10); 0: it stays")
    parser.add_argument("--save", metavar="F.png", help="write one picture, print what is in it, and end")


def run(args: argparse.Namespace) -> int:
    """0 after Ctrl-C, or once the picture is written."""
    wide, high = _size(args.size)
    if args.save is not None:
        return _save(Path(args.save), args, wide, high)
    from rclpy.parameter import Parameter

    from llm_ros.nodes.run import run_node
    from llm_ros.nodes.sim_camera import SimCameraNode

    given = {
        "topic": args.topic, "seed": args.seed, "kind": args.kind, "width": wide, "height": high, "rate": args.rate,
        "scene_period": args.period,
    }  # fmt: skip
    overrides = [Parameter(name, value=value) for name, value in given.items() if value is not None]
    return run_node(lambda: SimCameraNode(parameter_overrides=overrides), [])


def _size(text: str | None) -> tuple[int | None, int | None]:
    if text is None:
        return None, None
    wide, _, high = text.partition("x")
    if not (wide.isdecimal() and high.isdecimal()):
        raise RequestError(f"--size {text!r}: two numbers such as 320x240 wanted")
    return int(wide), int(high)


def _save(path: Path, args: argparse.Namespace, wide: int | None, high: int | None) -> int:
    from PIL import Image

    from llm_ros.params import SimCameraParams
    from llm_ros.sim.draw import draw
    from llm_ros.sim.studio import Studio

    given = {"seed": args.seed, "kind": args.kind, "width": wide, "height": high}
    p = SimCameraParams(**{name: value for name, value in given.items() if value is not None})
    check_output(path)
    with Studio(p.width, p.height) as studio:
        view = studio.look(draw(p.seed, kind=p.kind or None))
    Image.fromarray(view.image).save(path)
    print(", ".join(view.scene.names) or "nothing")
    return 0
