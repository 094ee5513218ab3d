"""`llm-ros execute PLAN.json`: the running planner_node carries out steps, Ctrl-C stops it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from llm_core.errors import RequestError
from llm_ros.cli._client import show_execution, wait_for_planner

SUMMARY = "let the running planner_node carry out a plan"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The plan; where it goes."""
    parser.add_argument(
        "plan", metavar="PLAN.json", help='list of {"skill", "args"}, as `llm-ros plan --json` prints it'
    )
    parser.add_argument("--node", default="planner_node", metavar="NAME", help="which node to ask (%(default)s)")
    parser.add_argument(
        "--wait", type=float, default=10.0, metavar="S", help="seconds to wait for the node (%(default)g)"
    )
    parser.add_argument("--deadline", type=float, default=0.0, metavar="S", help="seconds for the plan; 0: any")


def run(args: argparse.Namespace) -> int:
    """0 if everything was done. CallError or RequestError otherwise."""
    from llm_ros.client import PlannerClient, connect
    from llm_ros.plan_conversions import step_to_ros

    steps = [step_to_ros(step) for step in read_steps(args.plan)]
    with connect() as node:
        client = PlannerClient(node, args.node)
        wait_for_planner(client, args.wait)
        show_execution(client.execute(steps, deadline=args.deadline), sys.stdout)
    return 0


def read_steps(path: str):
    """The steps of a plan file. Raises RequestError naming file and entry."""
    from llm_ros.planner import Step

    try:
        entries = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RequestError(f"{path}: cannot be read as JSON: {error}") from error
    if not isinstance(entries, list) or not entries:
        raise RequestError(f'{path}: expected a list of {{"skill", "args"}}, got {json.dumps(entries)[:60]}')
    steps = []
    for number, entry in enumerate(entries, 1):
        fits = isinstance(entry, dict) and isinstance(entry.get("skill"), str)
        args = entry.get("args", {}) if fits else None
        if not isinstance(args, dict) or not all(type(value) in (str, int, float) for value in args.values()):
            raise RequestError(f'{path}: step {number}: expected {{"skill": text, "args": texts or numbers by name}}')
        steps.append(Step(entry["skill"], args))
    return steps
