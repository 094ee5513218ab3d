"""Our own inference engine: GGUF files, quantized transformers, numba kernels. No ROS inside.

The public names below are loaded on first use, so `import llm_core` costs nothing.
"""

from importlib import import_module

_HOMES = {
    "llm_core.engine": (
        "FINISH_REASONS AdapterInfo Completion Engine EngineClosed EngineStats Event Handle ModelInfo Parts "
        "QueueFull Usage"
    ),
    "llm_core.sampling": "SamplingParams TokenLogprob",
    "llm_core.grammar": "Grammar",
    "llm_core.errors": "LLMCoreError ModelError RequestError",
}
_HOME = {name: module for module, names in _HOMES.items() for name in names.split()}
__all__ = sorted(_HOME)


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
