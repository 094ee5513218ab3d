"""Finds the names of a world in a command: exact, inflected, run together, by synonym, by head noun, or with a typo.

In: tokens of a command and a `World`. Out: `Mention`s, longest first and never overlapping, each with its candidates
(more
than one: ambiguous). People may be named or described by gesture, pose or clothes. Knows nothing of tasks or skills.
"""

from __future__ import annotations

from llm_ros.planner import words as w
from llm_ros.planner.people import Describer
from llm_ros.planner.tokens import Mention, Token, edit_distance, key_of, words_of
from llm_ros.planner.world import OPERATOR, World

_LONGEST = 6


class Names:
    """The index of one world's names."""

    def __init__(self, world: World, protected: frozenset[str] = frozenset()):
        """protected: words that are never taken for a misspelt name (verbs of the skills)."""
        self.world = world
        self._exact: dict[str, tuple[str, list[str]]] = {}
        self._weak: set[str] = set()
        self._heads: dict[tuple[str, str], list[str]] = {}
        self._protected = protected | _COMMON
        entries = self._entries()
        for kind, name, forms in entries:
            for form in forms:
                self._add(kind, name, form)
        for kind, name, _ in entries:
            for form in _also_said(words_of(name)):
                if key_of(words_of(form)) not in self._exact or kind == self._exact[key_of(words_of(form))][0]:
                    self._add(kind, name, form, weak=True)
        self._describer = Describer(world)

    def _entries(self) -> list[tuple[str, str, list[str]]]:
        world, found = self.world, []
        extra = world.synonyms
        found += [("place", name, [name, *extra.get(name, ())]) for name in world.places]
        found += [("door", name, [name, *extra.get(name, ())]) for name in world.doors]
        found += [("object", name, [name, *extra.get(name, ())]) for name in world.objects]
        found += [
            ("category", c.singular, [c.singular, c.name, *extra.get(c.name, ()), *extra.get(c.singular, ())])
            for c in world.categories.values()
        ]
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

    def gathered(self, tokens: list[Token]) -> list[Token]:
        """The tokens with descriptions of people moved to their nouns (see Describer)."""
        return self._describer.gathered(tokens)

    def find(self, tokens: list[Token]) -> list[Mention]:
        """All mentions, in order, without overlaps: descriptions of people first, then longest names, heads, typos."""
        taken = [token.quoted or not token.low[0].isalnum() for token in tokens]
        found: list[Mention] = []

        def claim(mention: Mention) -> None:
            found.append(mention)
            taken[mention.start : mention.end] = [True] * (mention.end - mention.start)

        for length in range(min(_LONGEST, len(tokens)), 0, -1):
            if length == 1:
                for mention in self._describer.find(tokens, taken):
                    claim(mention)
            for start in range(len(tokens) - length + 1):
                if any(taken[start : start + length]):
                    continue
                part = [token.low for token in tokens[start : start + length]]
                hit = self._exact.get(key_of(part))
                alien = length == 1 and key_of(part) in self._weak and self._alien(tokens, start, taken)
                if hit and not alien and self._plausible(tokens, start, start + length, hit[0]):
                    literal = tuple(name for name in hit[1] if "".join(words_of(name)) == "".join(part))
                    claim(
                        Mention(
                            start,
                            start + length,
                            hit[0],
                            literal or tuple(hit[1]),
                            many=w.singular(part[-1]) != part[-1],
                        )
                    )
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
            # "something to drink" is a drink; "ask him to drink" is not.
            return kind == "category" and start > 1 and tokens[start - 2].low in w.THING_NOUNS
        return (
            before in w.DETERMINERS
            or before in w.PREPOSITIONS
            or before in w.COLORS
            or (kind == "person" and tokens[start].text[:1].isupper() and start > 0)
        )

    def _head(self, tokens: list[Token], start: int, taken: list[bool]) -> Mention | None:
        """ "the table" → every place whose last word is table; "the tuna" → the only object that starts with tuna."""
        head = w.singular(tokens[start].low)
        if head == "room" and not (start and tokens[start - 1].low in ("the", "this", "that")):
            return None
        if tokens[start].low in self._protected and not (start and tokens[start - 1].low in w.DETERMINERS):
            return None
        if start and head != tokens[start].low and tokens[start - 1].low in ("that", "which", "who", "it", "he", "she"):
            return None  # "the book that stands in the case" names no stand
        follows = start + 1 < len(tokens) and not taken[start + 1] and tokens[start + 1].low not in self._protected
        if follows and tokens[start + 1].low not in w.PREPOSITIONS and tokens[start + 1].low not in _AFTER_NOUN:
            return None
        if start and not taken[start - 1] and self._compound(tokens[start - 1].low, head):
            return None
        after = tokens[start + 1].low if start + 1 < len(tokens) else "."
        goes_on = after not in w.PREPOSITIONS | _AFTER_NOUN  # "the case number" is no bookcase
        for kind in ("place", "door", "object"):
            names = self._heads.get((kind, head)) or ([] if goes_on else self._compounds(kind, head))
            if names:
                begin = start
                while (
                    kind == "place" and begin and not taken[begin - 1] and self._part_of(tokens[begin - 1].low, names)
                ):
                    begin -= 1
                said = {token.low for token in tokens[begin:start]}
                fit = [name for name in names if said <= set(words_of(name))] or names
                return Mention(begin, start + 1, kind, tuple(fit), many=head != tokens[start].low)
        any_one = start and tokens[start - 1].low in ("a", "an")  # "give him a bath" is no bath towel
        goes_on = goes_on or any_one or start + 1 < len(tokens) and taken[start + 1] and after[0].isalnum()
        names = [] if goes_on or after == "of" else self._heads.get(("first", head), [])
        return Mention(start, start + 1, "object", tuple(names)) if len(names) == 1 else None

    def _alien(self, tokens: list[Token], start: int, taken: list[bool]) -> bool:
        """ "the city hall" is no hall of this world: a noun before another word for a place."""
        kind, names = self._exact[key_of([tokens[start].low])]
        before = tokens[start - 1].low if start and not taken[start - 1] else ""
        return kind == "place" and bool(before) and self._foreign(before, names)

    def _compound(self, before: str, head: str) -> bool:
        """ "the garage door" is none of the doors: a noun before the head that is in none of their names."""
        names = [name for kind in ("place", "door", "object") for name in self._heads.get((kind, head), ())]
        return bool(names) and self._foreign(before, names)

    def _foreign(self, before: str, names: list[str]) -> bool:
        """Whether a word before a noun makes it another thing than those of these names: it is a noun that is in none
        of them, by its looks."""
        return (
            before.isalpha()
            and not self._part_of(before, names)
            and before not in self._protected
            and not any(before in words for words in (w.DETERMINERS, w.PREPOSITIONS, w.COLORS, w.FILLERS, w.NUMBERS))
            and before not in w.SORTING
            and not before.endswith(("en", "est", "er", "ed", "y", "al", "ous", "ing", "ic", "ive", "ful"))
        )

    def _compounds(self, kind: str, head: str) -> list[str]:
        """ "the shelf" → bookshelf: places in one word that end with this one, after another ("able" is no table)."""
        if kind != "place" or len(head) < 4:
            return []
        return [
            name
            for name in self.world.places
            if words_of(name)[-1].endswith(head) and len(words_of(name)[-1]) >= len(head) + 3
        ]

    @staticmethod
    def _part_of(word: str, names: list[str]) -> bool:
        return any(word in words_of(name) for name in names)

    def _typo(self, tokens: list[Token], start: int, taken: list[bool]) -> Mention | None:
        """A name with one wrong, missing, extra or swapped letter (two from nine letters on)."""
        for length in (3, 2, 1):
            part = tokens[start : start + length]
            if len(part) < length or any(taken[start : start + length]):
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


def _also_said(words: list[str]) -> list[str]:
    """A name with other words of the synonym table, whole or its last word: "warm drink" → "warm beverage"."""
    found = [form for row in w.SYNONYMS if key_of(words) in {key_of(words_of(one)) for one in row} for form in row]
    for row in w.SYNONYMS if len(words) > 1 else ():
        if key_of(words[-1:]) in {key_of(words_of(one)) for one in row}:
            found += [" ".join([*words[:-1], form]) for form in row if " " not in form]
    return found


_AFTER_NOUN = frozenset(", . ; ! ? : and or then that which who is are please".split())
# Words of the synonym table are words: never typos of something else.
_EVERYDAY = frozenset(key_of(words_of(form)) for row in w.SYNONYMS for form in row)
_COMMON = frozenset(
    "i you he she it we they me him her us them my your his their our this that these those is are was be been am "
    "do does did have has had "
    "not no yes if when while until unless because than too very more most many much few all both each which what "
    "who where why how here "
    "there up down left right back again other same new old big small large little good name names time day today "
    "week month year joke "
    "question questions answer way story thing things place places room rooms hello person people please wait "
    "count open close follow "
    "guide place find tell greet meet bring take put get give lead serve offer show say ask answer stand present "
    "left last next first "
    "second third one two three four five six seven eight nine ten and or but then so can could would will just "
    "color colour weather "
    "another about around object objects item items without before after number pose gesture team kind".split()
)
