"""Puts names right that a recogniser wrote as other words that sound alike: "give it to ken" where there is a Chen.

In: what was heard and the vocabulary. Out: the text with names of the world in place of words that nobody would use
here. Only words outside the vocabulary are replaced, so what was understood stays; what is like no name stays too, for
the planner to refuse or ask about.
"""

from __future__ import annotations

import re

from llm_ros.voice.phrases import spoken
from llm_ros.voice.sounds import distance, phones
from llm_ros.voice.vocabulary import Vocabulary

NEAR = 0.2  # of the phones of a name may be different
_LONGEST = 3  # words that one name may have been heard as
_WORD = re.compile(r"[A-Za-z]+(?:'[A-Za-z]+)*")


class Corrector:
    """The names of one vocabulary by their sound."""

    def __init__(self, vocabulary: Vocabulary):
        self._words = vocabulary.words
        self._names = [(words, _sound(words)) for words in vocabulary.names]

    def correct(self, text: str) -> str:
        """The text with names put right; the same text if there is nothing to put right."""
        words = list(_WORD.finditer(text))
        strange = [not all(part in self._words for part in spoken(match[0])) for match in words]
        out, done, position = [], 0, 0
        while position < len(words):
            best = None
            for length in range(1, min(_LONGEST, len(words) - position) + 1):
                if any(strange[position : position + length]):
                    found = self._nearest([match[0] for match in words[position : position + length]])
                    best = min(filter(None, (best, found and (*found, length))), default=None)
            if best is None:
                position += 1
                continue
            _, name, length = best
            out += [text[done : words[position].start()], " ".join(name)]
            done = words[position + length - 1].end()
            position += length
        return "".join([*out, text[done:]])

    def _nearest(self, heard: list[str]) -> tuple[float, tuple[str, ...]] | None:
        """(share of the sound that differs, name) of the name that sounds most like it, if one is near enough."""
        sound = _sound(tuple(word.lower() for word in heard))
        share, name = min(
            ((distance(sound, other) / max(len(other), 1), name) for name, other in self._names), default=(1.0, ())
        )
        return (share, name) if share <= NEAR else None


def _sound(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(phone for word in words for phone in phones(word))
