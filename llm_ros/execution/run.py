"""One plan being carried out: step after step, with retries, repairs, confirmations, pauses, and one typed end.

In: a `StepFeed` and the `Executor` that lends robot, belief, skills and world. Out: an `Execution` at every change and
at the end. `run()` blocks its thread; what other threads say to it is `Control`. All state of a
plan is here; what is believed of the world stays with the executor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

from llm_ros.execution.belief import Presumed
from llm_ros.execution.control import Control
from llm_ros.execution.feed import StepFeed
from llm_ros.execution.outcome import Execution, Outcome, PlanStatus, StepReport, StepStatus
from llm_ros.execution.recovery import Recovery
from llm_ros.execution.robot import Result
from llm_ros.execution.texts import fill_texts, phrase, shortened
from llm_ros.planner.complete import Completer
from llm_ros.planner.plan import PlanError, Step
from llm_ros.planner.skills import Skill
from llm_ros.planner.validate import check_step, unmet
from llm_ros.planner.world import OPERATOR

PROGRESS_EVERY_S = 0.1
TELL_WITHIN_S = 30.0
_INTERRUPTED = Result(Outcome.UNKNOWN, "interrupted")


class _Ended(Exception):
    """The plan ends here; `step`: the one that was its end, if one was."""

    def __init__(self, outcome: Outcome, message: str, step: Step | None = None):
        super().__init__(message)
        self.outcome, self.step = outcome, step


@dataclass(eq=False)
class _Entry:
    """A step of the plan: its report, and what the plan presumes when it comes to it."""

    report: StepReport
    facts: dict[str, str] = field(default_factory=dict)


class _Listener:
    """Hands what one attempt tells to the run's mailbox; tells of other attempts are recognised by it."""

    def __init__(self, mailbox):
        self._mailbox = mailbox

    def progress(self, fraction: float, status: str = "") -> None:
        self._mailbox.put(("progress", self, fraction, status))

    def ended(self, result: Result) -> None:
        self._mailbox.put(("ended", self, result))


class PlanRun(Control):
    """See the module. Made by `Executor.begin`."""

    def __init__(self, executor, feed: StepFeed, command: str, deadline: float | None, on_change):
        self._skills, self._world, self._robot = executor.skills, executor.world, executor.robot
        self._belief, self._limits, self._patience = executor.belief, executor.limits, executor.patience
        super().__init__(executor.make_mailbox())
        self._executor = executor
        self._recovery = Recovery(self._skills, self._world, executor.completer, executor.limits)
        self._presumed = Presumed(self._belief.state, self._world)
        self._feed, self._command, self._deadline = feed, command, deadline
        self._on_change: Callable[[Execution], None] = on_change
        self._entries: list[_Entry] = []
        self._next = 0
        self._changed: set[int] = set()
        self._status = PlanStatus.RUNNING
        self._confirmed: set[str] = set()
        self._result: str | None = None
        self._end: float | None = None
        self._told_progress = float("-inf")
        self.view = Execution(PlanStatus.RUNNING, command=command)

    # The plan

    def run(self) -> Execution:
        """Carries everything out; returns how it ended. Raises only what `on_change` raises."""
        self._feed.attach(self._wake)
        if self._deadline is not None:
            self._end = self._mailbox.now() + self._deadline
        outcome, message = Outcome.SUCCEEDED, ""
        try:
            while (entry := self._take()) is not None:
                self._one(entry)
        except _Ended as end:
            outcome, message = end.outcome, str(end)
            self._tell(end)
        self._status = PlanStatus.IDLE
        self._publish(outcome=outcome, message=message)
        return self.view

    def _take(self) -> _Entry | None:
        """The next step; None once there is none left. Waits for a plan that is still being written."""
        while True:
            self._hold()
            closed = self._feed.closed
            self._grow()
            if self._next < len(self._entries):
                return self._entries[self._next]
            if closed:
                if self._feed.error:
                    raise _Ended(Outcome.PLANNING, self._feed.error)
                return None
            self._wait(lambda: self._feed.closed or self._grow(), None)

    def _grow(self) -> bool:
        """Takes the steps that have been written meanwhile."""
        steps = self._feed.take()
        for step in steps:
            skill = self._skills.get(step.skill)
            self._add(len(self._entries), step, self._presumed.facts(step, skill) if skill else {})
        if steps:
            self._publish()
        return bool(steps)

    def _add(self, position: int, step: Step, facts: dict[str, str] | None = None) -> None:
        self._entries.insert(position, _Entry(StepReport(step), facts or {}))
        self._changed.update(range(position, len(self._entries)))

    def _one(self, entry: _Entry) -> None:
        """Does one step, or changes the plan so that another one comes first or instead."""
        step, skill = self._checked(entry)
        with self._belief.presuming(entry.facts):
            self._do(entry, step, skill)

    def _do(self, entry: _Entry, step: Step, skill: Skill) -> None:
        belief = self._belief
        if step.inserted and belief.achieved(step, skill):
            self._finish(entry, StepStatus.SKIPPED, Result(Outcome.SUCCEEDED))
            return
        need = unmet(step, skill, belief.state, self._world)
        if need is not None and self._make_possible(entry, step, f"needs {need}"):
            return
        self._confirm(entry, step, skill)
        result, missing = self._attempts(entry, step, skill)
        if result.outcome is Outcome.SUCCEEDED:
            self._finish(entry, StepStatus.DONE, result)
            if not step.inserted and OPERATOR not in step.args.values():
                # What steps on the way find out, such as the way back to the operator, is nobody's answer.
                self._result = result.text or self._result
        elif result.outcome is not Outcome.UNKNOWN:
            self._finish(entry, StepStatus.FAILED, result)
            self._check()
            self._instead(entry, step, result, missing)

    def _checked(self, entry: _Entry) -> tuple[Step, Skill]:
        """The step with its texts filled in, checked against the world as it is now. Ends the plan as INVALID."""
        if self._world is not self._executor.world:
            self._world = self._executor.world
            self._recovery.use(self._world, Completer(self._skills, self._world))
        step = fill_texts(entry.report.step, self._result, datetime.now())
        try:
            step = check_step(shortened(step), self._skills, self._world)
        except PlanError as error:
            result = Result(Outcome.INVALID, str(error))
            self._finish(entry, StepStatus.FAILED, result)
            raise _Ended(result.outcome, result.message, step) from error
        self._update(entry, step=step)
        return step, self._skills[step.skill]

    def _make_possible(self, entry: _Entry, step: Step, why: str) -> bool:
        """Puts steps before this one that bring its needs about; False if there are none to put."""
        try:
            steps = self._recovery.possible(step, self._belief)
        except PlanError as error:
            result = Result(Outcome.PRECONDITION, str(error) or why)
            if not str(error) and entry.report.outcome is not Outcome.UNKNOWN:
                # Tried too often: what went wrong the last time says more than what is missing now.
                result = Result(entry.report.outcome, entry.report.message)
            self._finish(entry, StepStatus.FAILED, result)
            raise _Ended(result.outcome, f"{phrase(step)}: {result.message}", step) from error
        self._insert(steps[:-1])
        return len(steps) > 1

    def _instead(self, entry: _Entry, step: Step, result: Result, missing: str | None) -> None:
        """Puts steps after a failed one that do its work in another way, or ends the plan."""
        error, sought = PlanError("precondition", ""), _sought(step, self._skills[step.skill])
        # Once more at the same place, then elsewhere; only elsewhere, if it is known not to be here.
        ways = [missing] if missing is not None else [None, sought] if sought and not result.final else [None]
        for thing in ways:
            try:
                steps, facts = self._recovery.instead(step, self._belief, thing, result)
            except PlanError as nothing:
                error = nothing
            else:
                self._insert(steps, {**entry.facts, **facts})
                return
        why = "; ".join(filter(None, (result.message or result.outcome.name.lower(), str(error))))
        raise _Ended(result.outcome, f"{phrase(step)}: {why}", step) from error

    def _insert(self, steps: list[Step], facts: dict[str, str] | None = None) -> None:
        for offset, step in enumerate(steps):
            self._add(self._next + offset, step, facts)
        if steps:
            self._publish()

    def _confirm(self, entry: _Entry, step: Step, skill: Skill) -> None:
        """Asks a person before a step of class `confirm`, once, when the whole plan is known."""
        if skill.safety != "confirm" or str(step) in self._confirmed:
            return
        while not self._feed.closed:
            self._wait(lambda: self._feed.closed, None)
        self._grow()
        self._ask(f"May I {phrase(step)}?")
        self._status = PlanStatus.CONFIRM
        self._update(entry, status=StepStatus.CONFIRM)
        self._publish()
        try:
            self._wait(lambda: self._answer is not None, self._mailbox.now() + self._patience.confirm)
        finally:
            answer = self._heard()
            self._status = PlanStatus.RUNNING
        if not answer:
            outcome = Outcome.TIMEOUT if answer is None else Outcome.CANCELED
            result = Result(outcome, "nobody confirmed it" if answer is None else "it was not confirmed")
            self._finish(entry, StepStatus.FAILED, result)
            raise _Ended(outcome, f"{phrase(step)}: {result.message}", step)
        self._confirmed.add(str(step))

    # One step

    def _attempts(self, entry: _Entry, step: Step, skill: Skill) -> tuple[Result, str | None]:
        """The result of the first attempt that succeeds, else of the last, and the thing that is not where it should
        be. _INTERRUPTED: paused, or the needs do not hold any more; begin again.
        """
        belief, sought, unsure = self._belief, _sought(step, skill), False
        if sought is not None:
            self._recovery.look(sought, belief.state.places.get(sought) or belief.state.at)
        for left in range(skill.retries, -1, -1):
            result = belief.judged(self._attempt(entry, step, skill), step, skill)
            if result.outcome in (Outcome.SUCCEEDED, Outcome.UNKNOWN):
                if sought is not None and result.outcome is Outcome.SUCCEEDED:
                    self._recovery.seen(sought)
                return result, None
            if sought is not None and _says_missing(result, sought):
                return result, sought
            unsure = (unsure or result.unsure) and not result.facts
            if result.final or not left:
                return replace(result, unsure=unsure), None
            self._update(entry, outcome=result.outcome, message=result.message)
            # Where nobody knows what came of an attempt, the server's answer to the next one tells.
            if not unsure and unmet(step, skill, belief.state, self._world) is not None:
                return _INTERRUPTED, None
            self._hold()
        raise AssertionError("an attempt without retries left returns")

    def _attempt(self, entry: _Entry, step: Step, skill: Skill, patience: float | None = None) -> Result:
        """Lets the robot do the step once; stops it where somebody says so or it takes too long."""
        clock, listener = self._mailbox, _Listener(self._mailbox)
        begun, expected = clock.now(), skill.seconds(step.args)
        patience = patience or skill.patience(step.args)
        until, stopped = begun + patience, None
        self._update(
            entry, status=StepStatus.RUNNING, progress=-1.0, time_left=expected, attempts=entry.report.attempts + 1
        )
        self._publish()
        try:
            attempt = self._robot.start(step, skill, self._belief.state, listener)
        except Exception as error:  # a robot's fault must not end the executor
            return Result(Outcome.EXECUTION, f"{type(error).__name__}: {error}")
        while True:
            if stopped is None and (stopped := self._why_stop(until, patience)) is not None:
                attempt.cancel()
                until = clock.now() + self._patience.cancel
            event = clock.get(until if stopped is not None else _earlier(until, self._end))
            if event is None and stopped is not None and clock.now() >= until:
                return stopped
            if event is None or event[0] == "wake" or event[1] is not listener:
                continue
            if event[0] == "progress":
                self._progress(entry, event[2], event[3], clock.now() - begun, expected)
                continue
            result: Result = event[2]
            if result.outcome is Outcome.UNKNOWN:
                result = replace(result, outcome=Outcome.EXECUTION)
            if stopped is None or result.outcome is Outcome.SUCCEEDED:
                return result
            return replace(stopped, facts=result.facts)

    def _why_stop(self, until: float, patience: float) -> Result | None:
        with self._lock:
            stop, paused = self._stop, self._paused
        now = self._mailbox.now()
        if stop is not None:
            return Result(*stop, final=True)
        if self._end is not None and now >= self._end:
            return Result(Outcome.TIMEOUT, f"the deadline of {self._deadline:g} s has passed", final=True)
        if paused:
            return _INTERRUPTED
        return Result(Outcome.TIMEOUT, f"no result within {patience:g} s", unsure=True) if now >= until else None

    def _progress(self, entry: _Entry, fraction: float, status: str, elapsed: float, expected: float) -> None:
        fraction = fraction if 0.0 <= fraction <= 1.0 else -1.0
        left = elapsed * (1.0 - fraction) / fraction if fraction > 0.05 else max(0.0, expected - elapsed)
        self._update(entry, progress=fraction, time_left=left, message=status)
        if self._mailbox.now() - self._told_progress >= PROGRESS_EVERY_S:
            self._told_progress = self._mailbox.now()
            self._publish()

    def _tell(self, end: _Ended) -> None:
        """Says to the person why the plan ended, unless that was the person's own wish."""
        skill = self._skills.playing("say")
        if end.outcome is Outcome.CANCELED or skill is None or skill.safety != "free":
            return
        if end.step is not None and end.step.skill == skill.name:
            return
        self._end = None
        step = shortened(Step(skill.name, {skill.slots["text"]: f"I could not finish. {end}"}, inserted=True))
        self._add(self._next, step)
        entry = self._entries[self._next]
        until = self._mailbox.now() + TELL_WITHIN_S
        for _ in range(1 + skill.retries):
            result = self._attempt(entry, step, skill, min(until - self._mailbox.now(), skill.patience(step.args)))
            if result.outcome is Outcome.SUCCEEDED or result.final or self._mailbox.now() >= until:
                break
        done = result.outcome is Outcome.SUCCEEDED
        self._finish(entry, StepStatus.DONE if done else StepStatus.FAILED, result)

    # Waiting and telling

    def _hold(self) -> None:
        """Ends the plan if it was stopped; waits as long as it is paused."""
        self._check()
        if not self._paused:
            return
        entry = self._entries[self._next] if self._next < len(self._entries) else None
        self._status = PlanStatus.PAUSED
        if entry is not None:
            self._update(entry, status=StepStatus.PAUSED)
        self._publish()
        self._wait(lambda: not self._paused, None)
        self._status = PlanStatus.RUNNING
        if entry is not None:
            self._update(entry, status=StepStatus.PENDING)
        self._publish()

    def _check(self) -> None:
        with self._lock:
            stop = self._stop
        if stop is not None:
            raise _Ended(*stop)
        if self._end is not None and self._mailbox.now() >= self._end:
            raise _Ended(Outcome.TIMEOUT, f"the deadline of {self._deadline:g} s has passed")

    def _wait(self, ready: Callable[[], bool], until: float | None) -> None:
        """Waits until `ready()` or the time `until`; ends the plan if it is stopped meanwhile."""
        while not ready():
            self._check()
            if until is not None and self._mailbox.now() >= until:
                return
            self._mailbox.get(_earlier(until, self._end))

    def _update(self, entry: _Entry, **changes) -> None:
        entry.report = replace(entry.report, **changes)
        self._changed.add(self._entries.index(entry))

    def _finish(self, entry: _Entry, status: StepStatus, result: Result) -> None:
        progress = 1.0 if status is StepStatus.DONE else entry.report.progress
        self._update(
            entry,
            status=status,
            progress=progress,
            time_left=0.0,
            outcome=result.outcome,
            message=result.message,
            text=result.text,
        )
        self._next += 1
        self._publish()

    def _publish(self, outcome: Outcome = Outcome.UNKNOWN, message: str = "") -> None:
        reports = tuple(entry.report for entry in self._entries)
        running = outcome is Outcome.UNKNOWN
        self.view = Execution(
            self._status,
            reports,
            tuple(sorted(self._changed)),
            self._next if running and self._next < len(reports) else -1,
            sum(self._time_left(report) for report in reports[self._next :]) if running else 0.0,
            outcome,
            message,
            self._command,
            self._question,
            self._confirm_id if self._question else 0,
        )
        self._changed.clear()
        self._on_change(self.view)

    def _time_left(self, report: StepReport) -> float:
        if report.status is StepStatus.RUNNING:
            return max(0.0, report.time_left)
        skill = self._skills.get(report.step.skill)
        try:
            return skill.seconds(report.step.args) if skill else 0.0
        except (TypeError, ValueError):  # an argument that is about to be found invalid
            return 0.0


def _sought(step: Step, skill: Skill) -> str | None:
    """The thing or person that a step is to find, if finding is all that it brings about."""
    effects = [effect for effect in skill.effects if not effect.negated]
    if len(effects) != 1 or effects[0].predicate != "found":
        return None
    value = step.args.get(effects[0].terms[0][0])
    return None if value is None else str(value)


def _says_missing(result: Result, thing: str) -> bool:
    """Whether looking for a thing worked and it was not there."""
    return result.outcome is Outcome.POSTCONDITION or f"not found({thing})" in result.facts


def _earlier(a: float | None, b: float | None) -> float | None:
    return min((time for time in (a, b) if time is not None), default=None)
