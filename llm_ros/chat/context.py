"""What a model is given of a conversation: as much of the latest talk as fits, and the gist of everything else.

In: a system text, turns, a budget of tokens, `count(text) -> tokens`. Out: messages for a chat model. Of commands, and
of talk that no longer fits, the first words of what the person said go into the system text, as far as a share of the
budget allows: a small model that is given the robot's own news and plans word for word goes on to invent such. Knows no
model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llm_core.errors import RequestError
from llm_ros.chat.session import Turn

# What a template puts around a turn, at most.
TURN_TOKENS = 12
_GIST_SHARE = 0.2
_GIST_WORDS = 15
_GIST_TURNS = 12
_EARLIER = "\nEarlier the person said: "


def fit(system: str, turns: Sequence[Turn], budget: int, count: Callable[[str], int]) -> list[dict[str, str]]:
    """Messages of at most `budget` tokens that end with the latest turn. Raises RequestError if that is too long."""
    talk = _talk(turns)
    used = count(system) + count(talk[-1][1].text) + 2 * TURN_TOKENS
    if used > budget:
        raise RequestError(f"text: too long for the model: {used} tokens with the instructions, {budget} fit")
    first, cost = _latest(talk, budget - used, count)
    if first or any(turn.kind == "task" for turn in turns):
        for_gist = int(budget * _GIST_SHARE)
        first, cost = _latest(talk, budget - used - for_gist, count)
        while talk[first][1].role != "user":
            first += 1
        system += _gist(turns, talk[first][0], min(for_gist, budget - used - cost), count)
    kept = [{"role": turn.role, "content": turn.text} for _, turn in talk[first:]]
    return [{"role": "system", "content": system}, *kept]


def _talk(turns: Sequence[Turn]) -> list[tuple[int, Turn]]:
    """(index of its first turn, talk): those of one side in a row are joined; many templates allow no other order."""
    talk: list[tuple[int, Turn]] = []
    for index, turn in enumerate(turns):
        if turn.kind != "talk":
            continue
        if talk and talk[-1][1].role == turn.role:
            before, last = talk[-1]
            talk[-1] = before, Turn(turn.role, f"{last.text}\n{turn.text}", stamp=last.stamp)
        elif talk or turn.role == "user":
            talk.append((index, turn))
    return talk


def _latest(talk: Sequence[tuple[int, Turn]], budget: int, count: Callable[[str], int]) -> tuple[int, int]:
    """(index of the first that fits with all after it, their tokens without the last one's)."""
    first, used = len(talk) - 1, 0
    while first and used + (cost := count(talk[first - 1][1].text) + TURN_TOKENS) <= budget:
        first, used = first - 1, used + cost
    return first, used


def _gist(turns: Sequence[Turn], cut: int, budget: int, count: Callable[[str], int]) -> str:
    """What the person said in commands, and in talk before `cut`, in a few words each; the latest of it that fits."""
    said: list[str] = []
    left = budget - count(_EARLIER)
    for index in range(len(turns) - 1, -1, -1):
        turn = turns[index]
        if turn.role != "user" or turn.kind != "task" and not (turn.kind == "talk" and index < cut):
            continue
        words = turn.text.split()
        text = " ".join(words[:_GIST_WORDS]) + (" …" if len(words) > _GIST_WORDS else "")
        left -= count(f" | {text}")
        if left < 0 or len(said) == _GIST_TURNS:
            break
        said.insert(0, text)
    return _EARLIER + " | ".join(said) if said else ""


__all__ = ["TURN_TOKENS", "fit"]
