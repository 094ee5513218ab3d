"""Architectures: one short file each records a program (`record(graph, model)`); `load_model` checks a file against
it."""

from llm_core.models.model import Model, architectures, load_model

__all__ = ["Model", "architectures", "load_model"]
