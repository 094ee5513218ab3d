"""What a model is given of a conversation: as many of the latest turns as fit, and the gist of those that do not.

In: a system text, turns, a budget of tokens, `count(text) -> tokens`. Out: messages for a chat model. Turns are dropped
from the oldest on; the first words that the person said in them stay in the system text, as far as a share of the
budget allows. Knows no model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llm_core.errors import RequestError
from llm_ros.chat.session import Turn

# What a template puts around a turn, at most.
TURN_TOKENS = 12
_GIST_SHARE = 0.2
_GIST_WORDS = 15
_EARLIER = "\nEarlier the person said: "


def fit(system: str, turns: Sequence[Turn], budget: int, count: Callable[[str], int]) -> list[dict[str, str]]:
    """Messages of at most `budget` tokens that end with the latest turn. Raises RequestError if that is too long."""
    merged = _alternating(turns)
    used = count(system) + count(merged[-1].text) + 2 * TURN_TOKENS
    if used > budget:
        raise RequestError(f"text: too long for the model: {used} tokens with the instructions, {budget} fit")
    first, cost = _latest(merged, budget - used, count)
    if first:
        for_gist = int(budget * _GIST_SHARE)
        first, cost = _latest(merged, budget - used - for_gist, count)
        while merged[first].role != "user":
            first += 1
        system += _gist(merged[:first], min(for_gist, budget - used - cost), count)
    kept = merged[first:]
    return [{"role": "system", "content": system}, *({"role": turn.role, "content": turn.text} for turn in kept)]


def _latest(turns: Sequence[Turn], budget: int, count: Callable[[str], int]) -> tuple[int, int]:
    """(index of the first turn that fits with all after it, their tokens without the last one's)."""
    first, used = len(turns) - 1, 0
    while first and used + (cost := count(turns[first - 1].text) + TURN_TOKENS) <= budget:
        first, used = first - 1, used + cost
    return first, used


def _gist(turns: Sequence[Turn], budget: int, count: Callable[[str], int]) -> str:
    """What the person said in some turns, in a few words each; the latest of it that fits."""
    said: list[str] = []
    left = budget - count(_EARLIER)
    for turn in reversed(turns):
        if turn.role != "user" or turn.kind == "control":
            continue
        words = turn.text.split()
        text = " ".join(words[:_GIST_WORDS]) + (" …" if len(words) > _GIST_WORDS else "")
        left -= count(f" | {text}")
        if left < 0:
            break
        said.insert(0, text)
    return _EARLIER + " | ".join(said) if said else ""


def _alternating(turns: Sequence[Turn]) -> list[Turn]:
    """The turns with those of one side in a row joined: many templates allow no other order."""
    merged: list[Turn] = []
    for turn in turns:
        if merged and merged[-1].role == turn.role:
            merged[-1] = Turn(turn.role, f"{merged[-1].text}\n{turn.text}", turn.kind, turn.stamp)
        elif merged or turn.role == "user":
            merged.append(turn)
    return merged


__all__ = ["TURN_TOKENS", "fit"]
