"""Changes of a world: what somebody tells or sees, made in the plain tree of a world file.

In: a tree as YAML gives it and `Change`s. Out: a changed tree, which `parse_world` then checks like any file; what only
holds for now (where a thing is, whether a door is open) is not the tree's and is left to who keeps it (`is_lasting`).
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass

KINDS = ("object", "person", "room", "location", "door")


@dataclass(frozen=True)
class Change:
    """One change; `what` is a key of CHANGES, the other fields are those of msg/WorldChange.msg."""

    what: str
    name: str
    kind: str = "object"
    category: str = ""
    location: str = ""
    synonym: str = ""
    pose: tuple[float, ...] = ()
    frame: str = ""

    def __str__(self) -> str:
        return f"{self.what} {self.name[:60]!r}"


class ChangeError(ValueError):
    """A change that cannot be made; the message says which and why."""


def is_lasting(change: Change) -> bool:
    """Whether the change belongs to the world file; others only say how things stand now."""
    return CHANGES[change.what] is not None


def edited(tree: dict, changes: Iterable[Change]) -> dict:
    """The tree after all lasting changes. Raises ChangeError for what the schema of the file cannot notice."""
    tree = copy.deepcopy(tree)
    for number, change in enumerate(changes):
        try:
            if is_lasting(change):
                CHANGES[change.what](tree, change)
        except ChangeError as error:
            raise ChangeError(f"changes[{number}]: {change}: {error}") from None
    return tree


def _section(tree: dict, key: str) -> dict:
    """The mapping at `key`, made if it is missing or empty."""
    if not tree.get(key):
        tree[key] = {}
    return tree[key]


def _list(tree: dict, key: str) -> list:
    """The list at `key`; a single name is a list of one, nothing an empty one."""
    value = tree.get(key)
    tree[key] = list(value) if isinstance(value, list) else [] if value is None else [value]
    return tree[key]


def _drop_empty(tree: dict, key: str) -> None:
    if not tree.get(key):
        tree.pop(key, None)


def names_of(tree: dict) -> dict[str, str]:
    """Every room, location, door, object and person of the tree with its kind."""
    found = dict.fromkeys(_listed(tree, "people"), "person") | {"me": "person"}
    for category in (tree.get("object_categories") or {}).values():
        found.update(dict.fromkeys(_listed(category or {}, "objects"), "object"))
    for key, kind in (("objects", "object"), ("doors", "door"), ("locations", "location")):
        found.update(dict.fromkeys(tree.get(key) or {}, kind))
    return found | dict.fromkeys(_listed(tree, "rooms"), "room")


def _listed(tree: dict, key: str) -> list:
    return _list({key: tree.get(key)}, key)


def _add(tree: dict, change: Change) -> None:
    if change.kind not in KINDS:
        raise ChangeError(f"kind = {change.kind[:60]!r}: expected one of {', '.join(KINDS)}")
    known = names_of(tree).get(change.name)
    if known:
        raise ChangeError(f"there is already a {known} of that name")
    _ADDS[change.kind](tree, change)


def _add_object(tree: dict, change: Change) -> None:
    if change.category:
        categories = _section(tree, "object_categories")
        key = next(
            (
                key
                for key, value in categories.items()
                if change.category in (key, (value or {}).get("singular", key.removesuffix("s")))
            ),
            change.category,
        )
        _list(_section(categories, key), "objects").append(change.name)
    if change.location or not change.category:
        _section(tree, "objects")[change.name] = {"location": change.location} if change.location else {}


def _add_person(tree: dict, change: Change) -> None:
    _list(tree, "people").append(change.name)


def _add_room(tree: dict, change: Change) -> None:
    _list(tree, "rooms").append(change.name)


def _add_location(tree: dict, change: Change) -> None:
    _section(tree, "locations")[change.name] = {"room": change.location}
    if change.pose:
        _set_pose(tree, change)


def _add_door(tree: dict, change: Change) -> None:
    _section(tree, "doors")[change.name] = {"room": change.location}


_ADDS = {
    "object": _add_object,
    "person": _add_person,
    "room": _add_room,
    "location": _add_location,
    "door": _add_door,
}


def _remove(tree: dict, change: Change) -> None:
    name = change.name
    kind = names_of(tree).get(name)
    if kind is None:
        raise ChangeError("there is no such object, person, room, location or door")
    if name == "me":
        raise ChangeError("whoever gives the commands cannot be removed")
    for key in ("rooms", "people"):
        if name in _listed(tree, key):
            _list(tree, key).remove(name)
    for key in ("locations", "doors", "objects"):
        if name in (tree.get(key) or {}):
            del tree[key][name]
            if key != "locations":
                _drop_empty(tree, key)
    for entry in [*(tree.get("object_categories") or {}).values()]:
        if name in _listed(entry or {}, "objects"):
            _list(entry, "objects").remove(name)
    for entry in (tree.get("locations") or {}).values():
        if name in _listed(entry, "holds"):
            _list(entry, "holds").remove(name)
            _drop_empty(entry, "holds")
    if name in (tree.get("synonyms") or {}):
        del tree["synonyms"][name]
        _drop_empty(tree, "synonyms")
    if name in _listed(tree, "forbidden"):
        _list(tree, "forbidden").remove(name)
        _drop_empty(tree, "forbidden")


def _add_synonym(tree: dict, change: Change) -> None:
    words = _list(_section(tree, "synonyms"), change.name)
    if change.synonym not in words:
        words.append(change.synonym)


def _remove_synonym(tree: dict, change: Change) -> None:
    if change.synonym not in _listed(tree.get("synonyms") or {}, change.name):
        raise ChangeError(f"{change.synonym[:60]!r} is no synonym of it")
    _list(tree["synonyms"], change.name).remove(change.synonym)
    _drop_empty(tree["synonyms"], change.name)
    _drop_empty(tree, "synonyms")


def _forbid(tree: dict, change: Change) -> None:
    if change.name not in _list(tree, "forbidden"):
        tree["forbidden"].append(change.name)


def _allow(tree: dict, change: Change) -> None:
    if change.name not in _listed(tree, "forbidden"):
        raise ChangeError("it is not forbidden")
    _list(tree, "forbidden").remove(change.name)
    _drop_empty(tree, "forbidden")


def _set_pose(tree: dict, change: Change) -> None:
    if change.name not in (tree.get("locations") or {}):
        raise ChangeError("there is no such location")
    if len(change.pose) not in (2, 3):
        raise ChangeError(f"pose: expected x, y or x, y, yaw, got {len(change.pose)} numbers")
    entry = tree["locations"][change.name]
    entry["pose"] = list(change.pose)
    if change.frame:
        entry["frame"] = change.frame


# What can be changed, and how in the tree; None: how things stand now, which is no matter of the file.
CHANGES = {
    "add": _add,
    "move": None,
    "remove": _remove,
    "open": None,
    "close": None,
    "add_synonym": _add_synonym,
    "remove_synonym": _remove_synonym,
    "forbid": _forbid,
    "allow": _allow,
    "set_pose": _set_pose,
}
