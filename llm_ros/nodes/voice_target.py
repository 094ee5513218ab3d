"""Who gets what voice_node hears: the planner, with its questions and confirmations, or nobody.

A target takes commands and "stop", and says its answers through `say(text, asks)`; `asks`: an answer is expected. All
methods return soon; `command` and `stop` are called by the thread that hears.
"""

from __future__ import annotations

import threading

from llm_ros.msg import Execution, Plan
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup

from llm_ros import qos
from llm_ros.client import CallError, PlannerClient
from llm_ros.voice.params import VoiceParams
from llm_ros.voice.phrases import spoken

_YES = frozenset("yes|yeah|yep|sure|okay|ok|of course|do it|go ahead|yes please|yes do it".split("|"))
_NO = frozenset("no|nope|no thanks|no thank you|do not|don't|no don't".split("|"))


class NoTarget:
    """Nobody: what is heard is published, no more."""

    def __init__(self, _node, _params: VoiceParams, _say):
        pass

    def command(self, text: str) -> None:
        """Nothing."""

    def stop(self) -> None:
        """Nothing."""

    def check(self) -> None:
        """Nothing. Called every second."""

    def close(self) -> None:
        """Nothing."""

    @property
    def count(self) -> int:
        """How many commands are being worked on."""
        return 0


class PlannerTarget(NoTarget):
    """A planner_node: plans, executions if the parameter `execute` says so, and its requests for a yes or no."""

    def __init__(self, node, params: VoiceParams, say):
        self._node, self._params, self._say = node, params, say
        self._client = PlannerClient(node, params.planner_node)
        self._lock = threading.Lock()
        self._calls: list = []
        self._stopping = False  # "stop" was said and not all calls have ended
        self._asked: Execution | None = None  # the newest confirmation that nobody has given yet
        self._running = False  # whether the robot carries out anybody's plan
        where = params.planner_node.rpartition("/")  # its topic is in its namespace
        self._subscription = node.create_subscription(
            Execution,
            f"{where[0]}{where[1]}execution",
            self._on_execution,
            qos.LATCHED,
            callback_group=MutuallyExclusiveCallbackGroup(),
        )

    @property
    def count(self) -> int:
        """How many commands are being planned or carried out."""
        return len(self._calls)

    def command(self, text: str) -> None:
        """Answers the question that is open, or plans."""
        asked = self._asked
        said = " ".join(spoken(text))
        try:
            if asked is not None and said in _YES | _NO:
                self._confirm(asked, said in _YES)
                return
            self._client.wait_ready(self._params.planner_wait)
            with self._lock:
                self._calls.append(self._client.plan(text, execute=self._params.execute, on_done=self._on_done))
        except CallError as error:
            self._say(str(error))

    def _confirm(self, asked, yes):
        self._asked = None
        answer = self._client.confirm(asked.confirm_id, yes, self._params.planner_wait)
        if not answer.success:
            self._say(answer.error)

    def stop(self) -> None:
        """Cancels what was asked for here; if that is nothing, the robot is paused, whoever let it move."""
        with self._lock:
            calls, self._stopping = list(self._calls), bool(self._calls)
        for call in calls:
            call.cancel()
        if calls:
            return  # what has become of them is said when they have ended
        if not self._running:
            self._say("There is nothing to stop.")
            return
        try:
            answer = self._client.pause(timeout=self._params.planner_wait)
            self._say("Paused." if answer.success else answer.error)
        except CallError as error:
            self._say(str(error))

    def check(self) -> None:
        """Notices a planner that has gone."""
        for call in list(self._calls):
            call.check()

    def close(self) -> None:
        """Cancels what was asked for here and frees the ROS entities."""
        calls = list(self._calls)
        for call in calls:
            call.cancel()
        for call in calls:
            call.wait(1.0)  # a client that is destroyed at once takes its request along
        self._node.destroy_subscription(self._subscription)
        self._client.destroy()

    def _on_execution(self, message):
        self._running = message.status in (Execution.RUNNING, Execution.CONFIRM)
        if message.status != Execution.CONFIRM:
            self._asked = None
        elif self._asked is None or self._asked.confirm_id != message.confirm_id:
            self._asked = message
            self._say(message.question, asks=True)

    def _on_done(self, call):
        with self._lock:
            self._calls = [other for other in self._calls if other is not call]
            stopped = self._stopping and not self._calls
            self._stopping = self._stopping and not stopped
        try:
            plan = call.result(0.0).plan
        except CallError as error:
            if error.status != "cancelled":
                self._say(f"That did not work: {error}")
            elif stopped:
                self._say("Stopped.")
            return
        self._say(answer_text(plan, self._params.execute), asks=plan.status == Plan.CLARIFY)


def answer_text(plan: Plan, executed: bool) -> str:
    """What to say about a plan: the refusal, the question, that it is done, or what would be done."""
    if plan.status == Plan.REFUSED:
        return f"Sorry. {plan.reason}"
    if plan.status == Plan.CLARIFY:
        return plan.question
    if executed:
        return "Done."
    steps = [" ".join(spoken(" ".join([step.skill, *(arg.value for arg in step.args)]))) for step in plan.steps]
    return f"I would {', then '.join(steps)}." if steps else "There is nothing to do."


TARGETS = {"planner": PlannerTarget, "none": NoTarget}
