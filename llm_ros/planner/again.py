"""Clauses that repeat the one before with something changed: "do the same for Wendy", "likewise for the snacks".

In: a clause and the one before it. Out: the clause that is meant, or None if it is no such thing. What is said anew
takes
the place of what was of its kind.
"""

from __future__ import annotations

from dataclasses import replace

from llm_ros.planner.clauses import Clause
from llm_ros.planner.items import Item
from llm_ros.planner.refer import PEOPLE, THINGS, Question

_AGAIN = (("do", "the", "same"), ("the", "same"), ("do", "likewise"), ("likewise",), ("ditto",), ("same",))
# Frames that read nothing but items; what others say is in their words.
BY_ITEMS = frozenset("bring take place discard go find meet count greet guide follow open close".split())


def again(clause: Clause, before: Clause | None) -> Clause | None:
    """What "do the same …" means after `before`. Raises Question if that cannot be told."""
    low = tuple(token.low for token in clause.tokens[clause.start : clause.end])
    if clause.verb is not None or not any(low[: len(words)] == words for words in _AGAIN):
        return None
    new = {_group(item): item for item in clause.items if item.names[0] not in ("same", "likewise", "ditto")}
    if before is None or before.verb is None or before.verb.frame not in BY_ITEMS or not new:
        raise Question("What should I do the same way? Please say it in full.")
    items = [_instead(item, new.pop(_group(item))) if _group(item) in new else item for item in before.items]
    return replace(before, items=[*items, *new.values()], subject=[])


def _group(item: Item) -> str:
    return "person" if item.kind in PEOPLE else "thing" if item.kind in THINGS else item.kind


def _instead(old: Item, new: Item) -> Item:
    return replace(new, prep=old.prep if new.prep == "for" else new.prep)
