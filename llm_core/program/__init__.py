"""Programs: an architecture records a graph once; the runner links it and replays it for every batch."""

from llm_core.program.batch import Batch

__all__ = ["Batch", "Runner"]


def __getattr__(name):
    # The runner needs llm_core.models, which records graphs of this package: import it only when it is asked for.
    if name == "Runner":
        from llm_core.program.run import Runner

        return Runner
    raise AttributeError(name)
