"""From sound to what somebody wants: voice activity, recognition, names put right, wake word, "stop".

In: a stream of samples, float32 at 16 kHz. Out: one Heard for every utterance. The same for the node and the command
line; knows no microphone, no ROS and no planner.
"""

from __future__ import annotations

import enum
import re
import time
from dataclasses import dataclass

import numpy as np

from llm_ros.chat.control import STOP, control
from llm_ros.execution.outcome import Execution
from llm_ros.voice.correct import Corrector
from llm_ros.voice.phrases import spoken
from llm_ros.voice.recognizer import Recognition, Recognizer
from llm_ros.voice.vad import Detector, Utterance, VadConfig

_CALLS = frozenset("hey hi hello ok okay please now so and well oh".split())  # what may stand before a wake word
_WORD = re.compile(r"[A-Za-z]+(?:'[A-Za-z]+)*")


class Meaning(enum.Enum):
    """What is to be done with an utterance; the numbers are those of Heard.msg."""

    IGNORED = 0
    COMMAND = 1
    STOP = 2


@dataclass(frozen=True)
class Heard:
    """An utterance: `text` with names put right, `command` without the wake word. Times in seconds."""

    meaning: Meaning
    text: str
    command: str
    recognition: Recognition
    duration: float
    latency: float  # from the last sound of the voice to this, the pause that ends it and recognition included


class Address:
    """Who is spoken to. With wake words only what begins or ends with one counts, or follows one within `window` s."""

    def __init__(self, wake_words: tuple[str, ...], window: float, clock=time.monotonic):
        self._wake = [words for words in (tuple(spoken(word)) for word in wake_words) if words]
        self._window, self._clock = window, clock
        self._until = -1.0

    def attend(self) -> None:
        """The next utterance is for the robot: it was called, or has asked something."""
        self._until = self._clock() + self._window

    def command(self, text: str) -> str | None:
        """The text without wake word; None if somebody else is spoken to; "" if the robot was only called."""
        if not self._wake:
            return text.strip()
        words = list(_WORD.finditer(text))
        low = [match[0].lower() for match in words]
        first = next((k for k, word in enumerate(low) if word not in _CALLS), len(low))
        for wake in self._wake:
            size = len(wake)
            for start in dict.fromkeys((0, first)):
                if tuple(low[start : start + size]) == wake:
                    return text[words[start + size - 1].end() :].lstrip(" ,.!?:;")
            if tuple(low[-size:]) == wake:
                return text[: words[-size].start()].rstrip(" ,.!?:;")
        return text.strip() if self._clock() < self._until else None


def is_stop(text: str) -> bool:
    """Whether a text only says that everything is to end: "stop", "cancel that, please".

    The same words stop a conversation (chat/control.py).
    """
    return control(text, Execution()) == STOP


class Hearing:
    """One stream. Not thread-safe, but for `use`."""

    def __init__(
        self,
        recognizer: Recognizer,
        corrector: Corrector | None,
        address: Address,
        vad: VadConfig | None = None,
        min_confidence: float = 0.0,
    ):
        """`corrector`: None leaves what was heard as it is; `min_confidence`: what is less sure is ignored."""
        self.address, self._least = address, min_confidence
        self.use(recognizer, corrector)
        self._detector = Detector(vad)

    def use(self, recognizer: Recognizer, corrector: Corrector | None) -> None:
        """Hears the next utterance with these. May be called by any thread."""
        self._ears = recognizer, corrector

    @property
    def speaking(self) -> bool:
        """Whether somebody speaks right now."""
        return self._detector.speaking

    def reset(self) -> None:
        """Forgets the utterance that is going on."""
        self._detector.reset()

    def push(self, samples: np.ndarray) -> list[Heard]:
        """What has been said up to the end of `samples`. "Stop" does not wait for the pause after it to be over."""
        found = [self._understand(utterance) for utterance in self._detector.push(samples)]
        short = self._detector.glance()
        if short is not None and (heard := self._understand(short, glance=True)).meaning == Meaning.STOP:
            self._detector.reset()
            found.append(heard)
        return found

    def flush(self) -> list[Heard]:
        """The end of the stream ends the utterance that is going on."""
        return [self._understand(utterance) for utterance in self._detector.flush()]

    def _understand(self, utterance: Utterance, glance: bool = False) -> Heard:
        begun = time.monotonic()
        recognizer, corrector = self._ears
        recognition = recognizer.recognize(utterance.samples)
        text = corrector.correct(recognition.text) if corrector else recognition.text
        meaning, command = Meaning.IGNORED, self.address.command(text)
        if is_stop(text) or command and is_stop(command):
            meaning, command = Meaning.STOP, command or text  # whoever says stop is obeyed
        elif command is not None and recognition.text and recognition.confidence >= self._least:
            meaning = Meaning.COMMAND if command else Meaning.IGNORED
            if not command and not glance:
                self.address.attend()
        return Heard(
            meaning,
            text,
            command or "" if meaning != Meaning.IGNORED else "",
            recognition,
            utterance.duration,
            utterance.quiet + time.monotonic() - begun,
        )
