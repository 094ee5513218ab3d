"""Asking somebody on behalf of somebody else, in one form: "Noor at the desk wants to know which bus Ravi takes. He is
in the hall, so ask him and let her know" → "ask Ravi in the hall which bus Ravi takes and tell Noor at the desk".

In: tokens of a command, and the names in them. Out: the same where it is no such command, or what stands above. Knows
no skill.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence

from llm_ros.planner.tokens import Mention, Token

_PLACE = r"(?:in|on|at|by|near|inside) (?:the )?place\d+ "
_KEEN = (
    r"(?:wants|would like|would love|needs|wishes|is keen|is dying|is waiting|has) to (?:know|hear|find out|learn) |"
    r"is wondering |wonders |is curious |is unsure |is not sure |has no idea |does not know |has not heard |"
    r"has forgotten |cannot remember |has never found out |"
    r"(?:cannot|can not) (?:[a-z]+ ){1,4}?(?:until|before) (?:he|she|they) (?:hears?|knows?|has heard) "
)
_AGAIN = r"(?P<again>them|him|her|that person|the person|person\d+|the one)"
_TELL = "tell|let|give|inform|pass|report|bring|take|relay|say"
_SOMEBODY = r"(?:, )?(?:who )?(?:is )?(?:over |out |up |still )*"
_WHAT = r"(?P<what>(?:what|which|who|whom|whose|where|when|why|how|whether|if) [^.;:!?]*?)"
# Words as they are, but for the people and places that are named: person1, place3. One part of a command each.
_PARTS = re.compile(r"(?<=[.;:!?] )|(?<=, so )|(?<=, but )")
_WISH = re.compile(
    r"(?:"
    rf"(?P<who>person\d+ ){_SOMEBODY}(?P<at>{_PLACE})?(?:, )?(?:[a-z]+ing (?:[a-z]+ ){{0,3}}?)?(?:, )?(?:and |but )?"
    rf"(?:(?:he|she|they) )?(?:{_KEEN})(?:about )?|"
    rf"(?:tell|let|inform) (?P<whom>person\d+ )(?:over )?(?P<there>{_PLACE})?(?:know )?|(?:i wonder |tell me )|"
    rf"(?:only )?(?P<asked>person\d+ {_SOMEBODY}(?:{_PLACE})?)(?:and )?(?:(?:will |should )?knows? |can tell you )"
    rf")?{_WHAT}(?:, (?:so|and|but) |[.;:!?] )"
)
_KNOWS = re.compile(rf"person\d+ (?:, )?(?:who is )?(?:{_PLACE})?(?:, )?(?!is )")
_ASKING = re.compile(
    r"(?:so |please |could you |would you |can you |you can |kindly |go (?:over )?(?:and )?|just )*"
    rf"(?:(?:ask|put the question to|check with|find (?:that |it )?out from|get it from) {_AGAIN} (?P<by>{_PLACE})?|"
    r"find out |ask )"
    r"(?:there |about (?:it|that) |first )*(?:, )?(?:(?:and|then|so|to|please|go|come|back|you can) )+"
    rf"(?:{_TELL}) [^.;:!?]*[.;:!?]? ?"
)
_SPOKEN_OF = re.compile(rf"person\d+ (?:{_PLACE})?|(?:the |that )?person (?:who is )?(?:[a-z]+ing )?{_PLACE}")
_IS_AT = re.compile(rf"(he|she|they|person\d+) (?:is|are) (?:over |out |up |now |still )*({_PLACE})")
_CASES = {"him": "he", "her": "she", "them": "they"}
_LEADING = 3  # sentences that may stand before it


def on_behalf(tokens: list[Token], mentions: Sequence[Mention]) -> list[Token]:
    """The tokens in that form."""
    units: dict[str, list[Token]] = {}
    called: dict[str, tuple[str, ...]] = {}
    text, k = "", 0
    named = {one.start: one for one in mentions if one.kind in ("person", "place") and one.names != ("person",)}
    while k < len(tokens):
        mention, end = named.get(k), k + 1
        word = f"'{len(units)}" if tokens[k].quoted else tokens[k].low
        if mention:
            word, end = f"{mention.kind}{len(units)}", mention.end
            called[word] = mention.names
        units[word] = tokens[k:end]
        text, k = f"{text}{word} ", end
    words = _rewritten(text, called)
    return tokens if words is None else [one for word in words for one in units.get(word) or [Token(word, word)]]


def _rewritten(text: str, called: Mapping[str, tuple[str, ...]]) -> list[str] | None:
    """The words in that form; None where the text is no such command. called: the names of person1, place3."""
    parts = _PARTS.split(text)
    first, wish = next(((k, m) for k, part in enumerate(parts[:_LEADING]) if (m := _WISH.fullmatch(part))), (0, None))
    if wish is None or first and not wish["asked"]:
        return None
    told = list(itertools.takewhile(lambda part: re.match(r"(?:he|she|they|person\d+) ", part), parts[first + 1 :]))
    after = first + 1 + len(told)
    asking = _ASKING.fullmatch(parts[after]) if after < len(parts) else None
    if asking is None:
        return None
    facts = "".join(told)
    who, at = wish["who"] or wish["whom"] or "me ", wish["at"] or wish["there"]
    knowing = [re.sub(r", |who is ", "", one[0]) for part in told if (one := _KNOWS.match(part))]
    asked = [re.sub(r", |who |is |over |out |up |still ", "", wish["asked"])] if wish["asked"] else []
    spoken_of = [one[0] for one in _SPOKEN_OF.finditer(wish["what"])]
    again = asking["again"] or ""
    asked = [f"{again} "] if again.startswith("person") else asked
    asker = called.get(who.strip(), "")
    whom = next((one for one in (*asked, *spoken_of, *knowing) if called.get(one.split()[0]) != asker), None)
    if whom is None:
        return None
    places = _IS_AT.findall(facts)
    his = [place for name, place in places if name == _CASES.get(again) or name == whom.strip()]
    his = [asking["by"], *his] if asking["by"] else his
    if "place" not in whom and (his or places):
        whom += (his or [places[0][1]])[0]
    at = at or next((place for _, place in places if place not in whom and who != "me "), "")
    return f"ask {whom}{wish['what']}and tell {who}{at}. {''.join(parts[after + 1 :])}".split()
