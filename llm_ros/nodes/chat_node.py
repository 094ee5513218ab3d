"""chat_node: conversations with the robot, as a lifecycle node between people, llm_node and planner_node.

It holds no model and plans nothing: what is said goes to `llm_ros.chat`, which decides; llm_node talks, planner_node
acts. Configure opens the sessions, activate serves, deactivate turns new turns away. Each turn has a thread of its own
(jobs.py), so a "stop" waits for nothing. Every turn is published on the topic `chat`, also what the robot says by
itself.
"""

from __future__ import annotations

import os
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticArray
from llm_ros.action import Chat
from llm_ros.msg import ChatTurn, Plan
from llm_ros.srv import ChatSession
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup

from llm_core.errors import LLMCoreError, RequestError
from llm_ros import conversions as convert
from llm_ros import qos
from llm_ros.chat import Conversation, SessionStore
from llm_ros.client import LLMClient, PlannerClient
from llm_ros.nodes.action_server import ABORT
from llm_ros.nodes.chat_model import NodeModel
from llm_ros.nodes.chat_robot import PlannerRobot
from llm_ros.nodes.diagnostics import chat_status, diagnostic_array
from llm_ros.nodes.goal_server import GoalServer
from llm_ros.nodes.jobs import Job, Jobs
from llm_ros.nodes.lifecycle import LifecycleNode
from llm_ros.nodes.run import run_node
from llm_ros.params import ChatParams, ServingParams, StartParams, read

DEFAULT_SESSION = "default"


def sessions_folder(chosen: str) -> Path:
    """Where conversations are kept: `chosen`, or llm_ros/chat in the user's state folder (XDG_STATE_HOME)."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(chosen).expanduser() if chosen else Path(state) / "llm_ros" / "chat"


class ChatNode(LifecycleNode):
    """See the module. Raises ParameterError for parameters that cannot be used."""

    GROUPS = (ChatParams, ServingParams, StartParams)
    FIXED = (ChatParams,)

    def __init__(self, name: str = "chat_node", **node_options):
        super().__init__(name, **node_options)
        self._jobs = Jobs()
        self._remotes: list = []
        self._robot: PlannerRobot | None = None
        self._conversation: Conversation | None = None
        self._publisher = self.create_publisher(ChatTurn, "chat", qos.TURNS)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._server = GoalServer(self, Chat, f"{self.get_name()}/chat", self._begin)
        self.create_service(ChatSession, "~/session", self._session, callback_group=MutuallyExclusiveCallbackGroup())
        self.create_timer(1.0, self._every_second, callback_group=MutuallyExclusiveCallbackGroup())

    # Lifecycle

    def _load(self):
        params = read(self, ChatParams)
        log = self.get_logger().warning
        store = SessionStore(sessions_folder(params.sessions_folder), params.max_sessions, params.max_turns, log=log)
        llm = LLMClient(self, params.llm_node)
        self._remotes = [llm]
        if params.planner_node:
            planner = PlannerClient(self, params.planner_node)
            self._remotes.append(planner)
            self._robot = PlannerRobot(self, planner, params.planner_timeout, params.say_skill, self._news)
        self._conversation = Conversation(
            store,
            NodeModel(llm, params.max_tokens, params.llm_timeout),
            self._robot,
            params.system,
            params.context_tokens,
            self._publish,
            log,
        )
        self.get_logger().info(f"conversations are kept in {store.folder}")

    def _stop_serving(self):
        grace = read(self, ServingParams).grace_period
        if not self._jobs.drain(grace):
            count = self._jobs.stop_all(f"{self.get_name()} was deactivated and it took longer than {grace:g} s to end")
            self._jobs.drain(10.0)
            self.get_logger().warning(f"aborted {count} turns")

    def _free(self):
        self._jobs.stop_all(f"{self.get_name()} was shut down")
        self._jobs.drain(10.0)
        robot, self._robot, self._conversation = self._robot, None, None
        clients, self._remotes = self._remotes, []
        if robot is not None:
            robot.close()
        for client in clients:
            client.destroy()

    # Turns

    def _begin(self, goal, on_feedback, on_done):
        name = goal.session_id or DEFAULT_SESSION
        said: list[str] = []

        def on_text(piece):
            said.append(piece)
            on_feedback(Chat.Feedback(text=convert.safe_text(piece)))

        def done(state, reply, error):
            result = Chat.Result(error=error)
            result.turn = ChatTurn(session_id=name, role="assistant", stamp=self.get_clock().now().to_msg())
            result.turn.text = convert.safe_text(reply.text if reply else "".join(said))
            if reply is not None:
                _fill(result.turn, reply)
                result.plan = (reply.planned and reply.planned.message) or Plan()
            on_done(state, result, error)

        try:
            self.check_active()
            conversation, params = self._conversation, read(self, ChatParams)
            if self._jobs.count >= params.max_chats and not conversation.is_control(goal.text):
                raise RequestError(f"{self._jobs.count} turns are being answered, no more are taken")
            job = Job(
                lambda job: conversation.hear(name, goal.text, job, on_text),
                done,
                convert.deadline_from_ros(goal.deadline),
            )
        except LLMCoreError as error:
            done(ABORT, None, str(error))
            return None
        job.start(self._jobs)
        return job

    def _publish(self, name, turn, reply):
        message = ChatTurn(session_id=name, role=turn.role, text=convert.safe_text(turn.text))
        message.stamp = self.get_clock().now().to_msg()
        message.kind = _KINDS[turn.kind]
        if reply is not None:
            _fill(message, reply)
        self._publisher.publish(message)

    def _news(self, name, text, asks):
        conversation = self._conversation
        if conversation is not None:
            conversation.news(name, text, asks)

    def _session(self, request, response):
        conversation = self._conversation
        try:
            if conversation is None:
                raise RequestError(f"{self.get_name()} is {self.state}: configure it first")
            store, name = conversation.store, request.session_id
            if name:
                response.turns = [_stored(name, turn) for turn in store.find(name).turns]
            if name and request.forget:
                store.forget(name)
            response.sessions = store.names()
        except (LLMCoreError, OSError) as error:
            response.error = str(error)
        response.success = not response.error
        return response

    def _every_second(self):
        self._server.drop_orphans()
        robot, conversation = self._robot, self._conversation
        if robot is not None:
            robot.look()
        sessions = len(conversation.store.names()) if conversation is not None else 0
        status = chat_status(self.get_name(), self.state, self._jobs.count, sessions)
        self._diagnostics.publish(diagnostic_array(self.get_clock().now().to_msg(), status))


_KINDS = {"talk": ChatTurn.TALK, "control": ChatTurn.CONTROL, "task": ChatTurn.TASK, "news": ChatTurn.NEWS}


def _fill(message: ChatTurn, reply) -> None:
    message.kind, message.asks = _KINDS[reply.kind], reply.asks
    message.choices = [convert.safe_text(choice) for choice in reply.choices]


def _stored(name: str, turn) -> ChatTurn:
    message = ChatTurn(session_id=name, role=turn.role, text=convert.safe_text(turn.text), kind=_KINDS[turn.kind])
    message.stamp.sec, message.stamp.nanosec = int(turn.stamp), int(turn.stamp % 1 * 1e9)
    return message


def main(args=None) -> int:
    """Entry point of the executable `chat_node`."""
    return run_node(ChatNode, args)


if __name__ == "__main__":
    raise SystemExit(main())
