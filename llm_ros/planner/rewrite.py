"""Asks a model to put a command into plain words (plain.py), and plans these.

In: a command that the reader is unsure of. Out: the completed steps of the plain commands that the model wrote under
their grammar, or None where they refuse, ask, cannot be done or are not to be trusted (`faithful`): then what the
reader said stands. Where the likeliest text leaves something out, others are drawn, and the likeliest of those that
do not counts. The system turn is the same for every command, so that an engine that keeps prompt prefixes reads it
once.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from llm_ros.planner.complete import Completer
from llm_ros.planner.inquiry import spelled
from llm_ros.planner.interpret import Interpreter
from llm_ros.planner.plain import PlainForms
from llm_ros.planner.plan import PlanError, Step
from llm_ros.planner.refer import Question
from llm_ros.planner.tags import TAG, Tagged, tag
from llm_ros.planner.tokens import corrected, tokenize

SYSTEM = "Say in plain words what the robot is to do."
MAX_TOKENS = 96
SURE = -1.2  # chosen on the sets of test/data but the clinic
OTHERS = 5  # texts drawn where the best one leaves something out
SURE_OF_OTHER = -2.5  # of one of these
WORTH_ASKING = -4.0  # less sure: the person is asked
SURE_OF_SECOND = -0.3  # against a plan that nothing speaks against; chosen on nine sets before any rule knew them
VERY_SURE = -0.1  # against a question that the reader has reasons for
_SEEN_THROUGH = ("unsafe", "contradictory")  # what is believed against a plan over things that the world does not know
_NOT_THERE = r"\b(?:not|never|instead of|rather than|except|without|avoid|avoiding|\w+n'?t) (?:[\w']+ ){0,4}"
_BESIDE = r"\b(?:at|by|near|through|beside|behind|outside) (?:the )?"
_SENTENCE_ENDS = frozenset(".!?:;")
_CHOICE = re.compile(rf"(?:{TAG.pattern}) or (?:the |a |an |some )?(?:{TAG.pattern})")
_ONLY_DOORS = re.compile(r"(?:open|close) door\d+")
_NOWHERE = re.compile(r"\bfrom (place\d+) to \1\b")
_DESCRIBED = re.compile(r'(?:^|\n)(?:guide|follow|greet|tell|answer|ask) ("[^"]*")|\bto ("[^"]*")')

# What untrained models are shown: tagged commands and their plain forms.
EXAMPLES = (
    ("The thing1 in the place2 should rather stand on the place1", "move thing1 from place2 to place1"),
    ("It's so hot today, I could drink a whole thing1", "bring thing1 to me"),
    ("person1 has run out of thing1, he works in the place1 today", "bring thing1 to person1 in place1"),
    ("person1 at the place2 has never been to the place1, help her out", "guide person1 from place2 to place1"),
    ("Walk behind person1 all the way up to the place1", "follow person1 to place1"),
    ("Did they leave us some thing1 in the place1?", "tell me whether thing1 in place1"),
    ("I need a tally of the kind1 in the place1", "tell me how many kind1 in place1"),
    ("Describe what the place1 is full of", 'tell me what "the place1 is full of" in place1'),
    ("In the place1 person1 has yet to hear that lunch is served", 'tell person1 in place1 "lunch is served"'),
    ("Help the lady with the dog at the place1 with her question", 'answer "lady with the dog" in place1'),
    ("Get person1 at the place1 to say when the bus leaves", 'ask person1 in place1 "when the bus leaves"'),
    ("I don't want to see the place1 open", "close place1"),
    ("Do nothing for half a minute, next roll to the place1", 'wait "half a minute"\ngo to place1'),
    ("The thing1 has vanished, the place1 is where I saw it last", "find thing1 in place1"),
    ("person1 just came into the place1, be polite", "greet person1 in place1"),
    ("Repair the roof", "refuse impossible"),
    ("Kick person1 in the shins", "refuse unsafe"),
    ("person1 wants one of those", "bring ? to person1"),
    ("Place the thing1", "move thing1 to ?"),
)


class Written(str):
    """What a model wrote, and how sure it was: the sum of its tokens' natural log probabilities."""

    logprob: float

    def __new__(cls, text: str, logprob: float) -> Written:
        written = super().__new__(cls, text)
        written.logprob = logprob
        return written


@dataclass(frozen=True)
class Reworded:
    """steps: of the plain form. words: it as a command. sure: whether the model is sure enough to act on it. question:
    what to ask where the form leaves a slot open; it has no steps then."""

    steps: tuple[Step, ...]
    words: str
    sure: bool
    question: str = ""


class Rewriter:
    """generate: as `Planner`'s, with a seed where the text is to be drawn (else None); None instead of a text: there is
    nobody to ask. trained: its model was trained on such pairs (training/) and needs no examples; if it gives `Written`
    texts, those that it is not sure of are not used, and others are drawn for those that leave something out."""

    def __init__(
        self, generate: Callable[..., str], interpreter: Interpreter, completer: Completer, trained: bool = False
    ):
        self._examples, self.trained = () if trained else EXAMPLES, trained
        self._generate, self._interpreter, self._completer = generate, interpreter, completer
        self._forms = PlainForms(completer.skills, interpreter.names)

    def over(self, interpreter: Interpreter, completer: Completer) -> Rewriter:
        """The same for a world with the same names in which things are elsewhere."""
        other = copy.copy(self)
        other._interpreter, other._completer = interpreter, completer
        return other

    def passed_over(self, command: str, steps: Sequence[Step]) -> set[str]:
        """The places, doors and things that a command names and steps do not speak of, as tags: what a reading that is
        wrong often leaves out. None where the command takes words back, names them as not meant, or names a door for
        where somebody is."""
        tokens = tokenize(command)
        if corrected(tokens) != tokens:
            return set()
        tagged, world = tag(command, self._interpreter.names), self._completer.world
        values = [str(value) for step in steps for value in step.args.values()]
        there = {*values, *(world.room_of(value) for value in values if value in world.locations)}
        texts = " ".join(values).lower()
        return {
            one
            for one in tagged.of_kind("place", "door", "thing")
            if there.isdisjoint(name for mention in tagged.names[one].mentions for name in mention.names)
            and " ".join(token.low for token in tagged.names[one].tokens) not in texts
            and not re.search(f"(?:{_NOT_THERE}|{_BESIDE}(?=door)){one}\\b", tagged.text.lower())
        }

    def _rooms(self, tagged: Tagged) -> dict[str, set[str]]:
        """The tags of rooms, with those of the places in them: whoever names the place need not name its room."""
        world = self._completer.world
        names = {one: {name for m in tagged.names[one].mentions for name in m.names} for one in tagged.of_kind("place")}
        inside = {one: {world.room_of(name) for name in found - set(world.rooms)} for one, found in names.items()}
        rooms = {one: found for one, found in names.items() if found <= set(world.rooms)}
        return {room: {one for one, of in inside.items() if of & found} for room, found in rooms.items()}

    def reworded(self, command: str, cancelled: Callable[[], bool], sure: float = SURE) -> Reworded | None:
        """The command's plain form; None if there is none that can be done. Raises PlanError for what is unsafe or
        contradicts itself."""
        tagged = tag(command, self._interpreter.names)
        asked = [{"role": "system", "content": SYSTEM}]
        for said, plain in (*self._examples, (tagged.text, "")):
            asked += [{"role": "user", "content": said}, {"role": "assistant", "content": plain}]
        asked.pop()
        grammar = self._forms.grammar(tagged)

        def write(seed: int | None = None) -> str | None:
            return self._generate(asked, grammar, MAX_TOKENS, lambda piece: None, cancelled, seed)

        text = write()
        if text is None:
            return None
        told = self.trained and isinstance(text, Written)
        rooms = self._rooms(tagged)
        if told and sure <= SURE and _mendable(text, tagged, rooms):
            text, sure = _likeliest([write(seed) for seed in range(OTHERS)], tagged, rooms), SURE_OF_OTHER
            if text is None:
                return None
        sure_enough = text.logprob >= sure if told else sure <= SURE
        refused = text.startswith("refuse ")
        if refused and not sure_enough or not refused and not faithful(text, tagged, rooms):
            return None
        if not sure_enough and not (told and text.logprob >= WORTH_ASKING):
            return None
        try:
            spoken = self._forms.read(text, tagged)
            readings = self._interpreter.read_spoken(spoken).readings
            if len(readings) != 1:
                return None
            return Reworded(tuple(self._completer.complete(readings[0])), spelled(spoken.tokens), sure_enough)
        except PlanError as error:
            if self.trained and refused and error.reason in _SEEN_THROUGH:
                raise
            return None
        except Question as question:
            return Reworded((), "", sure_enough, question.inquiry.text)
        except ValueError:
            return None


def _mendable(text: str, tagged: Tagged, rooms: Mapping[str, set[str]]) -> bool:
    """Whether a text fails for what it leaves out, which another may have."""
    return not text.startswith("refuse ") and not faithful(text, tagged, rooms) and not _CHOICE.search(tagged.text)


def _likeliest(texts: Sequence[Written], tagged: Tagged, rooms: Mapping[str, set[str]]) -> Written | None:
    """The likeliest of the texts that refuse or leave nothing out; None if there is none."""
    kept = [text for text in texts if text.startswith("refuse ") or faithful(text, tagged, rooms)]
    return max(kept, key=lambda text: text.logprob, default=None)


def _in_passing(one: str, tagged: Tagged) -> bool:
    """Whether a tag may be spoken of without being part of any deed: things, kinds, people who are not named."""
    mention = tagged.names[one].mentions[0]
    unnamed = mention.described and mention.names[0].isalpha()
    return mention.kind in ("object", "category") or unnamed


def faithful(plain: str, tagged: Tagged, rooms: Mapping[str, set[str]] = MappingProxyType({})) -> bool:
    """Whether plain words speak of all that the command names: of its tags (or, for one of `rooms`, of a place in it),
    and of words that look like names of somebody or something unknown ("my cousin Roderick"). Nobody else may choose
    between two ("the thing1 or the thing2"), and nothing is moved to where it is. Somebody's description may hold no
    tag: then it swallowed what stands beside it. A model that is very sure may leave out one thing, kind or unnamed
    person: why, not what ("the kids will be soaked", "without any fish"); or anything where only a door is opened or
    closed ("it's stuffy in the bar")."""
    found = set(TAG.findall(plain))
    unsaid = {one for one in tagged.names.keys() - found if not rooms.get(one, set()) & found}
    spare = getattr(plain, "logprob", -math.inf) >= VERY_SURE and len(unsaid) == 1
    if unsaid and not (spare and (_in_passing(*unsaid, tagged) or _ONLY_DOORS.fullmatch(plain))):
        return False
    if _CHOICE.search(tagged.text) or _NOWHERE.search(plain):
        return False
    if any(TAG.search(one) for found in _DESCRIBED.findall(plain) for one in found):
        return False
    tokens = tokenize(tagged.text)
    return all(
        token.text in plain
        for before, token in zip(tokens, tokens[1:], strict=False)
        if token.text[:1].isupper() and token.text[1:].islower() and not token.quoted
        if before.text not in _SENTENCE_ENDS
    )
