"""planner_node: commands in, checked plans out, over the llm_node that it calls for the words; and plans carried out.

Goals of PlanTask are planned one at a time, in the order in which they came; up to `max_queue` wait. A plan is
published on the latched topic `plan` before its goal succeeds. A question waits as a dialogue for the goal that
answers it. How the world is changed: world_server.py. All planning
is in llm_ros.planner, all execution in llm_ros.execution; this node converts, queues and publishes.
"""

from __future__ import annotations

import threading
import time
from collections import deque

from llm_ros.action import PlanTask
from llm_ros.msg import Domain, Plan
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node

from llm_core.errors import LLMCoreError, RequestError
from llm_ros import conversions as convert
from llm_ros import execution_conversions as execution
from llm_ros import qos
from llm_ros.adapters import PLAIN
from llm_ros.client import CallError, LLMClient
from llm_ros.execution import Executor, Knowledge, Limits, Outcome, Patience, StepFeed
from llm_ros.nodes.action_server import ABORT, CANCELED, SUCCEED, DeferredActionServer
from llm_ros.nodes.execution_server import ExecutionServer, end_state
from llm_ros.nodes.export_server import ExportServer
from llm_ros.nodes.ros_robot import RosRobot
from llm_ros.nodes.run import run_node
from llm_ros.nodes.world_server import WorldServer, files
from llm_ros.params import ExecutionParams, ParameterError, PlannerParams, declare, read
from llm_ros.plan_conversions import plan_lines, plan_to_ros, step_to_ros
from llm_ros.planner import ConfigError, Planner
from llm_ros.planner.dialogues import Dialogues
from llm_ros.planner.generator import DRAWN, HEAT
from llm_ros.planner.inquiry import Inquiry
from llm_ros.planner.rewrite import Written

REWRITE_WAIT_S = 5.0


class Job:
    """One goal: waits, is planned, ends. `stop` ends it early from any thread; its first reason counts."""

    def __init__(self, handle, deadline: float | None, inquiry: Inquiry | None):
        """inquiry: the question that the goal's command answers."""
        self.handle, self.command, self.inquiry = handle, handle.request.command, inquiry
        self.begun = time.monotonic()
        self._lock = threading.Lock()
        self._call = None
        self.feed, self.execution, self.plan = StepFeed(), None, None
        self.on_stop = lambda state, why: None
        self.stopped: tuple[str, str] | None = None  # end state, why
        self._timer = None
        if deadline is not None:
            self._timer = threading.Timer(deadline, self.stop, (ABORT, f"the deadline of {deadline:g} s has passed"))
            self._timer.daemon = True
            self._timer.start()

    def stop(self, state: str, why: str) -> None:
        """Ends it as `state`: at once where the model writes, else before the next thing is done for it."""
        with self._lock:
            self.stopped = self.stopped or (state, why)
            call = self._call
        if call is not None:
            call.cancel()
        self.on_stop(*self.stopped)

    def calls(self, call) -> None:
        """Notes the call that now works for it."""
        with self._lock:
            self._call = call
            stopped = self.stopped
        if stopped:
            call.cancel()

    def ended(self) -> None:
        """No deadline any more."""
        if self._timer is not None:
            self._timer.cancel()


class PlannerNode(Node):
    """See the module. Raises ParameterError for parameters or files that cannot be used."""

    def __init__(self, name: str = "planner_node", **node_options):
        super().__init__(name, **node_options)
        declare(self, PlannerParams, ExecutionParams)
        self._params = read(self, PlannerParams)
        self._client = LLMClient(self, self._params.llm_node)
        self._lora = self._params.adapters()
        self._knowledge = self._know()
        self._dialogues = Dialogues(self._params.max_dialogues, self._params.dialogue_timeout)
        self._waiting: deque[Job] = deque()
        self._jobs: list[Job] = []  # all that have not ended: waiting, planned, carried out
        self._changed = threading.Condition()
        self._current: Job | None = None
        self._closed = False
        self._publisher = self.create_publisher(Plan, "plan", qos.LATCHED)
        limits = read(self, ExecutionParams)
        self._robot = RosRobot(self, lambda: self._knowledge.world, limits.server_wait)
        executor = Executor(
            self._knowledge.skills,
            self._knowledge.world,
            self._robot,
            Limits(places=limits.max_places),
            Patience(limits.confirm_timeout, limits.cancel_timeout),
        )
        self._domain = self.create_publisher(Domain, "~/domain", qos.LATCHED)
        self._knowledge.share(executor, self._tell_domain)
        self._execution = ExecutionServer(self, executor, self._params.max_queue)
        self._world_server = WorldServer(self, self._knowledge)
        self._export_server = ExportServer(self, self._knowledge)
        self._server = DeferredActionServer(
            self,
            PlanTask,
            f"{self.get_name()}/plan_task",
            self._start,
            self._cancel,
            callback_group=MutuallyExclusiveCallbackGroup(),
        )
        self._worker = threading.Thread(target=self._work, name="llm_ros.planner", daemon=True)
        self._worker.start()

    def _make_planner(self, skills, world) -> Planner:
        how = self._params.rewrite
        rewrite = None if how == "off" else self._rewrite
        return Planner(self._generate, skills, world, rewrite=rewrite, trained=how != "model")

    def _tell_domain(self):
        self._domain.publish(Domain(skills=self._knowledge.skills_yaml, world=self._knowledge.file.yaml()))

    def _know(self) -> Knowledge:
        """What the files say now. Raises ParameterError."""
        paths = files(self)
        try:
            knowledge = Knowledge(self._make_planner, **paths)
        except (ConfigError, OSError) as error:
            named = ", ".join(f"{name}_file = {path!r}" for name, path in paths.items())
            raise ParameterError(f"{named}: {error}") from error
        self.get_logger().info(f"planning over {len(knowledge.skills)} skills of {paths['skills']}, {paths['world']}")
        return knowledge

    # Goals

    def _start(self, handle):
        try:
            if not handle.request.command.strip():
                raise RequestError("command is empty")
            dialogue = handle.request.dialogue_id
            inquiry = self._dialogues.get(dialogue)
            if dialogue and inquiry is None:
                raise RequestError(f"dialogue_id = {dialogue[:60]!r}: no such question is open (any more)")
            job = Job(handle, convert.deadline_from_ros(handle.request.deadline), inquiry)
            with self._changed:
                if len(self._waiting) >= self._params.max_queue + (self._current is None):
                    job.ended()
                    raise RequestError(f"{len(self._waiting)} goals are waiting, no more are taken")
                self._waiting.append(job)
                self._jobs.append(job)
                self._changed.notify()
        except RequestError as error:
            self.get_logger().warning(f"plan_task: {error}")
            self._server.finish(handle, ABORT, PlanTask.Result(error=str(error)))

    def _cancel(self, handle):
        with self._changed:
            jobs = [job for job in self._jobs if job.handle == handle]
        for job in jobs:
            job.stop(CANCELED, "cancelled by the client")
            self._end_if_waiting(job)

    def _end_if_waiting(self, job):
        with self._changed:
            if job not in self._waiting:
                return
            self._waiting.remove(job)
        self._end(job, *job.stopped)

    def _work(self):
        """The planning thread: one job after the other."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if self._closed:
                    return
                self._current = self._waiting.popleft()
            job = self._current
            try:
                self._plan(job)
            except LLMCoreError as error:
                self._fail(job, *(job.stopped or (ABORT, str(error))))
            except Exception as error:  # one command must not cost the next ones
                self.get_logger().error(f"planning failed unexpectedly: {type(error).__name__}: {error}")
                self._fail(job, ABORT, f"internal error: {type(error).__name__}: {error}")
            finally:
                with self._changed:
                    self._current = None

    def _fail(self, job, state, error):
        """Ends a job that could not be planned to its end; what the robot has begun of it is stopped first."""
        if job.execution is None:
            self._end(job, state, error)
        else:
            job.feed.fail(error)

    def _plan(self, job):
        self.get_logger().info(f"planning: {job.command[:200]!r}")

        def feedback(**fields):
            job.handle.publish_feedback(PlanTask.Feedback(**fields))

        def on_step(step):
            feedback(steps=[step_to_ros(step)])
            job.feed.put(step)
            if job.handle.request.execute and job.execution is None:
                self._execute(job, feedback)

        planner = self._knowledge.planner()
        outcome = job.command if job.inquiry is None else planner.answered(job.inquiry, job.command)

        def cancelled():
            return job.stopped is not None

        if isinstance(outcome, str):
            job.command = outcome
            if job.handle.request.conversation and not planner.is_task(outcome, cancelled):
                self._end(job, SUCCEED, "", Plan(command=outcome, status=Plan.TALK))
                return
            outcome = planner.plan(
                outcome,
                cancelled=cancelled,
                on_text=lambda piece: feedback(text=convert.safe_text(piece)),
                on_step=on_step,
            )
        self._planned(job, outcome, feedback)

    def _planned(self, job, plan, feedback):
        """Publishes what became of a command, and ends the goal or the feed of its execution."""
        if job.stopped is not None:
            if job.execution is None:
                self._end(job, *job.stopped)
            else:
                job.feed.fail(job.stopped[1])
            return
        message = plan_to_ros(plan, job.command)
        message.stamp = self.get_clock().now().to_msg()
        message.duration = time.monotonic() - job.begun
        message.dialogue_id = self._asked(plan, job.handle.request.dialogue_id)
        self._publisher.publish(message)
        self._export_server.note(message)
        self.get_logger().info(f"planned in {message.duration:.2f} s: {'; '.join(plan_lines(message))}")
        if job.execution is None:
            self._end(job, SUCCEED, "", message)
            return
        job.plan = message
        feedback(plan=[message])
        if plan.status == "plan":
            job.feed.close()
        else:
            job.feed.fail(plan.message)

    def _asked(self, plan, dialogue: str) -> str:
        """Keeps a dialogue open while there is something to answer; returns its id."""
        if plan.status == "clarify":
            return self._dialogues.ask(plan.inquiry, dialogue)
        self._dialogues.close(dialogue)
        return ""

    def _execute(self, job, feedback):
        """Lets the robot begin with the steps that there are; the end of the execution is the end of the goal."""

        def changed(view):
            reports = [execution.report_to_ros(view.reports[index], index) for index in view.changed]
            feedback(reports=reports)

        def ended(view):
            self._forget(job)
            plan = job.plan or Plan(command=job.command)
            result = PlanTask.Result(
                plan=plan,
                outcome=execution.outcome_to_ros(view.outcome, view.message),
                reports=execution.reports_to_ros(view),
                error="" if view.succeeded else view.message or view.outcome.name.lower(),
            )
            state, result.error = job.stopped or (end_state(view), result.error)
            self._server.finish(job.handle, state, result)

        job.execution = self._execution.submit(job.feed, job.command, None, changed, ended)
        job.on_stop = lambda state, why: self._execution.stop(
            job.execution, why, Outcome.CANCELED if state == CANCELED else Outcome.TIMEOUT
        )
        if job.stopped is not None:
            job.on_stop(*job.stopped)

    def _forget(self, job):
        job.ended()
        with self._changed:
            self._jobs.remove(job)

    def _end(self, job, state, error, plan=None):
        self._forget(job)
        if error:
            self.get_logger().warning(f"plan_task: {error}")
        self._server.finish(job.handle, state, PlanTask.Result(plan=plan or Plan(command=job.command), error=error))

    def _rewrite(self, messages, grammar, max_tokens, on_text, cancelled, seed=None) -> str | None:
        """What puts unclear commands into plain words: None where there is no llm_node, or none with an adapter for
        that. Raises CallError."""
        how = self._params.rewrite
        try:
            self._client.wait_ready(min(self._params.llm_timeout, REWRITE_WAIT_S), cancelled=cancelled)
        except CallError:  # without a model there is still the question that the command leaves
            return None
        if how == "auto" and PLAIN not in {adapter.name for adapter in self._client.model_info().lora}:
            return None
        if how == "model":
            return self._generate(messages, grammar, max_tokens, on_text, cancelled)
        lora = (PLAIN if how == "auto" else how,)
        drawn = {} if seed is None else {"temp": HEAT, "seed": seed, **DRAWN}
        return self._generate(messages, grammar, max_tokens, on_text, cancelled, lora, n_probs=0, **drawn)

    def _generate(self, messages, grammar, max_tokens, on_text, cancelled, lora=None, **more) -> str:
        """The planner's text generator: under the grammar, by the llm_node, greedy unless `more` says otherwise; tells
        how sure the model was where that is asked for. Raises CallError."""
        job = self._current
        params = self._params
        self._client.wait_ready(params.llm_timeout, cancelled=cancelled)
        lora = self._lora if lora is None else lora
        sampling = {"temp": 0.0, **more}
        call = self._client.chat(messages, lora=lora, max_tokens=max_tokens, grammar_lark=grammar, **sampling)
        job.calls(call)
        pieces, probs = [], ()
        try:
            for piece in call.text():
                pieces.append(piece)
                on_text(piece)
            probs = call.result(timeout=0).response.probs
        except CallError:
            if not cancelled():
                raise
        finally:
            call.cancel()
        return Written("".join(pieces), sum(one.chosen.logprob for one in probs))

    def close(self) -> None:
        """Aborts all goals, and ends the planning thread."""
        with self._changed:
            self._closed = True
            waiting, current = list(self._waiting), self._current
            self._waiting.clear()
            self._changed.notify_all()
        if current is not None:
            current.stop(ABORT, "planner_node was shut down")
        for job in waiting:
            self._end(job, ABORT, "planner_node was shut down")
        self._execution.close()
        self._worker.join(timeout=5.0)
        self._robot.destroy()


def main(args=None) -> int:
    """Entry point of the executable `planner_node`."""
    return run_node(PlannerNode, args)


if __name__ == "__main__":
    raise SystemExit(main())
