"""The engine room: requests, scheduling, the KV cache's books, and the thread that drives the runner."""

from llm_core.engine.adapters import AdapterInfo
from llm_core.engine.engine import Engine
from llm_core.engine.handle import FINISH_REASONS, Completion, Event, Handle, Usage
from llm_core.engine.loader import ModelInfo, Parts
from llm_core.engine.loop import EngineClosed, EngineStats
from llm_core.engine.request import QueueFull

__all__ = [
    "FINISH_REASONS",
    "AdapterInfo",
    "Completion",
    "Engine",
    "EngineClosed",
    "EngineStats",
    "Event",
    "Handle",
    "ModelInfo",
    "Parts",
    "QueueFull",
    "Usage",
]
