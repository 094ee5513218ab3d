"""Ways of saying things that the reader would otherwise have to know one by one, put into the words that it knows.

In: tokens of a command. Out: the same with each phrase of the table replaced: "which toy is the biggest" → "what is the
biggest toy", "one of the snacks" → "a snack". A rule is a pattern over lower-case words and what to say instead; groups
keep the tokens that they match, so nothing that somebody wrote is lost. Knows no world and no skill.
"""

from __future__ import annotations

import re

from llm_ros.planner.tokens import Token

_N = r"(?:[a-z]+ ){1,6}?"  # a noun phrase, with or without where it is
_SUPERLATIVE = r"(?:the )?((?:[a-z]{2,}est|most [a-z]+|least [a-z]+)) (?:one |of all |of them |of the lot )?"
_THEY = r"(?:they|he|she|it|you|we)"
_RULES = tuple(
    (re.compile(rf"(?<![^ ]){pattern}"), said)
    for pattern, said in (
        # "of all the snacks on the tray, which one is the heaviest" → what is the heaviest snacks on the tray
        (rf"(?:of|among|out of) (?:all )?(?:the |these |those )?({_N}), which (?:one )?(?:of them )?is {_SUPERLATIVE}",
         r"what is the \2 \1"),
        (rf"which (?:one )?(?:of )?(?:the |these |those )?({_N})weighs (?:the )?most ", r"what is the heaviest \1"),
        (rf"which (?:one )?(?:of )?(?:the |these |those )?({_N})weighs (?:the )?least ", r"what is the lightest \1"),
        (rf"which (?:one )?(?:of )?(?:the |these |those )?({_N})(?:is|are) {_SUPERLATIVE}", r"what is the \2 \1"),
        (r"what is the (?:total |exact )?(?:number|amount|count) of ", "how many "),
        # one of several is any of them
        (r"(?:any )?one of (?:the|these|those|my|our|your) ", "a "),
        (rf"(?:until|till) {_THEY} (?:reach|get to|arrive at|arrive in|come to|are in|are at|is in|is at) ", "to "),
        (rf"(?:as|while|when) {_THEY} (?:walk|go|head|move|run|drive|wander|make (?:their|his|her) way)s? "
         r"(?=to |into |towards |from |over |through )", ""),
        (r"by (?:taking|leading|guiding|bringing|walking|escorting) (?:them|him|her|me|us) (?:there|over there|over) ",
         ""),
        (r"(?:somewhere|someplace) (?=in |on |at |near |inside )", ""),
        (r"((?:ask|find out|learn|check) (?:[^ ]+ )*?)(?:pass|relay) (?:it|that|this) (?:on |along |over )?(?=to )",
         r"\1 tell it"),
        (r"(find|get|grab|fetch|take|pick up) yourself (?=a |an |the |some )", r"\1 "),
        # what is wanted, in the passive: "could the bowl please be placed on …"
        (rf"(?:could|can|may|should|would) ((?:the|a|an|some|my|this|that|these|those|all) {_N})(?:please )?be "
         r"(placed|put|brought|moved|taken|delivered|carried|opened|closed|fetched|handed|given|returned) ", r"\2 \1"),
        (rf"((?:the|a|an|some|my|that) {_N})would (?:really )?be (?:so )?"
         r"(?:great|nice|lovely|good|perfect|wonderful|fantastic|awesome|helpful|appreciated|welcome|handy) "
         r"(?:right now |now |please |about now |for me )*(?=[.!,] |$)", r"bring me \1"),
    )
)  # fmt: skip
_GROUP = re.compile(r"\\(\d)")


def plainly(tokens: list[Token]) -> list[Token]:
    """The tokens in the reader's words."""
    for pattern, said in _RULES:
        text, starts = "", {}
        for k, token in enumerate(tokens):
            starts[len(text)] = k
            text += ("'" if token.quoted else token.low) + " "
        starts[len(text)] = len(tokens)
        match = pattern.search(text)
        if match:
            new = _filled(said, match, tokens, starts)
            tokens = [*tokens[: starts[match.start()]], *new, *tokens[starts[match.end()] :]]
    return tokens


def _filled(said: str, match: re.Match, tokens: list[Token], starts: dict[int, int]) -> list[Token]:
    result: list[Token] = []
    for word in said.split():
        group = _GROUP.fullmatch(word)
        if not group:
            result.append(Token(word, word))
            continue
        begin, end = match.span(int(group[1]))
        begin = starts[begin]
        result += tokens[begin : starts.get(end, starts.get(end + 1, begin))]
    return result
