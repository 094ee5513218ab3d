"""What a clause that carries is about: which things, whose, for whom, from where and to where.

In: a clause's items and the `Referee`. Out: the same items sorted. Decides nothing about what is done (carry.py).
"""

from __future__ import annotations

from dataclasses import replace

from llm_ros.planner import words as w
from llm_ros.planner.clauses import Clause
from llm_ros.planner.items import Item
from llm_ros.planner.refer import PEOPLE, Referee


def without_owners(ref: Referee, clause: Clause) -> list[Item]:
    """The clause's items but for whom a thing or place belongs to: "Noor's coat" is a coat, and nobody gets it."""
    kept, prep = [], ""
    for item, after in zip(clause.items, [*clause.items[1:], None], strict=False):
        if item.kind == "person" and ref.tokens[item.end - 1].owner and after and after.start <= item.end + 2:
            prep = item.prep
            continue
        kept.append(replace(item, prep=item.prep or prep))
        prep = ""
    return kept


def groups(items: list[Item], mode: str) -> list[list[Item]]:
    """Items cut where a new thing follows a destination that already has its thing."""
    found: list[list[Item]] = [[]]
    for number, item in enumerate(items):
        group = found[-1]
        things = [one for one in group if one.kind in ("object", "category", "text")]
        ended = any(
            one.kind in PEOPLE and one.prep in ("to", "for") or one.kind == "place" and one.prep in w.DESTINATION
            for one in group
        )
        if (
            mode == "place"
            and things
            and things[-1].place is not None
            and things[-1].place.prep not in w.SOURCE
            and item.place is not None
        ):
            ended = True
        thing = (
            (item.kind in ("object", "category", "text") or item.kind == "thing_pronoun" and item.names[0] == "one")
            and not item.prep.startswith("from")
            and bool(things)
            and ended
            and (item.place is not None or any(one.kind in (*PEOPLE, "place") for one in items[number + 1 :]))
        )
        indirect = (
            item.kind in PEOPLE
            and not item.prep
            and bool(things)
            and any(one.kind in PEOPLE for one in group)
            and any(one.kind in ("object", "category", "text") for one in items[number + 1 :])
        )
        if thing or indirect:
            found.append([])
        found[-1].append(item)
    return found


def whole_names(ref: Referee, things: list[Item]) -> list[Item]:
    """The things, where what stands side by side is one ("banana peel"), and what only says how is none ("coffee,
    black, no sugar")."""
    found: list[Item] = []
    for item in things:
        how = item.kind == "text" and bool(found) and not item.prep
        if how and item.start == found[-1].end and found[-1].kind in ("object", "category") and not item.joined:
            found[-1] = replace(item, start=found[-1].start, names=(f"{ref.said(found[-1])} {item.names[0]}",))
        elif not how or not (set(item.names[0].split()) <= w.COLORS or item.names[0].startswith(("no ", "without "))):
            found.append(item)
    return found


def idle_text(item: Item) -> bool:
    """Whether words name no thing to carry: "by the way", "give me a hand"."""
    return item.kind == "text" and item.names[0] in (
        "way",
        "down",
        "hand",
        "hands",
        "care",
        "favor",
        "favour",
        "trip",
        "look",
        "rest",
        "time",
        "place",
    )


def pronoun_things(ref: Referee, people: list[Item]) -> tuple[list[Item], list[Item]]:
    """ "put them on the desk": a pronoun for people may stand for things when there are things to stand for."""
    them = [
        item
        for item in people
        if item.kind == "person_pronoun" and item.names[0] in ("them", "those") and not item.prep
    ]
    known = ref.context.deferred or ref.context.held or ref.context.thing
    given = recipient_of([item for item in people if item.prep]) is not None  # "deliver them to her"
    if them and (known if given else ref.context.deferred or ref.context.held or known and ref.context.person is None):
        return them, [item for item in people if item is not them[0]]
    return [], people


def recipient_of(people: list[Item]) -> Item | None:
    """ "to Amira", "for her", or the person named without a preposition beside a thing."""
    for item in people:
        if item.prep in ("to", "for", "with", "towards"):
            return item
    return next((item for item in people if not item.prep or item.prep == "of"), None)


def split_places(places: list[Item], mode: str, recipient) -> tuple[list[Item], list[Item]]:
    """(where from, where to)."""
    to = [item for item in places if item.prep in w.DESTINATION or item.kind == "here" and item.prep == ""]
    if mode == "place" and not to and recipient is None:
        to = [item for item in places if item.prep not in w.SOURCE][-1:]
    return [item for item in places if not any(item is one for one in to)], to
