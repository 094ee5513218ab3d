"""Who gets what voice_node hears: the planner with its questions and confirmations, a conversation, or nobody.

A target takes commands and "stop", and says its answers through `say(text, asks)`; `asks`: an answer is expected. All
methods return soon; `command` and `stop` are called by the thread that hears.
"""

from __future__ import annotations

import threading

from llm_ros.msg import Execution, Plan
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup

from llm_ros import qos
from llm_ros.chat.control import NO, YES, control
from llm_ros.chat.words import tell_plan
from llm_ros.client import CallError, ChatClient, PlannerClient
from llm_ros.execution_conversions import execution_from_ros, plain_step_from_ros
from llm_ros.voice.params import VoiceParams


class NoTarget:
    """Nobody: what is heard is published, no more."""

    def __init__(self, node, params: VoiceParams, say):
        self._node, self._params, self._say = node, params, say
        self._lock = threading.Lock()
        self._calls: list = []

    @property
    def count(self) -> int:
        """How many commands are being worked on."""
        return len(self._calls)

    def command(self, text: str) -> None:
        """Something to do, without wake word."""

    def stop(self, text: str) -> None:
        """Everything is to end; `text`: how that was said."""

    def check(self) -> None:
        """Notices a server that has gone. Called every second."""
        for call in list(self._calls):
            call.look()

    def close(self) -> None:
        """Frees the ROS entities."""

    def _call(self, begin) -> None:
        """Keeps the call that begin() makes until it ends."""
        with self._lock:
            self._calls.append(begin())

    def _ended(self, call) -> None:
        with self._lock:
            self._calls = [other for other in self._calls if other is not call]


class PlannerTarget(NoTarget):
    """A planner_node: plans, executions if the parameter `execute` says so, its questions, what it wants confirmed."""

    def __init__(self, node, params: VoiceParams, say):
        super().__init__(node, params, say)
        self._client = PlannerClient(node, params.planner_node)
        self._stopping = False  # "stop" was said, and something has not ended yet
        self._dialogue = ""  # the planner's question that is open
        self._state = Execution()  # what the robot does, whoever let it
        self._asked: Execution | None = None  # the confirmation that nobody has given yet
        namespace, _, _ = params.planner_node.rpartition("/")
        self._subscription = node.create_subscription(
            Execution,
            f"{namespace}/execution" if namespace else "execution",
            self._on_execution,
            qos.LATCHED,
            callback_group=MutuallyExclusiveCallbackGroup(),
        )

    def command(self, text: str) -> None:
        """Answers the question that is open, or plans."""
        asked, dialogue = self._asked, self._dialogue
        answer = control(text, execution_from_ros(asked)) if asked is not None else None
        try:
            if answer in (YES, NO):
                self._confirm(asked, answer == YES)
                return
            self._client.wait_ready(self._params.planner_wait)
            self._plan(text, dialogue)
        except CallError as error:
            self._say(str(error))

    def _plan(self, text, dialogue):
        self._dialogue, execute = "", self._params.execute

        def done(call):
            self._ended(call)
            if dialogue and call.error.startswith("dialogue_id"):  # too late for an answer: it is a command
                self._plan(text, "")
            else:
                self._answer(call)

        def tell(feedback):
            for plan in feedback.plan:
                self._say("All right." if plan.status == Plan.PLANNED else "")

        self._call(
            lambda: self._client.plan(text, dialogue_id=dialogue, execute=execute, on_feedback=tell, on_done=done)
        )

    def _answer(self, call):
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
        if plan.status == Plan.CLARIFY:
            self._dialogue = plan.dialogue_id
        self._say(answer_text(plan, self._params.execute), asks=plan.status == Plan.CLARIFY)

    def _confirm(self, asked, yes):
        self._asked = None
        answer = self._client.confirm(asked.confirm_id, yes, self._params.planner_wait)
        if not answer.success:
            self._say(answer.error)

    def stop(self, text: str) -> None:
        """Cancels every goal of the planner, whoever sent it. What has become of them is said when they have ended."""
        self._dialogue, busy = "", bool(self._calls) or self._state.status != Execution.IDLE
        self._stopping = busy
        self._client.cancel_all()
        for call in list(self._calls):  # those that the planner has not accepted yet, too
            call.cancel()
        if not busy:
            self._say("There is nothing to stop.")

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
        self._state = message
        if message.status != Execution.CONFIRM:
            self._asked = None
        elif self._asked is None or self._asked.confirm_id != message.confirm_id:
            self._asked = message
            self._say(message.question, asks=True)
        if message.status == Execution.IDLE and self._stopping and not self._calls:
            self._stopping = False
            self._say("Stopped.")


class ChatTarget(NoTarget):
    """A chat_node: everything is a turn of one conversation, and what the robot says in it is said aloud."""

    def __init__(self, node, params: VoiceParams, say):
        super().__init__(node, params, say)
        self._client = ChatClient(node, params.chat_node)
        self._subscription = self._client.listen(self._on_turn)

    def command(self, text: str) -> None:
        """A turn. Its reply comes by the topic, as the news does."""
        try:
            self._client.wait_ready(self._params.planner_wait)
            self._call(lambda: self._client.chat(text, session_id=self._params.session, on_done=self._answer))
        except CallError as error:
            self._say(str(error))

    def stop(self, text: str) -> None:
        """A turn like others: chat_node obeys it at once."""
        self.command(text)

    def close(self) -> None:
        """Frees the ROS entities; the conversation stays."""
        for call in list(self._calls):
            call.wait(1.0)
        self._node.destroy_subscription(self._subscription)
        self._client.destroy()

    def _on_turn(self, turn):
        if turn.session_id == self._params.session and turn.role == "assistant":
            self._say(turn.text, asks=turn.asks)

    def _answer(self, call):
        self._ended(call)
        try:
            call.result(0.0)
        except CallError as error:
            if error.status != "cancelled":
                self._say(f"That did not work: {error}")


def answer_text(plan: Plan, executed: bool) -> str:
    """What to say about a plan: the refusal, the question, that it is done, or what would be done."""
    if plan.status == Plan.REFUSED:
        return f"Sorry. {plan.reason}"
    if plan.status == Plan.CLARIFY:
        return plan.question
    if not plan.steps:
        return "There is nothing to do."
    return "Done." if executed else tell_plan(list(map(plain_step_from_ros, plan.steps)), begin="I would")


TARGETS = {"planner": PlannerTarget, "chat": ChatTarget, "none": NoTarget}
