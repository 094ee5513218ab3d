"""What the answer to a question amounts to: the whole command, a narrower question, or nothing (it is taken back).

In: an `Inquiry`, the words of the answer, a world. Out: a command in words; an `Inquiry` to put next; None. An answer
names one of the choices, in part ("the red one"), by number ("the second"), by where it is ("the one in the kitchen");
or it says what was missing; or it is a command of its own, which then stands alone.
"""

from __future__ import annotations

import re
from dataclasses import replace

from llm_ros.planner import words as w
from llm_ros.planner.clauses import Splitter
from llm_ros.planner.inquiry import Inquiry
from llm_ros.planner.names import Names
from llm_ros.planner.tokens import corrected, edit_distance, key_of, tokenize, words_of
from llm_ros.planner.verbs import Lexicon
from llm_ros.planner.world import World

_WITHDRAWN = re.compile(
    r"(oh |ok(ay)? |no |well |please )*((never|do not) mind|nevermind|forget (it|that|about (it|that))|"
    r"cancel( (it|that))?|leave (it|that)|skip (it|that)|drop (it|that)|let it be|nothing|no thanks|no thank you|"
    r"stop( it| that)?|abort|"
    r"nobody|no one|nowhere|none( of (them|these|those))?|neither( of (them|these|those))?|not any ?more|"
    r"it does not matter any ?more)( (then|please|thanks|thank you|after all|now|at all))*"
)
_YES = re.compile(
    r"(oh |ok(ay)? |well )*(yes|yeah|yep|yup|sure|ok|okay|right|fine|of course|certainly|please do|do it|do so|"
    r"go ahead|go on|correct|exactly|affirmative|all right|alright|absolutely|by all means|why not)"
    r"( (please|do|do it|do so|sure|go ahead|of course|that is (fine|right|ok|okay)|anyway|now|once|thanks|thank you))*"
)
_NO = re.compile(
    r"(oh |ok(ay)? |well )*(no|nope|nah|do not|rather not|better not|not now|negative|certainly not|no way)"
    r"( (please|do not|thanks|thank you|rather not|better not|do not do it|not now|way|leave it|wait))*"
)
_ANY = re.compile(
    r"(any|either|whichever|anyone|whatever)( of (them|these|those))?( one)?( you (like|want|prefer))?|"
    r"(it|that) does not matter|i do not (care|mind)|you (choose|decide|pick)|(it is )?up to you|do not care"
)
_ALL = re.compile(r"(both|all|everything)( of)?( (them|these|those))?")
# What is said to a question but tells nothing.
_UNHELPFUL = re.compile(
    r"(oh |well |sorry |hm+ |uh |i (think|guess) )*(i )?(do not know( (that|it|yet))?|have no idea|no idea|am not sure|"
    r"not sure|it depends|you know|hard to say|guess|what( do you mean| else)?|what is (that|there)|why( not)?|"
    r"which( ones?)?( is it| are there| do you mean)?|what are (the|my) (choices|options)|the usual|as usual|"
    r"(this|that|these|those|the|the other|it|them|both|all)( ones?)?( of (them|these|those))?( over)?( there| here)?|"
    r"(the )?same (as|like) (before|always|usual|last time)|let me (see|think)|pardon|excuse me|sorry|hello|hi|hey|"
    r"thanks|thank you|ok|okay|yes|yeah|sure|fine|right|correct|please|wait|hm+|uh|um)( please| sorry| thanks)*"
)
# What may stand before an answer, and after it.
_BEFORE = re.compile(
    r"(?:(?:no|yes|yeah|well|oh|ok|okay|sorry|just|maybe|perhaps|please|i think|i guess|i mean|i meant|i said|"
    r"it is|it'?s|it would be|that is|that'?s|that would be|they are|they're|make (?:it|that)|let us say|i want|"
    r"i would like|i would prefer|i prefer|rather|take|use|say)[\s,]+)+",
    re.IGNORECASE,
)
_AFTER = re.compile(r"(?:[\s,]*\b(?:please|thanks|thank you|then|i think|i guess))*[\s.,;:!?]*$", re.IGNORECASE)
# Words of an answer that choose nothing.
_SILENT = frozenset(
    "the a an one ones that this those these it its is are was of please i mean meant want would like with which who "
    "yes no well oh ok okay thanks thank you just take use choose pick prefer rather option number choice them "
    "some my your our and or to into onto at in on from near by inside lying standing sitting placed located "
    "thing place room person guy there".split()
)
_ORDINALS = {
    word: number
    for number, row in enumerate(
        ("first 1st one 1 a former", "second 2nd two 2 b", "third 3rd three 3 c", "fourth 4th four 4 d")
        + ("fifth 5th five 5 e", "sixth 6th six 6 f", "seventh 7th seven 7", "eighth 8th eight 8")
    )
    for word in row.split()
} | {"last": -1, "latter": -1}
_DOUBTFUL = re.compile(r"(number |option |choice )?(one|a)( please)?")  # ordinals only where nothing else is said
_NOT = re.compile(r"(?P<before>.*?)\b(?:not|except|but not|other than)\b(?P<not>.*?)(?:\bbut\b(?P<after>.*))?")


class Answers:
    """Answers to one question, over one world."""

    def __init__(self, inquiry: Inquiry, world: World, names: Names, lexicon: Lexicon):
        self.inquiry, self.world, self._names, self._lexicon = inquiry, world, names, lexicon

    def resolve(self, answer: str) -> str | Inquiry | None:
        """The command, the question to put next, or None if the command is taken back. `answer`: clean words."""
        inquiry = self.inquiry
        said = " ".join(token.low for token in tokenize(answer) if token.quoted or token.low[0].isalnum())
        if _WITHDRAWN.fullmatch(said) or said == "no" and inquiry.asks != "text":
            return None
        if inquiry.asks == "confirm":
            return self._confirmed(said, answer)
        if inquiry.choices:
            chosen = self._chosen(said)
            if len(chosen) == 1 or chosen and _ALL.fullmatch(said) and inquiry.asks == "object":
                return inquiry.completed(" and ".join(self._spelled(choice) for choice in chosen))
            if chosen:
                return self._again(chosen)
        if inquiry.asks not in ("text", "command") and _UNHELPFUL.fullmatch(said):
            return inquiry
        if inquiry.asks == "command" and not inquiry.before or inquiry.asks != "text" and self._orders(answer):
            return answer if not inquiry.lead or inquiry.asks != "command" else self._filled(answer)
        filling = _AFTER.sub("", _BEFORE.sub("", answer, count=1)) if inquiry.asks != "text" else answer
        if inquiry.choices and not self._known(filling):
            return self._once_more("That is none of them.")
        if not filling or _ANY.fullmatch(said):
            return inquiry
        return self._filled(filling)

    def _confirmed(self, said: str, answer: str) -> str | Inquiry | None:
        if _YES.fullmatch(said):
            return self.inquiry.before
        if _NO.fullmatch(said):
            return None
        return answer if self._orders(answer) else self._once_more("Yes or no?")

    def _once_more(self, why: str) -> Inquiry:
        """The same question, after a word about the answer."""
        return replace(self.inquiry, text=f"{why} {self.inquiry.text.removeprefix(why).strip()}")

    def _filled(self, filling: str) -> str:
        """The command with these words in its gap."""
        inquiry, first = self.inquiry, filling.split()[0].lower()
        if inquiry.asks == "number" and re.fullmatch(r"[\d.,]+|\w+", filling) and first not in w.PREPOSITIONS:
            filling = f"{filling} seconds"
        if inquiry.lead == ".":
            return inquiry.completed(f". {filling}").replace(" .", ".", 1)
        return inquiry.completed(filling if first in w.PREPOSITIONS else f"{inquiry.lead} {filling}".strip())

    def _again(self, choices: tuple[str, ...]) -> Inquiry:
        """The question with fewer choices."""
        names = [choice.replace("_", " ") for choice in choices]
        text = f"Which one: {', '.join(names[:-1])} or {names[-1]}?"
        return replace(self.inquiry, text=text, choices=choices)

    def _spelled(self, choice: str) -> str:
        plain = choice.replace("_", " ")
        return plain if self.inquiry.asks == "person" or plain.split()[0] in w.DETERMINERS else f"the {plain}"

    # -- among the choices

    def _chosen(self, said: str) -> tuple[str, ...]:
        """The choices that an answer may mean; () if it says something else."""
        choices = self.inquiry.choices
        if _ANY.fullmatch(said):
            return choices[:1]
        if _ALL.fullmatch(said):
            return choices
        negated = _NOT.fullmatch(said)
        if negated is None:
            return self._named(said)
        wanted = self._named(f"{negated['before']} {negated['after'] or ''}")
        without = self._named(negated["not"])
        return wanted or tuple(choice for choice in choices if choice not in without) if without else wanted

    def _named(self, said: str) -> tuple[str, ...]:
        """The choices that words name: by number, by their names, or by where they are."""
        choices, words = self.inquiry.choices, said.split()
        content = [word for word in words if word not in _SILENT]
        numbers = [_ORDINALS[word] for word in words if word in _ORDINALS and not _DOUBTFUL.fullmatch(word)]
        if _DOUBTFUL.fullmatch(said.strip()):
            numbers, content = [0], []
        if len(numbers) == 1 and all(word in _ORDINALS for word in content) and -1 <= numbers[0] < len(choices):
            return (choices[numbers[0]],)
        if not content:
            return ()
        exact = tuple(choice for choice in choices if key_of(words_of(choice)) == key_of(content))
        if exact:
            return exact
        for about in (self._words_of, self._words_around):
            known = {choice: about(choice) for choice in choices}
            fit = tuple(choice for choice in choices if all(_among(word, known[choice]) for word in content))
            if fit and len(fit) < len(choices):
                return fit
        return ()

    def _words_of(self, name: str) -> set[str]:
        forms = (name, *self.world.synonyms.get(name, ()))
        return {w.singular(word) for form in forms for word in words_of(form)}

    def _words_around(self, name: str) -> set[str]:
        """The words of a name and of where it is."""
        rooms = self.world.doors.get(name) or (self.world.home_of(name), self.world.room_of(name))
        rooms = {place for place in rooms if place} | {self.world.room_of(place) for place in rooms if place}
        return self._words_of(name).union(*(self._words_of(place) for place in rooms if place))

    # -- in other words

    def _known(self, filling: str) -> bool:
        """Whether an answer names something of the kind that is asked for."""
        kinds = (self.inquiry.asks, "category") if self.inquiry.asks == "object" else (self.inquiry.asks,)
        return any(mention.kind in kinds for mention in self._names.find(tokenize(filling)))

    def _orders(self, answer: str) -> bool:
        """Whether an answer is a command or a question of its own."""
        splitter = Splitter(corrected(tokenize(_BEFORE.sub("", answer, count=1))), self._names, self._lexicon)
        begin = splitter.skip(0)
        return any(
            clause.question
            and clause.start > begin
            or clause.verb is not None
            and clause.verb.start == begin
            and clause.verb.frame != "stop"
            for clause in splitter.clauses()
        )


def _among(word: str, known: set[str]) -> bool:
    """Whether a word is one of these, give or take an ending or one letter."""
    word = w.singular(word)
    return word in known or len(word) > 4 and any(len(k) > 4 and edit_distance(word, k, 1) <= 1 for k in known)
