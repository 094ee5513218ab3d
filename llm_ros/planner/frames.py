"""What each kind of deed amounts to: one short function per frame turns a clause into goals.

In: a clause and the `Referee` that knows who is meant. Out: goals (deeds without the steps that make them possible: the
completion inserts those). `FRAME_GOALS` is the table that interpret.py looks frames up in; speech.py adds the
talking ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from llm_ros.planner import words as w
from llm_ros.planner.carry import transfer
from llm_ros.planner.clauses import Clause
from llm_ros.planner.items import Item
from llm_ros.planner.lead import guide, know
from llm_ros.planner.plan import PlanError
from llm_ros.planner.refer import PEOPLE, THINGS, Goal, Question, Referee, people_in, places_in
from llm_ros.planner.world import OPERATOR

_GUIDING = ("take", "bring", "walk", "show", "get", "lead", "see", "drive", "move", "run", "carry", "deliver")
_HOW = frozenset("closer nearer forward forwards back backwards along over away down up out around aside home".split())


def go(ref: Referee, clause: Clause) -> list[Goal]:
    """Drive somewhere; "walk Amira to the study" guides, "move the tin to the oven" carries."""
    people, places = people_in(clause), places_in(clause)
    things = [item for item in clause.items if item.kind in ("object", "category") or item.kind == "thing_pronoun"]
    if clause.verb.word == "move":
        things += [item for item in clause.items if item.kind == "text" and not item.prep and not _manner(item)]
    furniture = [item for item in places if not item.prep and set(item.names) <= set(ref.world.locations)]
    if clause.verb.word == "move" and furniture and any(item.prep in w.DESTINATION for item in places):
        raise PlanError("impossible", f"I cannot carry the {ref.said(furniture[0])}")
    driven = [item for item in clause.items if item.kind == "text" and not item.prep and item.definite]
    if clause.verb.word in ("drive", "ride", "steer", "roll") and driven and places and not _manner(driven[0]):
        raise PlanError("impossible", f"I cannot {clause.verb.word} the {ref.said(driven[0])}")
    direct = [item for item in people if not item.prep]
    if direct and clause.verb.word in _GUIDING and (places or direct[0].place):
        return guide(ref, clause)
    if (
        things
        and (places or people or things[0].place)
        and clause.verb.word in ("move", "get", "take", "return", "run", "go")
    ):
        return transfer(ref, clause, "place" if places or things[0].place else "bring")
    moved = [item for item in clause.subject if item.kind in ("object", "category", "thing_pronoun")]
    if moved and places:
        # "the dustpan goes back in the cabinet"
        clause.items = [*moved, *clause.items]
        return transfer(ref, clause, "place")
    if any(item.kind == "text" and item.names[0].split()[0] == "wherever" for item in clause.items):
        if ref.context.person is None:
            raise Question("Whom should I follow?", "person", (clause.verb.start, clause.end), "follow")
        return [Goal("follow", {"person": ref.context.person})]
    goals = []
    for item in clause.items:
        if item.kind in ("place", "here", "door") and not (item.prep in w.SOURCE and len(places) > 1):
            if item.kind == "here" and item.names[0] == "here" and not ref.world.operator:
                goals.append(Goal("find_person", {"person": OPERATOR}))
                continue
            ref.context.here = ref.place(item)
            goals.append(Goal("go_to", {"location": ref.context.here}))
        elif item.kind in PEOPLE:
            goals += find_one(ref, item, None)
        elif item.kind in ("object", "category", "thing_pronoun") or item.kind == "text" and item.place:
            goals += find_one(ref, item, None)
        elif item.kind == "text" and (item.prep in w.DESTINATION | {"in", "at", "inside", "near", "by"} or not goals):
            if item.names[0] in ("home", "position", "base", "starting point", "start", "way") and clause.verb.word in (
                "go",
                "return",
                "come",
            ):
                goals.append(Goal("find_person", {"person": OPERATOR}))
            else:
                ref.place(item)
    if not goals and clause.verb.word in ("come", "return", "go", "report"):
        if clause.verb.word == "go":
            raise Question("Where should I go?", "place", (clause.end, clause.end), "to")
        goals = [Goal("find_person", {"person": OPERATOR})]
    if not goals:
        raise Question("Where should I go?", "place", (clause.end, clause.end), "to")
    return goals


def _manner(item: Item) -> bool:
    """ "move quickly", "move closer": how, not what."""
    return item.names[0].endswith("ly") or item.names[0].split()[0] in _HOW


def find_one(ref: Referee, item: Item, where: str | None) -> list[Goal]:
    """Look for one person or thing."""
    place = ref.where(item) or where
    if item.kind in PEOPLE:
        person = ref.person(item)
        if person == OPERATOR:
            return [Goal("find_person", {"person": person})]
        if item.kind == "person" and person not in ref.context.told:
            ref.context.found.pop(person, None)
        ref.context.told.discard(person)
        return [Goal("find_person", {"person": person}, know(ref, person, place))]
    if item.kind == "text" and ref.named(item):
        ref.person(item)  # "look for Leonard", whom nobody knows
    value = ref.thing(item, "look for")
    place = place or ref.context.here or ref.context.found.get(value) or ref.world.home_of(value)
    return [Goal("find_object", {"object": value}, know(ref, value, place))]


def find(ref: Referee, clause: Clause) -> list[Goal]:
    """Look for people or things; "search the pantry for a tin"; a place alone is driven to."""
    wanted = [item for item in clause.items if item.kind in PEOPLE or item.kind in THINGS]
    places = places_in(clause)
    where = ref.place(places[0]) if places else None
    if not wanted:
        if where:
            ref.context.here = where
            return [Goal("go_to", {"location": where})]
        doors = [item for item in clause.items if item.kind == "door"]
        if doors:
            return go(ref, clause)
        said = clause.tokens[clause.start - 1].low
        lead = "for" if clause.verb.word.startswith(("look", "search")) and said != "for" else ""
        raise Question("What should I look for?", "object", (clause.start, clause.start), lead)
    goals = []
    for item in wanted:
        if item.kind == "text" and item.names[0] in ("look", "way", "search", "eye", "course"):
            continue
        goals += find_one(ref, item, where)
    return goals


def meet(ref: Referee, clause: Clause) -> list[Goal]:
    """Find a person; "see Amira to the door" guides her."""
    if clause.verb.word == "see" and people_in(clause) and any(item.prep == "to" for item in places_in(clause)):
        return guide(ref, clause)
    if not people_in(clause) and not any(item.kind == "text" for item in clause.items):
        raise Question("Whom should I meet?", "person", (clause.start, clause.start))
    places = places_in(clause)
    where = ref.place(places[0]) if places else None
    goals = []
    for item in clause.items:
        if item.kind in PEOPLE:
            goals += find_one(ref, item, where)
        elif item.kind == "text":
            ref.person(item)
    return goals


_STATES = ("open", "opened", "closed", "shut", "locked")


def open_or_close(role: str):
    """A frame for doors, furniture and whatever else opens."""

    def frame(ref: Referee, clause: Clause) -> list[Goal]:
        goals = []
        before = None
        for item in clause.items or clause.subject:
            before, last = item, before
            if item.kind == "text" and item.names[0] in ("door", "doors", *_STATES) and goals:
                continue
            if item.kind == "door" and len(item.names) > 1 and last and last.end == item.start and goals:
                continue  # "the fridge door"
            if item.kind == "text" and item.prep in ("in", "at", "of", "inside") and goals:
                ref.place(item)  # "the window in the cellar": refused where there is no such place
            if (
                item.kind == "here"
                or item.kind in PEOPLE
                or item.kind == "text"
                and item.prep == "for"  # somebody unknown, for whom it is done
                or item.kind == "place"
                and item.prep in ("in", "at", "for", "to")
            ):
                continue
            if item.kind == "number":
                raise Question(f"What is {ref.said(item)} about?", "command", (clause.end, clause.end), ".")
            for one in _each(ref, item, clause):
                goals.append(_openable(ref, one, role, clause))
        if not goals:
            raise Question(f"What should I {role}?", "object", (clause.start, clause.start))
        return goals

    return frame


def _each(ref: Referee, item: Item, clause: Clause) -> list[Item]:
    """ "all doors", "every door", "both doors", "the doors": each of them; else what is named."""
    low = {token.low for token in clause.tokens[max(0, item.start - 2) : item.end]}
    plural = item.kind == "door" and len(item.names) > 1 and clause.tokens[item.end - 1].low == "doors"
    wanted = plural and ("both" not in low or len(item.names) == 2) or item.kind == "door" and low & {"every", "each"}
    if not wanted or ref.where(item) or places_in(clause):
        return [item]
    return [replace(item, names=(door,)) for door in item.names]


def _which_door(ref: Referee, item: Item, doors: Sequence[str]) -> Question:
    names = " or ".join(door.replace("_", " ") for door in doors[:6])
    return Question(f"Which door do you mean: {names}?", "door", ref.gap(item), choices=doors)


def _openable(ref: Referee, item: Item, role: str, clause: Clause) -> Goal:
    if item.kind == "place":
        name = ref.place(item)
        doors = [door for door, rooms in ref.world.doors.items() if name in rooms]
        if name in ref.world.rooms:
            if len(doors) > 1:
                raise _which_door(ref, item, doors)
            return Goal(
                role, {"object": doors[0] if doors else f"{name}_door"}, {doors[0] if doors else f"{name}_door": name}
            )
        ref.context.opened, ref.context.here = name, name
        return Goal(role, {"object": name}, {name: name})
    if item.kind == "door" or item.kind == "text" and w.singular(item.names[0]) == "door" and ref.world.doors:
        doors = item.names if item.kind == "door" else tuple(ref.world.doors)
        room = ref.where(item) or next((ref.place(one) for one in places_in(clause)), None) or ref.context.here
        inside = tuple(door for door in doors if room and ref.world.room_of(room) in ref.world.doors[door])
        doors = inside or doors
        if len(doors) > 1:
            raise _which_door(ref, item, doors)
        ref.context.thing = ref.context.opened = doors[0]
        ref.context.place = ref.world.doors[doors[0]][0]
        at = (
            ref.world.room_of(room)
            if room and ref.world.room_of(room) in ref.world.doors[doors[0]]
            else ref.world.doors[doors[0]][0]
        )
        return Goal(role, {"object": doors[0]}, {doors[0]: at})
    if item.kind in ("thing_pronoun", "person_pronoun"):
        value = ref.context.opened or _container(ref, item) or ref.thing(item, role)
        return Goal(role, {"object": value}, {value: value} if value in ref.world.locations else {})
    if item.kind == "text" and w.singular(item.names[0].split()[-1]) == "door" and not item.place:
        raise PlanError("unknown_place", f"I do not know the {item.names[0]}")
    where = ref.where(item) or next((ref.place(one) for one in places_in(clause)), None)
    value = ref.thing(item, role)
    place_of = where or ref.context.here or ref.world.home_of(value)
    return Goal(role, {"object": value}, {value: place_of} if place_of else {})


def _container(ref: Referee, item: Item) -> str | None:
    """What "it" is to be opened or closed: the last place named before that has a door or a lid, unless a thing named
    since has one too ("the parcel is in the cupboard, open it")."""
    if ref.context.thing and ref.context.thing.split("_")[-1] in w.OPENABLE:
        return None
    for start in sorted(ref.mentions, reverse=True):
        one = ref.mentions[start]
        if start < item.start and one.kind == "place" and len(one.names) == 1:
            if {one.names[0].split("_")[-1], ref.tokens[one.end - 1].low} & w.OPENABLE:
                return one.names[0]
    return None


def wait(ref: Referee, clause: Clause) -> list[Goal]:
    """Wait for a time ("a moment" is five seconds), or for a person."""
    if _seconds(clause) is None and any(item.prep == "for" for item in people_in(clause)):
        return meet(ref, clause)
    goals = []
    for item in clause.items:
        if item.kind in ("place", "door"):
            ref.context.here = ref.place(item)
            goals.append(Goal("go_to", {"location": ref.context.here}))
    seconds = _seconds(clause)
    if seconds is None:
        raise Question("How many seconds should I wait?", "number", (clause.end, clause.end), "for")
    if seconds <= 0:
        raise PlanError("impossible", f"I cannot wait for {seconds:g} seconds")
    return [*goals, Goal("wait", {"seconds": seconds})]


def _seconds(clause: Clause) -> float | None:
    """The time that a clause speaks of; a bare number counts as seconds."""
    for item in clause.items:
        if item.kind == "number":
            return float(item.names[0])
        if item.kind == "text" and item.names[0].split()[-1] in ("moment", "while", "bit", "instant"):
            return 5.0
    return None


def stop(ref: Referee, clause: Clause) -> list[Goal]:
    """Stop for a time, or at a place; a plan has not begun, so there is nothing else that could be stopped."""
    if _seconds(clause) is not None:
        return wait(ref, clause)
    if any(item.prep for item in places_in(clause)):
        return go(ref, clause)
    what = " ".join(token.text for token in clause.tokens[clause.verb.start : clause.end] if token.low[0].isalnum())
    raise Question(f"I am not doing anything yet that I could stop ({what}). What should I do?")


FRAME_GOALS = {
    "go": go,
    "find": find,
    "meet": meet,
    "open": open_or_close("open"),
    "close": open_or_close("close"),
    "wait": wait,
    "stop": stop,
}
