"""Our own inference engine: GGUF files, quantized transformers, numba kernels. No ROS inside.

The public names below are loaded on first use, so `import llm_core` costs nothing.
"""

from llm_core.lazy import lazy

_HOMES = {
    "llm_core.engine": (
        "FINISH_REASONS AdapterInfo Completion Engine EngineClosed EngineStats Event Handle ModelInfo Parts "
        "QueueFull Usage"
    ),
    "llm_core.sampling": "SamplingParams TokenLogprob",
    "llm_core.grammar": "Grammar",
    "llm_core.errors": "LLMCoreError ModelError RequestError",
}
__all__, __getattr__, __dir__ = lazy(__name__, globals(), _HOMES)
