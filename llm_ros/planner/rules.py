"""Rules over words: a pattern of lower-case words, and what to say instead.

In: tokens and compiled rules. Out: the tokens with the first place that fits each pattern said as its rule has it.
Groups keep the tokens that they match, so nothing that somebody wrote is lost.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from llm_ros.planner.tokens import Token

_GROUP = re.compile(r"[\\^](\d)")
BASE = dict(
    moved="move", brought="bring", taken="take", put="put", placed="place", delivered="deliver", carried="carry",
    transferred="transfer", handed="hand", given="give", returned="return", opened="open", closed="close", shut="close",
    fetched="fetch", led="lead", guided="guide", escorted="escort", followed="follow", greeted="greet", went="go",
    came="come", popped="pop", took="take", told="tell", gave="give", found="find", asked="ask",
    said="say", showed="show", shown="show", walked="walk", got="get", checked="check", looked="look", counted="count",
    let="let", answered="answer", accompanied="accompany", welcomed="welcome", waited="wait", picked="pick",
    wished="wish",
    bringing="bring", taking="take", giving="give", going="go", driving="drive", opening="open", closing="close",
    shutting="shut", following="follow", guiding="guide", leading="lead", escorting="escort", greeting="greet",
    accompanying="accompany", telling="tell", asking="ask", putting="put", placing="place", moving="move",
    picking="pick", grabbing="grab", fetching="fetch", handing="hand", carrying="carry", delivering="deliver",
    finding="find", looking="look", counting="count", waiting="wait", answering="answer", entering="enter",
    touching="touch", getting="get", walking="walk", showing="show", talking="talk", speaking="speak", saying="say",
    returning="return", removing="remove", visiting="visit", touched="touch", entered="enter", removed="remove",
)  # fmt: skip

# Parts of patterns.
NP = r"(?:(?!(?:then|and|but|or|look) )[a-z]+ ){1,6}?"  # a noun phrase, with or without where it is
THE = r"(?:the|a|an|some|my|this|that|these|those|all|any) "
DURATION = r"((?:about |exactly |another )?(?:an? |half an? |[a-z0-9]+ )(?:second|minute|hour|moment|while)s? )"


def compiled(rules: Sequence[tuple[str, str]]) -> tuple[tuple[re.Pattern, str], ...]:
    """Patterns of whole words, and what to say instead."""
    return tuple((re.compile(rf"(?<![^ ])(?:{pattern})"), said) for pattern, said in rules)


def replaced(tokens: list[Token], rules: Sequence[tuple[re.Pattern, str]]) -> list[Token]:
    """The tokens with the first place that fits a rule's pattern said as the rule has it, rule by rule. In what to say
    "\\1" stands for the tokens of a group, "^1" for the bare form of its verb."""
    for pattern, said in rules:
        text, starts = "", {}
        for k, token in enumerate(tokens):
            starts[len(text)] = k
            text += ("'" if token.quoted else token.low) + " "
        starts[len(text)] = len(tokens)
        match = pattern.search(text)
        if match and match.start() in starts and match.end() in starts:
            new = _filled(said, match, tokens, starts)
            tokens = [*tokens[: starts[match.start()]], *new, *tokens[starts[match.end()] :]]
    return tokens


def _filled(said: str, match: re.Match, tokens: list[Token], starts: dict[int, int]) -> list[Token]:
    result: list[Token] = []
    for word in said.split():
        group = _GROUP.fullmatch(word)
        if not group:
            result.append(Token(word, word))
            continue
        begin, end = match.span(int(group[1]))
        if begin < 0:
            continue
        begin = starts[begin]
        if word[0] == "^":
            base = BASE[tokens[begin].low]
            result.append(Token(base, base))
            continue
        result += tokens[begin : starts.get(end, starts.get(end + 1, begin))]
    return result
