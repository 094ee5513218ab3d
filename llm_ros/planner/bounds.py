"""Where the clauses of a command begin and end: punctuation, connectives, and the verbs that open a new one.

In: tokens, mentions and a verb lexicon. Out: spans of tokens, with those marked that happen before the one in front of
them. Decides nothing about what a clause says.
"""

from __future__ import annotations

from llm_ros.planner import words as w
from llm_ros.planner.names import Names
from llm_ros.planner.openings import opening_at
from llm_ros.planner.tokens import Mention, Token
from llm_ros.planner.verbs import Lexicon, Verb

QUESTION = frozenset("what where who which when why how whose".split())
_BREAKS = frozenset(". ; ! ?".split())
_SEQUENCE = frozenset(
    "third thirdly fourth fifth then afterwards afterward thereafter subsequently next finally lastly".split()
)
_SUBORDINATE = frozenset("when once after as".split())
_LIKELY = frozenset("can will should may might".split())
_MET = frozenset("find see meet spot".split())
# A condition or a reason: what it says is told, not ordered.
CONDITION = frozenset("if unless because".split())
_DEEDS = frozenset("go take bring place discard throw guide follow open close greet wait".split())


# What a main clause without a comma in front of it may order.
MAIN_DEEDS = frozenset(
    "bring place go tell guide follow take close open find meet count describe greet ask discard wait answer".split()
)
# With one of these a verb after a name is that somebody's own: "let Dana open the door".
_SUBORDINATES = frozenset(
    "help let make have watch see ask tell can could will would should must does do did may might that who which if "
    "when while how what where why whether".split()
)
_SUBJECTS = frozenset("it i we something somebody someone everybody everyone everything nobody nothing there".split())
_SAID_OF = frozenset("am was were has had is are should will was ought must needs goes belongs".split())


def bare(word: str) -> bool:
    """Whether a verb's form may be an order: no participle, no third person."""
    return not word.endswith(("ing", "ed", "s")) or word.endswith(("ss", "bring", "ring", "need", "feed", "seed"))


class Bounds:
    """Finds the spans of the clauses of one command."""

    def __init__(self, tokens: list[Token], names: Names, lexicon: Lexicon, mentions: list[Mention] | None = None):
        """mentions: the names among the tokens where they are known already."""
        self.tokens = tokens
        self.low = [token.low for token in self.tokens]
        self.mentions: list[Mention] = names.find(self.tokens) if mentions is None else mentions
        self.lexicon, self.rooms = lexicon, names.world.rooms
        self.at: dict[int, Mention] = {i: m for m in self.mentions for i in range(m.start, m.end)}

    def spans(self) -> list[tuple[int, int, str]]:
        """(start, end, order): order "before" marks a clause that happens before the one in front of it."""
        tokens, spans, start, order, flip = self.tokens, [], 0, "", False
        position = 0
        while position < len(tokens):
            step, mark = self._boundary(position, start)
            if step < 0:
                spans.append((start, position, order))
                start, order = position, ""
                position += 1
                continue
            if step:
                spans.append((start, position, order))
                if flip and position > start:
                    flip = False
                    order = "before"
                else:
                    order = ""
                order = mark or order
                start = position = position + step
                continue
            if position == start and tokens[position].low in ("before", "prior"):
                flip = True
                start = position = position + (2 if tokens[position].low == "prior" else 1)
                continue
            position += 1
        spans.append((start, len(tokens), order))
        return [span for span in spans if span[0] < span[1]]

    def _boundary(self, i: int, start: int) -> tuple[int, str]:
        """How many tokens at `i` separate two clauses (0: none, -1: split before `i`), and the order of what
        follows."""
        tokens = self.tokens
        low = tokens[i].low
        if i in self.at or tokens[i].quoted:
            return 0, ""
        if low in _BREAKS:
            return 1, ""
        if low in _SEQUENCE and (i == start or self._verb_after(i + 1) or i + 1 >= len(tokens) or self._do(i + 1)):
            return 1, ""
        if low in (",", ":"):
            j = i + 1
            return (1, "") if self._opens(j, start) else (0, "")
        if low in ("and", "but", "plus", "or") and self._opens(i + 1, start):
            return 1, ""
        if low in ("before", "after", "once") and i > start and self._verb_after(i + 1, gerund=True):
            return 1, "" if low == "before" else "before"
        if low == "to" and i > start and not self._speech(start, i) and self._purpose(i, start):
            return 1, ""
        if i > start + 2 and self.low[start] in _SUBORDINATE and self._main_verb(i, start):
            return -1, ""
        if i > start and i - 1 in self.at and self._ordered_next(i, start):
            return -1, ""
        if low == "without" and i > start and self._verb_after(i + 1):
            return -1, ""
        if low in CONDITION and self._deed(start, i):
            return -1, ""
        return 0, ""

    def _ordered_next(self, i: int, start: int) -> bool:
        """ "get the spool hand it to her": an order right after a name, with nothing between the two."""
        verb = self.lexicon.match(self.tokens, i, self.at)
        if verb is None or verb.frame not in MAIN_DEEDS or not bare(self.low[i]) or verb.end >= len(self.tokens):
            return False
        after, before = self.low[verb.end], set(self.low[start:i])
        return (
            (verb.end in self.at or after in w.DETERMINERS | w.PRONOUNS_PERSON | w.PRONOUNS_THING | w.SELF)
            and self._has_verb(start, self.at[i - 1].start)
            and ("not" in before or not before & _SUBORDINATES)
        )

    def _ordered_too(self, i: int, start: int) -> bool:
        """ "tell her that it is out of paper and guide her to the desk": not part of what is said."""
        verb = self.lexicon.match(self.tokens, i, self.at)
        return bool(
            verb
            and verb.frame in MAIN_DEEDS
            and bare(self.low[i])
            and self.low[verb.end : verb.end + 1] in (["him"], ["her"], ["them"])
            and not _LIKELY & set(self.low[start:i])
        )

    def _deed(self, start: int, end: int) -> bool:
        """Whether the clause so far orders a deed of hand or wheel, and does not ask about something."""
        verb = self.lexicon.match(self.tokens, self.skip(start), self.at)
        return bool(verb and verb.end < end and verb.frame in _DEEDS)

    def _main_verb(self, i: int, start: int) -> bool:
        """ "when you have found it give it to her": a bare verb after the subordinate clause has its own."""
        verb = self.lexicon.match(self.tokens, i, self.at)
        return bool(
            verb
            and verb.frame in MAIN_DEEDS
            and self.low[i] not in ("found", "said", "put", "left")
            and self._is_verb_here(verb)
            and bare(self.low[i])
            and self.low[i - 1] not in w.DETERMINERS | w.PREPOSITIONS | {"and", "have", "you", "or", "not"}
            and (self._has_verb(start, i - 1) or bool({"have", "has", "is", "are"} & set(self.low[start:i])))
        )

    def _opens(self, i: int, start: int) -> bool:
        """Whether a new clause begins at `i` (after a comma or an "and")."""
        said, i = i, self.skip(i)
        if i >= len(self.tokens) or any(opening_at(self.low, k) > k + 2 for k in range(said, i)):
            return True
        low = self.tokens[i].low
        if low in _SEQUENCE or low in ("before", "after", "once", "without", "if") and i not in self.at:
            return True
        if self._do(i) or self.whereabouts(i):
            return True
        which = low == "which" and self.low[i + 1 : i + 2] in (["is"], ["are"], ["was"], ["lies"], ["stands"], ["has"])
        if (low in ("who", "whose") or which) and self.tokens[said - 1].low == "," and (said - 2 in self.at):
            return False
        if self._speech(start, i) and self._quoted_speech(start):
            return self._ordered_too(i, start)
        verb = self.lexicon.match(self.tokens, i, self.at)
        if verb and self._is_verb_here(verb):
            return True
        if low in QUESTION and not self._relative_use(i):
            return True
        subject = low in w.PRONOUNS_PERSON or low in _SUBJECTS or i in self.at
        owned = (
            low in w.DETERMINERS
            and i + 1 not in self.at
            and self.low[i + 2 : i + 3]
            and self.low[i + 2] in ("is", "are")
        )
        if (subject or owned) and self.tokens[i - 1].low == ",":
            after = self.at[i].end if i in self.at else i + 1 + bool(owned)
            return (
                i in self.at
                and "has" in self.low[i:after]
                or (after < len(self.tokens) and self.low[after] in _SAID_OF and after not in self.at)
            )
        if self.tokens[i - 1].low == "," and start < i and not self._has_verb(start, i):
            return True
        return False

    def _do(self, i: int) -> bool:
        """ "do not …", "do the same"."""
        return self.low[i : i + 1] == ["do"] and self.low[i + 1 : i + 2] in (["not"], ["the"], ["likewise"])

    def _relative_use(self, i: int) -> bool:
        return self.tokens[i].low in ("who", "which", "where")

    def _has_verb(self, start: int, end: int) -> bool:
        return any(self.lexicon.match(self.tokens, k, self.at) for k in range(start, end))

    def _quoted_speech(self, start: int) -> bool:
        return any(token.low == "that" for token in self.tokens[start + 1 : start + 4])

    def _is_verb_here(self, verb: Verb) -> bool:
        """After "and", a word that is also a noun is a verb only if something follows that it can act on."""
        if verb.frame in ("work", "harm") or verb.word in NOUNS_TOO and verb.end - verb.start == 1:
            following = self.tokens[verb.end : verb.end + 1]
            if not following:
                return verb.frame == "harm"
            low = following[0].low
            return (
                low in w.DETERMINERS
                or low in w.PREPOSITIONS
                and verb.frame != "work"
                or low in w.PRONOUNS_THING
                or low in w.PRONOUNS_PERSON
                or low in w.SELF
                or verb.end in self.at
                or low in ("on", "off", "up", "how", "what", "that", "whether", "back")
                or low in w.NUMBERS
                or low in w.HERE
                or low[0].isdigit()
                or following[0].quoted
            )
        return True

    def _verb_after(self, i: int, gerund: bool = False) -> bool:
        i = self.skip(i)
        if gerund and i < len(self.tokens) and self.tokens[i].low in ("you", "having", "you've"):
            i = self.skip(i + 1)
        if gerund and self.low[i - 1] == "you" and set(self.low[i : i + 1]) & {"have", "are", "were", "had"}:
            i += 1
        return self.lexicon.match(self.tokens, i, self.at) is not None

    def skip(self, i: int) -> int:
        """Past fillers and openings that say nothing."""
        moved = True
        while moved and i < len(self.tokens):
            moved = False
            end = opening_at(self.low, i)
            if self.whereabouts(i):
                break
            if end > i and not any(k in self.at for k in range(i, end)):
                i, moved = end, True
            if (
                not moved
                and i < len(self.tokens)
                and i not in self.at
                and (self.tokens[i].low in w.FILLERS or self.tokens[i].low in (",", ":", "and"))
            ):
                if (
                    self.tokens[i].low in ("can", "could", "may", "will", "would")
                    and self.tokens[i + 1 : i + 2]
                    and self.tokens[i + 1].low == "i"
                ):
                    break
                if self.tokens[i].low == "once" and self._subject(i + 1):
                    break
                i, moved = i + 1, True
        return i

    def _subject(self, i: int) -> bool:
        """Whether a clause may go on with a subject at `i`."""
        return i in self.at or self.low[i : i + 1] and self.low[i] in w.PRONOUNS_PERSON | {"it", "you", "i", "we"}

    def whereabouts(self, i: int) -> bool:
        """ "you will find him on the terrace", "you can see it there": where somebody is, no order."""
        return self.whereabouts_end(i) > i

    def whereabouts_end(self, i: int) -> int:
        """The index after "you will find", "you can see"; `i` if none begins there."""
        if self.low[i : i + 2] == ["you", "find"]:
            return i + 2
        told = self.low[i : i + 1] == ["you"] and self.low[i + 1 : i + 2] and self.low[i + 1] in _LIKELY
        return i + 3 if told and self.low[i + 2 : i + 3] and self.low[i + 2] in _MET else i

    def _speech(self, start: int, end: int) -> bool:
        """Whether the clause so far is about saying or asking: what follows may be its content."""
        i = self.skip(start)
        verb = self.lexicon.match(self.tokens, i, self.at)
        return bool(
            verb and verb.frame in ("tell", "ask", "wish") or verb and verb.word in ("i", "can", "could", "may")
        )

    def _purpose(self, i: int, start: int) -> bool:
        """ "go to the kitchen to find a cup": "to" before a bare verb, once the clause has its own verb."""
        verb = self.lexicon.match(self.tokens, i + 1, self.at)
        if (
            not verb
            or verb.frame == "work"
            or not self._has_verb(start, i)
            or verb.word in NOUNS_TOO
            and not self._is_verb_here(verb)
        ):
            return False
        return self.tokens[i - 1].low not in (
            "next",
            "close",
            "over",
            "back",
            "up",
            "down",
            "how",
            "where",
            "want",
            "like",
            "need",
            "needs",
            "wants",
            "has",
            "have",
            "ought",
            "supposed",
            "going",
            "wishes",
            "likes",
            "love",
            "loves",
            "able",
            *w.THING_NOUNS,
        )


NOUNS_TOO = frozenset(
    "guide place answer count open close follow wait show lead store present supply leave hold rest stop offer "
    "question request name "
    "state report stick shadow trail tail drop hand pass take step run pop".split()
)
