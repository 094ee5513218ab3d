"""The actions that generate text: goals become requests, pieces of text feedback, outcomes results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from llm_ros.action import GenerateChatCompletions, GenerateResponse
from llm_ros.msg import ChatMessage

from llm_ros.nodes.goal_server import GoalServer


@dataclass(frozen=True)
class Kind:
    """One action: its name, how a Response becomes a result."""

    name: str
    action_type: type
    result: Callable


def _chat_result(response, error):
    message = ChatMessage(role=ChatMessage.ASSISTANT, content=response.text)
    return GenerateChatCompletions.Result(message=message, response=response, error=error)


KINDS = (
    Kind(
        "generate_response",
        GenerateResponse,
        lambda response, error: GenerateResponse.Result(response=response, error=error),
    ),
    Kind("generate_chat_completions", GenerateChatCompletions, _chat_result),
)


def generate_server(node, kind: Kind, begin: Callable) -> GoalServer:
    """Serves one Kind as `<node>/<its name>`. `begin(message, on_partial, on_done)` starts a request and returns it, or
    None if it has ended; `on_done(state, Response, error)`."""

    def start(goal, on_feedback, on_done):
        return begin(
            goal,
            lambda partial: on_feedback(kind.action_type.Feedback(partial_response=partial)),
            lambda state, response, error: on_done(state, kind.result(response, error), error),
        )

    return GoalServer(node, kind.action_type, f"{node.get_name()}/{kind.name}", start)
