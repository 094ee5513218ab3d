"""Makes the planner's `generate` out of an `llm_core.Engine`: messages and a Lark grammar in, constrained greedy
text out.

The same command gives the same plan: decoding is greedy, or drawn with a given seed. A cancelled request returns what
was written so far. Errors of the engine pass through as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from llm_ros.planner.rewrite import Written

DRAWN = {"top_k": 0, "top_p": 1.0, "min_p": 0.02}  # how a text with a seed is drawn, and how hot
HEAT = 0.9


def rewriting(
    engine, how: str = "auto", beside: Callable[[], object] | None = None
) -> tuple[Callable[..., str] | None, bool]:
    """(`Planner`'s rewrite, its trained) for an engine. how: "auto", the adapter that comes with llm_ros for its model
    if there is one, else that of the engine which `beside` gives, called when a command first needs it; "off";
    "model", the model as it is; or an adapter: a GGUF file. Raises ModelError, RequestError."""
    from llm_ros.adapters import PLAIN

    if how == "model":
        return engine_generate(engine), False
    if how == "auto":
        if PLAIN in {info.name for info in engine.adapters}:
            return engine_generate(engine, (PLAIN,), tell=True), True
        if beside is None:
            return None, False
        other = cache(lambda: engine_generate(beside(), (PLAIN,), tell=True))
        return lambda *request: other()(*request), True
    if how == "off":
        return None, False
    engine.load_adapter(how, how)
    return engine_generate(engine, (how,), tell=True), True


def engine_generate(engine, adapters=(), tell: bool = False) -> Callable[..., str]:
    """generate(messages, grammar, max_tokens, on_text, cancelled, seed=None) -> str over an engine. adapters: names of
    its own. tell: the text is a `Written`, which knows how sure the model was. seed: the text is drawn, not greedy."""
    from llm_core import Grammar, SamplingParams

    def generate(messages, grammar: str, max_tokens: int, on_text, cancelled, seed: int | None = None) -> str:
        more = {"temperature": 0.0} if seed is None else {"temperature": HEAT, "seed": seed, **DRAWN}
        more |= {"logprobs": 0} if tell else {}
        params = SamplingParams(max_tokens=max_tokens, grammar=Grammar.lark(grammar), **more)
        handle = engine.submit(messages, params, adapters=adapters) if adapters else engine.submit(messages, params)
        pieces, logprob = [], 0.0
        try:
            for event in handle:
                logprob += sum(token.logprob for token in event.logprobs or ()) if tell else 0.0
                if event.text:
                    pieces.append(event.text)
                    on_text(event.text)
                if cancelled():
                    break
        finally:
            handle.cancel()
        text = "".join(pieces)
        return Written(text, logprob) if tell else text

    return generate
