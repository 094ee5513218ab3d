"""What a sentence does with a deed: orders it, forbids it, or only speaks of it.

In: tokens of a command. Out: the same with every way of forbidding said as "do not …", which the reader knows ("you
must never open it", "there is no need to open it", "I told you not to"); and whether something is forbidden, or all
that is said is about deeds that were done, that somebody else does, or that are asked about ("did you bring it?", "I
brought it"). A robot that takes one of these for an order does what it was told not to do. Knows no world and no skill.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from llm_ros.planner.rules import BASE, compiled, replaced
from llm_ros.planner.tokens import Token, corrected, tokenize

_GERUND = "|".join(word for word in BASE if word.endswith("ing"))
_DONE = "|".join(word for word in BASE if not word.endswith("ing") and word not in ("let", "said", "found"))
_NAMED = r"(?:(?:the|this|that|my|our|any|no) )?(?:[a-z]+ ){1,3}?"
_THROUGHOUT = r"(?:(?:the whole time|all the time|all along|throughout|always|at all times|though) )?"
_NOT = r"(?:not|never|do not) (?:to )?(?:ever |even )?"  # tokens.py opens "never" as "do not"
_FORBIDDING = compiled((
    (rf"(?:i|we) (?:have )?(?:already )?(?:said|told you|asked you|ordered you|warned you|want you|would like you|"
     rf"would prefer you|need you|prefer you|expect you) (?:to )?{_NOT}", "do not "),
    (r"(?:i|we) do not (?:want|need|wish|expect|like)(?: for)? you to (?:ever )?", "do not "),
    (rf"(?:i|we) (?:would|had) (?:much )?(?:rather|prefer)(?: it)?(?: if| that)? you (?:did |would )?{_NOT}",
     "do not "),
    (rf"(?:make sure|be sure|take care|be careful|please|try|remember|ensure|see to it|make certain|it is important|"
     rf"it is essential)(?: that)?(?: you)?(?: must| should)? {_NOT}", "do not "),
    (rf"(?:you (?:really |absolutely )?(?:must|should|may|shall|ought to|ought)|(?:you )?(?:had )?better) {_NOT}"
     r"(?=(?!be |have )[a-z]+ )", "do not "),
    (rf"you are {_NOT}(?:(?:allowed|supposed|permitted|meant|going) )?to ", "do not "),
    (r"(?:there is |there was |you have |we have |it is )?(?:absolutely )?(?:no need|no reason|not necessary|"
     r"unnecessary)(?: for you)? to ", "do not "),
    (r"you (?:do not (?:have|need) to|need not(?: to)?) ", "do not "),
    (r"(?:under no circumstances?|on no account|in no case|by no means|at no time)"
     r"(?: (?:should|must|may|can|do|are|shall|to|ever|you))* ", "do not "),
    (r"(?:nobody|no one)(?: is to| should| must| may| can| shall) (?=(?!be |have )[a-z]+ )", "do not "),
    (rf"(?:please )?(?:refrain from|avoid|abstain from|forget about|hold off(?: on)?|quit|stop|"
     rf"do not (?:even |ever )?(?:think (?:about|of)|bother|risk|start|keep|consider)) ({_GERUND}) ", r"do not ^1 "),
    (r"do not (?:you )?(?:dare|ever|even|bother|attempt)(?: to)? (?:and )?(?=[a-z]+ )", "do not "),
    (r"(do not|without) (?:ever |even )?(?:leav(?:e|ing)|mov(?:e|ing) (?:away )?from|go(?:ing)? away from) "
     r"(?:the |your )(?:spot|place|position)(?: (?:where|that|in which|on which) you (?:are|stand|are standing|are in)"
     r"(?: now| right now| at the moment)?)? ", r"\1 move "),
    (rf"(open {_NAMED})(?:, )?but (?:leave|keep|let) it (?:stay |remain |be )?(?:closed|shut) {_THROUGHOUT}",
     r"\1 but do not open it "),
    (rf"((?:close|shut) {_NAMED})(?:, )?but (?:leave|keep|let) it (?:stay |remain |be )?(?:wide )?open {_THROUGHOUT}",
     r"\1 but do not close it "),
    (rf"({_NAMED})(?:must|should|may|can|shall|is|are|ought) (?:not|never|do not) (?:to )?(?:be )?({_DONE}) ",
     r"do not ^2 \1"),
    (rf"({_NAMED})(?:must|should|may|shall) (?:not|do not) (?:get|have|receive|be given) (?=(?:the|a|an|any|my) )",
     r"do not give \1"),
    (rf"({_NAMED})(?:must|should|may|shall) (?:not|do not) (?:go|get|come) (?=(?:to|into|onto) )",
     r"do not bring \1"),
))  # fmt: skip
# What is left of forbidding that none of the above knew.
_FORBIDDEN = re.compile(
    r"(?:^|[.,;:!?] |and |but |please |then |so )do not (?!(?:forget|hesitate|mind|worry|lose|miss|delay|be|want|know|"
    r"need|have|like|see|feel|understand|think|care|remember) )|"
    r"(?<!i )(?<!we )(?:must|should|shall|may) (?:not|do not) (?!(?:be|have|get|stay|stand|lie|remain) )|"
    r"\b(?:refrain|avoid|nobody should|no need) "
)
_DEED = (
    "bring|take|give|open|close|shut|follow|guide|lead|escort|greet|put|place|move|carry|deliver|fetch|hand|return|"
    "accompany"
)
_PAST = (
    "brought|took|taken|gave|given|opened|closed|followed|guided|led|escorted|greeted|moved|carried|delivered|"
    "fetched|handed|returned|accompanied"
)
_DOING = "|".join(word for word, base in BASE.items() if word.endswith("ing") and base in _DEED.split("|"))
_WHO = "(?:i|we|you|he|she|they|it|somebody|someone|nobody)"
_SOMEBODY = rf"(?:{_WHO}|who|(?!(?:please|and|then|so|have|get|want|need)\b)[a-z]+(?: [a-z]+)?)"
_ADVERBS = r"(?:already |just |also |even |ever |never |only |once |always |usually |then |not |yesterday |finally )*"
_LEADS = "well|so|oh|yesterday|earlier|today|this morning|last night|a while ago|,|why|when|where|how"
# How a sentence begins that tells of a deed or asks about it; all of it must be about that (`_GOES_ON`).
_SPOKEN_OF = re.compile(
    rf"(?:(?:{_LEADS}) )*"
    rf"(?:{_SOMEBODY} {_ADVERBS}(?:(?:have|has|had|could have|should have|would have|did) )?{_ADVERBS}(?:{_PAST}|told) "
    rf"|(?:the |my |our )?{_SOMEBODY} (?:was|were|has been|have been|had been|has already been|is being) {_ADVERBS}"
    rf"(?:{_PAST}) "
    rf"|(?:am|is|are|was|were) {_SOMEBODY} {_ADVERBS}(?:{_DOING}) "
    rf"|{_SOMEBODY} (?:am|is|are|was|were) {_ADVERBS}(?:{_DOING}) "
    rf"|(?:have|had) {_WHO} {_ADVERBS}(?:{_DEED}|{_PAST}) |(?:did|has|does) [a-z]+ {_ADVERBS}(?:{_DEED}|{_PAST}) "
    rf"|(?:should|shall|must) (?:i|we) {_ADVERBS}(?:{_DEED}) "
    rf"|i wish {_SOMEBODY} had |(?:thank you|thanks)(?: so much| very much| a lot)? for (?:{_DOING}) "
    rf"|(?:i|we) (?:will|shall|am going to|are going to|am about to) {_ADVERBS}"
    rf"(?:open|close|shut|follow|guide|bring|give|carry|deliver|fetch|move) (?!me ))"
)
_GOES_ON = re.compile(
    rf"[,;:] |\b(?:please|so|then|but|because|to be|want|wants|need|needs) |\band (?:now |you )?(?:{_DEED}|go|find|"
    r"tell|ask|say|look|count|come|wait|answer|get|pick|have|let|make|see|show|walk) "
)


def orders(tokens: list[Token]) -> list[Token]:
    """The tokens with all that is forbidden as "do not …"."""
    return replaced(tokens, _FORBIDDING)


def no_order(text: str) -> bool:
    """Whether a text forbids something, in whatever words, or only speaks of deeds."""
    tokens = tokenize(text)
    return only_speaks(tokens) or _FORBIDDEN.search(_text(orders(corrected(tokens)))) is not None


def only_speaks(tokens: Sequence[Token]) -> bool:
    """Whether every sentence tells of deeds, or asks about them, and none orders one."""
    sentences = [one.strip() for one in re.split(r"[.!?;] ", _text(tokens)) if one.strip()]
    found = [_SPOKEN_OF.match(f"{one} ") for one in sentences]
    return bool(found) and all(
        match and not _GOES_ON.search(f"{one} ", match.end()) for one, match in zip(sentences, found, strict=True)
    )


def _text(tokens: Sequence[Token]) -> str:
    return "".join(f"{chr(39) if token.quoted else token.low} " for token in tokens)


__all__ = ["no_order", "only_speaks", "orders"]
