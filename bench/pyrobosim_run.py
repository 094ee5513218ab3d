"""Fetch and place objects in pyrobosim's own test world, headless, driven by our executor.

`pip install pyrobosim`, then `python bench/pyrobosim_run.py [--tasks N] [--success P] [--seed N]`. The executor is told
the rooms and places, and for each object a place that is wrong half of the time. Prints a line for each task and the
figures; ends with code 1 if a task ended as succeeded and pyrobosim says otherwise, or belief and simulator differ.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import sys
import threading
import time

import numpy as np
from pyrobosim.core.yaml_utils import WorldYamlLoader
from pyrobosim.planning.actions import ExecutionOptions, ExecutionStatus, TaskAction
from pyrobosim.utils.general import get_data_folder

from llm_ros.execution import Executor, Outcome, Result
from llm_ros.planner import Step, load_skills
from llm_ros.planner.world import World, parse_world
from llm_ros.share import config_file

FASTER = 20.0  # than real time
OUTCOMES = {
    ExecutionStatus.SUCCESS: Outcome.SUCCEEDED,
    ExecutionStatus.PRECONDITION_FAILURE: Outcome.PRECONDITION,
    ExecutionStatus.PLANNING_FAILURE: Outcome.PLANNING,
    ExecutionStatus.EXECUTION_FAILURE: Outcome.EXECUTION,
    ExecutionStatus.POSTCONDITION_FAILURE: Outcome.POSTCONDITION,
    ExecutionStatus.INVALID_ACTION: Outcome.INVALID,
    ExecutionStatus.CANCELED: Outcome.CANCELED,
}


class PyrobosimRobot:
    """The executor's Robot over a robot of pyrobosim: its actions navigate, detect, pick and place."""

    def __init__(self, robot):
        self.robot, self.said = robot, []

    def start(self, step, skill, state, listener):
        """See Robot."""
        threading.Thread(target=lambda: listener.ended(self._do(step, skill)), daemon=True).start()
        return self

    def cancel(self) -> None:
        """Stops the path that is being followed."""
        if self.robot.path_executor is not None:
            self.robot.path_executor.cancel_execution = True

    def _do(self, step: Step, skill) -> Result:
        thing = step.args.get("object")
        if skill.role == "say":
            self.said.append(step.args["text"])
            return Result(Outcome.SUCCEEDED)
        action = {
            "go_to": lambda: TaskAction("navigate", target_location=step.args["location"]),
            "find_object": lambda: TaskAction("detect", object=thing),
            "pick": lambda: TaskAction("pick", object=thing),
            "place": lambda: TaskAction("place"),
        }[skill.role]()
        done = self.robot.execute_action(action, realtime_factor=FASTER)
        held = self.robot.manipulated_object
        facts = [f"holding({held.name})" if held is not None else "hand_empty"]
        if skill.role == "find_object" and done.message and "Failed to detect" in done.message:
            facts.append(f"not found({thing})")
        return Result(OUTCOMES[done.status], done.message or "", facts=tuple(facts))


def believed_world(world, rng: random.Random) -> World:
    """Rooms and places of the simulator; half of the objects at a place where they are not."""
    spawns = {spawn.name: spawn for spawn in world.get_object_spawns() if spawn.parent.is_open}
    text = f"rooms: [{', '.join(world.get_room_names())}]\nlocations:\n"
    for name, spawn in spawns.items():
        text += f"  {name}: {{room: {spawn.parent.parent.name}}}\n"
    text += "objects:\n"
    for thing in world.get_objects():
        place = thing.parent.name if rng.random() < 0.5 else rng.choice(sorted(spawns))
        if thing.parent.name in spawns:
            text += f"  {thing.name}: {{location: {place}}}\n"
    return parse_world(text)


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=10)
    parser.add_argument("--success", type=float, default=0.8, help="probability that an action of the robot succeeds")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    logging.disable(logging.CRITICAL)
    np.random.seed(args.seed)
    rng = random.Random(args.seed)
    world = WorldYamlLoader().from_file(os.path.join(get_data_folder(), "test_world.yaml"))
    robot = world.robots[0]
    robot.action_execution_options = {
        name: ExecutionOptions(success_probability=args.success, rng_seed=args.seed + number)
        for number, name in enumerate(("navigate", "pick", "place", "detect"))
    }
    known = believed_world(world, rng)
    ours = PyrobosimRobot(robot)
    executor = Executor(load_skills(config_file("skills.yaml")), known, ours)
    done = wrong = attempts = 0
    for number in range(1, args.tasks + 1):
        thing, target = rng.choice(sorted(known.objects)), rng.choice(sorted(known.locations))
        begun = time.monotonic()
        end = executor.begin([Step("place", {"object": thing, "location": target})]).run()
        true = world.get_object_by_name(thing).parent.name
        attempts += sum(report.attempts for report in end.reports)
        done += end.succeeded and true == target
        wrong += end.succeeded and true != target
        print(
            f"{number}. {thing} to {target}: {end.outcome.name.lower()} {end.message}, {len(end.reports)} steps, "
            f"{sum(report.attempts for report in end.reports)} attempts, {time.monotonic() - begun:.1f} s",
            flush=True,
        )
    moved = executor.belief.moved().items()
    differ = [thing for thing, place in moved if place and place != world.get_object_by_name(thing).parent.name]
    print(f"{done} of {args.tasks} done, {wrong} wrongly succeeded, {attempts} attempts, belief differs for {differ}")
    return 1 if wrong or differ else 0


if __name__ == "__main__":
    sys.exit(main())
