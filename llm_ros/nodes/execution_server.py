"""What a node needs to carry plans out: the queue of plans, the action ExecutePlan, pause, confirm, and what it shows.

In: an `Executor` and a node. Out: goals of `~/execute_plan` (and plans of the node's own, `submit`), one at a time in
the order in which they came; the latched topic `execution` with everything that a screen shows. Plans wait in a queue
of `max_queue`; a thread carries them out.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from llm_ros.action import ExecutePlan
from llm_ros.msg import Execution as ExecutionMessage
from llm_ros.srv import Confirm, Pause
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup

from llm_core.errors import RequestError
from llm_ros import conversions as convert
from llm_ros import execution_conversions as execution
from llm_ros import qos
from llm_ros.execution import Execution, Executor, Outcome, StepFeed
from llm_ros.nodes.action_server import ABORT, CANCELED, SUCCEED, DeferredActionServer


@dataclass(eq=False)
class PlanJob:
    """A plan that waits or runs. `changed(view)` and `ended(view)` are called in the executing thread."""

    feed: StepFeed
    command: str
    deadline: float | None
    changed: Callable[[Execution], None]
    ended: Callable[[Execution], None]
    run: object = field(default=None)
    stopped: tuple[str, Outcome] | None = field(default=None)


class ExecutionServer:
    """See the module."""

    def __init__(self, node, executor: Executor, max_queue: int):
        self._node, self.executor, self._max_queue = node, executor, max_queue
        self._waiting: deque[PlanJob] = deque()
        self._current: PlanJob | None = None
        self._goals: dict[bytes, PlanJob] = {}
        self._changed = threading.Condition()
        self._closed = False
        group = MutuallyExclusiveCallbackGroup()
        name = node.get_name()
        self._publisher = node.create_publisher(ExecutionMessage, "execution", qos.LATCHED)
        node.create_service(Pause, "~/pause", self._pause, callback_group=group)
        node.create_service(Confirm, "~/confirm", self._confirm, callback_group=group)
        self._server = DeferredActionServer(
            node,
            ExecutePlan,
            f"{name}/execute_plan",
            self._start,
            self._cancel,
            callback_group=MutuallyExclusiveCallbackGroup(),
        )
        self._worker = threading.Thread(target=self._work, name="llm_ros.execution", daemon=True)
        self._worker.start()
        self._publish(Execution())

    def submit(self, feed: StepFeed, command: str, deadline: float | None, changed, ended) -> PlanJob:
        """Queues a plan. Raises RequestError if too many wait."""
        job = PlanJob(feed, command, deadline, changed, ended)
        with self._changed:
            if len(self._waiting) >= self._max_queue + (self._current is None):
                raise RequestError(f"{len(self._waiting)} plans are waiting, no more are taken")
            self._waiting.append(job)
            self._changed.notify()
        return job

    def stop(self, job: PlanJob, why: str, outcome: Outcome = Outcome.CANCELED) -> None:
        """Ends a plan early, waiting or running; returns at once."""
        with self._changed:
            waiting = job in self._waiting
            if waiting:
                self._waiting.remove(job)
            job.stopped = job.stopped or (why, outcome)
            run = job.run
        if waiting:
            job.ended(Execution(command=job.command, outcome=outcome, message=why))
        elif run is not None:
            run.cancel(why, outcome)

    # Goals

    def _start(self, handle):
        goal = handle.request
        try:
            steps = execution.steps_from_ros(goal.steps, self.executor.skills)
            deadline = convert.deadline_from_ros(goal.deadline)
            job = self.submit(
                StepFeed.of(steps),
                goal.command,
                deadline,
                lambda view: self._feedback(handle, view),
                lambda view: self._end(handle, view),
            )
        except RequestError as error:
            self._node.get_logger().warning(f"execute_plan: {error}")
            outcome = execution.outcome_to_ros(Outcome.INVALID, str(error))
            self._server.finish(handle, ABORT, ExecutePlan.Result(outcome=outcome, error=str(error)))
            return
        self._goals[bytes(handle.goal_id.uuid)] = job

    def _cancel(self, handle):
        job = self._goals.get(bytes(handle.goal_id.uuid))
        if job is not None:
            self.stop(job, "cancelled by the client")

    def _feedback(self, handle, view: Execution) -> None:
        for index in view.changed:
            handle.publish_feedback(
                ExecutePlan.Feedback(
                    step=execution.report_to_ros(view.reports[index], index),
                    n_steps=len(view.reports),
                    time_left=float(view.time_left),
                )
            )

    def _end(self, handle, view: Execution) -> None:
        self._goals.pop(bytes(handle.goal_id.uuid), None)
        result = ExecutePlan.Result(
            outcome=execution.outcome_to_ros(view.outcome, view.message), steps=execution.reports_to_ros(view)
        )
        if not view.succeeded:
            result.error = result.outcome.message or view.outcome.name.lower()
        self._server.finish(handle, end_state(view), result)

    # Work

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if self._closed:
                    return
                job = self._current = self._waiting.popleft()

            def changed(view, job=job):
                self._publish(view)
                job.changed(view)

            try:
                run = self.executor.begin(job.feed, job.command, job.deadline, changed)
                with self._changed:
                    job.run = run
                    stopped = job.stopped
                if stopped is not None:
                    run.cancel(*stopped)
                view = run.run()
            except Exception as error:  # one plan must not cost the next ones
                self._node.get_logger().error(f"execution failed unexpectedly: {type(error).__name__}: {error}")
                view = Execution(outcome=Outcome.EXECUTION, message=f"internal error: {type(error).__name__}: {error}")
            with self._changed:
                self._current = None
            self._node.get_logger().info(f"executed: {view.outcome.name.lower()} {view.message}".rstrip())
            job.ended(view)

    def _publish(self, view: Execution) -> None:
        message = execution.execution_to_ros(view)
        message.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(message)

    # Services

    def _run(self):
        with self._changed:
            return self._current.run if self._current is not None else None

    def _pause(self, request, response):
        run = self._run()
        if run is None:
            response.error = "nothing is being carried out"
        elif not (run.pause() if request.pause else run.resume()):
            response.error = "it is paused already" if request.pause else "it is not paused"
        response.success = not response.error
        return response

    def _confirm(self, request, response):
        run = self._run()
        if run is None or not run.confirm(request.confirm_id, request.accept):
            response.error = f"confirm_id = {request.confirm_id}: no such question is open"
        response.success = not response.error
        return response

    def close(self) -> None:
        """Stops the robot, ends all plans and the thread."""
        with self._changed:
            self._closed = True
            jobs = [*self._waiting, *filter(None, [self._current])]
            self._changed.notify_all()
        for job in jobs:
            self.stop(job, "the node was shut down")
        self._worker.join(timeout=5.0)


def end_state(view: Execution) -> str:
    """How a goal ends whose plan ended like this. A cancel that nobody asked this goal for ends as aborted."""
    if view.succeeded:
        return SUCCEED
    return CANCELED if view.outcome is Outcome.CANCELED else ABORT


__all__ = ["ExecutionServer", "PlanJob", "end_state"]
