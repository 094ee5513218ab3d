"""What is said to this robot: the names of its world, the words that a command may hold, and its language model.

In: skills and world. Out: names as they are spoken, every usual word, a prompt for recognisers that take one, and a
trigram model in the ARPA format for those that need one. Built once; immutable. Knows no recogniser.
"""

from __future__ import annotations

from functools import cached_property

from llm_ros.planner import Skills, World
from llm_ros.planner.world import OPERATOR
from llm_ros.voice.phrases import Phrases, spoken
from llm_ros.voice.trigrams import arpa

SENTENCES = 20_000  # that the language model is made of


class Vocabulary:
    """See the module. `extra`: further phrases that may be said, such as the wake word."""

    def __init__(self, skills: Skills, world: World, extra: tuple[str, ...] = ()):
        self._phrases = Phrases(skills, world)
        self._extra = [words for words in map(spoken, extra) if words]
        named = [*world.people, *world.objects, *world.places, *world.doors]
        named += [form for synonyms in world.synonyms.values() for form in synonyms]
        named += [form for category in world.categories.values() for form in (category.singular, category.name)]
        self.names = tuple(dict.fromkeys(tuple(spoken(name)) for name in named if name != OPERATOR and spoken(name)))
        self._people = {tuple(spoken(name)) for name in world.people}

    @property
    def hint(self) -> str:
        """The names in one line, people with capitals: what a recogniser that writes text should expect."""
        return ", ".join(" ".join(words).title() if words in self._people else " ".join(words) for words in self.names)

    @cached_property
    def words(self) -> frozenset[str]:
        """Every word that may be said."""
        found = self._phrases.words() | {word for words in (*self.names, *self._extra) for word in words}
        return frozenset(found | {word for sentence in self._sentences for word in sentence})

    @cached_property
    def _sentences(self) -> list[list[str]]:
        sentences = self._phrases.sentences(SENTENCES)
        for number, words in enumerate(self._extra):  # said before one of so many sentences, and by itself
            sentences += [[*words, *sentence] for sentence in sentences[number : SENTENCES // 4 : len(self._extra)]]
            sentences += [words] * 20
        return sentences

    @cached_property
    def language_model(self) -> str:
        """Trigrams over `words`, as the text of an ARPA file."""
        return arpa(self._sentences, sorted(self.words))
