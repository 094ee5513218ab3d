"""`llm-ros demo "…"`: the main job from nothing: fetch the model, start the nodes, send a command, print the plan as it
comes.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time

from llm_core.catalog import DEFAULT_MODEL
from llm_core.cli.main import report
from llm_ros.cli._client import show_plan, wait_for_llm, wait_for_planner
from llm_ros.cli._nodes import STOPPED, NodeGroup, check_config, ending

SUMMARY = "fetch the model, start the nodes, plan one command, stop the nodes"
COMMAND = "Bring me a glass of water from the kitchen"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command, --model, --config, --timeout."""
    parser.add_argument("command", nargs="?", default=COMMAND, help="what the robot should do (%(default)s)")
    parser.add_argument("--model", default=DEFAULT_MODEL, metavar="M", help="path or name of a model (%(default)s)")
    parser.add_argument("--config", action="append", default=[], metavar="F.yaml", help="as in `llm-ros up`")
    parser.add_argument(
        "--timeout",
        type=float,
        default=600.0,
        metavar="S",
        help="seconds for the start of the nodes, and again for the plan (%(default)g)",
    )


def run(args: argparse.Namespace) -> int:
    """0 if the outcome is a plan, 1 for a refusal, a question or a node that fails. Errors of the model come as
    ModelError.
    """
    configs = [check_config(path) for path in args.config]
    print(f"model: {_model(args.model)}", flush=True)
    # A namespace and a range of its own: the demo does not meet nodes that run already, and they do not meet it.
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    namespace = f"/demo_{os.getpid()}"
    print("starting the nodes", flush=True)
    result = {}
    with NodeGroup(configs, args.model, namespace) as group:
        job = threading.Thread(target=_job, args=(args, namespace, result, group), daemon=True)
        job.start()
        ended = group.wait()
        if ended[0] == STOPPED:
            return 130
        if ended[0] != _DONE:
            report(ending(ended))
            return 1
        job.join()
    if "error" in result:
        report(result["error"])
        return 1
    return 0 if result["planned"] else 1


_DONE = "done"


def _job(args, namespace, result, group):
    """The client's part, in a thread, so that a node that dies ends the waiting at once."""
    try:
        result["planned"] = _plan(args, namespace)
    except Exception as error:
        result["error"] = error
    finally:
        group.finish(_DONE)


def _plan(args, namespace) -> bool:
    from llm_ros.client import LLMClient, PlannerClient, connect
    from llm_ros.msg import Plan

    begun = time.monotonic()
    with connect() as node:
        llm, planner = LLMClient(node, f"{namespace}/llm_node"), PlannerClient(node, f"{namespace}/planner_node")
        wait_for_planner(planner, args.timeout)
        wait_for_llm(llm, args.timeout)
        ready = time.monotonic()
        print(f"nodes ready after {ready - begun:.1f} s\ncommand: {args.command}\nplan:", flush=True)
        plan = show_plan(planner.plan(args.command), args.timeout, sys.stdout)
        print(f"planned in {time.monotonic() - ready:.2f} s", flush=True)
    return plan.status == Plan.PLANNED


def _model(name: str):
    """The model's file, fetched if it is not here yet, with a line for every tenth of the way. Raises ModelError."""
    from llm_core.hub import resolve

    told = {}

    def tell(done: int, total: int, what: str) -> None:
        tenth = 10 * done // total if total else 0
        if told.get(what) != tenth:
            told[what] = tenth
            print(f"{what}: {done / 1e6:.0f} of {total / 1e6:.0f} MB", flush=True)

    return resolve(name, tell)
