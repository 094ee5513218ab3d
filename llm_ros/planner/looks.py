"""How people are described, in one form: "the one with her left arm up" → "the person raising her left arm".

In: tokens of a command. Out: the same with each way of saying what somebody wears, does or how they sit or stand put
as `people.Describer` reads it. It comes before anything else looks for people, so that a model that is shown a tag
instead of them sees one too. Knows no world.
"""

from __future__ import annotations

from llm_ros.planner.people import CLOTHES
from llm_ros.planner.rules import compiled, replaced
from llm_ros.planner.tokens import Token
from llm_ros.planner.words import COLORS

_ARM = (
    r"(their |his |her |a |the |one )(?:raised )?(left |right )?(arms?|hands?) "
    r"(?:up |raised |lifted |in the air |held up )"
)
_POSE = "sitting|standing|lying|waving|kneeling|seated"
_DRESS = "|".join(sorted(CLOTHES))
_COLOR = "|".join(sorted(COLORS))
_SOMEBODY = "someone|somebody|(?:a|the) (?:visitor|customer|guest|person|man|woman|lady|guy|girl|boy|patient|student)"
_MANY = "people|persons|guests|men|women|children|visitors"
_WHERE = r"(?:in|at|by|on|near) the (?:(?!who |that |which )[a-z]+ ){1,4}?"

_RULES = compiled(
    (
        (rf"([a-z]+ )keeps (?:on )?(?=(?:{_POSE}|pointing) )", r"\1 is "),
        (r"pointing (left|right) ", r"pointing to the \1 "),
        # somebody who does something somewhere, and is known by that
        (rf"(?:{_SOMEBODY})(?: over)? ({_WHERE})is (pointing to the (?:left|right)|waving|kneeling|"
         r"raising (?:their|his|her) (?:left|right) (?:arm|hand)) ", r"the person \1 is \2"),
        (rf"(?:who|that) (?:has|have|had) (a (?:[a-z]+ )?(?:{_DRESS})) on ", r"wearing \1 "),
        (rf"({_SOMEBODY}) ({_WHERE})((?:in|wearing|with) (?:a|an|the) (?:[a-z]+ )?(?:{_DRESS})) ", r"\1 \3 \2"),
        (rf"({_SOMEBODY}) ({_WHERE}), the one ((?:in|wearing|with) (?:a|an|the) (?:[a-z]+ )?(?:{_DRESS}) )(?:on )?, ",
         r"\1 \3 \2"),
        (rf"({_MANY}) ((?:on|in|at) (?:the |a )?(?:[a-z]+ ){{1,2}}?)"
         rf"(?:who|that) (?:are|is) (?:wearing|dressed in) ((?:a |an |the )?(?:[a-z]+ )?(?:{_DRESS})s?) ",
         r"\1 wearing \3 \2"),
        (r"(?:is |are )?(?:holding|putting|stretching|sticking) up (their |his |her |a )(left |right )?(arms?|hands?) ",
         r"raises \1 \2 \3 "),
        (r"(?:has|have) (?:put|got|stuck) (their |his |her |a )(left |right )?(arms?|hands?) up ", r"raises \1 \2 \3 "),
        (rf"you (?:will|can|should) (?:recogni[sz]e|know|spot|tell) (?:them|him|her|the [a-z]+) (?:by|from) "
         rf"(?:their|his|her|the|a|an) "
         rf"((?:[a-z]+ )?(?:{_DRESS})) ", r"they are wearing a \1 "),
        (r"(?:has|have|is|are) (?:raised|lifted|raising) (their |his |her |a |the |one )(left |right )?(arms?|hands?) ",
         r"raises \1 \2 \3 "),
        (rf"the ((?:[a-z]+ )?(?:{_DRESS})) wearing ([a-z]+) ", r"the \2 wearing a \1 "),
        (rf"({_MANY}|students) (?:who |that )?(?:are |is )?({_POSE}) ", r"\2 \1 "),
        (rf"(?:has|have|holds|hold|keeps) {_ARM}", r"raises \1 \2 \3 "),
        # "some people by the bar seem to be waving, how many?", "how many of the guests in the hall have sat down"
        (rf"(?:some |a few |several |the )?({_MANY}) ({_WHERE})(?:seem|appear|are said|are|have been seen)(?: to be)? "
         rf"({_POSE}|pointing (?:to the )?(?:left|right)|raising [a-z]+ (?:left |right )?arms?) [.;,:] "
         r"[^.;?!]*?how many(?: of them)?(?: (?:are|is) (?:there|they|it)| there are| they are)? (?=[?.!]|$)",
         r"tell me how many \1 \3 are \2"),
        (rf"how many of the ({_MANY}) ({_WHERE})(?:have|has) (?:already )?(?:sat down|taken a seat) ",
         r"how many sitting \1 are \2"),
        (rf"({_SOMEBODY}) ({_WHERE})is (?:said|reported|rumou?red) to be (?={_POSE}|pointing|raising)", r"\1 \2 is "),
        (rf"({_WHERE})(?:sits|stands|waits|is) (somebody|someone|a [a-z]+) (with|in|wearing) "
         rf"(a (?:[a-z]+ )?(?:{_DRESS})) ", r"\2 \3 \4 is \1"),
        # whom to count: "how many have sat down", "how many of them are waving", what they wear said before
        (rf"(?:of|among) the ({_MANY}) ({_WHERE}), how many (?:of them )?(?:have|has) (?:already )?"
         r"(?:sat down|taken a seat) ", r"how many sitting \1 are \2"),
        (r"how many (?:of (?:them|you|the (?:people|guests|visitors)) |people |persons |guests )?"
         r"(?:have|has) (?:already |now )?(?:sat down|taken a seat|taken seats) ",
         "how many sitting people are there "),
        (rf"how many of (?:them|those) are (?=(?:{_POSE}|pointing|raising) )", "how many people are "),
        (rf"(every(?:one|body)|the (?:[a-z]+ )?{_MANY}) ((?:in|at|on) (?:the )?(?:[a-z]+ ){{1,3}}?)(?:is|are|should|"
         rf"has|have|must|ought)(?: supposed| meant)?(?: to)? (?:have|be wearing|wear) "
         rf"((?:a |an )?(?:[a-z]+ )?(?:{_DRESS})s? )(?:on )?[.;:,] ([^.;!?]*?)how many (?:of them |people |persons )?"
         r"(?:really |actually )?(?:do|have one on|wear one) ", r"\4 how many people wearing \3 are \2"),
        (rf"((?:{_COLOR}) (?:[a-z]+ )?(?:{_DRESS})s? )(?:on )?([^!?]{{0,120}}?)how many (?:people|persons|of them) "
         rf"({_WHERE}|in there )?(?:(?:who are )?(?:dressed )?like that|wear one|wearing one|wear them|have one on|"
         rf"(?:with|in|wearing) such (?:a |an )?(?:{_DRESS})s?) ", r"\2 how many people wearing \1 \3"),
        (rf"({_SOMEBODY}) is (?:wandering|walking|running|strolling|going) (?:about|around|through) "
         rf"(the (?:[a-z]+ ){{1,3}}?)with (a (?:[a-z]+ )?(?:{_DRESS})) on ", r"the person wearing \3 is in \2"),
        (r"(find|locate) (?:whoever|who) (?:it|that|this) is ", r"\1 them "),
        (rf"(?:with|having|holding|keeping) {_ARM}", r"raising \1 \2 \3 "),
        (rf"the one (?=who |whose |wearing |dressed |waving |sitting |standing |lying |pointing |raising |"
         rf"(?:with|in) (?:a|an|the) (?:[a-z]+ ){{0,2}}(?:{_DRESS}) )", "the person "),
    )
)  # fmt: skip


def one_form(tokens: list[Token]) -> list[Token]:
    """The tokens with descriptions of people in one form."""
    return replaced(tokens, _RULES)
