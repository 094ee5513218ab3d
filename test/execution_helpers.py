"""What the execution tests share: a robot that does what a script says, in simulated time."""

from __future__ import annotations

from collections import defaultdict

from llm_ros.execution import Executor, Outcome, Patience, Result
from llm_ros.planner import Step
from llm_ros.planner.skills import parse_skills
from llm_ros.planner.world import parse_world
from llm_ros.simulation import SimClock

WORLD = """
rooms: [kitchen, hall, den]
locations:
  table: {room: kitchen, holds: fruits, pose: [1, 2, 0.5]}
  counter: {room: kitchen}
  shelf: {room: den, pose: [3, 4]}
  sofa: {room: den, placement: false}
object_categories:
  fruits: {singular: fruit, objects: [apple, pear]}
people: [me, ada]
"""
SKILLS = """
skills:
  go_to: {args: {location: {type: location}}, duration: 10, retries: 1}
  find_object: {args: {object: {type: object, free: true}}, duration: 2, retries: 1}
  find_person: {args: {person: {type: person, free: true}}, duration: 2, retries: 1}
  pick: {args: {object: {type: object, free: true}}, duration: 5, retries: 1, timeout: 20}
  place: {args: {object: {type: object, free: true}, location: {type: location}}, duration: 5, retries: 1}
  hand_over: {args: {object: {type: object, free: true}, person: {type: person}}, retries: 1, safety: confirm}
  count: {args: {kind: {type: text}}}
  say: {args: {text: {type: text}}, duration: 1, retries: 0}
  wait: {args: {seconds: {type: number, min: 0, max: 100}}, duration: $seconds}
"""
OK = Result(Outcome.SUCCEEDED)
FAIL = Result(Outcome.EXECUTION, "broken")


def missing(name):
    """What a server says that looked and found nothing."""
    return Result(Outcome.POSTCONDITION, f"no {name}", facts=(f"not found({name})",))


def steps(text: str) -> list[Step]:
    """Steps of the world above from "go_to table; pick apple", values by the order of the arguments."""
    skills = parse_skills(SKILLS)
    found = []
    for part in text.split(";"):
        name, *values = part.split(maxsplit=2 if part.split()[0] == "place" else 1)
        values = [float(value) if name == "wait" else value for value in values]
        names = (arg.name for arg in skills[name].args) if name in skills else ("x",)
        found.append(Step(name, dict(zip(names, values, strict=False))))
    return found


class Scripted:
    """Answers attempts at a skill with the results scripted for it, in order, then with success.

    A script's entry may be None (no result ever, whatever is asked) or "obey" (no result until it is cancelled).
    `log` holds every step that was begun, `cancels` the times at which one was cancelled, `at` functions to call when
    the n-th attempt begins.
    """

    def __init__(self, clock: SimClock, **script):
        self.clock, self.script = clock, defaultdict(list, {name: list(results) for name, results in script.items()})
        self.log, self.cancels, self.at = [], [], {}

    def start(self, step, skill, state, listener):
        self.log.append(str(step))
        if len(self.log) in self.at:
            self.clock.later(0.5, self.at[len(self.log)])
        answers = self.script[skill.name]
        answer = answers.pop(0) if answers else OK
        if isinstance(answer, Exception):
            raise answer
        robot = self

        class Attempt:
            ended = False

            def end(self, result):
                if not self.ended:
                    self.ended = True
                    listener.ended(result)

            def cancel(self):
                robot.cancels.append(robot.clock.time)
                if answer is not None:
                    robot.clock.later(0.1, lambda: self.end(Result(Outcome.CANCELED, "stopped")))

        attempt = Attempt()
        seconds = skill.seconds(step.args)
        self.clock.later(seconds / 2, lambda: listener.progress(0.5, "half way"))
        if isinstance(answer, Result):
            self.clock.later(seconds, lambda: attempt.end(answer))
        return attempt


class Bench:
    """An executor over a scripted robot, in simulated time."""

    def __init__(self, skills: str = SKILLS, world: str = WORLD, **script):
        self.clock = SimClock()
        self.robot = Scripted(self.clock, **script)
        self.executor = Executor(
            parse_skills(skills), parse_world(world), self.robot, patience=Patience(), make_mailbox=self.clock.mailbox
        )
        self.views = []

    def begin(self, plan, **options):
        """A run of steps, or of a text as in `steps`."""
        plan = steps(plan) if isinstance(plan, str) else plan
        self.run = self.executor.begin(plan, on_change=self.views.append, **options)
        return self.run

    def carry_out(self, plan, **options):
        """The end of a run."""
        return self.begin(plan, **options).run()

    def done(self):
        """The steps that succeeded, as texts."""
        return [str(report.step) for report in self.views[-1].reports if report.status.name == "DONE"]
