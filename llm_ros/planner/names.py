"""Finds the names of a world in a command: exact, inflected, run together, by synonym, by head noun, or with a typo.

In: tokens of a command and a `World`. Out: `Mention`s, longest first and never overlapping, each with its candidates (more
than one: ambiguous). People may be named or described by gesture, pose or clothes. Knows nothing of tasks or skills.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from llm_ros.planner import words as w
from llm_ros.planner.world import OPERATOR, World

_TOKEN = re.compile(r"\"[^\"]{1,400}\"|“[^”]{1,400}”|(?<!\w)'[^']{2,400}'(?!\w)|[^\W_]+(?:['’][^\W_]+)?|[.,;:!?]", re.UNICODE)
_DASH = re.compile(r"\s+[-\u2013\u2014]+\s+|[\u2013\u2014]|\.{2,}|\u2026")
_SIGNS = str.maketrans({"_": " ", "\u2019": "'", "-": " "})
_MISSPELT = {"form": "from", "fromt": "from", "teh": "the", "hte": "the", "th": "the", "adn": "and", "nad": "and", "anf": "and", "taht": "that",
             "ot": "to", "fo": "of", "wiht": "with", "pleas": "please", "plese": "please", "ont he": "on", "thier": "their", "recieve": "receive"}
_LONGEST = 6
_CONTRACTIONS = {"i'd": ["i", "would"], "i'm": ["i", "am"], "what's": ["what", "is"], "where's": ["where", "is"], "who's": ["who", "is"],
                 "there's": ["there", "is"], "it's": ["it", "is"], "that's": ["that", "is"], "don't": ["do", "not"], "dont": ["do", "not"],
                 "i've": ["i", "have"], "you're": ["you", "are"], "they're": ["they", "are"], "isn't": ["is", "not"], "can't": ["can", "not"],
                 "mustn't": ["must", "not"], "never": ["do", "not"], "shouldn't": ["should", "not"], "i'll": ["i", "will"],
                 "you've": ["you", "have"], "he's": ["he", "is"], "she's": ["she", "is"], "gimme": ["give", "me"], "wanna": ["want", "to"]}


@dataclass(frozen=True)
class Token:
    """A word, a quoted text (quoted=True, text without the quotes) or a punctuation mark; `low` is lower case."""

    text: str
    low: str
    quoted: bool = False


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
    tokens = []
    for match in _TOKEN.finditer(_DASH.sub(", ", text).translate(_SIGNS)):
        piece = match[0]
        if len(piece) > 2 and piece[0] in "\"“'":
            tokens.append(Token(piece[1:-1].strip(), piece[1:-1].strip().lower(), True))
            continue
        low = _MISSPELT.get(piece.lower(), piece.lower())
        if low in _CONTRACTIONS:
            tokens += [Token(word, word) for word in _CONTRACTIONS[low]]
        elif low.endswith("'s") and len(low) > 2:
            tokens.append(Token(piece[:-2], low[:-2]))
        else:
            tokens.append(Token(piece, low))
    return tokens


def key_of(text_words: list[str]) -> str:
    """The comparison key of a name: its words run together, the last one in the singular."""
    return "".join(text_words[:-1]) + w.singular(text_words[-1]) if text_words else ""


def words_of(name: str) -> list[str]:
    """A name's words: "Reading_Desk" → ["reading", "desk"]."""
    return [token.low for token in tokenize(name)]


class Names:
    """The index of one world's names."""

    def __init__(self, world: World, protected: frozenset[str] = frozenset()):
        """protected: words that are never taken for a misspelt name (verbs of the skills)."""
        self.world = world
        self._exact: dict[str, tuple[str, list[str]]] = {}
        self._weak: set[str] = set()
        self._heads: dict[tuple[str, str], list[str]] = {}
        self._protected = protected | _COMMON
        self._described: list[tuple[frozenset[str], str]] = []
        entries = self._entries()
        for kind, name, forms in entries:
            for form in forms:
                self._add(kind, name, form)
        for kind, name, _ in entries:
            for row in w.SYNONYMS:
                if " ".join(words_of(name)) in row or key_of(words_of(name)) in {key_of(words_of(one)) for one in row}:
                    for form in row:
                        if key_of(words_of(form)) not in self._exact or kind == self._exact[key_of(words_of(form))][0]:
                            self._add(kind, name, form, weak=True)
        for name in (*world.descriptions.get("gestures", ()), *world.descriptions.get("poses", ())):
            self._described.append((frozenset(_content(words_of(name))), name))
        clothes = {key_of(words_of(one)) for one in world.descriptions.get("clothes", ())}
        self._clothes = clothes | {key_of(words_of(form)) for row in w.SYNONYMS for form in row
                                   if clothes & {key_of(words_of(one)) for one in row}}
        self._colors = w.COLORS | {c.lower() for c in world.descriptions.get("colors", ())}

    def _entries(self) -> list[tuple[str, str, list[str]]]:
        world, found = self.world, []
        extra = world.synonyms
        found += [("place", name, [name, *extra.get(name, ())]) for name in world.places]
        found += [("door", name, [name, *extra.get(name, ())]) for name in world.doors]
        found += [("object", name, [name, *extra.get(name, ())]) for name in world.objects]
        found += [("category", c.singular, [c.singular, c.name, *extra.get(c.name, ()), *extra.get(c.singular, ())])
                  for c in world.categories.values()]
        found += [("person", name, [name, *extra.get(name, ())]) for name in world.people if name != OPERATOR]
        return found

    def _add(self, kind: str, name: str, form: str, weak: bool = False) -> None:
        words = words_of(form)
        if not words:
            return
        if key_of(words) not in self._exact and weak:
            self._weak.add(key_of(words))
        names = self._exact.setdefault(key_of(words), (kind, []))
        if names[0] == kind and name not in names[1] and not (weak and names[1] and self._strong(kind, key_of(words))):
            names[1].append(name)
        if len(words) > 1 and not weak:
            heads = self._heads.setdefault((kind, w.singular(words[-1])), [])
            if name not in heads:
                heads.append(name)
            if kind == "object" and words[0] not in self._protected and words[0] not in w.COLORS:
                firsts = self._heads.setdefault(("first", w.singular(words[0])), [])
                if name not in firsts:
                    firsts.append(name)

    def _strong(self, kind: str, key: str) -> bool:
        """Whether a name of the world itself has this key, so that a mere synonym must not make it ambiguous."""
        return any(key_of(words_of(name)) == key for name in self._exact[key][1]) and kind == self._exact[key][0]

    def find(self, tokens: list[Token]) -> list[Mention]:
        """All mentions, in order, without overlaps: descriptions of people first, then longest names, heads, typos."""
        taken = [token.quoted or not token.low[0].isalnum() for token in tokens]
        found: list[Mention] = []

        def claim(mention: Mention) -> None:
            found.append(mention)
            taken[mention.start:mention.end] = [True] * (mention.end - mention.start)

        for length in range(min(_LONGEST, len(tokens)), 0, -1):
            if length == 1:
                for mention in self._descriptions(tokens, taken):
                    claim(mention)
            for start in range(len(tokens) - length + 1):
                if any(taken[start:start + length]):
                    continue
                part = [token.low for token in tokens[start:start + length]]
                hit = self._exact.get(key_of(part))
                if hit and self._plausible(tokens, start, start + length, hit[0]):
                    literal = tuple(name for name in hit[1] if "".join(words_of(name)) == "".join(part))
                    claim(Mention(start, start + length, hit[0], literal or tuple(hit[1]), many=w.singular(part[-1]) != part[-1]))
        for rule in (self._typo, self._head):
            for start in range(len(tokens)):
                if not taken[start]:
                    mention = rule(tokens, start, taken)
                    if mention:
                        claim(mention)
        return sorted(found, key=lambda mention: mention.start)

    def _plausible(self, tokens: list[Token], start: int, end: int, kind: str) -> bool:
        """A one-word name that is also an everyday word counts only where a noun can stand."""
        if end - start > 1 or tokens[start].low not in self._protected:
            return True
        before = tokens[start - 1].low if start else ""
        if before == "to" and kind in ("object", "category"):
            return False
        return before in w.DETERMINERS or before in w.PREPOSITIONS or before in w.COLORS or (
            kind == "person" and tokens[start].text[:1].isupper() and start > 0)

    def _head(self, tokens: list[Token], start: int, taken: list[bool]) -> Mention | None:
        """ "the table" → every place whose last word is table; "the tuna" → the only object that starts with tuna."""
        head = w.singular(tokens[start].low)
        if head == "room" and not (start and tokens[start - 1].low in ("the", "this", "that")):
            return None
        if tokens[start].low in self._protected and not (start and tokens[start - 1].low in w.DETERMINERS):
            return None
        follows = start + 1 < len(tokens) and not taken[start + 1] and tokens[start + 1].low not in self._protected
        if follows and tokens[start + 1].low not in w.PREPOSITIONS and tokens[start + 1].low not in _AFTER_NOUN:
            return None
        for kind in ("place", "door", "object"):
            names = self._heads.get((kind, head)) or self._compounds(kind, head)
            if names:
                begin = start
                while kind == "place" and begin and not taken[begin - 1] and self._part_of(tokens[begin - 1].low, names):
                    begin -= 1
                said = {token.low for token in tokens[begin:start]}
                fit = [name for name in names if said <= set(words_of(name))] or names
                return Mention(begin, start + 1, kind, tuple(fit), many=head != tokens[start].low)
        names = [] if tokens[start + 1:] and tokens[start + 1].low == "of" else self._heads.get(("first", head), [])
        return Mention(start, start + 1, "object", tuple(names)) if len(names) == 1 else None

    def _compounds(self, kind: str, head: str) -> list[str]:
        """ "the shelf" → bookshelf: places in one word that end with this one."""
        if kind != "place" or len(head) < 4:
            return []
        return [name for name in self.world.places if words_of(name)[-1].endswith(head) and words_of(name)[-1] != head]

    @staticmethod
    def _part_of(word: str, names: list[str]) -> bool:
        return any(word in words_of(name) for name in names)

    def _typo(self, tokens: list[Token], start: int, taken: list[bool]) -> Mention | None:
        """A name with one wrong, missing, extra or swapped letter (two from nine letters on)."""
        for length in (3, 2, 1):
            part = tokens[start:start + length]
            if len(part) < length or any(taken[start:start + length]):
                continue
            said = [token.low for token in part]
            inner = [word for word in said if not (word == "of" and length == 3 and word is said[1])]
            if any(word in self._protected or word in w.PREPOSITIONS or word in w.DETERMINERS for word in inner):
                continue
            if len(key_of(said)) < 5 or key_of(said) in _EVERYDAY:
                continue
            best = {}
            for key in {key_of(said), "".join(said)}:
                limit = 2 if len(key) >= 9 else 1
                for other, (kind, names) in self._exact.items():
                    if other in self._weak:
                        continue
                    if abs(len(other) - len(key)) <= limit and other[0] == key[0] and len(other) >= 5:
                        distance = edit_distance(key, other, limit)
                        if distance <= limit:
                            best.setdefault(distance, (kind, names))
            if best:
                kind, names = best[min(best)]
                return Mention(start, start + length, kind, tuple(names))
        return None

    def _descriptions(self, tokens: list[Token], taken: list[bool]) -> list[Mention]:
        """People said by gesture, pose or clothes, with the noun before or after: "the waving person", "someone in a red coat"."""
        found, start = [], 0
        while start < len(tokens):
            low = tokens[start].low
            if low not in w.PERSON_NOUNS and low not in w.PEOPLE_NOUNS or taken[start]:
                start += 1
                continue
            mention = self._described_at(tokens, start, taken)
            found.append(mention)
            start = mention.end
        return found

    def _described_at(self, tokens: list[Token], noun: int, taken: list[bool]) -> Mention:
        many = tokens[noun].low in w.PEOPLE_NOUNS
        begin, end = noun, noun + 1
        best: tuple[int, int, int, str] | None = None
        for content, name in self._described:
            for first in range(max(0, noun - 4), noun + 1):
                for last in range(noun + 1, min(len(tokens), noun + 9) + 1):
                    said = [token.low for token in tokens[first:last]]
                    if first < noun and last > noun + 1 or any(taken[first:last]) or any(not word[0].isalnum() or word == "and" for word in said):
                        continue
                    if content and content == frozenset(_content(said)) and (best is None or last - first < best[0]):
                        best = (last - first, first, last, name)
        if best:
            return Mention(best[1], best[2], "person", (best[3],), True, many)
        clothes = self._clothes_end(tokens, noun + 1)
        if clothes:
            said = [token.low for token in tokens[noun:clothes] if token.low not in ("who", "that", "is", "are", "which")]
            return Mention(begin, clothes, "person", (" ".join(said),), True, many)
        if noun and tokens[noun - 1].low in _POSES and not many:
            return Mention(noun - 1, end, "person", (f"{tokens[noun - 1].low} {tokens[noun].low}",), True, many)
        pose = self._pose_end(tokens, noun + 1)
        if pose:
            said = [token.low for token in tokens[noun:pose] if token.low not in ("who", "that", "is", "are", "which")]
            return Mention(begin, pose, "person", (" ".join(said),), True, many)
        return Mention(begin, end, "person", (tokens[noun].low if many else _ALL.get(tokens[noun].low, "person"),), True, many)

    def _clothes_end(self, tokens: list[Token], start: int) -> int | None:
        """The end of "(who is) wearing a blue coat" / "in the blue coat" / "with a white sweater" from `start`, or None."""
        position, worn = start, False
        while position < len(tokens) and tokens[position].low in ("who", "that", "is", "are", "which", "dressed", "wearing", "wears", "has", "clad", "in",
                                                                  "with", "having", "a", "an", "the", "some", "on"):
            worn = worn or tokens[position].low in ("wearing", "wears", "dressed", "in", "with", "clad")
            position += 1
        if not worn:
            return None
        colored = False
        while position < len(tokens) and tokens[position].low in self._colors | _LOOKS:
            position, colored = position + 1, True
        for length in (3, 2, 1):
            part = [token.low for token in tokens[position:position + length]]
            if len(part) == length and (key_of(part) in self._clothes or part[-1] in _CLOTHES or w.singular(part[-1]) in _CLOTHES) and (
                    "room" not in part):
                return position + length
        return position if colored and tokens[position - 1].low in self._colors else None

    @staticmethod
    def _pose_end(tokens: list[Token], start: int) -> int | None:
        """The end of "(who is) waving" from `start` for gestures and poses that the world does not list, or None."""
        position = start
        while position < len(tokens) and tokens[position].low in ("who", "that", "is", "are", "which"):
            position += 1
        if position >= len(tokens) or tokens[position].low not in _POSES:
            return None
        position += 1
        while position < len(tokens) and tokens[position].low in _POSE_REST:
            position += 1
        while tokens[position - 1].low in ("to", "the", "at", "on"):
            position -= 1
        return position


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


def _content(said: list[str]) -> list[str]:
    """The words of a description that carry meaning, stemmed: "who is waving" and "waving_person" → ["wav"]."""
    return [_stem(word) for word in said if word not in _EMPTY and word not in w.PERSON_NOUNS and word not in w.PEOPLE_NOUNS]


def _stem(word: str) -> str:
    word = {"seated": "sit", "sits": "sit", "sitting": "sit", "lies": "ly", "lying": "ly", "laying": "ly", "reclining": "ly", "hand": "arm",
            "raised": "rais", "lifting": "rais", "points": "point", "standing": "stand", "stands": "stand"}.get(word, word)
    for ending in ("ing", "es", "s", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[:-len(ending)]
    return word


# Words of the synonym table are words: never typos of something else.
_EVERYDAY = frozenset(key_of(words_of(form)) for row in w.SYNONYMS for form in row)
_EMPTY = frozenset("a an the who that which is are to their his her its towards toward currently there with has down up on".split())
_ALL = {"everyone": "everyone", "everybody": "everyone"}
_AFTER_NOUN = frozenset(", . ; ! ? : and or then that which who is are please".split())
_LOOKS = frozenset("dark light bright long short big".split())
_CLOTHES = frozenset("coat jacket sweater shirt blouse jeans dress skirt hat cap scarf suit hoodie pullover jumper t-shirt trousers pants vest tie glasses "
                     "uniform shoes cardigan apron boots".split())
_POSES = frozenset("waving sitting standing lying pointing raising seated kneeling crouching squatting".split())
_POSE_REST = frozenset("to the left right their his her arm hand both arms hands up down".split())
_COMMON = frozenset(
    "i you he she it we they me him her us them my your his their our this that these those is are was be been am do does did have has had "
    "not no yes if when while until unless because than too very more most many much few all both each which what who where why how here "
    "there up down left right back again other same new old big small large little good name names time day today week month year joke "
    "question questions answer way story thing things place places room rooms hello person people please wait count open close follow "
    "guide place find tell greet meet bring take put get give lead serve offer show say ask answer stand present left last next first "
    "second third one two three four five six seven eight nine ten and or but then so can could would will just color colour weather "
    "another about around object objects item items without before after number pose gesture team kind".split())
