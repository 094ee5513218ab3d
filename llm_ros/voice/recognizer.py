"""Speech to text behind one interface: `make_recognizer` finds a back end by name, `Recognizer.recognize` runs it.

In: one utterance, float32 at 16 kHz, mono. Out: a Recognition: text, how sure, what else it may have been. A back end
is a class in a module of its own (BACKENDS), imported only when it is asked for; it may need a package that is an
extra of ours. None fetches anything by itself.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from llm_core.errors import RequestError
from llm_ros.voice.vocabulary import Vocabulary

# Name -> (module, class, the extra that installs what it needs).
BACKENDS = {
    "pocketsphinx": ("llm_ros.voice.sphinx", "SphinxRecognizer", "voice"),
    "faster-whisper": ("llm_ros.voice.whisper", "WhisperRecognizer", "whisper"),
}


class RecognizerError(RequestError):
    """A recogniser that cannot be used: says which, and what is missing."""


@dataclass(frozen=True)
class Recognition:
    """What an utterance was taken for. confidence: 0 to 1, the back end's own estimate, comparable with no other's."""

    text: str
    confidence: float = 0.0
    alternatives: tuple[str, ...] = ()  # likeliest first, without `text`


class Recognizer(Protocol):
    """What a back end is. Used by one thread at a time."""

    def recognize(self, samples: np.ndarray) -> Recognition:
        """The text of an utterance, float32 [n] at 16 kHz; an empty text if there is no speech in it."""


def make_recognizer(
    name: str, vocabulary: Vocabulary, model: str = "", threads: int = 2, load: Callable = importlib.import_module
) -> Recognizer:
    """A recogniser for `vocabulary`. `model`: a folder, empty for the back end's own.

    Raises RecognizerError for an unknown name, a package that is not installed or a model that is not there.
    """
    if name not in BACKENDS:
        raise RecognizerError(f"recognizer.name = {name!r}: needs one of {', '.join(BACKENDS)}")
    module, kind, extra = BACKENDS[name]
    try:
        return getattr(load(module), kind)(vocabulary, model, threads)
    except ImportError as error:
        raise RecognizerError(
            f"recognizer.name = {name!r}: {error}; install it with `pip install '.[{extra}]'` in the checkout"
        ) from error
