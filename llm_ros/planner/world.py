"""The world as the planner knows it: rooms, locations, doors, objects by category, people and how people are described.

In: a world YAML (docs/planning.md lists the keys). Out: an immutable `World`. Errors name file, line and key. Knows
nothing of language: spelling variants, plurals and synonyms are the business of names.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from llm_ros.planner.strictyaml import ConfigError, Section, load_yaml, parse_yaml

OPERATOR = "me"
_DESCRIPTIONS = ("gestures", "poses", "clothes", "colors")


@dataclass(frozen=True)
class Pose:
    """Where the robot stands to work at a place: metres and radians (counter-clockwise, 0 along x) in `frame`."""

    x: float
    y: float
    yaw: float = 0.0
    frame: str = "map"


@dataclass(frozen=True)
class Location:
    """A place to drive to, in a room. placement: objects can be put there. holds: what is usually found there."""

    name: str
    room: str
    placement: bool = True
    holds: tuple[str, ...] = ()
    pose: Pose | None = None


@dataclass(frozen=True)
class Category:
    """A kind of object; `name` is the plural that the file uses as its key."""

    name: str
    singular: str
    objects: tuple[str, ...] = ()


@dataclass(frozen=True)
class World:
    """Everything that has a name. Mappings keep the file's order; `operator` is where `me` waits, if known.

    learned: where things and people are now, as far as that differs from the file; None: nobody knows.
    """

    rooms: tuple[str, ...]
    locations: Mapping[str, Location]
    doors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    categories: Mapping[str, Category] = field(default_factory=dict)
    objects: Mapping[str, str | None] = field(default_factory=dict)
    people: tuple[str, ...] = (OPERATOR,)
    descriptions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    synonyms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    operator: str | None = None
    forbidden: tuple[str, ...] = ()
    learned: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def places(self) -> tuple[str, ...]:
        """Rooms and locations: everything `go_to` can reach."""
        return self.rooms + tuple(self.locations)

    def room_of(self, place: str | None) -> str | None:
        """The room of a room, location or door (its first room); None if it is none of them."""
        if place in self.rooms:
            return place
        if place in self.locations:
            return self.locations[place].room
        return self.doors[place][0] if place in self.doors else None

    def is_at(self, place: str | None, where: str) -> bool:
        """Whether `place` is `where`, or in the room `where`."""
        return place is not None and (place == where or where in self.rooms and self.room_of(place) == where)

    def category_of(self, name: str) -> Category | None:
        """The category that `name` is (its plural or singular), or the one that lists the object `name`."""
        for category in self.categories.values():
            if name in (category.name, category.singular) or name in category.objects:
                return category
        return None

    def home_of(self, name: str) -> str | None:
        """Where an object or category is: as learned, else its own place, else the location that holds its category."""
        if name in self.learned:
            return self.learned[name]
        if self.objects.get(name):
            return self.objects[name]
        category = self.category_of(name)
        wanted = {name} | ({category.name, category.singular} if category else set())
        for location in self.locations.values():
            if wanted & set(location.holds):
                return location.name
        return None


def load_world(path: str | Path) -> World:
    """Reads a world file. Raises `ConfigError` naming file, line and key."""
    return read_world(load_yaml(path))


def parse_world(text: str, file: str = "<text>") -> World:
    """The same from a text."""
    return read_world(parse_yaml(text, file))


def read_world(top: Section) -> World:
    """Takes a world out of a parsed YAML mapping."""
    rooms = top.names("rooms", required=True)
    if not rooms:
        raise top.error("at least one room is needed", "rooms")
    locations = _locations(top, rooms)
    places = set(rooms) | set(locations)
    doors = _doors(top, rooms)
    categories = _categories(top)
    objects = _objects(top, categories, places)
    people = top.names("people") or (OPERATOR,)
    people = people if OPERATOR in people else (OPERATOR, *people)
    descriptions = {key: () for key in _DESCRIPTIONS}
    section = top.section("person_descriptions")
    if section:
        descriptions = {key: section.names(key) for key in _DESCRIPTIONS}
        section.done(*_DESCRIPTIONS)
    known = places | set(doors) | set(categories) | set(objects) | set(people)
    known |= {category.singular for category in categories.values()}
    synonyms = _synonyms(top, known)
    operator = top.name("operator", None)
    if operator is not None and operator not in places:
        raise top.error(f"operator: {operator!r} is no room or location")
    forbidden = top.names("forbidden")
    for name in forbidden:
        if name not in places:
            raise top.error(f"forbidden: {name!r} is no room or location")
    top.done(
        "rooms",
        "locations",
        "doors",
        "object_categories",
        "objects",
        "people",
        "person_descriptions",
        "synonyms",
        "operator",
        "forbidden",
    )
    frozen = MappingProxyType
    return World(
        rooms,
        frozen(locations),
        frozen(doors),
        frozen(categories),
        frozen(objects),
        people,
        frozen(descriptions),
        frozen(synonyms),
        operator,
        forbidden,
    )


def _locations(top: Section, rooms: tuple[str, ...]) -> dict[str, Location]:
    section, found = top.section("locations", required=True), {}
    section.check_keys()
    for name in section.keys():
        if name in rooms:
            raise section.error("a room and a location share this name", name)
        entry = section.section(name)
        room = entry.name("room")
        if room not in rooms:
            raise entry.error(f"room: {room!r} is not one of the rooms")
        found[name] = Location(name, room, entry.flag("placement", True), entry.names("holds"), _pose(entry))
        entry.done("room", "placement", "holds", "pose", "frame")
    return found


def _pose(entry: Section) -> Pose | None:
    numbers, frame = entry.numbers("pose"), entry.text("frame", "map", 80)
    if numbers and len(numbers) not in (2, 3):
        raise entry.error(f"pose: expected [x, y] or [x, y, yaw], got {len(numbers)} numbers")
    return Pose(*numbers, *([0.0] if len(numbers) == 2 else []), frame) if numbers else None


def _doors(top: Section, rooms: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    section, found = top.section("doors"), {}
    if not section:
        return found
    section.check_keys()
    for name in section.keys():
        entry = section.section(name)
        between = tuple(dict.fromkeys(entry.names("room") + entry.names("rooms")))
        if not between:
            raise entry.error("missing key 'room'")
        for room in between:
            if room not in rooms:
                raise entry.error(f"room: {room!r} is not one of the rooms")
        entry.done("room", "rooms")
        found[name] = between
    return found


def _categories(top: Section) -> dict[str, Category]:
    section, found = top.section("object_categories"), {}
    if not section:
        return found
    section.check_keys()
    for name in section.keys():
        entry = section.section(name)
        singular = entry.name("singular", None) or (name[:-1] if name.endswith("s") else name)
        found[name] = Category(name, singular, entry.names("objects"))
        entry.done("singular", "objects")
    return found


def _objects(top: Section, categories: dict[str, Category], places: set[str]) -> dict[str, str | None]:
    """Objects by name with their own place if they have one: those of the categories, then those listed apart."""
    found: dict[str, str | None] = {name: None for category in categories.values() for name in category.objects}
    section = top.section("objects")
    if section:
        section.check_keys()
        for name in section.keys():
            entry = section.section(name)
            place = entry.name("location", None)
            if place is not None and place not in places:
                raise entry.error(f"location: {place!r} is no room or location")
            entry.done("location")
            found[name] = place
    return found


def _synonyms(top: Section, known: set[str]) -> dict[str, tuple[str, ...]]:
    section, found = top.section("synonyms"), {}
    if not section:
        return found
    for name in section.keys():
        if name not in known:
            raise section.error("no such name in this world", name)
        found[name] = section.names(name)
    return found


__all__ = ["OPERATOR", "Category", "ConfigError", "Location", "Pose", "World"]
__all__ += ["load_world", "parse_world", "read_world"]
