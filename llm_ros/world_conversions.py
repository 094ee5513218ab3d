"""Messages about the world <-> plain values: changes, sightings, and the world with what is believed of it."""

from __future__ import annotations

from llm_core.errors import RequestError
from llm_ros.msg import SeenObject, WorldChange, WorldItem
from llm_ros.planner.conditions import State
from llm_ros.planner.world import World
from llm_ros.planner.world_edit import CHANGES, Change

_CODES = {what: getattr(WorldChange, what.upper()) for what in CHANGES}
_NAMES = {code: what for what, code in _CODES.items()}


def change_from_ros(message: WorldChange, where: str = "change") -> Change:
    """Raises RequestError for a change that does not exist or names nothing."""
    if message.change not in _NAMES:
        known = ", ".join(f"{code} ({what})" for code, what in _NAMES.items())
        raise RequestError(f"{where}.change = {message.change}: expected one of {known}")
    if not message.name:
        raise RequestError(f"{where}.name is empty")
    return Change(
        _NAMES[message.change],
        message.name,
        message.kind,
        message.category,
        message.location,
        message.synonym,
        tuple(message.pose),
        message.frame,
    )


def change_to_ros(change: Change) -> WorldChange:
    """The message of a change."""
    return WorldChange(
        change=_CODES[change.what],
        name=change.name,
        kind=change.kind,
        category=change.category,
        location=change.location,
        synonym=change.synonym,
        pose=[float(number) for number in change.pose],
        frame=change.frame,
    )


def seen_from_ros(message: SeenObject, now: float) -> dict:
    """The arguments of `Knowledge.see`; `now`: seconds, for messages without a stamp."""
    stamp = message.stamp.sec + message.stamp.nanosec * 1e-9
    return {
        "name": message.name,
        "location": message.location,
        "category": message.category,
        "missing": message.missing,
        "stamp": stamp or now,
    }


def items_to_ros(world: World, state: State) -> list[WorldItem]:
    """Every room, location, door, object and person; then things that are no part of the world but were dealt with."""
    kinds = [
        *((name, "room", "") for name in world.rooms),
        *((name, "location", place.room) for name, place in world.locations.items()),
        *((name, "door", rooms[0]) for name, rooms in world.doors.items()),
        *((name, "object", world.home_of(name) or "") for name in world.objects),
        *((name, "person", "") for name in world.people),
    ]
    known = {name for name, _, _ in kinds}
    kinds += [(name, "object", "") for name in state.places if name not in known]
    return [_item(world, state, *entry) for entry in kinds]


def _item(world: World, state: State, name: str, kind: str, location: str) -> WorldItem:
    category = world.category_of(name) if kind == "object" else None
    closed = state.closed.get(name)
    item = WorldItem(
        name=name,
        kind=kind,
        category=category.name if category else "",
        location=location,
        believed_at=state.places.get(name) or "",
        forbidden=name in world.forbidden,
        door=WorldItem.UNKNOWN if closed is None else WorldItem.IS_CLOSED if closed else WorldItem.IS_OPEN,
        synonyms=list(world.synonyms.get(name, ())),
    )
    if kind == "location":
        place = world.locations[name]
        item.placement = place.placement
        item.pose = [place.pose.x, place.pose.y, place.pose.yaw] if place.pose else []
    return item
