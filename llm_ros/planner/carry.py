"""Frames that carry: take, bring, give, put, throw away, alone or in groups.

In: a clause and the `Referee` that knows who is meant. Out: goals: `pick` and then `hand_over` or `place`. Which of
them is told
by what is moved and where it goes rather than by the verb; a person "brought" somewhere is guided (frames.py).
"""

from __future__ import annotations

from dataclasses import replace

from llm_ros.planner import words as w
from llm_ros.planner.carried import (
    groups,
    idle_text,
    pronoun_things,
    recipient_of,
    split_places,
    whole_names,
    without_owners,
)
from llm_ros.planner.clauses import Clause
from llm_ros.planner.items import Item
from llm_ros.planner.lead import guide, know
from llm_ros.planner.plan import PlanError
from llm_ros.planner.refer import PEOPLE, THINGS, Goal, Question, Referee, people_in, places_in
from llm_ros.planner.tokens import words_of
from llm_ros.planner.world import OPERATOR

MAX_COUNT = 4


def things_of(ref: Referee, items: list[Item], where: str | None, verb: str) -> list[tuple[str, str | None]]:
    """(value, place) of each thing, repeated as often as asked for; "A and B on the desk" shares the place."""
    shared, found = where, []
    for item in reversed(items):
        if item.kind in ("thing_pronoun", "person_pronoun") and ref.context.deferred:
            found += reversed(ref.context.deferred)
            ref.context.deferred = []
            continue
        place = ref.where(item) or shared
        shared = shared or place
        several = ref.each(item, place)
        if several is not None:
            place = place or ref.context.origin()
            found += [(one, place or ref.world.home_of(one)) for one in reversed(several)]
            ref.context.thing = several[-1]
            continue
        value = ref.thing(item, verb)
        if place is None and item.kind == "thing_pronoun":
            place = ref.context.found.get(value) or ref.world.home_of(value)
        elif place is None:
            place = ref.context.found.get(value) or ref.context.origin() or ref.world.home_of(value) or ref.context.here
        if not 1 <= item.count <= MAX_COUNT or item.count != int(item.count):
            raise PlanError("impossible", f"I can bring 1 to {MAX_COUNT} things, not {item.count:g}")
        found += [(value, place)] * int(item.count)
    return found[::-1]


def fetch(ref: Referee, value: str, place: str | None) -> list[Goal]:
    """Have it in the hand."""
    if ref.context.held == value:
        return []
    ref.context.held = value
    ref.context.thing = value
    return [Goal("pick", {"object": value}, {value: place} if place else {})]


def hand_to(ref: Referee, value: str, person: str, place: str | None, implied: bool = False) -> list[Goal]:
    """Give the held thing to somebody."""
    ref.context.held, ref.context.here, ref.context.delivered = None, place, place
    ref.context.found.pop(value, None)
    ref.context.served = person
    return [Goal("hand_over", {"object": value, "person": person}, {person: place} if place else {}, implied)]


def put(ref: Referee, value: str, place: str) -> list[Goal]:
    """Put the held thing down."""
    ref.context.held, ref.context.here, ref.context.delivered = None, place, place
    ref.context.found[value] = place
    return [Goal("place", {"object": value, "location": place})]


def take(ref: Referee, clause: Clause) -> list[Goal]:
    """Pick something up, or bring it where it is said to go; "take Amira to the study" guides."""
    return transfer(ref, clause, "take")


def bring(ref: Referee, clause: Clause) -> list[Goal]:
    """Bring something to somebody or somewhere; "sort her out with a pen"."""
    if clause.verb.word == "sort" and "out" not in {t.low for t in clause.tokens[clause.start : clause.end]}:
        raise PlanError("impossible", "I have no skill to sort")
    return transfer(ref, clause, "bring")


def place(ref: Referee, clause: Clause) -> list[Goal]:
    """Put something somewhere."""
    return transfer(ref, clause, "place")


def discard(ref: Referee, clause: Clause) -> list[Goal]:
    """Put something into the place for rubbish, if there is one."""
    if not places_in(clause):
        bins = [name for name in ref.world.locations if rubbish(name)]
        if not bins:
            what = ref.said(clause.items[0]) if clause.items else "it"
            raise Question(f"Where should I throw {what}?", "place", (clause.end, clause.end), "into")
        item = Item("place", (bins[0],), "into", clause.start, clause.start)
        clause.items.append(item)
    return transfer(ref, clause, "place")


def throw(ref: Referee, clause: Clause) -> list[Goal]:
    """Throwing is refused, except where it only means to throw something away."""
    if any(item.kind in PEOPLE and item.prep in ("at", "to", "on", "towards") for item in clause.items):
        raise PlanError("unsafe", "I do not throw things at or to anybody")
    places = [
        item for item in (*places_in(clause), *(one.place for one in clause.items if one.place)) if item.kind == "place"
    ]
    if any(rubbish(name) for item in places for name in item.names) or any(
        t.low in ("away", "out") for t in clause.tokens[clause.start : clause.end]
    ):
        return discard(ref, clause) if not places else transfer(ref, clause, "place")
    raise PlanError("impossible", "I have no skill to throw")


def rubbish(name: str) -> bool:
    """Whether a place is where rubbish goes, by its name."""
    return bool(
        {"trash", "bin", "garbage", "rubbish", "wastebasket", "waste", "trashbin", "dustbin", "trashcan"}
        & set(words_of(name))
    )


def transfer(ref: Referee, clause: Clause, mode: str) -> list[Goal]:
    """Take, bring, give, put; "the plate in the cupboard and the bowl in the sink" is two of them."""
    if any(item.kind in PEOPLE and item.prep == "from" for item in clause.items):
        raise PlanError("impossible", "I cannot take anything out of somebody's hands")
    goals = []
    for group in groups(without_owners(ref, clause), mode):
        goals += _transfer(ref, replace(clause, items=group), mode)
    return goals


def _transfer(ref: Referee, clause: Clause, mode: str) -> list[Goal]:
    """One of them: told apart by what is moved and by where it goes, rather than by the verb."""
    verb = clause.verb.word
    if verb in ("carry", "lift", "haul") and any(item.kind == "person" and not item.prep for item in clause.items[:1]):
        raise PlanError("impossible", f"I cannot {verb} {ref.said(clause.items[0])}")
    _out_of_it(ref, clause)
    if verb == "i" and any(item.kind == "thing_pronoun" and item.place is not None for item in clause.items):
        mode = "place"  # "I want it on the desk"
    things = whole_names(ref, [item for item in clause.items if item.kind in THINGS and not idle_text(item)])
    for item in things[:-1]:
        whose = ref.tokens[item.end].low in ("his", "her", "their") and not item.definite  # "bring bob his phone"
        if item.kind == "text" and not item.prep and whose:
            raise PlanError("unknown_person", f"I do not know {ref.said(item)}")
        if item.kind == "text" and not item.prep and ref.tokens[item.start].text[:1].isupper():
            ref.person(item)
    for item in things:
        # A place that the world does not have: "from the garage", "onto the windowsill".
        if (
            item.kind == "text"
            and item.prep in w.SOURCE | w.DESTINATION | {"in", "on", "at", "near", "inside"}
            and (len(things) > 1 or item.prep in w.DESTINATION and any(one.prep == "" for one in people_in(clause)))
            and not item.joined
        ):
            ref.person(item) if item.prep in w.DESTINATION and ref.named(item) else ref.place(item)
    clear = [
        item
        for item in things
        if not (item.kind == "text" and item.names[0].split()[0] in ("something", "anything", "things", "stuff"))
    ]
    things = clear or things
    people = people_in(clause)
    places = places_in(clause)
    if not things:
        things, people = pronoun_things(ref, people)
    if not things:
        return _move_person_or_ask(ref, clause, people, places, mode)
    recipient = recipient_of(people)
    whither = places or any(item.place for item in things)
    whither = whither if mode == "place" else any(item.prep in w.DESTINATION for item in places)
    favour = recipient is not None and recipient.prep == "for" and (recipient.kind == "me" or mode == "place")
    if whither and favour:
        recipient = None  # done as a favour
    if mode == "place" and recipient is None and not places:
        inner = things[-1].place
        if inner is not None:
            things[-1].place, places = None, [inner]
            things[-1].place = None
    sources, goals_to = split_places(places, mode, recipient)
    if mode == "place" and not goals_to and recipient is None and things[-1].place is not None:
        goals_to, things[-1].place = [things[-1].place], None
    for item in things[1:] if mode == "place" else ():
        if item.prep in _INSIDE and item.kind in ("object", "category") and not item.joined and item.place is None:
            raise PlanError("impossible", f"I put things only at places, not {item.prep} the {ref.said(item)}")
    things, goals_to, near = _beside(ref, things, goals_to) if mode == "place" else (things, goals_to, {})
    where = ref.place(sources[0]) if sources else None
    values = things_of(ref, things, where, _DO.get(mode, verb))
    person = ref.person(recipient) if recipient else None
    person_place = ref.where(recipient) if recipient else None
    if person and person_place is None:
        person_place = ref.context.found.get(person)
    if goals_to and goals_to[-1].kind == "here" and goals_to[-1].names[0] == "here" and not ref.world.operator:
        goals_to, person = [], person or OPERATOR
    target = ref.place(goals_to[-1], placement=True) if goals_to else None
    if target and goals_to[-1].kind == "here" and target == values[-1][1] and ref.context.delivered:
        target = ref.context.delivered  # "put the bowl from the table there too"
    if recipient is None and target is None and person is None and _homewards(clause):
        target = ref.world.home_of(values[-1][0])
        if target is None:
            what = values[-1][0].replace("_", " ")
            raise Question(f"Where does the {what} belong?", "place", (clause.end, clause.end), "to")
    if recipient is None and target is None and person is None:
        return _taken(ref, clause, values, mode)
    goals = []
    if recipient in people and any(
        item.joined and item.kind in PEOPLE for item in people[people.index(recipient) + 1 :]
    ):
        return _to_each(ref, things, values, people[people.index(recipient) :])
    for value, source in values:
        goals += fetch(ref, value, source)
        implied = person == OPERATOR and recipient is not None and recipient.prep == "for"
        goals += hand_to(ref, value, person, person_place or target, implied) if person else put(ref, value, target)
    goals[-1].facts.update(near)
    return goals


def _beside(ref: Referee, things: list[Item], goals_to: list[Item]):
    """(the things to be put, where to, what is there) of "put the cup next to the jug": the jug is where it goes."""
    beside = [item for item in things[1:] if item.prep in _BESIDE and not item.joined]
    if not beside or goals_to and beside[-1].prep not in _NEAR:
        return things, goals_to, {}
    things = [item for item in things if item is not beside[-1]]
    if things[-1].place is not None:
        goals_to, things[-1].place = [things[-1].place], None
    neighbour = ref.thing(beside[-1])
    target = ref.where(beside[-1]) or (ref.place(goals_to[-1]) if goals_to else ref.world.home_of(neighbour))
    if target is None:
        return things, [], {}
    return things, [Item("place", (target,), "to", beside[-1].start, beside[-1].end)], {neighbour: target}


def _homewards(clause: Clause) -> bool:
    """ "back to its place": where the world says that it is kept."""
    return any(item.kind == "text" and item.names[0] == "place" and item.prep in _HOMEWARDS for item in clause.items)


def _out_of_it(ref: Referee, clause: Clause) -> None:
    """ "open the locker, take the webcam out of it", "tell me what is on the desk and bring me the pen from it": the
    pronoun is the place."""
    opened = ref.context.opened if ref.context.opened in ref.world.locations else None
    place = opened or (ref.context.place if ref.context.place in ref.world.places else None)
    inside = {"in", "inside"} if opened else set()
    for item in clause.items[1:]:
        if place and item.kind == "thing_pronoun" and item.prep in w.SOURCE | inside:
            item.kind, item.names = "place", (place,)


def _to_each(ref: Referee, things: list[Item], values, people: list[Item]) -> list[Goal]:
    """ "Bring Greta and Ilias a brownie": one for each; a single definite thing cannot be for both."""
    people = [people[0], *(item for item in people[1:] if item.joined)]
    names = [ref.person(item) for item in people]
    if things[0].definite and len(values) == 1 and things[0].kind == "object":
        said = " or ".join(name.replace("_", " ") for name in names)
        raise Question(
            f"Who should get the {values[0][0].replace('_', ' ')}: {said}?",
            "person",
            (min(item.start for item in people), max(item.end for item in people)),
            choices=names,
        )
    shares = [values] * len(names) if len(values) == 1 else [[value] for value in values]
    if len(shares) != len(names):
        raise Question("Who should get what?")
    goals = []
    for item, name, share in zip(people, names, shares, strict=True):
        for value, source in share:
            goals += [
                *fetch(ref, value, source),
                *hand_to(ref, value, name, ref.where(item) or ref.context.found.get(name)),
            ]
    return goals


_BESIDE = frozenset("in into on onto at near by beside inside with under behind".split())
_HOMEWARDS = frozenset("to in into on onto at".split())
_NEAR = frozenset("near by beside behind".split())
_INSIDE = frozenset("in into on onto inside under".split())
_DO = {"take": "take", "bring": "bring", "place": "put down"}


# Giving needs somebody to give to; bringing is to the operator.
_GIVING = ("deliver", "giv", "gave", "hand", "pass", "serv", "suppl", "provid", "distribut", "offer", "lend")


def _taken(ref: Referee, clause: Clause, values, mode: str) -> list[Goal]:
    """No destination: hold it, bring it to the operator, or ask."""
    if mode == "place":
        what = values[0][0].replace("_", " ")
        raise Question(f"Where should I put the {what}?", "place", (clause.end, clause.end), "on")
    kept = clause.verb.word in ("carry", "hold", "haul", "transport")
    going_on = kept or clause.verb.word == "fetch" and not ref.last  # "fetch a cup and a plate and put them …"
    if len(values) > 1 and ref.context.held is None and (mode == "take" or going_on):
        ref.context.deferred = values
        ref.context.thing = values[-1][0]
        return []
    if mode == "bring" and clause.verb.word.startswith(_GIVING):
        known = ref.context.person
        if known not in (None, OPERATOR):
            place = ref.context.found.get(known)
            return [g for value, at in values for g in (*fetch(ref, value, at), *hand_to(ref, value, known, place))]
        what = values[0][0].replace("_", " ")
        raise Question(f"To whom should I give the {what}?", "person", (clause.end, clause.end), "to")
    goals = []
    for value, source in values:
        goals += fetch(ref, value, source)
        if mode == "bring" and not kept:
            goals += hand_to(ref, value, OPERATOR, ref.context.found.get(OPERATOR), implied=True)
    return goals


def _move_person_or_ask(ref: Referee, clause: Clause, people, places, mode: str) -> list[Goal]:
    furniture = [item for item in clause.items if item.kind in ("place", "door") and item.prep == ""]
    if furniture and clause.verb.word.startswith(("leav", "left", "clear")):
        ref.context.here = ref.place(furniture[0]) if furniture[0].kind == "place" else ref.context.here
        return []
    if furniture and (mode != "bring" or not [p for p in people if not p.prep]):
        raise PlanError("impossible", f"I cannot carry the {ref.said(furniture[0])}")
    if furniture and people:
        raise PlanError("impossible", f"I cannot bring the {ref.said(furniture[0])}")
    direct = [item for item in people if not item.prep]
    whole = [*places, *(one.place for one in direct if one.place)]
    met = clause.verb.word.startswith(("pick", "collect")) and not any(item.prep in w.DESTINATION for item in whole)
    if direct and whole and met:
        direct[0].place = whole[0]
        return _collect(ref, direct[0])
    if direct and any(item.prep not in w.SOURCE for item in whole) and mode != "place":
        return guide(ref, clause)
    if direct and mode != "place" and any(item.prep in w.DESTINATION for item in people if item is not direct[0]):
        return guide(ref, clause)
    if mode == "place" and direct:
        raise PlanError("impossible", f"I cannot put {ref.said(direct[0])} anywhere")
    if mode == "take" and direct and direct[0].kind == "person" and not whole:
        raise PlanError("impossible", f"I cannot pick up {ref.said(direct[0])}")
    if direct and mode != "place" and direct[0].kind != "me":
        return _collect(ref, direct[0])
    verb = {"bring": "bring", "take": "take", "place": "put"}[mode]
    raise Question(f"What should I {verb}?", "object", (clause.start, clause.start))


def _collect(ref: Referee, item: Item) -> list[Goal]:
    """ "get Olaf from the gym": gone to first; where he is to be led is said by what follows."""
    name = ref.person(item)
    if name in (ref.context.guided, ref.context.served):
        return []
    ref.context.fetched = name
    return [Goal("find_person", {"person": name}, know(ref, name, ref.where(item)))]


CARRY_GOALS = {"take": take, "bring": bring, "place": place, "discard": discard, "throw": throw}
