"""The one question that a command leads to, and the command that the answer makes of it.

An `Inquiry` is the command as it was understood with a gap in it: "put the apple ⟨where⟩ please". The answer fills the
gap, so the command is planned again in words that a person might have said at once. Knows neither names nor world:
which answer is meant is found out in answers.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llm_ros.planner.tokens import Token

# What is asked for. The value says what an answer is.
ASKS = {
    "command": "the command in other words, or what else to do",
    "place": "a room or location",
    "object": "a thing, a kind of things, or what to do it to",
    "person": "a person",
    "door": "a door",
    "text": "what to say; taken as it is",
    "number": "a number or a duration",
    "words": "the words that the sentence lacks",
    "confirm": "yes or no",
}
_CLOSING = frozenset("please thanks thank you . , ; : ! ?".split())


@dataclass(frozen=True)
class Inquiry:
    """text: the question. asks: key of ASKS. choices: the names, or words, among which to choose; () if any will do.

    before, after: the command around the gap; for "confirm" `before` is what is done after a yes. lead: the words that
    go before an answer that brings no preposition of its own.
    """

    text: str
    asks: str = "command"
    choices: tuple[str, ...] = ()
    before: str = ""
    lead: str = ""
    after: str = ""

    def __post_init__(self):
        if self.asks not in ASKS:
            raise KeyError(self.asks)

    def completed(self, answer: str) -> str:
        """The command with `answer` in its gap."""
        return " ".join(part for part in (self.before, answer, self.after) if part)


def gapped(tokens: Sequence[Token], gap: tuple[int, int]) -> tuple[str, str]:
    """The words before and after tokens gap[0]..gap[1]-1; an empty gap stands before what only closes a sentence."""
    start, end = gap
    if start == end:
        while start and tokens[start - 1].low in _CLOSING and not tokens[start - 1].quoted:
            start = end = start - 1
    return spelled(tokens[:start]), spelled(tokens[end:])


def spelled(tokens: Sequence[Token]) -> str:
    """Tokens as text that is cut into the same tokens again."""
    text = ""
    for token in tokens:
        word = f'"{token.text}"' if token.quoted else token.text
        text += word if not text or not token.quoted and token.low in (".", ",", ";", ":", "!", "?") else f" {word}"
    return text
