"""The robot of a conversation: a planner_node that plans and acts, for `llm_ros.chat`.

In: a PlannerClient; `news(session, text, asks)`. Out: what `chat.Robot` asks for. A command's goal goes on after its
plan is known: how it ends, what it has to ask and what the robot says meanwhile become news of the session in which the
command was given. Stop reaches every goal of the planner, whoever sent it. Plans and answers wait in the threads of
jobs, news in one of their own, so no callback waits.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from llm_ros.msg import Execution as ExecutionMessage
from llm_ros.msg import Plan, StepReport
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup

from llm_ros import execution_conversions as convert
from llm_ros import qos
from llm_ros.calls import Call, CallError
from llm_ros.chat import DialogueLost, Planned
from llm_ros.chat.words import tell_end
from llm_ros.client import PlannerClient
from llm_ros.execution import Execution, Outcome
from llm_ros.execution.outcome import PlanStatus

_LOOK_EVERY_S = 0.5
_SERVICE_WAIT_S = 5.0


@dataclass(eq=False)
class _Task:
    """One command of a session, from its goal to the end of its execution."""

    session: str
    known: threading.Event = field(default_factory=threading.Event)
    plan: Plan | None = None
    begun: bool = False
    told: set = field(default_factory=set)
    call: Call | None = None


class PlannerRobot:
    """See the module. say_skill: whose texts are news; timeout: seconds to wait for the node."""

    def __init__(
        self, node, client: PlannerClient, timeout: float, say_skill: str, news: Callable[[str, str, bool], None]
    ):
        self._node, self._client, self._timeout, self._say_skill = node, client, timeout, say_skill
        self._lock = threading.Lock()
        self._tasks: list[_Task] = []
        self._view = Execution()
        self._asked = False
        self._news: queue.SimpleQueue = queue.SimpleQueue()
        group = MutuallyExclusiveCallbackGroup()
        namespace, _, _ = client.server.rpartition("/")
        topic = f"{namespace}/execution" if namespace else "execution"
        self._subscription = node.create_subscription(
            ExecutionMessage, topic, self._executed, qos.LATCHED, callback_group=group
        )
        self._teller = threading.Thread(target=self._tell, args=(news,), name="llm_ros.chat_news", daemon=True)
        self._teller.start()

    # What the conversation asks for

    def view(self) -> Execution:
        """What planner_node last said that it does."""
        return self._view

    def queued(self) -> list[str]:
        """Commands of all sessions that are planned and have not begun."""
        with self._lock:
            return [task.plan.command for task in self._tasks if task.plan is not None and not task.begun]

    def stop(self) -> None:
        """Cancels every goal of the planner, planned, queued or carried out; returns at once."""
        self._client.cancel_all()
        with self._lock:
            calls = [task.call for task in self._tasks if task.call is not None]
        for call in calls:  # those that the node has not accepted yet, too
            call.cancel()

    def pause(self, pause: bool) -> str:
        """Stops the robot where it is, or lets it go on. Raises CallError."""
        return self._client.pause(pause, _SERVICE_WAIT_S).error

    def confirm(self, confirm_id: int, accept: bool) -> str:
        """Answers the question of that id. Raises CallError."""
        return self._client.confirm(confirm_id, accept, _SERVICE_WAIT_S).error

    def plan(self, session: str, text: str, dialogue: str, job) -> Planned:
        """Sends a goal and waits for its plan; a stop of the job cancels it until then. Raises CallError,
        DialogueLost, Stopped."""
        self._client.wait_ready(self._timeout)
        task = _Task(session)
        with self._lock:
            self._tasks.append(task)
        task.call = self._client.plan(
            text,
            dialogue_id=dialogue,
            conversation=True,
            execute=True,
            on_feedback=lambda feedback: self._progress(task, feedback),
            on_done=lambda call: self._ended(task, call),
        )
        job.calls(task.call)
        while not task.known.wait(_LOOK_EVERY_S):
            task.call.look()
        job.calls(None)
        if task.plan is not None:
            return Planned(convert.planned_from_ros(task.plan), task.plan.dialogue_id, task.plan)
        job.check()
        error = task.call.error or f"{self._client.server}: the goal was {task.call.status}"
        if dialogue and error.startswith("dialogue_id"):
            raise DialogueLost(error)
        raise CallError(error, task.call.status)

    # What the planner says, in the executor

    def _progress(self, task: _Task, feedback) -> None:
        for plan in feedback.plan:
            task.plan = plan
            task.known.set()
            self._ask()
        for report in feedback.reports:
            task.begun = task.begun or report.status != StepReport.PENDING
            said = report.status == StepReport.DONE and report.step.skill == self._say_skill
            if said and report.index not in task.told:
                task.told.add(report.index)
                self._news.put(
                    (task.session, " ".join(arg.value for arg in report.step.args if arg.name == "text"), False)
                )

    def look(self) -> None:
        """To be called now and then: notices a planner that has gone away."""
        with self._lock:
            calls = [task.call for task in self._tasks if task.call is not None]
        for call in calls:
            call.look()

    def _ended(self, task: _Task, call: Call) -> None:
        with self._lock:
            self._tasks.remove(task)
        result = call.ending
        if task.plan is None and result is not None and result.plan.status != Plan.UNKNOWN:
            task.plan = result.plan
        if task.plan is not None and task.plan.status == Plan.PLANNED:
            outcome = result.outcome if result is not None else None
            end = Execution(
                outcome=Outcome(outcome.code) if outcome else Outcome.UNKNOWN,
                message=outcome.message if outcome and outcome.message else call.error,
                command=task.plan.command,
            )
            self._news.put((task.session, tell_end(end), False))
        task.known.set()

    def _executed(self, message: ExecutionMessage) -> None:
        self._view = convert.execution_from_ros(message)
        self._ask()

    def _ask(self) -> None:
        """Tells the question that is open, once, as soon as it is known whose command it belongs to."""
        view = self._view
        with self._lock:
            if view.status is not PlanStatus.CONFIRM:
                self._asked = False
            owners = [task.session for task in self._tasks if task.plan and task.plan.command == view.command]
            if self._asked or not owners or view.status is not PlanStatus.CONFIRM:
                return
            self._asked = True
        self._news.put((owners[0], view.question, True))

    # News

    def _tell(self, news) -> None:
        while (item := self._news.get()) is not None:
            try:
                news(*item)
            except Exception as error:  # one session must not cost the others their news
                self._node.get_logger().error(f"news for session {item[0]}: {type(error).__name__}: {error}")

    def close(self) -> None:
        """Hears and tells nothing any more; what the robot does goes on."""
        self._news.put(None)
        self._teller.join(timeout=5.0)
        self._node.destroy_subscription(self._subscription)


__all__ = ["PlannerRobot"]
