"""Makes the planner's `generate` out of an `llm_core.Engine`: messages and a Lark grammar in, constrained greedy
text out.

The same command gives the same plan: decoding is greedy. A cancelled request returns what was written so far. Errors
of the
engine pass through as they are.
"""

from __future__ import annotations

from collections.abc import Callable

REWRITE = ("auto", "off", "model")


def rewriting(engine, how: str = "auto") -> tuple[Callable[..., str] | None, bool]:
    """(`Planner`'s rewrite, its trained) for an engine. how: "auto", the adapter that comes with llm_ros for its model
    if there is one; "off"; "model", the model as it is; or an adapter: a GGUF file. Raises ModelError, RequestError."""
    from llm_ros.adapters import PLAIN

    if how == "model":
        return engine_generate(engine), False
    if how == "auto":
        found = PLAIN in {info.name for info in engine.adapters}
        return (engine_generate(engine, (PLAIN,)), True) if found else (None, False)
    if how == "off":
        return None, False
    engine.load_adapter(how, how)
    return engine_generate(engine, (how,)), True


def engine_generate(engine, adapters=()) -> Callable[..., str]:
    """generate(messages, grammar, max_tokens, on_text, cancelled) -> str over an engine; adapters: names of its own."""
    from llm_core import Grammar, SamplingParams

    def generate(messages, grammar: str, max_tokens: int, on_text, cancelled) -> str:
        params = SamplingParams(max_tokens=max_tokens, temperature=0.0, grammar=Grammar.lark(grammar))
        handle = engine.submit(messages, params, adapters=adapters) if adapters else engine.submit(messages, params)
        pieces = []
        try:
            for event in handle:
                if event.text:
                    pieces.append(event.text)
                    on_text(event.text)
                if cancelled():
                    break
        finally:
            handle.cancel()
        return "".join(pieces)

    return generate
