"""Conversations with a robot: what was said, what is to be done, who answers. No ROS inside; see docs/chat.md."""

from llm_ros.chat.conversation import Conversation, DialogueLost, Model, Planned, Reply, Robot
from llm_ros.chat.session import Session, SessionError, SessionStore, Turn

__all__ = [
    "Conversation",
    "DialogueLost",
    "Model",
    "Planned",
    "Reply",
    "Robot",
    "Session",
    "SessionError",
    "SessionStore",
    "Turn",
]
