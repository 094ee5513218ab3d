"""Clauses that repeat the one before with something changed: "do the same for Wendy", "likewise for the snacks".

In: a clause and the one before it. Out: the clause that is meant, or None if it is no such thing. What is said anew
takes
the place of what was of its kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from llm_ros.planner import words as w
from llm_ros.planner.clauses import Clause
from llm_ros.planner.items import Item
from llm_ros.planner.refer import PEOPLE, THINGS, Question

_AGAIN = (("do", "the", "same"), ("the", "same"), ("do", "likewise"), ("likewise",), ("ditto",), ("same",))
# Frames that read nothing but items; what others say is in their words.
BY_ITEMS = frozenset("bring take place discard go find meet count greet guide follow open close".split())


def again(clause: Clause, before: Clause | None, earlier: Sequence[Clause] = ()) -> Clause | None:
    """What "do the same …" means after `before`; where that spoke of "it", it was taken from where one of the `earlier`
    clauses says. Raises Question if that cannot be told."""
    if not repeats(clause):
        return None
    new = {_group(item): item for item in clause.items if item.names[0] not in ("same", "likewise", "ditto")}
    if before is None or before.verb is None or before.verb.frame not in BY_ITEMS or not new:
        raise Question("What should I do the same way? Please say it in full.")
    items = [_instead(item, new.pop(_group(item))) if _group(item) in new else item for item in before.items]
    if any(item.kind == "thing_pronoun" for item in before.items):
        items += _source(earlier)[:1]
    return replace(before, items=[*items, *new.values()], subject=[])


def repeats(clause: Clause) -> bool:
    """Whether a clause says no more of what is to be done than that it is the same."""
    low = tuple(token.low for token in clause.tokens[clause.start : clause.end])
    return clause.verb is None and any(low[: len(words)] == words for words in _AGAIN)


def _source(earlier: Sequence[Clause]) -> list[Item]:
    """The places from which something is taken, the latest first."""
    said = [place for one in reversed(earlier) for item in one.items for place in (item, item.place) if place]
    return [place for place in said if place.kind == "place" and place.prep in w.SOURCE]


def _group(item: Item) -> str:
    return "person" if item.kind in PEOPLE else "thing" if item.kind in THINGS else item.kind


def _instead(old: Item, new: Item) -> Item:
    """The new item where the old one stood: "with the brush" is no instrument, and goes where the other thing went."""
    prep = old.prep if new.prep in ("for", "with") else new.prep
    return replace(new, prep=prep, place=new.place or old.place)
