"""The talking and looking frames: greet, tell, answer, ask, count, describe, and questions put to the robot.

In: a clause and the `Referee`. Out: goals. Reports are said to whoever asked; a text to be said may contain
`{result}`, which
stands for the result of the latest count, detect, ask or find step and is filled in when the plan runs.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import replace

from llm_ros.planner import words as w
from llm_ros.planner.clauses import Clause
from llm_ros.planner.frames import find_one, open_or_close
from llm_ros.planner.items import Item
from llm_ros.planner.lead import know
from llm_ros.planner.plan import PlanError
from llm_ros.planner.refer import PEOPLE, THINGS, FreeText, Goal, Question, Referee, people_in, places_in
from llm_ros.planner.report import RESULT, counting, information, looking_at, say_thing, whether, words_said
from llm_ros.planner.world import OPERATOR


def say_to(ref: Referee, text, person: str, place: str | None) -> list[Goal]:
    """Say a text to a person, who is found first."""
    place = place or ref.context.found.get(OPERATOR) if person == OPERATOR else place
    facts = {person: place} if place else {}
    ref.context.reported = person
    if person != OPERATOR:
        facts = know(ref, person, place)
    return [Goal("find_person", {"person": person}, facts), Goal("say", {"text": text})]


def greet(ref: Referee, clause: Clause) -> list[Goal]:
    """Find the person and say hello."""
    said = [token.low for token in clause.tokens[max(0, clause.start - 4) : clause.end]]
    hello = "Goodbye" if {"goodbye", "bye", "farewell"} & set(said) else "Hello"
    wished = (one for good, one in zip(said, said[1:], strict=False) if good == "good" and one in _DAYTIME)
    hello = next((f"Good {one}" for one in wished), hello)
    intro = clause.verb.word in ("introduce", "present")
    places = places_in(clause)
    where = ref.place(places[0]) if places else None
    people = people_in(clause)
    for item in clause.items:
        if item.kind == "text" and not people:
            ref.person(item) if any(ref.tokens[k].text[:1].isupper() for k in range(item.start, item.end)) else None
    goals: list[Goal] = []
    if not people:
        if where:
            ref.context.here = where
            goals.append(Goal("go_to", {"location": where}))
        elif ref.context.person:
            people = [Item("person_pronoun", ("them",), "", clause.start, clause.start)]
    if not people:
        return [*goals, Goal("say", {"text": _greeting("", hello, intro)})]
    known = set(ref.world.people) - {OPERATOR}
    for item in people:
        person = ref.person(item)
        place = ref.where(item) or where
        goals += say_to(
            ref,
            _greeting(person.replace("_", " ").title() if person in known else "", hello, intro),
            person,
            place,
        )
    return goals


_DAYTIME = frozenset("morning afternoon evening night day".split())


def _greeting(name: str, hello: str, intro: bool) -> str:
    named = f", {name}" if name else ""
    return f"{hello}{named}! I am the service robot." if intro else f"{hello}{named}!"


def tell(ref: Referee, clause: Clause) -> list[Goal]:
    """Say something to somebody; "tell me how many …" and "tell me the pose of …" look first."""
    own = clause.verb.word in _OWN
    if clause.verb.word == "crack" and "joke" not in {t.low for t in clause.tokens[clause.start : clause.end]}:
        raise PlanError("impossible", "I have no skill to crack things")
    if clause.verb.word == "let" and (entry := _let_in(ref, clause)):
        return entry
    recipient, begin, end = (None, clause.start, clause.end) if own else _split_recipient(clause)
    person = OPERATOR if own else ref.person(recipient) if recipient else None
    place = ref.where(recipient) if recipient else None
    others = _others(clause, recipient) if recipient else []
    spoken_to = [(item.start, item.place.end if item.place else item.end) for item in (recipient, *others) if item]
    content = [k for k in range(begin, end) if not any(first <= k < last for first, last in spoken_to)]
    if others:
        content = [k for k in content if k > others[-1].start]
    if recipient is not None and recipient.described:
        first = recipient.start
        while first > begin and clause.tokens[first - 1].low in w.DETERMINERS:
            first -= 1
        content = [k for k in content if not first <= k < recipient.start]
    if recipient is not None and recipient.prep and content:
        content = [
            k
            for k in content
            if not (k == recipient.start - 1 or k == recipient.start - 2 and clause.tokens[k].low == "to")
            or clause.tokens[k].low not in ("to", "for", "the", "a", "an")
        ]
    reminder = clause.verb.word == "remind" and bool(content) and clause.tokens[content[0]].low in ("of", "about")
    content = _trim(clause, content)
    if recipient is None and clause.verb.word in _TO_SOMEBODY:
        _refuse_unknown(clause, content)
    items = [item for item in clause.items if item is not recipient and item not in others]
    said_before = recipient is None or recipient.kind == "person_pronoun" or person == ref.context.reported
    if not content and ref.context.reported and said_before:
        return []
    if not content and recipient is not None and not ref.last and clause.verb.word in ("talk", "speak", "chat"):
        return find_one(ref, recipient, None)  # what is said comes next
    before, text = information(ref, clause, content, items, person)
    if reminder and not before and isinstance(text, str):
        text = f"Please remember {re.sub(r'^(his|her|their) ', 'your ', text[:1].lower() + text[1:])}"
    if before and isinstance(text, str):
        ref.context.report = text
    if person is None and (before or RESULT in str(text)):
        person = OPERATOR
    if person is None:
        where = next((ref.place(item) for item in items if item.kind == "place" and not before), None)
        if where:
            ref.context.here = where
            return [*before, Goal("go_to", {"location": where}), Goal("say", {"text": text})]
        target = ref.context.person
        return [*before, *(say_to(ref, text, target, None) if target else [Goal("say", {"text": text})])]
    told = say_to(ref, text, person, place)
    for other in others:
        told += say_to(ref, text, ref.person(other), ref.where(other))
    return [*before, *told]


# Words that open what the operator wants to know: "I wonder how many …", "any idea where …".
_OWN = frozenset("i do any have got".split())


def _let_in(ref: Referee, clause: Clause) -> list[Goal]:
    """ "let Amira in": opens the door for her; nothing if it is no such thing."""
    people = people_in(clause)
    unknown = [item for item in clause.items[:1] if item.kind == "text" and not people]  # "the cat"
    after = next((item.end for item in (*people, *unknown)), clause.end)
    low = [token.low for token in clause.tokens[after : clause.end]]
    if low[:1] not in (["in"], ["inside"], ["out"], ["through"]) or "know" in low:
        return []
    doors = [item for item in clause.items if item.kind == "door"] or [
        item.place for item in people if item.place is not None and item.place.kind == "door"
    ]
    door = doors[0] if doors else Item("door", tuple(ref.world.doors), "", after, after)
    if not door.names:
        return []
    goals = open_or_close("open")(ref, replace(clause, items=[door]))
    for item in people if goals[-1].facts else ():
        # Whoever is to be let in waits there.
        goals[-1].facts.setdefault(ref.person(item), next(iter(goals[-1].facts.values())))
    return goals


_TO_SOMEBODY = frozenset("tell inform notify remind warn advise alert brief".split())


def _refuse_unknown(clause: Clause, content: list[int]) -> None:
    """Raises PlanError for "tell Zoltan that …" where nobody is called so."""
    low = [token.low for token in clause.tokens]
    name = list(itertools.takewhile(lambda k: clause.tokens[k].text[:1].isupper() or low[k] in w.TITLES, content))
    name += [k for k in content[len(name) : len(name) + 1] if name and low[name[-1]] in w.TITLES]
    if name and not clause.tokens[name[0]].quoted and clause.tokens[name[0]].low != "i" and len(name) < len(content):
        raise PlanError("unknown_person", f"I do not know {' '.join(clause.tokens[k].text for k in name)}")


def _split_recipient(clause: Clause) -> tuple[Item | None, int, int]:
    """The person spoken to, and the tokens of the rest."""
    first = clause.items[0] if clause.items else None
    asked = any(token.low in _ASKING for token in clause.tokens[clause.start : first.start if first else clause.start])
    if (
        first
        and first.kind in PEOPLE
        and first.prep in ("", "to", "with")
        and first.start - clause.start <= 2
        and not asked
    ):
        return first, clause.start, clause.end
    for item in reversed(clause.items):
        if item.kind in PEOPLE and item.prep == "to" or item.kind == "person" and item.prep == "for":
            return item, clause.start, clause.end
    return None, clause.start, clause.end


def _others(clause: Clause, recipient: Item) -> list[Item]:
    """Who is spoken to besides: "tell Amira and Ben that …"."""
    found, end = [], recipient.place.end if recipient.place else recipient.end
    for item in clause.items:
        between = [token.low for token in clause.tokens[end : item.start]]
        joined = bool({"and", ","} & set(between)) and set(between) <= w.DETERMINERS | {"and", ",", "to"}
        if item.start >= end and item.kind in ("person", "me") and joined:
            found.append(item)
            end = item.place.end if item.place else item.end
        elif item.start >= end:
            break
    return found


def _trim(clause: Clause, content: list[int]) -> list[int]:
    """Drops what only introduces the content: "know", "that", commas, politeness."""
    low = [token.low for token in clause.tokens]
    while content and (
        low[content[0]] in ("know", "that", "of", "please", "also", "then", "by", "saying", "with")
        or not low[content[0]][0].isalnum()
        and not clause.tokens[content[0]].quoted
    ):
        content = content[1:]
    while content and (
        low[content[-1]] in ("please", "to", "now", "then", "and", "but")
        or not low[content[-1]][0].isalnum()
        and not clause.tokens[content[-1]].quoted
    ):
        content = content[:-1]
    return content


def _asks(clause: Clause, content: list[int]) -> bool:
    return bool(content) and clause.tokens[content[0]].low in (
        "how",
        "what",
        "where",
        "who",
        "which",
        "whether",
        "if",
        "when",
        "whose",
    )


def count(ref: Referee, clause: Clause) -> list[Goal]:
    """Count; the report follows only when asked for."""
    goals, text = counting(ref, clause, clause.items)
    ref.context.report = text
    return [*goals, *_reported(ref, clause, text)]


def _reported(ref: Referee, clause: Clause, text: str) -> list[Goal]:
    """ "count the tins for me": a person who is to know gets the report."""
    listener = next((item for item in people_in(clause) if item.prep in ("for", "to") and item.kind == "me"), None)
    return say_to(ref, text, ref.person(listener), None) if listener else []


def describe(ref: Referee, clause: Clause) -> list[Goal]:
    """Look at something; "find out how many", "check whether" look and report to the operator."""
    content = _trim(clause, list(range(clause.start, clause.end)))
    if (
        clause.verb.word == "check"
        and content
        and clause.tokens[content[0]].low not in ("whether", "if")
        and clause.verb.end - clause.verb.start > 1
        and (clause.tokens[clause.verb.end - 1].low in ("whether", "if"))
    ):
        content = [clause.verb.end - 1, *content]
    first = clause.tokens[clause.verb.end - 1].low
    if clause.verb.end - clause.verb.start > 1 and first in ("what", "how", "whether", "if"):
        content = [clause.verb.end - 1, *[k for k in content if k != clause.verb.end - 1]]
    listener = next((item for item in people_in(clause) if item.kind == "me" and item.prep in ("to", "for")), None)
    items = [item for item in clause.items if item is not listener]
    if _asks(clause, content) or _seeks(clause, content):
        before, text = information(ref, clause, content, items, OPERATOR)
        ref.context.report = str(text)
        return [*before, *say_to(ref, text, OPERATOR, None)]
    if not items and ref.context.reported:
        return []
    inside = ref.context.opened in ref.world.locations and ref.context.here in (None, ref.context.opened)
    if inside and (not items or items[0].kind in ("thing_pronoun", "here")):
        report = looking_at(ref, f"objects in the {ref.context.opened.replace('_', ' ')}", ref.context.opened, [])
        ref.context.report = report[1]
        return report[0]
    people = [item for item in items if item.kind in ("person", "person_pronoun")]
    if people:
        goals = find_one(ref, people[0], next((ref.place(item) for item in items if item.kind == "place"), None))
        subject = " ".join(clause.tokens[k].low for k in range(people[0].start, people[0].end))
        subject = goals[-1].args["person"].replace("_", " ") if people[0].kind == "person_pronoun" else subject
        goals.append(
            Goal("detect", {"what": subject}, know(ref, subject, goals[-1].facts.get(goals[-1].args["person"])))
        )
    else:
        if not items:
            lead = "at" if clause.verb is not None and clause.verb.word == "look" else ""
            raise Question("What should I look at?", "object", (clause.start, clause.start), lead)
        place = next((ref.place(item) for item in items if item.kind in ("place", "door")), None) or next(
            (ref.where(item) for item in items if item.place), None
        )
        wanted = [item for item in items if item.kind in THINGS and item.kind != "thing_pronoun"]
        subject = ref.said(wanted[0]) if wanted else (place or ref.thing(items[0])).replace("_", " ")
        goals, _ = looking_at(ref, subject, place, items)
        ref.context.here = place or ref.context.here
    ref.context.informed = True
    ref.context.report = f"The {subject}: {RESULT}"
    if listener is None:
        return goals
    return [*goals, *say_to(ref, f"The {subject}: {RESULT}", OPERATOR, None)]


def _seeks(clause: Clause, content: list[int]) -> bool:
    """Whether what is to be looked at is information: "(check) the pose of …", "(find out) the number of …"."""
    low = [clause.tokens[k].low for k in content if clause.tokens[k].low not in w.DETERMINERS]
    return "number" in low[:2] or low[1:2] == ["of"] and low[0] in INFORMATION


def answer(ref: Referee, clause: Clause) -> list[Goal]:
    """Answer the question of a person; without one, of the person met last, else of the operator."""
    people, places = people_in(clause), places_in(clause)
    where = (
        ref.place(places[0])
        if places
        else next((ref.where(item) for item in clause.items if item.kind == "text" and item.place), None)
    )
    if people:
        person = ref.person(people[0])
        place = ref.where(people[0]) or where
        return [Goal("answer_question", {"person": person}, know(ref, person, place) if person != OPERATOR else {})]
    if any(token.low == "my" for token in clause.tokens[clause.start : clause.end]):
        return [Goal("answer_question", {"person": OPERATOR})]
    if where:
        ref.context.here = where
        return [
            Goal("go_to", {"location": where}),
            Goal("find_person", {"person": "person"}, {"person": where}),
            Goal("answer_question", {"person": "person"}),
        ]
    person = ref.context.person or OPERATOR
    return [Goal("answer_question", {"person": person}, know(ref, person, None))]


_ASKING = frozenset("what where when how if whether who whom why which whose".split())


def ask(ref: Referee, clause: Clause) -> list[Goal]:
    """Ask a person; what follows the person is the question."""
    asked = next((k for k in range(clause.start, clause.end) if clause.tokens[k].low in _ASKING), clause.end)
    people = [item for item in people_in(clause) if item.start < asked]
    if not people:
        if ref.context.person is None:
            raise Question("Whom should I ask?", "person", (clause.start, clause.start))
        person, place, end, others = ref.context.person, None, clause.start, []
    else:
        person, place, others = ref.person(people[0]), ref.where(people[0]), _others(clause, people[0])
        last = others[-1] if others else people[0]
        end = last.place.end if last.place else last.end
    content = _trim(clause, list(range(end, clause.end)))
    before = [k for k in range(clause.start, people[0].start - 1)] if people and not content else []
    text = words_said(clause, content or _trim(clause, before))
    if not text:
        raise Question(f"What should I ask {person.replace('_', ' ')}?", "text", (clause.end, clause.end))
    ref.context.informed = True
    ref.context.report = f"{person.replace('_', ' ').capitalize()} answered: {RESULT}"
    if text.startswith("to "):  # "ask him to follow you"
        mine = {"you": "me", "your": "my"}
        text = " ".join(["Please", *(mine.get(word, word) for word in text.split()[1:])])
    text = re.sub(r"^((for|about) the|((for|about) )?(his|her|their)) (\w+)$", r"What is your \6?", text)
    asked = [(person, place), *((ref.person(other), ref.where(other)) for other in others)]
    return [
        Goal("ask", {"person": person, "question": text}, know(ref, person, place) if person != OPERATOR else {})
        for person, place in asked
    ]


def question(ref: Referee, clause: Clause) -> list[Goal]:
    """A question put to the robot: found out and reported to the operator."""
    lead = {"how many": 2}.get(clause.question, 1)
    content = _trim(clause, list(range(max(0, clause.start - lead), clause.end)))
    items = clause.items
    if clause.question == "is there":
        said = words_said(clause, content)
        if any(item.kind == "door" for item in items) or set(said.lower().split()) & STATES:
            said = re.sub(rf" ({'|'.join(sorted(STATES))})$", r" is \1", said.removeprefix("is "))
            seen = whether(ref, items, said)
            if seen is not None:
                ref.context.report = seen[1]
                return [*seen[0], *say_to(ref, seen[1], OPERATOR, None)]
        wanted = [item for item in items if item.kind in PEOPLE or item.kind in THINGS]
        places = [item for item in items if item.kind == "place"]
        if not wanted and ref.context.thing and "any" in [t.low for t in clause.tokens[clause.start : clause.end]]:
            # "pears in the bowl, are there any?"
            wanted = [Item("thing_pronoun", ("it",), "", clause.start, clause.start)]
        if not wanted:
            return [Goal("answer_question", {"person": OPERATOR})]
        goals = find_one(ref, wanted[0], ref.place(places[0]) if places else None)
        return [*goals, *say_to(ref, f"I looked for {say_thing(goals[-1])}: {RESULT}", OPERATOR, None)]
    before, text = information(ref, clause, content, items, OPERATOR)
    ref.context.report = str(text)
    if isinstance(text, FreeText):
        return [Goal("answer_question", {"person": OPERATOR})]
    return [*before, *say_to(ref, text, OPERATOR, None)]


STATES = frozenset("open closed shut locked unlocked ajar".split())
# What can be given only in words.
INFORMATION = frozenset(
    "number amount quantity total count name names time date day answer result results pose gesture posture age "
    "description information info news weather directions details joke riddle status summary report "
    "example idea hint tip reason explanation definition fact advice".split()
)
SPEECH_GOALS = {"greet": greet, "tell": tell, "describe": describe, "answer": answer, "ask": ask, "count": count}
