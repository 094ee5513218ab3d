"""What a request may say next, guessed from its own tokens: after the same words, the same words (prompt lookup).

`NgramIndex` follows one request's tokens, prompt and answer. It finds where the longest end of them stood before and
offers what followed there. Every token that comes is compared with the offer, also when nobody used it, so the chance
of a guess is known before it costs anything; it is kept by the length of the match, for longer matches are right more
often.
"""

from __future__ import annotations

from collections.abc import Sequence

LOOKED_AT = 16  # places where the last two tokens stood before, the latest ones
LONGEST = 32  # tokens of a match that are counted

# Chance that the next token is right, by bit_length of the match's length: 2-3, 4-7, 8-15, 16 and more. These are the
# beliefs that a request starts with; they weigh as much as PRIOR_WEIGHT observations.
PRIOR = {2: 0.4, 3: 0.6, 4: 0.75, 5: 0.85}
PRIOR_WEIGHT = 2.0
MEMORY = 0.95  # of what was known, kept at each new observation


class Chances:
    """How often guesses of several kinds were right lately: a running mean for each kind."""

    def __init__(self, prior: dict[int, float]) -> None:
        self._right = {kind: PRIOR_WEIGHT * chance for kind, chance in prior.items()}
        self._all = dict.fromkeys(prior, PRIOR_WEIGHT)

    def __getitem__(self, kind: int) -> float:
        return self._right[kind] / self._all[kind]

    def learn(self, kind: int, right: bool) -> None:
        """One guess of that kind was right or wrong."""
        self._right[kind] = self._right[kind] * MEMORY + right
        self._all[kind] = self._all[kind] * MEMORY + 1


class NgramIndex:
    """One request's tokens, by pairs. Call `follow` when tokens were added, then `guess`."""

    def __init__(self) -> None:
        self._ends: dict[tuple[int, int], list[int]] = {}
        self._seen = 0
        self._source: int | None = None  # the place of the next token's guess
        self._length = 0
        self._chances = Chances(PRIOR)

    def follow(self, tokens: Sequence[int]) -> None:
        """Take in the tokens that are new at the end of `tokens`, and learn from those that were guessed."""
        for at in range(self._seen, len(tokens)):
            if self._source is not None:
                right = tokens[self._source] == tokens[at]
                self._chances.learn(_kind(self._length), right)
                self._source, self._length = (self._source + 1, self._length + 1) if right else (None, 0)
            if at:
                self._ends.setdefault((tokens[at - 1], tokens[at]), []).append(at)
        self._seen = len(tokens)

    def guess(self, tokens: Sequence[int], most: int) -> tuple[list[int], list[float]]:
        """Up to `most` tokens that may follow, and the chance that each and all before it are right."""
        if self._source is None:
            self._search(tokens)
        if self._source is None:
            return [], []
        ids: list[int] = []
        chances: list[float] = []
        chance = 1.0
        for i in range(most):
            at = self._source + i
            token = tokens[at] if at < len(tokens) else ids[at - len(tokens)]
            if token < 0:  # a picture, which nobody can say
                break
            ids.append(token)
            chance *= self._chances[_kind(self._length + i)]
            chances.append(chance)
        return ids, chances

    def _search(self, tokens: Sequence[int]) -> None:
        """The longest match of the tokens' end, of equals the latest."""
        last = len(tokens) - 1
        if last < 2:
            return
        self._length = 0
        for end in reversed(self._ends.get((tokens[-2], tokens[-1]), ())[-LOOKED_AT - 1 : -1]):
            length = 2
            while length < min(LONGEST, end + 1) and tokens[end - length] == tokens[last - length]:
                length += 1
            if length > self._length:
                self._source, self._length = end + 1, length


def _kind(length: int) -> int:
    return min(length.bit_length(), 5)
