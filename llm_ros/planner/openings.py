"""Openings of commands that say no more than "do this": "I want you to", "it would be great if you could".

In: lower-case words. Out: where an opening ends. Data and one matcher; `*` in a row stands for any one word, and
adverbs of degree may stand anywhere inside ("I would really appreciate it if you could").
"""

from __future__ import annotations

from collections.abc import Sequence

_ROWS = (
    "i want you to|i would like you to|i need you to|your task is to|your job is to|make sure to|make sure you|make "
    "sure that you|be sure to|try to|see to it that|make sure that|ensure that|see that|make certain that|take care "
    "that|do me a favor and|do me a favour and|be so kind as to|be so kind and|would you mind|do you mind|would you "
    "be able to|are you able to|is it possible to|you should|you need to|you have to|you must|you are to|could you "
    "please|i ask you to|help me|help me to|go ahead and|go and|come and|i was wondering if you could|when you get a "
    "chance|when you have time|if you can|if you could|if possible|if you do not mind|feel free to|it would be great "
    "if you could|it would be nice if you could|remember to|do not forget to|proceed to|after that|after this|from "
    "there|as soon as you can|your mission is to|i would appreciate it if you could|start by|begin by|finish by|end "
    "by|how about|what about|let us|let us see you|let me see you|"
    "i would love for you to|excuse me|good morning|good evening|"
    "hello|can "
    "you|could you|would you|will you|once there|once you are there|when you are there|when you get there|once you "
    "get there|when you arrive|once you arrive|when there|having done that|having done so|once done|when done|while "
    "you are there|while there|see if you can|see whether you can|check if you can|try and|it would be * if you "
    "could|it would be * if you would|it would be * of you to|i would be * if you could|i would be * if you would|be "
    "a * and|be an * and|be so * as to|would you be so * as to|could you be so * as to|would you please|i would "
    "appreciate if you could|i would be glad if you could|you might want to|you could|look after|"
    "do you reckon you could|do you think you can|reckon you could|any chance you can|is there a chance you could|"
    "never mind that|make sure|make certain|ensure|"
    "carry on and|what i need you to do "
    "is|what i want you to do is|all you have to do is|i was hoping you could|i was hoping that you could|any chance "
    "you could|is there any chance you could|could i ask you to|may i ask you to|i must ask you to|mind|when you have"
    " a moment|when you have a minute|if you have a moment|if you have time|when you have a second|as you are|while "
    "you are at it|while you are up|would it be possible to|could you possibly|do you think you could|i wonder if you"
    " could|i am wondering if you could|be sure that you|never mind that|by the way|oh and|first of all|last but not "
    "least|do us a favor and|do us a favour and|do me the favor and|i would love it if you could|i would be grateful "
    "if you could|i would be * if you|it is time to|"
    "why do not you|we need you to|i have a task for you|listen up|look here|if you would not mind|if you"
    " would"
)
_OPENINGS = tuple(tuple(row.split()) for row in _ROWS.split("|"))
_BY_FIRST = {first: [row for row in _OPENINGS if row[0] == first] for first in {row[0] for row in _OPENINGS}}
_DEGREE = frozenset(
    "really very truly much so greatly just kindly please quite definitely certainly highly also".split()
)


def opening_at(low: Sequence[str], i: int) -> int:
    """The index after the longest opening that begins at word `i`; `i` itself if none does."""
    ends = (_matched(row, low, i) for row in _BY_FIRST.get(low[i], ()) if i < len(low))
    return max(ends, default=i)


def _matched(row: tuple[str, ...], low: Sequence[str], i: int) -> int:
    """The index after `row` at word `i`, or `i`."""
    position = i
    for word in row:
        while position > i and position < len(low) and low[position] in _DEGREE and low[position] != word:
            position += 1
        if position >= len(low) or word not in ("*", low[position]):
            return i
        position += 1
    return position
