"""Architectures: one short file each records a program (`record(graph, model)`); `load_model` checks a file against
it, `check_config` its hyperparameters alone.
"""

from llm_core.models.config import check_config
from llm_core.models.names import architectures

__all__ = ["Model", "architectures", "check_config", "load_model"]


def __getattr__(name):
    # What is above needs no kernels, which take a second to import; the rest does.
    if name in ("Model", "load_model"):
        from llm_core.models import model

        return getattr(model, name)
    raise AttributeError(name)
