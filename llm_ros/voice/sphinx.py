"""The recogniser `pocketsphinx`: small, offline, on any CPU, with a language model of this robot's own commands.

Its package brings an English acoustic model and the CMU pronouncing dictionary; which words follow which is told by the
vocabulary, so it hears the names of this world, and nothing that nobody would say here. Words that its dictionary lacks
are pronounced by rule (sounds.py).
"""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import numpy as np
import pocketsphinx

from llm_ros.voice.audio import RATE, to_s16le
from llm_ros.voice.recognizer import Recognition, RecognizerError
from llm_ros.voice.sounds import phones
from llm_ros.voice.vocabulary import Vocabulary

ALTERNATIVES = 4
_DITHER = 0.003  # of full scale: digital silence, which no room has, upsets the acoustic model
_EDGE = RATE // 5  # samples of near silence before and after


class SphinxRecognizer:
    """See the module."""

    def __init__(self, vocabulary: Vocabulary, model: str = "", threads: int = 1):
        """`model`: a folder with an acoustic model `en-us` and a dictionary `cmudict-en-us.dict`, empty: the package's
        own; `threads`: it has but one. Raises RecognizerError."""
        folder = Path(model or pocketsphinx.get_model_path("en-us"))
        dictionary = folder / "cmudict-en-us.dict"
        if not dictionary.is_file() or not (folder / "en-us").is_dir():
            raise RecognizerError(
                f"recognizer.model = {str(folder)!r}: needs a folder with en-us/ and {dictionary.name}"
            )
        with tempfile.TemporaryDirectory() as scratch:  # the decoder reads both files when it is made
            lm, words = Path(scratch, "lm.arpa"), Path(scratch, "words.dict")
            lm.write_text(vocabulary.language_model)
            words.write_text("".join(f"{line}\n" for line in _pronunciations(dictionary, vocabulary.words)))
            try:
                self._decoder = pocketsphinx.Decoder(
                    hmm=str(folder / "en-us"), lm=str(lm), dict=str(words), samprate=RATE, cmn="batch", loglevel="FATAL"
                )
            except (RuntimeError, ValueError) as error:
                raise RecognizerError(f"recognizer.model = {str(folder)!r}: {error}") from error

    def recognize(self, samples: np.ndarray) -> Recognition:
        """See recognizer.Recognizer."""
        sound = np.concatenate([np.zeros(_EDGE, np.float32), samples, np.zeros(_EDGE, np.float32)])
        sound = sound + np.random.default_rng(0).standard_normal(len(sound)).astype(np.float32) * _DITHER
        self._decoder.reinit_feat()  # what was heard before must not decide what is heard now
        self._decoder.start_utt()
        self._decoder.process_raw(to_s16le(sound), full_utt=True)
        self._decoder.end_utt()
        best = self._decoder.hyp()
        if best is None or not best.hypstr:
            return Recognition("")
        confidence, others = _confidence(self._decoder), dict[str, None]()
        for number, other in enumerate(self._decoder.nbest() or ()):
            if number == 50 or len(others) == ALTERNATIVES:
                break
            if other is not None and other.hypstr and other.hypstr != best.hypstr:
                others[other.hypstr] = None
        return Recognition(best.hypstr, confidence, tuple(others))


def _confidence(decoder) -> float:
    """The geometric mean of the words' posterior probabilities; that of the sentence says little."""
    words = [max(part.prob, 1e-9) for part in decoder.seg() if part.word[0] not in "<["]
    return math.exp(sum(map(math.log, words)) / len(words)) if words else 0.0


def _pronunciations(dictionary: Path, words: frozenset[str]):
    """Lines of a dictionary of `words`: all pronunciations that the big one has, else one by rule."""
    known = set()
    for line in dictionary.read_text(encoding="utf-8").splitlines():
        word = line.split(None, 1)[0].partition("(")[0] if line.strip() else ""
        if word in words:
            known.add(word)
            yield line
    for word in sorted(words - known):
        yield f"{word} {' '.join(phones(word))}"
