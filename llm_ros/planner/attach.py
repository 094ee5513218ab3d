"""Which place belongs to which person, thing or place: "the cup on the table", "the table in the study".

In: items in order, and which names are rooms. Out: the items that stand on their own, each with the place attached
to it.
"""

from __future__ import annotations

from llm_ros.planner import words as w
from llm_ros.planner.items import Item
from llm_ros.planner.people import clothing

_STANDING = frozenset("object category person text thing_pronoun person_pronoun door".split())
_TO = frozenset("to for".split())


def attach(items: list[Item], rooms: tuple[str, ...]) -> list[Item]:
    """Hangs "in/on/at/from/near PLACE" on the person or thing right before it, and a room on the place right before it;
    places of destination stay on their own."""
    result: list[Item] = []
    for item in items:
        before = result[-1] if result else None
        if (
            item.kind in ("place", "here", "door")
            and before
            and (before.kind in _STANDING or before.kind == "me" and before.prep in _TO and item.prep not in w.SOURCE)
            and item.prep
            and item.prep not in w.DESTINATION
            and before.place is None
        ):
            before.place = item
        elif item.kind == "place" and before and before.kind == "place" and not item.prep and item.start == before.end:
            # "the lab's glove box": the room comes first.
            item.prep, item.place = before.prep, before
            result[-1] = item
        elif (
            item.kind == "place"
            and before
            and before.kind == "place"
            and not item.joined
            and item.prep in ("in", "of", "at", "inside", "within", "from")
        ):
            before.place = item
        elif (
            item.kind == "place"
            and before
            and before.place is not None
            and not item.joined
            and item.prep in ("in", "of", "at", "inside", "within")
            and before.place.place is None
            and set(item.names) & set(rooms)
        ):
            before.place.place = item
        else:
            result.append(item)
    result = _dressed(result)
    for first, second in zip(result[-2::-1], result[:0:-1], strict=False):
        # "Amira and Yuki in the study": both are there.
        if second.joined and first.kind == second.kind == "person" and first.place is None:
            first.place = second.place
    return result


def _dressed(items: list[Item]) -> list[Item]:
    """ "the lady on the terrace in the white blouse": clothes said after the place still describe the person."""
    result: list[Item] = []
    for item in items:
        before = result[-1] if result else None
        if (
            before
            and before.kind == "person"
            and before.described
            and before.place is not None
            and item.kind == "text"
            and item.prep in ("in", "with")
            and clothing(item.names[0].split()[-1])
        ):
            before.names = (f"{before.names[0]} {item.prep} {item.names[0]}",)
        else:
            result.append(item)
    return result
