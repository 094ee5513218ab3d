"""Who and what is meant: turns the items of a clause into names or free texts that a skill accepts.

In: items (clauses.py), the world, what was spoken of before. Out: argument values, or `PlanError` (no such place …), or
`Question` (which table? bring what?). Keeps the dialogue context of one command: the last thing, person and place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from llm_ros.planner import words as w
from llm_ros.planner.clauses import Clause
from llm_ros.planner.inquiry import Inquiry, gapped
from llm_ros.planner.items import Item
from llm_ros.planner.plan import PlanError
from llm_ros.planner.tokens import Mention, Token, words_of
from llm_ros.planner.verbs import HARM_THINGS
from llm_ros.planner.world import OPERATOR, World

MAX_FREE = 80
MAX_EACH = 8
# Things no robot of this kind carries, whatever the world file says.
_NOT_CARRIED = frozenset(
    "moon sun star sky house building wall floor ceiling roof car truck bus elephant horse cow whale unicorn "
    "dragon mountain tree ocean sea river "
    "lake planet earth mars cloud rain rainbow air fire wind love happiness world city country piano kitchen room "
    "bathroom "
    "bedroom window stairs staircase elevator ghost dinosaur mammoth lion tiger bear shark spaceship rocket "
    "airplane plane helicopter ship train "
    "tank skyscraper bridge street road forest garden swimming-pool".split()
)
# What is taken, given or had only in a manner of speaking.
_PLACES = frozenset("room building house area apartment flat".split())
# What is in no name of a thing, but in what was said of one.
_NO_NAME = frozenset("have has had is are was were be been as using without until while because whatever half".split())
_ABSTRACT = frozenset(
    "break seat rest look order chance nap shower bath step bow breath photo photograph picture selfie turn bite "
    "sip risk "
    "lead guess vote oath stand advice care notice measure trouble attention moment minute second hour day hug kiss "
    "message regard greeting thank wish love apology compliment smile answer question call ring shot go try "
    "massage cuddle ride lift tour lesson manicure injection dance song kick slap punch push shove scare wink nod "
    "handshake".split()
)
_CARRYING = ("bring", "take", "put down", "move", "use")
_SUPERLATIVE = re.compile(r"\w+est$|most|least|largest|best|worst|leftmost|rightmost")
VAGUE = frozenset("thing things something anything item items stuff object objects one ones some".split())


class Question(Exception):
    """Something essential is missing or ambiguous; the text is the one question to ask, the rest as in `Inquiry`.

    gap: the tokens start..end-1 whose place the answer takes (start = end: it is inserted); None: the answer is a
    command of its own.
    """

    def __init__(
        self,
        text: str,
        asks: str = "command",
        gap: tuple[int, int] | None = None,
        lead: str = "",
        choices: Iterable[str] = (),
    ):
        super().__init__(text)
        self._gap = gap
        self.inquiry = Inquiry(text, asks, tuple(choices), lead=lead)

    def about(self, tokens: Sequence[Token]) -> Question:
        """The same, knowing the tokens of the command that it is about."""
        if self._gap is not None:
            before, after = gapped(tokens, self._gap)
            self.inquiry = replace(self.inquiry, before=before, after=after)
        return self


@dataclass(frozen=True)
class FreeText:
    """A text that the model is to write: about `topic`, beginning with `prefix`."""

    topic: str
    prefix: str = ""

    def __str__(self) -> str:
        return f"{self.prefix}<{self.topic}>"


@dataclass
class Goal:
    """A deed to be done: a role of roles.py or "skill:<name>", with values for its slots.

    facts: where people and things are, as known from here on. implied: the command does not say so; a default.
    """

    role: str
    args: dict[str, object]
    facts: dict[str, str] = field(default_factory=dict)
    implied: bool = field(default=False, compare=False)


@dataclass
class Context:
    """What has been spoken of so far in this command."""

    here: str | None = None
    thing: str | None = None
    things: list[str] = field(default_factory=list)
    person: str | None = None
    place: str | None = None
    held: str | None = None
    deferred: list[tuple[str, str | None]] = field(default_factory=list)
    found: dict[str, str | None] = field(default_factory=dict)
    informed: bool = False
    report: str = ""
    reported: str | None = None
    delivered: str | None = None
    opened: str | None = None
    guided: str | None = None
    served: str | None = None
    looked: tuple[str, str | None] | None = None
    fetched: str | None = None
    sought: str | None = None
    heading: str | None = None  # where the person spoken of walks
    told: set[str] = field(default_factory=set)  # whose place has been told, and not been gone to yet

    def origin(self) -> str | None:
        """Where things are taken from if nothing is known of them: where the command has gone to on purpose, not
        where the latest delivery ended."""
        return None if self.here == self.delivered else self.here


class Referee:
    """Resolves the items of one command, clause by clause."""

    def __init__(self, world: World, tokens: list[Token], mentions: Mapping[int, Mention]):
        """mentions: by where they begin."""
        self.world, self.tokens, self.mentions, self.context = world, tokens, mentions, Context()
        # The one person and the one thing of the command: what a pronoun may mean before they are named.
        self.only: Item | None = None
        # Whether nothing follows the clause that is read.
        self.last = True
        self.only_thing: Item | None = None

    def place(self, item: Item, placement: bool = False) -> str:
        """The room or location that an item names."""
        if item.kind == "here":
            if item.names[0] == "here" and self.world.operator:
                return self.world.operator
            if item.names[0] == "here" or self.context.place is None:
                lead = "" if item.prep else "to"
                raise Question(
                    f"Where is {item.names[0]!r}? Please name the place.", "place", (item.start, item.end), lead
                )
            return self.context.place
        if item.kind == "door":
            door = self._one(item, item.names)
            self.context.opened = self.context.opened if self.context.thing else door
            return self.world.doors[door][0]
        if item.kind != "place":
            raise PlanError("unknown_place", f"I do not know a place called {self.said(item)!r}")
        names = item.names
        if item.place is not None and item.place.kind == "place" and item.place.prep not in w.SOURCE:
            room = self.world.room_of(self.place(item.place))
            inside = tuple(name for name in names if self.world.room_of(name) == room)
            if not inside:
                raise PlanError("contradictory", f"there is no {self.said(item)} in the {_plain(room or '')}")
            names = inside
        if len(names) > 1 and placement:
            fit = tuple(name for name in names if name in self.world.rooms or self.world.locations[name].placement)
            names = fit or names
        if len(names) > 1 and (self.context.place or self.context.here):
            room = self.world.room_of(self.context.place or self.context.here)
            names = tuple(name for name in names if self.world.room_of(name) == room) or names
            if len(names) > 1 and self.context.place in names:
                names = (self.context.place,)
        name = self._one(item, names)
        if name in self.world.forbidden:
            raise PlanError("forbidden", f"{_plain(name)} is a forbidden zone")
        self.context.place = name
        return name

    def named(self, item: Item) -> bool:
        """Whether a text is somebody's name: "to Zoltan" has a capital and no article, and no sentence begins there."""
        before = self.tokens[item.start - 1] if item.start else None
        return (
            before is not None
            and before.low[0].isalnum()
            and before.low not in w.DETERMINERS
            and all(self.tokens[k].text[:1].isupper() for k in range(item.start, item.end))
        )

    def where(self, item: Item | None) -> str | None:
        """The place attached to an item, if there is one."""
        return self.place(item.place) if item is not None and item.place is not None else None

    def thing(self, item: Item, verb: str = "bring") -> str:
        """The object, category or free text that an item names."""
        if item.kind == "thing_pronoun" and item.names == ("held",):
            if self.context.held is None:
                raise PlanError("precondition", "I am not holding anything")
            return self.context.held
        if item.kind in ("thing_pronoun", "person_pronoun"):
            if self.context.thing is None and self.only_thing is not None and self.only_thing.kind == "object":
                return self.thing(self.only_thing, verb)
            if self.context.thing is None:
                raise Question(f"What should I {verb}?", "object", self.gap(item))
            return self.context.thing
        if item.kind == "object":
            value = self._object(item)
        elif item.kind == "category":
            sorting = [mod for mod in item.mods if _SUPERLATIVE.fullmatch(mod)]
            value = "_".join([*sorting, item.names[0]])
        elif item.kind in ("place", "door", "person", "me"):
            raise PlanError("impossible", f"I cannot {verb} the {self.said(item)}")
        else:
            value = self._free_thing(item, verb)
        self.context.thing = value
        return value

    def each(self, item: Item, place: str | None) -> list[str] | None:
        """The things of the world that "all the tools", "everything on the desk" means; None if one is meant.

        Raises Question where the world does not tell which they are, or where they are too many.
        """
        whole = item.kind == "text" and item.names[0].split()[0] in ("everything", "all")
        kind = item.kind == "category" and (item.every or item.many and item.definite and item.count == 1)
        if not (whole or kind or item.kind == "object" and item.every):
            return None
        known = self.world.objects if whole else item.names
        if kind:
            category = self.world.category_of(item.names[0])
            known = category.objects if category else ()
        if item.place is not None:
            known = [name for name in known if self.world.is_at(self.world.home_of(name), place)]
        if not known or whole and item.place is None or item.kind == "object" and item.many and len(known) < 2:
            raise Question(
                f"Which things do you mean by {self.said(item)!r}? I do not know how many there are.",
                "object",
                self.gap(item),
            )
        if len(known) > MAX_EACH:
            options = ", ".join(_plain(name) for name in list(known)[:MAX_EACH])
            raise Question(
                f"Which {self.said(item)} do you mean? I know {len(known)}: {options} and more.",
                "object",
                self.gap(item),
                choices=known,
            )
        return list(known)

    def _object(self, item: Item) -> str:
        names = item.names
        if len(names) > 1 and item.place is not None:
            place = self.place(item.place)
            near = [
                name
                for name in names
                if self.world.home_of(name)
                and (self.world.home_of(name) == place or self.world.room_of(self.world.home_of(name)) == place)
            ]
            names = tuple(near) or names
        if len(names) > 1 and not item.definite:
            return snake(self.said(item, singular=True))
        return self._one(item, names)

    def _free_thing(self, item: Item, verb: str) -> str:
        words = [word for word in words_of(item.names[0]) if word not in w.DETERMINERS]
        text = " ".join(words)
        head = w.singular(words[words.index("of") - 1] if "of" in words[1:] else words[-1]) if words else ""
        if "same" in words and set(words) <= VAGUE | {"same"} and self.context.thing:
            return self.context.thing
        if not words or set(words) <= VAGUE | {"else", "nice", "good", "same"} or set(words) & _PRONOUNS:
            raise Question(f"What should I {verb}?", "object", self.gap(item))
        if set(words) & _NO_NAME:
            raise Question(f"What should I {verb}?", "object", self.gap(item))
        if head in _PLACES:
            raise Question("Which place do you mean?", "place", self.gap(item))
        if head in _ABSTRACT and verb in _CARRYING:
            raise Question(f"What do you mean by {text!r}?", "object", self.gap(item))
        if head in HARM_THINGS or set(words) & HARM_THINGS:
            raise PlanError("unsafe", f"I will not {verb} {text}")
        if verb in _CARRYING and (head in _NOT_CARRIED or "-".join(words) in _NOT_CARRIED):
            raise PlanError("impossible", f"I cannot {verb} the {text}")
        if len(text) > MAX_FREE:
            raise PlanError("unknown_object", f"I do not know the object {text[:MAX_FREE]!r}")
        if words[-1] != w.singular(words[-1]) and item.count <= 4 and "of" not in words:
            words[-1] = w.singular(words[-1]) if item.count > 1 else words[-1]
        return snake(" ".join(words))

    def person(self, item: Item) -> str:
        """The person that an item names or describes."""
        if item.kind == "me":
            return OPERATOR
        if item.kind in ("person_pronoun", "thing_pronoun"):
            if self.context.person is None and self.only is not None:
                self.context.person = self.person(self.only)
                self.context.found[self.context.person] = self.where(self.only)
            if self.context.person is None:
                raise Question("Whom do you mean?", "person", (item.start, item.end))
            return self.context.person
        if item.kind == "person":
            if item.definite and item.place is None and item.names == ("person",) and self.context.person:
                return self.context.person
            value = snake(self._one(item, item.names))
            if w.singular(value) in w.KIN and value not in self.world.people:
                whose = self.tokens[item.start - 1].low if item.start else ""
                whose = {"my": "your ", "his": "his ", "her": "her ", "their": "their "}.get(whose, "")
                raise PlanError("unknown_person", f"I do not know who {whose}{value} is")
        else:
            words = [self.tokens[k].text for k in range(item.start, item.end)]
            if any(word[:1].isupper() for word in words) or len(words) > 1 and words[0] in w.TITLES:
                raise PlanError("unknown_person", f"I do not know {' '.join(words)[:MAX_FREE]}")
            value = snake(item.names[0][:MAX_FREE])
        self.context.person = value
        return value

    def said(self, item: Item, singular: bool = False) -> str:
        """An item in the words of the command."""
        words = [*item.mods, *(self.tokens[k].low for k in range(item.start, item.end))]
        if singular and words:
            words[-1] = w.singular(words[-1])
        return " ".join(words)[:MAX_FREE]

    def _one(self, item: Item, names: tuple[str, ...]) -> str:
        if len(names) == 1:
            return names[0]
        options = [_plain(name) for name in names[:6]]
        text = f"Which {self.said(item)} do you mean: {', '.join(options[:-1])} or {options[-1]}?"
        raise Question(text, item.kind, self.gap(item), choices=names)

    def gap(self, item: Item) -> tuple[int, int]:
        """The tokens of an item, with its article and its describing words."""
        start, before = item.start, w.DETERMINERS.union(item.mods)
        while start and not self.tokens[start - 1].quoted and self.tokens[start - 1].low in before:
            start -= 1
        return start, item.end


_PRONOUNS = w.PRONOUNS_PERSON | w.SELF | {"it", "you", "i", "we"}


def snake(text: str) -> str:
    """The spelling of names: "glass of water" → "glass_of_water"; names of the world come through unchanged."""
    return re.sub(r"\s+", "_", text.strip())


def _plain(name: str) -> str:
    return name.replace("_", " ")


PEOPLE = ("person", "me", "person_pronoun")
THINGS = ("object", "category", "thing_pronoun", "text")


def people_in(clause: Clause) -> list[Item]:
    """The items of a clause that are people."""
    return [item for item in clause.items if item.kind in PEOPLE]


def places_in(clause: Clause) -> list[Item]:
    """The items of a clause that are places on their own."""
    return [item for item in clause.items if item.kind in ("place", "here")]
