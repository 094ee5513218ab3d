"""Clients of llm_node, planner_node, vqa_node and chat_node: one handle object per goal, for scripts and other nodes.

`LLMClient(node)` needs a node that somebody spins; `connect()` gives scripts one that is spun in a thread. A call
returns a handle at once: iterate it for the feedback, `result(timeout)` for the result, `cancel()`. Nothing here spins,
so it can be used in any node; `result` and iteration block, so never inside a callback (there: `on_feedback`,
`on_done`).
"""

from __future__ import annotations

import contextlib

import rclpy
from action_msgs.srv import CancelGoal
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.executors import SingleThreadedExecutor

from llm_ros import qos
from llm_ros.action import Ask, Chat, ExecutePlan, GenerateChatCompletions, GenerateResponse, PlanTask, Watch
from llm_ros.calls import Call, CallError, Generation, LifecycleRemote, Remote
from llm_ros.conversions import messages_to_ros, request_to_ros, text_to_ros
from llm_ros.images import pictures_to_ros
from llm_ros.msg import ChatTurn
from llm_ros.spinning import SpinThread
from llm_ros.srv import Ask as AskService
from llm_ros.srv import (
    ChatSession,
    Confirm,
    Detokenize,
    ExportPlan,
    Generate,
    GetModelInfo,
    GetWorld,
    Pause,
    Reload,
    Tokenize,
    UpdateWorld,
)

__all__ = ["Call", "CallError", "ChatClient", "Generation", "LLMClient", "PlannerClient", "VQAClient", "connect"]


class LLMClient(LifecycleRemote):
    """Client of one llm_node."""

    def __init__(self, node, server: str = "llm_node"):
        """`server`: the llm_node's name; relative names resolve in `node`'s namespace."""
        super().__init__(node, server)
        self._generate = self._action(GenerateResponse, "generate_response")
        self._chat = self._action(GenerateChatCompletions, "generate_chat_completions")

    def generate(
        self,
        prompt: str,
        *,
        images=(),
        stop=(),
        stop_token_ids=(),
        lora=(),
        priority=0,
        deadline=0.0,
        on_feedback=None,
        on_done=None,
        **sampling,
    ) -> Generation:
        """Continues `prompt`. `images`: pictures in the order of its `<image>`s, each as in images.picture_to_ros.
        `lora`: names of the node's adapters, or {name: scale}; empty: as its parameters say. `sampling`: fields of
        SamplingConfig. Raises RequestError for values that ROS cannot carry.
        """
        goal = GenerateResponse.Goal(prompt=text_to_ros("prompt", prompt))
        goal.images, goal.compressed_images = pictures_to_ros(images)
        return self._send(
            self._generate, goal, stop, stop_token_ids, lora, priority, deadline, on_feedback, on_done, sampling
        )

    def chat(
        self,
        messages,
        *,
        images=(),
        stop=(),
        stop_token_ids=(),
        lora=(),
        priority=0,
        deadline=0.0,
        on_feedback=None,
        on_done=None,
        **sampling,
    ) -> Generation:
        """Answers `messages`: a list of {"role", "content"}, or one user's text. The rest as in `generate`."""
        goal = GenerateChatCompletions.Goal(messages=messages_to_ros(messages))
        goal.images, goal.compressed_images = pictures_to_ros(images)
        return self._send(
            self._chat, goal, stop, stop_token_ids, lora, priority, deadline, on_feedback, on_done, sampling
        )

    def _send(self, client, goal, stop, stop_token_ids, lora, priority, deadline, on_feedback, on_done, sampling):
        goal = request_to_ros(goal, stop, stop_token_ids, lora, priority, deadline, sampling)
        return Generation(client, goal, server=self.server, on_feedback=on_feedback, on_done=on_done)

    def generate_now(
        self,
        prompt: str = "",
        messages=(),
        *,
        images=(),
        deadline: float = 10.0,
        stop=(),
        stop_token_ids=(),
        lora=(),
        priority=0,
        **sampling,
    ):
        """The Response of the Generate service: one blocking call. Raises CallError."""
        request = Generate.Request(prompt=text_to_ros("prompt", prompt), messages=messages_to_ros(messages))
        request.images, request.compressed_images = pictures_to_ros(images)
        request = request_to_ros(request, stop, stop_token_ids, lora, priority, deadline, sampling)
        answer = self.call_service(Generate, "generate", request, deadline + 5.0)
        return self._checked(answer).response

    def tokenize(self, text: str, add_special: bool = False, timeout: float = 10.0) -> list[int]:
        """Token ids of `text`. Raises CallError."""
        request = Tokenize.Request(text=text_to_ros("text", text), add_special=add_special)
        return list(self._checked(self.call_service(Tokenize, "tokenize", request, timeout)).tokens)

    def detokenize(self, tokens, skip_special: bool = True, timeout: float = 10.0) -> str:
        """Text of token ids. Raises CallError."""
        request = Detokenize.Request(tokens=list(tokens), skip_special=skip_special)
        return self._checked(self.call_service(Detokenize, "detokenize", request, timeout)).text

    def model_info(self, timeout: float = 10.0):
        """The ModelInfo of the loaded model. Raises CallError."""
        return self._checked(self.call_service(GetModelInfo, "get_model_info", GetModelInfo.Request(), timeout)).info


class PlannerClient(Remote):
    """Client of one planner_node."""

    def __init__(self, node, server: str = "planner_node"):
        """`server`: the planner_node's name; relative names resolve in `node`'s namespace."""
        super().__init__(node, server)
        self._plan = self._action(PlanTask, "plan_task")
        self._execute = self._action(ExecutePlan, "execute_plan")
        self._cancels = [
            node.create_client(
                CancelGoal,
                f"{server}/{action}/_action/cancel_goal",
                qos_profile=qos.SERVICES,
                callback_group=MutuallyExclusiveCallbackGroup(),
            )
            for action in ("plan_task", "execute_plan")
        ]

    def wait_ready(self, timeout: float) -> None:
        """Waits until the node is there. Raises CallError ("unavailable")."""
        self._wait_for_action(self._plan, timeout)

    def cancel_all(self) -> None:
        """Cancels every goal that the node has, planned, queued or carried out, whoever sent it; returns at once."""
        for client in self._cancels:
            client.call_async(CancelGoal.Request())  # no id and no stamp: all of them

    def destroy(self) -> None:
        """Frees the ROS entities."""
        for client in self._cancels:
            self._node.destroy_client(client)
        super().destroy()

    def plan(
        self,
        command: str,
        *,
        dialogue_id: str = "",
        conversation: bool = False,
        deadline: float = 0.0,
        execute: bool = False,
        on_feedback=None,
        on_done=None,
    ) -> Call:
        """Plans `command`, or the command that it completes as the answer to the question of `dialogue_id`; the
        feedback has `text` and `steps`, the result `plan`. With `execute` the robot carries it out: the feedback has
        `reports` and once the `plan` too, the result `outcome` and `reports`.
        """
        goal = PlanTask.Goal(command=text_to_ros("command", command), deadline=float(deadline), execute=execute)
        goal.dialogue_id, goal.conversation = text_to_ros("dialogue_id", dialogue_id), conversation
        return Call(self._plan, goal, server=self.server, on_feedback=on_feedback, on_done=on_done)

    def execute(self, steps, *, command: str = "", deadline: float = 0.0, on_feedback=None, on_done=None) -> Call:
        """Carries out steps: PlanStep messages. The feedback has `step`, the result `outcome` and `steps`."""
        goal = ExecutePlan.Goal(steps=list(steps), command=text_to_ros("command", command), deadline=float(deadline))
        return Call(self._execute, goal, server=self.server, on_feedback=on_feedback, on_done=on_done)

    def pause(self, pause: bool = True, timeout: float = 10.0):
        """Stops the robot, or lets it go on (`pause=False`); returns the Pause response. Raises CallError."""
        return self.call_service(Pause, "pause", Pause.Request(pause=pause), timeout)

    def confirm(self, confirm_id: int, accept: bool, timeout: float = 10.0):
        """Answers the question of that id in topic `execution`; returns the Confirm response. Raises CallError."""
        request = Confirm.Request(confirm_id=confirm_id, accept=accept)
        return self.call_service(Confirm, "confirm", request, timeout)

    def reload(self, timeout: float = 10.0) -> None:
        """Lets the node read its skill and world file again. Raises CallError: it keeps the old ones, and why."""
        self._checked(self.call_service(Reload, "reload", Reload.Request(), timeout))

    def world(self, timeout: float = 10.0):
        """The GetWorld response. Raises CallError."""
        return self.call_service(GetWorld, "get_world", GetWorld.Request(), timeout)

    def export_plan(self, kind: str, steps=(), command: str = "", timeout: float = 10.0) -> dict[str, str]:
        """PlanStep messages (none: the node's latest plan) as texts by name: "bt" gives {"tree"}, "pddl" {"domain",
        "problem"}. Raises CallError, KeyError for an unknown format.
        """
        code = {"bt": ExportPlan.Request.BT, "pddl": ExportPlan.Request.PDDL}[kind]
        request = ExportPlan.Request(format=code, steps=list(steps), command=text_to_ros("command", command))
        answer = self._checked(self.call_service(ExportPlan, "export_plan", request, timeout))
        return {"domain": answer.text, "problem": answer.problem} if kind == "pddl" else {"tree": answer.text}

    def update_world(self, changes=(), *, save: bool = False, save_as: str = "", timeout: float = 10.0):
        """Makes all changes (WorldChange messages) or none; returns the UpdateWorld response. Raises CallError."""
        request = UpdateWorld.Request(changes=list(changes), save=save, save_as=text_to_ros("save_as", save_as))
        return self._checked(self.call_service(UpdateWorld, "update_world", request, timeout))


class Answering(Generation):
    """A Call of Ask: `text()` streams the answer, the result has `answer`, a CameraAnswer."""

    @staticmethod
    def piece(feedback) -> str:
        return feedback.text

    @staticmethod
    def whole(result) -> str:
        return result.answer.answer


class VQAClient(LifecycleRemote):
    """Client of one vqa_node. `options`: fields of the interface: choices, max_tokens, max_frame_age, …"""

    def __init__(self, node, server: str = "vqa_node"):
        """`server`: the vqa_node's name; relative names resolve in `node`'s namespace."""
        super().__init__(node, server)
        self._ask = self._action(Ask, "ask")
        self._watch = self._action(Watch, "watch")

    def ask(self, question: str, *, on_feedback=None, on_done=None, **options) -> Answering:
        """Asks about what the camera sees now."""
        goal = Ask.Goal(question=text_to_ros("question", question), **options)
        return Answering(self._ask, goal, server=self.server, on_feedback=on_feedback, on_done=on_done)

    def ask_now(self, question: str, *, deadline: float = 30.0, **options):
        """The CameraAnswer in one blocking call. Raises CallError."""
        request = AskService.Request(question=text_to_ros("question", question), deadline=float(deadline), **options)
        return self._checked(self.call_service(AskService, "ask", request, deadline + 5.0)).answer

    def watch(self, question: str, *, on_feedback=None, on_done=None, **options) -> Call:
        """Asks again and again; each feedback message has `answer` and `changed`, or a `problem`."""
        goal = Watch.Goal(question=text_to_ros("question", question), **options)
        return Call(self._watch, goal, server=self.server, on_feedback=on_feedback, on_done=on_done)


class Chatting(Generation):
    """A Call of Chat: `text()` streams the reply, the result has `turn`, a ChatTurn, and `plan`."""

    @staticmethod
    def piece(feedback) -> str:
        return feedback.text

    @staticmethod
    def whole(result) -> str:
        return result.turn.text


class ChatClient(LifecycleRemote):
    """Client of one chat_node."""

    def __init__(self, node, server: str = "chat_node"):
        """`server`: the chat_node's name; relative names resolve in `node`'s namespace."""
        super().__init__(node, server)
        self._chat = self._action(Chat, "chat")

    def chat(
        self, text: str, *, session_id: str = "", deadline: float = 0.0, on_feedback=None, on_done=None
    ) -> Chatting:
        """Says something in a conversation."""
        goal = Chat.Goal(text=text_to_ros("text", text), session_id=text_to_ros("session_id", session_id))
        goal.deadline = float(deadline)
        return Chatting(self._chat, goal, server=self.server, on_feedback=on_feedback, on_done=on_done)

    def session(self, session_id: str = "", *, forget: bool = False, timeout: float = 10.0):
        """The ChatSession response: turns of that conversation, names of all. Raises CallError."""
        request = ChatSession.Request(session_id=text_to_ros("session_id", session_id), forget=forget)
        return self._checked(self.call_service(ChatSession, "session", request, timeout))

    def listen(self, on_turn):
        """`on_turn(turn)` hears of every ChatTurn from now on, of all conversations; returns the subscription."""
        namespace, _, _ = self.server.rpartition("/")
        topic = f"{namespace}/chat" if namespace else "chat"
        group = MutuallyExclusiveCallbackGroup()
        return self._node.create_subscription(ChatTurn, topic, on_turn, qos.TURNS, callback_group=group)


@contextlib.contextmanager
def connect(name: str = "llm_ros_client", domain_id: int | None = None):
    """For scripts: a node in a context of its own, spun in a thread; `with connect() as node: LLMClient(node)...`."""
    context = rclpy.Context()
    rclpy.init(args=[], context=context, domain_id=domain_id)  # not the program's own: a command may hold anything
    node = rclpy.create_node(name, context=context, start_parameter_services=False, enable_rosout=False)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    spinning = SpinThread(executor, name)
    try:
        yield node
    finally:
        if spinning.end():
            node.destroy_node()
            rclpy.try_shutdown(context=context)
