"""`llm-ros evaluate SET.json`: how many commands of a set are planned right, without ROS."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import ExitStack
from pathlib import Path

from llm_core.errors import RequestError
from llm_ros.planner.offline import DEFAULT_MODEL

SUMMARY = "plan the commands of a set, judge the plans, and count"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The set, the model, and the files of entries that name none."""
    parser.add_argument("set", metavar="SET.json", help='list of {"id", "command", "steps" | "refuse" | "clarify", …}')
    parser.add_argument("--skills", metavar="S.yaml", help="skills file (default: config/skills.yaml)")
    parser.add_argument("--world", metavar="W.yaml", help="world file (default: config/world.yaml)")
    parser.add_argument("--model", metavar="M", default=DEFAULT_MODEL, help="path or name of a model (%(default)s)")
    parser.add_argument(
        "--rewrite",
        metavar="HOW",
        default="auto",
        help="who puts unclear commands into plain words: auto, off, model, or an adapter's file (%(default)s)",
    )
    parser.add_argument(
        "--space", choices=("tight", "open"), default="tight", help="open: any plan over all skills and names"
    )
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N commands")
    parser.add_argument("--failures", action="store_true", help="print every failure as well")
    parser.add_argument("--json", metavar="OUT.json", help="also write figures and every record")


def run(args: argparse.Namespace) -> int:
    """0 whatever the figures are; RequestError for a set or file that cannot be used."""
    from llm_ros.planner.evaluate import Evaluation, SetError, figures, read_set, told
    from llm_ros.planner.generator import engine_generate, rewriting
    from llm_ros.planner.offline import beside, open_engine
    from llm_ros.planner.strictyaml import ConfigError
    from llm_ros.share import config_file

    if args.limit is not None and args.limit < 1:
        raise RequestError(f"--limit = {args.limit}: at least 1")
    try:
        entries = read_set(args.set)[: args.limit]
        with ExitStack() as opened:
            engine = opened.enter_context(open_engine(args.model))
            rewrite, trained = rewriting(engine, args.rewrite, beside(opened))
            skills, world = args.skills or config_file("skills.yaml"), args.world or config_file("world.yaml")
            evaluation = Evaluation(engine_generate(engine), skills, world, rewrite, trained, args.space)
            records = evaluation.run(entries, show if args.failures else lambda record: None)
    except (SetError, ConfigError) as error:
        raise RequestError(str(error)) from error
    found = figures(records)
    print(told(found))
    if args.json:
        write(args.json, {"model": args.model, "space": args.space, **found, "records": records})
    return 0


def show(record: dict) -> None:
    """Prints a record if it is a failure."""
    if record["failure"]:
        plan = json.dumps(record["plan"], ensure_ascii=False)
        print(f"{record['id']} | {record['command']} | {record['failure']} | {plan}", file=sys.stderr, flush=True)


def write(path: str, found: dict) -> None:
    """Figures as JSON. Raises RequestError."""
    try:
        Path(path).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise RequestError(f"--json {path}: {error.strerror}") from error
