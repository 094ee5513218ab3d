"""What is refused as harm, whatever else a command says: deeds, phrases, things and threats.

In: the words of a command with its names. Out: PlanError "unsafe". "Drive into the kitchen", "run over to her" and "you
will run into him there" only sound like it.
"""

from __future__ import annotations

import re

from llm_ros.planner import words as w
from llm_ros.planner.clauses import Clause, Splitter
from llm_ros.planner.plan import PlanError
from llm_ros.planner.refer import Goal, Referee
from llm_ros.planner.verbs import HARM, HARM_PHRASES, HARM_THINGS
from llm_ros.planner.world import World

_THREAT = re.compile(
    r"\b(?:will|shall|am going to|are going to|is going to|want to|would like to) "
    rf"(?:{'|'.join(sorted(HARM))}) (?:you|him|her|them|us|it|everybody|everyone|somebody)\b|"
    r"\brun (?!over)(?:the )?(?:[a-z]+ ){1,2}over (?:$|[.,;!?]|and |then |with )"
)

# "shut the door on his fingers"
_PINNING = frozenset("jam slam shut close squeeze wedge glue staple nail tape pin clamp catch press".split())
_BODY = frozenset("hand hands finger fingers foot feet toe toes head arm arms leg legs hair neck face nose".split())
_ACHING = frozenset("back knee knees ankle ankles stomach belly tooth shoulder shoulders wrist ear".split())
_ACHES = frozenset("hurt hurts aches ache".split())
_NOUNS = frozenset("break shot shots cut".split())
_ARTICLES = frozenset("the a an".split())
_OCCASIONS = _ARTICLES | frozenset("snack lunch coffee tea photo flu".split())
_WHOSE = frozenset("my your his her their our".split())
_GESTURE = frozenset("raising raises raised raise lifting holding with waving has have up".split())


def refuse_harm(splitter: Splitter, world: World) -> None:
    """Raises PlanError for what does harm by its words alone."""
    text = f" {' '.join(splitter.low)} "
    for phrase in HARM_PHRASES:
        if f" {phrase} " in text and not _only_moves(phrase, splitter, world):
            raise PlanError("unsafe", f"I will not do that ({phrase})")
    if _THREAT.search(text):
        raise PlanError("unsafe", "I neither do nor say that")
    for k, token in enumerate(splitter.tokens):
        if token.low in _BODY and k not in splitter.at and _pinned(splitter, k):
            raise PlanError("unsafe", f"I take care of everybody's {token.low}")
        if token.low in HARM_THINGS and k not in splitter.at:  # a glue gun of the world is none
            raise PlanError("unsafe", f"I do not handle such things ({token.low})")


def _pinned(splitter: Splitter, k: int) -> bool:
    """Whether somebody's limb at `k` is what a door is shut on, or what is glued to something."""
    low, before = splitter.low, k - 1
    whose = before in splitter.at and splitter.at[before].kind == "person" or low[before] in _WHOSE
    begin = next((j + 1 for j in range(k - 1, -1, -1) if low[j] in (".", ",", ";", "!", "?", "and", "then")), 0)
    said = set(low[begin:k])
    return before >= 0 and whose and bool(said & _PINNING) and not said & (_GESTURE | {"tell", "ask"})


def harm(ref: Referee, clause: Clause) -> list[Goal]:
    """The frame of verbs that do harm: none of them is obeyed. Raises PlanError."""
    word = clause.verb.word
    whose, before = ["", "", *(token.low for token in clause.tokens[: clause.verb.start])][-2:]
    if word in _ACHES and before in _BODY | _ACHING and whose in _WHOSE:
        return []  # "my back hurts" tells why
    if before in (_OCCASIONS if word in _NOUNS else _ARTICLES):
        return []  # "the snack break", "has a crush on somebody"
    refused = f"I will do no {word}" if word.endswith("ing") else f"I will not {word} anybody or anything"
    raise PlanError("unsafe", refused)


def _only_moves(phrase: str, splitter: Splitter, world: World) -> bool:
    low, words = splitter.low, phrase.split()
    if words[-1] not in ("into", "over"):
        return False
    for i in range(len(low) - len(words) + 1):
        if low[i : i + len(words)] == words:
            after = next((k for k in range(i + len(words), len(low)) if low[k] not in w.DETERMINERS), len(low))
            place = after in splitter.at and splitter.at[after].kind == "place"
            room = place and any(name in world.rooms for name in splitter.at[after].names)
            if not (room or low[i + len(words) :][:1] == ["to"] or low[max(0, i - 2) : i] == ["you", "will"]):
                return False
    return True


__all__ = ["harm", "refuse_harm"]
