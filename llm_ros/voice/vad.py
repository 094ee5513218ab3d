"""Voice activity detection: a stream of sound in, utterances out.

Every 20 ms the spectrum between 200 and 4000 Hz is compared, in six bands, with a noise floor: the quietest tenth of
the last `FLOOR_S` seconds (after R. Martin, 2001), so that a fan or hum that begins becomes the floor.
Speech begins when most of the last frames stand out, ends after a pause, and is cut at a bound: nothing grows without
end. What is much quieter than an utterance's own loudest sounds is pause too, so that people far away do not go on
for somebody near. What is too short, or as even as only noise is, is dropped. Knows numbers, no device and no words.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from llm_ros.voice.audio import RATE, AudioError

FRAME = RATE // 50  # samples: 20 ms
FLOOR_S = 2.5  # the noise floor is the quietest of so many seconds
_EDGES_HZ = (200, 400, 700, 1100, 1700, 2600, 4000)
_SILENCE_DB = -65.0  # a band quieter than this (full-scale sine: 0) is silence whatever its surroundings
_ASSUMED_DB = -52.0  # the noise floor of a stream that has just begun, in each band: it may begin with speech
_GLANCE_S, _SHORT_S = 0.26, 1.3  # so much silence after so little speech: a look before the pause is over
_LOUD_DB = 14.0  # what is so much quieter than the loudest `_LOUDEST` frames of an utterance is not its voice
_LOUDEST = 5
_NOISE_DB = -200.0  # instead of the level of a frame that is no louder than the noise
_EVEN_DB = 2.0  # the level of speech varies more than this (standard deviation over its frames)


@dataclass(frozen=True)
class VadConfig:
    """When speech begins and ends; times in seconds, `threshold` in dB over the noise floor (mean of the bands)."""

    threshold: float = 6.0
    pause: float = 0.7  # silence that ends an utterance
    min_speech: float = 0.12  # an utterance with less voiced sound is dropped: clicks, taps
    max_speech: float = 15.0  # an utterance is cut here
    lead: float = 0.3  # kept from before the first and after the last sound of the voice

    def __post_init__(self):
        for name, low, high in (
            ("threshold", 1.0, 40.0),
            ("pause", 0.1, 5.0),
            ("min_speech", 0.02, 2.0),
            ("max_speech", 1.0, 120.0),
            ("lead", 0.0, 2.0),
        ):
            if not low <= getattr(self, name) <= high:
                raise AudioError(f"vad.{name} = {getattr(self, name)!r}: out of range [{low:g}, {high:g}]")


@dataclass(frozen=True)
class Utterance:
    """What somebody said: float32 samples at RATE, `lead` of silence around the words. Times in seconds."""

    samples: np.ndarray
    start: float  # time of the stream at the first sample
    duration: float  # from there to the last sound of the voice
    quiet: float  # from then until it was certain that this was the end
    cut: bool = False  # by the bound


class Detector:
    """Finds the utterances of one stream. `push(samples)` and `flush()` return those that have ended."""

    def __init__(self, config: VadConfig | None = None):
        self._config = config or VadConfig()
        self._window = np.hanning(2 * FRAME).astype(np.float32)
        hertz = np.fft.rfftfreq(2 * FRAME, 1 / RATE)
        self._bands = [(hertz >= low) & (hertz < high) for low, high in zip(_EDGES_HZ[:-1], _EDGES_HZ[1:], strict=True)]
        self._scale = 4.0 / (self._window.sum() ** 2)  # a full-scale sine has the power 1 in its band
        frames = round(FLOOR_S / 0.02)  # band levels of the last frames, dB
        self._recent = deque([np.full(len(self._bands), _ASSUMED_DB)] * frames, maxlen=frames)
        self._tenth = frames // 10
        self._rest = np.zeros(0, np.float32)
        self._before = np.zeros(FRAME, np.float32)  # the frame before, for overlapping windows
        self._votes: deque[bool] = deque(maxlen=6)
        self._kept: deque[tuple[np.ndarray, float]] = deque(maxlen=max(1, round(self._config.lead / 0.02)) + 6)
        self._frames = 0  # frames so far
        self._speech: list[tuple[np.ndarray, float]] | None = None  # frames, their levels in dB
        self._begun = self._quiet = 0
        self._loudest: list[float] = []  # levels, ascending
        self._levels: list[float] = []  # of the voiced frames of the utterance, dB
        self._glance: Utterance | None = None

    @property
    def speaking(self) -> bool:
        """Whether an utterance is going on."""
        return self._speech is not None

    def reset(self) -> None:
        """Drops the utterance that is going on; the noise floor stays."""
        self._speech = self._glance = None
        self._votes.clear()
        self._kept.clear()
        self._rest = np.zeros(0, np.float32)

    def push(self, samples: np.ndarray) -> list[Utterance]:
        """Takes any number of samples (float32 at RATE)."""
        data = np.concatenate([self._rest, samples])
        count = len(data) // FRAME
        self._rest = data[count * FRAME :]
        found = []
        for frame in data[: count * FRAME].reshape(count, FRAME):
            utterance = self._step(frame)
            if utterance is not None:
                found.append(utterance)
        return found

    def glance(self) -> Utterance | None:
        """What has been said so far, once for each pause that may be the end of a short utterance; else None."""
        glance, self._glance = self._glance, None
        return glance

    def flush(self) -> list[Utterance]:
        """The end of the stream ends the utterance that is going on."""
        utterance = self._end(cut=False) if self._speech is not None else None
        return [utterance] if utterance is not None else []

    def _step(self, frame: np.ndarray) -> Utterance | None:
        level = self._listen(frame)
        voiced = level > _NOISE_DB
        self._frames += 1
        if self._speech is None:
            self._votes.append(voiced)
            self._kept.append((frame, level))
            if sum(self._votes) < 4:
                return None
            self._speech = list(self._kept)
            self._begun, self._quiet, self._levels = self._frames - len(self._kept), 0, []
            self._loudest = sorted(level for _, level in self._speech)[-_LOUDEST:]
            return None
        self._speech.append((frame, level))
        self._loudest = sorted([*self._loudest, level])[-_LOUDEST:]
        voiced = voiced and level > self._loudest[0] - _LOUD_DB
        self._votes.append(voiced)
        if voiced:
            self._levels.append(level)
        self._quiet = 0 if sum(self._votes) >= 2 else self._quiet + 1
        if self._quiet == 0:
            self._glance = None
        elif self._quiet == round(_GLANCE_S / 0.02) and len(self._levels) * 0.02 <= _SHORT_S and self._spoken():
            self._glance = self._utterance(self._speech, cut=False)
        if self._quiet * 0.02 >= self._config.pause:
            return self._end(cut=False)
        if len(self._speech) * 0.02 >= self._config.max_speech:
            return self._end(cut=True)
        return None

    def _listen(self, frame: np.ndarray) -> float:
        """The frame's level in dB; _NOISE_DB if it does not stand out of the noise floor, which it becomes part of."""
        spectrum = np.fft.rfft(self._window * np.concatenate([self._before, frame]))
        self._before = frame
        power = (spectrum.real**2 + spectrum.imag**2) * self._scale
        bands = 10 * np.log10(np.array([power[band].sum() for band in self._bands]) + 1e-12)
        bands = np.maximum(bands, _SILENCE_DB)
        self._recent.append(bands)
        floor = np.partition(self._recent, self._tenth, axis=0)[self._tenth]
        return float(np.mean(bands)) if np.mean(bands - floor) > self._config.threshold else _NOISE_DB

    def _end(self, cut: bool) -> Utterance | None:
        speech, self._speech, self._glance = self._speech, None, None
        self._votes.clear()
        self._kept.clear()
        return self._utterance(speech, cut) if self._spoken() else None

    def _utterance(self, speech: list[tuple[np.ndarray, float]], cut: bool) -> Utterance:
        levels = np.array([level for _, level in speech])
        loud = np.flatnonzero(levels > self._loudest[0] - _LOUD_DB)
        lead = round(self._config.lead / 0.02)
        first, last = max(0, int(loud[0]) - lead), int(loud[-1])
        samples = np.concatenate([frame for frame, _ in speech[first : last + 1 + lead]])
        begun, quiet = self._begun + first, len(speech) - 1 - last
        return Utterance(samples, begun * 0.02, (last + 1 - first) * 0.02, quiet * 0.02, cut)

    def _spoken(self) -> bool:
        """Whether the utterance is long and uneven enough to be speech."""
        return len(self._levels) * 0.02 >= self._config.min_speech and np.std(self._levels) >= _EVEN_DB
