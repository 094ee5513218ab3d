"""What a command tells rather than orders: who is where, who needs what, what should be where, what is spoken of first.

In: a clause and the `Referee`, which remembers it. Out: whether it told something, or the goals that a wish or a state
to be brought about amounts to ("Amira needs a pen", "make sure the door is closed"), or the readings of a clause whose
verb is not understood.
"""

from __future__ import annotations

from dataclasses import replace

from llm_ros.planner import words as w
from llm_ros.planner.carry import CARRY_GOALS, bring, fetch, put, things_of
from llm_ros.planner.clauses import Clause
from llm_ros.planner.frames import open_or_close
from llm_ros.planner.items import Item
from llm_ros.planner.refer import PEOPLE, THINGS, Goal, Question, Referee, places_in
from llm_ros.planner.speech import tell
from llm_ros.planner.verbs import Verb
from llm_ros.planner.world import OPERATOR

_BEING = frozenset(
    "is are was were should left have put forgot lost has sits lies stands lives waits works find meet will".split()
)
_ON = frozenset("on in at under onto into inside upon".split())
_DUTY = frozenset("should ought must needs supposed".split())
_ABSENT = (("out", "of"), ("there", "no"), ("missing", "from"), ("gone", "from"), ("missing", "on"), ("missing", "in"))
_STATES = {"open": "open", "opened": "open", "closed": "close", "shut": "close"}
_WALKING = frozenset(
    "walk walks walking go goes going leave leaves leaving head heads heading move moves moving".split()
)
_HEARING = frozenset("know hear".split())
# What people want to do at a place: to be taken there is what they need for it.
_GOING = frozenset("go get be visit see come reach sit rest relax move return".split())


def wish(ref: Referee, clause: Clause) -> list[Goal]:
    """ "Amira needs a pen": bring it to her; "the pen needs to go on the desk", "the desk needs a pen": put it
    there; "wants to go to X": lead there; "needs to know that …": tell."""
    if clause.tokens[clause.start - 1].low == "to":
        clause.start -= 1
    follows = [token.low for token in clause.tokens[clause.start : clause.start + 2]]
    if not clause.subject and ref.context.person:
        # "Amira is in the hall and needs to …"
        clause.subject = [Item("person_pronoun", ("they",), "", clause.verb.start, clause.verb.start)]
    if follows[:1] == ["to"] or clause.verb.word == "belongs":
        return _wish_to(ref, clause, follows[-1] if follows else "")
    people = [item for item in clause.subject if item.kind in PEOPLE]
    if not people and not clause.subject:
        kind = "person_pronoun" if ref.context.person else "me"
        people = [Item(kind, ("they",), "to", clause.verb.start, clause.verb.start)]
    things = [item for item in clause.items if item.kind in THINGS and item.kind != "thing_pronoun"]
    needy = next((item for item in clause.subject if item.kind == "place"), None)
    if needy is not None and not people and things:
        target = ref.place(needy, placement=True)
        values = things_of(ref, things[:1], None, "bring")
        return [goal for value, source in values for goal in (*fetch(ref, value, source), *put(ref, value, target))]
    things = [item for item in clause.items if item.kind in THINGS]
    if not people or not things:
        raise Question("What should I bring, and to whom?")
    person = people[0]
    person.prep = "to"
    clause.items = [*clause.items, person]
    return bring(ref, clause)


def _wish_to(ref: Referee, clause: Clause, deed: str) -> list[Goal]:
    """ "… needs to be on the desk", "… wants to go to the study"; any other deed of a person's own is only told."""
    places = places_in(clause)
    things = [
        item
        for item in clause.subject
        if item.kind in ("object", "category") or item.kind == "thing_pronoun" and ref.context.thing
    ]
    if things and places:
        value, source = things_of(ref, things[:1], None, "move")[0]
        return [*fetch(ref, value, source), *put(ref, value, ref.place(places[-1], placement=True))]
    to = [item for item in places if item.prep in w.DESTINATION] or places
    sources = [*places[:-1], *(item.place for item in clause.items if item.place is not None)]
    start = next((ref.place(item) for item in sources if item.prep in w.SOURCE), None) or next(
        (ref.place(item) for item in clause.subject if item.kind == "place"), None
    )
    if deed in _HEARING and not any(item.kind == "me" for item in clause.subject):
        return _told_to(ref, clause)
    for item in clause.subject:
        if item.kind in PEOPLE and item.kind != "me":
            person, where = ref.person(item), ref.where(item) or start
            ref.context.found[person] = where or ref.context.found.get(person)
            if places and deed in _GOING:
                ref.context.guided = person
                ref.context.sought = ref.place(to[-1])
                where = ref.context.found[person]
                facts = {person: where} if where else {}
                return [Goal("guide", {"person": person, "location": ref.context.sought}, facts)]
    if places:
        ref.place(places[-1])
    return []


def _told_to(ref: Referee, clause: Clause) -> list[Goal]:
    """ "Kofi needs to know that …": said to him."""
    person = next((item for item in clause.subject if item.kind == "person"), None) or Item(
        "person_pronoun", ("them",), "", clause.start, clause.start
    )
    start = clause.start + 2
    person.prep, person.start, person.end = "", start, start
    inside = [item for item in clause.items if item.start >= start]
    return tell(ref, Clause(clause.verb, [person, *inside], clause.tokens, start, clause.end))


def _hears(clause: Clause) -> bool:
    """ "… would like to know the time": no thing is wished for."""
    low = [token.low for token in clause.tokens[clause.start : clause.start + 2]]
    return low[:1] == ["to"] and low[-1] in _HEARING


def only_told(ref: Referee, clause: Clause, tasks: list[Clause]) -> bool:
    """ "Amira asked for the can. Bring it to her.": the wish only says who and what when the next clause says
    what to do."""
    number = next(k for k, one in enumerate(tasks) if one is clause)
    if clause.verb is None or clause.verb.frame != "wish":
        return False
    if _hears(clause):
        return False
    leads = [token.low for token in clause.tokens[clause.start : clause.start + 1]] == ["to"] and any(
        item.kind == "person_pronoun" and not item.prep and places_in(following)
        for following in tasks[number + 1 :]
        if following.verb is not None and following.verb.frame in (*CARRY_GOALS, "guide", "go")
        for item in following.items
    )
    if not leads and not any(
        item.kind == "thing_pronoun" or item.kind == "person_pronoun" and item.names[0] == "them" and not item.prep
        for following in tasks[number + 1 :]
        if following.verb is not None and following.verb.frame in CARRY_GOALS
        for item in following.items
    ):
        return False
    for item in (*clause.subject, *clause.items):
        if item.kind == "person":
            ref.context.found[ref.person(item)] = ref.where(item) or (
                next((ref.place(one) for one in clause.subject if one.kind == "place"), None)
            )
        elif item.kind == "text" and item.names[0] in _GOING:
            ref.where(item)
        elif item.kind in ("object", "category", "text"):
            value = ref.thing(item)
            belongs = clause.verb.word.startswith("belong") and item in clause.items
            if belongs:
                ref.context.place = ref.where(item) or ref.context.place
            else:
                ref.context.found[value] = ref.where(item)
        elif item.kind == "place":
            ref.place(item)
    return True


def statement(ref: Referee, clause: Clause, parts: list[list[list[Goal]]], last: bool) -> bool | list[Goal]:
    """ "Amira is in the study.": remembers who is where, also for goals before it. False if it tells nothing; goals
    if it is a state that is to be brought about. last: nothing follows, so it is no mere topic."""
    low = [token.low for token in clause.tokens[clause.start : clause.end]]
    due = _due(ref, clause, low)
    if due:
        return due
    things = [item for item in clause.items if item.kind in ("object", "category")]
    if len(things) > 1 and not last and not parts and not set(low) & _BEING:
        # "the plum and the mango, I want them here"
        ref.context.deferred = things_of(ref, things, None, "bring")
        return True
    given = _given(ref, clause, low)
    if given:
        return given
    mine = [*places_in(clause), *(item.place for item in clause.items if item.kind == "text" and item.place)]
    if low[:2] == ["i", "am"] and mine and mine[0].kind == "place" and mine[0].prep not in w.SOURCE:
        ref.context.place = ref.place(mine[0])
        return _stays(ref, OPERATOR, ref.context.place, parts)
    is_said, told = bool(set(low) & _BEING), False
    where_is = any(word in ("where", "way") for word in low)
    wanted = low[:1] == ["there"] and bool(set(low) & {"ought", "must", "needs"})
    absent = wanted or any(pair in _ABSENT for pair in zip(low, low[1:], strict=False))
    people = [item for item in clause.items if item.kind in ("person", "person_pronoun")]
    for item in clause.items:
        if item.kind == "text" and item.place is not None and not last and not is_said:
            # "among the things on the table, which …"
            ref.context.here, told = ref.where(item), True
        known = item.kind in ("object", "category", "person") or (
            item.kind == "thing_pronoun"
            and ref.context.thing
            or item.kind == "person_pronoun"
            and (ref.context.person or ref.context.thing and item.names[0] in ("they", "them"))
        )
        if not known:
            continue
        place = ref.where(item) if item.place is not None and item.place.kind != "here" else None
        if item in people and set(low) & _WALKING:
            place, ref.context.heading = _way(ref, clause)
        elif place is None and (item in people or not people):
            place = next((ref.place(one) for one in places_in(clause) if one.kind == "place"), None)
        thing = item.kind == "person_pronoun" and ref.context.person is None
        value = ref.thing(item) if thing or item.kind not in PEOPLE else ref.person(item)
        if where_is:
            ref.context.sought = place
            told = True
            continue
        if absent:
            told = told or wanted
            continue
        if not is_said and (last or place is None or parts):
            continue
        told = True
        if place:
            _stays(ref, value, place, parts)
    return told


def _stays(ref: Referee, value: str, place: str, parts: list[list[list[Goal]]]) -> bool:
    """Somebody or something is at a place, for what is to come and for the goals before."""
    ref.context.found[value] = place
    ref.context.told.add(value)
    for goal in (goal for alternatives in parts for goals in alternatives for goal in goals):
        if value in goal.args.values() and goal.role != "place":
            goal.facts[value] = place
    return True


def _way(ref: Referee, clause: Clause) -> tuple[str | None, str | None]:
    """(where from, where to) of somebody who walks."""
    places = [*places_in(clause), *(item.place for item in clause.items if item.place is not None)]
    start = next((ref.place(item) for item in places if item.prep not in w.DESTINATION), None)
    return start, next((ref.place(item) for item in places if item.prep in w.DESTINATION), None)


def _given(ref: Referee, clause: Clause, low: list[str]) -> list[Goal]:
    """Goals of "the grapes are for Pavel", "Pavel can have the grapes"."""
    people = [item for item in clause.items if item.kind == "person"]
    things = [item for item in clause.items if item.kind in ("object", "category")]
    if len(people) != 1 or not things or not ({"is", "are"} & set(low) or "have" in low):
        return []
    if "have" in low and people[0].start < things[0].start and {"can", "may", "should", "could"} & set(low):
        people[0].prep = "to"
    elif people[0].prep != "for":
        return []
    people[0].prep = "to"
    verb = Verb(clause.start, clause.start, "bring", "bring")
    return bring(ref, Clause(verb, [*things, *people], clause.tokens, clause.start, clause.end))


def _due(ref: Referee, clause: Clause, low: list[str]) -> list[Goal]:
    """Goals of "make sure the door is closed", "the glass ought to be in the dishwasher" (when it is elsewhere)."""
    before = [token.low for token in clause.tokens[max(0, clause.start - 4) : clause.start]]
    ordered = bool({"sure", "ensure", "certain"} & set(before))
    duty = bool(set(low) & _DUTY)
    if not ordered and not duty:
        return []
    things = [item for item in clause.items if item.kind in ("object", "category", "thing_pronoun")]
    state = next((_STATES[word] for word in low if word in _STATES), None)
    openable = [item for item in clause.items if item.kind in ("door", "place")]
    if state and openable and not things:
        goals = []
        for item in openable:
            after = (_STATES.get(token.low) for token in clause.tokens[item.end : clause.end])
            goals += open_or_close(next(filter(None, after), state))(ref, replace(clause, items=[item]))
        return goals
    where = next((ref.where(item) for item in things[:1]), None) or next(
        (ref.place(item) for item in places_in(clause)), None
    )
    if not things or where is None:
        return []
    if not ordered and things[0].kind != "thing_pronoun":
        return []
    value = ref.thing(things[0])
    known = ref.context.found.get(value)
    if not ordered and known in (None, where):
        return []
    source = known or ref.world.home_of(value)
    return [*fetch(ref, value, source), *put(ref, value, where)]


def guesses(ref: Referee, clause: Clause) -> list[list[Goal]]:
    """Readings of a clause without a known verb, from the kinds of its items; none if it names nothing of the
    world."""
    named = [item for item in clause.items if item.kind in ("place", "object", "category", "person", "door")]
    words = [t.low for t in clause.tokens[clause.start : clause.end]]
    unknown = [
        x
        for i, x in enumerate(words)
        if clause.start + i not in {k for item in named for k in range(item.start, item.end)}
        and x not in w.DETERMINERS
        and x not in w.PREPOSITIONS
        and x not in w.FILLERS
    ]
    if not named or len(unknown) > 6:
        return []
    if not unknown and "please" not in words and all(not item.prep for item in named):
        raise Question(f"What should I do about {ref.said(named[0])}?", "command", (clause.end, clause.end), ".")
    things = [item for item in named if item.kind in ("object", "category")] or [
        item for item in clause.items if item.kind == "thing_pronoun" and ref.context.thing
    ]
    places = [ref.place(item) for item in named if item.kind == "place"]
    people = [item for item in clause.items if item.kind in PEOPLE]
    found: list[list[Goal]] = []
    if things and (places or things[0].place) and not people:
        value = ref.thing(things[0])
        home = ref.context.found.get(value) or ref.world.home_of(value)
        to = [item for item in named if item.kind == "place" and item.prep in w.DESTINATION]
        attached = things[0].place
        if to or attached is not None and home not in (None, ref.place(attached)) and attached.prep in _ON:
            target = ref.place((to or [attached])[-1], placement=True)
            source = next((ref.place(item) for item in named if item.kind == "place" and item.prep in w.SOURCE), home)
            source = ref.place(attached) if to and attached is not None else source
            return [[*fetch(ref, value, source), *put(ref, value, target)]]
    if things:
        value = ref.thing(things[0])
        source = ref.where(things[0]) or (places[0] if places else None) or ref.world.home_of(value)
        pick = [Goal("pick", {"object": value}, {value: source} if source else {})]
        person = ref.person(people[0]) if people else OPERATOR
        where = ref.where(people[0]) if people else None
        found.append([*pick, Goal("hand_over", {"object": value, "person": person}, {person: where} if where else {})])
        if places and not people:
            home = ref.world.home_of(value)
            found.append(
                [
                    Goal("pick", {"object": value}, {value: home} if home else {}),
                    Goal("place", {"object": value, "location": places[-1]}),
                ]
            )
        found.append([Goal("find_object", {"object": value}, {value: source} if source else {})])
    elif people:
        person = ref.person(people[0])
        where = ref.where(people[0])
        facts = {person: where} if where else {}
        found.append([Goal("find_person", {"person": person}, facts)])
        if places:
            found.append([Goal("guide", {"person": person, "location": places[-1]}, facts)])
            found.append([Goal("follow", {"person": person, "location": places[-1]}, facts)])
        else:
            found.append([Goal("follow", {"person": person}, facts)])
    elif places:
        found.append([Goal("go_to", {"location": place}) for place in places])
    return found
