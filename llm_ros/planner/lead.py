"""Frames about walking with people: guide and follow; and what is known of where people and things are.

In: a clause and the `Referee` that knows who is meant. Out: goals, each with the place where the person is to be found.
"""

from __future__ import annotations

from llm_ros.planner import words as w
from llm_ros.planner.clauses import Clause
from llm_ros.planner.items import Item
from llm_ros.planner.plan import PlanError
from llm_ros.planner.refer import Goal, Question, Referee, people_in, places_in
from llm_ros.planner.world import OPERATOR


def know(ref: Referee, value: str, place: str | None) -> dict[str, str]:
    """The fact that `value` is at `place`: as said, else where the command has just gone, else unknown."""
    if value == OPERATOR and place is None:
        return {}
    place = place or ref.context.found.get(value) or ref.context.here
    ref.context.found[value] = place
    return {value: place} if place else {}


def guide(ref: Referee, clause: Clause) -> list[Goal]:
    """Lead a person to a place."""
    people, places = people_in(clause), places_in(clause)
    if clause.verb.word == "help" and not (places and people):
        raise PlanError("impossible", "I can help people only to get to a place")
    person = next((item for item in people if not item.prep), people[0] if people else None)
    if person is None:
        texts = [
            item for item in clause.items if item.kind == "text" and not item.prep and item.names[0] not in ("way",)
        ]
        if not texts and not ref.context.person:
            raise Question("Whom should I guide?", "person", (clause.start, clause.start))
        person = texts[0] if texts else Item("person_pronoun", ("them",), "", clause.start, clause.start)
    to = [item for item in places if item.prep in w.DESTINATION] or [
        item for item in places if item.prep not in w.SOURCE
    ]
    doors = [item for item in clause.items if item.kind == "door"]
    if not to and doors:
        to = doors
    other, host = [item for item in people if item is not person], None
    if not to and other and other[0].place is not None:
        to = [other[0].place]
        host = ref.person(other[0])
    if not to and other and other[0].kind == "me" and ref.world.operator:
        target = ref.world.operator
    elif not to and other and other[0].prep in w.DESTINATION:
        host = ref.person(other[0])
        target = ref.context.found.get(host) or ref.world.home_of(host)
        if target is None:
            raise Question(
                f"Where is {host.replace('_', ' ')}? I can guide people to places.", "place", ref.gap(other[0])
            )
    elif not to:
        unknown = [item for item in clause.items if item.kind == "text" and item.prep in w.DESTINATION]
        if unknown:
            ref.place(unknown[0])
        if clause.verb.word in ("accompany", "see"):
            return follow(ref, clause)
        if person.place is not None and person.place.prep not in w.SOURCE and clause.verb.word == "show":
            target = ref.place(person.place)
        elif ref.context.sought is not None and person.kind == "person_pronoun":
            target = ref.context.sought
        elif (found := _where_a_thing_is(ref, clause, person)) is not None:
            target = found
        else:
            whom = "you" if person.kind == "me" else ref.said(person) or "the person"
            raise Question(f"Where should I guide {whom}?", "place", (clause.end, clause.end), "to")
    else:
        target = None
    sources = [item for item in places if not any(item is one for one in to)]
    start = ref.place(sources[0]) if sources else None
    goals = []
    for one in [person, *(item for item in people if item is not person and item.joined and not item.prep)]:
        name = ref.person(one)
        facts = know(ref, name, ref.where(one) or start)
        target = target or _there(ref, to[-1], facts.get(name))
        facts = {**facts, **({host: target} if host else {})}
        goals.append(Goal("guide", {"person": name, "location": target}, facts))
        ref.context.found[name] = target
        ref.context.guided = name
    ref.context.here = ref.context.delivered = target
    ref.context.fetched = None
    return goals


def _where_a_thing_is(ref: Referee, clause: Clause, person: Item) -> str | None:
    """ "guide me to the hammer", "show me where it is": where the thing is said, was found or is kept; else None."""
    asked = any(token.low == "where" for token in clause.tokens[clause.start : clause.end])
    for item in clause.items:
        if item is person or item.kind not in ("object", "category", "thing_pronoun"):
            continue
        if asked or item.prep in w.DESTINATION:
            value = ref.thing(item, "find")
            return ref.where(item) or ref.context.found.get(value) or ref.world.home_of(value)
    return None


def _there(ref: Referee, item: Item, start: str | None) -> str:
    """The place that an item names; "there" is not where somebody already is, if another place was spoken of."""
    place = ref.place(item)
    if item.kind != "here" or place != start:
        return place
    named = [one for at, one in sorted(ref.mentions.items()) if at < item.start and one.kind == "place"]
    return next((one.names[0] for one in reversed(named) if len(one.names) == 1 and one.names[0] != start), place)


def follow(ref: Referee, clause: Clause) -> list[Goal]:
    """Go after a person, to a place if one is said."""
    people, places = people_in(clause), places_in(clause)
    if not people:
        texts = [item for item in clause.items if item.kind == "text"]
        if not texts and not ref.context.person:
            raise Question("Whom should I follow?", "person", (clause.start, clause.start))
        people = texts[:1] or [Item("person_pronoun", ("them",), "", clause.start, clause.start)]
    to = [item for item in places if item.prep in w.DESTINATION]
    verb = [token.low for token in clause.tokens[clause.verb.start : clause.verb.end]] if clause.verb else []
    if to and verb[:1] in (["go"], ["walk"]) and "with" in verb and people[0].kind not in ("me", "text"):
        return guide(ref, clause)  # "walk with him to the hall": he is the one to get there
    sources = [item for item in places if not any(item is one for one in to)]
    unknown = [item for item in clause.items if item.kind == "text" and item.prep in w.DESTINATION]
    if unknown and not to:
        ref.place(unknown[0])
    if len([item for item in people if item.kind == "person"]) > 1:
        raise PlanError("impossible", "I can follow one person at a time")
    name = ref.person(people[0])
    start = ref.where(people[0]) or (ref.place(sources[0]) if sources else None)
    facts = know(ref, name, start)
    args = {"person": name}
    if to:
        args["location"] = ref.place(to[-1])
    elif ref.context.heading and name == ref.context.person:
        args["location"] = ref.context.heading
    ref.context.here = ref.context.delivered = ref.context.found[name] = args.get("location")
    ref.context.fetched = None
    return [Goal("follow", args, facts)]


LEAD_GOALS = {"guide": guide, "follow": follow}
