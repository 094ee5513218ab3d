"""Cuts a command into clauses, each with its verb and its items: the people, things, places and texts it speaks of.

In: a command, `Names` and a `Lexicon`. Out: `Clause`s in the order in which they are to happen ("before X, do Y" is
turned
round). An item knows its preposition and the place attached to it ("the cup on the table"). Decides nothing about
skills.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from llm_ros.planner import words as w
from llm_ros.planner.items import Item, ItemReader, attach
from llm_ros.planner.names import Names
from llm_ros.planner.openings import opening_at
from llm_ros.planner.tokens import Mention, Token, corrected, tokenize
from llm_ros.planner.verbs import Lexicon, Verb

QUESTION = frozenset("what where who which when why how whose".split())
_BREAKS = frozenset(". ; ! ?".split())
_SEQUENCE = frozenset("then afterwards afterward thereafter subsequently next finally lastly".split())


@dataclass
class Clause:
    """One thing to do. text: the words after the verb. negated: it is forbidden ("do not", "without")."""

    verb: Verb | None
    items: list[Item]
    tokens: list[Token]
    start: int
    end: int
    negated: bool = False
    question: str = ""
    subject: list[Item] = field(default_factory=list)


class Splitter:
    """Makes clauses out of one command."""

    def __init__(self, command: str, names: Names, lexicon: Lexicon):
        self.tokens: list[Token] = corrected(tokenize(command))
        self.low = [token.low for token in self.tokens]
        self.mentions: list[Mention] = names.find(self.tokens)
        self.lexicon = lexicon
        self.at: dict[int, Mention] = {i: m for m in self.mentions for i in range(m.start, m.end)}

    def clauses(self) -> list[Clause]:
        """All clauses, in the order of doing."""
        result: list[Clause] = []
        for start, end, order in self._spans():
            clause = self._clause(start, end)
            if clause is None:
                continue
            if order == "before" and result:
                result.insert(len(result) - 1, clause)
            else:
                result.append(clause)
        return self._merged(result)

    def _merged(self, clauses: list[Clause]) -> list[Clause]:
        """A clause without a verb that only says where belongs to the next one: "in the study, count the pens"."""
        result: list[Clause] = []
        pending: list[Item] = []
        for clause in clauses:
            only_where = (
                clause.verb is None
                and not clause.question
                and clause.items
                and all(item.kind in ("place",) for item in clause.items)
                and not clause.subject
            )
            if only_where and clause is not clauses[-1]:
                pending += clause.items
                continue
            clause.items = pending + clause.items
            pending = []
            result.append(clause)
        return result

    # -- where clauses begin and end

    def _spans(self) -> list[tuple[int, int, str]]:
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
        if low in _SEQUENCE and (i == start or self._verb_after(i + 1) or i + 1 >= len(tokens)):
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
        if low == "without" and i > start and self._verb_after(i + 1):
            return -1, ""
        return 0, ""

    def _opens(self, i: int, start: int) -> bool:
        """Whether a new clause begins at `i` (after a comma or an "and")."""
        i = self._skip(i)
        if i >= len(self.tokens):
            return True
        low = self.tokens[i].low
        if low in _SEQUENCE or low in ("before", "after", "once", "without", "if") and i not in self.at:
            return True
        if low == "do" and self.tokens[i + 1 : i + 2] and self.tokens[i + 1].low == "not":
            return True
        if self._speech(start, i) and self._quoted_speech(start):
            return False
        verb = self.lexicon.match(self.tokens, i, self.at)
        if verb and self._is_verb_here(verb):
            return True
        if low in QUESTION and not self._relative_use(i):
            return True
        if (low in w.PRONOUNS_PERSON or low == "it" or i in self.at) and self.tokens[i - 1].low == ",":
            after = self.at[i].end if i in self.at else i + 1
            return (
                after < len(self.tokens)
                and self.tokens[after].low in ("is", "are", "should", "will", "was")
                and after not in self.at
            )
        if self.tokens[i - 1].low == "," and start < i and not self._has_verb(start, i):
            return True
        return False

    def _relative_use(self, i: int) -> bool:
        return self.tokens[i].low in ("who", "which", "where")

    def _has_verb(self, start: int, end: int) -> bool:
        return any(self.lexicon.match(self.tokens, k, self.at) for k in range(start, end))

    def _quoted_speech(self, start: int) -> bool:
        return any(token.low == "that" for token in self.tokens[start + 1 : start + 4])

    def _is_verb_here(self, verb: Verb) -> bool:
        """After "and", a word that is also a noun is a verb only if something follows that it can act on."""
        if verb.frame in ("work", "harm") or verb.word in _NOUNS_TOO:
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
        i = self._skip(i)
        if gerund and i < len(self.tokens) and self.tokens[i].low in ("you", "having", "you've"):
            i = self._skip(i + 1)
            if i < len(self.tokens) and self.tokens[i].low in ("have", "are", "were", "had"):
                i += 1
        return self.lexicon.match(self.tokens, i, self.at) is not None

    def _skip(self, i: int) -> int:
        """Past fillers and openings that say nothing."""
        moved = True
        while moved and i < len(self.tokens):
            moved = False
            end = opening_at(self.low, i)
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
                i, moved = i + 1, True
        return i

    def _speech(self, start: int, end: int) -> bool:
        """Whether the clause so far is about saying or asking: what follows may be its content."""
        i = self._skip(start)
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
            or verb.word in _NOUNS_TOO
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

    # -- what a clause says

    def _clause(self, start: int, end: int) -> Clause | None:
        begin, negated = self._skip(start), False
        tokens = self.tokens
        if (
            begin < end
            and tokens[begin].low in ("without", "not")
            or [t.low for t in tokens[begin : begin + 2]] == ["do", "not"]
        ):
            negated = True
            begin = self._skip(begin + (2 if tokens[begin].low == "do" else 1))
        if begin < end and tokens[begin].low == "if" and begin not in self.at:
            return Clause(None, self.items(begin + 1, end), tokens, begin, end, False)
        while (
            begin < end
            and begin not in self.at
            and tokens[begin].low
            in ("when", "once", "after", "while", "by", "having", "as", "soon", "whenever", "until")
        ):
            begin = self._skip(begin + 1)
            while begin < end and tokens[begin].low in ("you", "have", "are", "had") and begin not in self.at:
                begin += 1
        if begin >= end:
            return None
        question, at_question = self._question(begin, end)
        if question:
            return Clause(None, self.items(at_question, end), tokens, at_question, end, negated, question)
        verb, subject = self._find_verb(begin, end)
        if verb is None:
            items = self.items(begin, end)
            return Clause(None, items, tokens, begin, end, negated)
        return Clause(
            verb,
            self.items(verb.end, end),
            tokens,
            verb.end,
            end,
            negated,
            subject=self.items(subject, verb.start) if subject < verb.start else [],
        )

    def _question(self, begin: int, end: int) -> tuple[str, int]:
        low = [token.low for token in self.tokens[begin:end]]
        if low[:2] == ["how", "many"]:
            return "how many", begin + 2
        if low[:1] and low[0] in QUESTION and begin not in self.at:
            return low[0], begin + 1
        if (
            low[:1]
            and (low[0] in ("is", "are", "was") or low[:2] in (["do", "we"], ["do", "i"], ["do", "you"]))
            and len(low) > 2
            and (begin + 1 in self.at or low[1] in ("there", "the", "any", "we", "a", "you", "i"))
        ):
            return "is there", begin + (2 if low[1] in ("there", "we", "you", "i") else 1)
        return "", begin

    def _find_verb(self, begin: int, end: int) -> tuple[Verb | None, int]:
        """The clause's verb and where its subject or leading words begin."""
        tokens = self.tokens
        said = self.at.get(begin)
        if (
            said
            and said.kind == "person"
            and begin
            and tokens[begin - 1].low in ("could", "can", "may", "might", "should", "must", "let", "will")
            and (said.end < end and tokens[said.end].low in ("have", "get", "receive"))
        ):
            return Verb(said.end, said.end + 1, "wish", "have"), begin
        verb = self.lexicon.match(tokens, begin, self.at) or self.lexicon.misspelt(tokens, begin, self.at)
        if tokens[begin].low in ("i", "we") and (verb is None or verb.frame == "wish"):
            return None, begin
        if verb and verb.end <= end and tokens[begin].low != "i":
            return self._chained(verb, end), begin
        if verb and verb.end <= end and tokens[begin].low == "i":
            return verb, begin
        statement = any(
            t.low in ("is", "are", "was", "were", "has", "am")
            and begin + k not in self.at
            and (begin + k == begin + 1 or begin + k - 1 in self.at)
            for k, t in enumerate(tokens[begin:end])
        )
        for position in range(begin + 1, end):
            verb = self.lexicon.match(tokens, position, self.at)
            if not verb or verb.end > end:
                continue
            if verb.frame == "wish":
                return verb, begin
            if (
                tokens[position].low == "can"
                or statement
                or tokens[position].low in _NOUNS_TOO
                and tokens[position - 1].low in w.DETERMINERS
            ):
                continue
            return self._chained(verb, end), begin
        return None, begin

    def _chained(self, verb: Verb, end: int) -> Verb:
        """ "go and find", "go get", "come help": the second verb is the task."""
        if verb.frame not in ("go",) or verb.end >= end or verb.end in self.at:
            return verb
        following = self.lexicon.match(self.tokens, self._skip(verb.end), self.at)
        if (
            following
            and following.end <= end
            and following.frame not in ("work",)
            and self._skip(verb.end) <= verb.end + 1
        ):
            return following
        return verb

    def items(self, start: int, end: int) -> list[Item]:
        """People, things, places and texts between two tokens, each with its preposition; places attach to what they
        follow."""
        return attach(ItemReader(self, start, end).read())


_NOUNS_TOO = frozenset(
    "guide place answer count open close follow wait show lead store present supply leave hold rest stop offer "
    "question request name "
    "state report stick shadow trail tail drop hand pass take step run pop".split()
)
