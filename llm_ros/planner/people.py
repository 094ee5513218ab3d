"""People who are described rather than named: by gesture, pose or clothes, or as just "someone".

In: tokens and the descriptions that a world lists. Out: `Mention`s of kind person. A description of the world is
given by its name,
any other in the words of the command.
"""

from __future__ import annotations

from llm_ros.planner import words as w
from llm_ros.planner.tokens import Mention, Token, key_of, words_of
from llm_ros.planner.world import World


class Describer:
    """Finds described people for one world."""

    def __init__(self, world: World):
        self._named = {
            key_of(words_of(form)) for name in world.people for form in (name, *world.synonyms.get(name, ()))
        }
        self._places = {key_of(words_of(name)) for name in (*world.rooms, *world.locations)}
        self._described: list[tuple[frozenset[str], str]] = []
        for name in (*world.descriptions.get("gestures", ()), *world.descriptions.get("poses", ())):
            self._described.append((frozenset(_content(words_of(name))), name))
        self._deeds = [
            (_forms(words[0]), words)
            for _, name in self._described
            if (words := [word for word in words_of(name) if word != "person"]) and words[0].endswith("ing")
        ]
        self._ends_where = _ENDS_WHERE | {form for forms, _ in self._deeds for form in forms if form[-1:] in "gs"}
        clothes = {key_of(words_of(one)) for one in world.descriptions.get("clothes", ())}
        self._clothes = clothes | {
            key_of(words_of(form))
            for row in w.SYNONYMS
            for form in row
            if clothes & {key_of(words_of(one)) for one in row}
        }
        self._colors = w.COLORS | {c.lower() for c in world.descriptions.get("colors", ())}

    def find(self, tokens: list[Token], taken: list[bool]) -> list[Mention]:
        """People said by gesture, pose or clothes, with the noun before or after: "the waving person", "someone in a
        red coat"."""
        found, start = [], 0
        while start < len(tokens):
            if taken[start] or not self._noun(tokens, start):
                start += 1
                continue
            mention = self._described_at(tokens, start, taken)
            found.append(mention)
            start = mention.end
        return found

    def gathered(self, tokens: list[Token]) -> list[Token]:
        """The tokens with each description moved to its noun, out of the way of where the person is: "the person in
        the hall who is waving" → "the person waving in the hall", "somebody in the hall waves" → "somebody waving is
        in the hall"."""
        i = 0
        while i + 3 < len(tokens):
            where = self._where_end(tokens, i + 1) if self._noun(tokens, i) else None
            found = self._predicate(tokens, where) if where else None
            if found:
                description, end, finite = found
                being = [Token("is", "is")] if finite else []
                end += self._on(tokens, end)
                end += [tokens[k].low for k in (where, min(end, len(tokens) - 1))] == [",", ","]
                tokens = [*tokens[: i + 1], *description, *being, *tokens[i + 1 : where], *tokens[end:]]
                i += len(description)
            i += 1
        return self._told_later(tokens)

    def _told_later(self, tokens: list[Token]) -> list[Token]:
        """The tokens with what a later sentence or an aside tells of somebody's looks moved to their noun: "a visitor
        is lost. She is wearing a red hat" → "a visitor wearing a red hat is lost"."""
        mentions = self.find(tokens, [token.quoted or not token.low[0].isalnum() for token in tokens])
        low = [token.low for token in tokens]
        for k in range(2, len(tokens) - 2):
            found = self._aside(tokens, k, mentions)
            before = [mention for mention in mentions if mention.end <= k]
            if not found or not before or before[-1].names != ("person",):
                continue
            (description, end), noun = found, before[-1].end - 1
            if any(key_of([word]) in self._named for word in low[noun:k]):
                continue
            begin = k - (low[k] != "," and low[end : end + 1] == [low[k - 1]])
            end += low[end : end + 1] == [","]
            return [*tokens[: noun + 1], *description, *tokens[noun + 1 : begin], *tokens[end:]]
        return tokens

    def _aside(self, tokens: list[Token], k: int, mentions: list[Mention]) -> tuple[list[Token], int] | None:
        """(the description, its end) of "they are wearing a red hat", "she is the one in the red hat", ", the waving
        one," at `k`, or None."""
        low = [token.low for token in tokens]
        if low[k] in ("they", "he", "she") and low[k - 1] in (".", ";", ":", ","):
            said = self._predicate(tokens, k + 1)
            if said and (said[1] == len(low) or low[said[1]] not in _AT):
                return said[0], said[1]
            start = k + 2 if low[k + 1] in ("is", "are") else None
        else:
            start = k + 1 if low[k] == "," else None
        for mention in mentions:
            if start is None or not start <= mention.start <= start + 1 or low[start] not in w.DETERMINERS:
                continue
            words = tokens[mention.start : mention.end]
            said = [one for one in words if one.low not in w.PERSON_NOUNS | {"who", "that", "is", "are"}]
            if said and (low[k] != "," or low[mention.end : mention.end + 1] in ([","], ["."], [])):
                return said, mention.end
        return None

    def _where_end(self, tokens: list[Token], start: int) -> int | None:
        """The end of "in the hall", "standing at the desk", "over there by the window" from `start`, or None."""
        low = [token.low for token in tokens]
        k = start
        while low[k : k + 1] and low[k] in ("over", "out", "up", "down", "back", "there", "here", "who", "is", "are"):
            k += 1
        if low[k : k + 1] and low[k] not in _AT:
            return None
        k += 1
        while low[k : k + 1] and low[k] in _AT | {"of", "to"} | w.DETERMINERS:
            k += 1
        end = k
        while end < min(len(low), k + 3) and low[end][0].isalnum() and low[end] not in self._ends_where:
            end += 1
        return end if k < end < len(low) and low[k] not in w.COLORS else None

    def _predicate(self, tokens: list[Token], start: int) -> tuple[list[Token], int, bool] | None:
        """(the description, its end, whether it is the sentence's verb) of "who is waving", "is pointing to the left",
        "raises their arm", "with the red coat" from `start`, or None."""
        k, relative, being = start, False, False
        if tokens[k].low == "," and k + 1 < len(tokens):
            k += 1
        while k < len(tokens) and tokens[k].low in ("who", "that", "which", "is", "are", "currently", "there"):
            relative = relative or tokens[k].low in ("who", "that", "which")
            being = being or tokens[k].low in ("is", "are")
            k += 1
        if k >= len(tokens):
            return None
        low = tokens[k].low
        clothes = self._clothes_end(tokens, k)
        if clothes and (low not in ("in", "on", "a", "the") or being or relative):
            said = [Token("wearing", "wearing"), *self._worn(tokens[k:clothes])]
            return said, clothes, not relative and (being or low in ("has", "have", "wears", "wear"))
        deed = self._deed(tokens, k)
        finite = low.endswith(("ing", "s", "ed")) and (deed is None or deed[0][0] not in _POSES)
        if deed and (relative or being or finite):  # the person at the witness stand does not stand
            words, end = deed
            return [Token(word, word) for word in words], end, not relative and (being or low != words[0])
        doing = _DOING.get(low, low)
        if doing not in _GESTURES and (doing not in _POSES or not relative and not being):
            return None
        end = k + 1
        while end < len(tokens) and tokens[end].low in _POSE_REST:
            end += 1
        while tokens[end - 1].low in ("to", "the", "at", "on"):
            end -= 1
        if doing == low and not relative and not being and start != k and tokens[end : end + 1] != [Token(",", ",")]:
            return None  # "the person in the hall, waving the flag"
        return [Token(doing, doing), *tokens[k + 1 : end]], end, not relative and (being or doing != low)

    def _deed(self, tokens: list[Token], k: int) -> tuple[list[str], int] | None:
        """(the words, their end) of a gesture or pose of the world at `k`: "crosses her arms" → crossing their arms."""
        found = None
        for forms, words in self._deeds:
            end = k + 1
            for word in words[1:] if tokens[k].low in forms else ():
                low = tokens[end].low if end < len(tokens) else ""
                if low == word or word in _ITS and low in _ITS:
                    end += 1
                elif word not in _ITS:
                    end = 0
                    break
            if tokens[k].low in forms and end and (found is None or end > found[1]):
                found = words, end
        return found

    def _noun(self, tokens: list[Token], i: int) -> bool:
        """Whether a word speaks of a person: any person, or one by kinship or profession."""
        low = tokens[i].low
        if low in w.PERSON_NOUNS or low in w.PEOPLE_NOUNS:
            return True
        if w.singular(low) not in w.KIN | w.ROLES and low not in w.KIN or key_of([low]) in self._named:
            return False
        if low not in w.KIN and not any(token.low in w.DETERMINERS for token in tokens[max(0, i - 2) : i]):
            return False
        after = tokens[i + 1].low if i + 1 < len(tokens) else "."
        return not after[0].isalnum() or after in _AFTER_PERSON | w.PREPOSITIONS | w.DETERMINERS | w.SELF

    def _described_at(self, tokens: list[Token], noun: int, taken: list[bool]) -> Mention:
        many = tokens[noun].low in w.PEOPLE_NOUNS or w.singular(tokens[noun].low) in w.ROLES - {tokens[noun].low}
        begin, end = noun, noun + 1
        best: tuple[int, int, int, str] | None = None
        for content, name in self._described:
            for first in range(max(0, noun - 4), noun + 1):
                for last in range(noun + 1, min(len(tokens), noun + 9) + 1):
                    said = [token.low for token in tokens[first:last]]
                    if (
                        first < noun
                        and last > noun + 1
                        or any(taken[first:last])
                        or any(not word[0].isalnum() or word == "and" for word in said)
                    ):
                        continue
                    if content and content == frozenset(_content(said)) and (best is None or last - first < best[0]):
                        best = (last - first, first, last, name)
        if best:
            return Mention(best[1], best[2], "person", (best[3],), True, many)
        clothes = self._clothes_end(tokens, noun + 1)
        if clothes:
            said = [self._plain_noun(tokens[noun].low), "wearing"]
            said += [token.low for token in self._worn(tokens[noun + 1 : clothes])]
            end = clothes + self._on(tokens, clothes)
            return Mention(begin, end, "person", (" ".join(said),), True, many)
        if noun and tokens[noun - 1].low in _POSES and not many:
            return Mention(noun - 1, end, "person", (f"{tokens[noun - 1].low} {tokens[noun].low}",), True, many)
        pose = self._pose_end(tokens, noun + 1)
        if pose:
            said = [token.low for token in tokens[noun:pose] if token.low not in ("who", "that", "is", "are", "which")]
            return Mention(begin, pose, "person", (" ".join(said),), True, many)
        trait = self._trait_end(tokens, noun + 1)
        if trait and not any(taken[noun:trait]):
            return Mention(begin, trait, "person", (" ".join(t.low for t in tokens[noun:trait]),), True, many)
        low = tokens[noun].low
        kept = many or low not in w.PERSON_NOUNS
        return Mention(begin, end, "person", (low if kept else _ALL.get(low, "person"),), True, many)

    @staticmethod
    def _worn(tokens: list[Token]) -> list[Token]:
        """What is worn: "who is dressed in a red coat" → "a red coat"."""
        return [token for token in tokens if token.low not in _WEARING | {"who", "that", "is", "are", "which", "there"}]

    @staticmethod
    def _plain_noun(noun: str) -> str:
        """ "someone", "whoever" → "person"; "people" of any kind stay as said."""
        return "person" if noun in _ANYBODY else "people" if noun in ("persons", "folks", "folk") else noun

    @staticmethod
    def _on(tokens: list[Token], k: int) -> bool:
        """Whether the word at `k` is the "on" of "has a coat on"."""
        low = [token.low for token in tokens[k : k + 2]]
        return low[:1] == ["on"] and (len(low) < 2 or low[1] in _AT | {"and", "then"} or not low[1][0].isalnum())

    def _clothes_end(self, tokens: list[Token], start: int) -> int | None:
        """The end of "(who is) wearing a blue coat" / "in the blue coat" / "with a white sweater" from `start`, or
        None."""
        position, worn = start, False
        while position < len(tokens) and tokens[position].low in (
            "who",
            "that",
            "is",
            "are",
            "which",
            *_WEARING,
            "a",
            "an",
            "the",
            "some",
            "on",
            "there",
            "currently",
        ):
            worn = worn or tokens[position].low in _WEARING
            position += 1
        if not worn:
            return None
        colored = False
        while position < len(tokens) and tokens[position].low in self._colors | _LOOKS:
            position, colored = position + 1, True
        for length in (3, 2, 1):
            part = [token.low for token in tokens[position : position + length]]
            if len(part) == length and (key_of(part) in self._clothes or clothing(part[-1])) and ("room" not in part):
                return position + length
        said = key_of([token.low for token in tokens[position - 1 : position + 1]])  # "in the green room" is no dress
        return position if colored and said not in self._places and tokens[position - 1].low in self._colors else None

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

    @staticmethod
    def _trait_end(tokens: list[Token], start: int) -> int | None:
        """The end of "with the (long) beard", "on the phone" from `start`, or None."""
        low = [token.low for token in tokens[start : start + 5]]
        if tuple(low[:3]) in _BUSY:
            return start + 3
        if low[:1] != ["with"] or low[1:2] and low[1] not in _ITS:
            return None
        return next((start + k + 1 for k in (2, 3, 4) if low[k : k + 1] and low[k] in _TRAITS), None)


def clothing(word: str) -> bool:
    """Whether a word is something to wear."""
    return word in CLOTHES or w.singular(word) in CLOTHES


def _content(said: list[str]) -> list[str]:
    """The words of a description that carry meaning, stemmed: "who is waving" and "waving_person" → ["wav"]."""
    return [
        _stem(word) for word in said if word not in _EMPTY and word not in w.PERSON_NOUNS and word not in w.PEOPLE_NOUNS
    ]


def _stem(word: str) -> str:
    if word in _STEMS:
        return _STEMS[word]
    for ending in ("ing", "es", "s", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


_EMPTY = frozenset(
    "a an the who that which is are to their his her its towards toward currently there with has have having whose "
    "holding keeping down up on".split()
)
_AFTER_PERSON = frozenset(
    "and or is are was were has have had who that which wants needs would can should could will please now then if "
    "when "
    "what where how whether there here too also says said asked does did".split()
)
_STEMS = {
    "seated": "sit",
    "sits": "sit",
    "sitting": "sit",
    "lies": "ly",
    "lie": "ly",
    "lying": "ly",
    "laying": "ly",
    "reclining": "ly",
    "hand": "arm",
    "raised": "rais",
    "lifted": "rais",
    "lifting": "rais",
    "points": "point",
    "standing": "stand",
    "stands": "stand",
}
_ANYBODY = frozenset("someone somebody anyone anybody whoever".split())
_WEARING = frozenset("wearing wear wears dressed in with clad has have having currently".split())
_AT = frozenset("in at on by near inside beside within next from".split())
_ENDS_WHERE = frozenset(
    "who that which is are was were has have with wearing wears dressed and or to then waving waves pointing points "
    "raising raises raise lifting lifts please raised sitting standing lying seated kneeling crouching wear wave point "
    "sit sits stand stands lie lies".split()
)


def _forms(doing: str) -> frozenset[str]:
    """What a word ending in "ing" may be: "clapping" → claps, clap, clapped …"""
    stem = doing[:-3]
    short = stem[:-1] if stem[-2:-1] == stem[-1:] else stem
    return frozenset((doing, *(base + end for base in {stem, short} for end in ("", "s", "es", "e", "ed"))))


_DOING = {
    "waves": "waving",
    "wave": "waving",
    "points": "pointing",
    "point": "pointing",
    "raises": "raising",
    "raise": "raising",
    "lifts": "raising",
    "lifting": "raising",
    "sits": "sitting",
    "sit": "sitting",
    "stands": "standing",
    "stand": "standing",
    "lies": "lying",
    "lie": "lying",
    "kneels": "kneeling",
}
_GESTURES = frozenset("waving pointing raising".split())
_ALL = {"everyone": "everyone", "everybody": "everyone"}
_LOOKS = frozenset("dark light bright long short big".split())
# What people wear.
CLOTHES = frozenset(
    "coat jacket sweater shirt blouse jeans dress skirt hat cap scarf suit hoodie pullover jumper t-shirt "
    "trousers pants vest tie glasses "
    "uniform shoes cardigan apron boots waistcoat blazer tracksuit pinafore anorak smock headscarf dungarees overalls "
    "raincoat cloak cape fleece robe tunic gown shorts leggings "
    "sweatshirt parka poncho beanie sandals trainers sneakers polo".split()
)
# What somebody is told by, who has it.
_TRAITS = frozenset(
    "beard moustache mustache ponytail hair tattoo dog cat backpack rucksack bag handbag suitcase briefcase umbrella "
    "stick cane crutches walker wheelchair pram stroller guitar camera laptop newspaper headphones sunglasses "
    "glasses baby accent".split()
)
_ITS = frozenset("a an the his her their".split())
_BUSY = frozenset((("on", "the", "phone"), ("in", "the", "wheelchair"), ("in", "a", "wheelchair")))
_POSES = frozenset("waving sitting standing lying pointing raising seated kneeling crouching squatting".split())
_POSE_REST = frozenset("to the left right their his her arm hand both arms hands up down".split())
