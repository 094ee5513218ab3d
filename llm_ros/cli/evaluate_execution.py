"""`llm-ros evaluate-execution`: seeded trials of the executor over a simulated robot that fails, without ROS."""

from __future__ import annotations

import argparse
import json
import sys

from llm_core.errors import RequestError

SUMMARY = "carry out random tasks with a simulated robot that fails, and judge the executor"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which trials, which files."""
    parser.add_argument("--trials", type=int, default=200, metavar="N", help="how many (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the first (%(default)s)")
    parser.add_argument(
        "--failures", type=float, default=0.2, metavar="P", help="probability that an attempt fails (%(default)g)"
    )
    parser.add_argument("--skills", metavar="S.yaml", help="skills file (default: config/skills.yaml)")
    parser.add_argument("--world", metavar="W.yaml", help="world file (default: config/world.yaml)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def run(args: argparse.Namespace) -> int:
    """0 if no trial hung, ended wrongly as succeeded or left a wrong belief, and 95 % of the solvable ones are done."""
    from llm_ros.planner import ConfigError, load_skills, load_world
    from llm_ros.share import config_file
    from llm_ros.simulation.trials import figures, run_trials

    if args.trials < 1:
        raise RequestError(f"--trials = {args.trials}: at least 1")
    if not 0.0 <= args.failures < 1.0:
        raise RequestError(f"--failures = {args.failures:g}: out of range [0, 1)")
    try:
        skills = load_skills(args.skills or config_file("skills.yaml"))
        world = load_world(args.world or config_file("world.yaml"))
    except (ConfigError, OSError) as error:
        raise RequestError(str(error)) from error
    trials = list(run_trials(skills, world, range(args.seed, args.seed + args.trials), failures=args.failures))
    if not trials:
        raise RequestError("these skills and this world admit none of the tasks")
    found = figures(trials)
    for trial in trials:
        if trial.hung or trial.wrongly or trial.differences or trial.solvable and not trial.done:
            print(f"seed {trial.seed}, {trial.task}: {trial.outcome.name.lower()} {trial.message}", file=sys.stderr)
    if args.json:
        print(json.dumps(found))
    else:
        print("\n".join(f"{name:20} {value}" for name, value in found.items()))
    good = found["done"] >= 0.95 * found["solvable"]
    return 0 if good and not found["hung"] and not found["wrongly succeeded"] and not found["world differs"] else 1
