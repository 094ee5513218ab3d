"""Words of a command and spans of them: tokens, mentions, and the keys by which names are compared.

In: text. Out: `Token`s, with contractions opened and common misspellings put right; comparison keys; edit distances.
Knows no world.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from llm_ros.planner import words as w

_TOKEN = re.compile(
    r"\"[^\"]{1,400}\"|“[^”]{1,400}”|(?<!\w)'[^']{2,400}'(?!\w)|"
    r"(?:-\d+(?:\.\d+)?|\d+\.\d+)[^\W_]*|[^\W_]+(?:['’][^\W_]+)?|[.,;:!?]",
    re.UNICODE,
)
_DASH = re.compile(r"\s+[-\u2013\u2014]+\s+|[\u2013\u2014]|\.{2,}|\u2026")
_SIGNS = str.maketrans({"_": " ", "\u2019": "'", "\u2212": "-"})
# A hyphen that is no sign; a comma inside a number, of thousands and of decimals.
_HYPHEN = re.compile(r"-(?!\d)|(?<=\S)-")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_DECIMAL = re.compile(r"(?<=\d),(?=\d{1,2}\s*(?:s|secs?|seconds?|min|mins|minutes?|h|hours?)\b)")
_MISSPELT = {
    "fromt": "from",
    "teh": "the",
    "hte": "the",
    "th": "the",
    "adn": "and",
    "nad": "and",
    "anf": "and",
    "taht": "that",
    "ot": "to",
    "fo": "of",
    "wiht": "with",
    "pleas": "please",
    "plese": "please",
    "ont he": "on",
    "thier": "their",
    "recieve": "receive",
    "ya": "you",
    "u": "you",
    "yer": "your",
    "em": "them",
    "pls": "please",
    "plz": "please",
    "til": "until",
}
_CONTRACTIONS = {
    "i'd": ["i", "would"],
    "i'm": ["i", "am"],
    "what's": ["what", "is"],
    "where's": ["where", "is"],
    "who's": ["who", "is"],
    "there's": ["there", "is"],
    "it's": ["it", "is"],
    "that's": ["that", "is"],
    "don't": ["do", "not"],
    "i've": ["i", "have"],
    "you're": ["you", "are"],
    "they're": ["they", "are"],
    "isn't": ["is", "not"],
    "can't": ["can", "not"],
    "mustn't": ["must", "not"],
    "needn't": ["need", "not"],
    "never": ["do", "not"],
    "shouldn't": ["should", "not"],
    "i'll": ["i", "will"],
    "you've": ["you", "have"],
    "he's": ["he", "is"],
    "she's": ["she", "is"],
    "gimme": ["give", "me"],
    "wanna": ["want", "to"],
    "gotta": ["have", "to"],
    "lemme": ["let", "me"],
    "let's": ["let", "us"],
    "dunno": ["do", "not", "know"],
    "doesn't": ["does", "not"],
    "didn't": ["did", "not"],
    "haven't": ["have", "not"],
    "hasn't": ["has", "not"],
    "won't": ["will", "not"],
    "wouldn't": ["would", "not"],
    "couldn't": ["could", "not"],
    "aren't": ["are", "not"],
    "we're": ["we", "are"],
    "we'll": ["we", "will"],
    "we've": ["we", "have"],
    "they've": ["they", "have"],
    "you'd": ["you", "would"],
    "he'd": ["he", "would"],
    "she'd": ["she", "would"],
    "they'd": ["they", "would"],
    "you'll": ["you", "will"],
    "he'll": ["he", "will"],
    "she'll": ["she", "will"],
    "they'll": ["they", "will"],
    "it'll": ["it", "will"],
    "here's": ["here", "is"],
    "someone's": ["someone", "is"],
    "somebody's": ["somebody", "is"],
    "whoever's": ["whoever", "is"],
    "how's": ["how", "is"],
    "it'd": ["it", "would"],
    "that'd": ["that", "would"],
    "who'd": ["who", "would"],
    "there'd": ["there", "would"],
    "we'd": ["we", "would"],
    "there'll": ["there", "will"],
    "that'll": ["that", "will"],
    "who'll": ["who", "will"],
    "who've": ["who", "have"],
}
# As speech recognition writes them, where that is no other word.
_CONTRACTIONS |= {
    short.replace("'", ""): words
    for short, words in _CONTRACTIONS.items()
    if short not in ("i'd", "i'll", "it's", "we're", "he'll", "she'll", "we'll", "she'd", "we'd")
}


@dataclass(frozen=True)
class Token:
    """A word, a quoted text (quoted=True, text without the quotes) or a punctuation mark; `low` is lower case, without
    accents. owner: it was said with the 's of possession, which is dropped."""

    text: str
    low: str
    quoted: bool = False
    owner: bool = False


@dataclass(frozen=True)
class Mention:
    """Tokens start..end-1 name one of `names` of a kind: place, door, object, category or person.

    described: a person by gesture, pose, clothes or just "someone". many: said in the plural.
    """

    start: int
    end: int
    kind: str
    names: tuple[str, ...]
    described: bool = False
    many: bool = False


def tokenize(text: str) -> list[Token]:
    """Words, quoted texts and punctuation; underscores count as spaces, possessive 's is dropped."""
    tokens: list[Token] = []
    text = _HYPHEN.sub(" ", _DASH.sub(", ", text).translate(_SIGNS))
    for match in _TOKEN.finditer(_DECIMAL.sub(".", _THOUSANDS.sub("", text))):
        piece = match[0]
        if len(piece) > 2 and piece[0] in "\"“'":
            tokens.append(Token(piece[1:-1].strip(), piece[1:-1].strip().lower(), True))
            continue
        low = _unaccented(piece.lower())
        low = _MISSPELT.get(low, low)
        if low in w.DETERMINERS and tokens and tokens[-1].low == "form":  # "form the table", but a "form" is one
            tokens[-1] = Token("from", "from")
        if low in _HESITATION:
            continue
        if tokens and tokens[-1].low.endswith("'s"):
            # "Amira's waiting" is no possessive, "Amira's cup" is.
            tokens[-1:] = _opened(tokens[-1], low.endswith("ing") or low in _AFTER_IS)
        if low in ("been", "got") and tokens and tokens[-1].low == "is":  # "it's been", "he's got"
            tokens[-1] = Token("has", "has")
        if low == "never" and tokens and tokens[-1].low in _HELPING:  # "has never been", not "has do not been"
            tokens.append(Token("not", "not"))
        elif low in _CONTRACTIONS:
            tokens += [Token(word, word) for word in _CONTRACTIONS[low]]
        else:
            tokens.append(Token(piece, low))
    if tokens and tokens[-1].low.endswith("'s"):
        tokens[-1:] = _opened(tokens[-1], False)
    return _addressed(tokens)


def _unaccented(low: str) -> str:
    """Letters without their marks, by which names are compared: "café" is "cafe"."""
    if low.isascii():
        return low
    return unicodedata.normalize(
        "NFC", "".join(one for one in unicodedata.normalize("NFD", low) if not unicodedata.combining(one))
    )


_HELPING = frozenset("has have had is are was were be do does did can could will would must should may might".split())
_HESITATION = frozenset("uh um er erm hmm hm umm uhh".split())
# What may follow "is" but no possessive.
_AFTER_IS = frozenset("in at on by near over not been got waiting here there out down up behind inside".split())
INTERJECTIONS = frozenset(
    "cheers mate buddy pal ta man bro dude dear yo oi ahoy thx thanks yeah yep darling sir folks friend".split()
)


def _opened(token: Token, verb: bool) -> list[Token]:
    """ "Amira's" as one name, followed by "is" if a verb is meant."""
    name = Token(token.text[:-2], token.low[:-2], owner=not verb)
    return [name, Token("is", "is")] if verb else [name]


def _addressed(tokens: list[Token]) -> list[Token]:
    """The tokens without what only calls or thanks the robot, at the beginning or the end."""
    begin, end = 0, len(tokens)
    if [token.low for token in tokens[:3]] in (["go", "on", ","], ["come", "on", ","], ["go", "ahead", ","]):
        begin = 3
    while begin < end - 1 and tokens[begin].low in INTERJECTIONS | {","}:
        begin += 1
    while end > begin + 1 and (tokens[end - 1].low in INTERJECTIONS and tokens[end - 2].low not in w.DETERMINERS):
        end -= 2 if tokens[end - 2].low == "," else 1
    return tokens[begin:end]


# "to the sofa, I mean to Dana": what comes after the marker takes the place of what began with the same word.
_CORRECTIONS = (
    ("i", "mean"),
    ("no", "wait"),
    ("or", "rather"),
    ("actually", "no"),
    ("sorry",),
    ("correction",),
    (",", "no", ","),
    ("scratch", "that"),
)


def corrected(tokens: list[Token]) -> list[Token]:
    """The tokens without what the speaker took back: "to the sofa, I mean to Dana" → "to Dana"."""
    for position in range(len(tokens) - 1, 0, -1):
        marker = next(
            (m for m in _CORRECTIONS if tuple(t.low for t in tokens[position : position + len(m)]) == m), None
        )
        after = position + len(marker) if marker else 0
        while marker and after < len(tokens) and tokens[after].low in (",", "."):
            after += 1
        if not marker or after >= len(tokens):
            continue
        begin = next((k for k in range(position - 1, -1, -1) if tokens[k].low == tokens[after].low), None)
        if begin is not None:
            tokens = tokens[:begin] + tokens[after:]
    return tokens


def key_of(text_words: list[str]) -> str:
    """The comparison key of a name: its words run together, each in the singular."""
    return "".join(w.singular(word) for word in text_words)


def words_of(name: str) -> list[str]:
    """A name's words: "Reading_Desk" → ["reading", "desk"]."""
    return list(_words(name))


@lru_cache(maxsize=4096)
def _words(name: str) -> tuple[str, ...]:
    """The names of a world are compared with every word of a command, so each is cut up once."""
    return tuple(token.low for token in tokenize(name))


def edit_distance(a: str, b: str, limit: int) -> int:
    """Edits (insert, delete, replace, swap of neighbours) from a to b; stops counting above `limit`."""
    before, row = [], list(range(len(b) + 1))
    for i, char in enumerate(a, 1):
        earlier, before, row = before, row, [i]
        for j, other in enumerate(b, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (char != other))
            if i > 1 and j > 1 and char == b[j - 2] and a[i - 2] == other:
                cost = min(cost, earlier[j - 2] + 1)
            row.append(cost)
        if min(row) > limit:
            return limit + 1
    return row[-1]
