"""`llm-ros plan "…"`: a plan from the running planner_node, or, with `--offline`, from this process without ROS."""

from __future__ import annotations

import argparse
import json
import os
import sys

from llm_core.errors import RequestError
from llm_ros.cli._client import show_execution, show_plan, wait_for_planner
from llm_ros.planner.offline import InputError, add_offline_arguments, ask_person, check_export, write_export

SUMMARY = "plan a command with the running planner_node, or offline"
_OFFLINE_ONLY = ("skills", "world", "model", "rewrite", "batch", "out")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command; the options of both ways."""
    parser.add_argument("command", nargs="?", help="what the robot should do")
    parser.add_argument("--execute", action="store_true", help="let the robot carry the plan out; Ctrl-C stops it")
    parser.add_argument("--json", action="store_true", help="print the plan as JSON, in the shape of PLANS.json")
    parser.add_argument("--node", default="planner_node", metavar="NAME", help="which node to ask (%(default)s)")
    parser.add_argument(
        "--wait", type=float, default=10.0, metavar="S", help="seconds to wait for the node (%(default)g)"
    )
    parser.add_argument("--timeout", type=float, default=120.0, metavar="S", help="seconds for the plan (%(default)g)")
    add_offline_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """0 for a plan, a refusal or a question. CallError or RequestError otherwise."""
    if args.execute and (args.offline or args.json):
        raise RequestError(f"--execute cannot be combined with --{'offline' if args.offline else 'json'}")
    if args.execute and args.export:
        raise RequestError("--execute cannot be combined with --export")
    if args.offline:
        from llm_ros.planner import offline

        return offline.run(args)
    for name in _OFFLINE_ONLY:
        if getattr(args, name) is not None:
            raise RequestError(f"--{name} needs --offline: a running planner_node has its own")
    if not args.command:
        raise RequestError('give a command, such as "Bring me a glass of water from the kitchen"')
    try:
        check_export(args.export)
        return _ask_node(args)
    except InputError as error:
        raise RequestError(str(error)) from error


def _ask_node(args) -> int:
    from llm_ros.client import PlannerClient, connect
    from llm_ros.plan_conversions import plan_from_ros

    with connect() as node:
        client = PlannerClient(node, args.node)
        wait_for_planner(client, args.wait)
        plan = _asked(client, args, args.command, "")
        while plan.dialogue_id and not args.json and (answer := ask_person()):
            plan = _asked(client, args, answer, plan.dialogue_id)
        if args.export:
            if not plan.steps:
                raise InputError("there is no plan to export")
            write_export(args.export, client.export_plan(args.export[0], plan.steps, plan.command))
    if args.json:
        print(json.dumps(plan_from_ros(plan), ensure_ascii=False))
    return 0


def _asked(client, args, command: str, dialogue: str):
    """The Plan message that a command, or the answer in a dialogue, leads to; shown, and carried out if wanted."""
    from llm_ros.plan_conversions import plan_lines

    if args.execute:
        result = show_execution(client.plan(command, dialogue_id=dialogue, execute=True), sys.stdout)
        print("\n".join(plan_lines(result.plan) if not result.reports else ["done"]), flush=True)
        return result.plan
    call = client.plan(command, dialogue_id=dialogue, deadline=args.timeout)
    with open(os.devnull, "w") as nowhere:
        return show_plan(call, args.timeout + 5.0, nowhere if args.json else sys.stdout)
