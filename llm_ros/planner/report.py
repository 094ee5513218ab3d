"""What somebody is to be told, and how the robot finds it out: count, look, ask, search; else a text, given or to be
written.

In: a clause's content and the `Referee`. Out: (goals that find it out, the text that reports it). `{result}` in a
text stands for the
result of the latest count, detect, ask or find step.
"""

from __future__ import annotations

import re

from llm_ros.planner import words as w
from llm_ros.planner.clauses import Clause
from llm_ros.planner.frames import find_one
from llm_ros.planner.items import Item
from llm_ros.planner.lead import know
from llm_ros.planner.people import clothing
from llm_ros.planner.refer import PEOPLE, THINGS, FreeText, Goal, Question, Referee
from llm_ros.planner.world import OPERATOR

_PERSON_FACTS = {
    "name": "What is your name?",
    "age": "How old are you?",
    "called": "What is your name?",
    "job": "What is your job?",
    "hobby": "What is your hobby?",
    "favorite": None,
    "favourite": None,
    "nationality": "Where are you from?",
}
# What only the person can say.
_MIND = frozenset(
    "want wants like likes need needs prefer prefers think thinks feel feels plan plans know knows remember remembers "
    "mean means hope hopes expect expects intend intends believe believes from".split()
)
_LOOKED_AT = frozenset(
    "pose gesture posture clothes outfit shirt color colour look looks height position state gender hair size "
    "shape weight brand "
    "label expression condition status appearance contents content".split()
)
_COMPARISON = re.compile(r"\b(\w{2,}est|most|least)\b")
# What a robot can be asked to say about things that its clock knows.
_TOPICS = (
    (r"\btime\b", "It is {time}."),
    (r"tomorrow", "Tomorrow is {tomorrow}."),
    (r"day of the month|\bdate\b", "Today is {date}."),
    (r"\bday\b|weekday", "Today is {weekday}."),
    (r"\bmonth\b", "It is {month}."),
    (r"\byear\b", "It is {year}."),
)
_TO_BE_WRITTEN = re.compile(
    r"\b(joke|story|riddle|poem|fact|something|anything|yourself|your (team|name|affiliation|country|teams|favou?rite)|"
    r"compliment|quote|"
    r"tongue twister|about|who you are|what you can do)\b"
)
RESULT = "{result}"
UNTOLD = f"I have the result: {RESULT}"  # where nothing says what result


def words_said(clause: Clause, content: list[int]) -> str:
    """The words of some tokens, as written."""
    return " ".join(clause.tokens[k].text + "'s" * clause.tokens[k].owner for k in content)


def information(ref: Referee, clause: Clause, content: list[int], items: list[Item], person: str | None):
    """(goals that find it out, the text that reports it) for what somebody is to be told."""
    low = [clause.tokens[k].low for k in content]
    said = words_said(clause, content)
    if not content:
        if ref.context.informed or ref.context.found or ref.context.report:
            return [], ref.context.report or UNTOLD
        whom = person.replace("_", " ") if person and person != OPERATOR else "you"
        raise Question(f"What should I tell {whom}?", "text", (clause.end, clause.end))
    if len(content) == 1 and clause.tokens[content[0]].quoted:
        return [], clause.tokens[content[0]].text
    if low[0] == "to":
        # "tell him to come": what he is to do, not what the robot does.
        return [], f"Please {' '.join(said.split()[1:])}"
    if low[:2] in (["have", "a"], ["have", "an"]):
        return [], said[:1].upper() + said[1:]  # what is wished
    begin = clause.verb.start if clause.verb else content[0]
    inside = [item for item in items if item.end > content[0] or item.end <= begin]
    if (
        ref.context.report
        and not any(item.kind in THINGS[:2] or item.kind == "person" or item.place for item in inside)
        and (set(low) & {"number", "result", "results", "answer", "count", "outcome", "it", "total", "amount"})
    ):
        return [], ref.context.report
    if _asks_how_many(low):
        return counting(ref, clause, inside)
    if low[0] == "where" and set(low[1:]) <= _WE_ARE:
        return [], "I am here." if "you" in low else "You are here, with me."
    if low[0] == "where":
        wanted = [item for item in inside if item.kind in PEOPLE or item.kind in THINGS]
        wanted = [item for item in wanted if item.kind != "text"] or wanted
        if not wanted or all(item.kind in ("thing_pronoun", "person_pronoun") for item in wanted):
            return [], f"I found it: {RESULT}"
        goals = [goal for item in wanted for goal in find_one(ref, item, None)]
        return goals, f"I found {say_thing(goals[-1])}: {RESULT}"
    if (low[0] in ("whether", "if") or low[:2] in (["is", "there"], ["are", "there"])) and (
        seen := whether(ref, inside, said)
    ):
        return seen
    if (person not in (None, OPERATOR) or person is None and _announced(clause)) and _states(low):
        if low[0] in ("he", "she", "they") and low[1] in _DUTIES:
            said = f"you{said[len(low[0]) :]}"  # who is told it
        return [], said[:1].upper() + said[1:]
    if (somebody := _somebody(ref, inside, low, content)) is not None:
        return _person_info(ref, somebody, inside, low, said)
    place = next((ref.place(item) for item in inside if item.kind in ("place", "door")), None) or next(
        (ref.where(item) for item in inside if item.place is not None), None
    )
    looking = _COMPARISON.search(" ".join(low)) or set(low) & _LOOKED_AT or low[0] in ("what", "which", "who")
    if any(re.search(pattern, said.lower()) for pattern, _ in _TOPICS) and place is None:
        return [], next(text for pattern, text in _TOPICS if re.search(pattern, said.lower()))
    if (
        "your" in low
        or "yourself" in low
        or "you" in low
        and low[0] in ("what", "who", "how", "which")
        and place is None
    ):
        if set(low) & {"see", "saw", "found", "find", "counted", "heard", "notice", "noticed"}:
            return [], ref.context.report or UNTOLD
        return [], FreeText(said)
    if place is None and low[0] == "what" and (inner := _opened(ref, low)):
        return looking_at(ref, f"objects in the {inner.replace('_', ' ')}", inner, inside)
    if (
        looking
        and low[0] in ("what", "which")
        and set(low[1:]) & {"it", "result", "answer", "said", "says", "answers"}
        and not place
        and not _COMPARISON.search(" ".join(low))
    ):
        return [], ref.context.report or UNTOLD
    asks = low[0] in ("what", "which", "who")
    seen = place or ref.context.here or any(item.kind not in ("text", "quote", "number") for item in inside)
    if asks and not seen and not _COMPARISON.search(" ".join(low)) and not set(low) & _LOOKED_AT:
        return [], FreeText(said)  # about nothing that is here to be looked at
    if (place or looking and (ref.context.here or inside)) and not low[0] == "about":
        return looking_at(ref, _subject(low, said), place, inside)
    if low[-1] in ("result", "answer", "outcome", "results") or low[:1] == ["the"] and low[-1] in ("number", "count"):
        return [], ref.context.report or UNTOLD
    if _TO_BE_WRITTEN.search(said.lower()):
        return [], FreeText(said, _prefix(said.lower()))
    return [], said[:1].upper() + said[1:]


def _somebody(ref: Referee, inside: list[Item], low: list[str], content: list[int]) -> Item | None:
    """Of whom something is to be told, if it is about a person: "the name of …", "who is …", "their pose"."""
    facts = set(low) & (_LOOKED_AT | set(_PERSON_FACTS))
    people = [item for item in inside if item.kind in ("person", "person_pronoun")]
    if people and (facts or low[0] in ("who", "what")) and "about" not in low[:2]:
        return people[0]
    if ref.context.person and set(low) & {"his", "her", "their"} and facts:
        return Item("person_pronoun", ("them",), "", content[0], content[0])
    return None


def _asks_how_many(low: list[str]) -> bool:
    return (
        low[:2] == ["how", "many"]
        or "number" in low[:3]
        or low[0] in ("amount", "quantity")
        or low[:1] == ["the"]
        and low[1:2] in (["amount"], ["quantity"], ["count"])
    )


def _states(low: list[str]) -> bool:
    """Whether words are a statement: a verb of being, or of duty, after its subject, and no question."""
    verbs = [k for k, word in enumerate(low) if word in _VERBS]
    return bool(verbs) and verbs[0] > 0 and low[verbs[0] - 1] not in _ASKING and low[0] not in _ASKING


_VERBS = frozenset("is are was were will has have had starts begins should must may shall ought needs wants".split())
_DUTIES = frozenset("should must may shall".split())
_WE_ARE = frozenset("am are i we you now right currently exactly".split())
_ASKING = frozenset("what which who whom whose where when why how whether if that about".split())


def whether(ref: Referee, inside: list[Item], said: str):
    """What finds out whether something is so: a look at a door's or a place's state, else a search; or None."""
    wanted = [
        item
        for item in inside
        if (item.kind in PEOPLE or item.kind in THINGS) and item.names[0] not in ("whether", "if")
    ]
    places = [item for item in inside if item.kind == "place"]
    where = ref.place(places[0]) if places else None
    openable = [item for item in inside if item.kind in ("door", "place") and not item.prep]
    if openable:
        subject = re.sub(r"^(whether|if|is|are) (the )?", "", said.lower())
        return looking_at(ref, subject, ref.place(openable[0]), inside)
    if wanted:
        goals = [goal for item in wanted[:1] for goal in find_one(ref, item, where)]
        return goals, f"I looked for {say_thing(goals[-1])}: {RESULT}"
    return None


def _prefix(said: str) -> str:
    match = re.search(r"joke|story|riddle|poem|fact|quote|tongue twister|compliment", said)
    return f"Here is a {match[0]}: " if match else ""


def say_thing(goal: Goal) -> str:
    """A goal's first argument, in words."""
    return str(next(iter(goal.args.values()))).replace("_", " ")


def _subject(low: list[str], said: str) -> str:
    """What to look at: "what is the biggest tin on the shelf", "what the biggest tin on the shelf is" → "biggest tin on
    the shelf".
    """
    words = said.split()
    if low[:1] == ["who"]:
        words = ["people", *words[1:]]
        words = [words[0], *(word for word in words[1:] if word.lower() not in ("is", "are"))]
    while words and words[0].lower() in ("what", "is", "are", "which", "the", "a", "an", "me", "about"):
        words = words[1:]
    while words and words[-1].lower() in ("is", "are", "was", "were"):
        words = words[:-1]
    return " ".join(words)[:80] or said[:80]


def _announced(clause: Clause) -> bool:
    """ "announce that …": said as it is."""
    return clause.verb is not None and [t.low for t in clause.tokens[clause.verb.start :]][1:2] == ["that"]


def _opened(ref: Referee, low: list[str]) -> str | None:
    """What "in it" and "there" are inside of, at the end of what is to be told."""
    within = re.search(r"\b(?:in|on|inside|on top of) (?:it|there)$", " ".join(low))
    here, opened = ref.context.here, ref.context.opened
    inside = opened if here in (None, opened) or opened not in ref.world.doors else None
    return (inside or here) if within else None


def looking_at(ref: Referee, subject: str, place: str | None, items: list[Item]):
    """(goals that look at something, the report)."""
    subject = re.sub(r"^(the|an?) ", "", subject, flags=re.IGNORECASE)
    if place is None:
        things = [item for item in items if item.kind in ("object", "category")]
        place = ref.context.here or (ref.world.home_of(ref.thing(things[0])) if things else None)
    told = (place or "").replace("_", " ")
    if told and subject.lower().count(told) > 1:  # "the mugs on the shelf, in the shelf" of a plain command
        subject = re.sub(rf",? (in|on|at) (the )?{re.escape(told)}$", "", subject, flags=re.IGNORECASE)
    ref.context.informed, ref.context.looked = True, (subject, place)
    subject = re.sub(r"^(on|in|at|inside)\s", "objects \\g<0>", re.sub(r" (on|in|at) (it|there)$", "", subject))
    return [Goal("detect", {"what": subject}, {subject: place} if place else {})], f"The {subject}: {RESULT}"


def _person_info(ref: Referee, item: Item, inside: list[Item], low: list[str], said: str):
    where = next((ref.place(one) for one in inside if one.kind == "place"), None)
    goals = find_one(ref, item, where)
    person = goals[-1].args["person"]
    ref.context.informed = True
    asked = next((word for word in low if word in _PERSON_FACTS), None)
    if asked or low[0] == "who":
        question = (
            _PERSON_FACTS.get(asked or "name")
            or f"What is your {' '.join(low[low.index(asked) : low.index(asked) + 2])}?"
        )
        return [
            *goals,
            Goal("ask", {"person": person, "question": question}),
        ], f"The {asked or 'name'} of the person: {RESULT}"
    if set(low) & _MIND and not set(low) & {"look", "looks"}:
        return [*goals, Goal("ask", {"person": person, "question": said})], f"The answer: {RESULT}"
    fact = next((word for word in low if word in _LOOKED_AT), "appearance")
    garment = next((word for word in low if clothing(word) and word not in person), None)
    fact = f"{fact} of the {garment}" if garment and fact != garment else fact
    what = f"{fact} of the {person.replace('_', ' ')}" if item.described else f"{fact} of {person.replace('_', ' ')}"
    return [
        *goals,
        Goal("detect", {"what": what}, know(ref, what, goals[-1].facts.get(person))),
    ], f"The {what}: {RESULT}"


def _people(name: str) -> str:
    """A description of a person, of several: "person_pointing_to_the_left" → "people pointing to the left"."""
    return re.sub(r"\bpersons?\b", "people", name.replace("_", " "))


def counting(ref: Referee, clause: Clause, items: list[Item]):
    """(goals that count, the report)."""
    kinds = [
        item
        for item in items
        if item.kind in ("person", "object", "category", "text", "thing_pronoun")
        and item.names[0] not in ("number", "total number", "number of", "amount", "quantity", "many")
    ]
    kinds = kinds or [item for item in items if item.kind in ("place", "door") and not item.prep]
    if ref.context.report and (not kinds or kinds[0].kind == "thing_pronoun" or kinds[0].names[0] == "how many"):
        return [], ref.context.report  # they have been counted
    if not kinds:
        raise Question("What should I count?", "object", (clause.start, clause.start))
    kind, place = kinds[0], None
    place = ref.where(kind) or next((ref.place(item) for item in items if item.kind == "place"), None)
    if place is None:
        place = next((ref.where(item) for item in kinds if item.place), None)
    words = _people(kind.names[0]) if kind.described and kind.names[0] not in w.PEOPLE_NOUNS else ref.said(kind)
    words = re.sub(r"^(how many )?((the )?(total )?(number|amount|quantity|count) (of )?)?(the )?", "", words)
    rest = [item for item in kinds[1:] if item.kind == "text" or item.kind == "person"]
    for item in rest:
        if item.kind == "text" and item.prep in ("in", "on", "at", "inside") and item.definite:
            ref.place(item)
        words += " " + " ".join(ref.tokens[k].low for k in range(item.start, item.end))
    words = re.sub(
        r"( (do|can|have|has|are))?( (we|i|you|they|it)( (still|have|see|got|own|has|can|find|left))*)$|( see)$|"
        r"( (?<!the )(left|available|present|currently|now))+$",
        "",
        words,
    )
    if words.startswith(("you have", "you found", "you see", "you can", "there are", "of them")) and ref.context.looked:
        words, place = ref.context.looked
    if place is None:
        place = ref.context.here or ref.world.home_of(kind.names[0])
    ref.context.informed = True
    spoken = f" {_at(ref, place)}" if place else ""
    return [
        Goal("count", {"kind": words}, {words: place} if place else {})
    ], f"The number of {words}{spoken} is {RESULT}."


def _at(ref: Referee, place: str) -> str:
    return f"{'in' if place in ref.world.rooms else 'at'} the {place.replace('_', ' ')}"
