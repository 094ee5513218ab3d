"""Skills of a robot's own, outside the known roles: their arguments are filled from the clause by type.

In: a clause whose verb asks for the skill, and the `Referee`. Out: the goal, with a drive to where the thing is if
the skill does not
say what it needs. A required argument that the clause does not give is a `Question`.
"""

from __future__ import annotations

from llm_ros.planner.clauses import Clause
from llm_ros.planner.items import Item
from llm_ros.planner.refer import Goal, Question, Referee

_FITS = {
    "location": ("place", "here"),
    "object": ("object", "category", "thing_pronoun", "text", "door", "place"),
    "person": ("person", "me", "person_pronoun"),
    "door": ("door", "place", "object", "text"),
    "category": ("category", "object", "text"),
    "text": ("quote", "text", "object", "category", "person", "place", "door"),
    "number": ("number", "text"),
}
# What is asked for where it is called otherwise than the type (inquiry.ASKS).
_ASKS = {"location": "place", "category": "object"}


def own_skill(ref: Referee, clause: Clause, skill) -> list[Goal]:
    """A skill outside the known roles: its arguments are filled by type, in order."""
    name, args = skill.name, {}
    free = list(clause.items)
    facts = {}
    for arg in skill.args:
        item = next((one for one in free if one.kind in _FITS[arg.type]), None) or (
            next((one for one in free if one.kind in _FITS["text"]), None) if arg.free else None
        )
        if item is None:
            if arg.type == "location" and ref.context.here:
                args[arg.name] = ref.context.here
            elif arg.type == "location" and any(one.place for one in free):
                args[arg.name] = next(ref.place(one.place) for one in free if one.place)
            elif not arg.optional:
                unknown = next((one for one in free if one.kind == "text"), None)
                if arg.type == "location" and unknown:
                    ref.place(unknown)
                raise Question(
                    f"What is the {arg.name.replace('_', ' ')} for {name.replace('_', ' ')}?",
                    _ASKS.get(arg.type, arg.type),
                    (clause.end, clause.end),
                    "at" if arg.type == "location" else "",
                )
            continue
        free = [one for one in free if one is not item]
        args[arg.name] = _fill(ref, clause, item, arg)
        place = ref.where(item) or next((ref.place(one) for one in free if one.kind == "place"), None)
        if arg.type not in ("location", "number") and item.kind != "me":
            place = (
                place
                or ref.context.here
                or (ref.world.home_of(str(args[arg.name])) if arg.type in ("object", "category") else None)
            )
            if arg.type == "door" and not place and item.kind == "door":
                place = ref.world.doors[args[arg.name]][0]
            if place:
                facts[str(args[arg.name])] = place
    goals = []
    if (
        facts
        and "at" not in {need.predicate for need in skill.needs}
        and not any(arg.type == "location" for arg in skill.args)
    ):
        goals.append(Goal("go_to", {"location": next(iter(facts.values()))}))
    if ref.context.thing is None and any(arg.type == "object" for arg in skill.args):
        ref.context.thing = next(str(args[arg.name]) for arg in skill.args if arg.type == "object")
    return [*goals, Goal(f"skill:{name}", args, facts)]


def _fill(ref: Referee, clause: Clause, item: Item, arg):
    if arg.type == "location":
        return ref.place(item)
    if arg.type == "person":
        return ref.person(item)
    if arg.type == "number":
        return (
            float(item.names[0])
            if item.kind == "number"
            else float(
                next(
                    (token.low for token in clause.tokens[item.start : item.end] if token.low.isdecimal()),
                    item.count,
                )
            )
        )
    if arg.type == "text":
        return " ".join(clause.tokens[k].text for k in range(item.start, clause.end))[:200].strip()
    if item.kind in ("place", "door", "person"):
        return ref.place(item) if item.kind == "place" else item.names[0]
    return ref.thing(item, "use")
